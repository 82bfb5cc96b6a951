// The in-process backend: the shared conformance body in threads, and what only it promises (errors that all ranks hear
// of).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <cmath>
#include <functional>
#include <thread>

#include "collectives/backends.h"
#include "collectives/bf16.h"
#include "collectives/in_process/in_process.h"
#include "conformance.h"
#include "tests/support/ranks.h"

namespace ultramarine::collectives {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds patience = std::chrono::seconds(20);
using testing::HasSubstr;

class InProcess : public testing::TestWithParam<int> {};

TEST_P(InProcess, ConformsLikeEveryBackend) {
  std::vector<std::vector<std::string>> problems(static_cast<std::size_t>(GetParam()));
  const auto errors = on_ranks(GetParam(), [&](Communicator& communicator) {
    problems[static_cast<std::size_t>(communicator.rank())] = run_conformance(communicator);
  });
  EXPECT_THAT(errors, testing::Each(""));
  EXPECT_THAT(problems, testing::Each(testing::IsEmpty()));
}
INSTANTIATE_TEST_SUITE_P(WorldSizes, InProcess, testing::Values(1, 2, 3, 4, 7));

TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  // Of all bf16, what lies between two neighbours goes to the nearer, what lies halfway to the even one.
  for (std::uint32_t upper = 0; upper < 0x7f80U; ++upper) {
    const auto low = static_cast<std::uint16_t>(upper), high = static_cast<std::uint16_t>(upper + 1);
    const std::uint32_t bits = upper << 16;
    ASSERT_EQ(to_bf16(std::bit_cast<float>(bits)), low);
    ASSERT_EQ(to_bf16(std::bit_cast<float>(bits + 0x7fffU)), low);
    ASSERT_EQ(to_bf16(std::bit_cast<float>(bits + 0x8001U)), high);
    ASSERT_EQ(to_bf16(std::bit_cast<float>(bits + 0x8000U)), upper % 2 == 0 ? low : high);
    ASSERT_EQ(to_bf16(-std::bit_cast<float>(bits + 0x8001U)), high | 0x8000U);
    ASSERT_EQ(from_bf16(low), std::bit_cast<float>(bits));
  }
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0x7f800001U)))));  // and not infinity
  EXPECT_EQ(from_bf16(to_bf16(INFINITY)), INFINITY);
}

TEST(InProcessReduction, AddsInTheOrderOfRanks) {
  // (1e8 + -1e8) + 1 = 1 in float, while 1e8 + (-1e8 + 1) = 0: the result shows the order.
  const float values[] = {1e8F, -1e8F, 1.0F};
  std::vector<float> results(3);
  on_ranks(3, [&](Communicator& communicator) {
    const auto rank = static_cast<std::size_t>(communicator.rank());
    results[rank] = values[rank];
    communicator.all_reduce({&results[rank], 1, DataType::float32, Residence::host}, Operation::sum)->wait(patience);
  });
  EXPECT_THAT(results, testing::Each(1.0F));
}

TEST(InProcessErrors, AMismatchIsReportedByEveryRank) {
  struct Case {
    std::function<std::unique_ptr<Pending>(Communicator&, Buffer)> odd;
    std::string named;
  };
  const std::vector<Case> cases = {
      {[](Communicator& c, Buffer b) { return c.all_reduce(b, Operation::max); }, "all_reduce max of 2 float32"},
      {[](Communicator& c, Buffer b) {
         b.count = 1;
         return c.all_reduce(b, Operation::sum);
       },
       "all_reduce sum of 1 float32"},
      {[](Communicator& c, Buffer b) {
         b.type = DataType::int64;
         return c.all_reduce(b, Operation::sum);
       },
       "all_reduce sum of 2 int64"},
      {[](Communicator& c, Buffer b) { return c.broadcast(b, 1); }, "broadcast of 2 float32 from rank 1"},
      {[](Communicator& c, Buffer b) {
         b.type = DataType::bf16;
         return c.all_reduce(b, Operation::sum);
       },
       "all_reduce sum of 2 bf16"},
      {[](Communicator& c, Buffer b) {
         b.count = 3;
         return c.all_gather(part_of(b, 1, 3), b);
       },
       "all_gather of 1 float32"},
      {[](Communicator& c, Buffer b) {
         b.count = 6;
         return c.reduce_scatter(b, part_of(b, 1, 3), Operation::sum);
       },
       "reduce_scatter sum of 2 float32"},
      {[](Communicator& c, Buffer) { return c.barrier(); }, "barrier"},
  };
  for (const Case& example : cases) {
    const auto errors = on_ranks(3, [&](Communicator& communicator) {
      std::int64_t storage[8] = {};
      const Buffer buffer{storage, 2, DataType::float32, Residence::host};
      auto pending = communicator.rank() == 1 ? example.odd(communicator, buffer)
                                              : communicator.all_reduce(buffer, Operation::sum);
      pending->wait(patience);
    });
    EXPECT_THAT(errors, testing::Each(testing::AllOf(HasSubstr("collective 1 differs"),
                                                     HasSubstr("rank 1 called " + example.named))));
  }
}

