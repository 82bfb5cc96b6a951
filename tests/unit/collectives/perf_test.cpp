// ultra-perf: its arithmetic, its columns, and that it sees a wrong element.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "collectives/benchmark/report.h"
#include "collectives/bf16.h"
#include "tests/support/ranks.h"

namespace ultramarine::collectives::benchmark {
namespace {

using testing::HasSubstr;

TEST(PerfArithmetic, FactorsAreThoseOfNcclTests) {
  EXPECT_DOUBLE_EQ(bus_factor(Kind::all_reduce, 4), 1.5);
  EXPECT_DOUBLE_EQ(bus_factor(Kind::all_reduce, 1), 0);
  EXPECT_DOUBLE_EQ(bus_factor(Kind::reduce_scatter, 4), 0.75);
  EXPECT_DOUBLE_EQ(bus_factor(Kind::all_gather, 8), 0.875);
  EXPECT_DOUBLE_EQ(bus_factor(Kind::broadcast, 8), 1);
  // 1 GB (1e9 bytes) in half a second.
  const Rate rate = rate_of({Kind::all_reduce, DataType::float32, 4, 250'000'000}, 0.5);
  EXPECT_DOUBLE_EQ(rate.time_us, 500'000);
  EXPECT_DOUBLE_EQ(rate.algbw, 2);
  EXPECT_DOUBLE_EQ(rate.busbw, 3);
  // Size, and so bandwidth, is of the larger buffer: all ranks' parts.
  EXPECT_DOUBLE_EQ(rate_of({Kind::all_gather, DataType::bf16, 4, 125'000'000}, 1).algbw, 1);
  EXPECT_DOUBLE_EQ(rate_of({Kind::reduce_scatter, DataType::int64, 2, 62'500'000}, 1).busbw, 0.5);
}

TEST(PerfArithmetic, AShapeHasWhatMpiAndNcclCallCount) {
  const Shape gather = shape_of(Kind::all_gather, DataType::float32, 3, 1024);
  EXPECT_EQ(gather.count, 85U);
  EXPECT_EQ(gather.send_count(), 85U);
  EXPECT_EQ(gather.receive_count(), 255U);
  EXPECT_EQ(gather.bytes(), 1020U);
  const Shape scatter = shape_of(Kind::reduce_scatter, DataType::bf16, 4, 1024);
  EXPECT_EQ(scatter.send_count(), 512U);
  EXPECT_EQ(scatter.receive_count(), 128U);
  EXPECT_EQ(shape_of(Kind::all_gather, DataType::int64, 8, 4).count, 1U);
}

TEST(PerfArithmetic, SweepsFromTheSmallestToTheLargestSize) {
  const auto bytes = [](const std::vector<Shape>& shapes) {
    std::vector<std::size_t> all;
    for (const Shape& shape : shapes) all.push_back(shape.bytes());
    return all;
  };
  const auto whole = sweep(Kind::all_reduce, DataType::float32, 4, 4, std::size_t{256} << 20, 2, 0);
  EXPECT_EQ(whole.size(), 27U);
  EXPECT_EQ(whole.front().bytes(), 4U);
  EXPECT_EQ(whole.back().bytes(), 268'435'456U);
  EXPECT_THAT(bytes(sweep(Kind::broadcast, DataType::float32, 2, 8, 30, 1, 8)), testing::ElementsAre(8, 16, 24));
  // Four ranks of float32 move at least 16 bytes: 4, 8 and 16 are one line.
  EXPECT_THAT(bytes(sweep(Kind::all_gather, DataType::float32, 4, 4, 64, 2, 0)), testing::ElementsAre(16, 32, 64));
  EXPECT_EQ(sweep(Kind::all_reduce, DataType::float32, 2, 4, ~std::size_t{0}, 1024, 0).back().bytes(),
            std::size_t{1} << 62);
}

TEST(PerfArithmetic, ReadsSizesAsNcclTestsDoes) {
  EXPECT_EQ(bytes_from_text("4"), 4U);
  EXPECT_EQ(bytes_from_text("8K"), 8192U);
  EXPECT_EQ(bytes_from_text("256M"), 268'435'456U);
  EXPECT_EQ(bytes_from_text("1g"), 1'073'741'824U);
  for (const char* wrong : {"", "M", "4X", "4KB", "-4", "4 K"}) EXPECT_EQ(bytes_from_text(wrong), 0U) << wrong;
}

TEST(PerfData, SumsAreExactInEveryType) {
  for (const DataType type : {DataType::float32, DataType::bf16, DataType::int64}) {
    for (const int ranks : {1, 2, 7, 64}) {
      const Data data(type, ranks, Operation::sum), most(type, ranks, Operation::max);
      for (std::size_t i = 0; i < 600; ++i) {
        std::int64_t sum = 0, maximum = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          sum += data.value(rank, i);
          maximum = std::max(maximum, data.value(rank, i));
        }
        ASSERT_EQ(data.reduced(i), sum);
        ASSERT_EQ(most.reduced(i), maximum);
        const float exact = static_cast<float>(sum);
        ASSERT_EQ(type == DataType::bf16 ? from_bf16(to_bf16(exact)) : exact, exact);
      }
    }
  }
}

TEST(PerfMeasure, FindsNothingWrongWithAnyCollectiveOfTheReference) {
  for (const DataType type : {DataType::float32, DataType::bf16, DataType::int64}) {
    on_ranks(3, [&](Communicator& communicator) {
      Settings settings;
      settings.warmup = 1;
      settings.iterations = 2;
      settings.root = 2;
      Benchmark measured(communicator, settings, 1 << 20);
      for (const Kind kind : {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather, Kind::broadcast}) {
        for (const std::size_t bytes : {4U, 1000U, 1U << 20}) {
          const Row row = measured.measure(shape_of(kind, type, 3, bytes));
          EXPECT_EQ(row.out_of_place.wrong, 0);
          EXPECT_EQ(row.in_place.wrong, 0);
          EXPECT_GT(row.in_place.rate.time_us, 0);
        }
      }
    });
  }
}

/// A gang of one whose collectives are right but for one bit in the second element.
class OneBitOff final : public Communicator {
 public:
  OneBitOff()
      : Communicator("test", 0, 1,
                     {.host_buffers = true,
                      .device_buffers = false,
                      .non_blocking = false,
                      .can_abort = false,
                      .device = -1,
                      .types = {DataType::float32, DataType::bf16, DataType::int64}}) {}

 private:
  struct Done final : Work {
    bool test() override { return true; }
    void wait(std::chrono::milliseconds) override {}
    void give_up(const std::string&) noexcept override {}
  };
  std::unique_ptr<Work> start(const Call& call) override {
    if (call.bytes() > 0 && call.send != call.receive) std::memcpy(call.receive, call.send, call.bytes());
    if (call.count > 1) static_cast<char*>(call.receive)[size_of(call.type)] ^= 0x10;
    return std::make_unique<Done>();
  }
};

TEST(PerfMeasure, SeesOneWrongBit) {
  OneBitOff communicator;
  Benchmark measured(communicator, {}, 4096);
  for (const Kind kind : {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather, Kind::broadcast}) {
    const Row row = measured.measure(shape_of(kind, DataType::float32, 1, 4096));
    EXPECT_EQ(row.out_of_place.wrong, 1);
    EXPECT_EQ(row.in_place.wrong, 1);
  }
  Settings unchecked;
  unchecked.check = false;
  EXPECT_FALSE(Benchmark(communicator, unchecked, 64)
                   .measure(shape_of(Kind::all_reduce, DataType::float32, 1, 64))
                   .in_place.wrong.has_value());
}

TEST(PerfReport, HasTheColumnsOfNcclTests) {
  benchmark::Run run{"nccl", Kind::all_reduce, DataType::float32, 8, {}, {}};
  const Shape shape{Kind::all_reduce, DataType::float32, 8, 2'097'152};
  run.rows.push_back({shape, {{101.23, 82.87, 145.02}, 0}, {{12345.6, 0.68, 1.19}, 3}});
  EXPECT_THAT(table_head(run),
              HasSubstr("#       size         count      type   redop    root     time   algbw   busbw #wrong"
                        "     time   algbw   busbw #wrong\n"));
  EXPECT_EQ(
      table_row(run, run.rows[0]),
      "     8388608       2097152     float     sum      -1    101.2   82.87  145.02      0    12346    0.68    1.19"
      "      3\n");
  EXPECT_THAT(table_foot(run), HasSubstr("# Out of bounds values : 3 FAILED\n# Avg bus bandwidth    : 73.105\n"));
  run.settings.check = false;
  run.rows[0].out_of_place.wrong.reset();
  EXPECT_THAT(table_row(run, run.rows[0]), HasSubstr("  145.02    N/A  "));
  EXPECT_THAT(json_of({run}), HasSubstr(R"("busbw":145.02,"wrong":null})"));
}

}  // namespace
}  // namespace ultramarine::collectives::benchmark
