// The calendar of devices against a table that is as simple as it can be: every second of every device is a cell, every second of a node's
// CPUs and memory is a sum, and every instant is tried.
#include <gtest/gtest.h>


#include "scheduler/core/timeline.h"
#include "tests/unit/core/builders.h"
#include "tests/support/counts.h"

namespace ultramarine::core {
namespace {

constexpr std::size_t horizon = 600;

Time at(std::int64_t second) { return Time{second * 1000}; }

/// The obvious calendar, in seconds from 0.
struct Table {
  struct Cell {
    std::int64_t job = 0, ahead_of = 0;
    bool is_hold = false;
  };
  std::vector<TimelineNode> nodes;
  std::vector<std::vector<std::vector<Cell>>> cells;             // [node][device][second]
  std::vector<std::vector<std::int64_t>> cpus, memory_bytes;     // [node][second]: taken

  explicit Table(const std::vector<TimelineNode>& of) : nodes(of) {
    for (const TimelineNode& node : nodes) {
      cells.emplace_back(static_cast<std::size_t>(node.devices), std::vector<Cell>(horizon));
      cpus.emplace_back(horizon, 0);
      memory_bytes.emplace_back(horizon, 0);
    }
  }

  void take(std::size_t node, std::int64_t device, std::int64_t from, const Stay& stay, std::int64_t ahead_of, bool is_hold) {
    for (auto second = static_cast<std::size_t>(from); second < static_cast<std::size_t>(stay.end.ms / 1000); ++second) {
      Cell& cell = cells[node][static_cast<std::size_t>(device)][second];
      EXPECT_EQ(cell.job, 0) << "a device is given twice";
      cell = {stay.job.value, ahead_of, is_hold};
      cpus[node][second] += stay.cpus;
      memory_bytes[node][second] += stay.memory_bytes;
      EXPECT_TRUE(nodes[node].cpus == 0 || cpus[node][second] <= nodes[node].cpus);
      EXPECT_TRUE(nodes[node].memory_bytes == 0 || memory_bytes[node][second] <= nodes[node].memory_bytes);
    }
  }

  policy::Offer offer(std::size_t node, std::size_t start, const PlaceRequest& request) const {
    const std::size_t end = start + static_cast<std::size_t>(request.length.ms / 1000);
    policy::Offer offer{.node = node, .leaf = nodes[node].leaf};
    for (const auto& device : cells[node]) {
      bool free = true, left = true;
      for (std::size_t second = start; second < end; ++second) {
        if (device[second].job == 0) continue;
        free = false;
        if (!device[second].is_hold || device[second].ahead_of <= static_cast<std::int64_t>(request.position)) left = false;
      }
      offer.devices += free ? 1 : 0;
      offer.left_by_jobs_ahead += left ? 1 : 0;
    }
    if (request.needs.exclusive && offer.devices < nodes[node].devices) offer.devices = 0;
    for (std::size_t second = start; second < end; ++second) {
      if (request.closed)
        for (const Interval& closed : (*request.closed)[node])
          if (closed.start <= at(static_cast<std::int64_t>(second)) && at(static_cast<std::int64_t>(second)) < closed.end) offer.devices = 0;
      while (offer.devices > 0 && nodes[node].cpus > 0 && request.needs.cpus_per_gpu > 0 &&
             cpus[node][second] + offer.devices * request.needs.cpus_per_gpu > nodes[node].cpus)
        --offer.devices;
      while (offer.devices > 0 && nodes[node].memory_bytes > 0 && request.needs.memory_per_gpu_bytes > 0 &&
             memory_bytes[node][second] + offer.devices * request.needs.memory_per_gpu_bytes > nodes[node].memory_bytes)
        --offer.devices;
    }
    return offer;
  }

