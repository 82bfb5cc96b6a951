// Who may do what.
#include "scheduler/api/caller.h"

#include "scheduler/api/roles.h"

namespace ultramarine::api {

bool is_administrator(const Caller& caller, const State& state, std::int64_t scheduler_uid) {
  return has_role(Role::admin, caller, state, scheduler_uid);
}

bool may_handle(const Caller& caller, const Job& job, const State& state, std::int64_t scheduler_uid) {
  if (!caller.identified) return false;
  return caller.actor.uid == job.owner.uid || is_administrator(caller, state, scheduler_uid);
}

std::optional<Problem> why_not_submit(const Caller& caller, const State& state, std::int64_t scheduler_uid) {
  if (!caller.identified) return not_permitted("without identity nothing can be submitted", "ask through the scheduler's Unix socket");
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
  job.environment_names.clear();
  job.request_key.clear();
  if (job.checkpoint) job.checkpoint->path.clear();
  const auto silence = [](std::optional<Failure>& failure) {
    if (!failure) return;
    failure->detail.clear();
    failure->last_lines.clear();
  };
  for (Attempt& attempt : job.attempts) {
    silence(attempt.failure);
    for (Gang& gang : attempt.gangs) {
      silence(gang.failure);
      silence(gang.stall);
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

}  // namespace ultramarine::api
