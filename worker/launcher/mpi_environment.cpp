#include "worker/launcher/mpi_environment.h"

#include <array>
#include <string_view>

namespace ultramarine::launcher {

void add_mpi_environment(std::map<std::string, std::string>& environment, const MpiSurroundings& surroundings) {
  struct Row {
    const char* name;
    std::string value;
    bool wanted;
    bool user_may_choose;
  };
  const std::array<Row, 5> table = {{
      // Without the address of a daemon a rank takes itself for a singleton; any well-formed value will do.
      {"OMPI_MCA_orte_local_daemon_uri", "0.0;tcp://127.0.0.1:1", true, false},
      // Nodes that share a host share its name: their segments and session folders collide unless kept apart.
      {"OMPI_MCA_btl_vader_backing_directory", surroundings.folder, true, false},
      {"OMPI_MCA_orte_tmpdir_base", surroundings.folder, true, false},
      // Loopback is excluded by default.
      {"OMPI_MCA_btl_tcp_if_include", "lo", surroundings.loopback, true},
      // A rank that waits must give its core to the rank it waits for.
      {"OMPI_MCA_mpi_yield_when_idle", "1", surroundings.oversubscribed, true},
  }};
  for (const Row& row : table) {
    if (!row.wanted || (row.user_may_choose && environment.contains(row.name))) continue;
    environment[row.name] = row.value;
  }
}

bool belongs_to_another_launcher(const std::string& variable) {
  const std::string_view name = variable;
  if (name.starts_with("PMIX_")) return !name.starts_with("PMIX_MCA_");
  for (const std::string_view prefix : {"PMI_", "OMPI_COMM_WORLD_", "OMPI_MCA_orte_", "OMPI_MCA_ess", "OMPI_UNIVERSE_SIZE", "TORCHELASTIC_"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

}  // namespace ultramarine::launcher
