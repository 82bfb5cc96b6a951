// The arithmetic of one step after the gradients were reduced; see optimizer.h for why it uses no special instructions.
#include "worker/trainer/optimizer.h"

#include <cmath>
#include <numbers>

namespace ultramarine::trainer {

double learning_rate_at(const OptimizerConfig& config, std::int64_t step, std::int64_t steps) {
  if (step < config.warmup_steps) {
    return config.learning_rate * static_cast<double>(step) / static_cast<double>(config.warmup_steps);
  }
  const auto length = static_cast<double>(steps - config.warmup_steps);
  const double progress = length > 0 ? static_cast<double>(step - config.warmup_steps) / length : 1.0;
  const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * std::fmin(progress, 1.0)));
  return config.learning_rate * (config.final_fraction + (1.0 - config.final_fraction) * cosine);
}

double sum_of_squares(std::span<const float> values) {
  constexpr std::size_t lanes = 8;  // independent sums, so that the additions needn't wait for each other
  double sums[lanes] = {};
  std::size_t i = 0;
  for (; i + lanes <= values.size(); i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const double value = values.data()[i + lane];
      sums[lane] += value * value;
    }
  }
  for (; i < values.size(); ++i) sums[0] += static_cast<double>(values[i]) * values[i];
  double sum = 0;
  for (const double lane : sums) sum += lane;
  return sum;
}

double norm_of(std::span<const float> values) { return std::sqrt(sum_of_squares(values)); }

void update(const OptimizerConfig& config, const Layout& layout, std::int64_t step, double learning_rate,
            double gradient_scale, const std::function<void(const Tensor&, const AdamwStep&)>& apply) {
  const auto n = static_cast<double>(step);
  AdamwStep own{.beta_1 = static_cast<float>(config.beta_1),
                .beta_2 = static_cast<float>(config.beta_2),
                .epsilon = static_cast<float>(config.epsilon),
                .gradient_scale = static_cast<float>(gradient_scale),
                .rate = static_cast<float>(learning_rate / (1.0 - std::pow(config.beta_1, n))),
                .second_correction = static_cast<float>(1.0 / (1.0 - std::pow(config.beta_2, n)))};
  for (const Tensor& tensor : layout.tensors()) {
    own.keep = tensor.decays ? static_cast<float>(1.0 - learning_rate * config.weight_decay) : 1.0F;
    apply(tensor, own);
  }
}

void adamw(std::size_t count, AdamwStep step, const float* g, float* w, float* m, float* v) {
  // By value: what `step` refers to could else be w, m or v.
  const float beta_1 = step.beta_1, beta_2 = step.beta_2, epsilon = step.epsilon, scale = step.gradient_scale, rate = step.rate,
              second_correction = step.second_correction, keep = step.keep;
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) {
    const float gradient = g[i] * scale;
    m[i] = beta_1 * m[i] + (1.0F - beta_1) * gradient;
    v[i] = beta_2 * v[i] + (1.0F - beta_2) * gradient * gradient;
    w[i] = keep * w[i] - rate * m[i] / (std::sqrt(v[i] * second_correction) + epsilon);
  }
}

}  // namespace ultramarine::trainer
