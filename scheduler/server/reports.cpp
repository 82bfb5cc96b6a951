// What agents say, on the daemon's thread: hello and silence become NodeJoined, reports become liveness (and through core's due
// events durable facts), checkpoints are recorded before they are acknowledged.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "scheduler/core/first_failure.h"
#include "scheduler/core/gangs.h"
#include "scheduler/core/stall.h"
#include "scheduler/server/daemon.h"

namespace ultramarine::server {

namespace {

constexpr std::int64_t protocols_back = 2;  // N to N-2 are spoken

bool takes_part(const Job& job, std::int64_t gang, const std::string& node) {
  const Allocation allocation = core::gang_allocation(job, job.attempts.back(), gang);
  return std::any_of(allocation.begin(), allocation.end(), [&](const NodeAllocation& part) { return part.node == node; });
}

}  // namespace

void Daemon::agent_said_hello(std::int64_t session, std::shared_ptr<net::Connection> connection, protocol::Hello hello) {
  inbox_->post([this, session, connection = std::move(connection), hello = std::move(hello)]() mutable {
    take_hello(session, std::move(connection), std::move(hello));
  });
}

void Daemon::agent_said(std::int64_t session, protocol::FromAgent message) {
  inbox_->post([this, session, message = std::move(message)] {
    const auto agent = agents_by_session_.find(session);
    if (agent == agents_by_session_.end()) return;  // refused, or replaced by a newer session
    std::visit([&](const auto& one) { take(agent->second, one); }, message);
  });
}

void Daemon::agent_gone(std::int64_t session) {
  inbox_->post([this, session] {
    const auto agent = agents_by_session_.find(session);
    if (agent == agents_by_session_.end()) return;
    spdlog::info("agent of {} is gone", agent->second.node);
    sessions_.leave(agent->second.node, session);
    liveness_.nodes[agent->second.node].connected = false;
    ++liveness_version_;
    agents_by_session_.erase(agent);
  });
}

std::string Daemon::why_refused(const protocol::Hello& hello) const {
  // One that left the cluster file is known for as long as a job holds devices of it.
  if (!state().nodes.count(hello.node))
    return "node " + hello.node + " is not in the cluster file of cluster " + state().cluster.name + ": add it there, then `ultra reload`";
  if (hello.protocol > protocol::agent_protocol || hello.protocol < protocol::agent_protocol - protocols_back)
    return "this scheduler speaks protocol " + std::to_string(protocol::agent_protocol) + " and the " + std::to_string(protocols_back) +
           " before it, the agent speaks " + std::to_string(hello.protocol) + ": install the same version on both";
  return "";
}

void Daemon::take_hello(std::int64_t session, std::shared_ptr<net::Connection> connection, protocol::Hello hello) {
  if (agents_by_session_.count(session)) return;  // said twice
  if (const std::string problem = why_refused(hello); !problem.empty()) {
    spdlog::warn("agent refused: {}", problem);
    protocol::Welcome refusal;
    refusal.accepted = false;
    refusal.error = problem;
    connection->send(protocol::to_json(protocol::ToAgent{refusal}));
    connection->close();
    return;
  }
  std::erase_if(agents_by_session_, [&](const auto& entry) { return entry.second.node == hello.node; });

  core::NodeLiveness& live = liveness_.nodes[hello.node];
  live.connected = true;
  live.last_heard_ms = now_;
  live.source = hello.source;
  live.devices = hello.devices;
  live.known_gangs = hello.gangs;
  live.facts = hello.facts;
  live.facts_heard_ms = now_;
  live.metrics = hello.metrics;
  // What the agent said in an earlier session counts only as far as it still knows of it, or as an end that is already certain.
  for (auto& [key, gang] : liveness_.gangs) {
    gang.stillness.erase(hello.node);  // said again after the welcome
    const auto report = gang.nodes.find(hello.node);
    if (report == gang.nodes.end() || report->second.phase == GangPhase::finished) continue;
    if (std::find(hello.gangs.begin(), hello.gangs.end(), key) == hello.gangs.end()) gang.nodes.erase(report);
  }
  ++liveness_version_;

  protocol::Welcome welcome;
  welcome.protocol = hello.protocol;
  welcome.heartbeat_ms = state().cluster.timeouts.heartbeat_ms.ms;
  const Agent& agent = agents_by_session_[session] = {hello.node, std::move(hello)};
  if (const auto node = state().nodes.find(agent.node); node != state().nodes.end()) {
    const Node& known = node->second;
    welcome.node = known.config;
    if (known.state == NodeState::down || known.state == NodeState::suspect || known.state == NodeState::unreachable ||
        known.boot_id != agent.hello.boot_id || known.address != agent.hello.address || known.agent_version != agent.hello.agent_version ||
        known.launches_as_owner != agent.hello.launches_as_owner)
      if (!owes_an_end(agent)) join(agent);
  }
  spdlog::info("agent of {} joined with {} devices and {} gangs", agent.node, agent.hello.devices.size(), agent.hello.gangs.size());
  // The session counts only from here: Welcome is the first thing that it hears.
  after_commit_.push_back([this, session, connection, welcome, node = agent.node] {
    if (!agents_by_session_.count(session)) return;  // gone again
    connection->send(protocol::to_json(protocol::ToAgent{welcome}));
    // Attempts that ended while it was away, or of which it was ended itself: ahead of all that may start there.
    for (const protocol::AttemptKey& attempt : agents_by_session_.at(session).hello.attempts)
      if (!scheduler_.is_current(attempt.job, attempt.attempt))
        connection->send(protocol::to_json(protocol::ToAgent{protocol::AttemptOver{attempt.job, attempt.attempt}}));
    if (const auto replaced = sessions_.enter(node, session, connection)) {
      spdlog::warn("a newer agent of {} replaces the older one", node);
      replaced->close();
    }
  });
}

void Daemon::join(const Agent& agent) {
  record(NodeJoined{agent.node, agent.hello.boot_id, agent.hello.agent_version, agent.hello.address, {-1, agent.node, "agent"}, agent.hello.launches_as_owner});
}

void Daemon::heard(const Agent& agent) {
  core::NodeLiveness& live = liveness_.nodes[agent.node];
  live.last_heard_ms = now_;
  ++liveness_version_;
  const auto node = state().nodes.find(agent.node);
  if (node != state().nodes.end() && (node->second.state == NodeState::suspect || node->second.state == NodeState::unreachable) && !owes_an_end(agent))
    join(agent);
}

/// A node that was given up may still run something of an attempt that has ended: it gets nothing new before it has said that it is gone.
bool Daemon::owes_an_end(const Agent& agent) const {
  const auto node = state().nodes.find(agent.node);
  if (node == state().nodes.end() || node->second.state != NodeState::unreachable) return false;
  const std::vector<GangKey>& gangs = liveness_.nodes.at(agent.node).known_gangs;
  return std::any_of(gangs.begin(), gangs.end(), [&](const GangKey& key) { return !core::is_open_gang(state(), key); });
}

void Daemon::take(const Agent& agent, const protocol::Heartbeat& heartbeat) {
  heard(agent);
  core::NodeLiveness& live = liveness_.nodes[agent.node];
  live.devices = heartbeat.devices;
  if (heartbeat.clock_ms) core::note_clock(live, *heartbeat.clock_ms, now_);
  exporter_.on_devices(now_, agent.node, live.source, live.devices);
  sessions_.send(agent.node, protocol::Heard{heartbeat.sequence});
}

void Daemon::take(const Agent& agent, const GangReport& report) {
  if (report.phase == GangPhase::finished && !core::is_open_gang(state(), report.key)) std::erase(liveness_.nodes[agent.node].known_gangs, report.key);
  heard(agent);
  const auto job = state().jobs.find(report.key.job);
  if (!core::is_open_gang(state(), report.key) || !takes_part(job->second, report.key.gang, agent.node)) {
    // Of a gang that has ended (its Forget was lost), or of a gang that this journal has never chosen.
    protocol::ToAgent answer = protocol::Forget{report.key};
    if (report.phase != GangPhase::finished)
      answer = protocol::Stop{report.key, job == state().jobs.end() ? seconds(30) : job->second.spec.stop_grace_ms};
    after_commit_.push_back([this, node = agent.node, answer] { sessions_.send(node, answer); });
    return;
  }
  core::NodeLiveness& live = liveness_.nodes[agent.node];
  if (std::find(live.known_gangs.begin(), live.known_gangs.end(), report.key) == live.known_gangs.end())
    live.known_gangs.push_back(report.key);
  // A gang only goes forward: what says less than is known of it was overtaken on its way.
  GangReport& newest = liveness_.gangs[report.key].nodes[agent.node];
  if (report.phase >= newest.phase) newest = report;
}

void Daemon::take(const Agent& agent, const protocol::Progress& progress) {
  heard(agent);
  if (!core::is_open_gang(state(), progress.key)) return;
  auto& newest = liveness_.gangs[progress.key].progress;
  if (newest && progress.step < newest->step) return;  // each node says its own: the one that is ahead counts
  if (newest && progress.step > newest->step) exporter_.on_steps(progress.key.job, progress.step - newest->step, now_ - newest->advanced_ms);
  const bool is_new_step = !newest || progress.step > newest->step;
  const Time advanced = is_new_step ? now_ : newest->advanced_ms;
  newest = core::TrainingProgress{progress.step, progress.loss, progress.tokens_per_s,
                                  std::max(progress.tokens, newest ? newest->tokens : 0), progress.phase, advanced,
                                  progress.flops_per_token};
  if (is_new_step && progress.step > 0)  // before the first, only phases are told
    progress_[progress.key.job].add({now_, progress.key.attempt, progress.step, progress.loss, progress.tokens_per_s});
}

void Daemon::take(const Agent& agent, const GangStillness& stillness) {
  heard(agent);
  if (!core::is_open_gang(state(), stillness.key)) return;
  const Job& job = state().jobs.at(stillness.key.job);
  if (!takes_part(job, stillness.key.gang, agent.node)) return;
  spdlog::debug("gang {}.{}.{} on {}: still for {} ms of {} ms", stillness.key.job.value, stillness.key.attempt, stillness.key.gang, agent.node,
                stillness.still_ms.ms, stillness.limit_ms.ms);
  for (const std::string& node : core::note_stillness(job, agent.node, stillness, liveness_))
    after_commit_.push_back([this, node, key = stillness.key] { sessions_.send(node, protocol::Examine{key}); });
}

void Daemon::take(const Agent& agent, const protocol::CheckpointReport& report) {
  heard(agent);
  if (!scheduler_.is_current(report.key.job, report.key.attempt)) return;
  const Job& job = state().jobs.at(report.key.job);
  // Said again since the program was asked to stop, it means that there is something to go on with.
  const bool said_before_the_stop = job.stop_asked_ms && job.checkpoint && job.checkpoint->at_ms < *job.stop_asked_ms;
  const bool known = job.checkpoint && job.checkpoint->step == report.step && job.checkpoint->path == report.path && !said_before_the_stop;
  if (!known)
    record(CheckpointSaved{report.key.job, report.key.attempt, report.key.gang, report.step, report.path, {-1, agent.node, "agent"}});
  after_commit_.push_back([this, node = agent.node, report] {
    sessions_.send(node, protocol::CheckpointRecorded{report.key, report.step});
  });
}

void Daemon::take(const Agent& agent, const protocol::NodeTrouble& trouble) {
  heard(agent);
  const Actor actor{-1, agent.node, "agent"};
  const auto node = state().nodes.find(agent.node);
  if (node == state().nodes.end()) return;
  // The first reason stays: people have seen that one, and what follows is often its consequence.
  if (!node->second.drain && !trouble.reason.empty()) {
    spdlog::warn("node {} is drained by its agent: {}", agent.node, trouble.reason);
    record(NodeDrained{agent.node, trouble.reason, actor});
  }
  for (const GangKey& key : trouble.requeue) {
    if (!core::is_open_gang(state(), key) || !takes_part(state().jobs.at(key.job), key.gang, agent.node)) continue;
    record(JobRequeued{key.job, actor});
  }
}

}  // namespace ultramarine::server
