// Nodes, ranks and GPUs put together as sbatch does.
#include "scheduler/batch/shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/batch/ask.h"

namespace ultramarine::batch {
namespace {

using test::sbatch;
using test::sbatch_mistake;
using testing::Contains;
using testing::HasSubstr;

Resources resources(const std::string& options) { return sbatch(options).spec.resources; }
Resources total(std::int64_t gpus) { return {gpus, 0, 0}; }
Resources nodes(std::int64_t count, std::int64_t each) { return {0, count, each}; }

TEST(Shape, GresIsPerNodeAndNodesAreOneIfNotSaid) {
  EXPECT_EQ(resources("--gres=gpu:4"), nodes(1, 4));
  EXPECT_EQ(resources("--gres=gpu:4 --nodes=2"), nodes(2, 4));
  EXPECT_EQ(resources("--gpus-per-node=a100:4 -N2"), nodes(2, 4));
  EXPECT_EQ(resources("--gres=gpu -n 1"), nodes(1, 1));
  EXPECT_EQ(resources("--gres=gpu:4 --gpus-per-node=4"), nodes(1, 4));
  EXPECT_THAT(sbatch_mistake("--gres=gpu:4 --gpus-per-node=2"),
              HasSubstr("4 GPUs per node asked, but job.sh:2: --gpus-per-node says 2; leave out one of the two"));
}

TEST(Shape, NodesAreAsManyAsTheTasksNeed) {
  EXPECT_EQ(resources("--ntasks=16 --ntasks-per-node=4 --gres=gpu:4"), nodes(4, 4));
  EXPECT_EQ(resources("--ntasks=9 --ntasks-per-node=4 --gres=gpu:4"), nodes(3, 4));
  EXPECT_EQ(resources("--ntasks=4 --gres=gpu:4"), nodes(1, 4));
  EXPECT_EQ(resources("--gpus=16 --gpus-per-node=8"), nodes(2, 8));
}

TEST(Shape, ARangeOfNodesAsksForTheSmallest) {
  const Request request = sbatch("--nodes=2-4 --gres=gpu:1");
  EXPECT_EQ(request.spec.resources, nodes(2, 1));
  EXPECT_THAT(request.warnings, Contains("job.sh:2: --nodes: the smallest number is asked for, 2"));
}

TEST(Shape, GpusAreATotal) {
  EXPECT_EQ(resources("--gpus=8"), total(8));
  EXPECT_EQ(resources("--gpus=8 -N 2"), nodes(2, 4));
  EXPECT_EQ(resources("-G h100:8"), total(8));
  const Request uneven = sbatch("--gpus=7 --nodes=2");
  EXPECT_EQ(uneven.spec.resources, total(7));
  EXPECT_THAT(uneven.warnings, Contains("job.sh:2: --gpus: 7 GPUs don't divide by 2 nodes, so the scheduler chooses the nodes"));
  EXPECT_THAT(sbatch_mistake("--gpus=1 --nodes=2"),
              HasSubstr("job.sh:2: --gpus: 1 GPU can't be on 2 nodes; ask for fewer nodes or more GPUs"));
  EXPECT_THAT(sbatch_mistake("--gpus=8 --nodes=2 --gres=gpu:2"), HasSubstr("leave out one of the two"));
  EXPECT_THAT(sbatch_mistake("--gpus=7 --gpus-per-node=2"), HasSubstr("ask for a multiple of 2"));
}

TEST(Shape, GpusPerTaskTimesTasks) {
  EXPECT_EQ(resources("--ntasks=8 --gpus-per-task=1"), total(8));
  EXPECT_EQ(resources("--ntasks=8 --nodes=2 --gpus-per-task=1"), nodes(2, 4));
  EXPECT_EQ(resources("--nodes=2 --ntasks-per-node=4 --gpus-per-task=1"), nodes(2, 4));
  EXPECT_EQ(resources("--gpus-per-task=4"), total(4));
  EXPECT_EQ(resources("--gpus-per-task=4 --nodes=2"), nodes(2, 4));
  const Request from_total = sbatch("--gpus=8 --gpus-per-task=2");
  EXPECT_EQ(from_total.spec.ranks, 4);  // the missing number of tasks follows from the total
  EXPECT_EQ(from_total.spec.resources, total(8));
  EXPECT_THAT(from_total.warnings, Contains(HasSubstr("each rank will see all GPUs")));
  EXPECT_THAT(sbatch_mistake("--gpus=8 --gpus-per-task=1 --ntasks=4"),
              HasSubstr("4 ranks with 1 each are 4 GPUs, but job.sh:2: --gpus says 8"));
  EXPECT_THAT(sbatch_mistake("--gpus=7 --gpus-per-task=2"), HasSubstr("can't be shared out"));
  EXPECT_THAT(sbatch_mistake("--ntasks=1000000 --gpus-per-task=1000000"), HasSubstr("absurd"));
}

TEST(Shape, RanksAreSaidOnlyIfAsked) {
  EXPECT_EQ(sbatch("--nodes=2 --gres=gpu:4").spec.ranks, 0);
  EXPECT_EQ(sbatch("--nodes=2 --gres=gpu:4").spec.ranks_per_node, 0);
  EXPECT_EQ(sbatch("--ntasks=8 --nodes=2 --gres=gpu:4").spec.ranks, 8);
  EXPECT_EQ(sbatch("--ntasks-per-node=4 --nodes=2 --gres=gpu:4").spec.ranks_per_node, 4);
  EXPECT_EQ(sbatch("--ntasks-per-node=4 --nodes=2 --gres=gpu:4").spec.ranks, 0);
  EXPECT_EQ(sbatch("--cpus-per-task=6 --gres=gpu:4").spec.cpus_per_rank, 6);
  EXPECT_EQ(sbatch("--ntasks-per-gpu=2 --gpus=4").spec.ranks, 8);
}

TEST(Shape, RanksPerNodeAreAMaximumBesideRanks) {
  const Request exact = sbatch("--ntasks=8 --ntasks-per-node=4 --nodes=2 --gres=gpu:4");
  EXPECT_EQ(exact.spec.ranks, 8);
  EXPECT_EQ(exact.spec.ranks_per_node, 4);
  const Request fewer = sbatch("--ntasks=6 --ntasks-per-node=4 --nodes=2 --gres=gpu:4");
  EXPECT_EQ(fewer.spec.ranks, 6);
  EXPECT_EQ(fewer.spec.ranks_per_node, 0);
  EXPECT_THAT(sbatch_mistake("--ntasks=9 --ntasks-per-node=4 --nodes=2"),
              HasSubstr("9 ranks asked, but 4 on each of 2 nodes are at most 8"));
  const Request few = sbatch("--ntasks=1 --nodes=2 --gres=gpu:4");
  EXPECT_EQ(few.spec.resources, nodes(1, 4));
  EXPECT_THAT(few.warnings, Contains("job.sh:2: --nodes: 1 rank can't run on 2 nodes, so 1 will do"));
}

TEST(Shape, WithoutAGpuOptionOnePerNodeOrWholeNodes) {
  const Request one = sbatch("--time=10");
  EXPECT_EQ(one.spec.resources, total(1));
  EXPECT_THAT(one.warnings, Contains("job.sh: no GPUs asked for, so it gets 1; say how many with --gpus-per-node"));
  const Request two = sbatch("--nodes=2");
  EXPECT_EQ(two.spec.resources, nodes(2, 1));
  EXPECT_THAT(two.warnings, Contains("job.sh: no GPUs asked for, so it gets 1 on each node; say how many with --gpus-per-node"));
  const Request whole = sbatch("--nodes=2 --exclusive");
  EXPECT_TRUE(whole.spec.exclusive);
  EXPECT_EQ(whole.spec.resources, nodes(2, 1)) << "whatever GPUs a node has";
  EXPECT_THAT(whole.warnings, Contains(HasSubstr("all of each node (--exclusive)")));
  EXPECT_EQ(sbatch("--nodes=2 --exclusive --gres=gpu:2").spec.resources, nodes(2, 2));
}

TEST(Shape, NoGpuAtAllIsRefused) {
  EXPECT_EQ(sbatch_mistake("--gres=gpu:0"), "job.sh:2: --gres: no GPU asked for, and this cluster hands out GPUs only; ask for at least 1");
  EXPECT_THAT(sbatch_mistake("--gpus=0"), HasSubstr("ask for at least 1"));
}

TEST(Shape, OneTypeOfGpu) {
  EXPECT_EQ(sbatch("--gres=gpu:A100:2 --gpus=a100:2").spec.gpu_type, "A100");
  EXPECT_THAT(sbatch_mistake("--gres=gpu:v100:2 --gpus=a100:2"),
              HasSubstr("GPUs of type v100 asked, but job.sh:2: --gpus says a100; give one type"));
}

}  // namespace
}  // namespace ultramarine::batch
