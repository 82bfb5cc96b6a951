#include "tests/integration/launcher/node_fixture.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "worker/launcher/message_text.h"
#include "worker/launcher/process_tree.h"

namespace ultramarine::launcher {

namespace fs = std::filesystem;

const std::string test_rank = ULTRAMARINE_BINARY_DIR "/tests/launcher_test_rank";
const std::string mpi_rank = ULTRAMARINE_BINARY_DIR "/tests/launcher_mpi_rank";
const std::string pmix_rank = ULTRAMARINE_BINARY_DIR "/tests/launcher_pmix_rank";

VirtualNodes::VirtualNodes() {
  static std::int64_t tests = 0;
  key = {JobId{::getpid() * std::int64_t{1000} + ++tests}, 1, 1};  // the machine's other tests have other jobs
  std::string name = "/tmp/launcher-test-XXXXXX";
  folder = ::mkdtemp(name.data());
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // whatever escapes from a shim comes to us and is seen
}

VirtualNodes::~VirtualNodes() {
  for (auto& [name, node] : nodes) node.launcher.reset();
  expect_nothing_left();
  if (containment) remove_empty_groups(*containment);  // of shims that went after their launcher
  fs::remove_all(folder);
}

void VirtualNodes::expect_nothing_left() {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  // Shims that have said their last word need a moment to go.
  while (!descendants_of(::getpid()).empty() && std::chrono::steady_clock::now() < limit) loop.run_for(std::chrono::milliseconds(5));
  for (const ProcessIdentity& left : descendants_of(::getpid())) {
    const std::string command = read_whole("/proc/" + std::to_string(left.pid) + "/cmdline").value_or("");
    ADD_FAILURE() << "process left behind: " << left.pid << " " << command;
    send_signal(left, SIGKILL);
  }
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
  const std::string mark = "ultramarine-" + std::to_string(key.job.value) + ".";
  for (const char* place : {"/dev/shm", "/tmp"}) {
    for (const auto& entry : fs::directory_iterator(place)) {
      if (entry.path().filename().string().starts_with(mark)) ADD_FAILURE() << "left behind: " << entry.path();
    }
  }
}

void VirtualNodes::start_agent(const std::string& name) {
  Node& node = nodes[name];
  node.launcher = make_shim_launcher(
      loop,
      {.jobs_folder = folder + "/" + name + jobs_below, .shim_program = ULTRAMARINE_BINARY_DIR "/bin/ultra-shim", .peer_host = "127.0.0.1",
       .scratch_base = folder + "/" + name + "/scratch",
       .api_socket = folder + "/" + name + jobs_below + "/api.sock",
       .containment = containment,
       .processes_max = processes_max,
       .devices_folder = devices_folder,
       .stuck_after = stuck_after,
       .on_trouble = [this](const protocol::NodeTrouble& trouble) { troubles.push_back(trouble); },
       .prolog = prolog,
       .epilog = epilog,
       .script_deadline = script_deadline,
       .minimum_uid = minimum_uid,
       .root_jobs = root_jobs,
       .private_tmp = private_tmp},
      [&node](const protocol::FromShim& message) {
        if (const auto* report = std::get_if<GangReport>(&message)) node.reports.push_back(*report);
        if (const auto* progress = std::get_if<protocol::Progress>(&message)) node.progress.push_back(*progress);
        if (const auto* checkpoint = std::get_if<protocol::CheckpointReport>(&message)) node.checkpoints.push_back(*checkpoint);
      });
}

protocol::LaunchSpec VirtualNodes::launch_of(std::vector<std::string> command, const std::vector<std::string>& names, int ranks) {
  protocol::LaunchSpec launch;
  launch.key = key;
  launch.cluster = "test";
  launch.owner.uid = ::getuid();
  launch.spec.name = "test";
  launch.spec.command = std::move(command);
  launch.spec.working_directory = folder;
  launch.spec.stop_grace_ms = seconds(20);
  launch.spec.mpi = MpiMode::none;
  launch.environment = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"HOME", folder}};
  launch.gang_secret = "0123456789abcdef0123456789abcdef";
  launch.virtual_devices = true;
  for (const std::string& name : names) {
    NodeAllocation part{.node = name};
    for (int device = 0; device < ranks; ++device) part.devices.push_back(device);
    launch.allocation.push_back(part);
  }
  return launch;
}

void VirtualNodes::prepare(const protocol::LaunchSpec& launch) {
  for (const NodeAllocation& part : launch.allocation) {
    if (!nodes.contains(part.node)) start_agent(part.node);
    protocol::LaunchSpec copy = launch;
    copy.node = part.node;
    nodes.at(part.node).launcher->prepare(copy);
  }
  for (const NodeAllocation& part : launch.allocation) until_phase(part.node, GangPhase::prepared);
}

void VirtualNodes::start(const protocol::LaunchSpec& launch) {
  protocol::Start message{.key = launch.key};
  for (const NodeAllocation& part : launch.allocation) message.peers.push_back(nodes.at(part.node).last().peer);
  for (const NodeAllocation& part : launch.allocation) nodes.at(part.node).launcher->send(launch.key, message);
}

void VirtualNodes::stop(const protocol::LaunchSpec& launch, Duration grace, std::int64_t request_signal) {
  for (const NodeAllocation& part : launch.allocation) {
    nodes.at(part.node).launcher->send(launch.key, protocol::Stop{.key = launch.key, .grace_ms = grace, .request_signal = request_signal});
  }
}

void VirtualNodes::wait_finished(const protocol::LaunchSpec& launch, bool watch_failures) {
  bool stopped = false;
  until(
      [&] {
        bool all = true;
        for (const NodeAllocation& part : launch.allocation) {
          const GangReport report = nodes.at(part.node).last();
          all = all && report.phase == GangPhase::finished;
          if (watch_failures && !stopped && report.failure) {
            stopped = true;
            stop(launch, seconds(5));
          }
        }
        return all;
      },
      "all nodes finished");
}

void VirtualNodes::run(const protocol::LaunchSpec& launch) {
  prepare(launch);
  start(launch);
  wait_finished(launch, true);
}

void VirtualNodes::until(const std::function<bool()>& condition, const char* what) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(240);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) {
      FAIL() << "waited in vain: " << what;
    }
    loop.run_for(std::chrono::milliseconds(5));
  }
}

void VirtualNodes::until_phase(const std::string& node, GangPhase phase) {
  until([&] { return nodes.at(node).last().phase >= phase; }, boost::describe::enum_to_string(phase, "?"));
}

std::string VirtualNodes::output(const std::string& node, std::int64_t rank, const char* stream) {
  const std::string name = nodes.at(node).launcher->folder(key) + "/rank_" + std::to_string(rank) + "." + stream;
  return read_whole(fs::is_symlink(name) ? fs::read_symlink(name).string() : name).value_or("no such file");  // a file that the user named
}

std::int64_t VirtualNodes::shim_pid(const std::string& node) {
  const std::string job_folder = folder + "/" + node + jobs_below + "/" + text_of(key);
  return from_text<ShimPid>(read_whole(job_folder + "/shim.pid").value()).process.pid;
}

bool VirtualNodes::runs(std::int64_t pid) const {
  const auto process = identify(pid);
  return process && is_running(*process);
}

}  // namespace ultramarine::launcher
