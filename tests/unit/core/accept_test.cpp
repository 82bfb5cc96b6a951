// Requests: what is filled in, and what is refused with which words.
#include <gtest/gtest.h>

#include <limits>

#include "scheduler/core/accept.h"
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
  return std::get<Accepted>(answer).spec;
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
  EXPECT_EQ(with([](JobSpec& s) { s.partition = "mian"; }), "partition: no partition \"mian\"; did you mean main?");
  EXPECT_EQ(with([](JobSpec& s) { s.partition = "gpu"; }), "partition: no partition \"gpu\"; use one of: main, debug");
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
  spec.command = {"./" + std::string(199, 'x') + "한글"};
  EXPECT_EQ(accepted(spec).name, std::string(199, 'x')) << "cut between characters";
  spec.command = {"/bin/"};
  EXPECT_EQ(accepted(spec).name, "job");
}

TEST(Accept, WhatIsAcceptedCanBePlanned) {
  // Whatever passes gets a planned start on an empty cluster; whatever is called impossible could never have one.
  Random random(4);
  int impossible = 0;
  for (int i = 0; i < 1000; ++i) {
    ClusterConfig cluster = cluster_of(random.between(1, 5), 1);
    for (NodeConfig& node : cluster.nodes) {
      node.gpus = random.between(1, 8);
      node.gpu_type = random.chance(500) ? "A100" : "H100";
      if (random.chance(700)) node.features = {"nvlink"};
      if (random.chance(700)) node.cpus = random.between(1, 64);
      if (random.chance(300)) node.memory_bytes = random.between(1, 64);
    }
    cluster.nodes[0].features = {"nvlink"};  // so that the name is known
    cluster.nodes[0].gpu_type = "A100";
    Driver driver(cluster);
    Resources resources{.gpus = random.between(1, 40)};
    if (random.chance(500)) resources = {.nodes = random.between(1, 6), .gpus_per_node = random.between(1, 9)};
    JobSpec asked = request(resources);
    if (random.chance(300)) asked.gpu_type = "A100";
    if (random.chance(300)) asked.features = {"nvlink"};
    if (random.chance(300)) asked.cpus_per_gpu = random.between(1, 8);
    if (random.chance(300)) asked.memory_per_gpu_bytes = random.between(1, 8);
    if (random.chance(200)) asked.only_nodes = {"node1"};
    if (random.chance(200)) asked.without_nodes = {"node1"};
    asked.exclusive = random.chance(200);
    const auto answer = driver.scheduler.accept(asked, ada);
    JobSpec spec = asked;
    spec.account = "default", spec.partition = "main", spec.qos = "normal", spec.time_limit_ms = hours(1);
    const JobId job = driver.submit(spec);
    if (const auto* refusal = std::get_if<Refusal>(&answer)) {
      ++impossible;
      EXPECT_TRUE(refusal->impossible);
      EXPECT_EQ(driver.planned(job).reason.code, ReasonCode::never_fits);
    } else {
      EXPECT_EQ(driver.start_in_ms(job), 0);
    }
  }
  EXPECT_GT(impossible, 100);
  EXPECT_LT(impossible, 900);
}

ClusterConfig mapped_lab() {
  ClusterConfig cluster = lab();
  for (NodeConfig& node : cluster.nodes) node.gpu_type = "H100";
  cluster.nodes[0].gpu_type = "A100";
  cluster.partitions.push_back({.name = "hopper", .nodes = {"node2", "node3"}});
  cluster.names.partitions = {{"gpu", "main"}};
  cluster.names.accounts = {{"*", "everybody"}};
  cluster.names.gpu_types = {{"V100", "A100"}};
  return cluster;
}

/// What was accepted, with its warnings.
Accepted accepted_by(const ClusterConfig& cluster, const JobSpec& spec) {
  const auto answer = Driver(cluster).scheduler.accept(spec, ada);
  if (const auto* refusal = std::get_if<Refusal>(&answer)) ADD_FAILURE() << "refused: " << refusal->field << ": " << refusal->problem;
  const auto* taken = std::get_if<Accepted>(&answer);
  return taken ? *taken : Accepted{};
}

using Warnings = std::vector<std::string>;

