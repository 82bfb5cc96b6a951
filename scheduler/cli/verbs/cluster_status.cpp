// ultra cluster status: what runs, and what the scheduler says of itself.
#include "scheduler/cli/client.h"
#include "scheduler/cli/local_cluster.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

std::string fold(const std::vector<DaemonView>& agents, bool running) {
  std::vector<std::string> names;
  for (const DaemonView& agent : agents) {
    if (agent.running == running) names.push_back(agent.name);
  }
  return protocol::fold_hostlist(names);
}

int cluster_status(const Arguments& arguments, Context& context) {
  LocalView view = LocalCluster(context.home, programs_folder(), LocalCluster::Malformed::is_ignored).view();
  const bool elsewhere =
      view.socket != context.socket;  // --socket or ULTRA_SOCKET: another cluster than that of ULTRA_HOME
  if (elsewhere) {
    view = LocalView{};
    view.socket = context.socket;
  }
  std::optional<CommandError> problem;
  std::optional<protocol::NodeList> nodes;
  try {
    Client client(context.socket);
    view.cluster = client.cluster().value;
    view.http = view.cluster->http;
    view.up = true;
    nodes = client.nodes().value;
  } catch (const CommandError& error) {
    problem = error;
  }
  if (arguments.has("--json")) {
    context.out << to_json_text(view) << '\n';
  } else {
    const auto line = [&](const std::string& name, const std::string& text) {
      context.out << name << (context.terminal.out_is_terminal ? std::string(12 - name.size(), ' ') : "\t")
                  << printable(text) << '\n';
    };
    const bool colour = context.terminal.out_colour;
    line("cluster", view.cluster ? view.cluster->name + " (ultra-scheduler " + view.cluster->version + ", policy " +
                                       view.cluster->policy + ")"
                                 : "not answering");
    if (!elsewhere) {
      context.out << "scheduler" << (context.terminal.out_is_terminal ? "   " : "\t")
                  << (view.scheduler.running
                          ? tinted("runs", Tint::green, colour) + " (pid " + std::to_string(view.scheduler.pid) + ")"
                          : tinted("not running", Tint::red, colour))
                  << '\n';
      const std::string running = fold(view.agents, true), missing = fold(view.agents, false);
      line("agents",
           running.empty() ? "none runs" : running + " run" + (missing.empty() ? "" : ", " + missing + " do not"));
    }
    if (view.cluster) {
      const protocol::ClusterView& cluster = *view.cluster;
      line("nodes", std::to_string(cluster.nodes_up) + " of " + std::to_string(cluster.nodes) + " up");
      line("gpus",
           std::to_string(cluster.gpus_allocated) + " of " + std::to_string(cluster.gpus) +
               (cluster.virtual_devices ? " virtual GPUs" : " GPUs") + " in use, " + std::to_string(cluster.gpus_idle) +
               " idle" +
               (cluster.gpus_down > 0 ? ", " + std::to_string(cluster.gpus_down) + " on nodes that aren't up" : ""));
      line("jobs", std::to_string(cluster.jobs_running) + " running, " + std::to_string(cluster.jobs_queued) +
                       " queued, " + std::to_string(cluster.jobs_ended) + " ended");
      line("up for", protocol::format_duration({(cluster.now_ms - cluster.started_ms).ms / 1000 * 1000}));
      if (nodes) {
        for (const protocol::NodeView& node : nodes->nodes) {
          if (node.node.state != NodeState::up)
            line("node", node.node.config.name + " is " + word(node.node.state) + " for " +
                             protocol::format_duration({(nodes->now_ms - node.node.since_ms).ms / 1000 * 1000}));
        }
      }
    }
    if (!view.http.empty()) line("http", "http://" + view.http);
    line("socket", view.socket);
    if (!elsewhere) line("state", view.home);
  }
  if (problem) throw *problem;
  return exit_code::ok;
}

}  // namespace

Verb cluster_status_verb() {
  return {.path = "cluster status",
          .summary = "show what runs: daemons, nodes, GPUs, jobs, addresses",
          .options = {json_option("what runs")},
          .details = "The exit code is 5 when no scheduler answers.",
          .run = cluster_status};
}

}  // namespace ultramarine::cli
