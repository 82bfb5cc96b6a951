// The NCCL backend over the fake NCCL and CUDA runtime: the shared conformance body in threads and in processes that
// met by the rendezvous, and a matrix of faults, each with the error that every survivor must see, within its deadline.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace {

using testing::AllOf;
using testing::Each;
using testing::Field;
using testing::HasSubstr;
using testing::Not;
using Environment = std::map<std::string, std::string>;

struct Result {
  int exit_code = -1;  // 128 + signal
  std::string output;
};
void PrintTo(const Result& result, std::ostream* out) { *out << result.exit_code << ": " << result.output; }

auto ended(int exit_code, const testing::Matcher<const std::string&>& output) {
  return AllOf(Field("exit_code", &Result::exit_code, exit_code), Field("output", &Result::output, output));
}

/// An address that no other test process of this machine listens at, and a free port of it.
std::string own_address() {
  return "127." + std::to_string(64 + (::getpid() >> 16 & 63)) + "." + std::to_string(::getpid() >> 8 & 255) + "." +
         std::to_string(1 + (::getpid() & 127));
}
int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, own_address().c_str(), &address.sin_addr);
  ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address);
  socklen_t size = sizeof address;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(socket);
  return ntohs(address.sin_port);
}

/// Starts one process a rank and waits for all; each writes into a file of its own.
std::vector<Result> run_gang(int ranks, const std::vector<std::string>& arguments, const Environment& extra = {},
                             const char* program = ULTRAMARINE_NCCL_RANK) {
  std::string folder = testing::TempDir() + "nccl.XXXXXX";
  if (!mkdtemp(folder.data())) return {};
  const std::string address = own_address(), port = std::to_string(free_port());
  std::vector<pid_t> children;
  for (int rank = 0; rank < ranks; ++rank) {
    const pid_t child = ::fork();
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    const int output = ::open((folder + "/" + std::to_string(rank)).c_str(), O_CREAT | O_WRONLY, 0600);
    ::dup2(output, 1);
    ::dup2(output, 2);
    Environment environment = {{"RANK", std::to_string(rank)},
                               {"LOCAL_RANK", std::to_string(rank)},
                               {"WORLD_SIZE", std::to_string(ranks)},
                               {"MASTER_ADDR", address},
                               {"MASTER_PORT", port},
                               {"FAKE_CUDA_DEVICES", std::to_string(ranks)},
                               {"ULTRA_FLIGHT_RECORD", folder}};
    for (const auto& [name, value] : extra) environment[name] = value;
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> words = {const_cast<char*>("nccl_rank")};
    for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    ::alarm(100);  // nothing may hang for ever, whatever fails
    ::execv(program, words.data());
    ::_exit(127);
  }
  // In the order in which they end: to the others, a dead process that nobody has waited for still looks alive.
  std::map<pid_t, int> codes;
  while (codes.size() < children.size()) {
    int status = 0;
    const pid_t child = ::waitpid(-1, &status, 0);
    codes[child] = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::vector<Result> results;
  for (int rank = 0; rank < ranks; ++rank) {
    std::ifstream file(folder + "/" + std::to_string(rank));
    results.push_back({codes[children[static_cast<std::size_t>(rank)]],
                       {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()}});
  }
  std::filesystem::remove_all(folder);
  // Of a gang that was never complete, the fake's shared memory still has its name, with the process of rank 0 in it.
  const std::string shared = "fake_nccl." + std::to_string(children.front()) + ".";
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (entry.path().filename().string().rfind(shared, 0) == 0) std::filesystem::remove(entry.path());
  }
  return results;
}

class NcclOnFake : public testing::TestWithParam<int> {};

TEST_P(NcclOnFake, ConformsInProcesses) { EXPECT_THAT(run_gang(GetParam(), {"conformance"}), Each(ended(0, ""))); }
TEST_P(NcclOnFake, ConformsInThreads) {
  const std::string ranks = std::to_string(GetParam());
  EXPECT_THAT(run_gang(1, {"threads", ranks}, {{"FAKE_CUDA_DEVICES", ranks}}), Each(ended(0, "")));
}
// Every task of a stream is late by a random time: what isn't ordered by an event shows as wrong values.
TEST_P(NcclOnFake, GivesTheRightValuesWhenTheDeviceIsLate) {
  EXPECT_THAT(run_gang(GetParam(), {"reduce", "20", "30000"}, {{"FAKE_CUDA_JITTER_US", "2000"}}), Each(ended(0, "")));
}
INSTANTIATE_TEST_SUITE_P(WorldSizes, NcclOnFake, testing::Values(1, 2, 3, 4));

