// The order of operations, the same on every device.
#include "worker/trainer/model.h"

#include <cmath>
#include <utility>

#include "worker/trainer/device/cpu/cpu_device.h"
#include "worker/trainer/random_numbers.h"

namespace ultramarine::trainer {

std::size_t Layout::append(std::string name, std::size_t count, bool decays, double mean, double deviation) {
  tensors_.push_back({std::move(name), count_, count, decays, mean, deviation});
  count_ += count;
  return tensors_.back().offset;
}

Layout::Layout(const ModelConfig& config) {
  const auto width = static_cast<std::size_t>(config.width);
  constexpr double deviation = 0.02;
  const double into_stream = deviation / std::sqrt(2.0 * static_cast<double>(config.layers));
  final_norm_weight = append("final_norm.weight", width, false, 1, 0);
  final_norm_bias = append("final_norm.bias", width, false, 0, 0);
  blocks.resize(static_cast<std::size_t>(config.layers));
  for (std::size_t layer = blocks.size(); layer-- > 0;) {
    const std::string name = "block_" + std::to_string(layer) + ".";
    Block& block = blocks[layer];
    block.contract_weight = append(name + "contract.weight", 4 * width * width, true, 0, into_stream);
    block.contract_bias = append(name + "contract.bias", width, false, 0, 0);
    block.expand_weight = append(name + "expand.weight", 4 * width * width, true, 0, deviation);
    block.expand_bias = append(name + "expand.bias", 4 * width, false, 0, 0);
    block.norm_2_weight = append(name + "norm_2.weight", width, false, 1, 0);
    block.norm_2_bias = append(name + "norm_2.bias", width, false, 0, 0);
    block.attention_weight = append(name + "attention.weight", width * width, true, 0, into_stream);
    block.attention_bias = append(name + "attention.bias", width, false, 0, 0);
    block.qkv_weight = append(name + "qkv.weight", 3 * width * width, true, 0, deviation);
    block.qkv_bias = append(name + "qkv.bias", 3 * width, false, 0, 0);
    block.norm_1_weight = append(name + "norm_1.weight", width, false, 1, 0);
    block.norm_1_bias = append(name + "norm_1.bias", width, false, 0, 0);
  }
  positions = append("positions", static_cast<std::size_t>(config.context) * width, true, 0, deviation);
  tokens = append("tokens", static_cast<std::size_t>(config.vocabulary) * width, true, 0, deviation);
}

void initialize(const Layout& layout, std::uint64_t seed, std::span<float> parameters) {
  std::uint64_t number = 0;
  for (const Tensor& tensor : layout.tensors()) {
    ++number;
    for (std::size_t i = 0; i < tensor.count; ++i) {
      const double noise =
          tensor.initial_deviation > 0 ? tensor.initial_deviation * random_normal(~seed, number, i) : 0;
      parameters[tensor.offset + i] = static_cast<float>(tensor.initial_mean + noise);
    }
  }
}

template <class Real>
Model<Real>::Model(const ModelConfig& config, std::int64_t samples_max)
    : Model(config, samples_max, cpu_device(), cpu_device().make_stream(), nullptr, cpu_model_operations<Real>()) {}

template <class Real>
Model<Real>::Model(const ModelConfig& config, std::int64_t samples_max, Device& device, Stream& stream,
                   const ModelOperations<Real>& operations)
    : Model(config, samples_max, device, nullptr, &stream, operations) {}

template <class Real>
Model<Real>::Model(const ModelConfig& config, std::int64_t samples_max, Device& device,
                   std::unique_ptr<Stream> own_stream, Stream* stream, const ModelOperations<Real>& operations)
    : config_(config),
      layout_(config),
      own_stream_(std::move(own_stream)),
      stream_(stream ? *stream : *own_stream_),
      operations_(operations) {
  const auto samples = static_cast<std::size_t>(samples_max), length = static_cast<std::size_t>(config.context);
  const auto width = static_cast<std::size_t>(config.width), heads = static_cast<std::size_t>(config.heads);
  const std::size_t rows = samples * length;
  const auto reserve = [&](DeviceArray<Real>& array, std::size_t count) { array = DeviceArray<Real>(device, count); };
  blocks_.resize(layout_.blocks.size());
  for (BlockState& block : blocks_) {
    for (DeviceArray<Real>* array : {&block.norm_1, &block.attention, &block.middle, &block.norm_2, &block.out})
      reserve(*array, rows * width);
    for (DeviceArray<Real>* array : {&block.norm_1_mean, &block.norm_1_scale, &block.norm_2_mean, &block.norm_2_scale})
      reserve(*array, rows);
    reserve(block.qkv, rows * 3 * width);
    reserve(block.probabilities, samples * heads * length * length);
    reserve(block.expanded, rows * 4 * width);
    reserve(block.activated, rows * 4 * width);
  }
  for (DeviceArray<Real>* array : {&embedded_, &final_norm_, &d_stream_, &d_width_}) reserve(*array, rows * width);
  for (DeviceArray<Real>* array : {&final_norm_mean_, &final_norm_scale_, &token_losses_}) reserve(*array, rows);
  reserve(logits_, rows * static_cast<std::size_t>(config.vocabulary));
  reserve(sample_losses_, samples);
  reserve(d_wide_, rows * 4 * width);
  reserve(d_scores_, operations.attention_scratch({samples, length, heads, width}));
  tokens_ = DeviceArray<std::uint8_t>(device, rows);
  targets_ = DeviceArray<std::uint8_t>(device, rows);
}

template <class Real>
std::span<const Real> Model<Real>::forward(const Real* parameters, std::span<const std::uint8_t> tokens,
                                           std::span<const std::uint8_t> targets, std::int64_t samples) {
  samples_ = static_cast<std::size_t>(samples);
  length_ = tokens.size() / samples_;
  stream_.copy_to_device(tokens_.data(), tokens.data(), tokens.size());
  stream_.copy_to_device(targets_.data(), targets.data(), targets.size());
  const std::size_t rows = tokens.size();
  const auto width = static_cast<std::size_t>(config_.width), vocabulary = static_cast<std::size_t>(config_.vocabulary);
  const AttentionShape shape{samples_, length_, static_cast<std::size_t>(config_.heads), width};

  operations_.embedding_forward(stream_, samples_, length_, width, tokens_.data(), parameters + layout_.tokens,
                                parameters + layout_.positions, embedded_.data());
  const Real* stream = embedded_.data();
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    const Layout::Block& at = layout_.blocks[layer];
    BlockState& block = blocks_[layer];
    operations_.layer_norm_forward(stream_, rows, width, stream, parameters + at.norm_1_weight,
                                   parameters + at.norm_1_bias, block.norm_1.data(), block.norm_1_mean.data(),
                                   block.norm_1_scale.data());
    operations_.linear_forward(stream_, rows, width, 3 * width, block.norm_1.data(), parameters + at.qkv_weight,
                               parameters + at.qkv_bias, block.qkv.data());
    operations_.attention_forward(stream_, shape, block.qkv.data(), block.probabilities.data(), block.attention.data());
    operations_.linear_forward(stream_, rows, width, width, block.attention.data(), parameters + at.attention_weight,
                               parameters + at.attention_bias, block.middle.data());
    operations_.add(stream_, rows * width, stream, block.middle.data(), block.middle.data());

    operations_.layer_norm_forward(stream_, rows, width, block.middle.data(), parameters + at.norm_2_weight,
                                   parameters + at.norm_2_bias, block.norm_2.data(), block.norm_2_mean.data(),
                                   block.norm_2_scale.data());
    operations_.linear_forward(stream_, rows, width, 4 * width, block.norm_2.data(), parameters + at.expand_weight,
                               parameters + at.expand_bias, block.expanded.data());
    operations_.gelu_forward(stream_, rows * 4 * width, block.expanded.data(), block.activated.data());
    operations_.linear_forward(stream_, rows, 4 * width, width, block.activated.data(), parameters + at.contract_weight,
                               parameters + at.contract_bias, block.out.data());
    operations_.add(stream_, rows * width, block.middle.data(), block.out.data(), block.out.data());
    stream = block.out.data();
  }
  operations_.layer_norm_forward(stream_, rows, width, stream, parameters + layout_.final_norm_weight,
                                 parameters + layout_.final_norm_bias, final_norm_.data(), final_norm_mean_.data(),
                                 final_norm_scale_.data());
  operations_.linear_forward(stream_, rows, width, vocabulary, final_norm_.data(), parameters + layout_.tokens, nullptr,
                             logits_.data());
  operations_.cross_entropy_forward(stream_, rows, vocabulary, logits_.data(), targets_.data(), token_losses_.data());
  operations_.mean_of_rows(stream_, samples_, length_, token_losses_.data(), sample_losses_.data());
  return {sample_losses_.data(), samples_};
}

