// Requests: what is filled in, and what is refused with which words.
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

JobSpec request(Resources resources) {
  JobSpec spec;
  spec.resources = resources;
  spec.command = {"/usr/bin/python3", "train.py"};
  spec.working_directory = "/home/ada";
  return spec;
}

ClusterConfig lab() {
  ClusterConfig cluster = cluster_of(8, 8);
  cluster.partitions[0].default_time_ms = hours(1);
  cluster.partitions[0].max_time_ms = hours(24);
  cluster.partitions.push_back({.name = "debug", .nodes = {"node1"}, .max_time_ms = minutes(30), .accounts = {"vision", "speech"}});
  cluster.accounts = {{.name = "everybody", .members = {"*"}}, {.name = "vision", .members = {"ada", "@vision"}}, {.name = "speech", .members = {"bob"}}};
  cluster.qos = {{.name = "normal"}, {.name = "urgent"}};
  return cluster;
}

/// The spec that was accepted.
JobSpec accepted(const JobSpec& spec, const Actor& actor = ada) {
  const auto answer = Driver(lab()).scheduler.accept(spec, actor);
  if (const auto* refusal = std::get_if<Refusal>(&answer)) {
    ADD_FAILURE() << "refused: " << refusal->field << ": " << refusal->problem;
    return {};
  }
  return std::get<JobSpec>(answer);
}

/// field: problem; remedy
std::string refused(const JobSpec& spec, const Actor& actor = ada, const ClusterConfig& cluster = lab()) {
  const auto answer = Driver(cluster).scheduler.accept(spec, actor);
  const auto* refusal = std::get_if<Refusal>(&answer);
  return refusal ? refusal->field + ": " + refusal->problem + "; " + refusal->remedy + (refusal->impossible ? " (impossible)" : "") : "accepted";
}

TEST(Accept, FillsInWhatWasLeftOut) {
  const JobSpec spec = accepted(request({.gpus = 16}));
  EXPECT_EQ(spec.name, "python3");
  EXPECT_EQ(spec.partition, "main");
  EXPECT_EQ(spec.account, "vision");  // the first that lists her by name, not the one open to all
  EXPECT_EQ(spec.qos, "normal");
  EXPECT_EQ(spec.time_limit_ms, hours(1));
  EXPECT_EQ(spec.stop_grace_ms, seconds(30));
}

TEST(Accept, TheDefaultTimeIsCutToTheMaximum) {
  JobSpec spec = request({.gpus = 1});
  spec.partition = "debug";
  EXPECT_EQ(accepted(spec).time_limit_ms, minutes(30));
}

TEST(Accept, WhoIsNotListedByNameUsesTheAccountThatIsOpenToAll) {
  EXPECT_EQ(accepted(request({.gpus = 1}), {.uid = 7, .name = "carl"}).account, "everybody");
}

TEST(Accept, WhatWasSaidIsKept) {
  JobSpec spec = request({.nodes = 2, .gpus_per_node = 4});
  spec.name = "a name with spaces, ünïcode";
  spec.account = "everybody";
  spec.qos = "urgent";
  spec.time_limit_ms = hours(24);
  spec.stop_grace_ms = seconds(0);
  JobSpec expected = spec;
  expected.partition = "main";
  EXPECT_EQ(accepted(spec), expected);
}