TEST(AcceptNames, MapsNamesOfOtherSitesAndSaysSo) {
  JobSpec spec = request({.gpus = 1});
  spec.partition = "GPU";
  spec.account = "grant-77";
  spec.qos = "Urgent";
  const Accepted taken = accepted_by(mapped_lab(), spec);
  EXPECT_EQ(taken.spec.partition, "main");
  EXPECT_EQ(taken.spec.account, "everybody");
  EXPECT_EQ(taken.spec.qos, "urgent") << "our own name in other letters";
  EXPECT_EQ(taken.warnings, (Warnings{"partition \"GPU\" is called \"main\" here", "account \"grant-77\" is not known here: \"everybody\" is used instead"}));
}

TEST(AcceptNames, StrictNamesMapsNothing) {
  JobSpec spec = request({.gpus = 1});
  spec.strict_names = true;
  spec.partition = "gpu";
  EXPECT_EQ(refused(spec, ada, mapped_lab()), "partition: no partition \"gpu\"; use one of: main, debug, hopper");
  spec.partition = "main";
  EXPECT_EQ(accepted_by(mapped_lab(), spec).warnings, Warnings{});
}

TEST(AcceptNames, ATypeOfGpuIsKnownMappedOrRefused) {
  JobSpec spec = request({.gpus = 1});
  spec.partition = "hopper";
  spec.gpu_type = "h100";
  EXPECT_EQ(accepted_by(mapped_lab(), spec).spec.gpu_type, "H100");
  EXPECT_EQ(accepted_by(mapped_lab(), spec).warnings, Warnings{});
  spec.gpu_type = "v100";
  EXPECT_EQ(refused(spec, ada, mapped_lab()),
            "gpu_type: partition hopper has no GPUs of type A100; use another partition, or a type that it has: H100 (impossible)");
  spec.gpu_type = "mi300";
  EXPECT_EQ(refused(spec, ada, mapped_lab()), "gpu_type: no GPUs of type \"mi300\"; use one of: A100, H100");
  spec.partition = "main";
  spec.gpu_type = "H100";
  EXPECT_EQ(accepted_by(mapped_lab(), spec).warnings, Warnings{});
  spec.resources = {.gpus = 57};
  EXPECT_EQ(refused(spec, ada, mapped_lab()),
            "resources.gpus: 57 GPUs asked, partition main has 56 that it may use (GPUs of type H100); ask for at most 56 (impossible)");
  spec.gpu_type = "*";
  EXPECT_EQ(accepted_by(mapped_lab(), spec).spec.gpu_type, "") << "any type";
}

/// node1 to node4: 8 GPUs, 64 CPUs, 512 GiB; of these node1 and node2 A100 with nvlink, node3 and node4 H100 with nvlink and infiniband.
/// node5: 4 A100 of which nothing else is known.
ClusterConfig mixed_lab() {
  ClusterConfig cluster = cluster_of(5, 8);
  for (std::size_t i = 0; i < 4; ++i) {
    NodeConfig& node = cluster.nodes[i];
    node.gpu_type = i < 2 ? "A100" : "H100";
    node.cpus = 64;
    node.memory_bytes = std::int64_t{512} << 30;
    node.features = {"nvlink"};
    if (i >= 2) node.features.push_back("infiniband");
  }
  cluster.nodes[4].gpus = 4;
  cluster.nodes[4].gpu_type = "A100";
  cluster.partitions.push_back({.name = "hopper", .nodes = {"node3", "node4"}});
  return cluster;
}

template <class Change>
std::string refused_of_mixed(Resources resources, Change change) {
  JobSpec spec = request(resources);
  change(spec);
  return refused(spec, ada, mixed_lab());
}

TEST(AcceptNodes, WhatOneWishLeavesTooLittleOf) {
  EXPECT_EQ(refused_of_mixed({.gpus = 21}, [](JobSpec& s) { s.gpu_type = "A100"; }),
            "resources.gpus: 21 GPUs asked, partition main has 20 that it may use (GPUs of type A100); ask for at most 20 (impossible)");
  EXPECT_EQ(refused_of_mixed({.nodes = 3, .gpus_per_node = 8}, [](JobSpec& s) { s.features = {"infiniband"}; }),
            "resources.nodes: 3 nodes of 8 GPUs asked, partition main has 2 that it may use (feature infiniband); ask for at most 2 nodes (impossible)");
  EXPECT_EQ(refused_of_mixed({.nodes = 1, .gpus_per_node = 8}, [](JobSpec& s) { s.only_nodes = {"node5"}; }),
            "resources.gpus_per_node: 8 GPUs per node asked, the largest node of partition main that it may use (only node5) has 4; "
            "ask for at most 4 per node (impossible)");
  EXPECT_EQ(refused_of_mixed({.nodes = 2, .gpus_per_node = 8},
                             [](JobSpec& s) {
                               s.features = {"infiniband"};
                               s.without_nodes = {"node4"};
                             }),
            "resources.nodes: 2 nodes of 8 GPUs asked, partition main has 1 that it may use (feature infiniband, without node4); ask for at most 1 node (impossible)");
}

