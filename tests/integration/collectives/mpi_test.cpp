// The MPI backend between processes: the shared conformance body under mpirun, and its end at a deadline.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

struct Result {
  int exit_code = -1;
  std::string output;  // stdout and stderr
};

Result mpirun(int ranks, const std::string& arguments) {
  // Containers often run as root, and have fewer cores than the test has ranks.
  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  const std::string command = "timeout 100 mpirun -n " + std::to_string(ranks) +
                              " --oversubscribe " ULTRAMARINE_MPI_RANK " " + arguments + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return {};
  Result result;
  std::array<char, 4096> block{};
  while (const std::size_t size = fread(block.data(), 1, block.size(), pipe)) result.output.append(block.data(), size);
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

class MpiWorld : public testing::TestWithParam<int> {};

TEST_P(MpiWorld, ConformsLikeEveryBackend) {
  const Result result = mpirun(GetParam(), "conformance");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, testing::HasSubstr(std::to_string(GetParam()) + " ranks, 0 with problems"));
}
INSTANTIATE_TEST_SUITE_P(WorldSizes, MpiWorld, testing::Values(1, 2, 3, 4));

TEST(Mpi, ConformsWhenACollectiveTravelsAsSeveralMessages) {
  const Result result = mpirun(3, "conformance 10001");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, testing::HasSubstr("3 ranks, 0 with problems"));
}

TEST(Mpi, AWaitPastItsDeadlineNamesTheCollectiveAndEndsTheGangWithCode16) {
  const Result result = mpirun(2, "late 200");
  EXPECT_EQ(result.exit_code, 16) << result.output;
  EXPECT_THAT(
      result.output,
      testing::HasSubstr("mpi: rank 0 of 2: all_reduce sum of 1 float32 (collective 3): not complete after 200 ms"));
}

TEST(Mpi, TheFlightRecordIsOnDiskBeforeTheProcessEnds) {
  std::string folder = testing::TempDir() + "flight.XXXXXX";
  ASSERT_TRUE(mkdtemp(folder.data()));
  setenv("ULTRA_FLIGHT_RECORD", folder.c_str(), 1);
  const Result result = mpirun(2, "late 200");
  unsetenv("ULTRA_FLIGHT_RECORD");
  const std::string path = folder + "/flight-rank-0.jsonl";
  EXPECT_EQ(result.exit_code, 16) << result.output;
  EXPECT_THAT(result.output, testing::HasSubstr("; flight record: " + path + "; ending the gang"));
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  std::filesystem::remove_all(folder);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_THAT(lines[0], testing::HasSubstr(R"("failed_sequence":3,"reason":"not complete after 200 ms")"));
  EXPECT_THAT(lines[2], testing::HasSubstr(R"("collective":"broadcast","root":0)"));
  EXPECT_THAT(lines[3], testing::HasSubstr(R"("state":"failed")"));
}

TEST(Mpi, AnAbandonedCollectiveEndsTheGangToo) {
  const Result result = mpirun(2, "drop");
  EXPECT_EQ(result.exit_code, 16) << result.output;
  EXPECT_THAT(result.output, testing::HasSubstr("all_reduce sum of 1 float32 (collective 3): abandoned"));
}

}  // namespace
