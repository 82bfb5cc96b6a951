// Requests to the API that come through an agent: who asks, answers whole and in pieces, the end of either side, the limit.
#include <gtest/gtest.h>
#include <unistd.h>

#include "scheduler/net/base64.h"
#include "scheduler/store/store.h"
#include "tests/unit/server/daemon_harness.h"

namespace ultramarine::server::testing {
namespace {

class RelayTest : public ::testing::Test {
 protected:
  net::Loop loop_;
  std::unique_ptr<store::Store> store_ = store::open_memory();
  std::unique_ptr<Scheduler> scheduler_ = std::make_unique<Scheduler>(loop_, *store_, small_cluster(1));
  Agent agent_{*scheduler_, loop_, "node01"};

  void SetUp() override {
    scheduler_->start_and_wait();
    agent_.join();
  }
  void TearDown() override { scheduler_->daemon.stop(); }

  protocol::ApiRequest request(std::int64_t number, const std::string& method, const std::string& path, const std::string& body = "",
                               std::int64_t uid = runner_uid) const {
    protocol::ApiRequest asked;
    asked.request = number;
    asked.uid = uid;
    asked.user = "somebody";
    asked.method = method;
    asked.path = path;
    asked.body = body;
    return asked;
  }
  protocol::ApiReply ask(const protocol::ApiRequest& asked) {
    agent_.say(asked);
    const auto reply = agent_.expect<protocol::ApiReply>();
    EXPECT_EQ(reply.request, asked.request);
    EXPECT_TRUE(reply.at_end);
    return reply;
  }
  static std::string text(const protocol::ApiReply& reply) { return net::from_base64(reply.data_base64); }
  GangKey running_job() {
    const GangKey key{scheduler_->submit(R"({"gpus":1})"), 1, 1};
    agent_.expect<protocol::Prepare>();
    agent_.say(agent_.report(key, GangPhase::prepared));
    agent_.expect<protocol::Start>();
    agent_.say(agent_.report(key, GangPhase::running));
    scheduler_->until_state(key.job, JobState::running);
    return key;
  }
  bool none_open() {
    return scheduler_->until([&] { return scheduler_->agent_door.relay().open_requests() == 0; }, "all answers to be over");
  }
};

TEST_F(RelayTest, ASubmissionIsByTheUserThatTheAgentNamesAndSaysThroughWhom) {
  const auto reply = ask(request(7, "POST", "/v1/jobs", R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":1}}})"));
  EXPECT_EQ(reply.status, 200) << text(reply);
  EXPECT_EQ(reply.content_type, "application/json");
  const JobId job = protocol::from_json<protocol::SubmitReply>(text(reply)).job;
  const Actor owner = scheduler_->job(job).details.owner;
  EXPECT_EQ(owner.uid, runner_uid);
  EXPECT_EQ(owner.channel, "agent:node01");
  EXPECT_FALSE(owner.name.empty());
  EXPECT_TRUE(none_open());
}

TEST_F(RelayTest, OthersMayDoAsLittleAsThroughTheSocket) {
  const JobId job = scheduler_->submit();
  const auto reply = ask(request(1, "POST", "/v1/jobs/" + std::to_string(job.value) + "/cancel", "", 54'321));
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(protocol::from_json<protocol::ErrorReply>(text(reply)).code, "not_permitted");
  EXPECT_EQ(ask(request(2, "GET", "/v1/cluster", "", -1)).status, 403) << "nobody is no user";
  EXPECT_EQ(ask(request(3, "GET", "/v1/nothing")).status, 404);
  EXPECT_EQ(ask(request(4, "POST", "/v1/jobs", std::string((4 << 20) + 1, ' '))).status, 413);
}

TEST_F(RelayTest, AQueryIsPassedOn) {
  auto asked = request(1, "GET", "/v1/jobs");
  asked.query = {{"state", "sleeping"}};
  const auto reply = ask(asked);
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(protocol::from_json<protocol::ErrorReply>(text(reply)).field, "state");
}

TEST_F(RelayTest, ALongPollIsAnsweredWhenItsTimeComes) {
  const GangKey key = running_job();
  agent_.say(request(5, "GET", "/v1/jobs/1/wait"));
  scheduler_->until([&] { return scheduler_->agent_door.relay().open_requests() == 1; }, "the question to arrive");
  scheduler_->ask("GET", "/v1/cluster");
  EXPECT_EQ(agent_.count<protocol::ApiReply>(), 0u);
  agent_.say(agent_.report(key, GangPhase::finished));
  const auto reply = agent_.expect<protocol::ApiReply>();
  EXPECT_EQ(protocol::from_json<protocol::JobView>(text(reply)).exit_code, 0);
  EXPECT_TRUE(none_open());
}

TEST_F(RelayTest, OutputComesInPiecesAndNoFasterThanItIsHandedOn) {
  const GangKey key = running_job();
  auto asked = request(9, "GET", "/v1/jobs/1/logs");
  asked.query = {{"follow", "1"}};
  agent_.say(asked);
  const auto log = agent_.expect<protocol::LogRequest>();
  EXPECT_EQ(log.key, key);
  const std::string megabyte(1 << 20, 'A');
  std::size_t received = 0;
  bool at_end = false;
  const auto take = [&] {
    while (!agent_.heard.empty()) {
      if (const auto* reply = std::get_if<protocol::ApiReply>(&agent_.heard.front())) {
        EXPECT_EQ(reply->content_type, "application/x-ndjson");
        received += text(*reply).size();
        at_end = at_end || reply->at_end;
      }
      agent_.heard.pop_front();
    }
  };
  for (int i = 0; i < 8; ++i) agent_.say(protocol::LogChunk{log.request, 0, "out", i << 20, megabyte, i == 7, ""});
  scheduler_->until([&] { return take(), received > 3u << 20; }, "the first window");
  for (int i = 0; i < 5; ++i) {
    scheduler_->ask("GET", "/v1/cluster");
    take();
  }
  EXPECT_LT(received, 6u << 20) << "the rest waits until the agent has handed this on";
  EXPECT_FALSE(at_end);
  scheduler_->until([&] { return agent_.say(protocol::ApiDrained{9}), scheduler_->ask("GET", "/v1/cluster"), take(), at_end; }, "the end");
  EXPECT_GT(received, 8u << 20);
  EXPECT_TRUE(none_open());
}

TEST_F(RelayTest, ACancelledFollowerStopsTheReading) {
  running_job();
  auto asked = request(9, "GET", "/v1/jobs/1/logs");
  asked.query = {{"follow", "1"}};
  agent_.say(asked);
  const auto log = agent_.expect<protocol::LogRequest>();
  agent_.say(protocol::ApiCancel{9});
  EXPECT_EQ(agent_.expect<protocol::LogCancel>().request, log.request);
  EXPECT_TRUE(none_open());
  agent_.say(protocol::ApiCancel{9});
  agent_.say(protocol::ApiDrained{77});
  EXPECT_EQ(ask(request(10, "GET", "/livez")).status, 200);
}

TEST_F(RelayTest, WhatAnAgentAskedEndsWithItsConnection) {
  running_job();
  auto asked = request(1, "GET", "/v1/jobs/1/logs");
  asked.query = {{"follow", "1"}};
  agent_.say(asked);
  agent_.expect<protocol::LogRequest>();
  scheduler_->until([&] { return scheduler_->agent_door.relay().open_requests() == 1; }, "the follower to be there");
  agent_.leave();
  EXPECT_TRUE(none_open());
}

TEST_F(RelayTest, MoreAtOnceThanTheLimitAreToldToComeAgain) {
  running_job();
  for (std::size_t number = 1; number <= relayed_requests_max; ++number) agent_.say(request(static_cast<std::int64_t>(number), "GET", "/v1/jobs/1/wait"));
  scheduler_->until([&] { return scheduler_->agent_door.relay().open_requests() == relayed_requests_max; }, "all questions to be open");
  agent_.say(protocol::ApiCancel{3});  // given up, but still at work
  EXPECT_EQ(ask(request(9'999, "GET", "/v1/jobs/1/wait")).status, 503);
  agent_.say(agent_.report({{1}, 1, 1}, GangPhase::finished));
  EXPECT_TRUE(none_open());
  scheduler_->until([&] { return agent_.count<protocol::ApiReply>() == relayed_requests_max - 1; }, "all but the one given up to be answered");
  agent_.heard.clear();
  EXPECT_EQ(ask(request(10'000, "GET", "/v1/jobs/1/wait")).status, 200);
}

}  // namespace
}  // namespace ultramarine::server::testing
