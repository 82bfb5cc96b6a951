// Ephemeral facts: who was heard when, how far each gang is on each node, the newest progress. Not journaled, not in the state
// hash, and neither `plan` nor `decide` can read it. What follows from it becomes a durable event first: `due_events` says which.
// A plain value that the daemon (or the simulator) owns and fills in from messages.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/model/event.h"
#include "scheduler/model/gang_report.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

struct NodeLiveness {
  bool connected = false;
  Time last_heard_ms;
  DeviceSource source = DeviceSource::virtual_devices;
  std::vector<DeviceReport> devices;
  std::vector<GangKey> known_gangs;  // from the last Hello; grows with each report
  std::optional<NodeFacts> facts;    // from the last Hello
  Time facts_heard_ms;
  std::deque<Duration> clock_leads;  // how far its clock was ahead of ours at its last heartbeats, each less what that was under way
  std::string metrics;               // from the last Hello: host:port of the agent's /metrics; "" = nowhere
};

struct TrainingProgress {
  std::int64_t step = 0;
  double loss = 0;
  double tokens_per_s = 0;
  std::int64_t tokens = 0;
  std::string phase;
  Time advanced_ms;  // when the step last rose
  double flops_per_token = 0;  // of the model, forward and backward; 0 = the program doesn't say
};

struct GangLiveness {
  Time first_asked_ms;                       // when Prepare was first sent in this life of the scheduler
  std::map<std::string, GangReport> nodes;   // newest report of each node
  std::optional<TrainingProgress> progress;
  std::map<std::string, GangStillness> stillness;  // of nodes where nothing goes on, what they last said (stall.h)
};

struct Liveness {
  std::optional<Time> started_ms;  // when this life of the scheduler began: the silence of nodes not heard since counts from here;
                                   // absent: such nodes are not judged
  std::map<std::string, NodeLiveness> nodes;
  std::map<GangKey, GangLiveness> gangs;
};

/// Durable events that state and liveness imply now, in order; to be journaled and applied, then asked again until empty.
///   NodeSuspected, NodeUnreachable  after timeouts.suspect and .unreachable of silence of a node that had joined
///   GangStarted                     every node of a gang that is being launched reports running (or finished)
///   GangFailed                      a node reports a failure (first_failure.h: of several, the cause; until the end it may be corrected); or a node that said hello does not know a gang that is past prepared
///                                   elsewhere (supervisor_lost, or node_lost when its boot id changed or somebody says that it is lost); or timeouts.launch passed; or a node of a job
///                                   over several can't be reached and the ranks get no further (node_lost; NodeLossRule says whether)
///   GangStalled, GangWentOn         every node of a running gang says that nothing goes on there (stall.h); no longer
///   GangCutOff                      of a gang that is being stopped, only nodes that can't be reached may still have something, and that will stop itself
///   GangFinished                    every node of the gang reports finished, or has joined again without knowing the gang; or it was cut off, and the
///                                   time in which the rest stops itself is over
///   AttemptEnded                    every gang of the attempt has finished; its outcome is that of gang 1
///   ReservationEnded                a reservation's end has come
/// Exactly one GangFinished per gang and one AttemptEnded per attempt, whatever is repeated or late. Outcome of gang 1: stop_cause cancelled -> cancelled,
/// requeued -> preempted, rank_failed -> the failure's outcome, else succeeded. Of the others: their own failure, or cancelled (preempted) when they were stopped.
/// `active`: the jobs that hold devices, all of them; whoever doesn't keep them leaves it to `active_jobs`.
std::vector<Event> due_events(const State& state, const std::set<JobId>& active, const Liveness& liveness, Time now);
std::vector<Event> due_events(const State& state, const Liveness& liveness, Time now);
/// When `due_events` could next say something without a new message.
std::optional<Time> next_due(const State& state, const std::set<JobId>& active, const Liveness& liveness, Time now);
std::optional<Time> next_due(const State& state, const Liveness& liveness, Time now);
/// O(all jobs).
std::set<JobId> active_jobs(const State& state);

/// What the newest gang of the job's newest attempt that says any said last; nullptr when none does.
const TrainingProgress* newest_progress(const Liveness& liveness, const Job& job);

/// What a node should be told about a gang.
enum class LaunchStep { nothing, prepare, start, stop, terminate, forget };
/// Who acts on `forget` also drops the node's report and its known gang from the liveness, else it is said again.
/// Derived from state and liveness alone, so that a restarted scheduler repeats exactly what is needed:
/// prepare: not started and this node has not reported; start: not started and all nodes are prepared or beyond, this one is prepared;
/// stop: to be stopped (gangs.h) and this node is not finished; terminate: it was asked for a checkpoint, and there is one; forget: the gang has finished and the node still reports it.
LaunchStep launch_step(const State& state, const Liveness& liveness, const GangKey& key, const std::string& node);

}  // namespace ultramarine::core
