// From the desired step of each gang on each node to messages.
#include "scheduler/server/dispatch.h"

#include <algorithm>
#include <vector>

#include "scheduler/core/gangs.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/stall.h"
#include "scheduler/net/proof.h"

namespace ultramarine::server {

namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

/// The job's spec with what `ultra run` asked for in its place. The files of the output are the script's: `ultra run` reads the gang's output.
void override_with(JobSpec& spec, const GangSpec& gang, const core::RankNumbers& numbers) {
  spec.command = gang.command;
  if (!gang.working_directory.empty()) spec.working_directory = gang.working_directory;
  spec.mpi = gang.mpi;
  spec.ranks = numbers.ranks;
  spec.ranks_per_node = numbers.ranks_per_node;
  if (gang.cpus_per_rank > 0) spec.cpus_per_rank = gang.cpus_per_rank;
  if (gang.bind == BindMode::none) spec.bind = BindMode::none;
  spec.terminal = gang.terminal;
  spec.output.clear();
  spec.error.clear();
}

constexpr const char* trial_variable = "ULTRA_TRIAL";

/// What the program is told is what it has in its trial. Its end is no time limit, of which it would be warned.
void make_trial(protocol::LaunchSpec& launch, const Attempt& attempt) {
  const std::int64_t gpus = core::gpus_of(attempt.allocation);
  const bool is_by_node = launch.spec.resources.nodes > 0;
  launch.spec.resources = is_by_node ? Resources{.nodes = 1, .gpus_per_node = gpus} : Resources{.gpus = gpus};
  launch.spec.time_limit_ms = *attempt.trial_ms;
  launch.spec.warning.reset();
  launch.environment[trial_variable] = "1";
}

}  // namespace

std::string gang_secret(const std::string& cluster_secret, const GangKey& key) {
  const std::string name = "gang " + std::to_string(key.job.value) + "." + std::to_string(key.attempt) + "." + std::to_string(key.gang);
  return net::to_hex(net::hmac_sha256(cluster_secret, name).substr(0, 16));
}

std::map<std::string, std::string> fabric_environment(const FabricConfig& fabric) {
  std::map<std::string, std::string> environment;
  if (!fabric.socket_interface.empty()) {
    environment["NCCL_SOCKET_IFNAME"] = fabric.socket_interface;
    environment["GLOO_SOCKET_IFNAME"] = fabric.socket_interface;  // else PyTorch asks what the host's own name means, often 127.0.1.1
    environment["OMPI_MCA_btl_tcp_if_include"] = fabric.socket_interface;
  }
  if (!fabric.infiniband.empty()) environment["NCCL_IB_HCA"] = joined(fabric.infiniband);
  for (const auto& [name, value] : fabric.environment) environment[name] = value;
  return environment;
}

namespace {

/// How long the ranks of a gang may run: of one that `ultra run` asked for, what its attempt had left then.
Duration time_of(const Job& job, const Attempt& attempt, const Gang* gang) {
  const Duration limit = core::time_limit(job, attempt);
  if (!gang || !gang->requested_ms) return limit;
  const Duration used = *gang->requested_ms - attempt.started_ms.value_or(*gang->requested_ms);
  return milliseconds(std::max<std::int64_t>(limit.ms - used.ms, 1));
}

}  // namespace

Dispatch::Dispatch(std::string cluster_secret, Environment environment)
    : cluster_secret_(std::move(cluster_secret)), environment_(std::move(environment)) {}

protocol::LaunchSpec Dispatch::launch_spec(const State& state, const Job& job, const GangKey& key, const std::string& node) const {
  const Attempt& attempt = job.attempts.back();
  const Gang* gang = core::find_gang(attempt, key.gang);
  // What all elements of an array share is kept with its first.
  const Job& first = job.array ? state.jobs.at(job.array->array) : job;
  protocol::LaunchSpec launch;
  launch.key = key;
  launch.cluster = state.cluster.name;
  launch.node = node;
  launch.spec = job.spec;
  launch.owner = job.owner;
  launch.allocation = core::gang_allocation(job, attempt, key.gang);
  launch.job_allocation = attempt.allocation;
  launch.array = job.array;
  launch.submitted_ms = job.submitted_ms;
  if (gang && gang->spec) {
    override_with(launch.spec, *gang->spec, core::rank_numbers(job, attempt, key.gang));
    if (launch.spec.script) launch.spec.script->text.clear();
    launch.time_left_ms = time_of(job, attempt, gang);
    launch.environment = environment_(job.job, key.gang);
    if (gang->spec->beside_rank) {
      // The job's own, with what the caller sends on top of it.
      auto environment = environment_(first.job, 1);
      for (auto& [name, value] : launch.environment) environment.insert_or_assign(name, std::move(value));
      launch.environment = std::move(environment);
    }
  } else {
    if (job.spec.script) {
      launch.kind = protocol::LaunchKind::script;
      launch.spec.script = first.spec.script;
    }
    launch.environment = environment_(first.job, 1);
    launch.environment.erase(trial_variable);  // of a job that this one was submitted from
  }
  if (attempt.trial_ms) make_trial(launch, attempt);
  launch.fabric_environment = fabric_environment(state.cluster.fabric);
  launch.memlock_bytes = state.cluster.fabric.memlock_bytes;
  launch.hang = core::hang_settings(state.cluster, job.spec);
  launch.gang_secret = gang_secret(cluster_secret_, key);
  launch.timeouts = state.cluster.timeouts;
  if (attempt.allocation.size() > 1 && job.spec.on_node_loss != NodeLossRule::wait) launch.self_stop_ms = state.cluster.timeouts.self_stop_ms;
  if (attempt.allocation.size() > 1) launch.spec.stop_when_cut_off_ms = {};  // on_node_loss says what becomes of them
  else launch.self_stop_ms = launch.spec.stop_when_cut_off_ms;
  if (const auto known = state.nodes.find(node); known != state.nodes.end()) launch.virtual_devices = known->second.config.virtual_devices;
  return launch;
}

