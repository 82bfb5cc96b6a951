// The flight record: what is on disk when a rank hangs, and that only the last 1,000 collectives are.
#include "collectives/flight_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/ranks.h"

namespace ultramarine::collectives {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

std::vector<std::string> lines_of(const fs::path& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

class FlightRecord : public testing::Test {
 protected:
  FlightRecord() {
    std::string name = (fs::temp_directory_path() / "flight.XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    setenv("ULTRA_FLIGHT_RECORD", folder_.c_str(), 1);
    for (const char* other : {"ULTRA_JOB_ID", "ULTRA_ATTEMPT"}) unsetenv(other);
  }
  ~FlightRecord() override {
    for (const char* name : {"ULTRA_FLIGHT_RECORD", "ULTRA_JOB_ID", "ULTRA_ATTEMPT"}) unsetenv(name);
    fs::remove_all(folder_);
  }

  /// Two ranks do `before` barriers, then rank 1 hangs and rank 0 waits for it in an all-reduce. Their errors.
  static std::vector<std::string> hang(int before) {
    std::barrier given_up(2);
    return on_ranks(2, [&](Communicator& communicator) {
      for (int i = 0; i < before; ++i) communicator.barrier()->wait(std::chrono::seconds(60));
      float value[3] = {};
      const Buffer buffer{value, 3, DataType::float32, Residence::host};
      if (communicator.rank() == 1) {
        given_up.arrive_and_wait();
        return communicator.all_reduce(buffer, Operation::sum)->wait(std::chrono::seconds(60));
      }
      const auto pending = communicator.all_reduce(buffer, Operation::sum);
      EXPECT_THROW(pending->wait(milliseconds(20)), DeadlineExceeded);
      given_up.arrive_and_wait();
      pending->test();
    });
  }

  fs::path folder_;
};

TEST_F(FlightRecord, OfARankThatWaitedInVainNamesTheCollectiveThatHung) {
  testing::internal::CaptureStderr();
  const auto errors = hang(2);
  const std::string said = testing::internal::GetCapturedStderr();
  const std::string path = (folder_ / "flight-rank-0.jsonl").string();
  EXPECT_THAT(errors[0], AllOf(HasSubstr("in_process: rank 0 of 2: all_reduce sum of 3 float32 (collective 3): "),
                               HasSubstr("not entered by rank 1"), HasSubstr("; flight record: " + path)));
  EXPECT_THAT(said, HasSubstr("in_process: rank 0: the last collectives (3) are in " + path));
  const auto lines = lines_of(path);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_THAT(lines[0], AllOf(HasSubstr(R"({"backend":"in_process","rank":0,"world_size":2,"failed_sequence":3,)"),
                              HasSubstr("not entered by rank 1")));
  EXPECT_THAT(lines[1], AllOf(HasSubstr(R"({"sequence":1,"collective":"barrier","count":0,"bytes":0,"started_us":)"),
                              HasSubstr(R"("ended_us":)"), HasSubstr(R"("state":"complete"})")));
  EXPECT_THAT(lines[3],
              AllOf(HasSubstr(R"({"sequence":3,"collective":"all_reduce","operation":"sum","data_type":"float32",)"),
                    HasSubstr(R"("count":3,"bytes":12,)"), HasSubstr(R"("state":"failed"})")));
  // The other rank has its own.
  EXPECT_THAT(lines_of(folder_ / "flight-rank-1.jsonl").back(), HasSubstr(R"("state":"failed"})"));
}

TEST_F(FlightRecord, HoldsTheLastThousand) {
  hang(1500);
  const auto lines = lines_of(folder_ / "flight-rank-0.jsonl");
  ASSERT_EQ(lines.size(), 1001U);
  EXPECT_THAT(lines[1], HasSubstr(R"({"sequence":502,)"));
  EXPECT_THAT(lines[1000], HasSubstr(R"({"sequence":1501,)"));
}

TEST_F(FlightRecord, OfAJobLiesInItsWorkingDirectoryUnderItsName) {
  unsetenv("ULTRA_FLIGHT_RECORD");
  setenv("ULTRA_JOB_ID", "12", 1);
  setenv("ULTRA_ATTEMPT", "2", 1);
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  const auto errors = hang(0);
  fs::current_path(before);
  const fs::path path = folder_ / "flight-job-12-attempt-2-rank-0.jsonl";
  EXPECT_THAT(errors[0], HasSubstr(path.string()));
  EXPECT_EQ(lines_of(path).size(), 2U);
}

TEST_F(FlightRecord, SaysWhyThereIsNone) {
  setenv("ULTRA_FLIGHT_RECORD", (folder_ / "absent").c_str(), 1);
  EXPECT_THAT(hang(0)[0], HasSubstr("; no flight record: " + (folder_ / "absent").string() +
                                    "/flight-rank-0.jsonl: No such file or directory"));
  unsetenv("ULTRA_FLIGHT_RECORD");
  EXPECT_THAT(hang(0)[0], HasSubstr("; no flight record: ULTRA_FLIGHT_RECORD names no folder"));
}

TEST_F(FlightRecord, IsWrittenOnceAtTheFirstFailure) {
  FlightRecorder recorder("mpi", 5, 8);
  Call call;
  recorder.started(call, 0);
  recorder.started(call, 0);
  recorder.complete(1);
  const std::string first = recorder.failed(2, "a \"quoted\"\nreason\\");
  const fs::path path = folder_ / "flight-rank-5.jsonl";
  EXPECT_THAT(lines_of(path)[0], HasSubstr(R"("reason":"a \"quoted\"\u000areason\\")"));
  fs::remove(path);
  EXPECT_THAT(recorder.failed(2, "again"), HasSubstr("again; flight record: " + path.string()));
  EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace ultramarine::collectives
