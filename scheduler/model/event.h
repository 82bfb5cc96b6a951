// The closed list of what can happen (events) and what the scheduler can choose (decisions). Both are durable: the journal is
// the ordered list of entries (events and rounds), and folding core's `apply` over it gives the state. What need not survive a
// restart (heartbeats, progress) is not here but in core/liveness.
// The instant of an event is not a field: it travels beside it as the `now` of `apply`.
#pragma once

#include <boost/describe.hpp>
#include <string>
#include <variant>
#include <vector>

#include "scheduler/model/bill.h"
#include "scheduler/model/cluster.h"
#include "scheduler/model/job.h"
#include "scheduler/model/node.h"
#include "scheduler/model/reservation.h"

namespace ultramarine {

/// The cluster file that the scheduler runs with; recorded at start whenever it differs from the recorded one.
struct ClusterConfigured {
  static constexpr const char* type = "cluster_configured";
  ClusterConfig cluster;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(ClusterConfigured, (), (cluster, actor))

struct PolicyChanged {
  static constexpr const char* type = "policy_changed";
  PolicyConfig policy;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(PolicyChanged, (), (policy, actor))

struct JobSubmitted {
  static constexpr const char* type = "job_submitted";
  JobId job;
  JobSpec spec;  // already accepted: complete and possible
  std::vector<std::string> environment_names;
  std::string request_key;
  Actor actor;
  std::vector<std::int64_t> array_indices;  // ascending; not empty: one job each, numbered from `job` on
  std::int64_t array_limit = 0;
};
BOOST_DESCRIBE_STRUCT(JobSubmitted, (), (job, spec, environment_names, request_key, actor, array_indices, array_limit))

struct JobCancelled {
  static constexpr const char* type = "job_cancelled";
  JobId job;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(JobCancelled, (), (job, actor))

/// Somebody asked that the running attempt stop and the job queue again.
struct JobRequeued {
  static constexpr const char* type = "job_requeued";
  JobId job;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(JobRequeued, (), (job, actor))

/// A waiting job is to wait until it is released.
struct JobHeld {
  static constexpr const char* type = "job_held";
  JobId job;
  HoldKind kind = HoldKind::user;
  std::string reason;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(JobHeld, (), (job, kind, reason, actor))

struct JobReleased {
  static constexpr const char* type = "job_released";
  JobId job;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(JobReleased, (), (job, actor))

/// Queued jobs of one owner take each other's places in the order: the first of these the foremost of them, and so on.
struct JobsReordered {
  static constexpr const char* type = "jobs_reordered";
  std::vector<JobId> jobs;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(JobsReordered, (), (jobs, actor))

/// What a queued job may have changed; absent: it stays. Its place in the order doesn't suffer.
struct JobChange {
  std::optional<Resources> resources;
  std::optional<Duration> time_limit_ms;
  std::optional<std::string> partition, qos;
  std::optional<std::vector<std::string>> only_nodes, without_nodes;
  std::optional<bool> exclusive;
  bool operator==(const JobChange&) const = default;
};
BOOST_DESCRIBE_STRUCT(JobChange, (), (resources, time_limit_ms, partition, qos, only_nodes, without_nodes, exclusive))

struct JobEdited {
  static constexpr const char* type = "job_edited";
  JobId job;
  JobChange change;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(JobEdited, (), (job, change, actor))

/// A favour was granted: what it costs the others. What it consists of follows as an event of its own.
struct FavourBilled {
  static constexpr const char* type = "favour_billed";
  Bill bill;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(FavourBilled, (), (bill, actor))

/// A queued job is ahead of all that have no boost, until it starts or the time is over.
struct JobBoosted {
  static constexpr const char* type = "job_boosted";
  JobId job;
  std::int64_t bill = 0;
  Time until_ms;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(JobBoosted, (), (job, bill, until_ms, actor))

/// A job may run longer than it asked for, whether it runs already or still waits.
struct JobExtended {
  static constexpr const char* type = "job_extended";
  JobId job;
  Duration time_limit_ms;  // from now on
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(JobExtended, (), (job, time_limit_ms, actor))

/// What jobs have waited for so far. Derived from the entries before it, and recorded so that nobody has to derive it again.
struct AccountedWait {
  JobId job;
  std::vector<WaitPart> parts;  // all of its wait until then
  Time until_ms;
  bool operator==(const AccountedWait&) const = default;
};
BOOST_DESCRIBE_STRUCT(AccountedWait, (), (job, parts, until_ms))

struct WaitsAccounted {
  static constexpr const char* type = "waits_accounted";
  std::vector<AccountedWait> waits;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(WaitsAccounted, (), (waits, actor))

/// The node takes no new gangs; those that run finish.
struct NodeDrained {
  static constexpr const char* type = "node_drained";
  std::string node;
  std::string reason;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(NodeDrained, (), (node, reason, actor))

struct NodeResumed {
  static constexpr const char* type = "node_resumed";
  std::string node;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(NodeResumed, (), (node, actor))

/// Somebody who can see it says that an unreachable node is off: its parts of gangs are over. Nobody else can know, as long as it doesn't answer.
struct NodeLost {
  static constexpr const char* type = "node_lost";
  std::string node;
  std::string reason;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(NodeLost, (), (node, reason, actor))

/// A new reservation, or one of the same name instead of the old one.
struct ReservationMade {
  static constexpr const char* type = "reservation_made";
  Reservation reservation;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(ReservationMade, (), (reservation, actor))

/// Cancelled, or over.
struct ReservationEnded {
  static constexpr const char* type = "reservation_ended";
  std::string name;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(ReservationEnded, (), (name, actor))

/// A calendar month of the cluster's time zone began; what limits per month count starts from nothing. The core knows no time zones.
struct PeriodStarted {
  static constexpr const char* type = "period_started";
  Time start_ms, end_ms;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(PeriodStarted, (), (start_ms, end_ms, actor))

/// An agent proved the cluster secret and said hello. Also recorded when a silent node speaks again.
struct NodeJoined {
  static constexpr const char* type = "node_joined";
  std::string node;
  std::string boot_id;
  std::string agent_version;
  std::string address;
  Actor actor;
  bool launches_as_owner = false;
};
BOOST_DESCRIBE_STRUCT(NodeJoined, (), (node, boot_id, agent_version, address, actor, launches_as_owner))

struct NodeSuspected {
  static constexpr const char* type = "node_suspected";
  std::string node;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(NodeSuspected, (), (node, actor))

struct NodeUnreachable {
  static constexpr const char* type = "node_unreachable";
  std::string node;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(NodeUnreachable, (), (node, actor))

/// `ultra run` inside the attempt: one more gang over its allocation.
struct GangRequested {
  static constexpr const char* type = "gang_requested";
  JobId job;
  std::int64_t attempt = 1;
  std::int64_t gang = 2;
  GangSpec spec;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(GangRequested, (), (job, attempt, gang, spec, actor))

/// Who started a gang by `ultra run` wants it stopped; the job goes on.
struct GangStopRequested {
  static constexpr const char* type = "gang_stop_requested";
  JobId job;
  std::int64_t attempt = 1;
  std::int64_t gang = 2;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(GangStopRequested, (), (job, attempt, gang, actor))

/// All ranks of the gang run.
struct GangStarted {
  static constexpr const char* type = "gang_started";
  JobId job;
  std::int64_t attempt = 1;
  std::int64_t gang = 1;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(GangStarted, (), (job, attempt, gang, actor))

struct CheckpointSaved {
  static constexpr const char* type = "checkpoint_saved";
  JobId job;
  std::int64_t attempt = 1;
  std::int64_t gang = 1;
  std::int64_t step = 0;
  std::string path;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(CheckpointSaved, (), (job, attempt, gang, step, path, actor))

/// A rank failed or a node refused its part of the launch: the first such event of an attempt stops the whole gang.
struct GangFailed {
  static constexpr const char* type = "gang_failed";
  JobId job;
  std::int64_t attempt = 1;
  std::int64_t gang = 1;
  Outcome outcome = Outcome::failed;
  Failure failure;
  Actor actor;
  bool corrects = false;  // what was said first was a consequence: this is the cause
};
BOOST_DESCRIBE_STRUCT(GangFailed, (), (job, attempt, gang, outcome, failure, actor, corrects))

/// Of a gang that is being stopped nothing is left but what may still run on nodes that can't be reached.
struct GangCutOff {
  static constexpr const char* type = "gang_cut_off";
  JobId job;
  std::int64_t attempt = 1;
  std::int64_t gang = 1;
  std::vector<std::string> nodes;  // those that can't be reached
  Duration wait_ms;                // until their ranks have stopped themselves
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(GangCutOff, (), (job, attempt, gang, nodes, wait_ms, actor))

/// No rank has finished a step for too long, on any node. Stops the job as a failure does, unless the cluster only wants to know.
struct GangStalled {
  static constexpr const char* type = "gang_stalled";
  JobId job;
  std::int64_t attempt = 1;
  std::int64_t gang = 1;
  Failure failure;  // who is to blame, if that can be told, and why
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(GangStalled, (), (job, attempt, gang, failure, actor))

/// A gang that had stalled makes progress again.
struct GangWentOn {
  static constexpr const char* type = "gang_went_on";
  JobId job;
  std::int64_t attempt = 1;
  std::int64_t gang = 1;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(GangWentOn, (), (job, attempt, gang, actor))

/// No rank of the gang runs any more, on any node.
struct GangFinished {
  static constexpr const char* type = "gang_finished";
  JobId job;
  std::int64_t attempt = 1;
  std::int64_t gang = 1;
  Outcome outcome = Outcome::succeeded;
  std::vector<RankResult> ranks;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(GangFinished, (), (job, attempt, gang, outcome, ranks, actor))

/// Nothing of the attempt is left on any node: its devices are free.
struct AttemptEnded {
  static constexpr const char* type = "attempt_ended";
  JobId job;
  std::int64_t attempt = 1;
  Outcome outcome = Outcome::succeeded;
  Actor actor;
};
BOOST_DESCRIBE_STRUCT(AttemptEnded, (), (job, attempt, outcome, actor))

using Event = std::variant<ClusterConfigured, PolicyChanged, JobSubmitted, JobCancelled, JobRequeued, JobHeld, JobReleased, JobsReordered,
                           JobEdited, FavourBilled, JobBoosted, JobExtended, WaitsAccounted,
                           NodeJoined, NodeSuspected, NodeUnreachable, NodeDrained, NodeResumed, NodeLost, ReservationMade, ReservationEnded, PeriodStarted,
                           GangRequested, GangStopRequested, GangStarted, CheckpointSaved, GangFailed, GangStalled, GangWentOn, GangCutOff,
                           GangFinished, AttemptEnded>;

/// The next attempt of a queued job starts on this allocation, now.
struct StartJob {
  static constexpr const char* type = "start_job";
  JobId job;
  std::int64_t attempt = 1;
  Allocation allocation;
  bool backfilled = false;
  std::int64_t overtaken = 0;  // how many jobs ahead of it do not start
  std::optional<Duration> trial_ms;  // a trial: so long its ranks may run, on fewer GPUs than it asked for
  bool operator==(const StartJob&) const = default;
};
BOOST_DESCRIBE_STRUCT(StartJob, (), (job, attempt, allocation, backfilled, overtaken, trial_ms))

/// A running attempt is to stop, so that more entitled jobs get its devices; its job queues again.
struct PreemptJob {
  static constexpr const char* type = "preempt_job";
  JobId job;
  std::int64_t attempt = 1;
  bool operator==(const PreemptJob&) const = default;
};
BOOST_DESCRIBE_STRUCT(PreemptJob, (), (job, attempt))

/// A job that can never run (for example after its nodes left the cluster file).
struct RejectJob {
  static constexpr const char* type = "reject_job";
  JobId job;
  std::string detail;
  bool operator==(const RejectJob&) const = default;
};
BOOST_DESCRIBE_STRUCT(RejectJob, (), (job, detail))

using Decision = std::variant<StartJob, RejectJob, PreemptJob>;

/// One call of `decide` that chose something. Recovery applies it as it is and never decides anew.
struct Round {
  static constexpr const char* type = "round";
  Time now_ms;
  std::int64_t planner_version = 1;
  std::string policy_hash;
  std::vector<Decision> decisions;
};
BOOST_DESCRIBE_STRUCT(Round, (), (now_ms, planner_version, policy_hash, decisions))

/// A line of the journal is one of these. (A variant of variants would nest the tag.)
using Entry = std::variant<ClusterConfigured, PolicyChanged, JobSubmitted, JobCancelled, JobRequeued, JobHeld, JobReleased, JobsReordered,
                           JobEdited, FavourBilled, JobBoosted, JobExtended, WaitsAccounted,
                           NodeJoined, NodeSuspected, NodeUnreachable, NodeDrained, NodeResumed, NodeLost, ReservationMade, ReservationEnded, PeriodStarted,
                           GangRequested, GangStopRequested, GangStarted, CheckpointSaved, GangFailed, GangStalled, GangWentOn, GangCutOff,
                           GangFinished, AttemptEnded, Round>;

inline Entry to_entry(const Event& event) {
  return std::visit([](const auto& alternative) -> Entry { return alternative; }, event);
}

}  // namespace ultramarine
