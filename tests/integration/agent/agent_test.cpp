// The agent room against a scripted scheduler over real sockets; shims in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "agent_room.h"
#include "scheduler/net/base64.h"
#include "tests/support/ice.h"
#include "worker/launcher/process_tree.h"

namespace ultramarine::agent {
namespace {

using namespace protocol;
using namespace std::chrono_literals;
using testing::HasSubstr;

TEST_F(AgentRoom, ProvesTheSecretSaysHelloAndBeats) {
  ASSERT_TRUE(connects());
  const Hello hello = scheduler->received<Hello>().at(0);
  EXPECT_EQ(hello.node, "node01");
  EXPECT_EQ(hello.address, "127.0.0.1");
  EXPECT_EQ(hello.agent_version, agent_version());
  EXPECT_EQ(hello.boot_id.size(), 36u);
  EXPECT_EQ(hello.source, DeviceSource::virtual_devices);
  ASSERT_EQ(hello.devices.size(), 8u);
  ASSERT_EQ(hello.attempts.size(), 1u);
  EXPECT_EQ(hello.attempts[0].job, JobId{4});
  EXPECT_EQ(hello.attempts[0].attempt, 2);
  EXPECT_EQ(hello.devices[3].uuid, "VIRTUAL-node01-3");
  ASSERT_TRUE(receives<Heartbeat>(2));
  EXPECT_EQ(scheduler->received<Heartbeat>().at(1).sequence, 2);
  EXPECT_EQ(scheduler->received<Heartbeat>().at(1).devices.size(), 8u);
}

TEST_F(AgentRoom, CarriesCommandsToTheShimAndReportsBack) {
  ASSERT_TRUE(connects());
  const GangKey key = key_of(7);
  run_gang(key);
  EXPECT_EQ(shims->prepared.at(0).key, key);
  scheduler->send(Stop{key, seconds(3)});
  ASSERT_TRUE(wait_until([&] { return shims->sent.size() == 2; }));
  EXPECT_EQ(std::get<Stop>(shims->sent[1].message).grace_ms, seconds(3));
  say(GangPhase::finished, key);
  ASSERT_TRUE(wait_until([&] { return scheduler->reported(key, GangPhase::finished); }));
  scheduler->send(Forget{key});
  ASSERT_TRUE(wait_until([&] { return !shims->forgotten.empty(); }));
}

TEST_F(AgentRoom, ReconnectsAndRepeatsWhatHappenedMeanwhile) {
  ASSERT_TRUE(connects());
  run_gang(key_of(7));
  const net::Endpoint endpoint = scheduler->endpoint();
  scheduler.reset();
  say(GangPhase::finished, key_of(7));
  loop.run_for(50ms);
  scheduler = std::make_unique<ScriptedScheduler>(loop, endpoint);
  ASSERT_TRUE(receives<GangReport>());
  EXPECT_EQ(scheduler->received<Hello>().at(0).gangs, std::vector<GangKey>{key_of(7)});
  EXPECT_EQ(scheduler->received<GangReport>().at(0).phase, GangPhase::finished);
  EXPECT_EQ(scheduler->received<GangReport>().at(0).outcome, Outcome::succeeded);
  EXPECT_EQ(fatal, std::nullopt);
}

TEST_F(AgentRoom, SurvivesManyLinesThatAreCut) {
  ASSERT_TRUE(connects());
  for (std::size_t hellos = 1; hellos < 6; ++hellos) {
    ASSERT_TRUE(receives<Hello>(hellos));
    scheduler->hang_up();
  }
  ASSERT_TRUE(receives<Hello>(6));
}

TEST_F(AgentRoom, WrongSecretIsRefusedAndNothingIsSaid) {
  options.secret = "guessed";
  start();
  ASSERT_TRUE(wait_until([&] { return scheduler->refused >= 2; }));
  EXPECT_TRUE(scheduler->messages.empty());
  EXPECT_EQ(fatal, std::nullopt);
}

TEST_F(AgentRoom, RefusedWelcomeEndsTheAgentWithTheSchedulersWords) {
  scheduler->welcome = {.accepted = false, .error = "node01 is not in the cluster file: add it"};
  start();
  ASSERT_TRUE(wait_until([&] { return fatal.has_value(); }));
  EXPECT_EQ(fatal->exit_code, exit_failure);
  EXPECT_THAT(fatal->what(), HasSubstr("refuses node node01: node01 is not in the cluster file: add it"));
}

TEST_F(AgentRoom, MessageOfANewerSchedulerIsIgnored) {
  ASSERT_TRUE(connects());
  scheduler->send_text(R"({"type":"dance","key":1})");
  scheduler->send_text("no json");
  scheduler->send(prepare_of(key_of(1)));
  ASSERT_TRUE(wait_until([&] { return shims->prepared.size() == 1; }));
}

TEST_F(AgentRoom, RestartedAgentFindsItsGangsAndStartsNothing) {
  ASSERT_TRUE(connects());
  run_gang(key_of(7, 2));
  agent.reset();
  scheduler->messages.clear();
  start();
  ASSERT_TRUE(wait_until([&] { return scheduler->reported(key_of(7, 2), GangPhase::running); }));
  EXPECT_EQ(scheduler->received<Hello>().at(0).gangs, (std::vector<GangKey>{key_of(7, 2)}));
  scheduler->send(prepare_of(key_of(7, 1)));
  scheduler->send(prepare_of(key_of(7, 2)));
  ASSERT_TRUE(wait_until([&] { return scheduler->reported(key_of(7, 1), GangPhase::finished); }));
  ASSERT_TRUE(receives<GangReport>(3));
  EXPECT_EQ(shims->prepared.size(), 1u);
}

TEST_F(AgentRoom, GangWithoutATraceIsReportedLost) {
  ASSERT_TRUE(connects());
  run_gang(key_of(7));
  agent.reset();
  shims = std::make_shared<launcher::MemoryShims>();
  std::filesystem::remove_all(options.state_directory + "/jobs/7.1.1");
  start();
  ASSERT_TRUE(wait_until([&] { return scheduler->reported(key_of(7), GangPhase::finished); }));
  EXPECT_EQ(scheduler->received<GangReport>().back().outcome, Outcome::supervisor_lost);
}

TEST_F(AgentRoom, UnrecordedCheckpointIsRepeatedToTheNextScheduler) {
  ASSERT_TRUE(connects());
  run_gang(key_of(7));
  shims->say(CheckpointReport{key_of(7), 50, "/data/50"});
  ASSERT_TRUE(receives<CheckpointReport>());
  scheduler->hang_up();
  ASSERT_TRUE(receives<CheckpointReport>(2));
  scheduler->send(CheckpointRecorded{key_of(7), 50});
  ASSERT_TRUE(wait_until([&] { return std::holds_alternative<CheckpointRecorded>(shims->sent.back().message); }));
}

TEST_F(AgentRoom, SecondAgentForTheSameStateIsTurnedAway) {
  ASSERT_TRUE(connects());
  const auto first = std::move(agent);
  try {
    start();
    FAIL() << "two agents for one state directory";
  } catch (const AgentError& error) {
    EXPECT_EQ(error.exit_code, exit_conflict);
  }
}

TEST_F(AgentRoom, MemoryThatCannotBeWrittenEndsTheAgentBeforeItLaunches) {
  ASSERT_TRUE(connects());
  // The next version is written beside the old one: a folder in its place stops that.
  const std::string state = options.state_directory;
  std::filesystem::remove_all(state);
  std::ofstream(state) << "no folder";
  scheduler->send(prepare_of(key_of(1)));
  ASSERT_TRUE(wait_until([&] { return fatal.has_value(); }));
  EXPECT_EQ(fatal->exit_code, exit_failure);
  EXPECT_TRUE(shims->prepared.empty());
}

TEST_F(AgentRoom, FollowsTheOutputOfARankToItsEnd) {
  ASSERT_TRUE(connects());
  const GangKey key = key_of(7);
  run_gang(key);
  std::ofstream file(options.state_directory + "/jobs/7.1.1/rank_1.out");
  file << "one " << std::flush;
  scheduler->send(LogRequest{.request = 9, .key = key, .ranks = {1}, .follow = true});
  ASSERT_TRUE(receives<LogChunk>());
  file << "two" << std::flush;
  ASSERT_TRUE(receives<LogChunk>(2));
  say(GangPhase::finished, key);
  ASSERT_TRUE(receives<LogChunk>(3));
  std::string text;
  for (const LogChunk& chunk : scheduler->received<LogChunk>()) text += net::from_base64(chunk.data_base64);
  EXPECT_EQ(text, "one two");
  EXPECT_TRUE(scheduler->received<LogChunk>().back().at_end);
}

TEST_F(AgentRoom, ServesItsMetrics) {
  options.metrics = net::Endpoint{.host = "127.0.0.1"};
  ASSERT_TRUE(connects());
  run_gang(key_of(7));
  const net::Endpoint endpoint = *agent->metrics_endpoint();
  EXPECT_EQ(scheduler->received<Hello>().at(0).metrics, endpoint.text()) << "the scheduler tells Prometheus";
  net::Response metrics, other;
  std::thread client([&] {
    metrics = net::fetch(endpoint, {.method = "GET", .path = "/metrics"});
    other = net::fetch(endpoint, {.method = "GET", .path = "/"});
    loop.stop();
  });
  loop.run();
  client.join();
  EXPECT_EQ(metrics.status, 200);
  EXPECT_THAT(metrics.content_type, HasSubstr("text/plain"));
  EXPECT_THAT(metrics.body, HasSubstr("ultramarine_gpu_job_info{node=\"node01\",gpu=\"1\",job_id=\"7\",account=\"vision\"} 1\n"));
  EXPECT_THAT(metrics.body, HasSubstr("ultramarine_agent_ranks{node=\"node01\"} 2\n"));
  EXPECT_EQ(other.status, 404);
}

TEST_F(AgentRoom, AHealthCheckThatCannotBeKilledIsToldAndTheLoopGoesOn) {
  launcher::Ice ice;
  if (!ice) GTEST_SKIP() << "only the freezer of version 1 makes a process that SIGKILL doesn't end";
  const std::string health = temporary.path + "/health", pid_file = temporary.path + "/pid";
  std::ofstream(health) << "#!/bin/sh\ntest -e " << temporary.path << "/well && exit 0\necho $$ > " << pid_file
                        << ".new; mv " << pid_file << ".new " << pid_file << "\nsleep 1000\n";
  std::filesystem::permissions(health, std::filesystem::perms::owner_all);
  options.health_check = health;
  options.script_deadline = 500ms;
  options.health_interval = 100ms;
  ASSERT_TRUE(connects());
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(pid_file); }));
  std::int64_t pid = -1;
  std::ifstream(pid_file) >> pid;
  ASSERT_TRUE(ice.freeze(pid));
  ASSERT_TRUE(receives<NodeTrouble>());
  const std::string process = "process " + std::to_string(pid) + " (health, state D) can't be killed";
  EXPECT_EQ(scheduler->received<NodeTrouble>().at(0).reason, "health check did not end within 500 ms, and " + process);
  std::filesystem::remove(pid_file);
  const std::size_t beats = scheduler->received<Heartbeat>().size();
  ASSERT_TRUE(receives<NodeTrouble>(3));
  EXPECT_EQ(scheduler->received<NodeTrouble>().at(2).reason, "health check of before: " + process);
  EXPECT_FALSE(std::filesystem::exists(pid_file)) << "while that one hangs, no other is started";
  ASSERT_TRUE(receives<Heartbeat>(beats + 2));
  std::filesystem::remove(pid_file);
  ice.thaw();
  ASSERT_TRUE(wait_until([&] { return !launcher::identify(pid); })) << "it is reaped";
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(pid_file); })) << "and the next one runs";
}

TEST_F(AgentRoom, MetricsPortInUseIsAConflict) {
  const auto taken = net::listen(loop, {.host = "127.0.0.1"}, [](const net::Request&, const std::shared_ptr<net::Reply>&) {});
  options.metrics = taken->endpoint();
  try {
    start();
    FAIL() << "listened on a port that was taken";
  } catch (const AgentError& error) {
    EXPECT_EQ(error.exit_code, exit_conflict);
    EXPECT_THAT(error.what(), HasSubstr("--metrics"));
  }
}

}  // namespace
}  // namespace ultramarine::agent
