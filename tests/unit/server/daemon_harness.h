// A real daemon (real core, memory store, real loop) for tests, driven through the API's handlers or through sockets. The test's own
// thread runs the loop, so that nothing in a test needs a lock.
#pragma once

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "scheduler/api/api.h"
#include "scheduler/net/proof.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/server/agents.h"
#include "scheduler/server/daemon.h"
#include "scheduler/server/front_door.h"

namespace ultramarine::server::testing {

constexpr std::int64_t runner_uid = 1000;  // the user who runs the scheduler
inline const bool quiet = (spdlog::set_level(spdlog::level::critical), true);
inline const std::string secret = "0123456789abcdef0123456789abcdef";

inline ClusterConfig small_cluster(int nodes = 2, std::int64_t gpus = 8) {
  ClusterConfig cluster;
  cluster.name = "test";
  for (int i = 1; i <= nodes; ++i) {
    NodeConfig node;
    node.name = "node0" + std::to_string(i);
    node.gpus = gpus;
    node.virtual_devices = true;
    cluster.nodes.push_back(node);
  }
  PartitionConfig partition;
  partition.name = "main";
  for (const NodeConfig& node : cluster.nodes) partition.nodes.push_back(node.name);
  cluster.partitions = {partition};
  AccountConfig account;
  account.name = "lab-a";
  account.members = {"*"};
  cluster.accounts = {account};
  QosConfig qos;
  qos.name = "normal";
  cluster.qos = {qos};
  cluster.roles.admin = {"ada", "@wheel"};
  return cluster;
}

inline api::Caller caller(std::int64_t uid, std::string name, std::vector<std::string> groups = {}) {
  return {true, {uid, std::move(name), "socket"}, std::move(groups)};
}

inline const api::Caller runner = caller(runner_uid, "runner"), stranger = caller(2000, "stan");

struct RecordedStream : net::Stream {
  std::string text;
  bool ended = false;
  std::function<void()> closed;
  bool write(std::string piece) override {
    text += piece;
    return true;
  }
  void end() override { ended = true; }
  void on_closed(std::function<void()> handler) override { closed = std::move(handler); }
  void on_drained(std::function<void()>) override {}
};

struct RecordedReply : net::Reply {
  std::optional<net::Response> response;
  std::shared_ptr<RecordedStream> stream;
  void send(net::Response answer) override {
    ASSERT_FALSE(response) << "answered twice";
    response = std::move(answer);
  }
  std::shared_ptr<net::Stream> start_stream(int, std::string) override { return stream = std::make_shared<RecordedStream>(); }
};

/// A clock that stands still until the test moves it (read by the daemon's thread).
struct HandClock {
  std::shared_ptr<std::atomic<std::int64_t>> ms = std::make_shared<std::atomic<std::int64_t>>(1'800'000'000'000);
  Clock clock() const {
    const auto read = [ms = ms] { return Time{ms->load()}; };
    return Clock(read, read);
  }
};

class Scheduler {
 public:
  explicit Scheduler(net::Loop& loop, store::Store& store, ClusterConfig cluster = small_cluster(), Clock clock = {},
                     std::function<Configuration()> read_configuration = {})
      : loop_(loop),
        daemon(
            loop, store, options(std::move(cluster), std::move(read_configuration)),
            [this](int code, const std::string& message) {
              loop_.post([this, code, message] {
                exit_code = code;
                exit_message = message;
              });
            },
            std::move(clock)),
        api(daemon, "test", [this](const api::Answered& answered) { answers.push_back(answered); }),
        agent_door(loop, daemon, secret, api) {
    agents_server = agent_door.listen(*net::parse_endpoint("127.0.0.1:0"));
    daemon.set_addresses("127.0.0.1:8642", agents_server->endpoint().text());
  }

  static DaemonOptions options(ClusterConfig cluster, std::function<Configuration()> read_configuration = {}) {
    DaemonOptions all;
    all.cluster = std::move(cluster);
    all.read_configuration = std::move(read_configuration);
    all.cluster_secret = secret;
    all.uid = runner_uid;
    all.user_name = "runner";
    all.build = {"test", "test", "test"};
    return all;
  }

