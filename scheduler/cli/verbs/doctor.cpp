// ultra doctor: looks at everything that a cluster stands on, and says what to do where it isn't well.
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "scheduler/cli/client.h"
#include "scheduler/cli/diagnosis.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/local_cluster.h"
#include "scheduler/cli/local_files.h"
#include "scheduler/cli/words.h"
#include "scheduler/net/endpoint.h"
#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/config.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {

struct Diagnosis {
  std::vector<Finding> checks;
  std::int64_t failed = 0, warnings = 0;
};
BOOST_DESCRIBE_STRUCT(Diagnosis, (), (checks, failed, warnings))

namespace {

bool is_this_machine(const Node& node) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  if (node.config.virtual_devices || node.config.name == host || node.config.address == host) return true;
  const std::string& address = node.address.empty() ? node.config.address : node.address;
  return !address.empty() && net::is_loopback(net::Endpoint{.path = "", .host = address, .port = 0});
}

Finding nodes_finding(const std::vector<protocol::NodeView>& nodes) {
  std::vector<std::string> ailing;
  for (const protocol::NodeView& view : nodes) {
    if (view.node.state != NodeState::up) ailing.push_back(view.node.config.name);
  }
  if (ailing.empty())
    return {"nodes", Health::ok,
            spoken_count(static_cast<std::int64_t>(nodes.size()), "{0} node is up", "all {0} nodes are up"), ""};
  return {"nodes", ailing.size() == nodes.size() ? Health::failed : Health::warning,
          spoken("{0} are not up", protocol::fold_hostlist(ailing)),
          spoken("look with '{0}', and at their agents' logs", "ultra nodes")};
}

void look_at_cluster(Client& client, Context& context, std::vector<Finding>& findings) {
  const Time before = context.now();
  const protocol::ClusterView cluster = client.cluster().value;
  const Time after = context.now();
  const std::vector<protocol::NodeView> nodes = client.nodes().value.nodes;
  findings.push_back({"scheduler", Health::ok, spoken("it answers at {0}", context.socket), ""});
  if (!client.ready())
    findings.push_back({"ready", Health::failed, spoken("the scheduler can't record anything now"),
                        spoken("look at its log and at the disk of its state")});
  findings.push_back(check_version("ultra-scheduler", cluster.version));
  std::vector<std::string> strangers;
  for (const protocol::NodeView& view : nodes) {
    if (view.node.state == NodeState::up && view.node.agent_version != cluster.version)
      strangers.push_back(view.node.config.name);
  }
  if (!strangers.empty())
    findings.push_back({"agent-version", Health::warning,
                        spoken("agents of another version: {0}", protocol::fold_hostlist(strangers)),
                        spoken("install the same version everywhere; jobs go on while daemons are replaced")});
  findings.push_back(check_clock(before, cluster.now_ms, after));
  findings.push_back(check_node_clocks(nodes));
  if (!cluster.http.empty()) findings.push_back(check_port("http-port", cluster.http));
  if (!cluster.agents.empty()) findings.push_back(check_port("agents-port", cluster.agents));
  findings.push_back(nodes_finding(nodes));
  std::vector<std::string> others;
  bool real_gpus_here = false;
  for (const protocol::NodeView& view : nodes) {
    if (!is_this_machine(view.node))
      others.push_back(view.node.config.name);
    else
      real_gpus_here = real_gpus_here || !view.node.config.virtual_devices;
  }
  std::error_code error;
  findings.push_back(check_shared_folder(std::filesystem::current_path(error).string(), others));
  findings.push_back(check_driver(real_gpus_here));
}

int doctor(const Arguments& arguments, Context& context) {
  const bool json = arguments.has("--json");
  const Language spoken_before = language();
  if (json) speak(Language::english);  // JSON is the same in each language
  std::vector<Finding> findings;
  try {
    Client client(context.socket);
    look_at_cluster(client, context, findings);
  } catch (const CommandError& error) {
    findings.push_back({"scheduler", Health::failed, error.what(),
                        spoken("start one with 'ultra cluster up', or name another with --socket")});
    findings.push_back(check_driver(false));
  }
  std::error_code error;
  if (std::filesystem::exists(context.home, error)) {
    findings.push_back(check_permissions(context.home));
    findings.push_back(check_locks(context.home));
    findings.push_back(check_disk("state-disk", context.home));
    if (const std::string file = cluster_file(context.home); std::filesystem::exists(file, error)) {
      try {
        findings.push_back(check_fabric(protocol::load_cluster_file(file).cluster.fabric));
      } catch (const std::exception& problem) {
        findings.push_back({"fabric", Health::warning, problem.what(), ""});
      }
    }
  }
  findings.push_back(check_disk("temporary-disk", std::filesystem::temp_directory_path(error).string()));
  findings.push_back(check_shared_memory());
  findings.push_back(check_clock_is_kept());
  findings.push_back(check_open_files());
  findings.push_back(check_programs(programs_folder()));
  findings.push_back(check_command("python3", context.variable("PATH"),
                                   spoken("install it if your jobs use it: {0}", "apt-get install python3")));
  findings.push_back(
      check_command("mpirun", context.variable("PATH"),
                    spoken("install it if your jobs bring their own: {0}", "apt-get install openmpi-bin")));

  Diagnosis diagnosis;
  for (const Finding& finding : findings) {
    diagnosis.failed += finding.result == Health::failed;
    diagnosis.warnings += finding.result == Health::warning;
  }
  diagnosis.checks = std::move(findings);
  const int code = diagnosis.failed > 0 ? exit_code::failure : exit_code::ok;
  if (json) {
    context.out << protocol::to_json(diagnosis) << '\n';
    speak(spoken_before);
    return code;
  }
  Table table({{spoken("RESULT")}, {spoken("CHECK")}, {spoken("FOUND")}});
  for (const Finding& finding : diagnosis.checks) {
    const Cell result = finding.result == Health::ok        ? Cell(spoken("ok"), Tint::green)
                        : finding.result == Health::warning ? Cell(spoken("warning"), Tint::yellow)
                                                            : Cell(spoken("failed"), Tint::red);
    table.add({result, finding.check, finding.remedy.empty() ? finding.found : finding.found + "; " + finding.remedy});
  }
  Terminal whole = context.terminal;
  whole.columns = 10'000;  // remedies are read to their end
  table.write(context.out, whole);
  context.err << (diagnosis.failed == 0 && diagnosis.warnings == 0
                      ? spoken("Everything is well.")
                      : spoken("{0} failed, {1} to look at.", diagnosis.failed, diagnosis.warnings))
              << '\n';
  return code;
}

}  // namespace

Verb doctor_verb() {
  return {.path = "doctor",
          .summary = "look whether everything that a cluster stands on is well",
          .options = {json_option("the findings")},
          .details =
              "Clocks, versions, ports, nodes, driver, disks, locks, permissions, shared memory, programs. The exit "
              "code is 1 when a check failed.\n"
              "Examples:\n  ultra doctor\n  ultra doctor --json | jq '.checks[] | select(.result != \"ok\")'",
          .run = doctor};
}

}  // namespace ultramarine::cli
