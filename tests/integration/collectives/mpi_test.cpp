// The MPI backend between processes: the shared conformance body under mpirun, and its end at a deadline.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

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

TEST(Mpi, FourRanksConformLikeEveryBackend) {
  const Result result = mpirun(4, "conformance");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, testing::HasSubstr("4 ranks, 0 with problems"));
}

TEST(Mpi, ConformsWhenACollectiveTravelsAsSeveralMessagesAndTheRanksAreOdd) {
  const Result result = mpirun(3, "conformance 70001");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, testing::HasSubstr("3 ranks, 0 with problems"));
}

TEST(Mpi, AlsoConformsAlone) {
  const Result result = mpirun(1, "conformance");
  EXPECT_EQ(result.exit_code, 0) << result.output;
}

TEST(Mpi, AWaitPastItsDeadlineNamesTheCollectiveAndEndsTheGangWithCode16) {
  const Result result = mpirun(2, "late 200");
  EXPECT_EQ(result.exit_code, 16) << result.output;
  EXPECT_THAT(result.output,
              testing::HasSubstr("mpi: rank 0 of 2: all_reduce (collective 3, 4 bytes) was not complete after 200 ms"));
}

TEST(Mpi, AnAbandonedCollectiveEndsTheGangToo) {
  const Result result = mpirun(2, "drop");
  EXPECT_EQ(result.exit_code, 16) << result.output;
  EXPECT_THAT(result.output, testing::HasSubstr("all_reduce (collective 3, 4 bytes) was abandoned"));
}

}  // namespace
