// Two (or more) virtual nodes on this machine for the launcher's tests: one launcher each, real shims, real ranks. The test itself
// plays agent and scheduler. At the end of every test nothing may be left: no process, no file under /dev/shm or /tmp.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "worker/launcher/job_folder.h"
#include "worker/launcher/launcher.h"

namespace ultramarine::launcher {

extern const std::string test_rank, mpi_rank, pmix_rank;  // paths of the test programs
constexpr std::int64_t nobody = 65534, daemon_user = 1;    // users that every Debian has

/// Blocks the writer's side until a rank has opened the FIFO, then sends it off.
inline void write_fifo(const std::string& path, const std::string& text) { std::ofstream(path) << text << std::flush; }

class VirtualNodes : public testing::Test {
 protected:
  struct Node {
    std::unique_ptr<Launcher> launcher;
    std::vector<GangReport> reports;
    std::vector<protocol::Progress> progress;
    std::vector<protocol::CheckpointReport> checkpoints;
    /// The newest, or one with phase preparing.
    GangReport last() const { return reports.empty() ? GangReport{} : reports.back(); }
  };

  VirtualNodes();
  ~VirtualNodes() override;

  /// Agents come and go; folders stay.
  void start_agent(const std::string& node);
  void stop_agent(const std::string& node) { nodes.at(node).launcher.reset(); }
  /// A launch of `command` with `ranks` on each node of `names` (virtual devices), not yet sent.
  protocol::LaunchSpec launch_of(std::vector<std::string> command, const std::vector<std::string>& names, int ranks);
  protocol::LaunchSpec shell(const std::string& script, const std::vector<std::string>& names, int ranks) {
    return launch_of({"sh", "-c", script}, names, ranks);
  }

  /// Prepares on all nodes and waits until each is prepared or finished.
  void prepare(const protocol::LaunchSpec& launch);
  /// After `prepare`: gives everybody everybody's peers.
  void start(const protocol::LaunchSpec& launch);
  void stop(const protocol::LaunchSpec& launch, Duration grace, std::int64_t request_signal = 0);
  /// Waits until every node of the launch has finished. `watch_failures`: as the scheduler does, stops all nodes at the first failure.
  void wait_finished(const protocol::LaunchSpec& launch, bool watch_failures = false);
  /// prepare, start, wait_finished(watching failures).
  void run(const protocol::LaunchSpec& launch);

  /// Runs the loop until `condition` holds; fails the test after 4 minutes, which a loaded machine may need.
  void until(const std::function<bool()>& condition, const char* what);
  void until_phase(const std::string& node, GangPhase phase);
  std::string output(const std::string& node, std::int64_t rank, const char* stream = "out");
  std::string path(const std::string& name) const { return folder + "/" + name; }
  std::int64_t shim_pid(const std::string& node);
  bool runs(std::int64_t pid) const;

  std::string folder;                 // everything of this test
  std::string jobs_below = "/jobs";   // of a node's folder
  std::shared_ptr<Containment> containment;  // of all nodes; null = process groups
  std::int64_t processes_max = 0;
  std::int64_t minimum_uid = 1000;
  bool root_jobs = true;  // the tests' own, where they are root
  bool private_tmp = false;
  std::string devices_folder = "/dev";
  std::string prolog, epilog;
  std::chrono::milliseconds script_deadline{50'000};
  std::chrono::milliseconds stuck_after{10'000};
  std::vector<protocol::NodeTrouble> troubles;
  net::Loop loop;
  std::map<std::string, Node> nodes;
  GangKey key;

 private:
  void expect_nothing_left();
};

}  // namespace ultramarine::launcher
