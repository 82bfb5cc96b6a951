// What the trainer's tests share: a folder of their own, a small text, tiny options, and a gang of threads.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "collectives/in_process/in_process.h"
#include "worker/trainer/corpus.h"
#include "worker/trainer/kernels.h"
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

/// Runs `body` on each rank of an in-process gang, in its own thread; what each of them threw, by rank ("" = nothing).
inline std::vector<std::string> on_ranks(int world_size, const std::function<void(collectives::Communicator&)>& body) {
  auto communicators = collectives::make_in_process(world_size);
  std::vector<std::string> errors(communicators.size());
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < communicators.size(); ++rank) {
    threads.emplace_back([&, rank] {
      try {
        body(*communicators[rank]);
      } catch (const std::exception& error) {
        errors[rank] = error.what();
      }
      communicators[rank].reset();
    });
  }
  for (auto& thread : threads) thread.join();
  return errors;
}

}  // namespace ultramarine::trainer
