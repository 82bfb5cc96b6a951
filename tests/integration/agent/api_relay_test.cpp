// Programs of a node that reach the scheduler's API through the agent's socket: real sockets on both sides, a scripted scheduler.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "agent_room.h"
#include "scheduler/net/base64.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::agent {
namespace {

using namespace protocol;
using namespace std::chrono_literals;
using testing::HasSubstr;

struct Relay : AgentRoom {
  ~Relay() override {
    agent.reset();  // whoever still waits is cut off
    for (std::thread& client : clients) client.join();
  }
  net::Endpoint socket() const { return {.path = options.state_directory + "/api.sock"}; }
  /// Asks from a thread of its own.
  void ask(net::Request request) {
    ++waiting;
    clients.emplace_back([this, request] {
      net::Response response;
      try {
        response = net::fetch(socket(), request);
      } catch (const net::NetError& error) {
        response = {.status = -1, .body = error.what()};
      }
      loop.post([this, response] {
        responses.push_back(response);
        --waiting;
      });
    });
  }
  bool answered(std::size_t count = 1) {
    return wait_until([&] { return responses.size() >= count; });
  }
  bool is_asked(std::size_t count = 1) { return receives<ApiRequest>(count); }
  ApiRequest request(std::size_t index = 0) { return scheduler->received<ApiRequest>().at(index); }
  void reply(std::int64_t number, const std::string& text, bool at_end, std::int64_t status = 200, const std::string& type = "application/json") {
    scheduler->send(ApiReply{number, status, type, net::to_base64(text), at_end});
  }

