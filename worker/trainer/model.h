// A GPT-2-style model: token and position embeddings, pre-norm blocks of causal attention and a GELU MLP, a final norm
// and a head that shares the token embedding. Forward and backward by hand, on any device. It knows the order of the
// operations and tokens; no ranks, no optimizer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "worker/trainer/device/device.h"
#include "worker/trainer/device/operations.h"

namespace ultramarine::trainer {

struct ModelConfig {
  std::int64_t layers = 2;
  std::int64_t heads = 4;
  std::int64_t width = 64;
  std::int64_t context = 64;
  std::int64_t vocabulary = 256;  // bytes
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// One parameter tensor in the arena.
struct Tensor {
  std::string name;
  std::size_t offset = 0;
  std::size_t count = 0;
  bool decays = false;  // weight decay: matrices and embeddings, not biases and norms
  double initial_mean = 0;
  double initial_deviation = 0;
};

/// Where each tensor lies: in the order in which backward completes their gradients (final norm, last block ... first
/// block, positions, and last the token embedding, which the head and the input share), so that gradients ready to be
/// reduced are always a prefix of the arena.
class Layout {
 public:
  explicit Layout(const ModelConfig& config);
  std::size_t parameter_count() const { return count_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }

  struct Block {
    std::size_t norm_1_weight, norm_1_bias, qkv_weight, qkv_bias, attention_weight, attention_bias, norm_2_weight,
        norm_2_bias, expand_weight, expand_bias, contract_weight, contract_bias;
  };
  std::size_t final_norm_weight = 0, final_norm_bias = 0, positions = 0, tokens = 0;
  std::vector<Block> blocks;

 private:
  std::size_t append(std::string name, std::size_t count, bool decays, double mean, double deviation);
  std::vector<Tensor> tensors_;
  std::size_t count_ = 0;
};

/// GPT-2's initialisation (normal 0.02; projections into the residual stream scaled by 1/sqrt(2 layers)), a function of
/// the seed alone.
void initialize(const Layout& layout, std::uint64_t seed, std::span<float> parameters);

template <class Real>
class Model {
 public:
  /// Room for `samples_max` sequences of `config.context` tokens at once, on the CPU.
  Model(const ModelConfig& config, std::int64_t samples_max);
  /// The same on `device`; `stream` takes all the work. Device, stream and operations must outlive the model.
  Model(const ModelConfig& config, std::int64_t samples_max, Device& device, Stream& stream,
        const ModelOperations<Real>& operations);

  /// tokens, targets: [samples, length], length <= context, on the host; parameters on the device. Returns, for each
  /// sample, the mean of its losses in nats: device memory that lives until the next call, written by the stream.
  std::span<const Real> forward(const Real* parameters, std::span<const std::uint8_t> tokens,
                                std::span<const std::uint8_t> targets, std::int64_t samples);
  /// Adds to `gradients` [parameter_count], on the device, those of the sum of the losses that the last forward
  /// returned. Once per forward.
  void backward(const Real* parameters, Real* gradients);
  /// Of the last forward: next-token probabilities [samples, length, vocabulary], on the device.
  std::span<const Real> probabilities() const;

  const ModelConfig& config() const { return config_; }
  const Layout& layout() const { return layout_; }

 private:
  Model(const ModelConfig& config, std::int64_t samples_max, Device& device, std::unique_ptr<Stream> own_stream,
        Stream* stream, const ModelOperations<Real>& operations);

  // What forward keeps of one block for backward. [rows, ...] with rows = samples * length.
  struct BlockState {
    DeviceArray<Real> norm_1, norm_1_mean, norm_1_scale;  // [rows, width], [rows], [rows]
    DeviceArray<Real> qkv, probabilities,
        attention;             // [rows, 3 width], [samples, heads, length, length], [rows, width]
    DeviceArray<Real> middle;  // [rows, width]: residual stream between attention and MLP
    DeviceArray<Real> norm_2, norm_2_mean, norm_2_scale;
    DeviceArray<Real> expanded, activated;  // [rows, 4 width] before and after GELU
    DeviceArray<Real> out;                  // [rows, width]: residual stream after the block
  };

  ModelConfig config_;
  Layout layout_;
  std::unique_ptr<Stream> own_stream_;  // unless somebody else's is used
  Stream& stream_;
  const ModelOperations<Real>& operations_;
  std::vector<BlockState> blocks_;
  DeviceArray<Real> embedded_, final_norm_, final_norm_mean_, final_norm_scale_, logits_, token_losses_, sample_losses_;
  DeviceArray<Real> d_stream_, d_width_, d_wide_,
      d_scores_;  // gradients on their way: [rows, width] twice, [rows, 4 width], what attention asks for
  DeviceArray<std::uint8_t> tokens_, targets_;
  std::size_t samples_ = 0, length_ = 0;
};

extern template class Model<float>;
extern template class Model<double>;

}  // namespace ultramarine::trainer
