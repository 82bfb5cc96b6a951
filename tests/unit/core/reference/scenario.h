// A story for the scheduler, as data: a cluster, a policy, jobs with the time at which they come and how long they really run, and what
// people do meanwhile. One file (TOML, or the JSON that a failing random test prints) is played by the real core in virtual time, so
// that a reader checks a case without reading the engine. Times count from the story's beginning, 0.
#pragma once

#include <boost/describe.hpp>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/core/scheduler.h"
#include "scheduler/model/event.h"

namespace ultramarine::core::reference {

struct ScenarioJob {
  Time at_ms;
  std::string user = "ada";
  Duration runs_ms;                       // from its start; 0 = until its time limit
  JobSpec spec;                           // as a user would send it
  std::vector<std::int64_t> array;        // indices, ascending; empty = no array
  std::int64_t array_limit = 0;
};
BOOST_DESCRIBE_STRUCT(ScenarioJob, (), (at_ms, user, runs_ms, spec, array, array_limit))

/// One of them each.
struct ScenarioEvent {
  Time at_ms;
  std::optional<JobHeld> hold;
  std::optional<JobReleased> release;
  std::optional<JobsReordered> reorder;
  std::optional<JobCancelled> cancel;
  std::optional<GangFailed> fail;
  std::optional<NodeDrained> drain;
  std::optional<NodeResumed> resume;
  std::optional<NodeSuspected> suspect;
  std::optional<NodeJoined> join;
  std::optional<ReservationMade> reserve;
  std::optional<ReservationEnded> unreserve;
  std::optional<PeriodStarted> period;
  std::optional<ClusterConfigured> configure;
};
BOOST_DESCRIBE_STRUCT(ScenarioEvent, (), (at_ms, hold, release, reorder, cancel, fail, drain, resume, suspect, join, reserve, unreserve, period, configure))

struct Scenario {
  std::string about;
  ClusterConfig cluster;
  PolicyConfig policy;
  std::vector<ScenarioJob> job;  // they get the numbers 1, 2, ... in this order
  std::vector<ScenarioEvent> event;
  Time ask_ms;                   // when the plan is looked at, before the round of that moment
};
BOOST_DESCRIBE_STRUCT(Scenario, (), (about, cluster, policy, job, event, ask_ms))

/// Reads a file's text: JSON when it starts with {, else TOML. A cluster without partitions, accounts and QOS gets one of each.
/// Throws std::runtime_error that names what is wrong with it.
Scenario read_scenario(const std::string& text, const std::string& file_name);
/// JSON that `read_scenario` reads, without what is as it is by default. rapidcheck shows failing cases by it.
std::string to_text(const Scenario& scenario);
std::ostream& operator<<(std::ostream& out, const Scenario& scenario);
/// The same for parts of an answer.
std::string to_text(const PlannedJob& line);
std::string to_text(const Decision& decision);

/// Plays a story. At each moment: first what ends, then what people do, then who comes; a round is the caller's to ask for.
class Playback {
 public:
  explicit Playback(Scenario scenario);

  /// Goes on to that time, with a round at each moment before it; at the time itself everything has happened but the round.
  void advance_to(Time time, const std::function<void(const Decision&)>& decided);
  /// Goes on to the next moment at which something happens or the scheduler wants to be asked again. False: nothing is to come.
  bool advance();
  /// The next such moment, or nothing.
  std::optional<Time> next() const;
  /// Decides, applies, and decides again until nothing is left to do at this moment. All decisions, in order.
  std::vector<Decision> round();
  /// The same with somebody else's decisions.
  std::vector<Decision> round(const std::function<std::vector<Decision>()>& decide);
  void apply(const Entry& entry);

  Scheduler scheduler;
  Time now;
  std::function<void(const Entry&)> after_entry;  // called after each one
  std::vector<JobId> came, ended;       // at this moment
  std::vector<std::string> violations;  // of invariants

 private:
  void submit(const ScenarioJob& job);
  void end(JobId id, Outcome outcome);
  static Outcome why_it_stops(const Job& job);

  Scenario scenario_;
  std::vector<bool> happened_, submitted_;  // per event, per job
  std::map<JobId, Duration> runs_;
  std::map<JobId, Time> begins_, ends_;     // of running attempts: when its ranks run, and when they are done
  std::set<JobId> cut_off_;                 // of these, trials that run out of time
};

}  // namespace ultramarine::core::reference
