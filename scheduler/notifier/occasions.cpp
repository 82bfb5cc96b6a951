#include "scheduler/notifier/occasions.h"

#include <algorithm>
#include <array>

#include "scheduler/core/arrays.h"
#include "scheduler/core/lifecycle.h"

namespace ultramarine::notifier {
namespace {

struct Share {
  NotificationEvent event;
  std::int64_t percent;
};
constexpr std::array<Share, 4> shares{{{NotificationEvent::time_limit_50, 50},
                                       {NotificationEvent::time_limit_80, 80},
                                       {NotificationEvent::time_limit_90, 90},
                                       {NotificationEvent::time_limit, 100}}};

/// Attempts that were no trials and after which the job was to run again.
std::int64_t requeues_of(const Job& job) {
  std::int64_t count = 0;
  for (const Attempt& attempt : job.attempts) {
    const bool is_last_of_all = &attempt == &job.attempts.back() && is_terminal(job.state);
    count += attempt.ended_ms && !attempt.trial_ms && !is_last_of_all;
  }
  return count;
}

bool has_started(const Job& job) {
  return std::any_of(job.attempts.begin(), job.attempts.end(),
                     [](const Attempt& attempt) { return attempt.started_ms && !attempt.trial_ms; });
}

class Collector {
 public:
  Collector(Time now, const State& after) : now_(now), after_(after) {}

  void on(const GangStarted& event) {
    const Job* job = find(event.job);
    if (event.gang != 1 || !job || job->attempts.empty()) return;
    const Attempt& attempt = job->attempts.back();
    if (attempt.attempt != event.attempt || attempt.started_ms != now_ || attempt.trial_ms) return;
    add(*job, NotificationEvent::begin, event.attempt, [&](const std::vector<const Job*>& elements) {
      return std::none_of(elements.begin(), elements.end(),
                          [&](const Job* one) { return one != job && has_started(*one); }) &&
             event.attempt == 1;
    });
  }

  void on(const AttemptEnded& event) {
    const Job* job = find(event.job);
    if (!job || job->attempts.empty()) return;
    const Attempt& attempt = job->attempts.back();
    if (attempt.attempt != event.attempt || attempt.ended_ms != now_) return;  // a late report
    if (is_terminal(job->state)) return ended(*job);
    if (attempt.trial_ms) return;
    add(*job, NotificationEvent::requeue, event.attempt, [](const std::vector<const Job*>& elements) {
      std::int64_t all = 0;
      for (const Job* one : elements) all += requeues_of(*one);
      return all == 1;
    });
  }

  void on(const JobCancelled& event) {
    const Job* job = find(event.job);
    const bool waited = job && is_terminal(job->state) && job->ended_ms == now_ &&
                        (job->attempts.empty() || job->attempts.back().ended_ms < now_);
    if (waited) ended(*job);
  }

  void on(const Round& round) {
    for (const Decision& decision : round.decisions) {
      const auto* rejected = std::get_if<RejectJob>(&decision);
      if (const Job* job = rejected ? find(rejected->job) : nullptr) ended(*job);
    }
  }

  void on(const FavourBilled& event) {
    std::set<JobId> arrays;
    for (const MovedStart& moved : event.bill.delayed) {
      const Job* job = find(moved.job);
      if (!job) continue;
      found_.push_back({.event = NotificationEvent::delayed,
                        .job = job->job,
                        .at_ms = now_,
                        .number = event.bill.bill,
                        .moved = moved});
      if (!job->array || !arrays.insert(job->array->array).second) continue;
      found_.push_back({.event = NotificationEvent::delayed,
                        .job = job->job,
                        .at_ms = now_,
                        .number = event.bill.bill,
                        .of_array = true,
                        .moved = moved});
    }
  }

  template <class Other>
  void on(const Other&) {}

  std::vector<Occasion> take() { return std::move(found_); }

 private:
  const Job* find(JobId id) const {
    const auto job = after_.jobs.find(id);
    return job == after_.jobs.end() ? nullptr : &job->second;
  }

  void ended(const Job& job) {
    const auto event_of = [](bool failed) { return failed ? NotificationEvent::fail : NotificationEvent::end; };
    const auto attempt = static_cast<std::int64_t>(job.attempts.size());
    found_.push_back(
        {.event = event_of(job.state == JobState::failed), .job = job.job, .at_ms = now_, .number = attempt});
    if (!job.array || !core::all_elements(after_, job, [](const Job& one) { return is_terminal(one.state); })) return;
    const std::vector<const Job*> elements = core::elements_of(after_, job);
    const bool any_failed =
        std::any_of(elements.begin(), elements.end(), [](const Job* one) { return one->state == JobState::failed; });
    found_.push_back(
        {.event = event_of(any_failed), .job = job.job, .at_ms = now_, .number = attempt, .of_array = true});
  }

  template <class IsArrays>
  void add(const Job& job, NotificationEvent event, std::int64_t attempt, const IsArrays& is_arrays) {
    found_.push_back({.event = event, .job = job.job, .at_ms = now_, .number = attempt});
    if (job.array && is_arrays(core::elements_of(after_, job)))
      found_.push_back({.event = event, .job = job.job, .at_ms = now_, .number = attempt, .of_array = true});
  }

  const Time now_;
  const State& after_;
  std::vector<Occasion> found_;
};

/// Of a running job: calls visit(share, instant) for each share that it wants to be told of.
template <class Visit>
void each_share(const State& state, const std::set<JobId>& active, const Visit& visit) {
  for (const JobId id : active) {
    const auto job = state.jobs.find(id);
    if (job == state.jobs.end()) continue;
    const auto& events = job->second.spec.notify.events;
    const Attempt* attempt = events.empty() ? nullptr : core::open_attempt(job->second);
    if (!attempt || !attempt->started_ms || attempt->trial_ms) continue;
    const std::int64_t limit_ms = core::time_limit(job->second, *attempt).ms;
    if (limit_ms <= 0) continue;
    for (const Share& share : shares)
      if (std::find(events.begin(), events.end(), share.event) != events.end())
        visit(job->second, *attempt, share,
              *attempt->started_ms + Duration{limit_ms / 100 * share.percent + limit_ms % 100 * share.percent / 100});
  }
}

}  // namespace

std::vector<Occasion> occasions_of(const Entry& entry, Time now, const State& after) {
  Collector collector(now, after);
  std::visit([&](const auto& one) { collector.on(one); }, entry);
  return collector.take();
}

std::vector<Occasion> used_up_between(const State& state, const std::set<JobId>& active, Time after, Time until) {
  std::vector<Occasion> found;
  each_share(state, active, [&](const Job& job, const Attempt& attempt, const Share& share, Time instant) {
    if (instant > after && instant <= until)
      found.push_back({.event = share.event, .job = job.job, .at_ms = instant, .number = attempt.attempt});
  });
  std::stable_sort(found.begin(), found.end(), [](const Occasion& a, const Occasion& b) { return a.at_ms < b.at_ms; });
  return found;
}

std::optional<Time> next_used_up(const State& state, const std::set<JobId>& active, Time after) {
  std::optional<Time> next;
  each_share(state, active, [&](const Job&, const Attempt&, const Share&, Time instant) {
    if (instant > after && (!next || instant < *next)) next = instant;
  });
  return next;
}

}  // namespace ultramarine::notifier