TEST(Accept, ResourcesThatAreRefused) {
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  const std::pair<Resources, const char*> table[] = {
      {{.gpus = 65}, "resources.gpus: 65 GPUs asked, partition main has 64; ask for at most 64 (impossible)"},
      {{.nodes = 1, .gpus_per_node = 9}, "resources.gpus_per_node: 9 GPUs per node asked, the largest node of partition main has 8; ask for at most 8 per node (impossible)"},
      {{.nodes = 9, .gpus_per_node = 1}, "resources.nodes: 9 nodes of 1 GPU asked, partition main has 8; ask for at most 8 nodes (impossible)"},
      {{}, "resources.gpus: 0 GPUs asked; ask for at least 1"},
      {{.gpus = -1}, "resources.gpus: -1 is negative; ask for at least 1"},
      {{.gpus = 1, .nodes = -1}, "resources.nodes: -1 is negative; ask for at least 1"},
      {{.nodes = 1, .gpus_per_node = -8}, "resources.gpus_per_node: -8 is negative; ask for at least 1"},
      {{.gpus = 8, .nodes = 1}, "resources.gpus: a total and a shape (nodes, gpus_per_node) can't both be given; give gpus alone, or nodes and gpus_per_node"},
      {{.gpus = 8, .gpus_per_node = 8}, "resources.gpus: a total and a shape (nodes, gpus_per_node) can't both be given; give gpus alone, or nodes and gpus_per_node"},
      {{.nodes = 2}, "resources.gpus_per_node: nodes without gpus_per_node; say how many GPUs of each node"},
      {{.gpus_per_node = 2}, "resources.nodes: gpus_per_node without nodes; say how many nodes"},
      {{.gpus = huge}, "resources.gpus: 9223372036854775807 is absurd; ask for at most 1000000"},
      {{.nodes = huge, .gpus_per_node = huge}, "resources.nodes: 9223372036854775807 is absurd; ask for at most 1000000"},
      {{.gpus = std::numeric_limits<std::int64_t>::min()}, "resources.gpus: -9223372036854775808 is negative; ask for at least 1"},
  };
  for (const auto& [resources, words] : table) EXPECT_EQ(refused(request(resources)), words);
}

TEST(Accept, ShapesThatNodesOfDifferentSizesCannotHold) {
  // 8 + 4 + 4 GPUs: 16 would need two whole nodes of 8.
  ClusterConfig cluster = cluster_of(3, 4);
  cluster.nodes[0].gpus = 8;
  EXPECT_EQ(refused(request({.gpus = 16}), ada, cluster),
            "resources.gpus: 16 GPUs asked as whole nodes of 8, partition main has too few of them; ask for at most 12, or give nodes and gpus_per_node (impossible)");
  EXPECT_EQ(refused(request({.gpus = 12}), ada, cluster), "accepted");
  EXPECT_EQ(refused(request({.nodes = 3, .gpus_per_node = 4}), ada, cluster), "accepted");
  EXPECT_EQ(refused(request({.nodes = 2, .gpus_per_node = 5}), ada, cluster),
            "resources.nodes: 2 nodes of 5 GPUs asked, partition main has 1; ask for at most 1 node (impossible)");
}

TEST(Accept, FieldsThatAreRefused) {
  const auto with = [](auto change) {
    JobSpec spec = request({.gpus = 1});
    change(spec);
    return refused(spec);
  };
  EXPECT_EQ(with([](JobSpec& s) { s.command = {}; }), "command: no command; give the program to run after --");
  EXPECT_EQ(with([](JobSpec& s) { s.command = {""}; }), "command: no command; give the program to run after --");
  EXPECT_EQ(with([](JobSpec& s) { s.command.push_back(std::string("a\0b", 3)); }), "command: an argument has a zero byte in it; take it out");
  EXPECT_EQ(with([](JobSpec& s) { s.working_directory = ""; }), "working_directory: \"\" is not an absolute path; give a path that starts with /");
  EXPECT_EQ(with([](JobSpec& s) { s.working_directory = "runs"; }), "working_directory: \"runs\" is not an absolute path; give a path that starts with /");
  EXPECT_EQ(with([](JobSpec& s) { s.name = std::string(201, 'x'); }), "name: it has 201 bytes; use at most 200");
  EXPECT_EQ(with([](JobSpec& s) { s.name = "a\nb"; }), "name: it has control characters in it; use printable characters");
  EXPECT_EQ(with([](JobSpec& s) { s.partition = "mian"; }), "partition: no partition \"mian\"; use one of: main, debug");
  EXPECT_EQ(with([](JobSpec& s) { s.partition = "debg"; }), "partition: no partition \"debg\"; did you mean debug?");
  EXPECT_EQ(with([](JobSpec& s) { s.partition = "\x1b[31m"; }), "partition: no partition \"?[31m\"; use one of: main, debug");
  EXPECT_EQ(with([](JobSpec& s) { s.account = "vison"; }), "account: no account \"vison\"; did you mean vision?");
  EXPECT_EQ(with([](JobSpec& s) { s.account = "speech"; }),
            "account: \"ada\" is not a member of speech; use your account vision, or ask the admin to add you");
  EXPECT_EQ(with([](JobSpec& s) { s.account = "everybody", s.partition = "debug"; }),
            "account: partition debug is not open to account everybody; use another partition, or one of its accounts: vision, speech");
  EXPECT_EQ(with([](JobSpec& s) { s.qos = "urgnet"; }), "qos: no QOS \"urgnet\"; did you mean urgent?");
  EXPECT_EQ(with([](JobSpec& s) { s.time_limit_ms = hours(25); }), "time_limit_ms: 25h asked, partition main allows 1d; ask for at most 1d");
  EXPECT_EQ(with([](JobSpec& s) { s.time_limit_ms = {std::numeric_limits<std::int64_t>::max()}; }),
            "time_limit_ms: 9223372036854775807ms asked, partition main allows 1d; ask for at most 1d");
  EXPECT_EQ(with([](JobSpec& s) { s.time_limit_ms = seconds(-5); }), "time_limit_ms: -5s is not a length of time; ask for at least 1s");
  EXPECT_EQ(with([](JobSpec& s) { s.stop_grace_ms = hours(25); }), "stop_grace_ms: 25h is out of range; use 0s to 1d");
  EXPECT_EQ(with([](JobSpec& s) { s.stop_grace_ms = {-1}; }), "stop_grace_ms: -1ms is out of range; use 0s to 1d");
}

