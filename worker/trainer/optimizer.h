// AdamW, gradient clipping and the learning-rate schedule. Every rank runs this on the same reduced gradients and must
// get the same bits, also on another CPU: plain code for the baseline instruction set, fixed order of additions, no
// BLAS.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "worker/trainer/device/operations.h"
#include "worker/trainer/model.h"

namespace ultramarine::trainer {

struct OptimizerConfig {
  double learning_rate = 6e-3;  // the peak
  double final_fraction = 0.1;  // the schedule ends at this fraction of the peak
  std::int64_t warmup_steps = 50;
  double beta_1 = 0.9;
  double beta_2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
  double gradient_norm_max = 1.0;
};

/// Of step 1 .. steps: rises linearly to the peak at `warmup_steps`, then falls along half a cosine to the final
/// fraction at `steps`.
double learning_rate_at(const OptimizerConfig& config, std::int64_t step, std::int64_t steps);

/// Added up in double in a fixed order.
double sum_of_squares(std::span<const float> values);
/// Euclidean norm.
double norm_of(std::span<const float> values);

/// One AdamW update (Loshchilov & Hutter 2019): calls `apply` for each tensor of the layout with its step. Decay is
/// decoupled and only for tensors that decay. `gradient_scale` multiplies every gradient on the way in (averaging and
/// clipping). `step` counts from 1.
void update(const OptimizerConfig& config, const Layout& layout, std::int64_t step, double learning_rate,
            double gradient_scale, const std::function<void(const Tensor&, const AdamwStep&)>& apply);

/// The update of `count` elements, in place.
void adamw(std::size_t count, AdamwStep step, const float* gradients, float* parameters, float* first_moments,
           float* second_moments);

}  // namespace ultramarine::trainer