  std::optional<Fit> earliest_fit(const PlaceRequest& request, const policy::Placement& placement) const {
    const auto length = static_cast<std::size_t>(request.length.ms / 1000);
    for (auto start = static_cast<std::size_t>(request.from.ms / 1000); start + length <= horizon; ++start) {
      std::vector<policy::Offer> offers;
      std::vector<std::int64_t> devices;
      for (const std::size_t node : request.nodes) {
        offers.push_back(offer(node, start, request));
        devices.push_back(offers.back().devices);
      }
      if (!fits(request.shape, devices)) continue;
      Fit fit{at(static_cast<std::int64_t>(start)), {}};
      for (const policy::NodeShare& share : placement.place(request.shape, offers)) {
        fit.nodes.push_back({share.node, {}});
        std::vector<std::int64_t>& chosen = fit.nodes.back().devices;
        const std::int64_t count = request.needs.exclusive ? nodes[share.node].devices : share.devices;
        for (std::int64_t device = 0; device < nodes[share.node].devices && static_cast<std::int64_t>(chosen.size()) < count; ++device) {
          bool free = true;
          for (std::size_t second = start; second < start + length; ++second)
            free &= cells[share.node][static_cast<std::size_t>(device)][second].job == 0;
          if (free) chosen.push_back(device);
        }
      }
      return fit;
    }
    return std::nullopt;
  }
};

std::string fit_in_words(const std::optional<Fit>& fit) {
  if (!fit) return "never";
  std::string words = std::to_string(fit->start.ms);
  for (const Fit::OnNode& on_node : fit->nodes) {
    words += " " + std::to_string(on_node.node) + ":";
    for (const std::int64_t device : on_node.devices) words += std::to_string(device) + ",";
  }
  return words;
}

std::vector<TimelineNode> random_nodes(Random& random) {
  std::vector<TimelineNode> nodes(static_cast<std::size_t>(random.between(1, 5)));
  const std::int64_t devices = random.between(1, 6);
  for (TimelineNode& node : nodes) {
    node.devices = random.chance(800) ? devices : random.between(0, 6);
    node.cpus = random.chance(500) ? random.between(1, 24) : 0;
    node.memory_bytes = random.chance(300) ? random.between(1, 100) : 0;
    node.leaf = static_cast<std::size_t>(random.between(0, 1));
  }
  return nodes;
}

std::vector<std::vector<Interval>> random_closures(Random& random, std::size_t nodes) {
  std::vector<std::vector<Interval>> closed(nodes);
  for (std::vector<Interval>& intervals : closed) {
    std::int64_t second = 0;
    while (random.chance(400)) {
      const std::int64_t start = second + random.between(1, 30);
      second = start + random.between(1, 20);
      intervals.push_back({at(start), at(second)});
    }
  }
  return closed;
}

/// A few jobs of every kind on one calendar, each compared with the table's answer.
void compare_with_the_table(std::uint64_t seed, const policy::Placement& placement, int& found) {
  Random random(seed);
  const std::vector<TimelineNode> nodes = random_nodes(random);
  Timeline timeline(nodes);
  Table table(nodes);
  std::int64_t job = 0;
  for (std::size_t node = 0; node < nodes.size(); ++node) {
    for (std::int64_t device = 0; device < nodes[node].devices; ++device) {
      if (!random.chance(300)) continue;
      Stay stay{.end = at(random.between(1, 30)), .job = {++job}};
      const std::int64_t left = nodes[node].cpus - table.cpus[node][0];
      if (left > 0 && random.chance(500)) stay.cpus = random.between(1, left);
      const std::int64_t ahead_of = random.chance(500) ? random.between(1, 8) : 0;
      timeline.hold(node, device, stay, static_cast<std::size_t>(ahead_of));
      table.take(node, device, 0, stay, ahead_of, true);
    }
  }
  for (std::size_t position = 0; position < 10; ++position) {
    std::vector<std::size_t> usable;
    for (std::size_t node = 0; node < nodes.size(); ++node)
      if (random.chance(850)) usable.push_back(node);
    const auto closed = random_closures(random, nodes.size());
    const std::int64_t part = random.between(1, 6);
    PlaceRequest request{.shape = {random.between(0, 2), part, random.between(0, part - 1)},
                         .length = seconds(random.between(1, 12)),
                         .from = at(random.between(0, 10)),
                         .position = position,
                         .nodes = usable};
    if (request.shape.parts == 0) request.shape = {0, 6, random.between(1, 5)};
    if (random.chance(300)) request.needs.cpus_per_gpu = random.between(1, 6);
    if (random.chance(200)) request.needs.memory_per_gpu_bytes = random.between(1, 40);
    if (random.chance(150)) request.needs.exclusive = true;
    if (random.chance(300)) request.closed = &closed;
    const auto expected = table.earliest_fit(request, placement);
    const auto fit = timeline.earliest_fit(request, placement);
    ASSERT_EQ(fit_in_words(fit), fit_in_words(expected)) << "seed " << seed << " position " << position;
    if (!fit) continue;
    ++found;
    Stay stay{.start = fit->start, .end = fit->start + request.length, .job = {++job}};
    if (!request.needs.exclusive) {
      stay.cpus = request.needs.cpus_per_gpu;
      stay.memory_bytes = request.needs.memory_per_gpu_bytes;
    }
    for (const Fit::OnNode& on_node : fit->nodes) {
      for (const std::int64_t device : on_node.devices) {
        Stay counted = stay;
        if (nodes[on_node.node].cpus == 0) counted.cpus = 0;
        if (nodes[on_node.node].memory_bytes == 0) counted.memory_bytes = 0;
        timeline.add(on_node.node, device, counted);
        table.take(on_node.node, device, stay.start.ms / 1000, counted, 0, false);
      }
    }
  }
}

const std::uint64_t timeline_cases = tests::cases(1000, 20'000);

TEST(Timeline, AgreesWithATableOfSeconds) {
  const State state;
  const policy::Context context{state, {}, {}};
  int found = 0;
  for (std::uint64_t seed = 1; seed <= timeline_cases; ++seed) {
    const auto placement = seed % 4 == 0 ? policy::pack(context) : policy::best_fit(context);
    compare_with_the_table(seed, *placement, found);
    if (HasFailure()) return;
  }
  EXPECT_GT(found, 2000);
}

/// One node, one request of `devices` devices for 10 s.
struct OneNode {
  explicit OneNode(const TimelineNode& node) : timeline({node}) {}
  std::optional<Fit> fit(std::int64_t devices, Needs needs = {}, const std::vector<std::vector<Interval>>* closed = nullptr) {
    return timeline.earliest_fit({.shape = {0, 8, devices}, .length = seconds(10), .from = at(0), .nodes = nodes, .needs = needs, .closed = closed},
                                 *policy::best_fit({state, {}, {}}));
  }
  const State state;
  const std::vector<std::size_t> nodes{0};
  Timeline timeline;
};

TEST(Timeline, DevicesWithoutCpusAreOfNoUse) {
  // 6 of 8 CPUs are taken for 30 s: 2 devices of 2 CPUs fit when that ends, one device at once.
  OneNode one({.devices = 8, .cpus = 8});
  one.timeline.hold(0, 0, {.end = at(30), .job = {1}, .cpus = 6}, 0);
  EXPECT_EQ(fit_in_words(one.fit(1, {.cpus_per_gpu = 2})), "0 0:1,");
  EXPECT_EQ(fit_in_words(one.fit(2, {.cpus_per_gpu = 2})), "30000 0:0,1,");
  EXPECT_EQ(fit_in_words(one.fit(2)), "0 0:1,2,");
  EXPECT_EQ(fit_in_words(one.fit(5, {.cpus_per_gpu = 2})), "never");
}

TEST(Timeline, AnExclusiveJobWaitsForTheWholeNodeAndTakesIt) {
  OneNode one({.devices = 4});
  one.timeline.hold(0, 3, {.end = at(30), .job = {1}}, 0);
  EXPECT_EQ(fit_in_words(one.fit(1, {.exclusive = true})), "30000 0:0,1,2,3,");
  EXPECT_EQ(fit_in_words(one.fit(1)), "0 0:0,");
}

TEST(Timeline, AStayDoesNotReachIntoAClosure) {
  OneNode one({.devices = 1});
  const std::vector<std::vector<Interval>> closed{{{at(9), at(20)}, {at(25), at(40)}}}, later{{{at(10), at(20)}}};
  EXPECT_EQ(fit_in_words(one.fit(1, {}, &closed)), "40000 0:0,");
  EXPECT_EQ(fit_in_words(one.fit(1, {}, &later)), "0 0:0,");
}

std::string placed(const policy::Placement& placement, const Shape& shape, const std::vector<policy::Offer>& offers) {
  std::string words;
  for (const policy::NodeShare& share : placement.place(shape, offers)) words += std::to_string(share.node) + ":" + std::to_string(share.devices) + " ";
  return words;
}

TEST(BestFit, WholeNodesComeFromOneLeafIfOneHasThem) {
  // Leaf 1 has three whole nodes, leaf 2 two: two parts go to the leaf that is fuller, three to the one that holds them.
  const State state;
  const auto best_fit = policy::best_fit({state, {}, {}});
  std::vector<policy::Offer> offers;
  for (std::size_t node = 0; node < 6; ++node) offers.push_back({.node = node, .devices = 8, .left_by_jobs_ahead = 8, .leaf = node < 3 ? 1u : 2u});
  offers[5].devices = offers[5].left_by_jobs_ahead = 3;
  EXPECT_EQ(placed(*best_fit, {2, 8, 0}, offers), "3:8 4:8 ");
  EXPECT_EQ(placed(*best_fit, {3, 8, 0}, offers), "0:8 1:8 2:8 ");
  EXPECT_EQ(placed(*best_fit, {4, 8, 2}, offers), "0:8 1:8 2:8 3:8 5:2 ");  // the leaf that holds most is used up, one more is touched
}

TEST(Pack, LooksAtWhatIsFreeAndTakesWholeNodesInOrder) {
  // A node that only jobs behind hold looks tight to it; best_fit sees through them.
  const State state;
  const std::vector<policy::Offer> offers{{.node = 0, .devices = 8, .left_by_jobs_ahead = 8}, {.node = 1, .devices = 3, .left_by_jobs_ahead = 8},
                                          {.node = 2, .devices = 8, .left_by_jobs_ahead = 4}};
  EXPECT_EQ(placed(*policy::pack({state, {}, {}}), {1, 8, 2}, offers), "0:8 1:2 ");
  EXPECT_EQ(placed(*policy::best_fit({state, {}, {}}), {1, 8, 2}, offers), "0:2 2:8 ");
}

}  // namespace
}  // namespace ultramarine::core
