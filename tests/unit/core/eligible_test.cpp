// Which nodes a job may use, and that it gets no others.
#include "scheduler/core/eligible.h"

#include <gtest/gtest.h>

#include <map>

#include "scheduler/core/planner.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

constexpr std::int64_t gib = std::int64_t{1} << 30;

/// "node1:8 node2:4"
std::string nodes_for(const ClusterConfig& cluster, const JobSpec& spec, std::size_t partition = 0) {
  std::string words;
  for (const EligibleNode& node : eligible_nodes(cluster, cluster.partitions[partition], spec))
    words += (words.empty() ? "" : " ") + node.node->name + ":" + std::to_string(node.gpus);
  return words;
}

ClusterConfig three_kinds() {
  ClusterConfig cluster = cluster_of(3, 8);
  cluster.nodes[0].gpu_type = "A100";
  cluster.nodes[1].gpu_type = "H100";
  cluster.nodes[2].gpu_type = "H100";
  cluster.nodes[1].features = {"nvlink"};
  cluster.nodes[2].features = {"nvlink", "infiniband"};
  cluster.partitions.push_back({.name = "two", .nodes = {"node2", "node1"}});
  return cluster;
}

TEST(Eligible, EveryWishNarrowsTheNodesDown) {
  const ClusterConfig cluster = three_kinds();
  JobSpec spec;
  EXPECT_EQ(nodes_for(cluster, spec), "node1:8 node2:8 node3:8");
  EXPECT_EQ(nodes_for(cluster, spec, 1), "node1:8 node2:8");
  spec.gpu_type = "H100";
  EXPECT_EQ(nodes_for(cluster, spec), "node2:8 node3:8");
  spec.features = {"infiniband", "nvlink"};
  EXPECT_EQ(nodes_for(cluster, spec), "node3:8");
  spec.without_nodes = {"node3"};
  EXPECT_EQ(nodes_for(cluster, spec), "");
  JobSpec named;
  named.only_nodes = {"node3", "node1"};
  EXPECT_EQ(nodes_for(cluster, named), "node1:8 node3:8");
}

TEST(Eligible, CpusAndMemoryBoundTheGpusOfANode) {
  ClusterConfig cluster = cluster_of(3, 8);
  cluster.nodes[0].cpus = 64, cluster.nodes[0].memory_bytes = 512 * gib;
  cluster.nodes[1].cpus = 16, cluster.nodes[1].memory_bytes = 512 * gib;
  JobSpec spec;
  spec.cpus_per_gpu = 8;
  EXPECT_EQ(nodes_for(cluster, spec), "node1:8 node2:2 node3:8") << "node3 says nothing of its CPUs";
  spec.memory_per_gpu_bytes = 100 * gib;
  EXPECT_EQ(nodes_for(cluster, spec), "node1:5 node2:2 node3:8");
  spec.cpus_per_gpu = 17;
  EXPECT_EQ(nodes_for(cluster, spec), "node1:3 node3:8") << "node2 has no CPUs for a single GPU";
}

TEST(Eligible, JobsThatAskTheSameAreOneClass) {
  JobSpec spec = spec_of({.gpus = 1}, hours(1)), other = spec_of({.gpus = 8}, hours(2));
  std::map<RequestClass, int, ByRequestClass> classes;
  classes.emplace(RequestClass(spec), 1);
  EXPECT_EQ(classes.count(other), 1u) << "sizes and times make no difference";
  const auto is_new = [&](auto change) {
    JobSpec changed = spec;
    change(changed);
    return classes.count(changed) == 0;
  };
  EXPECT_TRUE(is_new([](JobSpec& s) { s.partition = "debug"; }));
  EXPECT_TRUE(is_new([](JobSpec& s) { s.gpu_type = "A100"; }));
  EXPECT_TRUE(is_new([](JobSpec& s) { s.reservation = "course"; }));
  EXPECT_TRUE(is_new([](JobSpec& s) { s.features = {"nvlink"}; }));
  EXPECT_TRUE(is_new([](JobSpec& s) { s.only_nodes = {"node1"}; }));
  EXPECT_TRUE(is_new([](JobSpec& s) { s.without_nodes = {"node1"}; }));
  EXPECT_TRUE(is_new([](JobSpec& s) { s.cpus_per_gpu = 1; }));
  EXPECT_TRUE(is_new([](JobSpec& s) { s.memory_per_gpu_bytes = 1; }));
  EXPECT_TRUE(is_new([](JobSpec& s) { s.exclusive = true; }));
}

