#include "worker/launcher/rank_environment.h"

#include "scheduler/protocol/text_forms.h"
#include "worker/launcher/mpi_environment.h"

namespace ultramarine::launcher {
namespace {

std::string list_of(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (const std::int64_t number : numbers) text += (text.empty() ? "" : ",") + std::to_string(number);
  return text;
}

void add_if_unset(Environment& environment, const std::string& name, const std::string& value) { environment.emplace(name, value); }

/// What torchrun gives its workers (PyTorch, torch/distributed/elastic/agent/server/local_elastic_agent.py).
void add_torchrun_layer(Environment& environment, const protocol::LaunchSpec& launch, const GangLayout& layout, const RankPlace& place,
                        std::size_t local_world_size, const GangSurroundings& surroundings) {
  environment["RANK"] = std::to_string(place.rank);
  environment["LOCAL_RANK"] = std::to_string(place.local_rank);
  environment["WORLD_SIZE"] = std::to_string(layout.world_size());
  environment["LOCAL_WORLD_SIZE"] = std::to_string(local_world_size);
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

}  // namespace

Environment base_environment(const protocol::LaunchSpec& launch) {
  Environment environment;
  for (const auto& [name, value] : launch.environment) {
    if (!belongs_to_another_launcher(name)) environment[name] = value;
  }
  add_if_unset(environment, "PATH", default_path);
  return environment;
}

Environment rank_environment(const protocol::LaunchSpec& launch, const GangLayout& layout, const RankPlace& place,
                             const GangSurroundings& surroundings) {
  Environment environment = base_environment(launch);
  const JobSpec& spec = launch.spec;
  const auto submitted_from = environment.find("PWD");
  const std::string submit_directory = submitted_from == environment.end() ? spec.working_directory : submitted_from->second;
  environment["PWD"] = spec.working_directory;
  for (const auto& [name, value] : launch.fabric_environment) environment[name] = value;

  std::vector<std::int64_t> devices;
  for (const RankPlace& other : layout.on_node(place.node)) devices.push_back(other.device);
  add_torchrun_layer(environment, launch, layout, place, devices.size(), surroundings);
  if (surroundings.loopback) {
    // These libraries look for an interface by the host's name, and skip loopback.
    add_if_unset(environment, "GLOO_SOCKET_IFNAME", "lo");
    add_if_unset(environment, "NCCL_SOCKET_IFNAME", "lo");
  }

  // Real devices: a rank sees all of its node's, and takes the one at LOCAL_RANK, as under torchrun.
  environment["CUDA_VISIBLE_DEVICES"] = launch.virtual_devices ? "" : list_of(devices);
  environment["ULTRA_DEVICES"] = std::to_string(place.device);
  environment["ULTRA_NODE_DEVICES"] = list_of(devices);
  environment["ULTRA_GPUS"] = std::to_string(layout.world_size());
  environment["ULTRA_JOB_ID"] = std::to_string(launch.key.job.value);
  environment["ULTRA_JOB_NAME"] = spec.name;
  environment["ULTRA_ATTEMPT"] = std::to_string(launch.key.attempt);
  environment["ULTRA_GANG"] = std::to_string(launch.key.gang);
  environment["ULTRA_CLUSTER"] = launch.cluster;
  environment["ULTRA_NODE"] = place.node;
  environment["ULTRA_NODE_RANK"] = std::to_string(place.node_rank);
  environment["ULTRA_NUM_NODES"] = std::to_string(layout.nodes().size());
  environment["ULTRA_NODELIST"] = protocol::fold_hostlist(layout.nodes());
  environment["ULTRA_ACCOUNT"] = spec.account;
  environment["ULTRA_PARTITION"] = spec.partition;
  environment["ULTRA_PROGRESS"] = surroundings.progress_path;
  environment["ULTRA_SUBMIT_DIR"] = submit_directory;
  return environment;
}

}  // namespace ultramarine::launcher