TEST(InProcessErrors, AMismatchedRootIsReportedByEveryRank) {
  const auto errors = on_ranks(2, [&](Communicator& communicator) {
    float value = 0;
    communicator.broadcast({&value, 1, DataType::float32, Residence::host}, communicator.rank())->wait(patience);
  });
  EXPECT_THAT(errors, testing::Each(HasSubstr("differs")));
}

TEST(InProcessErrors, ADeadlineNamesOperationSequenceAndRankAndAllHearOfIt) {
  std::barrier given_up(2);
  const auto errors = on_ranks(2, [&](Communicator& communicator) {
    communicator.barrier()->wait(patience);
    float value = 0;
    const Buffer buffer{&value, 1, DataType::float32, Residence::host};
    if (communicator.rank() == 0) {
      auto pending = communicator.all_reduce(buffer, Operation::sum);
      EXPECT_FALSE(pending->test());
      EXPECT_THROW(pending->wait(milliseconds(20)), DeadlineExceeded);
      EXPECT_THAT(pending->error(), HasSubstr("all_reduce sum"));
      given_up.arrive_and_wait();
      pending->test();  // throws again, for the text
    } else {
      given_up.arrive_and_wait();
      communicator.all_reduce(buffer, Operation::sum)->wait(patience);
    }
  });
  EXPECT_THAT(errors,
              testing::Each(HasSubstr(
                  "all_reduce sum of 1 float32 (collective 2): rank 0 waited 20 ms for collective 2, not entered by "
                  "rank 1")));
}

TEST(InProcessErrors, ARankThatLeavesOrDropsItsPendingFailsTheOthersAtOnce) {
  auto errors = on_ranks(3, [](Communicator& communicator) {
    if (communicator.rank() == 2) throw std::runtime_error("out of cheese");
    communicator.barrier()->wait(patience);
  });
  EXPECT_EQ(errors[2], "out of cheese");
  EXPECT_THAT(errors[0], HasSubstr("rank 2 left before collective 1"));
  EXPECT_THAT(errors[1], HasSubstr("rank 2 left before collective 1"));

  std::barrier dropped(2);
  errors = on_ranks(2, [&](Communicator& communicator) {
    if (communicator.rank() == 0) {
      communicator.barrier().reset();
      dropped.arrive_and_wait();
    } else {
      dropped.arrive_and_wait();
      communicator.barrier()->wait(patience);
    }
  });
  EXPECT_THAT(errors[1], HasSubstr("rank 0 abandoned collective 1"));
}

TEST(InProcessErrors, LeavingAfterTheLastCollectiveIsNoError) {
  // Rank 0 leaves at once when its part is done, while the other may not have looked at its result yet.
  for (int round = 0; round < 50; ++round) {
    const auto errors = on_ranks(2, [](Communicator& communicator) { communicator.barrier()->wait(patience); });
    EXPECT_THAT(errors, testing::Each(""));
  }
}

TEST(Backends, AreFoundByNameAndAnUnknownOneNamesThoseThatThereAre) {
  EXPECT_EQ(backend_names(), "in_process, mpi, nccl");
  const auto communicators = find_backend("in_process").make(2);
  ASSERT_EQ(communicators.size(), 2U);
  EXPECT_EQ(communicators[1]->rank(), 1);
  EXPECT_EQ(communicators[1]->backend(), "in_process");
  EXPECT_FALSE(find_backend("in_process").spans_processes);
  EXPECT_TRUE(find_backend("mpi").spans_processes);
  EXPECT_THROW(find_backend("mpi").make(2), CollectiveError);
  try {
    find_backend("smoke");
    FAIL();
  } catch (const CollectiveError& error) {
    EXPECT_STREQ(error.what(), "unknown backend \"smoke\": this build has in_process, mpi, nccl");
  }
  EXPECT_THROW(make_in_process(0), CollectiveError);
}

}  // namespace
}  // namespace ultramarine::collectives
