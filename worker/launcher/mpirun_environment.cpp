#include "worker/launcher/mpirun_environment.h"

#include <algorithm>
#include <array>

namespace ultramarine::launcher {
namespace {

/// When a row is set.
enum class When {
  always,
  reach,     // the remote shell and the list of nodes are there
  loopback,  // the nodes are one host
  crowded,   // nodes of virtual devices: more ranks than cores
};

/// What is no text of its own in the table.
constexpr const char* shell = "<ultra-rsh>";
constexpr const char* hosts = "<host file>";
constexpr const char* hydra_hosts = "<host file of Hydra>";

struct Row {
  const char* name;
  When when;
  const char* value;
};

constexpr std::array<Row, 27> table = {{
    // Open MPI 4.1: names and meanings by `ompi_info --all --level 9`.
    {"OMPI_MCA_plm", When::always, "rsh"},
    {"OMPI_MCA_ras", When::always, "^slurm"},  // our SLURM_ variables would make it look for srun
    {"OMPI_MCA_orte_default_hostfile", When::reach, hosts},
    {"OMPI_MCA_plm_rsh_agent", When::reach, shell},
    {"OMPI_MCA_plm_rsh_no_tree_spawn", When::reach, "1"},  // only the script's node starts helpers
    {"OMPI_MCA_orte_leave_session_attached", When::reach,
     "1"},  // a helper that went into the background would end its gang
    {"OMPI_MCA_plm_rsh_pass_environ_mca_params", When::reach,
     "0"},  // its environment is here already, with what is its node's alone
    {"OMPI_MCA_oob_tcp_if_include", When::loopback, "lo"},
    {"OMPI_MCA_btl_tcp_if_include", When::loopback, "lo"},
    {"OMPI_MCA_mpi_yield_when_idle", When::crowded, "1"},
    {"OMPI_MCA_hwloc_base_binding_policy", When::crowded, "none"},
    // Open MPI 5: PRRTE's parameters (prte_info --all; github.com/openpmix/prrte, src/mca/plm/ssh,
    // src/runtime/prte_mca_params.c and src/hwloc).
    {"PRTE_MCA_plm", When::always, "ssh"},
    {"PRTE_MCA_ras", When::always, "^slurm"},
    {"PRTE_MCA_prte_default_hostfile", When::reach, hosts},
    {"PRTE_MCA_plm_ssh_agent", When::reach, shell},
    {"PRTE_MCA_plm_ssh_no_tree_spawn", When::reach, "1"},
    {"PRTE_MCA_prte_leave_session_attached", When::reach, "1"},
    {"PRTE_MCA_plm_ssh_pass_environ_mca_params", When::reach, "0"},
    {"PRTE_MCA_prte_if_include", When::loopback, "lo"},  // oob_tcp_if_include of before
    {"PRTE_MCA_hwloc_default_binding_policy", When::crowded, "none"},
    // MPICH: "Using the Hydra Process Manager" (github.com/pmodels/mpich, doc/wiki), "Environment Settings".
    {"HYDRA_RMK", When::reach, "user"},
    {"HYDRA_LAUNCHER", When::reach, "ssh"},
    {"HYDRA_LAUNCHER_EXEC", When::reach, shell},
    {"HYDRA_HOST_FILE", When::reach, hydra_hosts},
    // Intel MPI: Developer Reference for Linux, "Hydra Environment Variables".
    {"I_MPI_HYDRA_BOOTSTRAP", When::reach, "ssh"},
    {"I_MPI_HYDRA_BOOTSTRAP_EXEC", When::reach, shell},
    {"I_MPI_HYDRA_HOST_FILE", When::reach, hydra_hosts},
}};

}  // namespace

void add_mpirun_layer(Environment& environment, const GangSurroundings& surroundings, bool virtual_devices) {
  const bool reach = !surroundings.remote_shell.empty() && !surroundings.host_file.empty();
  for (const Row& row : table) {
    const bool wanted = row.when == When::always || (row.when == When::loopback && surroundings.loopback) ||
                        (row.when == When::crowded && virtual_devices) || (row.when == When::reach && reach);
    if (!wanted) continue;
    environment.emplace(row.name, row.value == shell         ? surroundings.remote_shell
                                  : row.value == hosts       ? surroundings.host_file
                                  : row.value == hydra_hosts ? surroundings.hydra_host_file
                                                             : row.value);
  }
}

bool is_for_mpirun(const std::string& variable) {
  return std::any_of(table.begin(), table.end(), [&](const Row& row) { return variable == row.name; });
}

void add_remote_helper_layer(Environment& environment, const std::string& folder) {
  environment["OMPI_MCA_btl_vader_backing_directory"] = folder;
  environment["OMPI_MCA_orte_tmpdir_base"] = folder;
  environment["PRTE_MCA_prte_tmpdir_base"] = folder;
}

HostFiles host_files(const protocol::LaunchSpec& script) {
  const GangLayout ranks(job_allocation(script), script.spec.ranks, script.spec.ranks_per_node);
  HostFiles files;
  for (const std::string& node : ranks.nodes()) {
    const std::string name = node == script.node ? "localhost" : node;
    const std::string places = std::to_string(ranks.on_node(node).size());
    files.open_mpi += name + " slots=" + places + "\n";
    files.hydra += name + ":" + places + "\n";
  }
  return files;
}

}  // namespace ultramarine::launcher