TEST(AcceptNodes, WishesThatNoNodeMeets) {
  EXPECT_EQ(refused_of_mixed({.gpus = 1},
                             [](JobSpec& s) {
                               s.gpu_type = "A100";
                               s.features = {"nvlink", "infiniband"};
                             }),
            "features: no node of partition main has GPUs of type A100 and features infiniband and nvlink; leave one out; "
            "`ultra nodes --wide` shows what each node has (impossible)");
  EXPECT_EQ(refused_of_mixed({.gpus = 1},
                             [](JobSpec& s) {
                               s.gpu_type = "H100";
                               s.only_nodes = {"node1", "node5"};
                             }),
            "only_nodes: none of the 2 nodes named has GPUs of type H100; name others; `ultra nodes --wide` shows what each node has (impossible)");
  EXPECT_EQ(refused_of_mixed({.gpus = 1},
                             [](JobSpec& s) {
                               s.only_nodes = {"node1"};
                               s.without_nodes = {"node1"};
                             }),
            "without_nodes: every node that it could use is excluded; exclude fewer (impossible)");
}

TEST(AcceptNodes, NamesThatAreNotKnown) {
  EXPECT_EQ(refused_of_mixed({.gpus = 1}, [](JobSpec& s) { s.features = {"nvlnk"}; }), "features[0]: no node has feature \"nvlnk\"; did you mean nvlink?");
  EXPECT_EQ(refused_of_mixed({.gpus = 1}, [](JobSpec& s) { s.only_nodes = {"node1", "nod2"}; }), "only_nodes[1]: no node \"nod2\"; did you mean node2?");
  EXPECT_EQ(refused_of_mixed({.gpus = 1}, [](JobSpec& s) { s.without_nodes = {"gpu-17"}; }),
            "without_nodes[0]: no node \"gpu-17\"; use one of: node1, node2, node3, node4, node5");
  EXPECT_EQ(refused_of_mixed({.gpus = 1},
                             [](JobSpec& s) {
                               s.partition = "hopper";
                               s.only_nodes = {"node1"};
                             }),
            "only_nodes[0]: node1 is not in partition hopper; leave it out, or use another partition (impossible)");
}

TEST(AcceptNodes, CpusAndMemoryThatNoNodeHas) {
  const auto cpus = [](std::int64_t each) { return [each](JobSpec& s) { s.cpus_per_gpu = each; }; };
  // node5 says nothing of its CPUs, so only its 4 GPUs bound it.
  EXPECT_EQ(refused_of_mixed({.nodes = 1, .gpus_per_node = 4}, cpus(1000)), "accepted");
  EXPECT_EQ(refused_of_mixed({.nodes = 1, .gpus_per_node = 8}, cpus(8)), "accepted");
  EXPECT_EQ(refused_of_mixed({.nodes = 1, .gpus_per_node = 8}, cpus(9)),
            "cpus_per_gpu: 9 CPUs for each of 8 GPUs asked, partition main has no nodes with so much; ask for at most 8 CPUs per GPU (impossible)");
  EXPECT_EQ(refused_of_mixed({.gpus = 1},
                             [](JobSpec& s) {
                               s.gpu_type = "H100";
                               s.memory_per_gpu_bytes = std::int64_t{600} << 30;
                             }),
            "memory_per_gpu_bytes: 600 GiB of memory for each of 1 GPU asked, partition main has no nodes with so much that it may use (GPUs of type H100); "
            "ask for at most 512 GiB of memory per GPU (impossible)");
  EXPECT_EQ(refused_of_mixed({.gpus = 1}, cpus(-1)), "cpus_per_gpu: -1 is negative; ask for at least 1, or leave it out");
}

