// The in-memory twin keeps the launcher's promises.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/launcher/memory_launcher.h"

namespace ultramarine::launcher {
namespace {

const GangKey the_gang{JobId{3}, 1, 1};

class MemoryLauncherTest : public testing::Test {
 protected:
  std::unique_ptr<Launcher> make() {
    return make_memory_launcher(loop, shims, [this](const protocol::FromShim& message) { heard.push_back(message); });
  }
  void run() { loop.run_for(std::chrono::milliseconds(5)); }
  static GangReport report(GangPhase phase) { return {.key = the_gang, .phase = phase}; }

  net::Loop loop;
  std::shared_ptr<MemoryShims> shims = std::make_shared<MemoryShims>();
  std::vector<protocol::FromShim> heard;
};

TEST_F(MemoryLauncherTest, WritesDownCallsAndSaysWhatTheTestSays) {
  const auto launcher = make();
  launcher->prepare({.key = the_gang, .node = "node01"});
  launcher->send(the_gang, protocol::Stop{.key = the_gang});
  shims->say(report(GangPhase::prepared));
  EXPECT_TRUE(heard.empty()) << "it speaks through the loop only";
  run();
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(std::get<GangReport>(heard[0]).phase, GangPhase::prepared);
  EXPECT_EQ(shims->prepared.at(0).node, "node01");
  EXPECT_TRUE(std::holds_alternative<protocol::Stop>(shims->sent.at(0).message));
}

TEST_F(MemoryLauncherTest, ReportsAgainWhenAskedAgain) {
  const auto launcher = make();
  shims->say(report(GangPhase::finished));
  launcher->prepare({.key = the_gang});
  launcher->send(the_gang, protocol::Start{.key = the_gang});
  run();
  EXPECT_EQ(heard.size(), 3U);
}

TEST_F(MemoryLauncherTest, ShimsOutliveTheLauncher) {
  auto launcher = make();
  shims->say(report(GangPhase::running));
  run();
  launcher.reset();
  shims->say(protocol::CheckpointReport{.key = the_gang, .step = 10});
  shims->say(report(GangPhase::finished));
  run();
  EXPECT_EQ(heard.size(), 1U);
  launcher = make();
  launcher->adopt();
  run();
  ASSERT_EQ(heard.size(), 3U);
  EXPECT_EQ(std::get<protocol::CheckpointReport>(heard[1]).step, 10);
  EXPECT_EQ(std::get<GangReport>(heard[2]).phase, GangPhase::finished);
  launcher->forget(the_gang);
  launcher->adopt();
  run();
  EXPECT_EQ(heard.size(), 3U);
}

}  // namespace
}  // namespace ultramarine::launcher