template <class Change>
JobId submit_with(Driver& driver, Resources resources, Change change) {
  JobSpec spec = spec_of(resources, hours(1));
  change(spec);
  return driver.submit(spec);
}

TEST(PlanOfWishes, EachJobGetsNodesOfItsKindOrWaitsForThem) {
  Driver driver(three_kinds());
  const JobId a100 = submit_with(driver, {.gpus = 8}, [](JobSpec& s) { s.gpu_type = "A100"; });
  const JobId second = submit_with(driver, {.gpus = 8}, [](JobSpec& s) { s.gpu_type = "A100"; });
  const JobId fabric = submit_with(driver, {.gpus = 8}, [](JobSpec& s) { s.features = {"infiniband"}; });
  const JobId named = submit_with(driver, {.gpus = 4}, [](JobSpec& s) { s.only_nodes = {"node2", "node3"}; });
  const JobId elsewhere = submit_with(driver, {.gpus = 2}, [](JobSpec& s) { s.without_nodes = {"node1", "node3"}; });
  const PlannedJob waiting = driver.planned(second);
  EXPECT_EQ(waiting.reason.code, ReasonCode::resources);
  EXPECT_EQ(waiting.reason.gpus_free, 0) << "free GPUs of other kinds are none for it";
  EXPECT_EQ(waiting.reason.waits_for, std::vector<JobId>{a100});
  EXPECT_EQ(in_words(waiting.allocation), "node1:0,1,2,3,4,5,6,7");
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{a100, fabric, named, elsewhere}));
  EXPECT_EQ(in_words(driver.attempt(a100).allocation), "node1:0,1,2,3,4,5,6,7");
  EXPECT_EQ(in_words(driver.attempt(fabric).allocation), "node3:0,1,2,3,4,5,6,7");
  EXPECT_EQ(in_words(driver.attempt(named).allocation), "node2:0,1,2,3");
  EXPECT_EQ(in_words(driver.attempt(elsewhere).allocation), "node2:4,5");
}

TEST(PlanOfWishes, WholeNodesAreThoseOfItsKind) {
  // The A100 node has 4 GPUs: 8 of them are two whole nodes of 4, though there are nodes of 8.
  ClusterConfig cluster = cluster_of(4, 8);
  for (std::size_t i : {0u, 1u}) cluster.nodes[i].gpus = 4, cluster.nodes[i].gpu_type = "A100";
  Driver driver(cluster);
  const JobId job = submit_with(driver, {.gpus = 8}, [](JobSpec& s) { s.gpu_type = "A100"; });
  driver.round();
  EXPECT_EQ(in_words(driver.attempt(job).allocation), "node1:0,1,2,3 node2:0,1,2,3");
}

TEST(PlanOfWishes, NodesOfItsKindThatAreDownAreMissing) {
  Driver driver(three_kinds());
  driver.apply(NodeSuspected{"node1", {}});
  const JobId job = submit_with(driver, {.gpus = 8}, [](JobSpec& s) { s.gpu_type = "A100"; });
  EXPECT_EQ(driver.planned(job).reason.code, ReasonCode::nodes_missing);
  const JobId never = submit_with(driver, {.gpus = 9}, [](JobSpec& s) { s.gpu_type = "A100"; });
  EXPECT_EQ(driver.planned(never).reason.code, ReasonCode::never_fits);
  const auto decisions = driver.round();
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_EQ(std::get<RejectJob>(decisions.front()).detail, "9 GPUs asked, partition main has 8 that it may use (GPUs of type A100); ask for at most 8");
}

const std::int64_t an_hour = 3'600'000 + PolicyConfig{}.launch_allowance_ms.ms;

