// The parts around the model: hash, random numbers, corpus, baseline, schedule, AdamW, checkpoint files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "support.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/device/choice.h"
#include "worker/trainer/device/cpu/cpu_device.h"
#include "worker/trainer/hash.h"
#include "worker/trainer/run.h"

namespace ultramarine::trainer {
namespace {

using testing::HasSubstr;

TEST(Hash, HasThePublishedValues) {
  const auto of = [](const std::string& text, std::uint64_t seed = 0) {
    return hash_text(hash64(text.data(), text.size(), seed));
  };
  EXPECT_EQ(of(""), "ef46db3751d8e999");
  EXPECT_EQ(of("a"), "d24ec4f1a98c6e5b");
  EXPECT_EQ(of("abc"), "44bc2cf5ad770999");
  EXPECT_EQ(of("Nobody inspects the spammish repetition"), "fbcea83c8a378bf1");
  EXPECT_NE(of("abc", 1), of("abc"));
}

TEST(RandomNumbers, AreUniformAndNormal) {
  double sum = 0, squares = 0, uniform = 0;
  constexpr int count = 20'000;
  for (std::uint64_t i = 0; i < count; ++i) {
    const double value = random_normal(1, 2, i);
    sum += value;
    squares += value * value;
    uniform += random_uniform(1, 2, i);
  }
  EXPECT_NEAR(sum / count, 0, 0.03);
  EXPECT_NEAR(squares / count, 1, 0.04);
  EXPECT_NEAR(uniform / count, 0.5, 0.01);
}

TEST(CorpusOfBytes, HoldsOutTheLastTenth) {
  std::vector<std::uint8_t> bytes(1003);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  const Corpus corpus(bytes);
  EXPECT_EQ(corpus.training().size(), 903U);
  EXPECT_EQ(corpus.held_out().size(), 100U);
  EXPECT_EQ(corpus.held_out()[0], bytes[903]);
}

TEST(CorpusOfBytes, SamplesDependOnSeedStepAndNumberAlone) {
  const Corpus corpus = small_corpus();
  const auto text = [&](std::uint64_t seed, std::int64_t step, std::int64_t sample) {
    return corpus.sample(seed, step, sample, 12).data();
  };
  EXPECT_EQ(text(1, 2, 3), text(1, 2, 3));
  EXPECT_NE(text(1, 2, 3), text(2, 2, 3));
  EXPECT_NE(text(1, 2, 3), text(1, 3, 3));
  EXPECT_NE(text(1, 2, 3), text(1, 2, 4));
  const std::uint8_t* first = corpus.training().data();
  const std::uint8_t* last = first + corpus.training().size();
  for (std::int64_t sample = 0; sample < 1000; ++sample) {
    const Bytes bytes = corpus.sample(9, 1, sample, 12);
    ASSERT_EQ(bytes.size(), 13U);
    ASSERT_TRUE(bytes.data() >= first && bytes.data() + bytes.size() <= last) << "never from the held-out part";
  }
}

TEST(CorpusOfBytes, WindowsAreSpreadOverTheHeldOutPartWithoutOverlap) {
  const Corpus corpus = small_corpus();
  const std::int64_t all = corpus.window_count(12);
  EXPECT_EQ(all, (static_cast<std::int64_t>(corpus.held_out().size()) - 1) / 12);
  for (const std::int64_t count : {std::int64_t{1}, std::int64_t{10}, all}) {
    const std::uint8_t* next = corpus.held_out().data();
    for (std::int64_t i = 0; i < count; ++i) {
      const Bytes bytes = corpus.window(i, count, 12);
      ASSERT_GE(bytes.data(), next);
      next = bytes.data() + 12;
    }
    ASSERT_LE(next + 1, corpus.held_out().data() + corpus.held_out().size());
  }
}

TEST(CorpusOfBytes, AFileThatIsMissingOrTooShortIsAnInputErrorThatNamesIt) {
  const TemporaryFolder folder;
  const auto message = [](const std::string& path) -> std::string {
    try {
      load_corpus(path, 64);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(folder / "none.txt"),
            "--data: can't open " + (folder / "none.txt") + ": No such file or directory");
  EXPECT_THAT(message(folder.path()), HasSubstr("Is a directory"));
  std::ofstream(folder / "short.txt") << "In the beginning";
  EXPECT_THAT(message(folder / "short.txt"), HasSubstr("has 16 bytes; a context of 64 needs at least 660"));
  std::ofstream(folder / "good.txt") << std::string(660, 'x');
  const Corpus corpus = load_corpus(folder / "good.txt", 64);
  EXPECT_EQ(corpus.window_count(64), 1);
}

TEST(Baseline, IsTheHandComputedOrder1Model) {
  // Pairs of "abab": ab twice, ba once. So p(b|a) = 3/258 and, b followed by b unseen, p(b|b) = 1/257.
  const std::string training = "abab", held_out = "abb";
  const auto bytes = [](const std::string& text) {
    return Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  };
  EXPECT_NEAR(order_1_loss(bytes(training), bytes(held_out)), -(std::log(3.0 / 258) + std::log(1.0 / 257)) / 2, 1e-12);
}

TEST(Schedule, RisesLinearlyThenFollowsHalfACosine) {
  const OptimizerConfig config{.learning_rate = 2.0, .final_fraction = 0.1, .warmup_steps = 10};
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 1, 110), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 5, 110), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 10, 110), 2.0);
  EXPECT_NEAR(learning_rate_at(config, 35, 110), 2.0 * (0.1 + 0.9 * 0.5 * (1 + std::sqrt(0.5))), 1e-12);
  EXPECT_NEAR(learning_rate_at(config, 60, 110), 1.1, 1e-12);
  EXPECT_NEAR(learning_rate_at(config, 110, 110), 0.2, 1e-12);
  EXPECT_NEAR(learning_rate_at({.learning_rate = 2.0, .final_fraction = 0.1, .warmup_steps = 50}, 3, 3), 0.12, 1e-12)
      << "shorter than the warm-up";
}

