// See follower.h.
#include "scheduler/server/follower.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <variant>

namespace ultramarine::server {
namespace {

constexpr int niceness = 10;                      // decisions come first
constexpr std::size_t ended_certificates_max = 1000;
constexpr std::size_t open_names_max = 3;         // whoever still waits is recorded briefly: more is to come

}  // namespace

void Follower::start(State state, Time at, Entries since) {
  scheduler_ = core::Scheduler(std::move(state));
  waits_ = core::WaitLedger(scheduler_.state(), at);
  at_ = at;
  follow(std::move(since));
  inbox_.post([this] { is_live_ = true; });
  thread_ = std::thread([this] { run(); });
}

void Follower::follow(Entries entries) {
  if (entries.empty()) return;
  inbox_.post([this, entries = std::move(entries)] {
    for (const auto& [at, entry] : entries) take(at, entry);
    publish();
  });
}

void Follower::ask(Time now, Question question) {
  inbox_.post([this, now, question = std::move(question)] {
    look(now);
    question({scheduler_.state(), waits_, certificates_, passed_, std::max(now, at_)});
  });
}

std::vector<AccountedWait> Follower::take_finished() {
  const std::lock_guard lock(mutex_);
  return std::exchange(finished_, {});
}

std::future<std::vector<AccountedWait>> Follower::open_waits(Time now) {
  auto promise = std::make_shared<std::promise<std::vector<AccountedWait>>>();
  ask(now, [promise](const api::Followed& followed) {
    std::vector<AccountedWait> open = followed.waits.open(followed.now_ms);
    for (AccountedWait& wait : open) wait.parts = core::merged(std::move(wait.parts), open_names_max);
    promise->set_value(std::move(open));
  });
  return promise->get_future();
}

void Follower::stop() {
  inbox_.close();
  if (thread_.joinable()) thread_.join();
}

void Follower::run() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), niceness);
  while (!inbox_.closed()) {
    for (const Inbox::Work& work : inbox_.take(std::chrono::steady_clock::now() + std::chrono::hours(1))) {
      if (inbox_.closed()) return;
      work();
    }
    // What was handed over last is looked at at once where that is due already; later entries can't be of an earlier time.
    if (const auto due = waits_.looks_at(); due && *due == at_) look_at(*due);
  }
}

void Follower::take(Time at, const Entry& entry) {
  look(at);
  at_ = at;
  const auto* round = std::get_if<Round>(&entry);
  std::optional<Plan> before;
  if (round && core::overtakes(*round)) {
    before = scheduler_.plan(at);
    count_slips(*before);
  }
  scheduler_.apply(at, entry);
  slips_.on_entry(entry, scheduler_.state());
  waits_.on_entry(at, entry, scheduler_.state());
  if (before) note(*round, *before);
  forget_ended(entry);
}

/// Before anything of `before` or later is taken.
void Follower::look(Time before) {
  if (const auto due = waits_.looks_at(); due && *due < before) look_at(*due);
}

void Follower::look_at(Time time) {
  const Plan plan = scheduler_.plan(time);
  waits_.on_plan(scheduler_.state(), plan);
  count_slips(plan);
  if (is_live_) on_plan_(scheduler_.state(), plan);
}

/// What moved before this life of the scheduler was counted then.
void Follower::count_slips(const Plan& plan) {
  const std::vector<core::Slip> slips = slips_.on_plan(scheduler_.state(), plan);
  if (is_live_) on_slips_(slips);
}

void Follower::note(const Round& round, const Plan& before) {
  const Plan after = scheduler_.plan(at_);
  count_slips(after);
  for (core::Overtaking& one : core::certify(before, round, after)) {
    for (const JobId job : one.overtaken) {
      api::Passed& passed = passed_[job];
      ++passed.times;
      passed.last = one.certificate.job;
    }
    certificates_[one.certificate.job] = std::move(one.certificate);
  }
}

/// Certificates are kept for a while after the end of their jobs; who passed a job, until it has ended.
void Follower::forget_ended(const Entry& entry) {
  const auto ends = [&](JobId id) {
    const auto job = scheduler_.state().jobs.find(id);
    if (job == scheduler_.state().jobs.end() || !is_terminal(job->second.state)) return;
    passed_.erase(id);
    if (certificates_.count(id) != 0) ended_.push_back(id);
  };
  if (const auto* ended = std::get_if<AttemptEnded>(&entry)) ends(ended->job);
  if (const auto* cancelled = std::get_if<JobCancelled>(&entry)) ends(cancelled->job);
  if (ended_.size() <= 2 * ended_certificates_max) return;
  for (std::size_t i = 0; i < ended_certificates_max; ++i) certificates_.erase(ended_[i]);
  ended_.erase(ended_.begin(), ended_.begin() + ended_certificates_max);
}

void Follower::publish() {
  std::set<std::pair<JobId, Time>> still;
  std::vector<AccountedWait> fresh;
  for (const auto& [id, wait] : waits_.finished()) {
    const std::pair key{id, wait.until_ms};
    if (given_.count(key) == 0) fresh.push_back(wait);
    still.insert(key);
  }
  given_ = std::move(still);
  if (fresh.empty()) return;
  const std::lock_guard lock(mutex_);
  std::move(fresh.begin(), fresh.end(), std::back_inserter(finished_));
}

}  // namespace ultramarine::server
