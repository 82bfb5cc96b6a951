// From the desired step of each gang on each node to messages.
#include "scheduler/server/dispatch.h"

#include <vector>

#include "scheduler/net/proof.h"

namespace ultramarine::server {

namespace {

std::string hex(std::string_view bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    text += digits[value >> 4];
    text += digits[value & 15];
  }
  return text;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

}  // namespace

std::string gang_secret(const std::string& cluster_secret, const GangKey& key) {
  const std::string name = "gang " + std::to_string(key.job.value) + "." + std::to_string(key.attempt) + "." + std::to_string(key.gang);
  return hex(net::hmac_sha256(cluster_secret, name).substr(0, 16));
}

std::map<std::string, std::string> fabric_environment(const FabricConfig& fabric) {
  std::map<std::string, std::string> environment;
  if (!fabric.socket_interface.empty()) {
    environment["NCCL_SOCKET_IFNAME"] = fabric.socket_interface;
    environment["OMPI_MCA_btl_tcp_if_include"] = fabric.socket_interface;
  }
  if (!fabric.infiniband.empty()) environment["NCCL_IB_HCA"] = joined(fabric.infiniband);
  for (const auto& [name, value] : fabric.environment) environment[name] = value;
  return environment;
}

Dispatch::Dispatch(std::string cluster_secret, Environment environment)
    : cluster_secret_(std::move(cluster_secret)), environment_(std::move(environment)) {}

std::optional<protocol::ToAgent> Dispatch::command(const State& state, const core::Liveness& liveness, const Job& job, const GangKey& key,
                                                   const std::string& node, core::LaunchStep step) const {
  const Attempt& attempt = job.attempts.back();
  switch (step) {
    case core::LaunchStep::nothing: return std::nullopt;
    case core::LaunchStep::prepare: {
      protocol::LaunchSpec launch;
      launch.key = key;
      launch.cluster = state.cluster.name;
      launch.node = node;
      launch.spec = job.spec;
      launch.owner = job.owner;
      launch.allocation = attempt.allocation;
      launch.environment = environment_(job.job);
      launch.fabric_environment = fabric_environment(state.cluster.fabric);
      launch.gang_secret = gang_secret(cluster_secret_, key);
      if (const auto known = state.nodes.find(node); known != state.nodes.end())
        launch.virtual_devices = known->second.config.virtual_devices;
      return protocol::Prepare{std::move(launch)};
    }
    case core::LaunchStep::start: {
      protocol::Start start{key, {}};
      const auto& reports = liveness.gangs.at(key).nodes;
      for (const NodeAllocation& part : attempt.allocation) start.peers.push_back(reports.at(part.node).peer);
      return start;
    }
    case core::LaunchStep::stop: return protocol::Stop{key, job.spec.stop_grace_ms};
    case core::LaunchStep::forget: return protocol::Forget{key};
  }
  return std::nullopt;
}

std::vector<Command> Dispatch::due(const State& state, core::Liveness& liveness, const std::map<std::string, std::int64_t>& sessions,
                                   Time now) {
  std::vector<Command> commands;
  for (const auto& [id, job] : state.jobs) {
    if (!is_active(job.state) || job.attempts.empty()) continue;
    const Attempt& attempt = job.attempts.back();
    const GangKey key{id, attempt.attempt, 1};
    core::GangLiveness& gang = liveness.gangs[key];
    if (gang.first_asked_ms.ms == 0) gang.first_asked_ms = now;
    for (const NodeAllocation& part : attempt.allocation) {
      const auto session = sessions.find(part.node);
      if (session == sessions.end()) continue;
      const core::LaunchStep step = core::launch_step(state, liveness, key, part.node);
      Said& said = said_[{key, part.node}];
      if (step == core::LaunchStep::nothing || (said.session == session->second && said.step == step)) continue;
      said = {session->second, step};
      if (auto message = command(state, liveness, job, key, part.node, step)) commands.push_back({part.node, std::move(*message)});
    }
  }
  // The end of an attempt is on disk: its nodes may forget it. One that is away now reports it again when it is back, and is answered then.
  for (auto gang = liveness.gangs.begin(); gang != liveness.gangs.end();) {
    const GangKey key = gang->first;
    const auto job = state.jobs.find(key.job);
    if (job != state.jobs.end() && is_active(job->second.state) && job->second.attempts.back().attempt == key.attempt) {
      ++gang;
      continue;
    }
    for (const auto& [node, report] : gang->second.nodes) {
      if (sessions.count(node)) commands.push_back({node, protocol::Forget{key}});
      std::erase(liveness.nodes[node].known_gangs, key);
    }
    gang = liveness.gangs.erase(gang);
    said_.erase(said_.lower_bound({key, ""}), said_.upper_bound({key, "\xff"}));
  }
  return commands;
}

}  // namespace ultramarine::server
