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

TEST_F(AgentOptionsTest, TakesWhatRealDevicesNeed) {
  const AgentOptions plain = resolve("[[node]]\nname = \"node03\"\ngpus = 2\n");
  EXPECT_EQ(plain.kernel_log, "/dev/kmsg");
  EXPECT_EQ(plain.nvml_library, "");
  EXPECT_EQ(plain.device_release_ms, seconds(30));
  EXPECT_EQ(plain.device_tolerance_bytes, 1LL << 30);
  command_line.node = "node03";
  const AgentOptions options =
      resolve("[[node]]\nname = \"node03\"\ngpus = 2\n[agent]\nnvml_library = \"/opt/lib.so\"\nkernel_log = \"\"\ndevice_release = \"2s\"\ndevice_tolerance = \"64MiB\"\n");
  EXPECT_FALSE(options.node.virtual_devices);
  EXPECT_EQ(options.nvml_library, "/opt/lib.so");
  EXPECT_EQ(options.kernel_log, "");
  EXPECT_EQ(options.device_release_ms, seconds(2));
  EXPECT_EQ(options.device_tolerance_bytes, 64LL << 20);
  try {
    resolve("[agent]\ndevice_release = \"1h\"\n");
    ADD_FAILURE() << "was accepted";
  } catch (const protocol::ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("agent.device_release"));
  }
}

TEST_F(AgentOptionsTest, JobsHaveATmpOfTheirOwnOnlyWhereNothingThatTheyNeedIsHidden) {
  EXPECT_FALSE(resolve().private_tmp) << "a site that stages data in /tmp must say so itself";
  EXPECT_TRUE(resolve("[agent]\nprivate_tmp = true\n").private_tmp);
  EXPECT_EQ(why_no_private_tmp(true, "/var/lib/ultramarine/agent", "/usr/lib/ultramarine/ultra-shim"), "");
  EXPECT_EQ(why_no_private_tmp(true, "/tmpfiles/agent", "/usr/bin/ultra-shim"), "");
  EXPECT_THAT(why_no_private_tmp(false, "/var/lib/agent", "/usr/bin/ultra-shim"), HasSubstr("run it as root"));
  EXPECT_THAT(why_no_private_tmp(true, "/var/../tmp/agent", "/usr/bin/ultra-shim"), HasSubstr("could not see /var/../tmp/agent;"));
  EXPECT_THAT(why_no_private_tmp(true, "/var/lib/agent", "/dev/shm/bin/ultra-shim"), HasSubstr("could not see /dev/shm/bin/ultra-shim;"));
}

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
  const std::string scripts = section + "prolog = \"/etc/prolog\"\nscript_deadline = \"5s\"\nhealth_check = \"/etc/health\"\nhealth_interval = \"2m\"\n"
                                        "minimum_uid = 500\nroot_jobs = true\ncontainment = \"cgroup_v1\"\nprocesses_max = 77\n";
  EXPECT_EQ(resolve(scripts).prolog, "/etc/prolog");
  EXPECT_EQ(resolve(scripts).epilog, "");
  EXPECT_EQ(resolve(scripts).script_deadline.count(), 5000);
  EXPECT_EQ(resolve(scripts).health_interval.count(), 120'000);
  EXPECT_EQ(resolve(scripts).minimum_uid, 500);
  EXPECT_TRUE(resolve(scripts).root_jobs);
  EXPECT_EQ(resolve(scripts).containment, "cgroup_v1");
  EXPECT_EQ(resolve(scripts).processes_max, 77);
  EXPECT_FALSE(resolve(section).root_jobs);
  EXPECT_EQ(resolve(section).minimum_uid, 1000);
  EXPECT_GT(resolve(section).processes_max, 1000);
  EXPECT_LE(resolve(section).processes_max, 32768);
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

TEST(MetricsForOthers, IsNamedOnlyWhereOthersReachIt) {
  EXPECT_EQ(metrics_for_others(std::nullopt, "10.0.0.1"), "");
  EXPECT_EQ(metrics_for_others(net::parse_endpoint("0.0.0.0:8644"), "10.0.0.1"), "10.0.0.1:8644");
  EXPECT_EQ(metrics_for_others(net::parse_endpoint("[::]:8644"), "node01"), "node01:8644");
  EXPECT_EQ(metrics_for_others(net::parse_endpoint("10.1.0.1:8644"), "10.0.0.1"), "10.1.0.1:8644");
  EXPECT_EQ(metrics_for_others(net::parse_endpoint("127.0.0.1:8644"), "127.0.0.1"), "127.0.0.1:8644");
  EXPECT_EQ(metrics_for_others(net::parse_endpoint("127.0.0.1:8644"), "node01"), "") << "Prometheus would ask its own machine";
  EXPECT_EQ(metrics_for_others(net::parse_endpoint("unix:/run/metrics"), "127.0.0.1"), "");
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
