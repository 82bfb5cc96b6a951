// The small parts of the daemon: its clock, its secret file, its crash points, what ranks get for the fabric.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "scheduler/server/clock.h"
#include "scheduler/server/crash_point.h"
#include "scheduler/server/dispatch.h"
#include "scheduler/server/output_streams.h"
#include "scheduler/server/secret_file.h"

namespace ultramarine::server {
namespace {

struct Sources {
  Time system{1'000'000}, steady{500};
  Clock clock() {
    return Clock([this] { return system; }, [this] { return steady; });
  }
  void pass(Duration length) {
    system = system + length;
    steady = steady + length;
  }
};

TEST(Clock, GoesOnWhenTheSystemClockIsSetBack) {
  Sources sources;
  Clock clock = sources.clock();
  sources.pass(seconds(1));
  const Time before = clock.now();
  sources.system = sources.system - hours(1);
  sources.pass(seconds(2));
  EXPECT_EQ(clock.now(), before + seconds(2));
  EXPECT_EQ(clock.take_step().ms, 0);
}

TEST(Clock, FollowsAJumpAheadAndTellsIt) {
  Sources sources;
  Clock clock = sources.clock();
  sources.system = sources.system + minutes(10);
  sources.pass(seconds(1));
  EXPECT_EQ(clock.now(), sources.system);
  EXPECT_EQ(clock.take_step(), minutes(10));
  EXPECT_EQ(clock.take_step(), Duration{});
}

TEST(Clock, IsNeverBeforeTheNewestRecord) {
  Sources sources;
  Clock clock = sources.clock();
  clock.not_before(Time{9'000'000});
  EXPECT_EQ(clock.now(), Time{9'000'000});
  sources.pass(seconds(3));
  EXPECT_EQ(clock.now(), Time{9'003'000});
}

class SecretFile : public ::testing::Test {
 protected:
  std::string folder_ = ::testing::TempDir() + "um-secret-" + std::to_string(::getpid());
  std::string path_ = folder_ + "/secret";
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path_) << text;
    ::chmod(path_.c_str(), mode);
  }
  std::string problem() {
    try {
      read_secret(path_);
    } catch (const SecretError& error) {
      EXPECT_FALSE(error.remedy.empty());
      return error.problem;
    }
    return "";
  }
};

TEST_F(SecretFile, IsReadWithoutTheLastNewline) {
  write(std::string(64, 'a') + "\n");
  EXPECT_EQ(read_secret(path_), std::string(64, 'a'));
}

TEST_F(SecretFile, IsRefusedWhenItIsMissingOpenToOthersOrShort) {
  EXPECT_NE(problem().find("does not exist"), std::string::npos);
  write(std::string(64, 'a'), 0640);
  EXPECT_NE(problem().find("by others"), std::string::npos);
  write("short");
  EXPECT_NE(problem().find("less than 32"), std::string::npos);
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_NE(problem().find("no file"), std::string::npos);
}

TEST(CrashPoint, EndsTheProcessAtTheCountedPassageOnly) {
  EXPECT_EXIT(
      {
        ::setenv("ULTRAMARINE_CRASH_POINT", "before_commit:3", 1);
        crash_point("after_apply");
        crash_point("before_commit");
        crash_point("before_commit");
        std::fprintf(stderr, "still here");
        crash_point("before_commit");
        std::exit(0);
      },
      ::testing::ExitedWithCode(137), "still here");
}

TEST(CrashPoint, MustBeSpeltRight) {
  EXPECT_EXIT(
      {
        ::setenv("ULTRAMARINE_CRASH_POINT", "before_comit:1", 1);
        try {
          armed_crash_point();
          std::exit(0);
        } catch (const std::invalid_argument& error) {
          std::fprintf(stderr, "%s", error.what());
          std::exit(2);
        }
      },
      ::testing::ExitedWithCode(2), "no crash point; known ones");
}

TEST(GangSecret, IsTheSameForAGangAndOnlyForIt) {
  const std::string mine = gang_secret("cluster secret", {{7}, 1, 1});
  EXPECT_EQ(mine.size(), 32u);
  EXPECT_EQ(mine, gang_secret("cluster secret", {{7}, 1, 1}));
  EXPECT_NE(mine, gang_secret("cluster secret", {{7}, 2, 1}));
  EXPECT_NE(mine, gang_secret("another secret", {{7}, 1, 1}));
}

