// A job: one request for one allocation. It has 1..n attempts (stays on an allocation); an attempt runs gangs (ranks that
// start and stop together). These are plain values; what may follow what is core/lifecycle's business.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/notification.h"
#include "scheduler/model/time.h"
#include "scheduler/model/wait.h"

namespace ultramarine {

BOOST_DEFINE_FIXED_ENUM_CLASS(JobState, std::uint8_t, queued, held, starting, running, stopping, unknown, completed, failed, cancelled)
/// How an attempt ended.
BOOST_DEFINE_FIXED_ENUM_CLASS(Outcome, std::uint8_t, succeeded, failed, out_of_memory, timed_out, cancelled, preempted, node_lost, device_lost,
                              start_failed, stalled, supervisor_lost)
/// Whether ranks are offered PMIx: `automatic` means for gangs of several ranks.
BOOST_DEFINE_FIXED_ENUM_CLASS(MpiMode, std::uint8_t, automatic, pmix, none)
/// Whether ranks stay on CPUs of their own: `automatic` means near their GPU, where there are as many cores as ranks.
BOOST_DEFINE_FIXED_ENUM_CLASS(BindMode, std::uint8_t, automatic, none)

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

/// A script that was submitted as a file. It runs once, on the first node of its allocation; the gangs that it starts with
/// `ultra run` span all of it.
struct Script {
  std::string text;  // copied at submit; starts with #!
  bool operator==(const Script&) const = default;
};
BOOST_DESCRIBE_STRUCT(Script, (), (text))

/// When a job may start, as seen from another job: ok = it completed, notok = it failed or was cancelled, any = it ended, started = it started (or ended).
BOOST_DEFINE_FIXED_ENUM_CLASS(DependencyCondition, std::uint8_t, ok, any, notok, started)

struct Dependency {
  JobId job;  // the number of an array: all its elements (notok: all have ended, and not all of them well)
  DependencyCondition condition = DependencyCondition::ok;
  bool operator==(const Dependency&) const = default;
};
BOOST_DESCRIBE_STRUCT(Dependency, (), (job, condition))

/// A signal sent to the ranks (of a script: to those of its gangs, or with `shell` only to the script) some time before the time limit.
struct WarningSignal {
  std::int64_t signal = 0;
  Duration before_ms{60'000};
  bool shell = false;
  bool operator==(const WarningSignal&) const = default;
};
BOOST_DESCRIBE_STRUCT(WarningSignal, (), (signal, before_ms, shell))

/// Asked for as a time limit: the longest that the partition allows.
constexpr Duration longest_time_limit{-1};

/// As `hang_after_ms`: this job is not watched.
constexpr Duration never_hangs{-1};

constexpr std::int64_t max_restarts_most = 1000;
/// Of stop_when_cut_off_ms: a machine that is only busy is silent for less.
constexpr Duration stop_when_cut_off_least{10'000};

/// What becomes of a job over several nodes when one of them can't be reached and its ranks get no further.
///   strict  it runs again elsewhere once the cut-off ranks have surely stopped themselves: two attempts never overlap
///   fast    it runs again as soon as all that can be reached have stopped
///   wait    until the node answers
BOOST_DEFINE_FIXED_ENUM_CLASS(NodeLossRule, std::uint8_t, strict, fast, wait)

/// A window of text: the size of a terminal that a process gets instead of files and pipes.
struct TerminalSize {
  std::int64_t rows = 24, columns = 80;
  bool operator==(const TerminalSize&) const = default;
};
BOOST_DESCRIBE_STRUCT(TerminalSize, (), (rows, columns))

struct JobSpec {
  std::string name;
  std::string account;    // "" = the submitter's default account
  std::string partition;  // "" = the cluster's first partition
  std::string qos;        // "" = normal
  Resources resources;
  Duration time_limit_ms;             // 0 = the partition's default; longest_time_limit = as long as it allows
  Duration stop_grace_ms{30'000};     // between SIGTERM and SIGKILL
  MpiMode mpi = MpiMode::automatic;
  std::vector<std::string> command;   // argument vector, never a shell string
  std::string working_directory;
  std::optional<Script> script;       // then command is the script's path as typed and its arguments
  std::string gpu_type;               // "" = any
  std::int64_t ranks = 0;             // of a gang over the whole allocation; 0 = ranks_per_node on each node
  std::int64_t ranks_per_node = 0;    // 0 = one per GPU; each rank then has its own GPU, else it sees all of its node's
  std::int64_t cpus_per_rank = 0;     // 0 = not said
  BindMode bind = BindMode::automatic;
  std::vector<Dependency> dependencies;  // all must hold
  std::string output, error;          // file patterns (%j %A %a %N %n %t %u %x ...), relative to the working directory; "" = kept by us only;
                                      // an empty `error` follows `output`
  bool append_output = false;
  std::int64_t log_bytes_max = 0;     // of the output that we keep, over all ranks: head and tail stay; 0 = the node's default
  std::optional<WarningSignal> warning;
  bool strict_names = false;          // names of other sites are refused, not mapped
  std::int64_t cpus_per_gpu = 0;          // 0 = not said: no CPUs are counted for it
  std::int64_t memory_per_gpu_bytes = 0;  // 0 = not said
  std::vector<std::string> features;      // each of its nodes has all of them
  std::vector<std::string> only_nodes;    // it runs on none but these; empty = any of its partition
  std::vector<std::string> without_nodes; // it runs on none of these
  bool exclusive = false;                 // it gets its nodes whole, with all their GPUs
  std::int64_t nice = 0;                  // taken from its priority; only an admin or a manager may give less than 0
  std::optional<Time> begin_ms;           // not before
  std::optional<Time> deadline_ms;        // by then it must have ended, its whole time limit used
  bool hold = false;                      // it is held from the start
  std::string reservation;                // it runs inside this one; "" = outside of all
  std::int64_t max_restarts = 0;          // how often it queues again after it failed by itself; what its nodes are to blame for isn't counted
  NodeLossRule on_node_loss = NodeLossRule::strict;
  Duration stop_when_cut_off_ms;          // on one node: cut off from the scheduler for so long, its ranks are stopped there; 0 = they run on
  Duration hang_after_ms;                 // without a step it hangs, if it reports any; 0 = as the cluster says; never_hangs
  std::optional<TerminalSize> terminal;   // of its script: `ultra shell`
  std::int64_t min_gpus = 0;              // its program runs on so few, too: what it may be offered; 0 = not said
  bool trial = true;                      // it may have its first minutes at once on few GPUs, where the policy gives such
  NotificationWish notify;                // what its owner wants to be told, and where
  std::map<std::string, std::string> recorded;  // options of a script that change nothing, as given
  bool operator==(const JobSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(JobSpec, (),
                      (name, account, partition, qos, resources, time_limit_ms, stop_grace_ms, mpi, command, working_directory, script, gpu_type,
                       ranks, ranks_per_node, cpus_per_rank, bind, dependencies, output, error, append_output, log_bytes_max, warning, strict_names,
                       cpus_per_gpu, memory_per_gpu_bytes, features, only_nodes, without_nodes, exclusive, nice, begin_ms, deadline_ms, hold,
                       reservation, max_restarts, on_node_loss, stop_when_cut_off_ms, hang_after_ms, terminal, min_gpus, trial, notify, recorded))

/// A job's place in its array: n jobs submitted as one.
struct ArrayElement {
  JobId array;             // the job of the first element: the array's name
  std::int64_t index = 0;
  std::int64_t count = 1, min = 0, max = 0, step = 1;  // of all indices; step 1 when they are not evenly spaced
  std::int64_t limit = 0;  // how many may run at once; 0 = all
  bool operator==(const ArrayElement&) const = default;
};
BOOST_DESCRIBE_STRUCT(ArrayElement, (), (array, index, count, min, max, step, limit))

/// What `ultra run` asks for inside an attempt: ranks over its allocation, or over some of its nodes.
struct GangSpec {
  std::vector<std::string> command;
  std::string working_directory;
  MpiMode mpi = MpiMode::automatic;
  std::int64_t ranks = 0, ranks_per_node = 0;  // 0 = as the job says
  std::int64_t cpus_per_rank = 0;              // 0 = as the job says
  BindMode bind = BindMode::automatic;
  std::vector<std::string> only_nodes;         // some of the attempt's; empty = all
  std::int64_t nodes = 0;                      // the first so many of these; 0 = all
  std::optional<std::int64_t> beside_rank;     // one process on the node of this rank of the job, with the job's environment: `ultra exec`
  std::optional<TerminalSize> terminal;        // of that process
  bool operator==(const GangSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(GangSpec, (), (command, working_directory, mpi, ranks, ranks_per_node, cpus_per_rank, bind, only_nodes, nodes, beside_rank, terminal))

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
  bool node_at_fault = false;           // not the job: it may run elsewhere
  std::vector<std::string> last_lines;  // of that rank's output, at most 50
  Time at_ms;
  bool operator==(const Failure&) const = default;
};
BOOST_DESCRIBE_STRUCT(Failure, (), (rank, node, exit_code, signal, detail, node_at_fault, last_lines, at_ms))

struct Checkpoint {
  std::int64_t step = 0;
  std::string path;
  Time at_ms;
  bool operator==(const Checkpoint&) const = default;
};
BOOST_DESCRIBE_STRUCT(Checkpoint, (), (step, path, at_ms))

/// Ranks started and stopped together. A plain job's attempt has exactly one. Of a script, gang 1 is the script itself: one rank on the first
/// node; the others were started by `ultra run`, and their failure is theirs alone.
struct Gang {
  std::int64_t gang = 1;
  std::optional<GangSpec> spec;        // absent for gang 1
  std::optional<Time> requested_ms;    // absent for gang 1
  bool stop_requested = false;
  std::optional<Time> started_ms;
  std::optional<Time> cut_off_until_ms;  // nothing of it is left but on nodes that can't be reached, and there it ends itself by then
  std::optional<Time> finished_ms;
  std::optional<Outcome> outcome;
  std::optional<Failure> failure;      // of gang 1 it is also the attempt's
  std::optional<Failure> stall;        // present while no rank gets on and it isn't stopped for it: who is to blame
  std::vector<RankResult> ranks;  // filled when the gang finished, ordered by rank
  bool operator==(const Gang&) const = default;
};
BOOST_DESCRIBE_STRUCT(Gang, (), (gang, spec, requested_ms, stop_requested, started_ms, cut_off_until_ms, finished_ms, outcome, failure, stall, ranks))

struct Attempt {
  std::int64_t attempt = 1;
  Time decided_ms;                 // when the scheduler chose the allocation
  Allocation allocation;
  bool backfilled = false;         // started ahead of a job that was before it in the order
  std::optional<Duration> trial_ms;  // it is a trial: so long its ranks may run, then the job queues again
  std::optional<Time> started_ms;  // when all ranks of the first gang ran
  std::optional<Time> ended_ms;    // when the devices were free again
  std::optional<Outcome> outcome;
  std::optional<Failure> failure;
  std::vector<Gang> gangs;
  bool operator==(const Attempt&) const = default;
};
BOOST_DESCRIBE_STRUCT(Attempt, (), (attempt, decided_ms, allocation, backfilled, trial_ms, started_ms, ended_ms, outcome, failure, gangs))

/// Why an attempt is being stopped; `none` while nobody asked for it.
BOOST_DEFINE_FIXED_ENUM_CLASS(StopCause, std::uint8_t, none, cancelled, requeued, rank_failed, node_unreachable, preempted)

/// Who may let it go again: `user` and `no_progress` its owner, `admin` an admin, `configuration` nobody: it goes when its partition is back.
/// no_progress: it failed again and again without a new checkpoint.
BOOST_DEFINE_FIXED_ENUM_CLASS(HoldKind, std::uint8_t, user, admin, configuration, no_progress)

struct Hold {
  HoldKind kind = HoldKind::user;
  std::string reason;
  Actor actor;
  Time since_ms;
  bool operator==(const Hold&) const = default;
};
BOOST_DESCRIBE_STRUCT(Hold, (), (kind, reason, actor, since_ms))

/// Ahead of all jobs that have none, until it starts or the time is over; among themselves by their bills.
struct Boost {
  std::int64_t bill = 0;
  Time until_ms;
  bool operator==(const Boost&) const = default;
};
BOOST_DESCRIBE_STRUCT(Boost, (), (bill, until_ms))

struct Job {
  JobId job;
  JobSpec spec;      // as accepted: account, partition, qos, time limit filled in
  Actor owner;
  JobState state = JobState::queued;
  Time submitted_ms;
  std::optional<Time> ended_ms;
  StopCause stop_cause = StopCause::none;
  std::vector<Attempt> attempts;           // the last one is the current one
  std::optional<JobId> environment_of;     // State::environment_names has the names of its variables under this number; absent: it has none
  std::vector<std::string> environment_names;  // filled in answers only; values are kept beside the journal and deleted at the end
  std::string request_key;                 // a client's retry with the same key is the same job
  std::optional<Checkpoint> checkpoint;    // the newest
  std::optional<ArrayElement> array;       // then the script's text and the names of variables are kept with its first element alone
  std::optional<Time> eligible_ms;         // when all that it depends on had come; absent: not yet, or it depends on nothing
  std::optional<Hold> hold;                // present exactly in state held
  std::int64_t own_turn = 0;               // among its owner's reordered jobs, from 1; 0 = never reordered
  std::optional<Time> released_ms;         // when somebody last let it go: what it waited before doesn't count towards its age
  std::optional<Time> stop_asked_ms;       // while its attempt is being stopped: since when
  std::int64_t restarts = 0;               // after failures of its own
  std::int64_t fruitless = 0;              // failed attempts in a row without a new checkpoint
  std::int64_t failed_in_row = 0;          // failed attempts in a row, whatever they saved: how long it waits grows with them
  std::optional<Time> restart_ms;          // while it waits to be tried again: not before
  std::vector<std::string> avoided_nodes;  // where its last attempt failed: the next one goes elsewhere if it can
  std::optional<Boost> boost;              // while it waits
  std::vector<WaitPart> waited;            // its wait until `waited_until_ms`, by cause, longest first
  std::optional<Time> waited_until_ms;
  bool operator==(const Job&) const = default;
};
BOOST_DESCRIBE_STRUCT(Job, (), (job, spec, owner, state, submitted_ms, ended_ms, stop_cause, attempts, environment_of, environment_names, request_key, checkpoint,
                            array, eligible_ms, hold, own_turn, released_ms, stop_asked_ms, restarts, fruitless, failed_in_row, restart_ms, avoided_nodes, boost, waited, waited_until_ms))

}  // namespace ultramarine