template <class Real>
void Model<Real>::backward(const Real* parameters, Real* gradients) {
  const std::size_t rows = samples_ * length_;
  const auto width = static_cast<std::size_t>(config_.width), vocabulary = static_cast<std::size_t>(config_.vocabulary);
  const AttentionShape shape{samples_, length_, static_cast<std::size_t>(config_.heads), width};

  // The head's part of the token embedding's gradient; the input's part is added at the end.
  operations_.cross_entropy_backward(stream_, rows, vocabulary, logits_.data(), targets_.data(),
                                     Real(1) / static_cast<Real>(length_));
  operations_.linear_backward(stream_, rows, width, vocabulary, final_norm_.data(), parameters + layout_.tokens,
                              logits_.data(), d_width_.data(), gradients + layout_.tokens, nullptr);

  const auto stream_into = [&](std::size_t layer) {
    return layer == 0 ? embedded_.data() : blocks_[layer - 1].out.data();
  };
  stream_.clear(d_stream_.data(), rows * width * sizeof(Real));
  operations_.layer_norm_backward(stream_, rows, width, stream_into(blocks_.size()),
                                  parameters + layout_.final_norm_weight, final_norm_mean_.data(),
                                  final_norm_scale_.data(), d_width_.data(), d_stream_.data(),
                                  gradients + layout_.final_norm_weight, gradients + layout_.final_norm_bias);
  for (std::size_t layer = blocks_.size(); layer-- > 0;) {
    const Layout::Block& at = layout_.blocks[layer];
    const BlockState& block = blocks_[layer];
    operations_.linear_backward(stream_, rows, 4 * width, width, block.activated.data(),
                                parameters + at.contract_weight, d_stream_.data(), d_wide_.data(),
                                gradients + at.contract_weight, gradients + at.contract_bias);
    operations_.gelu_backward(stream_, rows * 4 * width, block.expanded.data(), d_wide_.data());
    operations_.linear_backward(stream_, rows, width, 4 * width, block.norm_2.data(), parameters + at.expand_weight,
                                d_wide_.data(), d_width_.data(), gradients + at.expand_weight,
                                gradients + at.expand_bias);
    operations_.layer_norm_backward(stream_, rows, width, block.middle.data(), parameters + at.norm_2_weight,
                                    block.norm_2_mean.data(), block.norm_2_scale.data(), d_width_.data(),
                                    d_stream_.data(), gradients + at.norm_2_weight, gradients + at.norm_2_bias);

    operations_.linear_backward(stream_, rows, width, width, block.attention.data(), parameters + at.attention_weight,
                                d_stream_.data(), d_width_.data(), gradients + at.attention_weight,
                                gradients + at.attention_bias);
    operations_.attention_backward(stream_, shape, block.qkv.data(), block.probabilities.data(), d_width_.data(),
                                   d_wide_.data(), d_scores_.data());
    operations_.linear_backward(stream_, rows, width, 3 * width, block.norm_1.data(), parameters + at.qkv_weight,
                                d_wide_.data(), d_width_.data(), gradients + at.qkv_weight, gradients + at.qkv_bias);
    operations_.layer_norm_backward(stream_, rows, width, stream_into(layer), parameters + at.norm_1_weight,
                                    block.norm_1_mean.data(), block.norm_1_scale.data(), d_width_.data(),
                                    d_stream_.data(), gradients + at.norm_1_weight, gradients + at.norm_1_bias);
  }
  operations_.embedding_backward(stream_, samples_, length_, width, vocabulary, tokens_.data(), d_stream_.data(),
                                 gradients + layout_.tokens, gradients + layout_.positions);
}

template <class Real>
std::span<const Real> Model<Real>::probabilities() const {
  return {logits_.data(), samples_ * length_ * static_cast<std::size_t>(config_.vocabulary)};
}

template class Model<float>;
template class Model<double>;

}  // namespace ultramarine::trainer
