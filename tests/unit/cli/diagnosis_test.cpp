// Each check of `ultra doctor` on something that is well and on something that isn't.
#include "scheduler/cli/diagnosis.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "scheduler/cli/manual.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

void expect(const Finding& finding, Health health, const std::string& part) {
  EXPECT_EQ(finding.result, health) << finding.check << ": " << finding.found;
  EXPECT_NE((finding.found + "; " + finding.remedy).find(part), std::string::npos)
      << finding.found << "; " << finding.remedy;
  EXPECT_EQ(finding.remedy.empty(), health == Health::ok) << "what isn't well has a remedy";
}

TEST(Diagnosis, ClocksMayDifferByLittle) {
  const Time now = test::fixed_now;
  expect(check_clock(now, now + milliseconds(20), now + milliseconds(30)), Health::ok, "0 ms");
  expect(check_clock(now, now + milliseconds(930), now + milliseconds(30)), Health::warning, "900 ms");
  expect(check_clock(now, now - minutes(1), now), Health::failed, "60000 ms");
}

TEST(Diagnosis, NodesWhoseClockIsWrongAreNamed) {
  std::vector<protocol::NodeView> nodes(3);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    nodes[i].node.config.name = "node0" + std::to_string(i + 1);
    nodes[i].facts_heard_ms = Time{1'000'000};
    nodes[i].facts = NodeFacts{.clock_ms = Time{1'000'000 - 40}};
  }
  nodes[2].facts.reset();
  expect(check_node_clocks(nodes), Health::ok, "40 ms");
  nodes[1].facts->clock_ms = Time{1'000'000 + 90'000};
  expect(check_node_clocks(nodes), Health::failed, "node02");
}

TEST(Diagnosis, VersionsShouldBeTheSame) {
  expect(check_version("ultra-scheduler", version_text()), Health::ok, version_text());
  expect(check_version("ultra-scheduler", "9.9.9"), Health::warning, "9.9.9");
}

TEST(Diagnosis, PermissionsKeepOthersOut) {
  const test::TemporaryFolder folder;
  expect(check_permissions(folder.path()), Health::ok, folder.path());
  std::ofstream(folder.path() + "/secret") << "x";
  chmod((folder.path() + "/secret").c_str(), 0644);
  expect(check_permissions(folder.path()), Health::failed, "chmod 600 " + folder.path() + "/secret");
  chmod(folder.path().c_str(), 0750);
  expect(check_permissions(folder.path()), Health::failed, "(mode 0750)");
  expect(check_permissions(folder.path() + "/nothing"), Health::failed, "can't look at");
}

TEST(Diagnosis, LocksAreTriedForReal) {
  const test::TemporaryFolder folder;
  expect(check_locks(folder.path()), Health::ok, "locks hold");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  expect(check_locks(folder.path() + "/nothing"), Health::failed, "can't write");
}

TEST(Diagnosis, ProgramsAndCommandsAreLookedFor) {
  const test::TemporaryFolder folder;
  expect(check_programs(folder.path()), Health::warning, "ultra-scheduler, ultra-agent, ultra-shim, ultra-shim-full, ultra-rsh");
  for (const char* name : {"/ultra-scheduler", "/ultra-agent", "/ultra-shim", "/ultra-shim-full", "/ultra-rsh"}) {
    std::ofstream(folder.path() + name) << "#!/bin/sh\n";
    chmod((folder.path() + name).c_str(), 0755);
  }
  expect(check_programs(folder.path()), Health::ok, folder.path());
  expect(check_command("ultra-shim", "/nowhere:" + folder.path(), "install it"), Health::ok,
         folder.path() + "/ultra-shim");
  expect(check_command("ultra-shim", "/nowhere", "install it"), Health::warning, "install it");
}

TEST(Diagnosis, ADriverIsNeededOnlyForRealGpus) {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/version";
  expect(check_driver(false, file), Health::ok, "no NVIDIA driver");
  expect(check_driver(true, file), Health::failed, "nvidia-smi");
  std::ofstream(file) << "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 2026\n";
  expect(check_driver(true, file), Health::ok, "NVIDIA driver 570.86.15");
}

TEST(Diagnosis, TheFabricIsWhatTheClusterFileSays) {
  const test::TemporaryFolder folder;
  for (const char* name : {"/net", "/net/eth0", "/net/lo", "/ib", "/ib/mlx5_0"}) std::filesystem::create_directory(folder.path() + name);
  const auto look = [&](const FabricConfig& fabric) { return check_fabric(fabric, folder.path() + "/net", folder.path() + "/ib"); };
  expect(look({}), Health::ok, "memory that may be locked");
  for (const char* fits : {"eth", "eth0", "=eth0", "ib0,lo", "^docker"}) expect(look({.socket_interface = fits}), Health::ok, fits);
  expect(look({.socket_interface = "=eth"}), Health::warning, "this machine has no =eth");
  expect(look({.infiniband = {"mlx5_0", "mlx5_7"}}), Health::warning, "this machine has no mlx5_7");
}

TEST(Diagnosis, PortsAndFolders) {
  const test::FakeApi api;
  expect(check_port("http-port", "not an address"), Health::failed, "is not HOST:PORT");
  expect(check_port("http-port", "127.0.0.1:1"), Health::failed, "nobody answers at 127.0.0.1:1");
  expect(check_shared_folder("/tmp", {}), Health::ok, "all nodes are this machine");
  expect(check_shared_folder("/proc", {"node02"}), Health::warning, "--workdir");
  expect(check_disk("state-disk", "/nowhere"), Health::failed, "can't look at /nowhere");
  expect(check_shared_memory("/nowhere"), Health::failed, "can't write in /nowhere");
}

}  // namespace
}  // namespace ultramarine::cli
