// What jobs waited for: one job's ledger, and account against account. The answers are made on the follower's thread, from what it knows at one moment.
#include <algorithm>
#include <map>
#include <tuple>

#include "scheduler/api/handlers.h"
#include "scheduler/api/month.h"
#include "scheduler/api/wait_words.h"
#include "scheduler/protocol/wait_messages.h"

namespace ultramarine::api {

std::vector<WaitPart> waits_of(const Followed& followed, const Job& job) {
  std::vector<WaitPart> parts = followed.waits.parts_of(job.job, followed.now_ms);
  if (parts.empty()) {
    const auto over = followed.waits.finished().find(job.job);
    parts = over == followed.waits.finished().end() ? job.waited : over->second.parts;
  }
  // Only of jobs that are older than the ledger.
  const Duration missing{core::wait_of(job, followed.now_ms).ms - core::sum_of(parts).ms};
  if (missing.ms > 0) parts.push_back({.cause = WaitCause::scheduler, .job = {}, .account = "", .detail = "not recorded", .bill = 0, .time_ms = missing});
  return parts;
}

namespace {

protocol::WaitsOfJob waits_of_job(const Followed& followed, const Job& job) {
  const State& state = followed.state;
  const Time now = followed.now_ms;
  protocol::WaitsOfJob answer{.job = job.job, .name = text_of(job), .account = job.spec.account, .gpus = total_gpus(job.spec.resources), .state = job.state,
                              .until_ms = now, .wait_ms = core::wait_of(job, now), .parts = {}, .certificate = std::nullopt, .overtaking = {}};
  for (const WaitPart& part : waits_of(followed, job)) answer.parts.push_back({part, wait_in_words(part, state, now)});
  if (const auto certificate = followed.certificates.find(job.job); certificate != followed.certificates.end()) {
    answer.certificate = certificate->second;
    answer.overtaking.push_back(certificate_in_words(certificate->second, now));
  }
  if (const auto passed = followed.passed.find(job.job); passed != followed.passed.end()) {
    const auto last = followed.certificates.find(passed->second.last);
    answer.overtaking.push_back(passed_in_words(passed->second, last == followed.certificates.end() ? nullptr : &last->second, state, now));
  }
  return answer;
}

/// When the job's wait was over; nullopt: it still waits.
std::optional<Time> wait_ended(const Job& job) {
  if (job.state == JobState::queued || job.state == JobState::held) return std::nullopt;
  if (is_active(job.state)) return job.attempts.back().decided_ms;
  const bool ended_in_the_queue = job.attempts.empty() || job.attempts.back().ended_ms != job.ended_ms;
  return ended_in_the_queue ? job.ended_ms : std::optional(job.attempts.back().decided_ms);
}

class RollUp {
 public:
  void add(const Followed& followed, const Job& job) {
    if (core::wait_of(job, followed.now_ms).ms == 0) return;
    const std::int64_t gpus = total_gpus(job.spec.resources);
    protocol::WaitsOfAccount& mine = accounts_[job.spec.account];
    ++mine.jobs;
    for (const WaitPart& part : waits_of(followed, job)) {
      const std::int64_t gpu_ms = part.time_ms.ms * gpus;
      protocol::WaitRow& row = rows_[{job.spec.account, part.account, part.account.empty() ? part.cause : WaitCause::job_ahead}];
      row.gpu_ms += gpu_ms;
      if (part.cause == WaitCause::boost) row.boost_gpu_ms += gpu_ms;
      mine.gpu_ms += gpu_ms;
    }
  }

  std::vector<protocol::WaitsOfAccount> accounts() && {
    for (auto& [key, row] : rows_) {
      const auto& [account, other, cause] = key;
      row.for_account = other;
      row.cause = cause;
      accounts_[account].rows.push_back(row);
    }
    std::vector<protocol::WaitsOfAccount> all;
    for (auto& [name, account] : accounts_) {
      account.account = name;
      std::stable_sort(account.rows.begin(), account.rows.end(), [](const auto& a, const auto& b) { return a.gpu_ms > b.gpu_ms; });
      for (const protocol::WaitRow& row : account.rows) account.text.push_back(row_in_words(name, row));
      all.push_back(std::move(account));
    }
    return all;
  }

 private:
  std::map<std::string, protocol::WaitsOfAccount> accounts_;
  std::map<std::tuple<std::string, std::string, WaitCause>, protocol::WaitRow> rows_;
};

protocol::WaitRollUp roll_up(const Followed& followed, const std::string& account, const std::string& month_asked) {
  const State& state = followed.state;
  const std::string& zone = state.cluster.time_zone;
  const std::string this_month = month_name(followed.now_ms, zone), month = month_asked.empty() ? this_month : month_asked;
  const Month bounds = *named_month(month, zone);
  RollUp sums;
  for (const auto& [id, job] : state.jobs) {
    if (!account.empty() && job.spec.account != account) continue;
    const std::optional<Time> ended = wait_ended(job);
    if (ended ? *ended >= bounds.start && *ended < bounds.end : month == this_month) sums.add(followed, job);
  }
  return {followed.now_ms, month, std::move(sums).accounts()};
}

/// Answers on the loop's thread by what `make` says on the follower's.
template <class Make>
void answer_followed(const ExchangePtr& exchange, Time now, Make make) {
  exchange->backend.ask_follower(now, [exchange, make](const Followed& followed) {
    exchange->backend.loop().post([exchange, answer = make(followed)] { exchange->answer(answer); });
  });
}

}  // namespace

void show_waits(const ExchangePtr& exchange, const JobName& name) {
  with_job(exchange, name, [exchange](const SnapshotPtr& snapshot, const Job& job) {
    answer_followed(exchange, snapshot->now_ms, [id = job.job](const Followed& followed) { return waits_of_job(followed, followed.state.jobs.at(id)); });
  });
}

void list_waits(const ExchangePtr& exchange) {
  exchange->backend.ask([exchange](const SnapshotPtr& snapshot) {
    const std::string account = text_parameter(*exchange, "account"), month = text_parameter(*exchange, "month");
    const auto& accounts = snapshot->state->cluster.accounts;
    const bool is_known = account.empty() || std::any_of(accounts.begin(), accounts.end(), [&](const AccountConfig& one) { return one.name == account; });
    if (!is_known) return exchange->refuse(not_found("there is no account " + account, "'ultra shares' lists them"));
    if (!month.empty() && !named_month(month, snapshot->state->cluster.time_zone))
      return exchange->refuse(bad_request("month", "expected a month as 2026-11, got \"" + month + "\""));
    answer_followed(exchange, snapshot->now_ms, [account, month](const Followed& followed) { return roll_up(followed, account, month); });
  });
}

}  // namespace ultramarine::api
