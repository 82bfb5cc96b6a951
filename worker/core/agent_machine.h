// The agent as a state machine: messages and time go in, a list of actions comes out. It obeys the scheduler, repeats to it what
// the shims say until that is safely recorded, and refuses what is late, doubled or not meant for this node. It decides nothing.
// Pure: no clock, no I/O, no threads; the daemon in worker/agent and the simulator both run it. It knows nothing of sockets,
// folders, processes or logs.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "scheduler/protocol/agent_messages.h"
#include "scheduler/protocol/shim_messages.h"
#include "worker/core/agent_memory.h"
#include "worker/core/launch_check.h"

namespace ultramarine::worker_core {

// ---- actions, to be carried out in order -------------------------------------------------------------------------

/// Have this on disk before the next action. When that fails, stop the process: no action after it may happen.
struct Remember {
  MemoryChange change;
};
/// To the scheduler. A Hello or Heartbeat comes without device samples and facts: whoever sends it fills them in.
struct Send {
  protocol::FromAgent message;
};
/// Start the shim of this gang (launcher: prepare).
struct LaunchPrepare {
  protocol::LaunchSpec launch;
};
/// To the shim of this gang.
struct TellShim {
  GangKey key;
  protocol::ToShim message;
};
/// Nobody will ask for this gang again: drop all but its logs (launcher: forget).
struct ForgetGang {
  GangKey key;
};
using Action = std::variant<Remember, Send, LaunchPrepare, TellShim, ForgetGang>;
using Actions = std::vector<Action>;

/// What is known of one gang on this node.
struct KnownGang {
  GangRecord record;
  GangReport report;   // the newest; phase preparing until the shim has spoken
  bool heard = false;  // false: remembered from an earlier agent, and its shim has not spoken yet
  std::optional<protocol::LaunchSpec> waiting;  // held back until an older attempt of the job has left this node
  std::optional<protocol::Start> start;         // to be handed over once prepared
  std::optional<protocol::Stop> stop;           // to be handed over once prepared
  bool forget_when_finished = false;
  std::optional<protocol::Progress> progress;   // newest that was not sent
  Time progress_sent_ms{-1'000'000};
  std::optional<GangStillness> stillness;       // while nothing goes on here; said at once, and again to every new scheduler
  std::int64_t promised_before = 0;             // the heartbeat that followed the report of the newest self_stop_ms; 0 = nobody was told

  bool live() const { return report.phase != GangPhase::finished; }
};

/// A gang's progress goes to the scheduler at most once in this time; the newest wins.
constexpr Duration progress_interval{1000};
/// A checkpoint that the scheduler has not recorded is reported again after this time.
constexpr Duration checkpoint_repeat_interval{5000};
/// Heartbeats that wait for an answer: the newest. What answers an older one is out of date.
constexpr std::size_t unanswered_max = 1024;

/// `now` never goes back between two calls; gangs of an attempt are introduced in rising order of their number.
class AgentMachine {
 public:
  AgentMachine(AgentIdentity identity, const AgentMemory& memory);

  /// Both sides proved the secret: says Hello, which lists every known gang. Reports follow once the Welcome has come.
  Actions on_connected();
  /// Until the next Welcome nothing is sent; what is worth it is kept. Ranks run on.
  void on_disconnected();
  /// A command. LogRequest, LogCancel, ApiReply and AttemptOver need no state and have no effect here.
  Actions on_scheduler(Time now, const protocol::ToAgent& message);
  Actions on_shim(Time now, const protocol::FromShim& message);
  /// At start: this remembered gang has left no trace on the node (no folder), so no shim will ever speak for it.
  Actions on_lost_gang(Time now, const GangKey& key);
  /// These devices compute no more, or wrong: the gangs that run on them fail with outcome device_lost and this failure, and are stopped.
  Actions on_device_lost(const std::vector<std::int64_t>& devices, const Failure& failure);
  /// A Prepare that this node can't obey at the moment, for no fault of the job: it is refused, unless the gang is known.
  Actions on_unlaunchable(Time now, const GangKey& key, const std::string& why);
  /// Something about this node itself; said when the scheduler listens, once.
  Actions on_trouble(const protocol::NodeTrouble& trouble);
  /// Heartbeats, held-back progress, repeated checkpoints.
  Actions on_time(Time now);
  /// When `on_time` next has something to do; nullopt: not before another message.
  std::optional<Time> next_wakeup() const;

  const AgentIdentity& identity() const { return identity_; }
  const std::map<GangKey, KnownGang>& gangs() const { return gangs_; }
  /// True unless a gang of that name is known and not finished.
  bool is_over(const GangKey& key) const;
  AgentMemory memory() const;

 private:
  void on(Time now, const protocol::Welcome& welcome);
  void on(Time now, const protocol::Prepare& prepare);
  void on(Time now, const protocol::Start& start);
  void on(Time now, const protocol::Stop& stop);
  void on(Time now, const protocol::Heard& heard);
  void on(Time now, const protocol::Forget& forget);
  void on(Time now, const protocol::CheckpointRecorded& recorded);
  void on(Time now, const protocol::LogRequest& request);
  void on(Time now, const protocol::LogCancel& cancel);
  void on(Time now, const protocol::ApiReply& reply);
  void on(Time now, const protocol::AttemptOver& over);
  void on(Time now, const protocol::TerminalInput& input);
  void on(Time now, const protocol::Examine& examine);
  void on(Time now, const protocol::TimeAllowed& allowed);
  void on(Time now, const GangReport& report);
  void on(Time now, const protocol::Progress& progress);
  void on(Time now, const protocol::CheckpointReport& report);
  void on(Time now, const GangStillness& stillness);

  void send(protocol::FromAgent message);
  void send_report(KnownGang& gang);
  void send_progress(Time now, KnownGang& gang);
  void remember(const GangKey& key);
  bool is_older(const GangKey& key) const;
  bool note_seen(Time now, const GangKey& key);
  void prune_seen();
  KnownGang* find(const GangKey& key);
  void answer_older(const GangKey& key);
  void end_unlaunched(Time now, const GangKey& key, Outcome outcome, const std::string& detail, bool node_at_fault = false);
  void finish(Time now, KnownGang& gang, GangReport report);
  void stop_gang(Time now, KnownGang& gang, const protocol::Stop& stop);
  void launch_waiting(JobId job);
  bool older_lives(const GangKey& key) const;
  const KnownGang* holder_of(const GangRecord& record) const;
  std::optional<Time> take_answered(std::int64_t sequence);
  Actions take();

  AgentIdentity identity_;
  std::map<JobId, SeenAttempt> seen_;
  std::int64_t last_order_ = 0;  // of `seen_`
  MemoryChange change_;             // of `seen_`, since the last Remember
  std::set<GangKey> changed_gangs_;
  std::map<GangKey, KnownGang> gangs_;
  bool welcome_ = false;  // the scheduler listens
  std::vector<protocol::NodeTrouble> troubles_;  // that nobody has heard
  Duration heartbeat_interval_{1000};
  std::int64_t heartbeats_ = 0;
  std::deque<std::pair<std::int64_t, Time>> unanswered_;  // heartbeats by number, and when each was sent
  Time next_heartbeat_ms_;
  Time next_checkpoint_repeat_ms_;
  Actions actions_;  // of the input that is being handled
};

}  // namespace ultramarine::worker_core
