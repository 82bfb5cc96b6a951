// List, show, wait, cancel, requeue.
#include <algorithm>

#include "scheduler/api/api.h"
#include "scheduler/api/handlers.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/views.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

namespace {

std::set<JobState> parse_states(const std::string& text) {
  std::set<JobState> states;
  std::size_t from = 0;
  while (from <= text.size()) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    const std::string word = text.substr(from, comma - from);
    JobState state{};
    if (!boost::describe::enum_from_string(word.c_str(), state)) {
      std::string words;
      boost::mp11::mp_for_each<boost::describe::describe_enumerators<JobState>>(
          [&](auto one) { words += (words.empty() ? "" : ", ") + std::string(one.name); });
      throw bad_request("state", "\"" + word + "\" is no state of a job", "states: " + words);
    }
    states.insert(state);
    from = comma + 1;
  }
  return states;
}

using Change = void (Backend::*)(std::vector<JobId>, Actor, Backend::Changed);

/// What is done to jobs of others has a bill.
void do_to_others(const ExchangePtr& exchange, const JobName& name, Favour favour) {
  const auto choose = [name, favour, caller = exchange->caller, uid = exchange->backend.scheduler_uid()](const core::Scheduler& scheduler, Time now) {
    return billed(scheduler, now, {.favour = favour, .job = text_of(name)}, caller, uid);
  };
  ultramarine::api::change(exchange, choose, [exchange, name] { answer_jobs(exchange, name); });
}

void change_jobs(const ExchangePtr& exchange, const JobName& name, Change change) {
  with_jobs(exchange, name, [exchange, change, name](const SnapshotPtr& snapshot, const NamedJobs& jobs) {
    if (const auto problem = why_not(Act::cancel, exchange->caller, *jobs.front(), *snapshot->state, exchange->backend.scheduler_uid())) throw *problem;
    if (jobs.front()->owner.uid != exchange->caller.actor.uid) return do_to_others(exchange, name, change == &Backend::cancel ? Favour::cancel : Favour::requeue);
    std::vector<JobId> numbers;
    for (const Job* job : jobs) numbers.push_back(job->job);
    (exchange->backend.*change)(std::move(numbers), exchange->caller.actor, [exchange, name](const std::optional<Problem>& problem) {
      if (problem) exchange->refuse(*problem);
      else answer_jobs(exchange, name);
    });
  });
}

/// Waits for one job after the other, until none is left that has not ended or the time is over.
void wait_for_the_next(const ExchangePtr& exchange, const JobName& name, std::chrono::steady_clock::time_point latest) {
  with_jobs(exchange, name, [exchange, name, latest](const SnapshotPtr& snapshot, const NamedJobs& jobs) {
    const auto open = std::find_if(jobs.begin(), jobs.end(), [](const Job* job) { return !is_terminal(job->state); });
    if (open == jobs.end() || std::chrono::steady_clock::now() >= latest) {
      exchange->answer(view_of(*snapshot, name, jobs, exchange->caller, exchange->backend.scheduler_uid()));
      return;
    }
    wait_until(
        exchange, (*open)->job, latest, [](const Job& now) { return is_terminal(now.state); },
        [exchange, name, latest] { wait_for_the_next(exchange, name, latest); });
  });
}

}  // namespace

void answer_jobs(const ExchangePtr& exchange, const JobName& name) {
  with_jobs(exchange, name, [exchange, name](const SnapshotPtr& snapshot, const NamedJobs& jobs) {
    exchange->answer(view_of(*snapshot, name, jobs, exchange->caller, exchange->backend.scheduler_uid()));
  });
}

void list_jobs(const ExchangePtr& exchange) {
  const auto& query = exchange->request.query;
  JobFilter filter;
  if (const auto state = query.find("state"); state != query.end()) filter.states = parse_states(state->second);
  if (const auto user = query.find("user"); user != query.end()) filter.user = user->second;
  if (const auto account = query.find("account"); account != query.end()) filter.account = account->second;
  filter.ended_too = flag_parameter(*exchange, "all");
  if (!filter.user.empty() && !exchange->caller.identified)
    throw not_permitted("without identity no users are shown, so none can be asked for", "ask through the scheduler's Unix socket");
  exchange->backend.ask([exchange, filter](const SnapshotPtr& snapshot) {
    // RFC 7240: who asks for little gets no members that hold nothing.
    const bool little = exchange->request.header("prefer") == "return=minimal";
    const auto which = little ? protocol::Members::filled : protocol::Members::all;
    exchange->answer(200, job_list_text(*snapshot, filter, exchange->caller, exchange->backend.scheduler_uid(), which), "application/json");
  });
}

void show_job(const ExchangePtr& exchange, const JobName& job) { answer_jobs(exchange, job); }

void wait_for_job(const ExchangePtr& exchange, const JobName& job) {
  wait_for_the_next(exchange, job, latest_answer(*exchange));
}

void cancel_job(const ExchangePtr& exchange, const JobName& job) { change_jobs(exchange, job, &Backend::cancel); }
void requeue_job(const ExchangePtr& exchange, const JobName& job) { change_jobs(exchange, job, &Backend::requeue); }

}  // namespace ultramarine::api
