// Drain and resume: a drained node takes no new gangs until somebody resumes it; what runs there finishes. A node that can't be reached may be
// called lost by somebody who knows that it is off; only then its jobs go on elsewhere.
#include <algorithm>
#include <set>

#include "scheduler/api/handlers.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/views.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::api {

namespace {

std::vector<std::string> nodes_known(const State& state) {
  std::vector<std::string> names;
  for (const auto& [name, node] : state.nodes) names.push_back(name);
  return names;
}

void answer_nodes(const ExchangePtr& exchange, const std::vector<std::string>& hostlists) {
  exchange->backend.ask([exchange, hostlists](const SnapshotPtr& snapshot) {
    const auto chosen = named_nodes(hostlists, nodes_known(*snapshot->state));
    protocol::NodeList list = node_list(*snapshot, exchange->caller);
    std::erase_if(list.nodes, [&](const protocol::NodeView& view) { return std::find(chosen.begin(), chosen.end(), view.node.config.name) == chosen.end(); });
    exchange->answer(list);
  });
}

void ensure_given(const std::string& reason) {
  if (reason.find_first_not_of(' ') == std::string::npos) throw bad_request("reason", "none is given", "say why, for those who wonder");
}

}  // namespace

std::vector<std::string> named_nodes(const std::vector<std::string>& hostlists, const std::vector<std::string>& known) {
  std::set<std::string> chosen;
  for (const std::string& text : hostlists) {
    const auto names = protocol::expand_hostlist(text);
    if (!names) throw bad_request("nodes", "\"" + text.substr(0, 100) + "\" is no list of nodes", "write for example node[01-04]");
    for (const std::string& name : *names) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        const std::string near = protocol::nearest_word(name, known);
        throw bad_request("nodes", "there is no node " + name, near.empty() ? "`ultra nodes` lists them" : "did you mean " + near + "?");
      }
      chosen.insert(name);
    }
  }
  if (chosen.empty()) throw bad_request("nodes", "none is named", "name one, or several as node[01-04]");
  std::vector<std::string> in_order;
  std::copy_if(known.begin(), known.end(), std::back_inserter(in_order), [&](const std::string& name) { return chosen.count(name) != 0; });
  return in_order;
}

void drain_nodes(const ExchangePtr& exchange) {
  const auto request = decode_body<protocol::DrainRequest>(*exchange);
  check_reason(request.reason);
  const auto choose = [request, caller = exchange->caller, uid = exchange->backend.scheduler_uid()](const core::Scheduler& scheduler, Time) {
    const State& state = scheduler.state();
    if (const auto problem = why_not(Act::drain_nodes, caller, state, uid)) throw *problem;
    ensure_given(request.reason);
    std::vector<Event> events;
    for (const std::string& name : named_nodes(request.nodes, nodes_known(state))) {
      const Node& node = state.nodes.at(name);
      if (!node.drain || node.drain->reason != request.reason) events.push_back(NodeDrained{name, request.reason, caller.actor});
    }
    return events;
  };
  change(exchange, choose, [exchange, request] { answer_nodes(exchange, request.nodes); });
}

void lose_nodes(const ExchangePtr& exchange) {
  const auto request = decode_body<protocol::LossRequest>(*exchange);
  check_reason(request.reason);
  const auto choose = [request, caller = exchange->caller, uid = exchange->backend.scheduler_uid()](const core::Scheduler& scheduler, Time) {
    const State& state = scheduler.state();
    if (const auto problem = why_not(Act::lose_nodes, caller, state, uid)) throw *problem;
    ensure_given(request.reason);
    std::vector<Event> events;
    for (const std::string& name : named_nodes(request.nodes, nodes_known(state))) {
      const Node& node = state.nodes.at(name);
      if (node.state != NodeState::unreachable)
        throw conflict(name + " is not unreachable, so what runs there is known", "`ultra drain` keeps new jobs away; `ultra cancel` and `ultra requeue` end those that run");
      if (!node.lost || node.lost->reason != request.reason) events.push_back(NodeLost{name, request.reason, caller.actor});
    }
    return events;
  };
  change(exchange, choose, [exchange, request] { answer_nodes(exchange, request.nodes); });
}

void resume_nodes(const ExchangePtr& exchange) {
  const auto request = decode_body<protocol::ResumeRequest>(*exchange);
  const auto choose = [request, caller = exchange->caller, uid = exchange->backend.scheduler_uid()](const core::Scheduler& scheduler, Time) {
    const State& state = scheduler.state();
    if (const auto problem = why_not(Act::drain_nodes, caller, state, uid)) throw *problem;
    std::vector<Event> events;
    const auto names = named_nodes(request.nodes, nodes_known(state));
    for (const std::string& name : names)
      if (state.nodes.at(name).drain) events.push_back(NodeResumed{name, caller.actor});
    if (events.empty())
      throw conflict(names.size() == 1 ? names.front() + " is not drained" : "none of these nodes is drained", "`ultra nodes --reasons` lists those that are");
    return events;
  };
  change(exchange, choose, [exchange, request] { answer_nodes(exchange, request.nodes); });
}

}  // namespace ultramarine::api
