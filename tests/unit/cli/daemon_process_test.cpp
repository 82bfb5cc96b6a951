// Daemons as processes: found again, stopped for sure, and never mistaken for a stranger with the same pid.
#include "scheduler/cli/daemon_process.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "scheduler/cli/command_error.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

struct DaemonProcess : testing::Test {
  test::TemporaryFolder folder;
  DaemonFiles files{"daemon", folder.path() + "/daemon.pid", folder.path() + "/daemon.log"};

  /// A shell that has said "ready" in its log, so that its traps are set.
  Process start_shell(const std::string& script) {
    const Process process = start_daemon(files, {"/bin/sh", "-c", script});
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (last_line(files.log_file, 0) != "ready" && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    EXPECT_EQ(last_line(files.log_file, 0), "ready");
    return process;
  }
  static void stop(const Process& process, std::chrono::milliseconds grace) {
    stop_processes({process}, grace, [](std::size_t) {});
  }
};

TEST_F(DaemonProcess, IsFoundByItsPidFileAndStopped) {
  const Process process = start_shell("echo ready; exec cat /dev/zero > /dev/null");
  EXPECT_TRUE(is_running(process));
  EXPECT_EQ(running_daemon(files.pid_file), process);
  EXPECT_EQ(getsid(static_cast<pid_t>(process.pid)), process.pid);  // away from this terminal
  stop(process, std::chrono::seconds(20));
  EXPECT_FALSE(is_running(process));
  EXPECT_EQ(running_daemon(files.pid_file), std::nullopt);
}

TEST_F(DaemonProcess, ThatIgnoresSigtermIsKilled) {
  const Process process = start_shell("trap '' TERM; echo ready; while :; do read x < /dev/zero; done");
  stop(process, std::chrono::milliseconds(200));
  EXPECT_FALSE(is_running(process));
}

TEST_F(DaemonProcess, ARecycledPidIsNeverTakenForOurs) {
  const Process process = start_shell("echo ready; exec cat /dev/zero > /dev/null");
  Process stranger = process;
  stranger.start_ticks += 1;  // the same pid, another process
  std::ofstream(files.pid_file) << stranger.pid << ' ' << stranger.start_ticks << ' ' << stranger.boot_id << '\n';
  EXPECT_EQ(running_daemon(files.pid_file), std::nullopt);
  EXPECT_FALSE(send_signal(stranger, SIGKILL));
  Process other_boot = process;
  other_boot.boot_id = "another";
  EXPECT_FALSE(send_signal(other_boot, SIGKILL));
  EXPECT_TRUE(is_running(process));
  stop(process, std::chrono::seconds(20));
}

TEST_F(DaemonProcess, AMissingProgramIsSaidAtOnce) {
  try {
    start_daemon(files, {folder.path() + "/ultra-nothing"});
    FAIL();
  } catch (const CommandError& error) {
    EXPECT_EQ(error.code, exit_code::failure);
    EXPECT_EQ(error.what(), "can't run " + folder.path() +
                                "/ultra-nothing: No such file or directory; build or install it beside ultra");
  }
  EXPECT_EQ(running_daemon(files.pid_file), std::nullopt);
}

TEST_F(DaemonProcess, DescendantsAndMarkedProcessesAreFound) {
  const Process process =
      start_shell("MARK_OF_TEST=m" + std::to_string(getpid()) + " cat /dev/zero > /dev/null & echo ready; wait");
  const auto children = descendants_of(process);
  ASSERT_EQ(children.size(), 1U);
  // The child may be between fork and exec: then its environment isn't its own yet.
  const std::string mark = "MARK_OF_TEST=m" + std::to_string(getpid());
  std::vector<Process> marked;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (marked.empty() && std::chrono::steady_clock::now() < deadline) marked = processes_with_environment(mark);
  EXPECT_EQ(marked, children);
  EXPECT_TRUE(processes_with_environment(mark.substr(0, mark.size() - 1)).empty());  // whole entries only
  stop_processes({process, children.front()}, std::chrono::seconds(20), [](std::size_t) {});
}

TEST_F(DaemonProcess, TheLastLineIsOfThisRun) {
  std::ofstream(files.log_file) << "old trouble\n";
  EXPECT_EQ(last_line(files.log_file, 12), "");
  std::ofstream(files.log_file, std::ios::app) << "new\n  \n\n";
  EXPECT_EQ(last_line(files.log_file, 12), "new");
  EXPECT_EQ(last_line(files.log_file, 1000), "");
  EXPECT_EQ(last_line(folder.path() + "/none", 0), "");
}

}  // namespace
}  // namespace ultramarine::cli
