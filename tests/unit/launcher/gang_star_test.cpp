// The star of shims over real sockets, without processes and without PMIx.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "worker/launcher/gang_star.h"

namespace ultramarine::launcher {
namespace {

const GangKey key{JobId{7}, 1, 1};

class GangStarTest : public testing::Test {
 protected:
  struct Node {
    std::unique_ptr<GangStar> star;
    std::vector<std::int64_t> asked;
    bool ready = false;
    std::string problem;
  };

  GangStarTest() {
    for (int i = 0; i < 3; ++i) make(i, "secret");
    middle.host = "127.0.0.1";
    middle.port = static_cast<std::uint16_t>(nodes[0].star->listen("127.0.0.1"));
  }

  void make(int i, const std::string& secret) {
    nodes[i].star = std::make_unique<GangStar>(loop, key, layout, layout.nodes()[i], secret,
                                               [this, i](std::int64_t rank, const GangStar::OnModex& answer) {
                                                 nodes[i].asked.push_back(rank);
                                                 answer(0, "data of " + std::to_string(rank) + std::string("\0\xff", 2));
                                               });
  }
  void connect(int i) {
    nodes[i].star->connect(
        middle, [this, i] { nodes[i].ready = true; }, [this, i](const std::string& why) { nodes[i].problem = why; });
  }
  void connect_all() {
    connect(1);
    connect(2);
    until([this] { return nodes[1].ready && nodes[2].ready; });
  }
  template <class Condition>
  void until(Condition condition) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition() && std::chrono::steady_clock::now() < limit) loop.run_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(condition());
  }

  const GangLayout layout{Allocation{{"a", {0, 1}}, {"b", {0}}, {"c", {0, 1}}}};  // ranks 0 1 | 2 | 3 4
  net::Loop loop;
  net::Endpoint middle;
  std::array<Node, 3> nodes;
};

TEST_F(GangStarTest, AFenceGivesEverybodyAllDataInNodeOrder) {
  connect_all();
  std::array<std::string, 3> got;
  for (const int i : {2, 0, 1}) nodes[i].star->fence("*", std::string(1, "abc"[i]) + '\0', [&got, i](std::string data) { got[i] = data; });
  until([&] { return !got[0].empty() && !got[1].empty() && !got[2].empty(); });
  for (const auto& data : got) EXPECT_EQ(data, std::string("a\0b\0c\0", 6));
}

TEST_F(GangStarTest, FencesOverSubsetsDoNotMix) {
  // The middle need not take part; the same set again is another fence.
  connect_all();
  std::vector<std::string> got;
  const auto note = [&got](std::string data) { got.push_back(std::move(data)); };
  nodes[1].star->fence("2,3", "first b ", note);
  nodes[1].star->fence("2,3", "second b ", note);
  nodes[0].star->fence("0,4", "other a ", note);
  nodes[2].star->fence("2,3", "first c", note);
  until([&] { return got.size() == 2; });
  EXPECT_THAT(got, testing::Each("first b first c"));
  nodes[2].star->fence("2,3", "second c", note);
  nodes[2].star->fence("0,4", "other c", note);
  until([&] { return got.size() == 6; });
  EXPECT_EQ(std::count(got.begin(), got.end(), "second b second c"), 2);
  EXPECT_EQ(std::count(got.begin(), got.end(), "other a other c"), 2);
}

TEST_F(GangStarTest, AFenceWaitsForNodesThatConnectLater) {
  std::vector<std::string> got;
  const auto note = [&got](std::string data) { got.push_back(std::move(data)); };
  nodes[0].star->fence("*", "a", note);
  nodes[1].star->fence("*", "b", note);  // said once it is connected
  connect(1);
  until([&] { return nodes[1].ready; });
  EXPECT_TRUE(got.empty());
  nodes[2].star->fence("*", "c", note);
  connect(2);
  until([&] { return got.size() == 3; });
  EXPECT_THAT(got, testing::Each("abc"));
}

TEST_F(GangStarTest, DataOfOneRankIsFetchedFromAnyNode) {
  connect_all();
  std::map<std::string, std::string> got;
  const auto fetch = [&](int from, std::int64_t rank) {
    nodes[from].star->modex(rank, [&got, name = std::to_string(from) + std::to_string(rank)](std::int64_t code, std::string data) {
      got[name] = std::to_string(code) + " " + data;
    });
  };
  fetch(1, 4);  // through the middle
  fetch(1, 0);  // of the middle
  fetch(0, 2);  // from the middle
  fetch(2, 3);  // its own
  fetch(0, 9);  // nobody's
  until([&] { return got.size() == 5; });
  EXPECT_EQ(got["14"], std::string("0 data of 4\0\xff", 13));
  EXPECT_EQ(got["10"], std::string("0 data of 0\0\xff", 13));
  EXPECT_EQ(got["02"], std::string("0 data of 2\0\xff", 13));
  EXPECT_EQ(got["23"], std::string("0 data of 3\0\xff", 13));
  EXPECT_EQ(got["09"], std::to_string(GangStar::not_found) + " ");
  EXPECT_THAT(nodes[2].asked, testing::ElementsAre(3, 4));
}

TEST_F(GangStarTest, AWrongSecretIsRefused) {
  make(1, "another secret");
  connect(1);
  until([&] { return !nodes[1].problem.empty(); });
  EXPECT_FALSE(nodes[1].ready);
  EXPECT_THAT(nodes[1].problem, testing::HasSubstr("secret"));
}

TEST_F(GangStarTest, ClosingSendsWhatIsQueuedFirst) {
  connect_all();
  std::vector<std::string> got;
  bool closed = false;
  for (const int i : {1, 2, 0}) {
    nodes[i].star->fence("*", std::string(100'000, "abc"[i]), [&, i](std::string data) {
      got.push_back(std::move(data));
      if (i == 0) nodes[0].star->close([&] { closed = true; });
    });
  }
  until([&] { return got.size() == 3 && closed; });
  for (const auto& data : got) EXPECT_EQ(data.size(), 300'000U);
}

}  // namespace
}  // namespace ultramarine::launcher
