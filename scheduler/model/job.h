// A job: one request for one allocation. It has 1..n attempts (stays on an allocation); an attempt runs gangs (ranks that
// start and stop together). These are plain values; what may follow what is core/lifecycle's business.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/time.h"

namespace ultramarine {

BOOST_DEFINE_FIXED_ENUM_CLASS(JobState, std::uint8_t, queued, held, starting, running, stopping, unknown, completed, failed, cancelled)
/// How an attempt ended.
BOOST_DEFINE_FIXED_ENUM_CLASS(Outcome, std::uint8_t, succeeded, failed, out_of_memory, timed_out, cancelled, preempted, node_lost, device_lost,
                              start_failed, stalled, supervisor_lost)
/// Whether ranks are offered PMIx: `automatic` means for gangs of several ranks.
BOOST_DEFINE_FIXED_ENUM_CLASS(MpiMode, std::uint8_t, automatic, pmix, none)

constexpr bool is_terminal(JobState state) {
  return state == JobState::completed || state == JobState::failed || state == JobState::cancelled;
}
/// Holds devices now.
constexpr bool is_active(JobState state) {
  return state == JobState::starting || state == JobState::running || state == JobState::stopping || state == JobState::unknown;
}

/// Who did something and through which door: `socket` (identity from SO_PEERCRED), `agent`, `scheduler`.
struct Actor {
  std::int64_t uid = -1;
  std::string name;
  std::string channel;
  bool operator==(const Actor&) const = default;
};
BOOST_DESCRIBE_STRUCT(Actor, (), (uid, name, channel))

/// What a gang asks for. Either `gpus` (a total: the scheduler shapes it into whole nodes plus at most one part of a node)
/// or `nodes` x `gpus_per_node`; the field that is not used is 0.
struct Resources {
  std::int64_t gpus = 0;
  std::int64_t nodes = 0;
  std::int64_t gpus_per_node = 0;
  bool operator==(const Resources&) const = default;
};
BOOST_DESCRIBE_STRUCT(Resources, (), (gpus, nodes, gpus_per_node))

/// Total number of GPUs (= ranks) that the request asks for.
constexpr std::int64_t total_gpus(const Resources& resources) {
  return resources.gpus > 0 ? resources.gpus : resources.nodes * resources.gpus_per_node;
}

struct JobSpec {
  std::string name;
  std::string account;    // "" = the submitter's default account
  std::string partition;  // "" = the cluster's first partition
  std::string qos;        // "" = normal
  Resources resources;
  Duration time_limit_ms;             // 0 = the partition's default
  Duration stop_grace_ms{30'000};     // between SIGTERM and SIGKILL
  MpiMode mpi = MpiMode::automatic;
  std::vector<std::string> command;   // argument vector, never a shell string
  std::string working_directory;
  bool operator==(const JobSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(JobSpec, (),
                      (name, account, partition, qos, resources, time_limit_ms, stop_grace_ms, mpi, command, working_directory))

/// The devices of one node that an attempt holds; `devices` are indices on that node, ascending.
struct NodeAllocation {
  std::string node;
  std::vector<std::int64_t> devices;
  bool operator==(const NodeAllocation&) const = default;
};
BOOST_DESCRIBE_STRUCT(NodeAllocation, (), (node, devices))
/// Ranks are numbered along this list: node by node, device by device.
using Allocation = std::vector<NodeAllocation>;

/// How one rank ended, and what it used.
struct RankResult {
  std::int64_t rank = 0;
  std::string node;
  std::int64_t pid = 0;
  std::int64_t exit_code = 0;          // valid when signal is 0
  std::int64_t signal = 0;             // the signal that ended it, or 0
  std::int64_t peak_memory_bytes = 0;
  Duration cpu_time_ms;
  std::int64_t device_utilization_permille = 0;  // mean over the run; of a virtual device: CPU time per wall time of its rank, <= 1000
  std::int64_t collective_count = 0;
  std::int64_t collective_bytes = 0;
  Time ended_ms;
  bool operator==(const RankResult&) const = default;
};
BOOST_DESCRIBE_STRUCT(RankResult, (), (rank, node, pid, exit_code, signal, peak_memory_bytes, cpu_time_ms, device_utilization_permille,
                                       collective_count, collective_bytes, ended_ms))

/// The first failure of a gang: the one that stopped all others.
struct Failure {
  std::int64_t rank = -1;  // -1: no rank is to blame (for example the node refused the launch)
  std::string node;
  std::int64_t exit_code = 0;
  std::int64_t signal = 0;
  std::string detail;                   // one sentence with the remedy where there is one
  std::vector<std::string> last_lines;  // of that rank's output, at most 50
  Time at_ms;
  bool operator==(const Failure&) const = default;
};
BOOST_DESCRIBE_STRUCT(Failure, (), (rank, node, exit_code, signal, detail, last_lines, at_ms))

struct Checkpoint {
  std::int64_t step = 0;
  std::string path;
  Time at_ms;
  bool operator==(const Checkpoint&) const = default;
};
BOOST_DESCRIBE_STRUCT(Checkpoint, (), (step, path, at_ms))

/// Ranks started and stopped together. A plain job's attempt has exactly one.
struct Gang {
  std::int64_t gang = 1;
  std::optional<Time> started_ms;
  std::optional<Time> finished_ms;
  std::optional<Outcome> outcome;
  std::vector<RankResult> ranks;  // filled when the gang finished, ordered by rank
  bool operator==(const Gang&) const = default;
};
BOOST_DESCRIBE_STRUCT(Gang, (), (gang, started_ms, finished_ms, outcome, ranks))

struct Attempt {
  std::int64_t attempt = 1;
  Time decided_ms;                 // when the scheduler chose the allocation
  Allocation allocation;
  bool backfilled = false;         // started ahead of a job that was before it in the order
  std::optional<Time> started_ms;  // when all ranks of the first gang ran
  std::optional<Time> ended_ms;    // when the devices were free again
  std::optional<Outcome> outcome;
  std::optional<Failure> failure;
  std::vector<Gang> gangs;
  bool operator==(const Attempt&) const = default;
};
BOOST_DESCRIBE_STRUCT(Attempt, (), (attempt, decided_ms, allocation, backfilled, started_ms, ended_ms, outcome, failure, gangs))

/// Why an attempt is being stopped; `none` while nobody asked for it.
BOOST_DEFINE_FIXED_ENUM_CLASS(StopCause, std::uint8_t, none, cancelled, requeued, rank_failed, node_unreachable)

struct Job {
  JobId job;
  JobSpec spec;      // as accepted: account, partition, qos, time limit filled in
  Actor owner;
  JobState state = JobState::queued;
  Time submitted_ms;
  std::optional<Time> ended_ms;
  StopCause stop_cause = StopCause::none;
  std::vector<Attempt> attempts;           // the last one is the current one
  std::vector<std::string> environment_names;  // names only; the values are kept beside the journal and deleted at the end
  std::string request_key;                 // a client's retry with the same key is the same job
  std::optional<Checkpoint> checkpoint;    // the newest
  bool operator==(const Job&) const = default;
};
BOOST_DESCRIBE_STRUCT(Job, (), (job, spec, owner, state, submitted_ms, ended_ms, stop_cause, attempts, environment_names, request_key, checkpoint))

}  // namespace ultramarine