// ---- order: everything is on the caller's stream, and every task of a stream is late by a random time ----

std::vector<Result> run_ordering(int ranks, const std::string& faults) {
  Environment environment = {{"FAKE_CUDA_JITTER_US", "2000"}};
  if (!faults.empty()) environment["FAKE_CUDA_FAULT"] = faults;
  return run_gang(ranks, {}, environment, ULTRAMARINE_NCCL_ORDERING);
}

TEST(NcclOrdering, ACollectiveComesAfterAndBeforeWhatTheCallersStreamHolds) {
  for (const int ranks : {1, 2}) EXPECT_THAT(run_ordering(ranks, ""), Each(ended(0, "")));
}

// The test above would notice: each collective has two waits, the first for the caller's stream, the second of it.
TEST(NcclOrdering, AMissingEventWaitShowsAsWrongValues) {
  std::string first, second;
  for (int collective = 0; collective < 8; ++collective) {
    first +=
        (collective ? "," : "") + std::string("cudaStreamWaitEvent:") + std::to_string(2 * collective + 1) + ":skip";
    second +=
        (collective ? "," : "") + std::string("cudaStreamWaitEvent:") + std::to_string(2 * collective + 2) + ":skip";
  }
  EXPECT_THAT(run_ordering(1, first), Each(ended(5, HasSubstr("values are wrong"))));
  EXPECT_THAT(run_ordering(1, second), Each(ended(5, HasSubstr("values are wrong"))));
}

#ifdef ULTRAMARINE_NCCL_TSAN
// ThreadSanitizer sees it without any luck of timing: not one value needs to be wrong.
TEST(NcclOrdering, AMissingEventWaitIsADataRace) {
  const auto run = [](int ranks, const Environment& faults) {
    return run_gang(ranks, {}, faults, ULTRAMARINE_NCCL_TSAN);
  };
  EXPECT_THAT(run(2, {}), Each(ended(0, "")));
  for (const char* wait : {"cudaStreamWaitEvent:3:skip", "cudaStreamWaitEvent:4:skip"}) {
    EXPECT_THAT(run(1, {{"FAKE_CUDA_FAULT", wait}}), Each(ended(66, HasSubstr("WARNING: ThreadSanitizer: data race"))));
  }
}
#endif

// ---- faults: of rank 1 of 2, in the fifth all-reduce; the deadline of every wait is two seconds ----

class NcclFaults : public testing::Test {
 protected:
  NcclFaults() : started_(std::chrono::steady_clock::now()) {}
  void TearDown() override {
    EXPECT_LT(std::chrono::steady_clock::now() - started_, std::chrono::seconds(15)) << "long after the deadline";
  }
  static std::vector<Result> run(const Environment& faults) { return run_gang(2, {"reduce", "8", "2000"}, faults); }

  /// The error of `rank` in the fifth collective, after which its process lived on.
  static testing::Matcher<const std::string&> fifth(int rank, const std::string& reason) {
    return AllOf(HasSubstr("nccl: rank " + std::to_string(rank) +
                           " of 2: all_reduce sum of 10001 float32 (collective 5): " + reason),
                 HasSubstr("; flight record: "), HasSubstr("/flight-rank-" + std::to_string(rank) + ".jsonl"),
                 HasSubstr("lives on\n"));
  }

  std::chrono::steady_clock::time_point started_;
};

TEST_F(NcclFaults, WithoutAFaultAllIsWell) { EXPECT_THAT(run({}), Each(ended(0, ""))); }

TEST_F(NcclFaults, ADeadPeerThatNobodyNoticesIsGivenUpAtTheDeadline) {
  const auto results = run({{"FAKE_NCCL_FAULT", "rank=1;op=5;kind=die"}});
  EXPECT_THAT(results[0], ended(4, fifth(0, "not complete after 2000 ms")));
  EXPECT_EQ(results[1].exit_code, 128 + SIGKILL);
}

TEST_F(NcclFaults, ADeadPeerThatNcclNoticesIsReportedAtOnce) {
  const auto results = run({{"FAKE_NCCL_FAULT", "rank=1;op=5;kind=die"}, {"FAKE_NCCL_PEER_DEATH", "remoteerror"}});
  EXPECT_THAT(results[0], ended(3, fifth(0,
                                         "remote process exited or there was a network error (6): the process of "
                                         "rank 1 is gone")));
  EXPECT_EQ(results[1].exit_code, 128 + SIGKILL);
}

