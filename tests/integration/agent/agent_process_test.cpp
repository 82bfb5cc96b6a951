// The real ultra-agent as a process: its exit codes and the one line that it says.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tests/unit/agent/temporary_folder.h"

namespace ultramarine::agent {
namespace {

using testing::HasSubstr;

const std::string program = ULTRAMARINE_BINARY_DIR "/bin/ultra-agent";

/// A child whose standard error is read line by line.
class Child {
 public:
  explicit Child(std::vector<std::string> arguments) {
    int pipe_ends[2];
    if (pipe2(pipe_ends, O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 2);
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_ends[1]);
    error_ = pipe_ends[0];
  }
  ~Child() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(error_);
  }
  /// Reads until `text` was said. False at the end of the output or after 30 s.
  bool says(const std::string& text) {
    while (said.find(text) == std::string::npos)
      if (!read_more()) return false;
    return true;
  }
  /// The exit code; -1 when it was ended by a signal.
  int exit_code() {
    while (read_more()) {
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void signal(int number) { kill(pid_, number); }
  std::string said;

 private:
  bool read_more() {
    pollfd ready{error_, POLLIN, 0};
    char buffer[4096];
    if (poll(&ready, 1, 30'000) != 1) return false;
    const ssize_t length = read(error_, buffer, sizeof buffer);
    if (length <= 0) return false;
    said.append(buffer, static_cast<std::size_t>(length));
    return true;
  }
  pid_t pid_ = -1;
  int error_ = -1;
};

struct AgentProcess : testing::Test {
  TemporaryFolder temporary;
  std::string config = temporary.path + "/cluster.toml";
  AgentProcess() {
    // Nobody listens there: an agent without scheduler waits for it.
    std::ofstream(config) << "name = \"test\"\n[[node]]\nname = \"node[01-02]\"\ngpus = 8\ngpu_type = \"H100\"\nvirtual = true\naddress = \"127.0.0.1\"\n"
                             "[scheduler]\nagents = \"127.0.0.1:1\"\n";
    std::ofstream(temporary.path + "/secret") << "s3cret\n";
    chmod((temporary.path + "/secret").c_str(), 0600);
  }
  Child agent(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"--config", config, "--node", "node01"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Child(std::move(arguments));
  }
};

TEST_F(AgentProcess, WaitsForItsSchedulerAndEndsCleanlyWhenAsked) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Child running = agent({"--metrics", "127.0.0.1:0"});
    ASSERT_TRUE(running.says("event=scheduler_unreachable")) << running.said;
    EXPECT_THAT(running.said, HasSubstr("event=started node=node01 version="));
    EXPECT_THAT(running.said, HasSubstr("event=metrics address=127.0.0.1:"));
    running.signal(signal);
    EXPECT_EQ(running.exit_code(), 0) << running.said;
    EXPECT_THAT(running.said, HasSubstr("event=ended signal=" + std::to_string(signal)));
  }
}

TEST_F(AgentProcess, SecondOneIsAConflictAndAKilledOneLocksNobodyOut) {
  {
    Child first = agent();
    ASSERT_TRUE(first.says("event=started"));
    Child second = agent();
    EXPECT_EQ(second.exit_code(), 6);
    EXPECT_THAT(second.said, HasSubstr("in use by the agent with process id"));
    first.signal(SIGKILL);
    EXPECT_EQ(first.exit_code(), -1);
  }
  Child third = agent();
  EXPECT_TRUE(third.says("event=started"));
}

TEST_F(AgentProcess, WrongUseSaysOneLineAndExitsWith2) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{}, "--config is required"},
      {{"--config", config, "--colour", "blue"}, "--colour"},
      {{"--config", temporary.path + "/absent.toml"}, "can't be read"},
      {{"--config", config, "--node", "node09"}, "has no node node09; it has node[01-02]"},
      {{"--config", config, "--node", "node01", "--metrics", "x"}, "--metrics: expected HOST:PORT"}};
  for (const auto& [arguments, expected] : cases) {
    Child child(arguments);
    EXPECT_EQ(child.exit_code(), 2) << child.said;
    EXPECT_THAT(child.said, HasSubstr(expected));
    EXPECT_EQ(std::count(child.said.begin(), child.said.end(), '\n'), 1) << child.said;
  }
  EXPECT_TRUE(agent().says("event=started")) << "a correct command must work afterwards";
}

TEST_F(AgentProcess, SecretThatOthersCanReadIsNotUsed) {
  chmod((temporary.path + "/secret").c_str(), 0640);
  Child child = agent();
  EXPECT_EQ(child.exit_code(), 2);
  EXPECT_THAT(child.said, HasSubstr("chmod 600 " + temporary.path + "/secret"));
}

TEST_F(AgentProcess, StateDirectoryThatCannotBeMadeExitsWith1) {
  std::ofstream(temporary.path + "/agents") << "a file";
  Child child = agent();
  EXPECT_EQ(child.exit_code(), 1);
  EXPECT_THAT(child.said, HasSubstr("state_directory"));
}

}  // namespace
}  // namespace ultramarine::agent