TEST(FabricEnvironment, NamesTheInterfacesForNcclAndOpenMpi) {
  FabricConfig fabric;
  fabric.socket_interface = "eth1";
  fabric.infiniband = {"mlx5_0", "mlx5_1"};
  fabric.environment = {{"NCCL_DEBUG", "WARN"}};
  const std::map<std::string, std::string> expected{
      {"NCCL_SOCKET_IFNAME", "eth1"}, {"GLOO_SOCKET_IFNAME", "eth1"}, {"OMPI_MCA_btl_tcp_if_include", "eth1"}, {"NCCL_IB_HCA", "mlx5_0,mlx5_1"}, {"NCCL_DEBUG", "WARN"}};
  EXPECT_EQ(fabric_environment(fabric), expected);
}

/// Keeps what is sent.
struct SilentConnection final : net::Connection {
  std::vector<protocol::ToAgent> sent;
  net::Peer other;
  void send(std::string message) override { sent.push_back(protocol::from_json<protocol::ToAgent>(message)); }
  void close() override {}
  void on_message(std::function<void(std::string_view)>) override {}
  void on_closed(std::function<void(const std::string&)>) override {}
  const net::Peer& peer() const override { return other; }
};

/// A client that reads only when the test says so.
struct SlowStream final : net::Stream {
  std::string text;
  bool ended = false, gone = false;
  std::function<void()> drained, closed;
  bool write(std::string piece) override {
    if (gone) return false;
    text += piece;
    return true;
  }
  void end() override { ended = true; }
  void on_closed(std::function<void()> handler) override { closed = std::move(handler); }
  void on_drained(std::function<void()> handler) override { drained = std::move(handler); }
};

class Output : public ::testing::Test {
 protected:
  AgentSessions sessions_;
  OutputStreams streams_{sessions_, 8 << 20};
  std::shared_ptr<SilentConnection> node_ = std::make_shared<SilentConnection>();
  std::shared_ptr<SlowStream> client_ = std::make_shared<SlowStream>();
  const std::string megabyte_ = std::string(1 << 20, 'A');

  void SetUp() override {
    sessions_.enter("node01", 5, node_);
    streams_.open({{{1}, 1, 1}, {{"node01", {0, 1}}}, {2}, std::nullopt, true, {}}, client_);
  }
  std::int64_t request() const { return std::get<protocol::LogRequest>(node_->sent.at(0)).request; }
  void piece(const std::string& data) { streams_.on_chunk(5, {request(), 0, "out", 0, data, false, ""}); }
  void end_of(std::int64_t rank) { streams_.on_chunk(5, {request(), rank, "out", 0, "", true, ""}); }
};

TEST_F(Output, HoldsBackForASlowReaderAndLosesNothing) {
  for (int i = 0; i < 10; ++i) piece(megabyte_);
  end_of(0);
  end_of(1);
  EXPECT_LT(client_->text.size(), output_window_bytes + (1 << 20));
  EXPECT_FALSE(client_->ended);
  for (int i = 0; i < 10 && !client_->ended; ++i) client_->drained();
  EXPECT_TRUE(client_->ended);
  EXPECT_EQ(std::count(client_->text.begin(), client_->text.end(), 'A'), 10 << 20);
  EXPECT_EQ(streams_.open_clients(), 0u);
}

TEST_F(Output, SaysSoWhenItHasToCut) {
  for (int i = 0; i < 14; ++i) piece(megabyte_);
  EXPECT_TRUE(std::holds_alternative<protocol::LogCancel>(node_->sent.back()));
  for (int i = 0; i < 100 && !client_->ended; ++i) client_->drained();
  EXPECT_TRUE(client_->ended);
  EXPECT_NE(client_->text.find("the output was cut here"), std::string::npos);
}

TEST_F(Output, EndsWhenTheNodeSpeaksForAllItsRanks) {
  streams_.on_chunk(5, {request(), -1, "", 0, "", true, "no output of job 1 here"});
  EXPECT_TRUE(client_->ended);
  EXPECT_NE(client_->text.find("no output of job 1 here"), std::string::npos);
}

TEST_F(Output, IgnoresChunksOfOtherSessions) {
  streams_.on_chunk(6, {request(), 0, "out", 0, "AAAA", true, ""});
  EXPECT_EQ(client_->text, "");
  sessions_.enter("node01", 7, node_);
  streams_.on_session_gone(5);
  EXPECT_TRUE(client_->ended);
  EXPECT_NE(client_->text.find("node01 was lost"), std::string::npos);
}

TEST_F(Output, StopsTheAgentWhenTheReaderGoes) {
  client_->closed();
  EXPECT_EQ(std::get<protocol::LogCancel>(node_->sent.back()).request, request());
  piece("AAAA");
  EXPECT_EQ(client_->text, "");
  EXPECT_EQ(streams_.open_clients(), 0u);
}

}  // namespace
}  // namespace ultramarine::server
