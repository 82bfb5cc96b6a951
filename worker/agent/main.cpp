// ultra-agent: one per node. Reads its part of the cluster file, then obeys the scheduler until it is told to end.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "worker/agent/agent.h"
#include "worker/agent/containment_record.h"
#include "worker/agent/device_record.h"
#include "worker/devices/process_cpu_time.h"
#include "worker/devices/real_inventory.h"
#include "worker/devices/virtual_inventory.h"

namespace {

using namespace ultramarine;

int complain(int exit_code, const std::string& message) {
  std::fprintf(stderr, "ultra-agent: %s\n", message.c_str());
  return exit_code;
}

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

/// ultra-shim lies beside this program, or where an installation has it. Throws AgentError when it doesn't.
std::string shim_program() {
  const auto beside = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto installed = (beside / "../lib/ultramarine").lexically_normal();
  for (const auto& folder : {beside, installed})
    if (const auto path = folder / "ultra-shim"; access(path.c_str(), X_OK) == 0) return path.string();
  throw agent::AgentError(agent::exit_failure, "ultra-shim is missing or can't be run in " + beside.string() + " and " + installed.string() +
                                                   "; install it beside ultra-agent");
}

/// Virtual devices only where the cluster file says so: a missing driver makes no GPU virtual.
std::unique_ptr<devices::Inventory> make_inventory(const agent::AgentOptions& options) {
  if (options.node.virtual_devices) return devices::make_virtual_inventory(options.node, devices::process_cpu_time);
  return devices::make_real_inventory(options.node, options.nvml_library, agent::read_device_record(options.state_directory));
}

int run(const agent::CommandLine& command_line) {
  const agent::AgentOptions options =
      agent::resolve_options(protocol::load_cluster_file(command_line.config), command_line, host_name());
  const std::string shim = shim_program();
  if (options.private_tmp) {
    const std::string problem = agent::why_no_private_tmp(::geteuid() == 0, options.state_directory, shim);
    if (!problem.empty()) throw agent::AgentError(agent::exit_usage, problem);
  }
  net::Loop loop;
  int exit_code = 0;
  const auto make_launcher = [&](net::Loop& the_loop, const std::string& jobs_folder, launcher::OnShimMessage on_message,
                                 launcher::OnTrouble on_trouble) {
    return launcher::make_shim_launcher(
        the_loop,
        {.jobs_folder = jobs_folder,
         .shim_program = shim,
         .peer_host = options.address,
         .scratch_base = agent::scratch_base(options.state_directory),
         .log_bytes_max = options.log_bytes_max,
         .api_socket = agent::api_socket(options.state_directory),
         .containment = agent::settle_containment(options.state_directory, options.node.name, options.containment),
         .processes_max = options.processes_max,
         .stuck_after = options.unkillable_after,
         .on_trouble = std::move(on_trouble),
         .prolog = options.prolog,
         .epilog = options.epilog,
         .script_deadline = options.script_deadline,
         .minimum_uid = options.minimum_uid,
         .root_jobs = options.root_jobs,
         .private_tmp = options.private_tmp},
        std::move(on_message));
  };
  const auto on_fatal = [&](const agent::AgentError& error) {
    exit_code = complain(error.exit_code, error.what());
    loop.stop();
  };
  agent::Agent agent(loop, options, make_inventory(options), make_launcher, on_fatal, agent::Backoff{.longest = options.reconnect_max});
  loop.on_signals({SIGTERM, SIGINT}, [&](int signal) {
    spdlog::info("event=ended signal={} ranks=unharmed", signal);
    loop.stop();
  });
  agent.start();
  loop.run();
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  agent::CommandLine command_line;
  CLI::App app("Ultramarine's agent: runs on every node, starts and stops gangs as the scheduler says, reports what happened.",
               "ultra-agent");
  app.add_option("--config", command_line.config, "Cluster file (TOML)")->required()->type_name("FILE");
  app.add_option("--node", command_line.node, "Name of this node in the cluster file (default: this host's name)")->type_name("NAME");
  app.add_option("--metrics", command_line.metrics, "Serve /metrics there (default: [agent].metrics)")->type_name("HOST:PORT");
  app.add_flag("--root-jobs", command_line.root_jobs, "When run by root, run root's own jobs, too: for a machine of one's own ([agent].root_jobs)");
  app.set_version_flag("--version", "ultra-agent " + agent::agent_version());
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& answered) {
    return app.exit(answered);
  } catch (const CLI::ParseError& error) {
    return complain(agent::exit_usage, std::string(error.what()) + " (see ultra-agent --help)");
  }

  const auto log = spdlog::stderr_logger_st("agent");
  log->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  spdlog::set_default_logger(log);
  // Whoever read our standard error may have gone.
  std::signal(SIGPIPE, SIG_IGN);
  // When memory runs out, the kernel is to choose somebody else: without the agent the node is lost for all.
  if (geteuid() == 0) std::ofstream("/proc/self/oom_score_adj") << "-900";
  try {
    return run(command_line);
  } catch (const agent::AgentError& error) {
    return complain(error.exit_code, error.what());
  } catch (const protocol::ConfigError& error) {
    return complain(agent::exit_usage, error.what());
  } catch (const std::exception& error) {
    return complain(agent::exit_failure, error.what());
  }
}
