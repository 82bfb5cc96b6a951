// Which ranks a run has, where they compute and how they talk: the words of the command line and of the launcher's
// environment made into a World, and one call of a body per rank that lives in this process. Knows backends and
// devices; nothing of training.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <string>

#include "collectives/backends.h"
#include "worker/trainer/device/choice.h"
#include "worker/trainer/progress.h"

namespace ultramarine::trainer {

struct WorldOptions {
  std::string device = "auto";
  std::string backend = "auto";
  int ranks = 1;
  int threads = 1;
  double deadline_s = 300;
};

/// What a run computes on and how its ranks talk.
struct World {
  DeviceChoice device;
  const collectives::Backend* backend = nullptr;
  bool threads = true;  // ranks are threads of this process
};

/// Throws InputError for words that contradict each other, the launcher, or what there is on this machine.
World choose_world(const WorldOptions& options);
int world_size(const WorldOptions& options, const World& world);

/// How many processes the launcher started: ours and torchrun say WORLD_SIZE, a bare mpirun only its own.
int processes();
int process_rank();
/// ULTRA_PROGRESS; empty when nobody listens.
std::string progress_path();
std::chrono::milliseconds deadline_of(const WorldOptions& options);

/// Says on stderr what went wrong; the exit code for it.
int explain(const std::exception& error);

using RankBody = std::function<int(collectives::Communicator&, Device&, ProgressReporter&)>;
/// Runs `body` for each rank of this process, in a thread of its own if they are several. Returns the exit code. What a
/// rank throws is explained; where its peers could wait for it, the process ends with that code.
int run_ranks(const WorldOptions& options, const World& world, const RankBody& body);

}  // namespace ultramarine::trainer
