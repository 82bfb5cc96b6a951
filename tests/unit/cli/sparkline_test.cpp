// The past in `ultra top`: heights of values, blanks for gaps, and what becomes a sample.
#include "scheduler/cli/top/sparkline.h"

#include <gtest/gtest.h>

#include "scheduler/cli/top/top_history.h"
#include "scheduler/cli/top/top_model.h"

namespace ultramarine::cli {
namespace {

TEST(Sparkline, HasEightHeights) {
  EXPECT_EQ(sparkline({0, 124, 125, 250, 375, 500, 625, 750, 875, 1000}, 10), "▁▁▂▃▄▅▆▇██");
  EXPECT_EQ(sparkline({0, 125, 250, 375, 500, 625, 750, 875}, 8, false), "_.:-=+*#");
  EXPECT_EQ(sparkline({-5, 4'000}, 2), "▁█") << "what lies outside is the nearest";
}

TEST(Sparkline, GapsAreBlankAndTheNewestIsAtTheRight) {
  EXPECT_EQ(sparkline({0, std::nullopt, 999}, 3), "▁ █");
  EXPECT_EQ(sparkline({0, 999}, 4), "  ▁█");
  EXPECT_EQ(sparkline({0, 0, 999, 500}, 2), "█▅");
  EXPECT_EQ(sparkline({}, 3), "   ");
  EXPECT_EQ(sparkline({500}, 0), "");
}

protocol::NodeView node(const std::string& name, NodeState state, std::vector<std::int64_t> busy) {
  protocol::NodeView view;
  view.node.config.name = name;
  view.node.config.gpus = 4;
  view.node.state = state;
  view.device_utilization_permille = std::move(busy);
  return view;
}

protocol::ClusterView cluster(std::int64_t allocated, std::int64_t gpus) {
  protocol::ClusterView view;
  view.gpus = gpus;
  view.gpus_allocated = allocated;
  return view;
}

TEST(TopHistory, TakesASampleForEachLook) {
  TopHistory history;
  history.add(cluster(2, 8), {{0}, {node("a", NodeState::up, {1000, 600, 0, 0}), node("b", NodeState::down, {})}});
  history.add(cluster(8, 8),
              {{0}, {node("a", NodeState::up, {1000, 1000, 1000, 1000}), node("b", NodeState::up, {0, 0, 0, 0})}});
  EXPECT_EQ(history.allocated(), (History{250, 1000}));
  EXPECT_EQ(history.busy(), (History{400, 500})) << "of nodes that are up";
  EXPECT_EQ(history.busy("a"), (History{400, 1000}));
  EXPECT_EQ(history.busy("b"), (History{std::nullopt, 0}));
  EXPECT_TRUE(history.busy("c").empty());
  history.add(cluster(0, 0), {{0}, {node("b", NodeState::up, {})}});
  EXPECT_EQ(history.allocated().back(), std::nullopt);
  EXPECT_TRUE(history.busy("a").empty()) << "it left the cluster";
}

TEST(TopHistory, ForgetsWhatIsLongAgo) {
  TopHistory history;
  for (std::int64_t i = 0; i < 1000; ++i) history.add(cluster(i, 1000), {{0}, {node("a", NodeState::up, {i})}});
  EXPECT_EQ(history.allocated().size(), TopHistory::samples_max);
  EXPECT_EQ(history.busy("a").size(), TopHistory::samples_max);
  EXPECT_EQ(history.allocated().back(), 999);
}

TEST(TopHistory, ASchedulerThatWasAwayLeavesAGap) {
  TopModel model("ada");
  const protocol::NodeList nodes{{0}, {node("a", NodeState::up, {0, 0, 0, 0})}};
  model.take(cluster(1, 4), nodes, {});
  model.set_away(true);
  EXPECT_EQ(model.history().busy("a"), (History{0}));
  model.take(cluster(2, 4), nodes, {});
  model.set_away(false);
  model.take(cluster(3, 4), nodes, {});
  EXPECT_EQ(model.history().allocated(), (History{250, std::nullopt, 500, 750}));
  EXPECT_EQ(model.history().busy("a"), (History{0, std::nullopt, 0, 0}));
}

}  // namespace
}  // namespace ultramarine::cli
