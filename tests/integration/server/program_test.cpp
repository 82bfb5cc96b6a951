// The program ultra-scheduler as people and init systems meet it: what it says and returns when something is wrong, signals, a
// second instance, a crash and what comes after it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "scheduler/net/http.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/codec.h"

extern char** environ;

namespace ultramarine::server {
namespace {

const std::string program = std::string(ULTRAMARINE_BINARY_DIR) + "/bin/ultra-scheduler";

class Program : public ::testing::Test {
 protected:
  std::string folder_ = std::filesystem::path(::testing::TempDir()) / ("um-" + std::to_string(::getpid()));
  std::vector<pid_t> started_;

  void SetUp() override {
    std::filesystem::create_directories(folder_);
    write_secret();
    write_config();
  }
  void TearDown() override {
    for (const pid_t pid : started_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    std::filesystem::remove_all(folder_);
  }

  void write_secret(mode_t mode = 0600) {
    std::ofstream(folder_ + "/secret") << std::string(64, 'a') << "\n";
    ::chmod((folder_ + "/secret").c_str(), mode);
  }
  void write_config(const std::string& scheduler = "http = \"127.0.0.1:0\"\nagents = \"127.0.0.1:0\"\n") {
    std::ofstream(folder_ + "/cluster.toml") << "name = \"test\"\n[[node]]\nname = \"node[01-02]\"\ngpus = 8\nvirtual = true\n[scheduler]\n"
                                             << scheduler;
  }

  /// Starts it; its stderr goes to <folder>/log.
  pid_t start(const std::string& crash_point = "", std::vector<std::string> more = {}) {
    std::vector<std::string> words{program, "--config", folder_ + "/cluster.toml"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::vector<std::string> variables;
    for (char** variable = environ; *variable; ++variable)
      if (std::string(*variable).rfind("ULTRAMARINE_CRASH_POINT=", 0) != 0) variables.emplace_back(*variable);
    if (!crash_point.empty()) variables.push_back("ULTRAMARINE_CRASH_POINT=" + crash_point);
    std::vector<char*> environment;
    for (std::string& variable : variables) environment.push_back(variable.data());
    environment.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, (folder_ + "/log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t pid = -1;
    EXPECT_EQ(posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments.data(), environment.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
    started_.push_back(pid);
    return pid;
  }
  int wait(pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    std::erase(started_, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string log() const {
    std::ifstream file(folder_ + "/log");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  /// Runs it to its end and expects one line on stderr with all these words.
  void refuses(int code, std::initializer_list<std::string> words, std::vector<std::string> more = {}) {
    EXPECT_EQ(wait(start("", std::move(more))), code) << log();
    const std::string text = log();
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    for (const std::string& word : words) EXPECT_NE(text.find(word), std::string::npos) << word << " is missing in: " << text;
  }

  net::Response ask(const std::string& method, const std::string& path, const std::string& body = "") {
    net::Endpoint endpoint;
    endpoint.path = folder_ + "/scheduler.sock";
    net::Request request;
    request.method = method;
    request.path = path;
    request.body = body;
    return net::fetch(endpoint, request, std::chrono::seconds(20));
  }
  /// Waits until it is ready (polled: readiness of another process has no event to wait for).
  bool is_ready() {
    for (const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20); std::chrono::steady_clock::now() < deadline;) {
      try {
        if (ask("GET", "/readyz").status == 200) return true;
      } catch (const net::NetError&) {
      }
      std::this_thread::yield();
    }
    ADD_FAILURE() << "not ready: " << log();
    return false;
  }
  protocol::ClusterView cluster() { return protocol::from_json<protocol::ClusterView>(ask("GET", "/v1/cluster").body); }
  net::Response submit() {
    return ask("POST", "/v1/jobs",
               R"({"spec":{"command":["hidden-command"],"working_directory":"/","resources":{"gpus":1}},"environment":{"TOKEN":"hush"}})");
  }
};

TEST_F(Program, RunsUntilItIsToldToStopAndRemembers) {
  for (const int signal : {SIGTERM, SIGINT}) {
    const pid_t pid = start();
    ASSERT_TRUE(is_ready());
    ASSERT_EQ(submit().status, 200);
    ::kill(pid, signal);
    EXPECT_EQ(wait(pid), 0) << log();
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/scheduler.sock"));
    for (const char* secret_word : {"hidden-command", "hush"})
      EXPECT_EQ(log().find(secret_word), std::string::npos) << "the log names no commands and no variables";
  }
  start();
  ASSERT_TRUE(is_ready());
  EXPECT_EQ(cluster().jobs_queued, 2);
  EXPECT_NE(log().find("(snapshot 7)"), std::string::npos) << log();
}

TEST_F(Program, EndsAfterAShutdownRequest) {
  const pid_t pid = start();
  ASSERT_TRUE(is_ready());
  EXPECT_EQ(ask("POST", "/v1/shutdown", "{}").status, 200);
  EXPECT_EQ(wait(pid), 0) << log();
}

TEST_F(Program, LetsEverybodyOnTheMachineAskButKeepsItsFilesPrivate) {
  start();
  ASSERT_TRUE(is_ready());
  const auto mode = [&](const std::string& name) {
    struct stat status {};
    EXPECT_EQ(::stat((folder_ + "/" + name).c_str(), &status), 0) << name;
    return status.st_mode & 0777;
  };
  EXPECT_EQ(mode("scheduler.sock"), 0666u);
  EXPECT_EQ(mode("scheduler"), 0700u);
  EXPECT_EQ(mode("scheduler/journal.sqlite"), 0600u);
}

TEST_F(Program, ServesMetricsThatPromtoolAccepts) {
  start();
  ASSERT_TRUE(is_ready());
  const auto address = net::parse_endpoint(cluster().http);
  ASSERT_TRUE(address);
  net::Request request;
  request.method = "GET";
  request.path = "/metrics";
  const net::Response response = net::fetch(*address, request);
  EXPECT_EQ(response.status, 200);
  FILE* promtool = ::popen("promtool check metrics 2>&1", "w");
  ASSERT_NE(promtool, nullptr);
  std::fwrite(response.body.data(), 1, response.body.size(), promtool);
  EXPECT_EQ(::pclose(promtool), 0);
}

TEST_F(Program, KeepsASecondInstanceOut) {
  const pid_t first = start();
  ASSERT_TRUE(is_ready());
  refuses(6, {"[scheduler].state_directory", "in use", "stop that one first"});
  EXPECT_EQ(cluster().name, "test") << "and the first goes on";
  ::kill(first, SIGTERM);
  EXPECT_EQ(wait(first), 0);
}

TEST_F(Program, NamesTheAddressThatIsInUse) {
  net::Loop loop;
  const auto taken = net::listen(loop, *net::parse_endpoint("127.0.0.1:0"), [](const net::Request&, const std::shared_ptr<net::Reply>&) {});
  write_config("http = \"" + taken->endpoint().text() + "\"\nagents = \"127.0.0.1:0\"\n");
  refuses(6, {"[scheduler].http", taken->endpoint().text(), "choose another address"});
  write_config("http = \"127.0.0.1:0\"\nagents = \"" + taken->endpoint().text() + "\"\n");
  refuses(6, {"[scheduler].agents", taken->endpoint().text()});
  write_config();
  start();
  EXPECT_TRUE(is_ready()) << "a following correct start works";
}

TEST_F(Program, OpensNoDoorToTheNetworkByMistake) {
  write_config("http = \"0.0.0.0:0\"\nagents = \"127.0.0.1:0\"\n");
  refuses(2, {"[scheduler].http", "not a loopback address", "127.0.0.1"});
  write_config("http = \"127.0.0.1:0\"\nagents = \"0.0.0.0:0\"\n");
  refuses(2, {"agents", "0.0.0.0"});
  const std::string open_to_the_network = "http = \"127.0.0.1:0\"\nagents = \"0.0.0.0:0\"\n";
  const std::string agent = "[agent]\nscheduler = \"10.0.0.1:8643\"\n";
  write_config(open_to_the_network + agent);
  refuses(2, {"agents", "0.0.0.0", "trusted_network = true"});
  write_config(open_to_the_network + "trusted_network = true\n" + agent);
  start();
  ASSERT_TRUE(is_ready());
  EXPECT_NE(log().find("authenticated but not encrypted"), std::string::npos);
}

TEST_F(Program, InsistsOnAPrivateSecret) {
  write_secret(0644);
  refuses(2, {"[scheduler].secret_file", "by others", "chmod 600"});
  std::filesystem::remove(folder_ + "/secret");
  refuses(2, {"[scheduler].secret_file", "does not exist", "ultra cluster up"});
}

TEST_F(Program, SaysWhatIsWrongWithItsConfiguration) {
  write_config("htp = \"127.0.0.1:0\"\n");
  refuses(2, {"cluster.toml:", "htp"});
  std::filesystem::remove(folder_ + "/cluster.toml");
  refuses(2, {"cluster.toml"});
  write_config();
  refuses(2, {"--log-level"}, {"--log-level", "shout"});
  refuses(2, {"--conf"}, {"--conf"});
  write_config("http = \"127.0.0.1:0\"\nagents = \"127.0.0.1:0\"\nsocket = \"/tmp/" + std::string(120, 'x') + "\"\n");
  refuses(2, {"socket", "107 bytes"});
}

TEST_F(Program, KnowsAfterACrashWhatItAcknowledged) {
  // At each point the process ends as by kill -9; every acknowledged job is known afterwards, and nothing else breaks.
  std::int64_t acknowledged = 0;
  for (const char* point : {"after_apply:2", "before_commit:2", "after_commit_before_reply:2", "after_reply_before_round:1"}) {
    const pid_t pid = start(point);
    int status = 0;
    while (::waitpid(pid, &status, WNOHANG) == 0) {
      try {
        if (submit().status == 200) ++acknowledged;
      } catch (const net::NetError&) {  // not listening yet, or not any more
      }
    }
    std::erase(started_, pid);
    EXPECT_EQ(WEXITSTATUS(status), 137) << point << log();
    const pid_t again = start();
    ASSERT_TRUE(is_ready()) << point;
    EXPECT_GE(cluster().jobs_queued, acknowledged) << point;
    ::kill(again, SIGKILL);
    wait(again);
  }
  EXPECT_GT(acknowledged, 0);
}

TEST_F(Program, RefusesACrashPointThatDoesNotExist) {
  EXPECT_EQ(wait(start("before_lunch:1")), 2);
  EXPECT_NE(log().find("no crash point"), std::string::npos);
}

}  // namespace
}  // namespace ultramarine::server