TEST_F(NcclFaults, AHangIsGivenUpAtTheDeadlineByEveryRank) {
  const auto results = run({{"FAKE_NCCL_FAULT", "rank=1;op=5;kind=hang"}});
  EXPECT_THAT(results[0], ended(4, fifth(0, "not complete after 2000 ms")));
  EXPECT_THAT(results[1], ended(4, fifth(1, "not complete after 2000 ms")));
}

TEST_F(NcclFaults, AnAsynchronousErrorIsReportedByEveryRank) {
  const auto results = run({{"FAKE_NCCL_FAULT", "rank=1;op=5;kind=async"}});
  const std::string reason = "remote process exited or there was a network error (6): injected asynchronous error";
  EXPECT_THAT(results[1], ended(3, fifth(1, reason)));
  // The other may hear of it while it still looks at the fourth.
  EXPECT_THAT(results[0], ended(3, AllOf(testing::ContainsRegex("nccl: rank 0 of 2: .*collective [45]"),
                                         HasSubstr(reason), HasSubstr("lives on\n"))));
}

TEST_F(NcclFaults, ASlowRankIsNoError) {
  EXPECT_THAT(run({{"FAKE_NCCL_FAULT", "rank=1;op=5;kind=slow:300"}}),
              testing::ElementsAre(ended(0, ""), ended(0, "")));
}

TEST_F(NcclFaults, AMismatchIsReportedByEveryRankAndNamesBothCalls) {
  const auto results = run_gang(2, {"reduce", "5", "2000", "mismatch"});
  EXPECT_THAT(results, Each(ended(3, AllOf(HasSubstr("(collective 5): invalid usage"),
                                           HasSubstr("ranks call different collectives"), HasSubstr("count=10000"),
                                           HasSubstr("count=10001"), HasSubstr("lives on")))));
}

TEST_F(NcclFaults, AFlippedBitIsSeenByWhoeverCompares) {
  const auto results = run({{"FAKE_NCCL_FAULT", "rank=1;op=5;kind=corrupt"}});
  EXPECT_THAT(results[0], ended(0, ""));  // NCCL itself says nothing
  EXPECT_THAT(results[1], ended(5, "rank 1: round 5: 1 of 10001 elements are wrong\n"));
}

TEST_F(NcclFaults, NoMemoryInsideNcclIsReportedThereAndMissedByTheOthers) {
  const auto results = run({{"FAKE_NCCL_FAULT", "rank=1;op=5;kind=memory"}});
  EXPECT_THAT(results[1], ended(3, fifth(1,
                                         "unhandled cuda error (run with NCCL_DEBUG=INFO for details) (1): Cuda "
                                         "failure 2 'out of memory'")));
  EXPECT_THAT(results[0], ended(4, fifth(0, "not complete after 2000 ms")));
}

TEST_F(NcclFaults, NoDeviceMemoryIsNamedWithItsSize) {
  // The first is the barrier's token.
  const auto results = run_gang(1, {"reduce", "1", "2000"}, {{"FAKE_CUDA_FAULT", "cudaMalloc:2:2"}});
  EXPECT_THAT(results[0].output, HasSubstr("CUDA: cudaMalloc of 40004 bytes: "));
  EXPECT_THAT(results[0].output, HasSubstr("(2)"));
  EXPECT_EQ(results[0].exit_code, 3);
}

TEST_F(NcclFaults, ARankThatHangsWhileJoiningIsGivenUp) {
  const auto results = run({{"FAKE_NCCL_FAULT", "rank=1;op=0;kind=hang"}});
  EXPECT_THAT(results[0], ended(4, HasSubstr("nccl: rank 0 of 2: joining the gang: not complete within 2000 ms")));
}

TEST_F(NcclFaults, TwoRanksOnOneDeviceAreRefused) {
  const auto results = run({{"LOCAL_RANK", "0"}});
  EXPECT_THAT(results,
              Each(ended(3, AllOf(HasSubstr("joining the gang: invalid usage"), HasSubstr("Duplicate GPU detected")))));
}

TEST_F(NcclFaults, AnErrorOfTheDeviceIsReportedWithItsNumber) {
  const auto results = run_gang(1, {"reduce", "8", "2000"}, {{"FAKE_CUDA_FAULT", "cudaStreamWaitEvent:5:2"}});
  EXPECT_THAT(results[0], ended(3, AllOf(HasSubstr("(collective 3): CUDA: cudaStreamWaitEvent: "), HasSubstr("(2)"))));
}

}  // namespace