TEST(AcceptNodes, AFeatureThatIsAGpuTypeHereIsOne) {
  JobSpec spec = request({.gpus = 1});
  spec.features = {"a100", "nvlink"};
  const Accepted taken = accepted_by(mixed_lab(), spec);
  EXPECT_EQ(taken.spec.gpu_type, "A100");
  EXPECT_EQ(taken.spec.features, std::vector<std::string>{"nvlink"});
  EXPECT_EQ(taken.warnings, Warnings{"feature \"a100\" is a GPU type here: A100"});
  spec.gpu_type = "H100";
  EXPECT_EQ(refused(spec, ada, mixed_lab()), "features[0]: no node has feature \"a100\"; use one of: infiniband, nvlink") << "two types at once";
  spec.gpu_type = "", spec.strict_names = true;
  EXPECT_EQ(refused(spec, ada, mixed_lab()), "features[0]: no node has feature \"a100\"; use one of: infiniband, nvlink");
}

TEST(AcceptNodes, ListsAreSortedAndNamesOfOtherSitesLeftOutOrReplaced) {
  ClusterConfig cluster = mixed_lab();
  cluster.names.features = {{"ib", "infiniband"}, {"*", ""}};
  cluster.names.nodes = {{"*", ""}};
  JobSpec spec = request({.gpus = 1});
  spec.features = {"nvlink", "v100", "IB", "nvlink"};
  spec.only_nodes = {"node4", "gpu-17", "node3"};
  const Accepted taken = accepted_by(cluster, spec);
  EXPECT_EQ(taken.spec.features, (std::vector<std::string>{"infiniband", "nvlink"}));
  EXPECT_EQ(taken.spec.only_nodes, (std::vector<std::string>{"node3", "node4"}));
  EXPECT_EQ(taken.warnings, (Warnings{"feature \"v100\" is not known here: it is left out", "feature \"IB\" is called \"infiniband\" here",
                                      "node \"gpu-17\" is not known here: it is left out"}));
}

TEST(AcceptScript, StartsWithItsInterpreterAndIsText) {
  JobSpec spec = request({.gpus = 1});
  spec.script = Script{"#!/bin/bash\necho\n"};
  EXPECT_EQ(accepted(spec).script, spec.script);
  spec.script->text = "echo\n";
  EXPECT_EQ(refused(spec), "script.text: it does not start with #!; name its interpreter in the first line, for example #!/bin/bash");
  spec.script->text = std::string("#!/bin/sh\n\0x", 12);
  EXPECT_NE(refused(spec).find("zero byte"), std::string::npos);
  spec.script->text = "#!/bin/bash\r\necho\r\n";
  EXPECT_NE(refused(spec).find("sed -i"), std::string::npos);
}

TEST(AcceptValues, OutOfRangeAreRefusedByName) {
  const auto with = [](auto change) {
    JobSpec spec = request({.gpus = 1});
    change(spec);
    return refused(spec).substr(0, refused(spec).find(':'));
  };
  EXPECT_EQ(with([](JobSpec& spec) { spec.ranks = -1; }), "ranks");
  EXPECT_EQ(with([](JobSpec& spec) { spec.ranks_per_node = 2'000'000; }), "ranks_per_node");
  EXPECT_EQ(with([](JobSpec& spec) { spec.cpus_per_rank = -4; }), "cpus_per_rank");
  EXPECT_EQ(with([](JobSpec& spec) { spec.output = "logs/"; }), "output");
  EXPECT_EQ(with([](JobSpec& spec) { spec.error = "a\nb"; }), "error");
  EXPECT_EQ(with([](JobSpec& spec) { spec.output = std::string(5000, 'x'); }), "output");
  EXPECT_EQ(with([](JobSpec& spec) { spec.log_bytes_max = -1; }), "log_bytes_max");
  EXPECT_EQ(with([](JobSpec& spec) { spec.warning = WarningSignal{.signal = 65}; }), "warning.signal");
  EXPECT_EQ(with([](JobSpec& spec) { spec.warning = WarningSignal{.signal = 10, .before_ms = {-1}}; }), "warning.before_ms");
  EXPECT_EQ(with([](JobSpec& spec) { spec.dependencies = {{JobId{7}}}; }), "dependencies[0].job");
  EXPECT_EQ(with([](JobSpec& spec) { spec.ranks = 3, spec.output = "logs/%j.out", spec.warning = WarningSignal{.signal = 10}; }), "accepted");
}

