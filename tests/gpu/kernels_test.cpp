// Each kernel of the CUDA device, forward and backward, against the CPU's double version, in shapes that fit no tile.
#include <cmath>

#include "tests/gpu/device.h"
#include "worker/trainer/device/cpu/kernels.h"
#include "worker/trainer/model.h"
#include "worker/trainer/optimizer.h"
#include "worker/trainer/random_numbers.h"

namespace ultramarine::trainer {
namespace {

using Values = std::vector<double>;

/// Numbers that a float holds exactly, so that both sides start from the same.
Values random_values(std::size_t count, std::uint64_t stream, double deviation = 1.0) {
  Values values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(deviation * random_normal(42, stream, i));
  return values;
}

std::vector<std::uint8_t> random_bytes(std::size_t count, std::uint64_t below) {
  std::vector<std::uint8_t> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(random_bits(7, 3, i) % below);
  return bytes;
}

/// Equal up to `tolerance` times the largest of `expected` (or 1, if that is smaller).
void expect_close(const char* name, const std::vector<float>& got, const Values& expected, double tolerance = 3e-6) {
  ASSERT_EQ(got.size(), expected.size()) << name;
  double scale = 1;
  for (const double value : expected) scale = std::max(scale, std::abs(value));
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], tolerance * scale) << name << ", element " << i;
}

class CudaKernels : public OnCuda {
 protected:
  const ModelOperations<float>& operations() const { return device_->model_operations(); }
  /// Forward and backward against the CPU; `tolerance` where the sums run over the rows.
  void linear(std::size_t rows, std::size_t inputs, std::size_t outputs, double tolerance = 3e-6) {
    SCOPED_TRACE(testing::Message() << rows << " x " << inputs << " x " << outputs);
    const Values in = random_values(rows * inputs, 1), weight = random_values(outputs * inputs, 2),
                 bias = random_values(outputs, 3), d_out = random_values(rows * outputs, 4);
    Values out(rows * outputs), d_in(in.size()), d_weight = random_values(weight.size(), 5),
                                                 d_bias = random_values(outputs, 6);
    const auto in_ = up(in), weight_ = up(weight), bias_ = up(bias), d_out_ = up(d_out), d_weight_ = up(d_weight),
               d_bias_ = up(d_bias), out_ = room(out.size()), d_in_ = room(in.size());
    linear_forward(rows, inputs, outputs, in.data(), weight.data(), bias.data(), out.data());
    operations().linear_forward(*stream_, rows, inputs, outputs, in_.data(), weight_.data(), bias_.data(), out_.data());
    expect_close("out", down(out_), out);
    linear_backward(rows, inputs, outputs, in.data(), weight.data(), d_out.data(), d_in.data(), d_weight.data(),
                    d_bias.data());
    operations().linear_backward(*stream_, rows, inputs, outputs, in_.data(), weight_.data(), d_out_.data(),
                                 d_in_.data(), d_weight_.data(), d_bias_.data());
    expect_close("d_in", down(d_in_), d_in);
    expect_close("d_weight", down(d_weight_), d_weight, tolerance);
    expect_close("d_bias", down(d_bias_), d_bias, tolerance);

    // As the head of the model uses it: without a bias.
    const double* no_bias = nullptr;
    linear_forward(rows, inputs, outputs, in.data(), weight.data(), no_bias, out.data());
    operations().linear_forward(*stream_, rows, inputs, outputs, in_.data(), weight_.data(), nullptr, out_.data());
    expect_close("out without bias", down(out_), out);
    operations().linear_backward(*stream_, rows, inputs, outputs, in_.data(), weight_.data(), d_out_.data(),
                                 d_in_.data(), d_weight_.data(), nullptr);
    linear_backward<double>(rows, inputs, outputs, in.data(), weight.data(), d_out.data(), d_in.data(), d_weight.data(),
                            nullptr);
    expect_close("d_weight without bias", down(d_weight_), d_weight, tolerance);
  }
};

TEST_F(CudaKernels, Linear) {
  const std::size_t shapes[][3] = {{1, 1, 1}, {5, 7, 3}, {16, 16, 16}, {33, 17, 50}, {50, 70, 19}};
  for (const auto& [rows, inputs, outputs] : shapes) linear(rows, inputs, outputs);
}

