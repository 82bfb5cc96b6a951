// `ultra run` inside a script: ask for a gang, wait for its end, stop it.
#include "scheduler/api/handlers.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/views.h"
#include "scheduler/core/gangs.h"
#include "scheduler/net/base64.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

namespace {

constexpr std::size_t input_bytes_max = 64 << 10;

void check(const protocol::GangRequest& request) {
  check_environment(request.environment);
  if (request.spec.command.empty()) throw bad_request("spec.command", "is empty", "say what to run after --");
  for (std::size_t i = 0; i < request.spec.command.size(); ++i) check_text("spec.command[" + std::to_string(i) + "]", request.spec.command[i]);
  for (std::size_t i = 0; i < request.spec.only_nodes.size(); ++i) check_text("spec.only_nodes[" + std::to_string(i) + "]", request.spec.only_nodes[i]);
  check_text("spec.working_directory", request.spec.working_directory);
}

/// Answers with the gang as it is now.
void answer_gang(const ExchangePtr& exchange, const Target& target) {
  with_job_of_gang(exchange, target.job, [exchange, target](const SnapshotPtr&, const Job& job) {
    exchange->answer(gang_view(named_gang(job, target.gang)));
  });
}

}  // namespace

void request_gang(const ExchangePtr& exchange, const Target& target) {
  auto request = decode_body<protocol::GangRequest>(*exchange);
  check(request);
  with_job_of_gang(exchange, target.job, [exchange, request = std::move(request)](const SnapshotPtr&, const Job& job) {
    if (exchange->caller.actor.uid != job.owner.uid)
      throw not_permitted("gangs inside job " + text_of(job) + " are for its owner to start", "use `ultra run` inside a job of your own");
    exchange->backend.request_gang(job.job, request, exchange->caller.actor, [exchange](const Backend::GangAdded& added) {
      if (const auto* problem = std::get_if<Problem>(&added)) return exchange->refuse(*problem);
      const GangKey& key = std::get<GangKey>(added);
      exchange->answer(protocol::GangReply{key.gang, key.attempt});
    });
  });
}

void wait_for_gang(const ExchangePtr& exchange, const Target& target) {
  const auto latest = latest_answer(*exchange);
  with_job_of_gang(exchange, target.job, [exchange, target, latest](const SnapshotPtr& snapshot, const Job& job) {
    if (const auto problem = why_not(Act::see, exchange->caller, job, *snapshot->state, exchange->backend.scheduler_uid())) throw *problem;
    const NamedGang gang = named_gang(job, target.gang);
    const auto is_over = [attempt = gang.key.attempt, number = gang.key.gang](const Job& now) {
      const Attempt& its = now.attempts[static_cast<std::size_t>(attempt) - 1];
      const Gang* record = core::find_gang(its, number);
      return its.ended_ms.has_value() || (record && record->finished_ms);
    };
    if (is_over(job) || std::chrono::steady_clock::now() >= latest) return exchange->answer(gang_view(gang));
    wait_until(exchange, job.job, latest, is_over, [exchange, target] { answer_gang(exchange, target); });
  });
}

void stop_gang(const ExchangePtr& exchange, const Target& target) {
  with_job_of_gang(exchange, target.job, [exchange, target](const SnapshotPtr& snapshot, const Job& job) {
    if (const auto problem = why_not(Act::cancel, exchange->caller, job, *snapshot->state, exchange->backend.scheduler_uid())) throw *problem;
    const NamedGang gang = named_gang(job, target.gang);
    if (gang.key.gang == 1)
      throw conflict("gang 1 is the job itself", "cancel the job: `ultra cancel " + text_of(job) + "`");
    exchange->backend.stop_gang(gang.key, exchange->caller.actor, [exchange, target](const std::optional<Problem>& problem) {
      if (problem) exchange->refuse(*problem);
      else answer_gang(exchange, target);
    });
  });
}

void type_into_gang(const ExchangePtr& exchange, const Target& target) {
  auto request = decode_body<protocol::InputRequest>(*exchange);
  try {
    if (net::from_base64(request.data_base64).size() > input_bytes_max)
      throw bad_request("data_base64", "more than " + std::to_string(input_bytes_max) + " bytes at once", "send them in pieces");
  } catch (const std::invalid_argument&) {
    throw bad_request("data_base64", "is no base64", "encode the bytes that were typed");
  }
  with_job_of_gang(exchange, target.job, [exchange, target, request = std::move(request)](const SnapshotPtr&, const Job& job) {
    // What is typed into somebody's shell is done in his name: not even an administrator may.
    if (job.owner.uid != exchange->caller.actor.uid) throw not_permitted("the terminal of job " + text_of(job) + " is its owner's", "use a job of your own");
    const NamedGang named = named_gang(job, target.gang);
    const bool has_terminal = named.key.gang == 1 ? job.spec.terminal.has_value() : named.record && named.record->spec && named.record->spec->terminal;
    if (!has_terminal) throw conflict("job " + text_of(job) + " has no terminal", "`ultra exec` starts a shell beside it");
    if (named.attempt->ended_ms || (named.record && named.record->finished_ms)) throw conflict("job " + text_of(job) + " has ended");
    if (!named.record || !named.record->started_ms) throw not_ready("job " + text_of(job) + " is just starting");
    const Allocation where = core::gang_allocation(job, *named.attempt, named.key.gang);
    if (where.empty() || !exchange->backend.send_input(where.front().node, {named.key, request.data_base64, request.size}))
      throw not_ready("the node of job " + text_of(job) + " is not connected", "it runs on meanwhile; try again in a few seconds");
    exchange->answer(gang_view(named));
  });
}

}  // namespace ultramarine::api
