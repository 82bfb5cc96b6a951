// Ranks as threads of the test, over the in-process backend.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "collectives/in_process/in_process.h"

namespace ultramarine::collectives {

/// Runs `body` on each rank of an in-process gang, in its own thread; what each of them threw, by rank ("" = nothing).
inline std::vector<std::string> on_ranks(int world_size, const std::function<void(Communicator&)>& body) {
  auto communicators = make_in_process(world_size);
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

}  // namespace ultramarine::collectives
