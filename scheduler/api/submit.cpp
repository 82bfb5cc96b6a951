// POST /v1/jobs: what can be said of a submission before the core judges it.
#include <algorithm>

#include "scheduler/api/api.h"
#include "scheduler/api/handlers.h"
#include "scheduler/api/planning_words.h"
#include "scheduler/api/roles.h"
#include "scheduler/core/accept.h"
#include "scheduler/core/comparison.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

constexpr std::size_t reason_bytes_max = 1000;

void check_submission(const protocol::SubmitRequest& request) {
  const std::size_t script_bytes = request.spec.script ? protocol::to_json(*request.spec.script).size() : 0;
  if (protocol::to_json(request.spec).size() - script_bytes > spec_bytes_max)
    throw Problem{413, "bad_request", "spec", "is larger than 256 KiB", "put long arguments into a file"};
  check_environment(request.environment);
  if (request.request_key.size() > 128) throw bad_request("request_key", "is longer than 128 bytes");
  if (request.spec.command.empty()) throw bad_request("spec.command", "is empty", "say what to run after --");
  for (std::size_t i = 0; i < request.spec.command.size(); ++i)
    check_text("spec.command[" + std::to_string(i) + "]", request.spec.command[i]);
  check_text("spec.working_directory", request.spec.working_directory);
  if (request.spec.working_directory.empty() || request.spec.working_directory[0] != '/')
    throw bad_request("spec.working_directory", "\"" + request.spec.working_directory + "\" is not absolute",
                      "give the full path of a folder");
}

void check_text(const std::string& field, const std::string& text) {
  if (text.find('\0') != std::string::npos) throw bad_request(field, "holds a zero byte", "no argument, path or variable can hold one");
}

void check_reason(const std::string& reason) {
  if (reason.size() > reason_bytes_max) throw bad_request("reason", "it has " + std::to_string(reason.size()) + " bytes", "use at most " + std::to_string(reason_bytes_max));
  if (std::any_of(reason.begin(), reason.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
    throw bad_request("reason", "it has control characters in it", "write one line");
}

void check_environment(const std::map<std::string, std::string>& environment) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : environment) {
    if (name.empty() || name.find('=') != std::string::npos) throw bad_request("environment", "\"" + name + "\" is no name of a variable");
    check_text("environment." + name, name);
    check_text("environment." + name, value);
    bytes += name.size() + value.size() + 2;
  }
  if (bytes > environment_bytes_max)
    throw Problem{413, "bad_request", "environment", "is larger than 1 MiB", "export fewer variables: --export NAME,NAME or --export NONE"};
}

namespace {

/// A nice value below 0 is no way around a bill: where others would start later for it, it is refused. Throws Problem.
void check_delays_nobody(const Snapshot& snapshot, const protocol::SubmitRequest& request, const Actor& actor) {
  const core::Scheduler planner = core::planning_copy(*snapshot.state);
  auto accepted = planner.accept(request.spec, actor, snapshot.now_ms);
  auto* complete = std::get_if<core::Accepted>(&accepted);
  if (!complete) return;  // refused below, with its reason
  const JobId job{snapshot.state->next_job};
  std::vector<JobId> itself{job};
  for (std::size_t element = 1; element < request.array_indices.size(); ++element) itself.push_back({job.value + static_cast<std::int64_t>(element)});
  const auto plan_with = [&](std::int64_t nice) {
    core::Scheduler with_it(planner);
    JobSubmitted event{.job = job, .spec = complete->spec, .actor = actor};
    event.spec.nice = nice;
    event.array_indices = request.array_indices;
    event.array_limit = request.array_limit;
    with_it.apply(snapshot.now_ms, event);
    return with_it.plan(snapshot.now_ms);
  };
  const core::Comparison found = core::moves_between(*snapshot.state, plan_with(0), plan_with(complete->spec.nice), itself);
  if (found.delayed.empty()) return;
  throw Problem{409, "conflict", "spec.nice", "with it others would start later: " + gpu_hours_in_words(found.displaced_gpu_ms) + " in all",
                "submit it without, then see the bill of a boost: `ultra boost`"};
}

void submit(const ExchangePtr& exchange, protocol::SubmitRequest request) {
  const auto check = [caller = exchange->caller, uid = exchange->backend.scheduler_uid()](const State& state, const JobSpec& spec) {
    if (const auto problem = why_not_submit(caller, state, uid)) throw *problem;
    check_nice(spec, caller, state, uid);
  };
  Submission submission{std::move(request.spec), std::move(request.environment), std::move(request.request_key), std::move(request.array_indices),
                        request.array_limit, check};
  exchange->backend.submit(std::move(submission), exchange->caller.actor, [exchange](const Backend::Submitted& submitted) {
    if (const auto* problem = std::get_if<Problem>(&submitted)) exchange->refuse(*problem);
    else exchange->answer(std::get<protocol::SubmitReply>(submitted));
  });
}

}  // namespace

void submit_job(const ExchangePtr& exchange) {
  auto request = decode_body<protocol::SubmitRequest>(*exchange);
  check_submission(request);
  if (request.spec.nice >= 0) return submit(exchange, std::move(request));
  exchange->backend.ask([exchange, request = std::move(request)](const SnapshotPtr& snapshot) {
    exchange->backend.think([exchange, request, snapshot] {
      std::optional<Problem> problem;
      try {
        check_nice(request.spec, exchange->caller, *snapshot->state, exchange->backend.scheduler_uid());
        const auto refusal = core::refused_array(request.array_indices, request.array_limit);
        if (!refusal) check_delays_nobody(*snapshot, request, exchange->caller.actor);
      } catch (const Problem& refused) {
        problem = refused;
      }
      exchange->backend.loop().post([exchange, request, problem] {
        if (problem) exchange->refuse(*problem);
        else submit(exchange, request);
      });
    });
  });
}

}  // namespace ultramarine::api
