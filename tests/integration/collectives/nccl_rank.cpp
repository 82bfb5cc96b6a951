// One rank of the NCCL tests: a process of a gang (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), or all
// ranks as threads. Usage: nccl_rank conformance | threads N | reduce ROUNDS DEADLINE_MS [mismatch] Exit codes: 0 all
// right, 3 a collective failed, 4 a deadline passed, 5 wrong values, 1 anything else.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>

#include "collectives/nccl/device_memory.h"
#include "collectives/nccl/nccl_communicator.h"
#include "collectives/rendezvous.h"
#include "conformance.h"

using namespace ultramarine::collectives;
using std::chrono::milliseconds;

namespace {

const Conformance on_device{.residence = Residence::device,
                            .allocate = allocate_device_memory,
                            .release = release_device_memory,
                            .copy_to_device = copy_to_device,
                            .copy_to_host = copy_to_host,
                            .bf16_rounds_once = false};

std::unique_ptr<Communicator> join(milliseconds deadline) {
  const Rendezvous place = rendezvous_from_environment();
  const char* local_rank = std::getenv("LOCAL_RANK");
  const int device = local_rank ? std::atoi(local_rank) : place.rank;
  use_device(device);
  return make_nccl({.rank = place.rank,
                    .world_size = place.world_size,
                    .device = device,
                    .deadline = deadline,
                    .exchange = [place](const std::string& from_root) {
                      return rendezvous(place, from_root, std::chrono::seconds(30));
                    }});
}

int check_conformance(Communicator& communicator) {
  const auto problems = run_conformance(communicator, on_device);
  for (const auto& problem : problems) std::fprintf(stderr, "%s\n", problem.c_str());
  return problems.empty() ? 0 : 1;
}

int run_threads(int ranks) {
  std::promise<std::string> given;
  const std::shared_future<std::string> id = given.get_future().share();
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      use_device(rank);
      const auto communicator = make_nccl({.rank = rank,
                                           .world_size = ranks,
                                           .device = rank,
                                           .deadline = std::chrono::seconds(60),
                                           .exchange = [&](const std::string& from_root) {
                                             if (rank == 0) given.set_value(from_root);
                                             return id.get();
                                           }});
      failed += check_conformance(*communicator);
    });
  }
  for (auto& thread : threads) thread.join();
  return failed == 0 ? 0 : 1;
}

/// All-reduces of 10,001 elements, each compared with its exact sum on this rank alone.
int reduce(int rounds, milliseconds deadline, bool mismatch) {
  constexpr std::size_t count = 10'001;
  int code = 0;
  bool reducing = false;
  std::unique_ptr<Communicator> communicator;
  try {
    communicator = join(deadline);
    const int rank = communicator->rank(), ranks = communicator->world_size();
    float* const device = static_cast<float*>(allocate_device_memory(count * 4));
    std::vector<float> values(count);
    for (int round = 1; round <= rounds; ++round) {
      for (std::size_t i = 0; i < count; ++i)
        values[i] = static_cast<float>(i % 1000) + static_cast<float>(rank + round);
      copy_to_device(device, values.data(), count * 4);
      const bool odd = mismatch && rank == 1 && round == rounds;
      const Buffer buffer{device, odd ? count - 1 : count, DataType::float32, Residence::device};
      reducing = true;
      communicator->all_reduce(buffer, Operation::sum)->wait(deadline);
      reducing = false;
      copy_to_host(values.data(), device, count * 4);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const float sum = static_cast<float>(i % 1000 + static_cast<std::size_t>(round)) * static_cast<float>(ranks) +
                          static_cast<float>(ranks * (ranks - 1) / 2);
        wrong += values[i] != sum;
      }
      if (wrong > 0) {
        std::fprintf(stderr, "rank %d: round %d: %zu of %zu elements are wrong\n", rank, round, wrong, count);
        code = 5;
      }
    }
    release_device_memory(device);
  } catch (const DeadlineExceeded& error) {
    std::fprintf(stderr, "%s\n", error.what());
    code = 4;
  } catch (const CollectiveError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    code = 3;
  }
  if (code == 3 || code == 4) {
    // What is left of the gang refuses more; this process and its device go on.
    try {
      if (reducing) {
        communicator->barrier();
        std::fprintf(stderr, "a collective after the failure isn't refused\n");
        return 1;
      }
    } catch (const CollectiveError&) {
    }
    communicator.reset();
    const std::string text = "lives on";
    std::string back(text.size(), ' ');
    void* const memory = allocate_device_memory(text.size());
    copy_to_device(memory, text.data(), text.size());
    copy_to_host(back.data(), memory, text.size());
    release_device_memory(memory);
    std::fprintf(stderr, "%s\n", back.c_str());
  }
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  try {
    if (mode == "conformance") return check_conformance(*join(std::chrono::seconds(60)));
    if (mode == "threads" && argc == 3) return run_threads(std::atoi(argv[2]));
    if (mode == "reduce" && argc >= 4) return reduce(std::atoi(argv[2]), milliseconds(std::atoi(argv[3])), argc > 4);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::fprintf(stderr, "usage: nccl_rank conformance | threads N | reduce ROUNDS DEADLINE_MS [mismatch]\n");
  return 2;
}