TEST_F(CudaKernels, LinearOfManyRows) {
  // Large tiles, and backward a few of them, whose depth is shared out.
  linear(33'700, 3, 100, 1e-5);
  linear(1100, 65, 5, 1e-5);
}

TEST_F(CudaKernels, LayerNorm) {
  const std::size_t shapes[][2] = {{1, 2}, {4, 9}, {3, 200}, {131, 33}};
  for (const auto& [rows, width] : shapes) {
    SCOPED_TRACE(testing::Message() << rows << " x " << width);
    const Values in = random_values(rows * width, 1), weight = random_values(width, 2), bias = random_values(width, 3),
                 d_out = random_values(rows * width, 4);
    Values out(in.size()), mean(rows), scale(rows),
        d_in = random_values(in.size(), 5), d_weight = random_values(width, 6), d_bias = random_values(width, 7);
    const auto in_ = up(in), weight_ = up(weight), bias_ = up(bias), d_out_ = up(d_out), d_in_ = up(d_in),
               d_weight_ = up(d_weight), d_bias_ = up(d_bias), out_ = room(in.size()), mean_ = room(rows),
               scale_ = room(rows);
    layer_norm_forward(rows, width, in.data(), weight.data(), bias.data(), out.data(), mean.data(), scale.data());
    operations().layer_norm_forward(*stream_, rows, width, in_.data(), weight_.data(), bias_.data(), out_.data(),
                                    mean_.data(), scale_.data());
    expect_close("out", down(out_), out);
    expect_close("mean", down(mean_), mean);
    expect_close("scale", down(scale_), scale);
    layer_norm_backward(rows, width, in.data(), weight.data(), mean.data(), scale.data(), d_out.data(), d_in.data(),
                        d_weight.data(), d_bias.data());
    operations().layer_norm_backward(*stream_, rows, width, in_.data(), weight_.data(), mean_.data(), scale_.data(),
                                     d_out_.data(), d_in_.data(), d_weight_.data(), d_bias_.data());
    expect_close("d_in", down(d_in_), d_in, 1e-5);
    expect_close("d_weight", down(d_weight_), d_weight, 1e-5);
    expect_close("d_bias", down(d_bias_), d_bias, 1e-5);
  }
}

TEST_F(CudaKernels, Gelu) {
  for (const std::size_t count : {1U, 255U, 1001U}) {
    Values in = random_values(count, 1, 3.0), out(count), d = random_values(count, 2);
    in[0] = 30;  // where exp(...) leaves the range of a float on one side
    if (count > 1) in[1] = -60;
    const auto in_ = up(in), d_ = up(d), out_ = room(count);
    gelu_forward(count, in.data(), out.data());
    operations().gelu_forward(*stream_, count, in_.data(), out_.data());
    expect_close("out", down(out_), out, 1e-6);
    gelu_backward(count, in.data(), d.data());
    operations().gelu_backward(*stream_, count, in_.data(), d_.data());
    expect_close("d", down(d_), d, 1e-6);
  }
}

TEST_F(CudaKernels, Attention) {
  const AttentionShape shapes[] = {{1, 1, 1, 1}, {2, 5, 2, 6}, {3, 37, 3, 15}, {1, 150, 1, 4}};
  for (const AttentionShape& shape : shapes) {
    SCOPED_TRACE(testing::Message() << shape.samples << " x " << shape.length << " x " << shape.heads << " x "
                                    << shape.width);
    const std::size_t rows = shape.samples * shape.length;
    const Values qkv = random_values(rows * 3 * shape.width, 1), d_out = random_values(rows * shape.width, 2);
    Values p(shape.samples * shape.heads * shape.length * shape.length), out(d_out.size()), d_qkv(qkv.size()),
        scratch(shape.length * shape.length);
    const auto qkv_ = up(qkv), d_out_ = up(d_out), p_ = room(p.size()), out_ = room(out.size()),
               d_qkv_ = room(qkv.size()), scratch_ = room(operations().attention_scratch(shape));
    attention_forward(shape, qkv.data(), p.data(), out.data());
    operations().attention_forward(*stream_, shape, qkv_.data(), p_.data(), out_.data());
    expect_close("probabilities", down(p_), p);
    expect_close("out", down(out_), out);
    attention_backward(shape, qkv.data(), p.data(), d_out.data(), d_qkv.data(), scratch.data());
    operations().attention_backward(*stream_, shape, qkv_.data(), p_.data(), d_out_.data(), d_qkv_.data(),
                                    scratch_.data());
    expect_close("d_qkv", down(d_qkv_), d_qkv, 1e-5);
  }
}

TEST_F(CudaKernels, CrossEntropy) {
  const std::size_t shapes[][2] = {{1, 1}, {3, 8}, {7, 37}, {5, 256}};
  for (const auto& [rows, classes] : shapes) {
    SCOPED_TRACE(testing::Message() << rows << " x " << classes);
    Values x = random_values(rows * classes, 1, 4.0), losses(rows);
    const std::vector<std::uint8_t> targets = random_bytes(rows, classes);
    const auto x_ = up(x), losses_ = room(rows);
    const auto targets_ = upload(targets);
    cross_entropy_forward(rows, classes, x.data(), targets.data(), losses.data());
    operations().cross_entropy_forward(*stream_, rows, classes, x_.data(), targets_.data(), losses_.data());
    expect_close("probabilities", down(x_), x);
    expect_close("losses", down(losses_), losses);
    cross_entropy_backward(rows, classes, x.data(), targets.data(), 0.25);
    operations().cross_entropy_backward(*stream_, rows, classes, x_.data(), targets_.data(), 0.25F);
    expect_close("d_logits", down(x_), x);
  }
}

TEST_F(CudaKernels, Embedding) {
  const std::size_t shapes[][3] = {{1, 1, 1}, {2, 3, 4}, {3, 37, 70}};
  for (const auto& [samples, length, width] : shapes) {
    SCOPED_TRACE(testing::Message() << samples << " x " << length << " x " << width);
    const std::size_t vocabulary = 11, rows = samples * length;
    const std::vector<std::uint8_t> tokens = random_bytes(rows, vocabulary);
    const Values table = random_values(vocabulary * width, 1), positions = random_values(length * width, 2),
                 d_out = random_values(rows * width, 3);
    Values out(rows * width), d_table = random_values(table.size(), 4),
                              d_positions = random_values(positions.size(), 5);
    const auto tokens_ = upload(tokens);
    const auto table_ = up(table), positions_ = up(positions), d_out_ = up(d_out), d_table_ = up(d_table),
               d_positions_ = up(d_positions), out_ = room(out.size());
    embedding_forward(samples, length, width, tokens.data(), table.data(), positions.data(), out.data());
    operations().embedding_forward(*stream_, samples, length, width, tokens_.data(), table_.data(), positions_.data(),
                                   out_.data());
    expect_close("out", down(out_), out);
    embedding_backward(samples, length, width, tokens.data(), d_out.data(), d_table.data(), d_positions.data());
    operations().embedding_backward(*stream_, samples, length, width, vocabulary, tokens_.data(), d_out_.data(),
                                    d_table_.data(), d_positions_.data());
    expect_close("d_table", down(d_table_), d_table);
    expect_close("d_positions", down(d_positions_), d_positions);
  }
}

TEST_F(CudaKernels, AddAndMeanOfRows) {
  const std::size_t samples = 35, length = 29, count = samples * length;
  const Values a = random_values(count, 1), b = random_values(count, 2);
  Values out(count), means(samples);
  const auto a_ = up(a), b_ = up(b), out_ = room(count), means_ = room(samples);
  add(count, a.data(), b.data(), out.data());
  operations().add(*stream_, count, a_.data(), b_.data(), out_.data());
  expect_close("sum", down(out_), out);
  mean_of_rows(samples, length, a.data(), means.data());
  operations().mean_of_rows(*stream_, samples, length, a_.data(), means_.data());
  expect_close("means", down(means_), means);
}

TEST_F(CudaKernels, AdamW) {
  const std::size_t count = 1003;
  const AdamwStep step{.beta_1 = 0.9F,
                       .beta_2 = 0.95F,
                       .epsilon = 1e-8F,
                       .gradient_scale = 0.5F,
                       .rate = 0.01F,
                       .second_correction = 1.5F,
                       .keep = 0.999F};
  const Values g = random_values(count, 1);
  Values w = random_values(count, 2), m = random_values(count, 3), v = random_values(count, 4);
  for (double& value : v) value = static_cast<float>(std::abs(value));
  const auto g_ = up(g), w_ = up(w), m_ = up(m), v_ = up(v);
  device_->training_operations().adamw(*stream_, count, step, g_.data(), w_.data(), m_.data(), v_.data());
  for (std::size_t i = 0; i < count; ++i) {
    const double gradient = g[i] * 0.5;
    m[i] = 0.9 * m[i] + 0.1 * gradient;
    v[i] = 0.95 * v[i] + 0.05 * gradient * gradient;
    w[i] = 0.999 * w[i] - 0.01 * m[i] / (std::sqrt(v[i] * 1.5) + 1e-8);
  }
  expect_close("first moments", down(m_), m);
  expect_close("second moments", down(v_), v);
  expect_close("parameters", down(w_), w);
}

TEST_F(CudaKernels, Sums) {
  for (const std::size_t count : {1U, 1023U, 1025U, 300'007U}) {
    const Values values = random_values(count, 1);
    const auto values_ = up(values);
    const auto result_ = upload(Values(TrainingOperations::sum_scratch, std::nan("")));
    device_->training_operations().sum_of_squares(*stream_, count, values_.data(), result_.data());
    double expected = 0;
    for (const double value : values) expected += value * value;
    EXPECT_NEAR(down(result_)[0], expected, 1e-12 * expected);
  }
  const std::vector<float> values = {1e8F, 1, -1e8F, 0.25F};
  const auto values_ = up(values), sum_ = up(std::vector<float>{2});
  device_->training_operations().add_up(*stream_, values.size(), values_.data(), sum_.data());
  float expected = 2;
  for (const float value : values) expected += value;
  EXPECT_EQ(down(sum_)[0], expected) << "in the order of the values";
}

TEST_F(CudaKernels, AChecksumSeesEveryBitAndEveryPlace) {
  for (const std::size_t count : {1U, 2U, 5000U}) {
    std::vector<float> values(count, 0.5F);
    values[count / 2] = 3;
    const auto checksum = [&] {
      const auto values_ = up(values);
      const auto result_ = upload(std::vector<std::uint64_t>(TrainingOperations::sum_scratch));
      device_->training_operations().checksum(*stream_, count, values_.data(), result_.data());
      return down(result_)[0];
    };
    const std::uint64_t before = checksum();
    EXPECT_EQ(checksum(), before);
    values[count - 1] = std::nextafter(values[count - 1], 0.0F);
    EXPECT_NE(checksum(), before) << "the lowest bit of the last number";
    values[count - 1] = std::nextafter(values[count - 1], 10.0F);
    EXPECT_EQ(checksum(), before);
    if (count < 2) continue;
    std::swap(values[0], values[count / 2]);
    EXPECT_NE(checksum(), before) << "two numbers changed places";
  }
}

TEST_F(CudaKernels, AWholeModelsLossesAndGradients) {
  const ModelConfig config{.layers = 2, .heads = 3, .width = 18, .context = 11};
  Model<double> expected(config, 2);
  Model<float> model(config, 3, *device_, *stream_, device_->model_operations());
  const Values parameters = random_values(model.layout().parameter_count(), 1, 0.2);
  const std::vector<std::uint8_t> tokens = random_bytes(22, 256), targets = random_bytes(22, 250);
  const auto parameters_ = up(parameters);
  const auto losses = expected.forward(parameters.data(), tokens, targets, 2);
  const auto on_device = model.forward(parameters_.data(), tokens, targets, 2);
  std::vector<float> got(2);
  stream_->copy_to_host(got.data(), on_device.data(), on_device.size_bytes());
  stream_->synchronize();
  expect_close("losses", got, Values(losses.begin(), losses.end()));
  Values gradients(parameters.size());
  expected.backward(parameters.data(), gradients.data());
  const auto gradients_ = up(std::vector<float>(parameters.size()));
  model.backward(parameters_.data(), gradients_.data());
  const std::vector<float> all = down(gradients_);
  for (const Tensor& tensor : model.layout().tensors()) {
    double largest = 0;
    for (std::size_t i = 0; i < tensor.count; ++i) largest = std::max(largest, std::abs(gradients[tensor.offset + i]));
    for (std::size_t i = 0; i < tensor.count; ++i)
      ASSERT_NEAR(all[tensor.offset + i], gradients[tensor.offset + i], 3e-5 * largest + 1e-7)
          << tensor.name << " " << i;
  }
}

TEST_F(CudaKernels, WhatThePlugInCopiedToTheDeviceIsThereForEveryStream) {
  const collectives::CudaPlugin& plugin = *collectives::cuda_plugin().plugin;
  const std::size_t count = 2'000'000;
  for (float round = 1; round < 6; ++round) {
    const std::vector<float> values(count, round);
    const auto array = room(count);
    stream_->synchronize();
    plugin.copy_to_device(array.data(), values.data(), array.bytes());
    EXPECT_TRUE(down(array) == values) << "round " << round;
  }
}

TEST_F(CudaKernels, AnEventOrdersTwoStreams) {
  const auto second = device_->make_stream();
  const auto event = device_->make_event();
  EXPECT_TRUE(event->done()) << "nothing was recorded";
  const std::size_t count = 100'000;
  const auto a = up(std::vector<float>(count, 1.0F)), b = up(std::vector<float>(count, 2.0F)), sum = room(count),
             twice = room(count);
  operations().add(*stream_, count, a.data(), b.data(), sum.data());
  stream_->record(*event);
  second->wait(*event);
  operations().add(*second, count, sum.data(), sum.data(), twice.data());
  second->synchronize();
  EXPECT_TRUE(second->done());
  EXPECT_TRUE(event->done()) << "what came after it is done";
  EXPECT_EQ(down(twice), std::vector<float>(count, 6.0F));
}

}  // namespace
}  // namespace ultramarine::trainer
