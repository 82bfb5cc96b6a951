#include "scheduler/notifier/notice.h"

#include "scheduler/api/exit_code.h"
#include "scheduler/api/job_name.h"
#include "scheduler/core/arrays.h"
#include "scheduler/core/fair_share.h"
#include "scheduler/core/prices.h"
#include "scheduler/core/report.h"
#include "scheduler/core/wide.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::notifier {
namespace {

constexpr std::size_t last_lines_max = 20;

std::string word(NotificationEvent event) { return boost::describe::enum_to_string(event, ""); }

std::string nodes_of(const Attempt& attempt) {
  std::vector<std::string> names;
  for (const NodeAllocation& part : attempt.allocation) names.push_back(part.node);
  return protocol::fold_hostlist(names);
}

const Attempt* attempt_of(const Occasion& occasion, const Job& job) {
  const bool is_known = occasion.event != NotificationEvent::delayed && occasion.number >= 1 &&
                        static_cast<std::size_t>(occasion.number) <= job.attempts.size();
  return is_known ? &job.attempts[static_cast<std::size_t>(occasion.number) - 1] : nullptr;
}

void add_held(const Job& job, Time now, std::int64_t& held_gpu_ms) {
  for (const Attempt& attempt : job.attempts)
    held_gpu_ms = core::saturating_sum(held_gpu_ms, core::held_gpu_ms(attempt, now));
}

NoticeJob job_facts(const Occasion& occasion, const Job& job) {
  NoticeJob facts;
  facts.id = job.job.value;
  facts.number = api::text_of(job);
  facts.name = job.spec.name;
  facts.account = job.spec.account;
  facts.partition = job.spec.partition;
  facts.owner = core::user_name(job.owner);
  facts.state = job.state;
  facts.exit_code = api::exit_code(job);
  facts.gpus = total_gpus(job.spec.resources);
  facts.submitted_ms = job.submitted_ms;
  facts.time_limit_ms = job.spec.time_limit_ms;
  facts.ended_ms = job.ended_ms;
  if (const Attempt* attempt = attempt_of(occasion, job)) {
    facts.attempt = attempt->attempt;
    facts.outcome = attempt->outcome;
    facts.nodes = nodes_of(*attempt);
    facts.started_ms = attempt->started_ms;
    facts.ended_ms = attempt->ended_ms;
  }
  add_held(job, occasion.at_ms, facts.held_gpu_ms);
  return facts;
}

/// Facts of one element become those of all.
void widen_to_array(Notice& notice, const Occasion& occasion, const Job& job, const State& state) {
  NoticeArray all;
  notice.job.id = job.array->array.value;
  notice.job.number = std::to_string(job.array->array.value);
  notice.job.held_gpu_ms = 0;
  if (is_terminal(job.state)) notice.job.exit_code.reset();
  notice.job.outcome.reset();
  notice.failure.reset();
  for (const Job* element : core::elements_of(state, job)) {
    ++all.count;
    all.completed += element->state == JobState::completed;
    all.failed += element->state == JobState::failed;
    all.cancelled += element->state == JobState::cancelled;
    add_held(*element, occasion.at_ms, notice.job.held_gpu_ms);
  }
  const bool has_ended = all.completed + all.failed + all.cancelled == all.count;
  if (has_ended) {
    notice.job.state = all.failed > 0      ? JobState::failed
                       : all.completed > 0 ? JobState::completed
                                           : JobState::cancelled;
    notice.job.nodes.clear();
    notice.job.started_ms.reset();
  }
  notice.array = all;
}

NoticeDelay delay_of(const Occasion& occasion, const State& state) {
  NoticeDelay delay{
      .bill = occasion.number, .before_ms = occasion.moved->before_ms, .after_ms = occasion.moved->after_ms};
  if (occasion.number < 1 || static_cast<std::size_t>(occasion.number) > state.bills.size()) return delay;
  const Bill& bill = state.bills[static_cast<std::size_t>(occasion.number) - 1];
  delay.favour = bill.favour;
  delay.actor = core::user_name(bill.actor);
  delay.reason = bill.reason;
  delay.detail = bill.detail;
  if (const auto favoured = state.jobs.find(bill.job); favoured != state.jobs.end())
    delay.job = api::text_of(favoured->second);
  return delay;
}

}  // namespace

Notice notice_of(const Occasion& occasion, const State& state) {
  const Job& job = state.jobs.at(occasion.job);
  Notice notice;
  notice.event = occasion.event;
  notice.cluster = state.cluster.name;
  notice.time_ms = occasion.at_ms;
  notice.job = job_facts(occasion, job);
  if (const Attempt* attempt = attempt_of(occasion, job)) notice.failure = attempt->failure;
  if (notice.failure && notice.failure->last_lines.size() > last_lines_max)
    notice.failure->last_lines.erase(notice.failure->last_lines.begin(),
                                     notice.failure->last_lines.end() - last_lines_max);
  if (occasion.moved) notice.delay = delay_of(occasion, state);
  if (occasion.of_array) widen_to_array(notice, occasion, job, state);
  const core::Prices prices = core::prices_of(state.cluster);
  if (prices.per_gpu_hour_milli > 0) {
    notice.job.cost_milli = core::cost_milli(notice.job.held_gpu_ms, prices.per_gpu_hour_milli);
    notice.job.currency = state.cluster.money.currency;
  }
  notice.id = notice.cluster + "." + (occasion.of_array ? "array-" : "") + notice.job.number + "." +
              word(occasion.event) + "." + std::to_string(occasion.number) + "." + std::to_string(occasion.at_ms.ms);
  return notice;
}

}  // namespace ultramarine::notifier
