// MPI ranks as plain children of our shims, over several virtual nodes of one machine: PMIx, its fences and requests across shims.
#include <iostream>

#include "tests/integration/launcher/node_fixture.h"

namespace ultramarine::launcher {
namespace {

using testing::HasSubstr;

class MpiGangs : public VirtualNodes {
 protected:
  protocol::LaunchSpec mpi_launch(std::vector<std::string> command, const std::vector<std::string>& names, int ranks) {
    protocol::LaunchSpec launch = launch_of(std::move(command), names, ranks);
    launch.spec.mpi = MpiMode::automatic;
    return launch;
  }
  void expect_success(const protocol::LaunchSpec& launch) {
    std::size_t ended = 0;
    for (const NodeAllocation& part : launch.allocation) {
      const GangReport report = nodes.at(part.node).last();
      EXPECT_EQ(report.outcome, Outcome::succeeded) << part.node << ": " << (report.failure ? report.failure->detail : "") << "\n"
                                                    << (report.failure ? testing::PrintToString(report.failure->last_lines) : "");
      ended += report.ranks.size();
      for (const RankResult& rank : report.ranks) {
        if (HasFailure()) std::cerr << "rank " << rank.rank << ": " << output(part.node, rank.rank, "err");
      }
    }
    EXPECT_EQ(ended, launch.allocation.size() * launch.allocation.front().devices.size());
  }
};

TEST_F(MpiGangs, ACProgramReducesOverTwoNodes) {
  const auto launch = mpi_launch({mpi_rank, "reduce"}, {"a", "b"}, 4);
  run(launch);
  expect_success(launch);
  for (int rank = 0; rank < 8; ++rank) {
    EXPECT_EQ(output(rank < 4 ? "a" : "b", rank), "rank " + std::to_string(rank) + " of 8 wrong 0 half 4\n");
    EXPECT_EQ(output(rank < 4 ? "a" : "b", rank, "err"), "");
  }
}

TEST_F(MpiGangs, FencesOfSubsetsAndRequestsCrossThreeNodes) {
  const auto launch = mpi_launch({pmix_rank}, {"a", "b", "c"}, 2);
  run(launch);
  expect_success(launch);
  EXPECT_EQ(output("c", 5), "rank 5 of 6 done\n");
}

TEST_F(MpiGangs, SixtyFourRanksOnEightVirtualNodes) {
  const auto launch = mpi_launch({mpi_rank, "reduce"}, {"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"}, 8);
  run(launch);
  expect_success(launch);
  EXPECT_EQ(output("n8", 63), "rank 63 of 64 wrong 0 half 32\n");
}

TEST_F(MpiGangs, PythonProgramsReduceToo) {
  const auto launch = mpi_launch({"python3", "-c",
                                  "from mpi4py import MPI; c = MPI.COMM_WORLD\n"
                                  "print(c.Get_rank(), c.Get_size(), c.allreduce(c.Get_rank() + 1))"},
                                 {"a", "b"}, 2);
  run(launch);
  expect_success(launch);
  EXPECT_EQ(output("b", 3), "3 4 10\n");
}

TEST_F(MpiGangs, TheRankThatAbortsIsNamed) {
  const auto launch = mpi_launch({mpi_rank, "abort", "3"}, {"a", "b"}, 2);
  run(launch);
  const GangReport report = nodes.at("b").last();
  EXPECT_EQ(report.outcome, Outcome::failed);
  ASSERT_TRUE(report.failure);
  EXPECT_EQ(report.failure->rank, 3);
  EXPECT_EQ(report.failure->node, "b");
  EXPECT_EQ(report.failure->exit_code, 42);
  EXPECT_THAT(report.failure->detail, HasSubstr("rank 3 on b called MPI_Abort with code 42"));
  EXPECT_THAT(report.failure->last_lines, testing::Contains("the loss is not a number"));
  EXPECT_EQ(report.ranks.at(1).exit_code, 42) << "it exits by itself";
  EXPECT_THAT(output("b", 3, "err"), HasSubstr("MPI_ABORT was invoked on rank 3")) << "what MPI says of it is kept";
}

TEST_F(MpiGangs, TheRankThatLeavesWithoutFinalizeIsNamedAndNobodyWaitsForIt) {
  run(mpi_launch({mpi_rank, "leave", "1"}, {"a", "b"}, 2));
  const GangReport report = nodes.at("a").last();
  EXPECT_EQ(report.outcome, Outcome::failed);
  ASSERT_TRUE(report.failure);
  EXPECT_EQ(report.failure->rank, 1);
  EXPECT_EQ(report.failure->detail, "rank 1 on a exited with code 0 without calling MPI_Finalize");
}

TEST_F(MpiGangs, TheRankThatLeavesWithoutFinalizeIsNamedAlsoWhenItWasAloneOnItsNode) {
  run(mpi_launch({mpi_rank, "leave", "1"}, {"a", "b"}, 1));
  const GangReport report = nodes.at("b").last();
  EXPECT_EQ(report.outcome, Outcome::failed);
  ASSERT_TRUE(report.failure);
  EXPECT_EQ(report.failure->rank, 1);
  EXPECT_EQ(report.ranks.size(), 1u);
}

TEST_F(MpiGangs, ASingleRankIsOfferedPmixOnlyWhenItAsks) {
  auto launch = shell("env | grep -c ^PMIX_ || true", {"a"}, 1);
  launch.spec.mpi = MpiMode::automatic;
  run(launch);
  EXPECT_EQ(output("a", 0), "0\n");
  key.gang = launch.key.gang = 2;
  launch.spec.mpi = MpiMode::pmix;
  launch.spec.command = {mpi_rank, "reduce"};
  nodes.clear();
  run(launch);
  expect_success(launch);
  EXPECT_EQ(output("a", 0), "rank 0 of 1 wrong 0 half 1\n");
}

TEST_F(MpiGangs, TheMiddleStaysForNodesThatStartLater) {
  // The ranks of the first node are done before the second node has heard of the start.
  const auto launch = mpi_launch({"true"}, {"a", "b"}, 1);
  prepare(launch);
  const protocol::Start message{.key = key, .peers = {nodes.at("a").last().peer, nodes.at("b").last().peer}};
  nodes.at("a").launcher->send(key, message);
  until_phase("a", GangPhase::finished);
  EXPECT_TRUE(runs(shim_pid("a")));
  nodes.at("b").launcher->send(key, message);
  until_phase("b", GangPhase::finished);
  expect_success(launch);
  const std::int64_t middle = shim_pid("a");
  until([&] { return !runs(middle); }, "the end of the middle");
}

TEST_F(MpiGangs, AShimWithAnotherSecretIsNotLetIn) {
  auto launch = mpi_launch({mpi_rank, "reduce"}, {"a", "b"}, 1);
  start_agent("a");
  start_agent("b");
  for (const char* name : {"a", "b"}) {
    launch.node = name;
    launch.gang_secret = std::string(32, *name);
    nodes.at(name).launcher->prepare(launch);
    until_phase(name, GangPhase::prepared);
  }
  start(launch);
  until_phase("b", GangPhase::finished);
  const GangReport report = nodes.at("b").last();
  EXPECT_EQ(report.outcome, Outcome::start_failed);
  EXPECT_THAT(report.failure.value().detail, HasSubstr("b can't reach the supervisor on a at 127.0.0.1:"));
  stop(launch, Duration{0});
  wait_finished(launch);
}

}  // namespace
}  // namespace ultramarine::launcher
