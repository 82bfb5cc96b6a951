// The follower: a fold of the journal on a thread of its own, for what takes a plan after every change and nobody waits for. It drives the ledger of
// waits, the counter of slips and the certificates of overtakings, and answers questions about them. It is handed what is on disk and never holds
// up the daemon's thread; when much happens at once it lags, and looks less often (see core/wait_ledger), but misses nothing.
// Knows no clock, no store and no agents.
#pragma once

#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "scheduler/api/followed.h"
#include "scheduler/core/certificate.h"
#include "scheduler/core/scheduler.h"
#include "scheduler/core/slips.h"
#include "scheduler/core/wait_ledger.h"
#include "scheduler/server/inbox.h"

namespace ultramarine::server {

class Follower {
 public:
  using Entries = std::vector<std::pair<Time, Entry>>;
  using Question = std::function<void(const api::Followed&)>;

  using OnPlan = std::function<void(const State& state, const Plan& plan)>;

  /// Both are called on the follower's thread: of plans that it makes anyway, none of times before this life of the scheduler.
  Follower(std::function<void(const std::vector<core::Slip>&)> on_slips, OnPlan on_plan) : on_slips_(std::move(on_slips)), on_plan_(std::move(on_plan)) {}
  ~Follower() { stop(); }

  // ---- the daemon's thread
  /// Starts the thread with what is known when the daemon begins: a state as it was at `at`, and the entries that followed.
  void start(State state, Time at, Entries since);
  /// Entries that are on disk by now.
  void follow(Entries entries);
  /// Runs `question` after all that was handed over before. Any thread. `now`: no earlier than what was handed over.
  void ask(Time now, Question question);
  /// Waits that are over and that the journal lacks; each is given once.
  std::vector<AccountedWait> take_finished();
  /// What all who wait have waited for until `now`, by few names.
  std::future<std::vector<AccountedWait>> open_waits(Time now);
  void stop();

 private:
  void run();
  void take(Time at, const Entry& entry);
  void look(Time before);
  void look_at(Time time);
  void count_slips(const Plan& plan);
  void note(const Round& round, const Plan& before);
  void forget_ended(const Entry& entry);
  void publish();

  const std::function<void(const std::vector<core::Slip>&)> on_slips_;
  const OnPlan on_plan_;
  Inbox inbox_;
  std::thread thread_;

  // ---- its own thread only
  core::Scheduler scheduler_;
  core::WaitLedger waits_;
  core::SlipCounter slips_;
  std::map<JobId, Certificate> certificates_;
  std::vector<JobId> ended_;  // those of them whose jobs have ended, in that order
  std::map<JobId, api::Passed> passed_;
  Time at_;                   // of the newest entry
  std::set<std::pair<JobId, Time>> given_;
  bool is_live_ = false;      // what happened before this life of the scheduler has been taken

  std::mutex mutex_;
  std::vector<AccountedWait> finished_;
};

}  // namespace ultramarine::server
