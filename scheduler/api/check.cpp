// POST /v1/jobs/check: what would become of a submission now. The core runs on a copy of the snapshot's state; nothing
// is kept of it.
#include <algorithm>

#include "scheduler/api/api.h"
#include "scheduler/api/handlers.h"
#include "scheduler/api/notify.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/views.h"
#include "scheduler/api/words.h"
#include "scheduler/core/accept.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/scheduler.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {
namespace {

protocol::CheckReply checked(const Snapshot& snapshot, protocol::SubmitRequest request, const Actor& actor) {
  if (const auto refusal = core::refused_array(request.array_indices, request.array_limit))
    throw from_refusal(*refusal);
  core::Scheduler scheduler(*snapshot.state);
  auto accepted = scheduler.accept(std::move(request.spec), actor, snapshot.now_ms);
  if (const auto* refusal = std::get_if<core::Refusal>(&accepted)) throw from_refusal(*refusal);
  auto& [spec, warnings] = std::get<core::Accepted>(accepted);
  check_notifications(spec.notify, *snapshot.notifications);
  for (std::string& line : notification_warnings(spec.notify, actor, *snapshot.notifications)) warnings.push_back(std::move(line));
  protocol::CheckReply reply;
  reply.spec = spec;
  reply.count = std::max<std::int64_t>(static_cast<std::int64_t>(request.array_indices.size()), 1);
  reply.gpus = total_gpus(spec.resources);
  reply.warnings = std::move(warnings);
  JobSubmitted event{.job = {snapshot.state->next_job}, .spec = std::move(spec), .actor = actor};
  event.array_indices = std::move(request.array_indices);
  event.array_limit = request.array_limit;
  scheduler.apply(snapshot.now_ms, event);
  const Plan plan = scheduler.plan(snapshot.now_ms);
  if (const PlannedJob* planned = core::line_of(plan, event.job)) {
    reply.planned = *planned;
    reply.gpus = gpus_of(scheduler.state().jobs.at(event.job), planned);
    reply.why = why(*planned, scheduler.state(), snapshot.now_ms);
  }
  return reply;
}

}  // namespace

void check_job(const ExchangePtr& exchange) {
  auto request = decode_body<protocol::SubmitRequest>(*exchange);
  check_submission(request);
  exchange->backend.ask([exchange, request = std::move(request)](const SnapshotPtr& snapshot) {
    try {
      const std::int64_t uid = exchange->backend.scheduler_uid();
      if (const auto problem = why_not_submit(exchange->caller, *snapshot->state, uid)) throw *problem;
      check_nice(request.spec, exchange->caller, *snapshot->state, uid);
      exchange->answer(checked(*snapshot, request, exchange->caller.actor));
    } catch (const Problem& problem) {
      exchange->refuse(problem);
    }
  });
}

}  // namespace ultramarine::api
