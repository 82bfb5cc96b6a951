// Datagrams that a rank sends to the path in ULTRA_PROGRESS (a Unix datagram socket): one JSON object each, with a `type`.
// Unknown types are ignored and lost datagrams are harmless. `checkpoint` is answered with the text "recorded" to the
// sender's address once the scheduler has it on disk (a sender without an address gets no answer); while the scheduler is away, with "kept"
// after timeouts.checkpoint_answer, once the node has it on disk and will tell the scheduler.
#pragma once

#include <boost/describe.hpp>
#include <string>
#include <variant>

#include "scheduler/model/time.h"

namespace ultramarine::protocol {

struct StepProgress {
  static constexpr const char* type = "step";
  std::int64_t rank = 0;
  std::int64_t step = 0;
  double loss = 0;
  double tokens_per_s = 0;
  std::int64_t tokens = 0;  // so far, all ranks
  double flops_per_token = 0;  // floating point operations of the model's forward and backward pass for one token; 0 = not said
};
BOOST_DESCRIBE_STRUCT(StepProgress, (), (rank, step, loss, tokens_per_s, tokens, flops_per_token))

struct PhaseProgress {
  static constexpr const char* type = "phase";
  std::int64_t rank = 0;
  std::string name;
  Duration limit_ms;  // how long it may last without a step
};
BOOST_DESCRIBE_STRUCT(PhaseProgress, (), (rank, name, limit_ms))

/// How many collectives this rank has completed, and their payload bytes, since it started.
struct CollectiveProgress {
  static constexpr const char* type = "collective";
  std::int64_t rank = 0;
  std::int64_t count = 0;
  std::int64_t bytes = 0;
  std::int64_t sequence = 0;
};
BOOST_DESCRIBE_STRUCT(CollectiveProgress, (), (rank, count, bytes, sequence))

struct CheckpointProgress {
  static constexpr const char* type = "checkpoint";
  std::int64_t rank = 0;
  std::int64_t step = 0;
  std::string path;
};
BOOST_DESCRIBE_STRUCT(CheckpointProgress, (), (rank, step, path))

using ProgressMessage = std::variant<StepProgress, PhaseProgress, CollectiveProgress, CheckpointProgress>;

}  // namespace ultramarine::protocol
