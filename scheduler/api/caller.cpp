// Who may do what.
#include "scheduler/api/caller.h"

#include <functional>

#include "scheduler/api/roles.h"

namespace ultramarine::api {

namespace {

void for_each_failure(Job& job, const std::function<void(Failure&)>& change) {
  const auto change_one = [&](std::optional<Failure>& failure) {
    if (failure) change(*failure);
  };
  for (Attempt& attempt : job.attempts) {
    change_one(attempt.failure);
    for (Gang& gang : attempt.gangs) {
      change_one(gang.failure);
      change_one(gang.stall);
    }
  }
}

}  // namespace

std::optional<Problem> why_not_submit(const Caller& caller, const State& state, std::int64_t scheduler_uid) {
  if (!caller.identified) return not_permitted("without identity nothing can be submitted", "ask through the scheduler's Unix socket");
  if (auto problem = why_not(Act::submit, caller, state, scheduler_uid)) return problem;
  if (caller.actor.uid == scheduler_uid) return std::nullopt;
  bool has_agents = false, is_ready = false;
  std::string in_the_way;  // the first node whose agent can't
  for (const auto& [name, node] : state.nodes) {
    if (node.state == NodeState::down) continue;
    has_agents = true;
    is_ready = is_ready || node.launches_as_owner;
    if (!node.launches_as_owner && !node.drain && in_the_way.empty()) in_the_way = name;
  }
  // The agents of a scheduler that is root are taken to be root until they say otherwise.
  if (in_the_way.empty() && (is_ready || (!has_agents && scheduler_uid == 0))) return std::nullopt;
  const std::string uid = std::to_string(scheduler_uid);
  if (!has_agents)
    return not_permitted("no agent has joined yet, and until then only the user who runs the scheduler (uid " + uid + ") may submit",
                         "try again when `ultra nodes` shows nodes that are up");
  if (is_ready)
    return not_permitted("the agent of " + in_the_way + " is not root and can't start jobs of other users than its own",
                         "have it run as root, or drain its node: ultra drain " + in_the_way + " --reason TEXT");
  return not_permitted("this cluster starts jobs only as the user who runs it (uid " + uid + "): its agents are not root",
                       "submit as that user, have the agents run as root, or start a cluster of your own with `ultra cluster up`");
}

Job redacted(Job job, const Caller& caller) {
  job.spec.command.clear();
  job.spec.working_directory.clear();
  if (job.spec.script) job.spec.script->text.clear();
  job.spec.output.clear();
  job.spec.error.clear();
  job.spec.recorded.clear();
  job.spec.notify = {};
  job.environment_names.clear();
  job.request_key.clear();
  if (job.checkpoint) job.checkpoint->path.clear();
  for_each_failure(job, [](Failure& failure) {
    failure.detail.clear();
    failure.last_lines.clear();
  });
  for (Attempt& attempt : job.attempts) {
    for (Gang& gang : attempt.gangs) {
      if (!gang.spec) continue;
      gang.spec->command.clear();
      gang.spec->working_directory.clear();
    }
  }
  if (!caller.identified) {
    job.owner = {};
    if (job.hold) job.hold->actor = {};
    for (WaitPart& part : job.waited) part.detail.clear();
  }
  return job;
}

Job without_output(Job job) {
  for_each_failure(job, [](Failure& failure) { failure.last_lines.clear(); });
  return job;
}

Job as_shown_to(const Caller& caller, const Job& job, const State& state, std::int64_t scheduler_uid) {
  if (!may(Act::see, caller, job, state, scheduler_uid)) return redacted(job, caller);
  return may(Act::read_output, caller, job, state, scheduler_uid) ? job : without_output(job);
}

}  // namespace ultramarine::api