  /// Runs the loop until `condition` holds; fails the test when it does not within 20 s.
  bool until(const std::function<bool()>& condition, const std::string& what) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "waited in vain for: " << what;
        return false;
      }
      loop_.run_for(std::chrono::milliseconds(5));
    }
    return true;
  }

  void start_and_wait() {
    daemon.start();
    until([&] { return daemon.replayed(); }, "the journal to be replayed");
  }

  std::shared_ptr<RecordedReply> send(api::Door door, const api::Caller& who, const std::string& method, const std::string& target,
                                      const std::string& body = "", const std::string& host = "localhost") {
    net::Request request;
    request.method = method;
    request.body = body;
    request.headers["host"] = host;
    const std::size_t mark = target.find('?');
    request.path = target.substr(0, mark);
    for (std::size_t from = mark; from != std::string::npos;) {
      const std::size_t next = target.find('&', from + 1);
      const std::string pair = target.substr(from + 1, next == std::string::npos ? std::string::npos : next - from - 1);
      request.query[pair.substr(0, pair.find('='))] = pair.find('=') == std::string::npos ? "" : pair.substr(pair.find('=') + 1);
      from = next;
    }
    auto reply = std::make_shared<RecordedReply>();
    api.handle(door, who, std::move(request), reply);
    return reply;
  }

  net::Response ask(api::Door door, const api::Caller& who, const std::string& method, const std::string& target,
                    const std::string& body = "", const std::string& host = "localhost") {
    const auto reply = send(door, who, method, target, body, host);
    until([&] { return reply->response.has_value(); }, method + " " + target);
    return reply->response.value_or(net::Response{});
  }
  net::Response ask(const std::string& method, const std::string& target, const std::string& body = "") {
    return ask(api::Door::socket, caller(runner_uid, "runner"), method, target, body);
  }
  protocol::ErrorReply problem(const net::Response& response) { return protocol::from_json<protocol::ErrorReply>(response.body); }

  JobId submit(const std::string& resources = R"({"gpus":1})", const std::string& more = "", const std::string& environment = "{}") {
    const net::Response response = ask("POST", "/v1/jobs",
                                       R"({"spec":{"command":["secret-program","--flag"],"working_directory":"/data/x","resources":)" +
                                           resources + more + R"(},"environment":)" + environment + "}");
    EXPECT_EQ(response.status, 200) << response.body;
    return protocol::from_json<protocol::SubmitReply>(response.body).job;
  }
  protocol::JobView job(JobId id) {
    const net::Response response = ask("GET", "/v1/jobs/" + std::to_string(id.value));
    EXPECT_EQ(response.status, 200) << response.body;
    return protocol::from_json<protocol::JobView>(response.body);
  }
  bool until_state(JobId id, JobState state) {
    return until([&] { return job(id).details.state == state; },
                 "job " + std::to_string(id.value) + " to be " + boost::describe::enum_to_string(state, ""));
  }

 private:
  net::Loop& loop_;

 public:
  std::optional<int> exit_code;
  std::string exit_message;
  std::vector<api::Answered> answers;
  Daemon daemon;
  api::Api api;
  AgentDoor agent_door;
  std::unique_ptr<net::Server> agents_server;
};

/// An agent that says what the test tells it to say, over a real WebSocket.
class Agent {
 public:
  Agent(Scheduler& scheduler, net::Loop& loop, std::string node) : scheduler_(scheduler), loop_(loop), node_(std::move(node)) {}
  ~Agent() {
    if (connection_) connection_->close();
  }

  void connect(const std::string& its_secret = secret) {
    heard.clear();
    closed = false;
    proved.reset();
    net::connect(
        loop_, scheduler_.agents_server->endpoint(), agents_path,
        [this, its_secret](std::shared_ptr<net::Connection> connection) {
          connection_ = connection;
          net::prove_as_client(loop_, connection, its_secret, agents_context, [this, connection](bool good) {
            proved = good;
            if (!good) return;
            connection->on_message([this](std::string_view text) { heard.push_back(protocol::from_json<protocol::ToAgent>(text)); });
            connection->on_closed([this](const std::string&) { closed = true; });
          });
        },
        [](const net::NetError& error) { ADD_FAILURE() << error.what(); });
    scheduler_.until([&] { return proved.has_value(); }, "the proof");
  }