TEST(AcceptValues, WarnsOfWhatCantBeMeant) {
  JobSpec spec = request({.nodes = 4, .gpus_per_node = 8});
  spec.ranks = 2;
  spec.time_limit_ms = seconds(30);
  spec.warning = WarningSignal{.signal = 10};
  EXPECT_EQ(accepted_by(lab(), spec).warnings, (Warnings{"2 ranks on 4 nodes: 2 of them will have nothing to do",
                                                        "the warning signal comes at once: 1m before the end of 30s"}));
  Driver driver(lab());
  spec = request({.gpus = 1});
  spec.account = "vision", spec.partition = "main";
  const JobId other = driver.submit(spec);
  driver.apply(JobCancelled{other, ada});
  spec.dependencies = {{other, DependencyCondition::ok}};
  EXPECT_EQ(std::get<Accepted>(driver.scheduler.accept(spec, ada)).warnings,
            Warnings{"job 1 has ended otherwise than this job asks for: it will never start"});
}

TEST(AcceptTimes, NoLimitIsTheLongestThatThePartitionAllows) {
  Driver driver(lab());
  JobSpec spec = request({.gpus = 1});
  spec.time_limit_ms = longest_time_limit;
  const auto accepted = std::get<Accepted>(driver.scheduler.accept(spec, ada)).spec;
  EXPECT_EQ(accepted.time_limit_ms, lab().partitions.front().max_time_ms);
  spec.time_limit_ms = {-2};
  EXPECT_EQ(std::get<Refusal>(driver.scheduler.accept(spec, ada)).field, "time_limit_ms");
}

TEST(AcceptArray, IndicesAscendAndAreNotTooMany) {
  const auto problem = [](std::vector<std::int64_t> indices, std::int64_t limit = 0) {
    const auto refusal = refused_array(indices, limit);
    return refusal ? refusal->field + ": " + refusal->problem : "fine";
  };
  EXPECT_EQ(problem({}), "fine");
  EXPECT_EQ(problem({0, 2, 5}, 4), "fine");
  EXPECT_EQ(problem({}, 4), "array_limit: a limit without an array");
  EXPECT_EQ(problem({1}, -4), "array_limit: -4 is negative");
  EXPECT_EQ(problem({1, 1}), "array_indices: they do not ascend at 1");
  EXPECT_EQ(problem({-1, 1}), "array_indices: -1 is out of range");
  std::vector<std::int64_t> many(10'001);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<std::int64_t>(i);
  EXPECT_EQ(problem(many), "array_indices: 10001 elements");
}

TEST(AcceptGang, ItsCommandIsCheckedAndItsFolderMayBeTheJobs) {
  Job job;
  job.spec.ranks_per_node = 2;
  job.attempts.push_back({.allocation = {{"n1", {0, 1}}, {"n2", {0, 1}}}});
  const auto field = [&](GangSpec spec) {
    const auto answer = accept_gang(std::move(spec), job);
    const auto* refusal = std::get_if<Refusal>(&answer);
    return refusal ? refusal->field : "accepted";
  };
  EXPECT_EQ(field({.command = {"x"}}), "accepted");
  EXPECT_EQ(field({.command = {}}), "command");
  EXPECT_EQ(field({.command = {"x"}, .working_directory = "here"}), "working_directory");
  EXPECT_EQ(field({.command = {"x"}, .ranks = -2}), "ranks");
  EXPECT_EQ(field({.command = {"x"}, .cpus_per_rank = -2}), "cpus_per_rank");
  EXPECT_EQ(field({.command = {"x"}, .only_nodes = {"n2"}, .nodes = 1}), "accepted");
  EXPECT_EQ(field({.command = {"x"}, .only_nodes = {"n3"}}), "only_nodes");
  EXPECT_EQ(field({.command = {"x"}, .nodes = 3}), "nodes");
  EXPECT_EQ(field({.command = {"x"}, .terminal = TerminalSize{}}), "terminal") << "a terminal has one reader";
  EXPECT_EQ(field({.command = {"x"}, .ranks = 1, .terminal = TerminalSize{.rows = -1}}), "terminal.rows");
  EXPECT_EQ(field({.command = {"x"}, .beside_rank = 4}), "beside_rank");
  const auto beside = std::get<GangSpec>(accept_gang({.command = {"x"}, .ranks = 7, .beside_rank = 3}, job));
  EXPECT_EQ(beside.only_nodes, (std::vector<std::string>{"n2"}));
  EXPECT_EQ(beside.ranks, 1);
}

}  // namespace
}  // namespace ultramarine::core
