// Reordering among one's own jobs: they take each other's places in the queue, and nobody else's planned start may move later by it. That is
// tried on a copy of the state before anything is recorded.
#include <algorithm>
#include <map>

#include "scheduler/api/handlers.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/views.h"
#include "scheduler/core/fair_share.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::api {

namespace {

/// The jobs as typed, each once. Throws Problem.
std::vector<const Job*> asked_for(const std::vector<std::string>& names, const State& state, const Caller& caller, std::int64_t scheduler_uid) {
  std::vector<const Job*> jobs;
  for (const std::string& text : names) {
    const auto name = parse_job_name(text);
    if (!name) throw bad_request("jobs", "\"" + text.substr(0, 64) + "\" is no number of a job", "`ultra queue` lists those that wait");
    const auto meant = named_jobs(state, *name);
    if (meant.empty()) throw unknown_job(text_of(*name));
    if (const auto problem = why_not(Act::reorder, caller, *meant.front(), state, scheduler_uid)) throw *problem;
    for (const Job* job : meant) {
      if (!core::waits(*job)) {
        if (meant.size() > 1) continue;  // elements of an array that run or have ended have no place any more
        throw conflict("job " + text_of(*job) + " doesn't wait: it is " + boost::describe::enum_to_string(job->state, ""), "name jobs that wait");
      }
      if (std::find(jobs.begin(), jobs.end(), job) != jobs.end()) throw bad_request("jobs", "job " + text_of(*job) + " is named twice", "name it once");
      jobs.push_back(job);
    }
  }
  if (jobs.size() < 2) throw bad_request("jobs", "one job alone has nobody to change places with", "name two or more, the one that is to be first first");
  return jobs;
}

void check_are_alike(const std::vector<const Job*>& jobs) {
  const Job& first = *jobs.front();
  for (const Job* job : jobs) {
    const auto differ = [&](const char* what, const std::string& mine, const std::string& theirs) {
      if (mine != theirs)
        throw bad_request("jobs", "jobs " + text_of(first) + " and " + text_of(*job) + " differ in their " + what + ": " + mine + " and " + theirs,
                          "only jobs of one owner in the same account, partition and QOS change places");
    };
    differ("owner", std::to_string(first.owner.uid), std::to_string(job->owner.uid));
    differ("account", first.spec.account, job->spec.account);
    differ("partition", first.spec.partition, job->spec.partition);
    differ("QOS", first.spec.qos, job->spec.qos);
  }
}

/// Of all that the owner has reordered so far and now, each in its new place: those that are named change places among themselves, the others
/// stay where they are.
std::vector<JobId> places(const std::vector<const Job*>& named, const State& state, const Plan& plan) {
  const auto is_named = [&](const Job& job) { return std::find(named.begin(), named.end(), &job) != named.end(); };
  std::vector<JobId> order;
  auto next = named.begin();
  for (const PlannedJob& line : plan.jobs) {
    const Job& job = state.jobs.at(line.job);
    const Job& first = *named.front();
    if (is_named(job)) order.push_back((*next++)->job);
    else if (job.own_turn > 0 && job.owner.uid == first.owner.uid && job.spec.account == first.spec.account && job.spec.partition == first.spec.partition &&
             job.spec.qos == first.spec.qos)
      order.push_back(job.job);
  }
  for (; next != named.end(); ++next) order.push_back((*next)->job);
  return order;
}

/// Throws Problem when somebody else's job would start later.
void check_harms_nobody(const Plan& before, const Plan& after, std::int64_t owner_uid, const State& state) {
  std::map<JobId, const PlannedJob*> then;
  for (const PlannedJob& line : after.jobs) then[line.job] = &line;
  for (const PlannedJob& line : before.jobs) {
    const Job& job = state.jobs.at(line.job);
    if (job.owner.uid == owner_uid || !line.start_ms) continue;
    const auto found = then.find(line.job);
    const std::optional<Time> start = found == then.end() ? std::nullopt : found->second->start_ms;
    if (start && *start <= *line.start_ms) continue;
    throw conflict("job " + text_of(job) + " of " + core::user_name(job.owner) +
                       (start ? " would start " + protocol::format_duration(*start - *line.start_ms) + " later" : " would have no planned start any more"),
                   "choose an order that makes nobody else wait");
  }
}

}  // namespace

void reorder_jobs(const ExchangePtr& exchange) {
  const auto request = decode_body<protocol::ReorderRequest>(*exchange);
  const auto choose = [request, caller = exchange->caller, uid = exchange->backend.scheduler_uid()](const core::Scheduler& scheduler, Time now) {
    const State& state = scheduler.state();
    const auto jobs = asked_for(request.jobs, state, caller, uid);
    check_are_alike(jobs);
    const Plan before = scheduler.plan(now);
    const JobsReordered event{places(jobs, state, before), caller.actor};
    core::Scheduler tried(state);
    tried.apply(now, event);
    check_harms_nobody(before, tried.plan(now), jobs.front()->owner.uid, state);
    return std::vector<Event>{event};
  };
  change(exchange, choose, [exchange, request] {
    exchange->backend.ask([exchange, request](const SnapshotPtr& snapshot) {
      std::map<std::int64_t, protocol::JobView> by_position;
      for (const std::string& text : request.jobs)
        for (const Job* job : named_jobs(*snapshot->state, *parse_job_name(text))) {
          protocol::JobView view = job_view(*snapshot, *job, exchange->caller, exchange->backend.scheduler_uid());
          if (view.planned) by_position.insert_or_assign(view.planned->position, std::move(view));
        }
      protocol::JobList list{.now_ms = snapshot->now_ms, .jobs = {}};
      for (auto& [position, view] : by_position) list.jobs.push_back(std::move(view));
      exchange->answer(list);
    });
  });
}

}  // namespace ultramarine::api
