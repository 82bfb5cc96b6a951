// Which nodes a job may use, and that it gets no others.
#include "scheduler/core/eligible.h"

#include <gtest/gtest.h>

#include <map>

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

}  // namespace
}  // namespace ultramarine::core
