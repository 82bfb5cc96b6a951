// What the trainer's tests share: a folder of their own, a small text, tiny options, and a gang of threads.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "tests/support/ranks.h"
#include "worker/trainer/corpus.h"
#include "worker/trainer/device/cpu/kernels.h"
#include "worker/trainer/options.h"
#include "worker/trainer/random_numbers.h"

namespace ultramarine::trainer {

// As in the program: ranks are the parallelism. (ThreadSanitizer also can't see how the threads inside OpenBLAS synchronise.)
inline const bool computes_with_one_thread = (set_compute_threads(1), true);

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ultramarine_trainer_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Words in an order without a pattern: something to learn, but not by heart.
inline Corpus small_corpus(std::size_t size = 20'000) {
  static constexpr const char* words[] = {"ultra", "marine ", "deep", " blue\n", "and ", "the sea ", "rank ", "node, "};
  std::vector<std::uint8_t> bytes;
  for (std::uint64_t i = 0; bytes.size() < size; ++i) {
    for (const char* at = words[random_bits(7, 0, i) % std::size(words)]; *at; ++at)
      bytes.push_back(static_cast<std::uint8_t>(*at));
  }
  return Corpus(std::move(bytes));
}

inline TrainOptions tiny_options() {
  TrainOptions options;
  options.model = {.layers = 2, .heads = 2, .width = 16, .context = 12};
  options.optimizer.warmup_steps = 10;
  options.steps = 50;
  options.global_batch = 8;
  options.evaluation_batches = 4;
  return options;
}

using collectives::on_ranks;

}  // namespace ultramarine::trainer
