// Hold and release: a waiting job waits until somebody lets it go again. A user's hold is released by the owner or an admin, an admin's only
// by an admin, and that of the configuration by nobody: it goes when the job's partition is back.
#include <variant>

#include "scheduler/api/handlers.h"
#include "scheduler/api/roles.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

namespace {

/// What becomes of one job: nothing (it is so already), an event, or why not.
using Step = std::variant<std::monostate, Event, Problem>;

std::string state_word(const Job& job) { return boost::describe::enum_to_string(job.state, ""); }

Problem held_by_admin(const Job& job, const char* what) {
  return {403, "not_permitted", "", "job " + text_of(job) + " was held by " + (job.hold->actor.name.empty() ? "an admin" : job.hold->actor.name + ", an admin") + (job.hold->reason.empty() ? "" : " (" + job.hold->reason + ")"),
          std::string("only an admin may ") + what};
}

/// Does the step with each job that the name means. A problem with some elements of an array is none if others can take it.
void step_each(const ExchangePtr& exchange, const JobName& name, std::function<Step(const Job&, bool is_admin)> step) {
  const auto choose = [name, caller = exchange->caller, uid = exchange->backend.scheduler_uid(), step = std::move(step)](const core::Scheduler& scheduler, Time now) {
    const State& state = scheduler.state();
    const std::vector<const Job*> jobs = named_jobs(state, name);
    if (jobs.empty()) throw unknown_job(text_of(name));
    if (const auto problem = why_not(Act::hold, caller, *jobs.front(), state, uid)) throw *problem;
    const bool is_admin = has_role(Role::admin, caller, state, uid);
    std::vector<Event> events;
    std::optional<Problem> first_problem;
    bool any_done = false;
    for (const Job* job : jobs) {
      Step its = step(*job, is_admin);
      if (auto* problem = std::get_if<Problem>(&its)) {
        if (!first_problem) first_problem = std::move(*problem);
        continue;
      }
      any_done = true;
      if (auto* event = std::get_if<Event>(&its)) events.push_back(std::move(*event));
    }
    if (!any_done) throw *first_problem;
    const bool holds_others = caller.actor.uid != jobs.front()->owner.uid && !events.empty() && std::holds_alternative<JobHeld>(events.front());
    if (holds_others) return billed(scheduler, now, {.favour = Favour::hold, .job = text_of(name), .reason = std::get<JobHeld>(events.front()).reason}, caller, uid);
    return events;
  };
  change(exchange, choose, [exchange, name] { answer_jobs(exchange, name); });
}

}  // namespace

void hold_job(const ExchangePtr& exchange, const JobName& name) {
  const std::string reason = exchange->request.body.empty() ? "" : decode_body<protocol::HoldRequest>(*exchange).reason;
  check_reason(reason);
  step_each(exchange, name, [reason, actor = exchange->caller.actor](const Job& job, bool is_admin) -> Step {
    if (!core::waits(job))
      return conflict("job " + text_of(job) + " doesn't wait: it is " + state_word(job), is_terminal(job.state) ? "" : "cancel it, or let it end; only a waiting job can be held");
    const HoldKind kind = actor.uid == job.owner.uid ? HoldKind::user : HoldKind::admin;
    if (job.hold && job.hold->kind == HoldKind::admin && kind == HoldKind::user) {
      if (!is_admin) return held_by_admin(job, "change that");
      return {};
    }
    if (job.hold && job.hold->kind == kind && job.hold->reason == reason) return {};
    return JobHeld{job.job, kind, reason, actor};
  });
}

void release_job(const ExchangePtr& exchange, const JobName& name) {
  step_each(exchange, name, [actor = exchange->caller.actor](const Job& job, bool is_admin) -> Step {
    if (job.state == JobState::queued) return {};
    if (!job.hold) return conflict("job " + text_of(job) + " is not held: it is " + state_word(job));
    if (job.hold->kind == HoldKind::admin && !is_admin) return held_by_admin(job, "release it");
    if (job.hold->kind == HoldKind::configuration)
      return conflict("job " + text_of(job) + " is held by the configuration: " + job.hold->reason, "it queues again when that partition is back; or cancel it");
    return JobReleased{job.job, actor};
  });
}

}  // namespace ultramarine::api
