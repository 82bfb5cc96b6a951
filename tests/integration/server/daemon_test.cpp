// The daemon with agents that say what the test tells them to say, over real WebSockets: the launch from Prepare to Forget, what is
// repeated after a reconnect or a restart and what is not, silence, checkpoints, output, shutdown.
#include <gtest/gtest.h>

#include <sstream>

#include "scheduler/net/base64.h"
#include "scheduler/protocol/page_messages.h"
#include "scheduler/server/dispatch.h"
#include "tests/unit/server/daemon_harness.h"

namespace ultramarine::server::testing {
namespace {


class DaemonTest : public TwoNodes {
 protected:
  /// For a daemon that has stopped: nothing else writes it then.
  std::vector<store::Record> journal() {
    std::vector<store::Record> records;
    store_->read(1, [&](const store::Record& record) { records.push_back(record); });
    return records;
  }
  template <class Kind>
  std::size_t count_in_journal() {
    std::size_t count = 0;
    for (const store::Record& record : journal()) count += std::holds_alternative<Kind>(record.entry);
    return count;
  }
  /// For a daemon that runs: counted on its thread, the only one that may touch the store.
  template <class Kind>
  std::size_t recorded(Scheduler& scheduler) {
    auto count = std::make_shared<std::optional<std::size_t>>();
    scheduler.daemon.change(
        [this, count](const core::Scheduler&, Time) {
          *count = count_in_journal<Kind>();
          return std::vector<Event>{};
        },
        [](const auto&) {});
    // A later question's answer comes after it.
    scheduler.ask("GET", "/v1/cluster");
    return count->value();
  }
  template <class Kind>
  std::size_t recorded() {
    return recorded<Kind>(*scheduler_);
  }
};

TEST_F(DaemonTest, LaunchesCarryWhatTheClusterSaysOfItsFabric) {
  ClusterConfig cluster = small_cluster();
  cluster.fabric.socket_interface = "eth1";
  cluster.fabric.infiniband = {"mlx5_0", "mlx5_1"};
  cluster.fabric.environment = {{"NCCL_DEBUG", "WARN"}};
  cluster.fabric.memlock_bytes = 123 << 20;
  const std::unique_ptr<store::Store> store = store::open_memory();
  Scheduler scheduler(loop_, *store, cluster, hand_.clock());
  scheduler.start_and_wait();
  Agent one(scheduler, loop_, "node01"), two(scheduler, loop_, "node02");
  one.join();
  two.join();
  scheduler.submit(R"({"gpus":16})");
  for (Agent* agent : {&one, &two}) {
    const protocol::LaunchSpec launch = agent->expect<protocol::Prepare>().launch;
    EXPECT_EQ(launch.memlock_bytes, 123 << 20);
    EXPECT_EQ(launch.fabric_environment, fabric_environment(cluster.fabric));
    EXPECT_EQ(launch.fabric_environment.at("NCCL_SOCKET_IFNAME"), "eth1");
    EXPECT_EQ(launch.fabric_environment.at("NCCL_IB_HCA"), "mlx5_0,mlx5_1");
    EXPECT_EQ(launch.fabric_environment.at("NCCL_DEBUG"), "WARN");
  }
  scheduler.daemon.stop();
}

TEST_F(DaemonTest, TakesAJobFromSubmissionToForget) {
  both_join();
  const JobId job = scheduler_->submit(R"({"gpus":16})", R"(,"name":"train")", R"({"PATH":"/bin","TOKEN":"hush"})");
  const protocol::LaunchSpec launch = one_.expect<protocol::Prepare>().launch;
  const protocol::LaunchSpec other = two_.expect<protocol::Prepare>().launch;
  const GangKey key{job, 1, 1};
  EXPECT_EQ(launch.key, key);
  EXPECT_EQ(launch.node, "node01");
  EXPECT_EQ(other.node, "node02");
  EXPECT_EQ(launch.environment.at("TOKEN"), "hush");
  EXPECT_EQ(launch.gang_secret.size(), 32u);
  EXPECT_EQ(launch.gang_secret, other.gang_secret);
  EXPECT_TRUE(launch.virtual_devices);
  EXPECT_EQ(launch.owner.uid, runner_uid);
  ASSERT_EQ(launch.allocation.size(), 2u);
  EXPECT_EQ(launch.allocation[0].node, "node01");
  EXPECT_EQ(launch.allocation[0].devices.size(), 8u);

  // Nobody starts until everybody is prepared, and then everybody knows everybody, in the order of the allocation.
  two_.say(two_.report(key, GangPhase::prepared));
  settle();
  EXPECT_EQ(two_.count<protocol::Start>(), 0u);
  one_.say(one_.report(key, GangPhase::prepared));
  for (Agent* agent : {&one_, &two_}) {
    const protocol::Start start = agent->expect<protocol::Start>();
    ASSERT_EQ(start.peers.size(), 2u);
    EXPECT_EQ(start.peers[0].node, "node01");
    EXPECT_EQ(start.peers[0].address, "10.0.0.1");
    EXPECT_EQ(start.peers[1].node, "node02");
  }
  one_.say(one_.report(key, GangPhase::running));
  settle();
  EXPECT_EQ(scheduler_->job(job).details.state, JobState::starting);
  two_.say(two_.report(key, GangPhase::running));
  scheduler_->until_state(job, JobState::running);
  auto view = scheduler_->job(job);
  EXPECT_EQ(view.pids.at("node02"), (std::vector<std::int64_t>{101, 102}));

  protocol::Progress progress;
  progress.key = key;
  progress.step = 7;
  progress.loss = 3.5;
  one_.say(progress);
  settle();
  EXPECT_EQ(scheduler_->job(job).progress->step, 7);
  // Each step once, whichever node says it.
  progress.loss = 3.25;
  for (Agent* agent : {&two_, &one_}) {
    progress.step = 8;
    agent->say(progress);
    settle();
  }
  const auto curve = [&] {
    return protocol::from_json<protocol::ProgressList>(scheduler_->ask("GET", "/v1/jobs/1/progress").body,
                                                       protocol::Unknown::refused)
        .points;
  };
  ASSERT_EQ(curve().size(), 2u);
  EXPECT_EQ(curve()[0].step, 7);
  EXPECT_EQ(curve()[1].step, 8);
  EXPECT_EQ(curve()[1].loss, 3.25);
  EXPECT_LE(curve()[0].at_ms, curve()[1].at_ms);

  finish(key);
  EXPECT_EQ(one_.expect<protocol::Forget>().key, key);
  EXPECT_EQ(two_.expect<protocol::Forget>().key, key);
  scheduler_->until_state(job, JobState::completed);
  view = scheduler_->job(job);
  EXPECT_EQ(view.exit_code, 0);
  EXPECT_FALSE(view.progress);
  EXPECT_EQ(curve().size(), 2u) << "the curve stays";
  EXPECT_EQ(recorded<GangFinished>(), 1u);
  EXPECT_EQ(recorded<AttemptEnded>(), 1u);
  scheduler_->daemon.stop();
  EXPECT_EQ(store_->environment(job), std::nullopt) << "the environment is deleted with the end of the job";
  // No value of a variable is in the journal.
  for (const store::Record& record : journal()) EXPECT_EQ(protocol::to_json(record.entry).find("hush"), std::string::npos);
}

TEST_F(DaemonTest, SaysNothingTwiceInOneSession) {
  both_join();
  const JobId job = scheduler_->submit(R"({"gpus":16})");
  one_.expect<protocol::Prepare>();
  for (int i = 0; i < 5; ++i) {
    one_.say(protocol::Heartbeat{i, {}});
    settle();
  }
  EXPECT_EQ(one_.count<protocol::Prepare>(), 0u);
  EXPECT_EQ(scheduler_->job(job).details.state, JobState::starting);
}

TEST_F(DaemonTest, RepeatsTheLastWordAfterAReconnect) {
  both_join();
  const JobId job = scheduler_->submit(R"({"gpus":16})");
  const GangKey key{job, 1, 1};
  const auto first = one_.expect<protocol::Prepare>().launch;
  two_.expect<protocol::Prepare>();
  two_.say(two_.report(key, GangPhase::prepared));
  one_.leave();
  one_.join();  // it has lost the Prepare
  EXPECT_EQ(one_.expect<protocol::Prepare>().launch.gang_secret, first.gang_secret);
  one_.say(one_.report(key, GangPhase::prepared));
  one_.expect<protocol::Start>();
  two_.expect<protocol::Start>();
  one_.leave();
  one_.join({key});
  one_.say(one_.report(key, GangPhase::prepared));
  EXPECT_EQ(one_.expect<protocol::Start>().peers.size(), 2u);
  one_.say(one_.report(key, GangPhase::running));
  two_.say(two_.report(key, GangPhase::running));
  scheduler_->until_state(job, JobState::running);
  EXPECT_EQ(recorded<NodeJoined>(), 2u) << "a short absence is no news";
}

TEST_F(DaemonTest, AnswersAnEndThatItHasRecordedWithForget) {
  both_join();
  const GangKey key = running_job();
  finish(key);
  one_.expect<protocol::Forget>();
  scheduler_->until_state(key.job, JobState::completed);
  one_.leave();
  one_.join({key});  // the Forget was lost
  one_.say(one_.report(key, GangPhase::finished));
  EXPECT_EQ(one_.expect<protocol::Forget>().key, key);
  EXPECT_EQ(recorded<AttemptEnded>(), 1u);
}

TEST_F(DaemonTest, StopsAGangThatTheJournalNeverChose) {
  both_join();
  const GangKey key{{99}, 1, 1};
  one_.say(one_.report(key, GangPhase::running));
  EXPECT_EQ(one_.expect<protocol::Stop>().key, key);
}

TEST_F(DaemonTest, GoesOnInMidLaunchAfterARestart) {
  both_join();
  const JobId job = scheduler_->submit(R"({"gpus":16})", "", R"({"A":"1"})");
  const GangKey key{job, 1, 1};
  const auto before = one_.expect<protocol::Prepare>().launch;
  one_.say(one_.report(key, GangPhase::prepared));
  settle();
  const auto hash = protocol::from_json<protocol::ClusterView>(scheduler_->ask("GET", "/v1/cluster").body).state_hash;
  scheduler_->daemon.stop();

  Scheduler second(loop_, *store_, small_cluster(), hand_.clock());
  second.start_and_wait();
  EXPECT_EQ(protocol::from_json<protocol::ClusterView>(second.ask("GET", "/v1/cluster").body).state_hash, hash);
  Agent one(second, loop_, "node01"), two(second, loop_, "node02");
  one.join({key});
  two.join();
  one.say(one.report(key, GangPhase::prepared));
  const auto after = two.expect<protocol::Prepare>().launch;
  EXPECT_EQ(after.gang_secret, before.gang_secret);
  EXPECT_EQ(after.environment, before.environment);
  EXPECT_EQ(after.allocation, before.allocation);
  two.say(two.report(key, GangPhase::prepared));
  one.expect<protocol::Start>();
  two.expect<protocol::Start>();
  EXPECT_EQ(one.count<protocol::Prepare>(), 0u);
  EXPECT_EQ(recorded<Round>(second), 1u) << "a restart decides nothing anew";
  second.daemon.stop();
}

TEST_F(DaemonTest, FindsRunningJobsAgainAfterARestart) {
  both_join();
  const GangKey key = running_job();
  scheduler_->daemon.stop();
  Scheduler second(loop_, *store_, small_cluster(), hand_.clock());
  second.start_and_wait();
  Agent one(second, loop_, "node01"), two(second, loop_, "node02");
  one.join({key});
  two.join({key});
  one.say(one.report(key, GangPhase::running));
  two.say(two.report(key, GangPhase::finished));
  second.until([&] { return second.job(key.job).pids.count("node01") == 1; }, "the ranks to be known again");
  EXPECT_EQ(second.job(key.job).details.state, JobState::running);
  one.say(one.report(key, GangPhase::finished));
  one.expect<protocol::Forget>();
  second.until_state(key.job, JobState::completed);
  second.daemon.stop();
}

TEST_F(DaemonTest, PlacesNothingAfterARestartUntilTheNodesAreBack) {
  both_join();
  scheduler_->daemon.stop();
  Scheduler second(loop_, *store_, small_cluster(), hand_.clock());
  second.start_and_wait();
  Agent one(second, loop_, "node01"), two(second, loop_, "node02");
  const JobId job = second.submit(R"({"gpus":16})");
  one.join();
  EXPECT_EQ(second.job(job).details.state, JobState::queued);
  two.join();
  second.until_state(job, JobState::starting);
  second.daemon.stop();
}

TEST_F(DaemonTest, NamesTheRankThatFailedAndStopsTheRest) {
  both_join();
  const GangKey key = running_job();
  GangReport failed = two_.report(key, GangPhase::stopping);
  failed.outcome = Outcome::failed;
  Failure failure;
  failure.rank = 9;
  failure.node = "node02";
  failure.exit_code = 3;
  failure.last_lines = {"Traceback", "ValueError"};
  failed.failure = failure;
  two_.say(failed);
  EXPECT_EQ(one_.expect<protocol::Stop>().grace_ms, seconds(5)) << "ranks of a broken gang have little to save";
  one_.say(one_.report(key, GangPhase::finished));
  failed.phase = GangPhase::finished;
  two_.say(failed);
  scheduler_->until_state(key.job, JobState::failed);
  const auto view = scheduler_->job(key.job);
  EXPECT_EQ(view.exit_code, 3);
  EXPECT_EQ(view.details.attempts[0].failure->rank, 9);
  EXPECT_EQ(view.details.attempts[0].failure->last_lines.size(), 2u);
}

TEST_F(DaemonTest, CancelsARunningJob) {
  both_join();
  const GangKey key = running_job();
  const auto waiting = scheduler_->send(api::Door::socket, runner, "GET", "/v1/jobs/1/wait");
  EXPECT_EQ(scheduler_->ask("POST", "/v1/jobs/1/cancel").status, 200);
  one_.expect<protocol::Stop>();
  two_.expect<protocol::Stop>();
  EXPECT_FALSE(waiting->response);
  finish(key);
  scheduler_->until([&] { return waiting->response.has_value(); }, "the wait to end");
  EXPECT_EQ(protocol::from_json<protocol::JobView>(waiting->response->body).exit_code, 143);
}

TEST_F(DaemonTest, RequeuesAsTheNextAttempt) {
  both_join();
  const GangKey key = running_job();
  EXPECT_EQ(scheduler_->ask("POST", "/v1/jobs/1/requeue").status, 200);
  one_.expect<protocol::Stop>();
  finish(key);
  const auto again = one_.expect<protocol::Prepare>().launch;
  EXPECT_EQ(again.key, (GangKey{key.job, 2, 1}));
  EXPECT_NE(again.gang_secret, gang_secret(secret, key));
  // Late words of the first attempt change nothing.
  two_.say(two_.report(key, GangPhase::running));
  EXPECT_EQ(two_.expect<protocol::Stop>().key, key);
  EXPECT_EQ(scheduler_->job(key.job).details.state, JobState::starting);
}

TEST_F(DaemonTest, DrainsANodeInTroubleAndQueuesWhatCouldNotStartThere) {
  both_join();
  const GangKey key = running_job();
  one_.say(protocol::NodeTrouble{.reason = "health check exited with code 1: no fabric"});
  scheduler_->until([&] { return recorded<NodeDrained>() == 1; }, "the drain");
  EXPECT_EQ(scheduler_->job(key.job).details.state, JobState::running) << "what runs there goes on";
  one_.say(protocol::NodeTrouble{.reason = "and again"});
  one_.say(protocol::NodeTrouble{.reason = "prolog failed", .requeue = {key, GangKey{JobId{77}, 1, 1}}});
  EXPECT_EQ(two_.expect<protocol::Stop>().key, key);
  EXPECT_EQ(recorded<NodeDrained>(), 1u) << "the first reason stays";
  EXPECT_EQ(recorded<JobRequeued>(), 1u);
  finish(key);
  scheduler_->until([&] { return scheduler_->job(key.job).details.state == JobState::queued; }, "the job to wait again");
}

TEST_F(DaemonTest, AcknowledgesACheckpointOnceItIsRecorded) {
  both_join();
  const GangKey key = running_job();
  for (int repeat = 0; repeat < 2; ++repeat) {
    one_.say(protocol::CheckpointReport{key, 50, "/data/step50"});
    const auto recorded_checkpoint = one_.expect<protocol::CheckpointRecorded>();
    EXPECT_EQ(recorded_checkpoint.step, 50);
    EXPECT_EQ(recorded_checkpoint.key, key);
  }
  EXPECT_EQ(recorded<CheckpointSaved>(), 1u);
  EXPECT_EQ(scheduler_->job(key.job).details.checkpoint->path, "/data/step50");
}

TEST_F(DaemonTest, NoticesSilenceAndItsEnd) {
  both_join();
  const GangKey key = running_job();
  const auto state_of = [&](const std::string& name) {
    for (const auto& view : protocol::from_json<protocol::NodeList>(scheduler_->ask("GET", "/v1/nodes").body).nodes)
      if (view.node.config.name == name) return view.node.state;
    return NodeState::down;
  };
  const auto pass = [&](Duration length) {
    for (; length.ms > 0; length.ms -= 1000) {
      *hand_.ms += 1000;
      one_.say(protocol::Heartbeat{});
      settle();
    }
  };
  pass(seconds(6));
  EXPECT_EQ(state_of("node01"), NodeState::up);
  EXPECT_EQ(state_of("node02"), NodeState::suspect);
  pass(seconds(5));
  EXPECT_EQ(state_of("node02"), NodeState::unreachable);
  EXPECT_EQ(scheduler_->job(key.job).details.state, JobState::unknown) << "and not queued again by silence alone";
  two_.say(protocol::Heartbeat{});
  scheduler_->until_state(key.job, JobState::running);
  EXPECT_EQ(state_of("node02"), NodeState::up);
}

TEST_F(DaemonTest, DoesNotTakeItsOwnAbsenceForSilence) {
  both_join();
  const GangKey key = running_job();
  *hand_.ms += 60'000;  // as after SIGSTOP and SIGCONT
  settle();
  EXPECT_EQ(scheduler_->job(key.job).details.state, JobState::running);
  EXPECT_EQ(recorded<NodeSuspected>(), 0u);
}

TEST_F(DaemonTest, LetsANewerSessionOfANodeReplaceTheOlder) {
  both_join();
  Agent newer(*scheduler_, loop_, "node01");
  newer.join();
  scheduler_->until([&] { return one_.closed; }, "the older session to be closed");
  const JobId job = scheduler_->submit(R"({"gpus":16})");
  EXPECT_EQ(newer.expect<protocol::Prepare>().launch.key.job, job);
}

TEST_F(DaemonTest, RefusesAgentsThatItCantUse) {
  Agent liar(*scheduler_, loop_, "node01");
  liar.connect("another secret, of the same length");
  EXPECT_EQ(liar.proved, false);

  Agent stray(*scheduler_, loop_, "node77");
  stray.connect();
  stray.say(stray.hello());
  auto answer = stray.expect<protocol::Welcome>();
  EXPECT_FALSE(answer.accepted);
  EXPECT_NE(answer.error.find("node77 is not in the cluster file"), std::string::npos);
  scheduler_->until([&] { return stray.closed; }, "the connection to close");

  Agent newer(*scheduler_, loop_, "node01");
  newer.connect();
  auto hello = newer.hello();
  hello.protocol = protocol::agent_protocol + 1;
  newer.say(hello);
  answer = newer.expect<protocol::Welcome>();
  EXPECT_FALSE(answer.accepted);
  EXPECT_NE(answer.error.find("protocol"), std::string::npos);
  settle();
  EXPECT_EQ(recorded<NodeJoined>(), 0u);
}

TEST_F(DaemonTest, IgnoresUnknownFieldsAndMessages) {
  both_join();
  one_.say_text(R"({"type":"heartbeat","sequence":1,"mood":"good"})");
  one_.say_text(R"({"type":"poem","lines":3})");
  const GangKey key = running_job();
  EXPECT_FALSE(one_.closed);
  finish(key);
  one_.expect<protocol::Forget>();
}

TEST_F(DaemonTest, ClosesASessionThatTalksNonsense) {
  both_join();
  one_.say_text("{");
  scheduler_->until([&] { return one_.closed; }, "the connection to close");
  Agent rude(*scheduler_, loop_, "node01");
  rude.connect();
  rude.say(protocol::Heartbeat{});
  scheduler_->until([&] { return rude.closed; }, "the connection to close");
}

TEST_F(DaemonTest, StreamsOutputFromEveryNodeOfTheGang) {
  both_join();
  const GangKey key = running_job();
  const auto reply = scheduler_->send(api::Door::socket, runner, "GET", "/v1/jobs/1/logs?follow=1");
  const auto from_one = one_.expect<protocol::LogRequest>();
  const auto from_two = two_.expect<protocol::LogRequest>();
  EXPECT_EQ(from_one.key, key);
  EXPECT_TRUE(from_one.follow);
  EXPECT_TRUE(from_one.ranks.empty());
  for (std::int64_t rank = 0; rank < 8; ++rank) {
    one_.say(protocol::LogChunk{from_one.request, rank, "out", 0, net::to_base64("hello from " + std::to_string(rank)), false, ""});
    one_.say(protocol::LogChunk{from_one.request, rank, "out", 12, "", true, ""});
    two_.say(protocol::LogChunk{from_two.request, rank + 8, "err", 0, "", true, rank == 3 ? "can't be read" : ""});
  }
  scheduler_->until([&] { return reply->stream && reply->stream->ended; }, "the stream to end");
  std::vector<protocol::LogLine> lines;
  std::istringstream text(reply->stream->text);
  for (std::string line; std::getline(text, line);) lines.push_back(protocol::from_json<protocol::LogLine>(line));
  ASSERT_EQ(lines.size(), 9u);
  const auto rank_five = std::find_if(lines.begin(), lines.end(), [](const auto& line) { return line.rank == 5; });
  ASSERT_NE(rank_five, lines.end());
  EXPECT_EQ(net::from_base64(rank_five->data_base64), "hello from 5");
  const auto broken = std::find_if(lines.begin(), lines.end(), [](const auto& line) { return line.rank == 11; });
  ASSERT_NE(broken, lines.end());
  EXPECT_EQ(broken->error, "can't be read");
}

TEST_F(DaemonTest, AsksOnlyTheNodeOfTheRankAndSaysWhoIsMissing) {
  both_join();
  running_job();
  const auto reply = scheduler_->send(api::Door::socket, runner, "GET", "/v1/jobs/1/logs?rank=9");
  EXPECT_EQ(two_.expect<protocol::LogRequest>().ranks, std::vector<std::int64_t>{9});
  EXPECT_EQ(one_.count<protocol::LogRequest>(), 0u);
  // The node goes away in the middle.
  two_.leave();
  scheduler_->until([&] { return reply->stream && reply->stream->ended; }, "the stream to end");
  EXPECT_NE(reply->stream->text.find("node02"), std::string::npos);
  const auto later = scheduler_->send(api::Door::socket, runner, "GET", "/v1/jobs/1/logs?rank=9");
  scheduler_->until([&] { return later->stream && later->stream->ended; }, "the stream to end");
  EXPECT_NE(later->stream->text.find("the agent of node02 is not connected"), std::string::npos);
}

TEST_F(DaemonTest, TellsAgentsWhenAReaderHasGone) {
  both_join();
  running_job();
  const auto reply = scheduler_->send(api::Door::socket, runner, "GET", "/v1/jobs/1/logs?follow=1");
  const auto request = one_.expect<protocol::LogRequest>();
  reply->stream->closed();
  EXPECT_EQ(one_.expect<protocol::LogCancel>().request, request.request);
}

TEST_F(DaemonTest, FollowsAQueuedJobIntoItsStart) {
  const JobId job = scheduler_->submit(R"({"gpus":16})");
  const auto reply = scheduler_->send(api::Door::socket, runner, "GET", "/v1/jobs/1/logs?follow=1");
  both_join();
  const GangKey key{job, 1, 1};
  for (Agent* agent : {&one_, &two_}) {
    agent->expect<protocol::Prepare>();
    agent->say(agent->report(key, GangPhase::prepared));
  }
  for (Agent* agent : {&one_, &two_}) {
    agent->expect<protocol::Start>();
    EXPECT_EQ(agent->count<protocol::LogRequest>(), 0u);
    agent->say(agent->report(key, GangPhase::running));
  }
  EXPECT_EQ(one_.expect<protocol::LogRequest>().key, key);
  EXPECT_TRUE(reply->stream);
}

TEST_F(DaemonTest, RefusesToShutDownOverRunningJobsUnlessTheyAreQueuedAgain) {
  both_join();
  const GangKey key = running_job();
  EXPECT_EQ(scheduler_->problem(scheduler_->ask("POST", "/v1/shutdown", "{}")).code, "conflict");
  EXPECT_EQ(scheduler_->ask("POST", "/v1/shutdown", R"({"requeue":true})").status, 200);
  EXPECT_EQ(
      scheduler_
          ->problem(scheduler_->ask("POST", "/v1/jobs", R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":1}}})"))
          .code,
      "not_ready");
  one_.expect<protocol::Stop>();
  EXPECT_FALSE(scheduler_->exit_code);
  finish(key);
  scheduler_->until([&] { return scheduler_->exit_code.has_value(); }, "the daemon to end");
  EXPECT_EQ(scheduler_->exit_code, 0);
  EXPECT_EQ(count_in_journal<Round>(), 1u) << "nothing was started again";
  const auto saved = store_->newest_snapshot();
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->sequence, store_->last_sequence());
  EXPECT_EQ(saved->state.jobs.at(key.job).state, JobState::queued);
}

TEST_F(DaemonTest, EndsWhenTheStoreFailsAndAnswersNobody) {
  const auto dying = store::open_memory(2);
  Scheduler scheduler(loop_, *dying);
  scheduler.start_and_wait();  // the cluster file: one append
  const auto first = scheduler.send(api::Door::socket, runner, "POST", "/v1/jobs",
                                    R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":1}}})");
  scheduler.until([&] { return first->response.has_value(); }, "the first answer");
  const auto second = scheduler.send(api::Door::socket, runner, "POST", "/v1/jobs",
                                     R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":1}}})");
  scheduler.until([&] { return scheduler.exit_code.has_value(); }, "the daemon to end");
  EXPECT_EQ(scheduler.exit_code, 1);
  EXPECT_FALSE(scheduler.exit_message.empty());
  EXPECT_FALSE(second->response) << "what is not on disk is told to nobody";
}

}  // namespace
}  // namespace ultramarine::server::testing
