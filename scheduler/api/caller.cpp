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

std::optional<Problem> why_not_submit(const Caller& caller, std::int64_t scheduler_uid) {
  if (caller.identified && caller.actor.uid == scheduler_uid) return std::nullopt;
  return not_permitted("this cluster starts jobs only as the user who runs it (uid " + std::to_string(scheduler_uid) + ")",
                       "submit as that user, or start a cluster of your own with `ultra cluster up`");
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
      if (!gang.spec) continue;
      gang.spec->command.clear();
      gang.spec->working_directory.clear();
    }
  }
  if (!caller.identified) {
    job.owner = {};
    if (job.hold) job.hold->actor = {};
  }
  return job;
}

}  // namespace ultramarine::api
