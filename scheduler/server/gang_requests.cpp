// `ultra run` inside a job, on the daemon's thread: a gang more, or one less.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "scheduler/api/job_name.h"
#include "scheduler/core/accept.h"
#include "scheduler/core/gangs.h"
#include "scheduler/server/daemon.h"

namespace ultramarine::server {

namespace {

constexpr std::int64_t open_gangs_max = 256;
constexpr std::int64_t gangs_max = 100'000;  // of one attempt

std::optional<api::Problem> why_no_gang(const Job& job, bool beside) {
  const std::string name = "job " + api::text_of(job);
  if (!job.spec.script && !beside) return api::conflict(name + " is no script: its one gang runs its command", "submit a script that calls `ultra run`");
  if (is_terminal(job.state)) return api::conflict(name + " has already ended (" + boost::describe::enum_to_string(job.state, "") + ")");
  if (job.stop_cause != StopCause::none) return api::conflict(name + " is being stopped");
  if (!core::takes_gangs(job, beside))
    return is_active(job.state) ? api::conflict(job.spec.script ? "the script of " + name + " has ended" : name + " is just starting or ending") : api::conflict(name + " does not run", "use `ultra run` inside the script");
  const Attempt& attempt = job.attempts.back();
  const auto open = std::count_if(attempt.gangs.begin(), attempt.gangs.end(), [](const Gang& gang) { return !gang.finished_ms; });
  if (open > open_gangs_max)
    return api::conflict(name + " has " + std::to_string(open_gangs_max) + " gangs at once already", "wait until some have finished");
  if (core::next_gang(attempt) > gangs_max)
    return api::conflict(name + " has had " + std::to_string(gangs_max) + " gangs", "let one gang do more of the work");
  return std::nullopt;
}

}  // namespace

void Daemon::request_gang(JobId id, protocol::GangRequest request, Actor actor, std::function<void(GangAdded)> done) {
  inbox_->post([this, id, request = std::move(request), actor, done = std::move(done)]() mutable {
    const auto answer = [this, &done](GangAdded added) {
      answer_after_commit([done = std::move(done), added = std::move(added)] { done(added); });
    };
    const auto found = state().jobs.find(id);
    if (found == state().jobs.end()) return answer(api::unknown_job(std::to_string(id.value)));
    const Job& job = found->second;
    if (const auto problem = why_no_gang(job, request.spec.beside_rank.has_value())) return answer(*problem);
    auto accepted = core::accept_gang(std::move(request.spec), job);
    if (const auto* refusal = std::get_if<core::Refusal>(&accepted)) return answer(api::from_refusal(*refusal));
    const GangKey key{id, job.attempts.back().attempt, core::next_gang(job.attempts.back())};
    pending_.environments[{id, key.gang}] = std::move(request.environment);
    record(GangRequested{key.job, key.attempt, key.gang, std::get<GangSpec>(std::move(accepted)), actor});
    spdlog::info("job {} gang {} asked for", api::text_of(job), key.gang);
    answer(key);
  });
}

void Daemon::stop_gang(GangKey key, Actor actor, Changed done) {
  change_each({key.job}, std::move(done), [this, key, actor](const Job& job) -> std::optional<api::Problem> {
    if (!core::is_open_gang(state(), key)) return std::nullopt;  // it has ended by itself meanwhile
    const Gang* gang = core::find_gang(job.attempts.back(), key.gang);
    if (gang && gang->stop_requested) return std::nullopt;
    spdlog::info("job {} gang {} stopped by uid {}", api::text_of(job), key.gang, actor.uid);
    record(GangStopRequested{key.job, key.attempt, key.gang, actor});
    return std::nullopt;
  });
}

bool Daemon::send_input(const std::string& node, const protocol::TerminalInput& input) { return sessions_.send(node, input) != 0; }

}  // namespace ultramarine::server