  std::vector<std::thread> clients;
  std::vector<net::Response> responses;
  int waiting = 0;
};

TEST_F(Relay, PassesARequestOnWithTheKernelsWordOnWhoAsks) {
  ASSERT_TRUE(connects());
  ask({.method = "POST", .path = "/v1/jobs/7/gangs", .query = {{"a", "b c"}}, .body = "{\"spec\":{}}"});
  ASSERT_TRUE(is_asked());
  EXPECT_EQ(request().method, "POST");
  EXPECT_EQ(request().path, "/v1/jobs/7/gangs");
  EXPECT_EQ(request().query.at("a"), "b c");
  EXPECT_EQ(request().body, "{\"spec\":{}}");
  EXPECT_EQ(request().uid, static_cast<std::int64_t>(geteuid()));
  EXPECT_EQ(request().user, user_name(geteuid()));
  reply(request().request, "{\"gang\":2}", true, 201);
  ASSERT_TRUE(answered());
  EXPECT_EQ(responses[0].status, 201);
  EXPECT_EQ(responses[0].content_type, "application/json");
  EXPECT_EQ(responses[0].body, "{\"gang\":2}");
  struct stat status {};
  ASSERT_EQ(::stat(socket().path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, geteuid() == 0 ? 0666U : 0600U);
}

TEST_F(Relay, AnswersInPiecesAndSaysWhenTheyAreOut) {
  ASSERT_TRUE(connects());
  std::string seen;
  int status = 0;
  clients.emplace_back([&] {
    std::string text;
    const net::Response response = net::fetch_stream(socket(), {.method = "GET", .path = "/v1/jobs/7/logs"}, [&](std::string_view piece) {
      text += piece;
      loop.post([&seen, text] { seen = text; });
      return true;
    });
    loop.post([&, code = response.status] { status = code; });
  });
  ASSERT_TRUE(is_asked());
  const std::int64_t number = request().request;
  reply(number, "one\n", false, 200, "application/x-ndjson");
  ASSERT_TRUE(wait_until([&] { return seen == "one\n"; }));
  ASSERT_TRUE(receives<ApiDrained>());
  EXPECT_EQ(scheduler->received<ApiDrained>()[0].request, number);
  reply(number, "two\n", false);
  reply(number, "", true);
  ASSERT_TRUE(wait_until([&] { return status == 200; }));
  EXPECT_EQ(seen, "one\ntwo\n");
}

TEST_F(Relay, TellsTheSchedulerWhenAReaderGoes) {
  ASSERT_TRUE(connects());
  clients.emplace_back([&] {
    net::fetch_stream(socket(), {.method = "GET", .path = "/v1/jobs/7/logs"}, [](std::string_view) { return false; });
  });
  ASSERT_TRUE(is_asked());
  reply(request().request, "one\n", false);
  ASSERT_TRUE(receives<ApiCancel>());
  EXPECT_EQ(scheduler->received<ApiCancel>()[0].request, request().request);
  reply(request().request, "too late", true);  // harmless
  ask({.method = "GET", .path = "/v1/jobs"});
  ASSERT_TRUE(is_asked(2));
  reply(request(1).request, "[]", true);
  ASSERT_TRUE(answered());
  EXPECT_EQ(responses[0].body, "[]");
}

TEST_F(Relay, AnswersEachOfManyAtOnce) {
  ASSERT_TRUE(connects());
  for (int i = 0; i < 8; ++i) ask({.method = "GET", .path = "/v1/jobs/" + std::to_string(i)});
  ASSERT_TRUE(is_asked(8));
  for (std::size_t i = 8; i-- > 0;) reply(request(i).request, request(i).path, true);
  ASSERT_TRUE(answered(8));
  std::vector<std::string> bodies;
  for (const net::Response& response : responses) bodies.push_back(response.body);
  EXPECT_THAT(bodies, testing::UnorderedElementsAre("/v1/jobs/0", "/v1/jobs/1", "/v1/jobs/2", "/v1/jobs/3", "/v1/jobs/4", "/v1/jobs/5", "/v1/jobs/6",
                                                    "/v1/jobs/7"));
}

TEST_F(Relay, WithoutASchedulerItSaysSo) {
  scheduler->welcomes = false;
  ASSERT_TRUE(connects());
  ask({.method = "GET", .path = "/v1/jobs"});
  ASSERT_TRUE(answered());
  EXPECT_EQ(responses[0].status, 503);
  const auto error = from_json<ErrorReply>(responses[0].body);
  EXPECT_EQ(error.code, "not_ready");
  EXPECT_THAT(error.message, HasSubstr("no connection to the scheduler"));
  EXPECT_FALSE(error.remedy.empty());
}

TEST_F(Relay, WhatIsOpenWhenTheLineBreaksIsAnsweredOrCutOff) {
  ASSERT_TRUE(connects());
  ask({.method = "GET", .path = "/v1/jobs"});
  ASSERT_TRUE(is_asked());
  std::string cut;
  bool began = false;
  clients.emplace_back([&] {
    try {
      net::fetch_stream(socket(), {.method = "GET", .path = "/v1/jobs/7/logs"}, [&](std::string_view) {
        loop.post([&] { began = true; });
        return true;
      });
      loop.post([&] { cut = "taken for whole"; });
    } catch (const net::NetError& error) {
      loop.post([&, text = std::string(error.what())] { cut = text; });
    }
  });
  ASSERT_TRUE(is_asked(2));
  reply(request(1).request, "one\n", false);
  ASSERT_TRUE(wait_until([&] { return began; }));
  scheduler->hang_up();
  ASSERT_TRUE(answered());
  EXPECT_EQ(responses[0].status, 503);
  ASSERT_TRUE(wait_until([&] { return !cut.empty(); }));
  EXPECT_NE(cut, "taken for whole");
}

TEST_F(Relay, BodiesAndRequestsHaveLimits) {
  // The relay alone, with small limits.
  std::vector<FromAgent> sent;
  ApiRelay relay(loop, {.is_connected = [] { return true; }, .send = [&](const FromAgent& message) { sent.push_back(message); }},
                 {.body_bytes_max = 1000, .requests_max = 2});
  std::filesystem::create_directories(options.state_directory);
  relay.listen(socket().path);
  ask({.method = "POST", .path = "/v1/jobs", .body = std::string(1001, 'x')});
  ASSERT_TRUE(answered());
  EXPECT_EQ(responses[0].status, 413);
  EXPECT_TRUE(sent.empty());
  ask({.method = "GET", .path = "/1"});
  ask({.method = "GET", .path = "/2"});
  ASSERT_TRUE(wait_until([&] { return relay.open_requests() == 2; }));
  ask({.method = "GET", .path = "/3"});
  ASSERT_TRUE(answered(2));
  EXPECT_EQ(responses[1].status, 503);
  EXPECT_THAT(responses[1].body, HasSubstr("2 requests to the scheduler open at once"));
  relay.on_lost();
  ASSERT_TRUE(answered(4));
}

TEST_F(Relay, ASchedulerThatNeverAnswersIsNamed) {
  int cancels = 0;
  ApiRelay relay(loop, {.is_connected = [] { return true; }, .send = [&](const FromAgent& message) { cancels += std::holds_alternative<ApiCancel>(message); }},
                 {.first_piece_max = 20ms});
  std::filesystem::create_directories(options.state_directory);
  relay.listen(socket().path);
  ask({.method = "GET", .path = "/v1/jobs"});
  ASSERT_TRUE(answered());
  EXPECT_EQ(responses[0].status, 503);
  EXPECT_THAT(responses[0].body, HasSubstr("install the same version"));
  EXPECT_EQ(cancels, 1);
  EXPECT_EQ(relay.open_requests(), 0u);
}

TEST_F(AgentRoom, TellsTheFactsOfItsNode) {
  ASSERT_TRUE(connects());
  const NodeFacts facts = scheduler->received<Hello>().at(0).facts.value();
  const std::int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_NEAR(static_cast<double>(facts.clock_ms.ms), static_cast<double>(now), 60'000);
  EXPECT_GT(facts.boot_ms.ms, 0);
  EXPECT_LT(facts.boot_ms, facts.clock_ms);
  EXPECT_EQ(facts.agent_version, agent_version());
  EXPECT_THAT(facts.kernel, testing::StartsWith("Linux "));
  EXPECT_GT(facts.cpus, 0);
  EXPECT_GT(facts.memory_bytes, 1 << 20);
  EXPECT_GT(facts.disk_free_bytes, 0);
  EXPECT_EQ(facts.state_directory, options.state_directory);
  EXPECT_THAT(facts.programs.at("python3"), testing::StartsWith("Python 3"));
}

TEST(NodeFactsOfADriver, AreReadFromWhatTheKernelModuleSays) {
  EXPECT_EQ(nvidia_driver_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Sat Feb 17 22:55:48 UTC 2024\nGCC version: 12.2.0\n"), "535.161.08");
  EXPECT_EQ(nvidia_driver_version("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build\n"), "550.54.15");
  EXPECT_EQ(nvidia_driver_version(""), "");
}

}  // namespace
}  // namespace ultramarine::agent
