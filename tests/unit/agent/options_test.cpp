#include "worker/agent/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "temporary_folder.h"

namespace ultramarine::agent {
namespace {

using testing::HasSubstr;

const char* const two_nodes = R"(
name = "test"
[[node]]
name = "node[01-02]"
gpus = 4
gpu_type = "H100"
virtual = true
address = "127.0.0.1"
)";

struct AgentOptionsTest : testing::Test {
  TemporaryFolder temporary;
  std::string config = temporary.path + "/cluster.toml";
  CommandLine command_line{.config = config, .node = "node02"};

  AgentOptionsTest() { secret("s3cret\n", 0600); }
  void secret(const std::string& text, mode_t mode) {
    std::ofstream(temporary.path + "/secret") << text;
    chmod((temporary.path + "/secret").c_str(), mode);
  }
  AgentOptions resolve(const std::string& more = "", const std::string& host = "elsewhere") {
    std::ofstream(config) << two_nodes << more;
    return resolve_options(protocol::load_cluster_file(config), command_line, host);
  }
  AgentError refused(const std::string& more = "", const std::string& host = "elsewhere") {
    try {
      resolve(more, host);
    } catch (const AgentError& error) {
      return error;
    }
    ADD_FAILURE() << "was accepted";
    return {0, ""};
  }
};

TEST_F(AgentOptionsTest, TakesItsNodesPartOfTheFile) {
  const AgentOptions options = resolve();
  EXPECT_EQ(options.node.name, "node02");
  EXPECT_EQ(options.node.gpus, 4);
  EXPECT_EQ(options.address, "127.0.0.1");
  EXPECT_EQ(options.scheduler.text(), "127.0.0.1:8643");
  EXPECT_EQ(options.secret, "s3cret");
  EXPECT_EQ(options.state_directory, temporary.path + "/agents/node02");
  EXPECT_EQ(options.metrics, std::nullopt);
}

TEST_F(AgentOptionsTest, AgentSectionOverridesAndTheCommandLineOverridesThat) {
  const std::string section = "[agent]\nscheduler = \"10.0.0.1:99\"\nmetrics = \"127.0.0.1:1\"\nstate_directory = \"/var/lib/agent\"\n";
  EXPECT_EQ(resolve(section).scheduler.text(), "10.0.0.1:99");
  EXPECT_EQ(resolve(section).metrics->port, 1);
  EXPECT_EQ(resolve(section).state_directory, "/var/lib/agent");
  command_line.metrics = "127.0.0.1:2";
  EXPECT_EQ(resolve(section).metrics->port, 2);
}

TEST_F(AgentOptionsTest, FindsItsNodeByTheHostsName) {
  command_line.node.clear();
  EXPECT_EQ(resolve("", "node01").node.name, "node01");
  EXPECT_EQ(resolve("", "node01.lab.example").node.name, "node01");
  const AgentError error = refused("", "laptop");
  EXPECT_EQ(error.exit_code, exit_usage);
  EXPECT_THAT(error.what(), HasSubstr("this host (laptop); pass --node NAME, one of node[01-02]"));
}

TEST_F(AgentOptionsTest, UnknownNodeIsAUsageError) {
  command_line.node = "node09";
  const AgentError error = refused();
  EXPECT_EQ(error.exit_code, exit_usage);
  EXPECT_THAT(error.what(), HasSubstr("has no node node09; it has node[01-02]"));
}

TEST_F(AgentOptionsTest, MalformedMetricsAddressIsAUsageError) {
  command_line.metrics = "nowhere";
  EXPECT_THAT(refused().what(), HasSubstr("--metrics: expected HOST:PORT"));
}

TEST_F(AgentOptionsTest, SecretThatOthersCanReadNamesTheRemedy) {
  secret("s3cret", 0644);
  const AgentError error = refused();
  EXPECT_EQ(error.exit_code, exit_usage);
  EXPECT_THAT(error.what(), HasSubstr("(mode 0644); run: chmod 600 " + temporary.path + "/secret"));
  secret("s3cret", 0620);
  EXPECT_THAT(refused().what(), HasSubstr("chmod 600"));
}

TEST_F(AgentOptionsTest, MissingOrEmptySecretIsRefused) {
  secret(" \n", 0600);
  EXPECT_THAT(refused().what(), HasSubstr("is empty"));
  std::filesystem::remove(temporary.path + "/secret");
  EXPECT_THAT(refused().what(), HasSubstr("can't be read: No such file"));
  std::filesystem::create_directory(temporary.path + "/secret");
  EXPECT_THAT(refused().what(), HasSubstr("is no readable file"));
}

}  // namespace
}  // namespace ultramarine::agent