TEST(PlanOfShares, CpusBoundWhatANodeTakesAtOnce) {
  // 8 GPUs but 32 CPUs: with 8 for each GPU, 4 GPUs are all that can run, and the rest is free for jobs that need fewer CPUs.
  ClusterConfig cluster = cluster_of(1, 8);
  cluster.nodes[0].cpus = 32;
  Driver driver(cluster);
  const auto eight_each = [](JobSpec& s) { s.cpus_per_gpu = 8; };
  const JobId first = submit_with(driver, {.gpus = 3}, eight_each), second = submit_with(driver, {.gpus = 2}, eight_each);
  const JobId modest = submit_with(driver, {.gpus = 5}, [](JobSpec&) {}), one = submit_with(driver, {.gpus = 1}, eight_each);
  const PlannedJob waiting = driver.planned(second);
  EXPECT_EQ(driver.start_in_ms(second), an_hour);
  EXPECT_EQ(waiting.reason.code, ReasonCode::resources);
  EXPECT_EQ(waiting.reason.gpus_free, 1) << "those that there are CPUs for";
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{first, modest}));
  EXPECT_EQ(driver.planned(one).reason.gpus_free, 0);
  driver.run(first);
  driver.end(first);
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{second, one}));
}

TEST(PlanOfShares, MemoryBoundsWhatANodeTakesAtOnce) {
  ClusterConfig cluster = cluster_of(2, 8);
  cluster.nodes[0].memory_bytes = 512 * gib, cluster.nodes[1].memory_bytes = 128 * gib;
  Driver driver(cluster);
  const auto much = [](JobSpec& s) { s.memory_per_gpu_bytes = 100 * gib; };
  const JobId large = submit_with(driver, {.gpus = 5}, much), small = submit_with(driver, {.gpus = 1}, much), late = submit_with(driver, {.gpus = 1}, much);
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{large, small}));
  EXPECT_EQ(in_words(driver.attempt(large).allocation), "node1:0,1,2,3,4");
  EXPECT_EQ(in_words(driver.attempt(small).allocation), "node2:0");
  EXPECT_EQ(driver.start_in_ms(late), an_hour);
}

TEST(PlanOfShares, ALongListNeverTakesMoreThanThereIs) {
  // Whatever the mix, no node gives more CPUs, memory or devices than it has at any instant, and everybody gets a place.
  Random random(11);
  for (int round = 0; round < 40; ++round) {
    ClusterConfig cluster = cluster_of(3, 4);
    for (NodeConfig& node : cluster.nodes) node.cpus = random.between(4, 32), node.memory_bytes = random.between(4, 32);
    Driver driver(cluster);
    std::vector<JobId> jobs;
    for (int i = 0; i < 30; ++i) {
      JobSpec spec = spec_of({.gpus = random.between(1, 6)}, minutes(random.between(1, 90)));
      if (random.chance(600)) spec.cpus_per_gpu = random.between(1, 8);
      if (random.chance(400)) spec.memory_per_gpu_bytes = random.between(1, 8);
      spec.exclusive = random.chance(150);
      if (std::holds_alternative<Accepted>(driver.scheduler.accept(spec, ada))) driver.submit(spec);
      if (random.chance(200)) driver.round();
      if (random.chance(100)) driver.now = driver.now + minutes(7);
    }
    struct Held {
      Time start, end;
      const JobSpec* spec;
      const Allocation* allocation;
    };
    std::vector<Held> stays;
    const Plan plan = driver.scheduler.plan(driver.now);
    for (const auto& [id, job] : driver.scheduler.state().jobs)
      if (is_active(job.state)) stays.push_back({driver.now, assumed_end(job, driver.scheduler.state().policy, driver.now), &job.spec, &job.attempts.back().allocation});
    for (const PlannedJob& line : plan.jobs) {
      ASSERT_TRUE(line.start_ms) << "job " << line.job.value;
      const JobSpec& spec = driver.job(line.job).spec;
      stays.push_back({*line.start_ms, *line.start_ms + longest_stay(spec, driver.scheduler.state().policy), &spec, &line.allocation});
    }
    for (const Held& instant : stays) {  // what is held changes at starts alone to the worse
      std::map<std::string, std::vector<std::int64_t>> taken;  // node -> GPUs, CPUs, memory
      for (const Held& stay : stays) {
        if (stay.start > instant.start || stay.end <= instant.start) continue;
        for (const NodeAllocation& on_node : *stay.allocation) {
          auto& sums = taken[on_node.node];
          sums.resize(3);
          const auto devices = static_cast<std::int64_t>(on_node.devices.size());
          sums[0] += devices;
          if (stay.spec->exclusive) {
            EXPECT_EQ(devices, 4) << "a whole node";
            continue;
          }
          sums[1] += devices * stay.spec->cpus_per_gpu;
          sums[2] += devices * stay.spec->memory_per_gpu_bytes;
        }
      }
      for (const NodeConfig& node : cluster.nodes) {
        auto& sums = taken[node.name];
        sums.resize(3);
        EXPECT_LE(sums[0], node.gpus);
        EXPECT_LE(sums[1], node.cpus);
        EXPECT_LE(sums[2], node.memory_bytes);
      }
    }
  }
}