std::optional<protocol::ToAgent> Dispatch::command(const State& state, const core::Liveness& liveness, const Job& job, const GangKey& key,
                                                   const std::string& node, core::LaunchStep step) const {
  switch (step) {
    case core::LaunchStep::nothing: return std::nullopt;
    case core::LaunchStep::prepare: return protocol::Prepare{launch_spec(state, job, key, node)};
    case core::LaunchStep::start: {
      protocol::Start start{key, {}};
      const auto& reports = liveness.gangs.at(key).nodes;
      for (const NodeAllocation& part : core::gang_allocation(job, job.attempts.back(), key.gang)) start.peers.push_back(reports.at(part.node).peer);
      return start;
    }
    case core::LaunchStep::stop:
      return protocol::Stop{key, core::stop_grace(state.cluster.timeouts, job, job.attempts.back(), key.gang), core::checkpoint_signal(job)};
    case core::LaunchStep::terminate: return protocol::Stop{key, core::stop_grace(state.cluster.timeouts, job, job.attempts.back(), key.gang)};
    case core::LaunchStep::forget: return protocol::Forget{key};
  }
  return std::nullopt;
}

void Dispatch::add_time(const Job& job, const GangKey& key, const std::string& node, std::int64_t session, bool is_launched, std::vector<Command>& commands) {
  const Attempt& attempt = job.attempts.back();
  const Gang* gang = core::find_gang(attempt, key.gang);
  Said& said = said_[{key, node}];
  const Duration time = time_of(job, attempt, gang);
  if (is_launched || (gang && gang->started_ms && (said.session_of_time != session || said.time != time))) {
    if (!is_launched) commands.push_back({node, protocol::TimeAllowed{key, time}});
    said.session_of_time = session;
    said.time = time;
  }
}

void Dispatch::add_due(const State& state, core::Liveness& liveness, const std::map<std::string, std::int64_t>& sessions, Time now,
                       const GangKey& key, const Allocation& allocation, std::vector<Command>& commands) {
  core::GangLiveness& gang = liveness.gangs[key];
  if (gang.first_asked_ms.ms == 0) gang.first_asked_ms = now;
  for (const NodeAllocation& part : allocation) {
    const auto session = sessions.find(part.node);
    if (session == sessions.end()) continue;
    const core::LaunchStep step = core::launch_step(state, liveness, key, part.node);
    add_time(state.jobs.at(key.job), key, part.node, session->second, step == core::LaunchStep::prepare, commands);
    Said& said = said_[{key, part.node}];
    if (step == core::LaunchStep::nothing || (said.session == session->second && said.step == step)) continue;
    said.session = session->second;
    said.step = step;
    if (auto message = command(state, liveness, state.jobs.at(key.job), key, part.node, step)) commands.push_back({part.node, std::move(*message)});
  }
}

/// The end of a gang is on disk: its nodes may forget it. One that is away now reports it again when it is back, and is
/// answered then.
void Dispatch::add_forgotten(const State& state, core::Liveness& liveness,
                             const std::map<std::string, std::int64_t>& sessions, std::vector<Command>& commands) {
  for (auto gang = liveness.gangs.begin(); gang != liveness.gangs.end();) {
    const GangKey key = gang->first;
    if (core::is_open_gang(state, key)) {
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
}

/// Every node of an attempt that has ended hears so, those too on which no gang of it was left.
void Dispatch::add_over(const State& state, const std::map<std::string, std::int64_t>& sessions, std::vector<Command>& commands) {
  std::erase_if(open_attempts_, [&](const auto& entry) {
    const auto& [key, nodes] = entry;
    const auto& [id, number] = key;
    const auto job = state.jobs.find(id);
    const Attempt* open = job == state.jobs.end() ? nullptr : core::open_attempt(job->second);
    if (open && open->attempt == number) return false;
    for (const std::string& node : nodes)
      if (sessions.count(node)) commands.push_back({node, protocol::AttemptOver{id, number}});
    return true;
  });
}

std::vector<Command> Dispatch::due(const State& state, const std::set<JobId>& active, core::Liveness& liveness,
                                   const std::map<std::string, std::int64_t>& sessions, Time now) {
  std::vector<Command> commands;
  // What has ended comes first: a node clears up before anything new starts there.
  add_forgotten(state, liveness, sessions, commands);
  add_over(state, sessions, commands);
  for (const JobId id : active) {
    const Job& job = state.jobs.at(id);
    const Attempt* attempt = core::open_attempt(job);
    std::vector<std::string>& nodes = open_attempts_[{id, attempt->attempt}];
    if (nodes.empty())
      for (const NodeAllocation& part : attempt->allocation) nodes.push_back(part.node);
    for (const std::int64_t number : core::gangs_of(*attempt)) {
      const GangKey key{id, attempt->attempt, number};
      if (!core::is_open_gang(state, key)) continue;
      add_due(state, liveness, sessions, now, key, core::gang_allocation(job, *attempt, number), commands);
    }
  }
  return commands;
}

}  // namespace ultramarine::server
