// Every backward pass against central differences in double, and the float kernels against the double ones.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "support.h"
#include "worker/trainer/arena.h"
#include "worker/trainer/device/cpu/kernels.h"
#include "worker/trainer/model.h"

namespace ultramarine::trainer {
namespace {

using Values = std::vector<double>;

Values random_values(std::size_t count, std::uint64_t stream, double deviation = 1.0) {
  Values values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = deviation * random_normal(42, stream, i);
  return values;
}

double dot(const Values& a, const Values& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

/// `gradient` is that of `loss` with respect to `x`: checked at `checks` elements spread over x.
void expect_gradient(const std::string& name, const std::function<double()>& loss, std::span<double> x,
                     std::span<const double> gradient, std::size_t checks = 60) {
  ASSERT_EQ(x.size(), gradient.size());
  double largest = 0;
  for (const double value : gradient) largest = std::max(largest, std::abs(value));
  ASSERT_GT(largest, 0) << name;
  constexpr double h = 1e-5;
  for (std::size_t check = 0; check < std::min(checks, x.size()); ++check) {
    const std::size_t i = x.size() <= checks ? check : random_bits(3, check, x.size()) % x.size();
    const double kept = x[i];
    x[i] = kept + h;
    const double above = loss();
    x[i] = kept - h;
    const double below = loss();
    x[i] = kept;
    const double expected = (above - below) / (2 * h);
    EXPECT_NEAR(gradient[i], expected, 1e-6 * std::max(largest, std::abs(expected))) << name << ", element " << i;
  }
}

TEST(Gradients, Linear) {
  const std::size_t rows = 5, inputs = 7, outputs = 3;
  Values in = random_values(rows * inputs, 1), weight = random_values(outputs * inputs, 2),
         bias = random_values(outputs, 3);
  const Values d_out = random_values(rows * outputs, 4);
  const auto loss = [&] {
    Values out(rows * outputs);
    linear_forward(rows, inputs, outputs, in.data(), weight.data(), bias.data(), out.data());
    return dot(out, d_out);
  };
  Values d_in(in.size()), d_weight(weight.size()), d_bias(bias.size());
  linear_backward(rows, inputs, outputs, in.data(), weight.data(), d_out.data(), d_in.data(), d_weight.data(),
                  d_bias.data());
  expect_gradient("in", loss, in, d_in);
  expect_gradient("weight", loss, weight, d_weight);
  expect_gradient("bias", loss, bias, d_bias);
}

TEST(Gradients, LayerNorm) {
  const std::size_t rows = 4, width = 9;
  Values in = random_values(rows * width, 1), weight = random_values(width, 2), bias = random_values(width, 3);
  const Values d_out = random_values(rows * width, 4);
  Values mean(rows), scale(rows);
  const auto loss = [&] {
    Values out(rows * width);
    layer_norm_forward(rows, width, in.data(), weight.data(), bias.data(), out.data(), mean.data(), scale.data());
    return dot(out, d_out);
  };
  loss();
  Values d_in(in.size()), d_weight(width), d_bias(width);
  const Values kept_mean = mean, kept_scale = scale;
  layer_norm_backward(rows, width, in.data(), weight.data(), kept_mean.data(), kept_scale.data(), d_out.data(),
                      d_in.data(), d_weight.data(), d_bias.data());
  expect_gradient("in", loss, in, d_in);
  expect_gradient("weight", loss, weight, d_weight);
  expect_gradient("bias", loss, bias, d_bias);
}

TEST(Gradients, Gelu) {
  Values in = random_values(40, 1, 2.0);
  const Values d_out = random_values(in.size(), 2);
  const auto loss = [&] {
    Values out(in.size());
    gelu_forward(in.size(), in.data(), out.data());
    return dot(out, d_out);
  };
  Values d_in = d_out;
  gelu_backward(in.size(), in.data(), d_in.data());
  expect_gradient("in", loss, in, d_in);
  const double one = 1.0;
  double out = 0;
  gelu_forward(1, &one, &out);
  EXPECT_NEAR(out, 0.5 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * 1.044715)), 1e-12);
}

TEST(Gradients, CausalSoftmax) {
  const std::size_t length = 6;
  Values scores = random_values(length * length, 1);
  const Values d_out = random_values(scores.size(), 2);
  const auto probabilities = [&] {
    Values p = scores;
    causal_softmax_forward(length, p.data());
    return p;
  };
  const Values p = probabilities();
  Values d = d_out;
  causal_softmax_backward(length, p.data(), d.data());
  expect_gradient(
      "scores", [&] { return dot(probabilities(), d_out); }, scores, d);
  for (std::size_t t = 0; t < length; ++t) {
    double sum = 0;
    for (std::size_t i = 0; i < length; ++i) {
      if (i > t) {
        EXPECT_EQ(p[t * length + i], 0) << "the future is not seen";
      }
      sum += p[t * length + i];
    }
    EXPECT_NEAR(sum, 1, 1e-12);
  }
}

TEST(Gradients, Attention) {
  const AttentionShape shape{.samples = 2, .length = 5, .heads = 2, .width = 6};
  const std::size_t rows = shape.samples * shape.length;
  Values qkv = random_values(rows * 3 * shape.width, 1);
  const Values d_out = random_values(rows * shape.width, 2);
  Values p(shape.samples * shape.heads * shape.length * shape.length);
  const auto loss = [&] {
    Values out(rows * shape.width);
    attention_forward(shape, qkv.data(), p.data(), out.data());
    return dot(out, d_out);
  };
  loss();
  const Values kept = p;
  Values d_qkv(qkv.size()), scratch(shape.length * shape.length);
  attention_backward(shape, qkv.data(), kept.data(), d_out.data(), d_qkv.data(), scratch.data());
  expect_gradient("qkv", loss, qkv, d_qkv, 180);
}

TEST(Gradients, CrossEntropy) {
  const std::size_t rows = 3, classes = 8;
  Values logits = random_values(rows * classes, 1);
  const std::vector<std::uint8_t> targets = {5, 0, 7};
  const auto run = [&](Values& probabilities) {
    probabilities = logits;
    Values losses(rows);
    cross_entropy_forward(rows, classes, probabilities.data(), targets.data(), losses.data());
    return 0.25 * (losses[0] + losses[1] + losses[2]);
  };
  Values d;
  run(d);
  cross_entropy_backward(rows, classes, d.data(), targets.data(), 0.25);
  Values unused;
  expect_gradient(
      "logits", [&] { return run(unused); }, logits, d);
}

TEST(Gradients, Embeddings) {
  const std::size_t samples = 2, length = 3, width = 4;
  Values tokens_table = random_values(256 * width, 1), positions = random_values(length * width, 2);
  const std::vector<std::uint8_t> tokens = {1, 0, 1, 255, 1, 2};  // a repeated token gathers from all its places
  const Values d_out = random_values(samples * length * width, 3);
  const auto loss = [&] {
    Values out(d_out.size());
    embedding_forward(samples, length, width, tokens.data(), tokens_table.data(), positions.data(), out.data());
    return dot(out, d_out);
  };
  Values d_tokens(tokens_table.size()), d_positions(positions.size());
  embedding_backward(samples, length, width, tokens.data(), d_out.data(), d_tokens.data(), d_positions.data());
  expect_gradient("first rows", loss, std::span(tokens_table).first(3 * width),
                  std::span<const double>(d_tokens).first(3 * width));
  expect_gradient("last row", loss, std::span(tokens_table).last(width), std::span<const double>(d_tokens).last(width));
  expect_gradient("positions", loss, positions, d_positions);
}

TEST(Gradients, WholeModelInEveryTensor) {
  const ModelConfig config{.layers = 2, .heads = 2, .width = 8, .context = 6};
  Model<double> model(config, 3);
  Values parameters = random_values(model.layout().parameter_count(), 1, 0.3);
  // Shorter than the context, and fewer samples than there is room for.
  const std::vector<std::uint8_t> tokens = {1, 2, 3, 1, 1, 9, 200, 2, 3, 4}, targets = {2, 3, 1, 1, 7, 200, 2, 3, 4, 5};
  const auto loss = [&] {
    const auto losses = model.forward(parameters.data(), tokens, targets, 2);
    EXPECT_EQ(losses.size(), 2U);
    return losses[0] + losses[1];
  };
  loss();
  Values gradients(parameters.size());
  model.backward(parameters.data(), gradients.data());
  for (const Tensor& tensor : model.layout().tensors()) {
    // Of the token table, the rows of tokens that occur; all rows get a gradient from the head anyway.
    expect_gradient(tensor.name, loss, std::span(parameters).subspan(tensor.offset, tensor.count),
                    std::span<const double>(gradients).subspan(tensor.offset, tensor.count), 12);
  }
}

TEST(Kernels, FloatAgreesWithDouble) {
  // The float kernels use their own e^x and vector code; odd sizes leave remainders.
  const std::size_t rows = 7, width = 37;
  const Values in = random_values(rows * width, 1, 3.0), weight = random_values(width, 2),
               bias = random_values(width, 3);
  const std::vector<float> in_f(in.begin(), in.end()), weight_f(weight.begin(), weight.end()),
      bias_f(bias.begin(), bias.end());
  Values out(in.size()), mean(rows), scale(rows);
  std::vector<float> out_f(in.size()), mean_f(rows), scale_f(rows);
  const auto expect_close = [&](const std::string& name, double tolerance) {
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], out_f[i], tolerance) << name << " " << i;
  };
  gelu_forward(in.size(), in.data(), out.data());
  gelu_forward(in.size(), in_f.data(), out_f.data());
  expect_close("gelu", 3e-6);
  layer_norm_forward(rows, width, in.data(), weight.data(), bias.data(), out.data(), mean.data(), scale.data());
  layer_norm_forward(rows, width, in_f.data(), weight_f.data(), bias_f.data(), out_f.data(), mean_f.data(),
                     scale_f.data());
  expect_close("layer_norm", 1e-5);
  out = in;
  out_f = in_f;
  const std::vector<std::uint8_t> targets = {0, 36, 5, 1, 2, 3, 4};
  Values losses(rows);
  std::vector<float> losses_f(rows);
  cross_entropy_forward(rows, width, out.data(), targets.data(), losses.data());
  cross_entropy_forward(rows, width, out_f.data(), targets.data(), losses_f.data());
  expect_close("softmax", 1e-6);
  for (std::size_t r = 0; r < rows; ++r) EXPECT_NEAR(losses[r], losses_f[r], 1e-5);
}

