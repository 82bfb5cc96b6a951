// The cluster, its nodes, who asks, and the end of the daemon.
#include "scheduler/api/handlers.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/views.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/page_messages.h"

namespace ultramarine::api {

namespace {
struct Nothing {};
BOOST_DESCRIBE_STRUCT(Nothing, (), ())
}  // namespace

void show_cluster(const ExchangePtr& exchange, const std::string& version) {
  exchange->backend.ask([exchange, version](const SnapshotPtr& snapshot) { exchange->answer(cluster_view(*snapshot, version)); });
}

void list_nodes(const ExchangePtr& exchange) {
  exchange->backend.ask([exchange](const SnapshotPtr& snapshot) { exchange->answer(node_list(*snapshot, exchange->caller)); });
}

void show_caller(const ExchangePtr& exchange) {
  exchange->backend.ask([exchange](const SnapshotPtr& snapshot) {
    const Caller& caller = exchange->caller;
    protocol::CallerView view{caller.identified, caller.actor.name, {}};
    constexpr std::pair<Role, const char*> words[] = {
        {Role::user, "user"}, {Role::lead, "lead"}, {Role::manager, "manager"}, {Role::admin, "admin"}, {Role::auditor, "auditor"}};
    for (const auto& [role, word] : words)
      if (has_role(role, caller, *snapshot->state, exchange->backend.scheduler_uid())) view.roles.emplace_back(word);
    exchange->answer(view);
  });
}

void reload(const ExchangePtr& exchange) {
  const bool check = exchange->request.body.empty() ? false : decode_body<protocol::ReloadRequest>(*exchange).check;
  exchange->backend.ask([exchange, check](const SnapshotPtr& snapshot) {
    if (const auto problem = why_not(Act::reload, exchange->caller, *snapshot->state, exchange->backend.scheduler_uid())) {
      exchange->refuse(*problem);
      return;
    }
    exchange->backend.reload(check, exchange->caller.actor, [exchange](const Backend::Reloaded& reloaded) {
      if (const auto* problem = std::get_if<Problem>(&reloaded)) exchange->refuse(*problem);
      else exchange->answer(std::get<protocol::ReloadReply>(reloaded));
    });
  });
}

void shut_down(const ExchangePtr& exchange) {
  const bool requeue = exchange->request.body.empty() ? false : decode_body<protocol::ShutdownRequest>(*exchange).requeue;
  exchange->backend.ask([exchange, requeue](const SnapshotPtr& snapshot) {
    if (const auto problem = why_not(Act::shut_down, exchange->caller, *snapshot->state, exchange->backend.scheduler_uid())) {
      exchange->refuse(*problem);
      return;
    }
    exchange->backend.shut_down(requeue, exchange->caller.actor, [exchange](const std::optional<Problem>& problem) {
      if (problem) exchange->refuse(*problem);
      else exchange->answer(Nothing{});
    });
  });
}

}  // namespace ultramarine::api
