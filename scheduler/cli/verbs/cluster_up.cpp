// ultra cluster up: a whole cluster on this machine with one command; what it kept from last time goes on.
#include <filesystem>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/local_cluster.h"
#include "scheduler/cli/local_files.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/config.h"

namespace ultramarine::cli {
namespace {

ClusterChanges wanted_changes(const Arguments& arguments) {
  ClusterChanges wanted;
  wanted.nodes = arguments.whole_number("--nodes", 1, 1000);
  wanted.gpus_per_node = arguments.whole_number("--gpus-per-node", 1, 1024);
  wanted.http = arguments.text("--http");
  wanted.policy = arguments.text("--policy");
  if (wanted.http) {
    const auto endpoint = net::parse_endpoint(*wanted.http);
    if (!endpoint || endpoint->is_unix())
      usage_error("--http", spoken("\"{0}\" is not HOST:PORT", *wanted.http),
                  spoken("write for example {0}", "127.0.0.1:8642"));
    if (!net::is_loopback(*endpoint))
      throw CommandError(
          exit_code::usage,
          error_line("--http", spoken("{0} can be reached by other machines, and it knows no identities", *wanted.http),
                     spoken("give a loopback address such as 127.0.0.1:8642")));
  }
  if (wanted.policy) {
    try {
      protocol::load_daemon_policy(*wanted.policy);
    } catch (const protocol::ConfigError& error) {
      usage_error("--policy", error.problem, error.remedy);
    }
    if (wanted.policy->find('/') != std::string::npos || wanted.policy->ends_with(".toml"))
      wanted.policy = std::filesystem::absolute(*wanted.policy).string();
  }
  return wanted;
}

std::string first_change(const ClusterChanges& changes) {
  if (changes.nodes) return "--nodes";
  if (changes.gpus_per_node) return "--gpus-per-node";
  return changes.http ? "--http" : "--policy";
}

/// Ends what this run started. A queue that was kept may have started jobs already: they go back.
void undo(LocalCluster& cluster, Context& context, bool home_is_new) {
  if (cluster.started().empty() && !home_is_new) return;
  Progress progress(context.err, context.terminal);
  try {
    if (const auto view = cluster.view(); view.up && view.cluster->jobs_running > 0)
      Client(cluster.socket()).shutdown(true);
  } catch (const CommandError&) {
    // Then by signals, as all the rest.
  }
  cluster.stop_daemons(progress);
  std::error_code ignored;
  if (home_is_new) std::filesystem::remove_all(context.home, ignored);  // made by this very run, and nobody else had it
}

void say_up(const LocalView& view, Context& context, const std::string& headline) {
  const protocol::ClusterView& cluster = *view.cluster;
  const std::string nodes = spoken_count(cluster.nodes, "{0} node", "{0} nodes");
  const std::string gpus = cluster.virtual_devices ? spoken_count(cluster.gpus, "{0} virtual GPU", "{0} virtual GPUs")
                                                   : spoken_count(cluster.gpus, "{0} GPU", "{0} GPUs");
  const auto line = [&](const std::string& name, const std::string& text) {
    context.out << "  " << padded(name, 9) << text << '\n';
  };
  context.out << headline << ": " << spoken("{0}, {1}, policy {2}.", nodes, gpus, cluster.policy) << '\n';
  if (cluster.jobs_queued + cluster.jobs_running > 0)
    line(spoken("queue"), spoken_count(cluster.jobs_queued, "{0} job waits", "{0} jobs wait") + ", " +
                              spoken_count(cluster.jobs_running, "{0} job runs", "{0} jobs run"));
  line(spoken("state"), view.home);
  if (!view.http.empty()) line(spoken("http"), "http://" + view.http + "  (/v1/cluster, /v1/jobs, /metrics)");
  line(spoken("logs"), view.home + "/logs");
  context.out << spoken("Next: {0}", "ultra submit --gpus 2 --follow -- sh -c 'echo rank $RANK of $WORLD_SIZE'")
              << '\n';
}

int cluster_up(const Arguments& arguments, Context& context) {
  const ClusterChanges wanted = wanted_changes(arguments);
  const bool home_is_new = LocalCluster::prepare_home(context.home);
  const LocalLock lock(context.home);
  const Interrupt interrupt;
  LocalCluster cluster(context.home, programs_folder());
  const ClusterChanges changes = cluster.differing(wanted);
  const auto finish = [&](const std::string& headline) {
    const LocalView view = cluster.view();
    if (arguments.has("--json"))
      context.out << to_json_text(view) << '\n';
    else if (view.up)
      say_up(view, context, headline);
    if (!view.up)
      throw CommandError(exit_code::failure, error_line("ultra-scheduler", spoken("it went away again"),
                                                        spoken("its log is {0}", log_file(context.home, "scheduler"))));
    return exit_code::ok;
  };
  if (cluster.configured() && changes.any() && (cluster.scheduler() || !cluster.agents().empty())) {
    throw CommandError(
        exit_code::conflict,
        error_line(first_change(changes), spoken("the cluster in {0} runs with another value", context.home),
                   spoken("'ultra cluster down' first")));
  }
  if (cluster.scheduler() && cluster.agents().size() >= cluster.nodes().size() && cluster.view().up)
    return finish(spoken("Already up"));
  try {
    cluster.configure(changes);
    if (!cluster.scheduler()) cluster.check_ports();
    Progress progress(context.err, context.terminal);
    cluster.start_missing(progress, interrupt);
    interrupt.check();
  } catch (const Interrupted&) {
    undo(cluster, context, home_is_new);
    context.err << spoken("Interrupted: what was started is stopped again.") << '\n';
    return exit_code::interrupted;
  } catch (...) {
    undo(cluster, context, false);  // the logs stay: they say why
    throw;
  }
  return finish(spoken("The cluster is up"));
}

}  // namespace

Verb cluster_up_verb() {
  return {.path = "cluster up",
          .summary = "start a cluster on this machine: a scheduler and virtual nodes",
          .options = {{"--nodes", "N", "Virtual nodes (default 8)"},
                      {"--gpus-per-node", "K", "Virtual GPUs on each (default 8)"},
                      {"--http", "HOST:PORT",
                       "Where browsers and Prometheus ask (default 127.0.0.1:8642; port 0: any free one)"},
                      {"--policy", "NAME", "Scheduling policy, or a file (default: default)"},
                      json_option("what runs")},
          .details =
              "Its state is in $ULTRA_HOME (default ~/.ultramarine): cluster.toml may be edited while it is down. The "
              "queue of last time goes on.\n"
              "Examples:\n  ultra cluster up\n  ultra cluster up --nodes 2 --http 127.0.0.1:0",
          .run = cluster_up};
}

}  // namespace ultramarine::cli