TEST(Accept, NobodysAccount) {
  // A group can't be looked up here: who is only in a group is not a member.
  ClusterConfig cluster = lab();
  cluster.accounts = {{.name = "vision", .members = {"@everyone", "bob"}}};
  EXPECT_EQ(refused(request({.gpus = 1}), ada, cluster), "account: no account has \"ada\" as a member; ask the cluster's admin to add you to one");
  JobSpec spec = request({.gpus = 1});
  spec.account = "vision";
  EXPECT_EQ(refused(spec, ada, cluster), "account: \"ada\" is not a member of vision; ask the cluster's admin to add you");
}

TEST(Accept, ALimitWithoutBoundIsBoundedAllTheSame) {
  // Sums of times must not overflow, whatever the cluster file says.
  ClusterConfig cluster = lab();
  cluster.partitions[0].max_time_ms = {std::numeric_limits<std::int64_t>::max()};
  JobSpec spec = request({.gpus = 1});
  spec.time_limit_ms = hours(24 * 3651);
  EXPECT_EQ(refused(spec, ada, cluster), "time_limit_ms: 3651d asked, partition main allows 3650d; ask for at most 3650d");
}

TEST(Accept, TheNameOfTheProgramIsMadePrintable) {
  JobSpec spec = request({.gpus = 1});
  spec.command = {"./a\tb" + std::string(300, 'x')};
  EXPECT_EQ(accepted(spec).name, "a?b" + std::string(197, 'x'));
  spec.command = {"/bin/"};
  EXPECT_EQ(accepted(spec).name, "job");
}

TEST(Accept, WhatIsAcceptedCanBePlanned) {
  // Whatever passes gets a planned start on an empty cluster; whatever is called impossible could never have one.
  Random random(4);
  int impossible = 0;
  for (int i = 0; i < 300; ++i) {
    ClusterConfig cluster = cluster_of(random.between(1, 5), 1);
    for (NodeConfig& node : cluster.nodes) node.gpus = random.between(1, 8);
    Driver driver(cluster);
    Resources resources{.gpus = random.between(1, 40)};
    if (random.chance(500)) resources = {.nodes = random.between(1, 6), .gpus_per_node = random.between(1, 9)};
    const auto answer = driver.scheduler.accept(request(resources), ada);
    const JobId job = driver.submit(spec_of(resources, hours(1)));
    if (const auto* refusal = std::get_if<Refusal>(&answer)) {
      ++impossible;
      EXPECT_TRUE(refusal->impossible);
      EXPECT_EQ(driver.planned(job).reason.code, ReasonCode::never_fits);
    } else {
      EXPECT_EQ(driver.start_in_ms(job), 0);
    }
  }
  EXPECT_GT(impossible, 30);
}

}  // namespace
}  // namespace ultramarine::core