TEST(AdamW, TakesTheHandComputedStepAndDecaysOnlyWhatShouldDecay) {
  const Layout layout(ModelConfig{.layers = 1, .heads = 1, .width = 2, .context = 2});
  const std::size_t count = layout.parameter_count();
  std::vector<float> g(count, 1.0F), w(count, 1.0F), m(count, 0.0F), v(count, 0.0F);
  const OptimizerConfig config{.beta_1 = 0.9, .beta_2 = 0.95, .epsilon = 0, .weight_decay = 0.5};
  const auto apply = [&](const Tensor& tensor, const AdamwStep& step) {
    adamw(tensor.count, step, &g[tensor.offset], &w[tensor.offset], &m[tensor.offset], &v[tensor.offset]);
  };
  // Gradient 0.5 after scaling. At step 1 both corrected moments are the gradient's own, so the update is lr * sign.
  update(config, layout, 1, 0.1, 0.5, apply);
  EXPECT_NEAR(m[0], 0.05, 1e-7);
  EXPECT_NEAR(v[0], 0.0125, 1e-7);
  EXPECT_NEAR(w[layout.final_norm_weight], 1 - 0.1, 1e-6);
  EXPECT_NEAR(w[layout.blocks[0].qkv_bias], 1 - 0.1, 1e-6);
  EXPECT_NEAR(w[layout.blocks[0].qkv_weight], 1 * (1 - 0.1 * 0.5) - 0.1, 1e-6);
  EXPECT_NEAR(w[layout.tokens], 1 * (1 - 0.1 * 0.5) - 0.1, 1e-6);
  // Step 2 with gradient 0: m = 0.045 / 0.19, v = 0.011875 / 0.0975.
  std::fill(g.begin(), g.end(), 0.0F);
  const double before = w[0];
  update(config, layout, 2, 0.1, 1.0, apply);
  EXPECT_NEAR(w[0], before - 0.1 * (0.045 / 0.19) / std::sqrt(0.011875 / 0.0975), 1e-6);
}

TEST(Norm, IsEuclideanForAnyLength) {
  for (const std::size_t count : {0U, 1U, 7U, 8U, 100U}) {
    const std::vector<float> values(count, 2.0F);
    EXPECT_DOUBLE_EQ(norm_of(values), 2.0 * std::sqrt(static_cast<double>(count)));
  }
}

TEST(CpuDevice, HasDoneEverythingWhenACallReturns) {
  Device& device = cpu_device();
  EXPECT_TRUE(device.is_host_memory());
  const auto stream = device.make_stream();
  const auto event = device.make_event();
  const std::vector<float> values = {1, 2, 3};
  const DeviceArray<float> array(device, values.size());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array.data()) % 64, 0U);
  stream->copy_to_device(array.data(), values.data(), array.bytes());
  stream->record(*event);
  stream->wait(*event);
  EXPECT_TRUE(event->done());
  EXPECT_TRUE(stream->done());
  EXPECT_EQ(array.data()[2], 3);
  stream->clear(array.data() + 1, sizeof(float));
  std::vector<float> back(3);
  stream->copy_to_host(back.data(), array.data(), array.bytes());
  EXPECT_THAT(back, testing::ElementsAre(1, 0, 3));
  EXPECT_EQ(choose_device("cpu").cuda, false);
  EXPECT_THROW(choose_device("tpu"), InputError);
}

TEST(Numbers, AreGroupedByThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
}

