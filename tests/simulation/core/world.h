// A small cluster in one process and virtual time: the real core and its liveness rules, driven against pretended agents that can be
// silent, cut off, restarted or broken. Everything follows from one seed. After every entry the invariants are checked, and the
// state's hash is kept, so that a replay can be compared at every prefix of the journal.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/core/liveness.h"
#include "scheduler/core/scheduler.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {

enum class Fault { mute, cut_off, reboot, lost_gang, rank_failure, refused_launch, scheduler_restart, cluster_change, hang, count };
/// What people do beside submitting, cancelling and requeueing.
enum class Habit { hold, reorder, drain, wishes, policy_change, dates, reserve, limits, trials, count };

class World {
 public:
  explicit World(std::uint64_t seed);

  /// One random thing happens, then the scheduler does all that follows from it.
  void step();
  /// No more faults: everything is connected and answers, until every job has ended. A job that does not is a complaint.
  void heal();

  struct Record {
    Time at;
    Entry entry;
    std::string hash_after;
  };
  const Scheduler& scheduler() const { return scheduler_; }
  const std::vector<Record>& journal() const { return journal_; }
  const std::map<std::size_t, State>& snapshots() const { return snapshots_; }  // by the number of entries before it
  std::size_t cancelled_as_never() const { return cancelled_as_never_; }
  const std::vector<std::string>& complaints() const { return complaints_; }
  std::string faults_in_words() const;

 private:
  struct PretendedGang {
    GangReport report;
    std::vector<std::int64_t> devices;
    bool ran = false;
  };
  struct Command {
    LaunchStep step;
    GangKey key;
    std::vector<std::int64_t> devices;
  };
  struct Agent {
    std::string node;
    bool muted = false;      // alive, but nothing gets through in either direction, and the connection stays open
    bool connected = false;
    std::int64_t boot = 1, session = 0;
    std::map<GangKey, PretendedGang> gangs;
    std::deque<Command> inbox;
    std::deque<GangReport> outbox;
  };

  bool has(Fault fault) const { return faults_.count(fault) != 0; }
  bool has(Habit habit) const { return habits_.count(habit) != 0; }
  const Actor& anybody();
  Agent& any_agent();
  JobId any_job();

  // ---- the scheduler's side: what the daemon does
  void record(const Entry& entry);
  void follow_up();
  void heard(const Agent& agent);
  void take_hello(Agent& agent);
  void take(const Agent& agent, const GangReport& report);
  void dispatch();
  void restart_scheduler();

  // ---- the agents' side
  void deliver(Agent& agent);
  void obey(Agent& agent);
  void progress(Agent& agent, bool may_fail);
  void report(Agent& agent, const PretendedGang& gang);
  void stand_still();
  void cut_off(Agent& agent);
  void pass_time(Duration length);

  // ---- people
  void submit();
  void request_gang();
  void stop_gang();
  void change_cluster();
  void configure(const ClusterConfig& cluster);
  void check_the_world();
  void check_the_plan();
  void check_the_kept_plan();
  void check_that_nobody_below_matters();
  void cancel_what_never_comes();
  void hold_or_release();
  void reorder();
  void drain_or_resume();
  void change_policy();
  void add_trials(PolicyConfig& policy);
  void add_wishes(JobSpec& spec);
  void add_dates(JobSpec& spec);
  void reserve();
  void set_limits();
  void undo_what_people_did();

  // ---- rules (world_rules.cpp)
  void check_round(const std::vector<Decision>& decisions);
  void check_start(const State& state, const StartJob& start);
  void check_dates(const State& state, const Job& job, const StartJob& start);
  void check_limits(const State& state, const Job& job, const Allocation& allocation);
  void check_own_turns(const Plan& plan);

  Random random_;
  std::set<Fault> faults_;
  std::set<Habit> habits_;
  Scheduler scheduler_;
  Liveness liveness_;
  Time now_{1'700'000'000'000};
  ClusterConfig full_cluster_;
  std::map<std::string, Agent> agents_;
  std::map<std::pair<GangKey, std::string>, std::pair<std::int64_t, LaunchStep>> said_;
  std::vector<Record> journal_;
  std::map<std::size_t, State> snapshots_;
  std::vector<std::string> complaints_;
  std::size_t cancelled_as_never_ = 0;
  std::size_t asked_for_the_kept_plan_ = 0;
};

}  // namespace ultramarine::core