  void join(std::vector<GangKey> gangs = {}) {
    connect();
    say(hello(std::move(gangs)));
    EXPECT_TRUE(expect<protocol::Welcome>().accepted);
  }
  protocol::Hello hello(std::vector<GangKey> gangs = {}) const {
    protocol::Hello message;
    message.node = node_;
    message.boot_id = "boot-of-" + node_;
    message.agent_version = "test";
    message.address = "127.0.0.1";
    message.gangs = std::move(gangs);
    for (int i = 0; i < 8; ++i) message.devices.push_back({i, "uuid", "virtual", 250, 0});
    return message;
  }
  void leave() {
    connection_->close();
    scheduler_.until([&] { return closed; }, "the connection to close");
  }
  void say(const protocol::FromAgent& message) { connection_->send(protocol::to_json(message)); }
  void say_text(const std::string& text) { connection_->send(text); }

  GangReport report(const GangKey& key, GangPhase phase) const {
    GangReport message;
    message.key = key;
    message.phase = phase;
    message.peer = {node_, "10.0.0." + node_.substr(5), 4000, 5000};
    if (phase == GangPhase::running) message.pids = {101, 102};
    if (phase == GangPhase::finished) message.outcome = Outcome::succeeded;
    return message;
  }

  /// Waits for the next message of this kind; what comes before it is dropped.
  template <class Message>
  Message expect() {
    Message found;
    scheduler_.until(
        [&] {
          while (!heard.empty()) {
            const protocol::ToAgent message = heard.front();
            heard.pop_front();
            if (const auto* wanted = std::get_if<Message>(&message)) {
              found = *wanted;
              return true;
            }
          }
          return false;
        },
        node_ + " to hear " + Message::type);
    return found;
  }
  template <class Message>
  std::size_t count() const {
    return static_cast<std::size_t>(
        std::count_if(heard.begin(), heard.end(), [](const auto& message) { return std::holds_alternative<Message>(message); }));
  }

  std::deque<protocol::ToAgent> heard;
  bool closed = false;
  std::optional<bool> proved;

 private:
  Scheduler& scheduler_;
  net::Loop& loop_;
  std::string node_;
  std::shared_ptr<net::Connection> connection_;
};

/// A daemon over memory with two nodes of 8 devices, whose agents have yet to join.
class TwoNodes : public ::testing::Test {
 protected:
  net::Loop loop_;
  std::unique_ptr<store::Store> store_ = store::open_memory();
  HandClock hand_;
  std::unique_ptr<Scheduler> scheduler_ = std::make_unique<Scheduler>(loop_, *store_, small_cluster(), hand_.clock());
  Agent one_{*scheduler_, loop_, "node01"}, two_{*scheduler_, loop_, "node02"};

  void SetUp() override { scheduler_->start_and_wait(); }
  void TearDown() override { scheduler_->daemon.stop(); }

  void both_join() {
    one_.join();
    two_.join();
  }
  /// A job of 16 GPUs over both nodes whose ranks run.
  GangKey running_job() {
    const JobId job = scheduler_->submit(R"({"gpus":16})", "", R"({"A":"1"})");
    const GangKey key{job, 1, 1};
    for (Agent* agent : {&one_, &two_}) {
      EXPECT_EQ(agent->expect<protocol::Prepare>().launch.key, key);
      agent->say(agent->report(key, GangPhase::prepared));
    }
    for (Agent* agent : {&one_, &two_}) {
      agent->expect<protocol::Start>();
      agent->say(agent->report(key, GangPhase::running));
    }
    scheduler_->until_state(job, JobState::running);
    return key;
  }
  void finish(const GangKey& key) {
    for (Agent* agent : {&one_, &two_}) agent->say(agent->report(key, GangPhase::finished));
  }
  /// Everything said so far has been heard, on both sides: a question goes the same way behind it.
  void settle() {
    scheduler_->ask("GET", "/v1/cluster");
    scheduler_->ask("GET", "/v1/cluster");
  }
};

}  // namespace ultramarine::server::testing