TEST(PlanOfExclusive, GetsItsNodesWholeAndWaitsForThem) {
  Driver driver(cluster_of(2, 8));
  const JobId small = driver.submit(1, hours(1));
  driver.round();
  const JobId alone = submit_with(driver, {.gpus = 2}, [](JobSpec& s) { s.exclusive = true; });
  const JobId pair = submit_with(driver, {.nodes = 2, .gpus_per_node = 1}, [](JobSpec& s) { s.exclusive = true; });
  const JobId filler = driver.submit(1, minutes(1));
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{alone, filler}));
  EXPECT_EQ(in_words(driver.attempt(alone).allocation), "node2:0,1,2,3,4,5,6,7") << "the node that nobody is on, with all its GPUs";
  EXPECT_EQ(in_words(driver.attempt(filler).allocation), "node1:1");
  const PlannedJob planned = driver.planned(pair);
  EXPECT_EQ(in_words(planned.allocation), "node1:0,1,2,3,4,5,6,7 node2:0,1,2,3,4,5,6,7");
  EXPECT_EQ(planned.reason.code, ReasonCode::resources);
  EXPECT_EQ(planned.reason.gpus_free, 0) << "no node is free as a whole";
  EXPECT_EQ(driver.start_in_ms(pair), an_hour);
  driver.run(small);
  driver.end(small);
  driver.end(filler);
  EXPECT_EQ(driver.planned(pair).reason.code, ReasonCode::fragmentation) << "8 GPUs are free, but only one node";
  driver.run(alone);
  driver.end(alone);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{pair});
  EXPECT_EQ(driver.attempt(pair).allocation.size(), 2u);
}

TEST(PlanOfExclusive, AsManyWholeNodesAsItsGpusNeed) {
  Driver driver(cluster_of(3, 4));
  const JobId job = submit_with(driver, {.gpus = 6}, [](JobSpec& s) { s.exclusive = true; });
  driver.round();
  EXPECT_EQ(in_words(driver.attempt(job).allocation), "node1:0,1,2,3 node2:0,1,2,3");
}

TEST(PlanOfLeaves, WholeNodesOfOneSwitchComeFirst) {
  ClusterConfig cluster = cluster_of(4, 8);
  for (std::size_t i = 0; i < 4; ++i) cluster.nodes[i].leaf = i == 1 || i == 2 ? "leaf2" : "leaf1";
  Driver driver(cluster);
  const JobId one = driver.submit(8, hours(1)), two = driver.submit(16, hours(1));
  driver.round();
  EXPECT_EQ(in_words(driver.attempt(one).allocation), "node1:0,1,2,3,4,5,6,7");
  EXPECT_EQ(in_words(driver.attempt(two).allocation), "node2:0,1,2,3,4,5,6,7 node3:0,1,2,3,4,5,6,7");
}

}  // namespace
}  // namespace ultramarine::core
