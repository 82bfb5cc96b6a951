#include "worker/launcher/rank_environment.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "scheduler/protocol/text_forms.h"
#include "worker/launcher/local_devices.h"
#include "worker/launcher/mpi_environment.h"
#include "worker/launcher/mpirun_environment.h"
#include "worker/launcher/slurm_environment.h"

namespace ultramarine::launcher {
namespace {

void add_if_unset(Environment& environment, const std::string& name, const std::string& value) { environment.emplace(name, value); }

/// Of a torchrun worker: they say which rank its owner is, not which one a job of his will be.
bool belongs_to_a_torchrun_worker(std::string_view name) {
  constexpr std::array<std::string_view, 11> names = {"RANK",             "LOCAL_RANK", "WORLD_SIZE",      "LOCAL_WORLD_SIZE", "GROUP_RANK",
                                                      "GROUP_WORLD_SIZE", "ROLE_RANK",  "ROLE_WORLD_SIZE", "ROLE_NAME",        "MASTER_ADDR",
                                                      "MASTER_PORT"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What torchrun gives its workers (PyTorch, torch/distributed/elastic/agent/server/local_elastic_agent.py).
void add_torchrun_layer(Environment& environment, const protocol::LaunchSpec& launch, const GangLayout& layout, const RankPlace& place,
                        const GangSurroundings& surroundings) {
  environment["RANK"] = std::to_string(place.rank);
  environment["LOCAL_RANK"] = std::to_string(place.local_rank);
  environment["WORLD_SIZE"] = std::to_string(layout.world_size());
  environment["LOCAL_WORLD_SIZE"] = std::to_string(layout.on_node(place.node).size());
  environment["GROUP_RANK"] = std::to_string(place.node_rank);
  environment["GROUP_WORLD_SIZE"] = std::to_string(layout.nodes().size());
  environment["ROLE_RANK"] = std::to_string(place.rank);
  environment["ROLE_WORLD_SIZE"] = std::to_string(layout.world_size());
  environment["ROLE_NAME"] = "default";
  environment["MASTER_ADDR"] = surroundings.master_address;
  environment["MASTER_PORT"] = std::to_string(surroundings.master_port);
  environment["TORCHELASTIC_RESTART_COUNT"] = std::to_string(launch.key.attempt - 1);
  environment["TORCHELASTIC_MAX_RESTARTS"] = "0";
  environment["TORCHELASTIC_RUN_ID"] =
      std::to_string(launch.key.job.value) + "." + std::to_string(launch.key.attempt) + "." + std::to_string(launch.key.gang);
  add_if_unset(environment, "OMP_NUM_THREADS", "1");
}

/// CPUs kept for a rank: what it asked for, else those of its GPU when it has one of its own. 0 = nothing was said.
std::int64_t cpus_of_rank(const JobSpec& spec, const RankPlace& place) {
  if (spec.cpus_per_rank > 0) return spec.cpus_per_rank;
  return place.devices.size() == 1 ? spec.cpus_per_gpu : 0;
}

/// Ours. A script speaks of the whole attempt, a rank of its gang.
void add_own_layer(Environment& environment, const protocol::LaunchSpec& launch, const GangLayout& layout, const RankPlace& place,
                   const GangSurroundings& surroundings) {
  const JobSpec& spec = launch.spec;
  std::vector<std::string> nodes;
  std::size_t devices = 0;
  for (const NodeAllocation& part : launch.kind == protocol::LaunchKind::script ? job_allocation(launch) : launch.allocation) {
    nodes.push_back(part.node);
    devices += part.devices.size();
  }
  environment["ULTRA_DEVICES"] = list_of(place.devices);
  environment["ULTRA_NODE_DEVICES"] = list_of(layout.devices_on(place.node));
  environment["ULTRA_GPUS"] = std::to_string(devices);
  environment["ULTRA_JOB_ID"] = std::to_string(launch.key.job.value);
  environment["ULTRA_JOB_NAME"] = spec.name;
  environment["ULTRA_ATTEMPT"] = std::to_string(launch.key.attempt);
  environment["ULTRA_GANG"] = std::to_string(launch.key.gang);
  environment["ULTRA_CLUSTER"] = launch.cluster;
  environment["ULTRA_NODE"] = place.node;
  environment["ULTRA_NODE_RANK"] = std::to_string(place.node_rank);
  environment["ULTRA_NUM_NODES"] = std::to_string(nodes.size());
  environment["ULTRA_NODELIST"] = protocol::fold_hostlist(nodes);
  environment["ULTRA_ACCOUNT"] = spec.account;
  environment["ULTRA_PARTITION"] = spec.partition;
  environment["ULTRA_PROGRESS"] = surroundings.progress_path;
  if (launch.array) {
    environment["ULTRA_ARRAY_JOB_ID"] = std::to_string(launch.array->array.value);
    environment["ULTRA_ARRAY_INDEX"] = std::to_string(launch.array->index);
  }
  if (!surroundings.api_socket.empty()) environment["ULTRA_SOCKET"] = surroundings.api_socket;
  if (!surroundings.scratch_folder.empty()) environment["ULTRA_SCRATCH"] = surroundings.scratch_folder;
}

}  // namespace

std::string list_of(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (const std::int64_t number : numbers) text += (text.empty() ? "" : ",") + std::to_string(number);
  return text;
}

const Allocation& job_allocation(const protocol::LaunchSpec& launch) {
  return launch.job_allocation.empty() ? launch.allocation : launch.job_allocation;
}

Environment base_environment(const protocol::LaunchSpec& launch) {
  // Gang 1 is submitted from anywhere, also from inside another job; the others come from the job's own script, and that one's choices hold.
  const bool from_anywhere = launch.key.gang == 1;
  const bool from_a_worker = from_anywhere && launch.environment.contains("TORCHELASTIC_RUN_ID");
  const bool from_another_job = from_anywhere && launch.environment.contains("ULTRA_JOB_ID");
  Environment environment;
  for (const auto& [name, value] : launch.environment) {
    const bool of_another_job = (from_anywhere && name.starts_with("SLURM_")) || (from_a_worker && belongs_to_a_torchrun_worker(name));
    const bool of_another_script = from_another_job && is_for_mpirun(name);
    if (!of_another_job && !of_another_script && !belongs_to_another_launcher(name)) environment[name] = value;
  }
  add_if_unset(environment, "PATH", default_path);
  return environment;
}

Environment rank_environment(const protocol::LaunchSpec& launch, const GangLayout& layout, const RankPlace& place,
                             const GangSurroundings& surroundings) {
  const bool is_script = launch.kind == protocol::LaunchKind::script;
  const bool in_script = is_script || launch.key.gang > 1;
  Environment environment = base_environment(launch);
  const JobSpec& spec = launch.spec;
  if (launch.key.gang == 1) {
    // Who submits a script says where from; else the shell's variable does.
    const auto submitted_from = environment.find("PWD");
    add_if_unset(environment, "ULTRA_SUBMIT_DIR", submitted_from == environment.end() ? spec.working_directory : submitted_from->second);
  }
  environment["PWD"] = spec.working_directory;
  for (const auto& [name, value] : launch.fabric_environment) add_if_unset(environment, name, value);

  // What we have set for the script, or in the job that this one was submitted from, is no choice of the user's.
  if (const auto ours = environment.find("ULTRA_CPUS_PER_RANK"); ours != environment.end()) {
    if (const auto threads = environment.find("OMP_NUM_THREADS"); threads != environment.end() && threads->second == ours->second) environment.erase(threads);
    environment.erase("ULTRA_CPUS_PER_RANK");
  }
  if (const std::int64_t cpus = cpus_of_rank(spec, place); cpus > 0) {
    add_if_unset(environment, "OMP_NUM_THREADS", std::to_string(cpus));
    environment["ULTRA_CPUS_PER_RANK"] = std::to_string(cpus);
  }
  if (!is_script) add_torchrun_layer(environment, launch, layout, place, surroundings);
  if (in_script) {
    add_slurm_layer(environment, launch, layout, place, surroundings);
    add_mpirun_layer(environment, surroundings, launch.virtual_devices);
  }
  if (!surroundings.helper_folder.empty()) add_remote_helper_layer(environment, surroundings.helper_folder);
  if (surroundings.loopback) {
    // These libraries look for an interface by the host's name, and skip loopback.
    add_if_unset(environment, "GLOO_SOCKET_IFNAME", "lo");
    add_if_unset(environment, "NCCL_SOCKET_IFNAME", "lo");
  }
  // Real devices: a rank sees all of its node's, and takes the one at LOCAL_RANK, as under torchrun.
  environment["CUDA_VISIBLE_DEVICES"] = launch.virtual_devices ? "" : visible_devices(launch, layout.devices_on(place.node));
  add_own_layer(environment, launch, layout, place, surroundings);
  return environment;
}

}  // namespace ultramarine::launcher
