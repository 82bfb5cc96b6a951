// Changing a cluster file keeps all that people wrote in it.
#include "scheduler/cli/cluster_text.h"

#include <gtest/gtest.h>

#include "scheduler/cli/command_error.h"
#include "scheduler/protocol/config.h"

namespace ultramarine::cli {
namespace {

protocol::ClusterFile parsed(const std::string& text) {
  return protocol::parse_cluster_file(text, "/tmp/cluster.toml");
}
std::string changed(const std::string& text, const ClusterChanges& changes) {
  return changed_cluster_text(text, changes, "/tmp/cluster.toml");
}
const std::string& original() {
  static const std::string text(protocol::local_cluster_text());
  return text;
}

TEST(ClusterText, NoChangeIsNoChange) { EXPECT_EQ(changed(original(), {}), original()); }

TEST(ClusterText, TheWholeShapeCanBeChosen) {
  ClusterChanges changes;
  changes.nodes = 2;
  changes.gpus_per_node = 4;
  changes.http = "127.0.0.1:9001";
  changes.agents = "127.0.0.1:9002";
  changes.policy = "fifo";
  const std::string text = changed(original(), changes);
  const protocol::ClusterFile file = parsed(text);
  ASSERT_EQ(file.cluster.nodes.size(), 2U);
  EXPECT_EQ(file.cluster.nodes[1].name, "node02");
  EXPECT_EQ(file.cluster.nodes[0].gpus, 4);
  EXPECT_TRUE(file.cluster.nodes[0].virtual_devices);
  EXPECT_EQ(file.cluster.partitions.front().nodes, (std::vector<std::string>{"node01", "node02"}));
  EXPECT_EQ(file.scheduler.http, "127.0.0.1:9001");
  EXPECT_EQ(file.scheduler.agents, "127.0.0.1:9002");
  EXPECT_EQ(file.scheduler.policy, "fifo");
  EXPECT_NE(text.find("# where agents connect"), std::string::npos);  // comments stay
  changes.nodes = 1;
  EXPECT_EQ(parsed(changed(text, changes)).cluster.nodes.size(), 1U);
  changes.nodes = 100;
  EXPECT_EQ(parsed(changed(text, changes)).cluster.nodes.back().name, "node100");
}

TEST(ClusterText, WhatPeopleAddedStays) {
  const std::string mine = original() + "\n[[account]]\nname = \"vision\"\n";
  ClusterChanges changes;
  changes.http = "127.0.0.1:1234";
  const protocol::ClusterFile file = parsed(changed(mine, changes));
  EXPECT_EQ(file.cluster.accounts.back().name, "vision");
  EXPECT_EQ(file.scheduler.http, "127.0.0.1:1234");
}

TEST(ClusterText, AMissingSectionIsAdded) {
  ClusterChanges changes;
  changes.http = "127.0.0.1:1234";
  EXPECT_EQ(parsed(changed("[[node]]\nname = \"a\"\ngpus = 1\n", changes)).scheduler.http, "127.0.0.1:1234");
}

TEST(ClusterText, SeveralNodeTablesAreLeftToPeople) {
  ClusterChanges changes;
  changes.nodes = 2;
  try {
    changed("[[node]]\nname = \"a\"\ngpus = 1\n[[node]]\nname = \"b\"\ngpus = 1\n", changes);
    FAIL();
  } catch (const CommandError& error) {
    EXPECT_EQ(error.code, exit_code::conflict);
    EXPECT_STREQ(
        error.what(),
        "--nodes: /tmp/cluster.toml has 2 [[node]] tables; edit /tmp/cluster.toml by hand, or remove it to begin anew");
  }
}

TEST(ClusterText, HostlistsPadToTwoDigitsOrMore) {
  EXPECT_EQ(node_hostlist(1), "node01");
  EXPECT_EQ(node_hostlist(8), "node[01-08]");
  EXPECT_EQ(node_hostlist(100), "node[001-100]");
}

}  // namespace
}  // namespace ultramarine::cli
