// ultra cluster status: what runs, and what the scheduler says of itself.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
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
    const bool colour = context.terminal.out_colour;
    const auto line = [&](const std::string& name, const std::string& text, Tint tint = Tint::none) {
      context.out << name
                  << (context.terminal.out_is_terminal
                          ? std::string(12 - std::min<std::size_t>(11, display_width(name)), ' ')
                          : "\t")
                  << tinted(printable(text), tint, colour) << '\n';
    };
    line(spoken("cluster"), view.cluster ? spoken("{0} (ultra-scheduler {1}, policy {2})", view.cluster->name,
                                                  view.cluster->version, view.cluster->policy)
                                         : spoken("not answering"));
    if (!elsewhere) {
      const bool runs = view.scheduler.running;
      line(spoken("scheduler"), runs ? spoken("runs (pid {0})", view.scheduler.pid) : spoken("not running"),
           runs ? Tint::green : Tint::red);
      const std::string running = fold(view.agents, true), missing = fold(view.agents, false);
      line(spoken("agents"), running.empty()   ? spoken("none runs")
                             : missing.empty() ? spoken("{0} run", running)
                                               : spoken("{0} run, {1} do not", running, missing));
    }
    if (view.cluster) {
      const protocol::ClusterView& cluster = *view.cluster;
      line(spoken("nodes"), spoken("{0} of {1} up", cluster.nodes_up, cluster.nodes));
      std::string gpus = cluster.virtual_devices ? spoken("{0} of {1} virtual GPUs in use, {2} idle",
                                                          cluster.gpus_allocated, cluster.gpus, cluster.gpus_idle)
                                                 : spoken("{0} of {1} GPUs in use, {2} idle", cluster.gpus_allocated,
                                                          cluster.gpus, cluster.gpus_idle);
      if (cluster.gpus_down > 0) gpus += ", " + spoken("{0} on nodes that aren't up", cluster.gpus_down);
      line(spoken("gpus"), gpus);
      line(spoken("jobs"),
           spoken("{0} running, {1} queued, {2} ended", cluster.jobs_running, cluster.jobs_queued, cluster.jobs_ended));
      line(spoken("up for"), protocol::format_duration({(cluster.now_ms - cluster.started_ms).ms / 1000 * 1000}));
      if (nodes) {
        for (const protocol::NodeView& node : nodes->nodes) {
          if (node.node.state != NodeState::up)
            line(spoken("node"),
                 spoken("{0} is {1} for {2}", node.node.config.name, word(node.node.state),
                        protocol::format_duration({(nodes->now_ms - node.node.since_ms).ms / 1000 * 1000})));
        }
      }
    }
    if (!view.http.empty()) line(spoken("http"), "http://" + view.http);
    line(spoken("socket"), view.socket);
    if (!elsewhere) line(spoken("state"), view.home);
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
