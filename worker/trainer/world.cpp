// Threads and processes as ranks; see world.h.
#include "worker/trainer/world.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "worker/trainer/corpus.h"
#include "worker/trainer/device/cpu/kernels.h"

namespace ultramarine::trainer {

using collectives::Communicator;

namespace {

int environment_number(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  if (!text || !*text) return otherwise;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != '\0' || value < 0 || value > 1'000'000)
    throw InputError(std::string(name) + ": \"" + text + "\" in the environment isn't a number of ranks");
  return static_cast<int>(value);
}

}  // namespace

int processes() { return environment_number("WORLD_SIZE", environment_number("OMPI_COMM_WORLD_SIZE", 1)); }
int process_rank() { return environment_number("RANK", environment_number("OMPI_COMM_WORLD_RANK", 0)); }

std::chrono::milliseconds deadline_of(const WorldOptions& world) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::min(world.deadline_s, 1e9) * 1000));
}

namespace {

/// Of this process on its node, as torchrun, our launcher or mpirun say it.
int local_rank() { return environment_number("LOCAL_RANK", environment_number("OMPI_COMM_WORLD_LOCAL_RANK", 0)); }

std::string backend_for(const WorldOptions& options, const DeviceChoice& device) {
  if (options.backend != "auto") return options.backend;
  if (processes() > 1) {
    // NCCL's ranks find each other by MASTER_ADDR, which a bare mpirun doesn't say.
    const char* meeting_place = std::getenv("MASTER_ADDR");
    return device.cuda && meeting_place && *meeting_place ? "nccl" : "mpi";
  }
  return device.cuda && options.ranks > 1 && options.ranks <= device.devices ? "nccl" : "in_process";
}

}  // namespace

World choose_world(const WorldOptions& options) {
  World world;
  if (options.backend == "nccl" && options.device == "cpu")
    throw InputError("--backend: nccl reduces what GPUs hold; leave --device cpu out, or use another backend");
  world.device = choose_device(options.backend == "nccl" ? "cuda" : options.device);
  const std::string name = backend_for(options, world.device);
  try {
    world.backend = &collectives::find_backend(name);
  } catch (const collectives::CollectiveError& error) {
    throw InputError(std::string("--backend: ") + error.what());
  }
  world.threads = !world.backend->spans_processes || (name == "nccl" && processes() == 1);
  if (!world.threads && options.ranks != 1)
    throw InputError("--ranks: the launcher decides how many ranks " + name + " has; leave it out");
  if (!world.backend->spans_processes && processes() > 1) {
    throw InputError("--backend: " + name + " stays in one process, but " + std::to_string(processes()) +
                     " were started; use --backend mpi");
  }
  return world;
}

int world_size(const WorldOptions& options, const World& world) { return world.threads ? options.ranks : processes(); }

namespace {

/// The device that a rank computes on: its communicator's, if that has one; else they are dealt out in turn.
std::shared_ptr<Device> device_of(const World& world, const Communicator& communicator, int number) {
  const int fixed = communicator.capabilities().device;
  return make_device(world.device, fixed >= 0 ? fixed : number % world.device.devices);
}

}  // namespace

int explain(const std::exception& error) {
  std::fflush(stdout);
  std::fprintf(stderr, "ultra-train: %s\n", error.what());
  if (dynamic_cast<const InputError*>(&error)) return 2;
  return dynamic_cast<const collectives::DeadlineExceeded*>(&error) ? 16 : 1;
}

std::string progress_path() {
  const char* path = std::getenv("ULTRA_PROGRESS");
  return path ? path : "";
}

namespace {

int run_threads(const World& world, int ranks, std::chrono::milliseconds deadline, const RankBody& body) {
  auto communicators = world.backend->make(ranks, deadline);
  std::mutex mutex;
  int exit_code = 0;
  bool failed = false;
  std::vector<std::thread> threads;
  for (auto& communicator : communicators) {
    threads.emplace_back([&] {
      try {
        ProgressReporter progress(progress_path(), communicator->rank());
        const auto device = device_of(world, *communicator, communicator->rank());
        const int code = body(*communicator, *device, progress);
        const std::lock_guard lock(mutex);
        if (!failed) exit_code = code;
      } catch (const std::exception& error) {
        // The first error is the cause; the other ranks only hear that a rank is gone.
        const std::lock_guard lock(mutex);
        if (!failed) exit_code = explain(error);
        failed = true;
        // Where ranks don't hear of each other's end, the others would wait until their deadline.
        if (world.backend->spans_processes) {
          std::fflush(nullptr);
          std::_Exit(exit_code);
        }
      }
      communicator.reset();
    });
  }
  for (auto& thread : threads) thread.join();
  return exit_code;
}

int run_process(const World& world, std::chrono::milliseconds deadline, const RankBody& body) {
  std::vector<std::unique_ptr<Communicator>> communicators;
  try {
    communicators = world.backend->make(1, deadline);
    Communicator& communicator = *communicators.front();
    if (communicator.world_size() != processes() || communicator.rank() != process_rank()) {
      throw collectives::CollectiveError(std::string(world.backend->name) + ": this is rank " +
                                         std::to_string(communicator.rank()) + " of " +
                                         std::to_string(communicator.world_size()) +
                                         ", but the environment says rank " + std::to_string(process_rank()) + " of " +
                                         std::to_string(processes()) + "; was it started without PMIx (--mpi none)?");
    }
    ProgressReporter progress(progress_path(), communicator.rank());
    const auto device = device_of(world, communicator, local_rank());
    return body(communicator, *device, progress);
  } catch (const std::exception& error) {
    const int code = explain(error);
    if (communicators.empty()) return code;
    // No farewell to the other ranks, which may be waiting in a collective: the launcher sees this one end and stops
    // them.
    std::fflush(nullptr);
    std::_Exit(code);
  }
}

}  // namespace

int run_ranks(const WorldOptions& options, const World& world, const RankBody& body) {
  set_compute_threads(options.threads);
  const auto deadline = deadline_of(options);
  return world.threads ? run_threads(world, options.ranks, deadline, body) : run_process(world, deadline, body);
}

}  // namespace ultramarine::trainer