class Checkpoints : public testing::Test {
 protected:
  std::string save(std::int64_t step, const CheckpointFence* fence = nullptr) {
    const Layout layout(model_);
    std::vector<float> parameters(layout.parameter_count(), static_cast<float>(step)), moments(parameters.size(), 0.5F);
    return save_checkpoint(folder_ / "inner/deeper",
                           {.step = step,
                            .layers = model_.layers,
                            .heads = model_.heads,
                            .width = model_.width,
                            .context = model_.context,
                            .vocabulary = 256,
                            .parameter_count = static_cast<std::int64_t>(parameters.size()),
                            .seed = 3,
                            .data_hash = "feed"},
                           parameters, moments, moments, fence);
  }
  std::optional<Checkpoint> newest() {
    return load_newest_checkpoint(
        folder_ / "inner/deeper", [this](const std::string& path, const std::string& problem) {
          skipped_.push_back(std::filesystem::path(path).filename().string() + ": " + problem);
        });
  }
  ModelConfig model_{.layers = 1, .heads = 1, .width = 4, .context = 4};
  TemporaryFolder folder_;
  std::vector<std::string> skipped_;
};

TEST_F(Checkpoints, ComeBackAsTheyWereAndTheNewestThreeAreKept) {
  EXPECT_FALSE(newest());
  for (const std::int64_t step : {1, 20, 3, 4, 5}) save(step);
  const auto checkpoint = newest();
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(checkpoint->manifest.step, 20);
  EXPECT_EQ(checkpoint->manifest.seed, 3);
  EXPECT_EQ(checkpoint->manifest.data_hash, "feed");
  EXPECT_THAT(checkpoint->parameters, testing::Each(20.0F));
  EXPECT_THAT(checkpoint->second_moments, testing::Each(0.5F));
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "inner/deeper"))
    names.push_back(entry.path().filename());
  EXPECT_THAT(names, testing::UnorderedElementsAre("step_00000004.checkpoint", "step_00000005.checkpoint",
                                                   "step_00000020.checkpoint"));
}

TEST_F(Checkpoints, AnyDamagedByteIsNoticedAndTheOneBeforeIsTaken) {
  const std::string path = save(2);
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path));
  save(1);
  for (std::int64_t at = 0; at < size; at += at < 300 ? 7 : 101) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const char original = static_cast<char>(file.get());
    file.seekp(at);
    file.put(static_cast<char>(original ^ 4));
    file.close();
    const auto checkpoint = newest();
    ASSERT_TRUE(checkpoint) << at;
    EXPECT_EQ(checkpoint->manifest.step, 1) << "byte " << at;
    ASSERT_EQ(skipped_.size(), 1U) << at;
    EXPECT_THAT(skipped_[0], testing::StartsWith("step_00000002.checkpoint: it"));
    skipped_.clear();
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(at).put(original);
  }
  EXPECT_EQ(newest()->manifest.step, 2);
}

TEST_F(Checkpoints, AnAttemptThatWasGivenUpSavesNothingAnyMore) {
  std::filesystem::create_directories(folder_ / "inner/deeper");
  const CheckpointFence first(folder_ / "inner/deeper", 7, 1);
  save(10, &first);
  const CheckpointFence second(folder_ / "inner/deeper", 7, 2);
  try {
    save(11, &first);
    ADD_FAILURE() << "saved";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("attempt 2 of job 7 saves the checkpoints by now; this is attempt 1, which was given up"));
  }
  EXPECT_EQ(newest()->manifest.step, 10);
  save(11, &second);
  save(12, &second);
  EXPECT_EQ(newest()->manifest.step, 12);
  EXPECT_THROW(CheckpointFence(folder_ / "inner/deeper", 7, 1), std::runtime_error) << "nor does it begin anew";
  const CheckpointFence same(folder_ / "inner/deeper", 7, 2), another_job(folder_ / "inner/deeper", 8, 1);
  save(13, &another_job);
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "inner/deeper"))
    EXPECT_EQ(entry.path().filename().string().find(".tmp"), std::string::npos) << entry.path();
}

TEST_F(Checkpoints, AFenceIsOnlyForJobs) {
  const auto clear = [] { ::unsetenv("ULTRA_JOB_ID"), ::unsetenv("ULTRA_ATTEMPT"); };
  clear();
  EXPECT_FALSE(CheckpointFence::of_this_attempt(folder_ / ""));
  ::setenv("ULTRA_JOB_ID", "12", 1), ::setenv("ULTRA_ATTEMPT", "3", 1);
  const auto fence = CheckpointFence::of_this_attempt(folder_ / "");
  clear();
  ASSERT_TRUE(fence);
  EXPECT_EQ(fence->attempt(), 3);
}

TEST_F(Checkpoints, OneThatIsCutShortOrForeignIsPassedOver) {
  const std::string path = save(2);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  std::ofstream(folder_ / "inner/deeper/step_00000009.checkpoint") << "hello, this is something else";
  std::ofstream(folder_ / "inner/deeper/step_00000010.checkpoint.tmp") << "unfinished";
  std::ofstream(folder_ / "inner/deeper/notes.txt") << "mine";
  EXPECT_FALSE(newest());
  EXPECT_THAT(skipped_, testing::ElementsAre("step_00000009.checkpoint: it isn't a checkpoint",
                                             "step_00000002.checkpoint: its size doesn't fit its manifest"));
}

}  // namespace
}  // namespace ultramarine::trainer