TEST(Kernels, SoftmaxSurvivesExtremeLogits) {
  std::vector<float> logits = {1e4F, -1e4F, 0.0F, 1e4F};
  const std::uint8_t target = 0;
  float loss = 0;
  cross_entropy_forward(1, 4, logits.data(), &target, &loss);
  EXPECT_NEAR(loss, std::log(2.0), 1e-3);
  EXPECT_NEAR(logits[0], 0.5, 1e-6);
  EXPECT_NEAR(logits[1], 0.0, 1e-6);
}

TEST(Model, AFreshModelKnowsNothing) {
  const ModelConfig config;
  Model<float> model(config, 4);
  Arena<float> parameters(model.layout().parameter_count());
  initialize(model.layout(), 1, parameters);
  const Corpus corpus = small_corpus();
  std::vector<std::uint8_t> tokens, targets;
  for (std::int64_t sample = 0; sample < 4; ++sample) {
    const Bytes bytes = corpus.sample(1, 1, sample, config.context);
    tokens.insert(tokens.end(), bytes.begin(), bytes.end() - 1);
    targets.insert(targets.end(), bytes.begin() + 1, bytes.end());
  }
  for (const float loss : model.forward(parameters.data(), tokens, targets, 4)) EXPECT_NEAR(loss, std::log(256.0), 0.1);
}

TEST(Model, GradientsLieInTheOrderInWhichBackwardCompletesThem) {
  const Layout layout(ModelConfig{.layers = 2, .heads = 1, .width = 4, .context = 3});
  EXPECT_EQ(layout.final_norm_weight, 0U);
  EXPECT_LT(layout.blocks[1].contract_weight, layout.blocks[1].qkv_weight);
  EXPECT_LT(layout.blocks[1].norm_1_bias, layout.blocks[0].contract_weight);
  EXPECT_LT(layout.blocks[0].norm_1_bias, layout.positions);
  EXPECT_EQ(layout.tensors().back().name, "tokens");
  EXPECT_EQ(layout.tokens + 256 * 4, layout.parameter_count());
  std::size_t next = 0;
  for (const Tensor& tensor : layout.tensors()) {
    EXPECT_EQ(tensor.offset, next) << tensor.name;
    next += tensor.count;
    EXPECT_EQ(tensor.decays, tensor.initial_deviation > 0) << tensor.name;
  }
}

}  // namespace
}  // namespace ultramarine::trainer
