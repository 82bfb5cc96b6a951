// The rendezvous: threads as ranks, and processes; strangers, ranks of other gangs, ranks that don't come.
#include "collectives/rendezvous.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <thread>

namespace ultramarine::collectives {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
constexpr milliseconds long_enough = std::chrono::seconds(30);

/// An address of this machine that no other test process uses, so that ports free now stay free.
const std::string here = "127." + std::to_string(::getpid() >> 16 & 127) + "." + std::to_string(::getpid() >> 8 & 255) +
                         "." + std::to_string(1 + (::getpid() & 127));

sockaddr_in address_of(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, here.c_str(), &address.sin_addr);
  return address;
}

/// A free port of `here`; with `listening`, a socket that listens there.
std::uint16_t free_port(int* listening = nullptr) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = address_of(0);
  ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address);
  socklen_t size = sizeof address;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  if (listening) {
    ::listen(socket, 4);
    *listening = socket;
  } else {
    ::close(socket);
  }
  return ntohs(address.sin_port);
}

/// A connection to `port`, made as soon as somebody listens.
int connected(std::uint16_t port) {
  const sockaddr_in address = address_of(port);
  for (;;) {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
    ::close(socket);
    std::this_thread::yield();
  }
}

std::string all_from(int socket) {
  std::string text;
  char block[256];
  for (ssize_t count; (count = ::recv(socket, block, sizeof block, 0)) > 0;)
    text.append(block, static_cast<std::size_t>(count));
  return text;
}

/// What each rank got, or its error.
std::vector<std::string> on_threads(const std::vector<Rendezvous>& places, milliseconds deadline) {
  std::vector<std::string> results(places.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < places.size(); ++i) {
    threads.emplace_back([&, i] {
      try {
        results[i] = rendezvous(places[i], "from rank " + std::to_string(places[i].rank), deadline);
      } catch (const CollectiveError& error) {
        results[i] = error.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return results;
}

std::vector<Rendezvous> gang(std::uint16_t port, int world_size, const std::string& token = "12.1.1") {
  std::vector<Rendezvous> places;
  for (int rank = 0; rank < world_size; ++rank) places.push_back({here, port, rank, world_size, token});
  return places;
}

TEST(Rendezvous, GivesRankZerosBytesToEveryRank) {
  for (const int world_size : {1, 2, 3, 16})
    EXPECT_THAT(on_threads(gang(free_port(), world_size), long_enough), Each("from rank 0")) << world_size;
}

TEST(Rendezvous, CanFollowAnotherAtOnceOnTheSamePort) {
  const std::uint16_t port = free_port();
  for (int round = 0; round < 20; ++round) ASSERT_THAT(on_threads(gang(port, 3), long_enough), Each("from rank 0"));
}

TEST(Rendezvous, AlsoWorksBetweenProcesses) {
  const std::uint16_t port = free_port();
  std::vector<pid_t> children;
  for (int rank = 2; rank >= 0; --rank) {
    const pid_t child = ::fork();
    if (child == 0) {
      const std::string bytes(128, static_cast<char>('a' + rank));
      try {
        ::_exit(rendezvous({here, port, rank, 3, "t"}, bytes, long_enough) == std::string(128, 'a') ? 0 : 1);
      } catch (...) {
        ::_exit(2);
      }
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

TEST(Rendezvous, EveryRankThatCameHearsWhichDidNot) {
  const std::uint16_t port = free_port();
  auto places = gang(port, 4);
  places.erase(places.begin() + 1);
  const auto results = on_threads(places, milliseconds(400));
  EXPECT_EQ(results[0],
            "rendezvous: rank 1 of 4 didn't come to " + here + ":" + std::to_string(port) + " within 400 ms");
  for (const std::size_t rank : {1U, 2U}) EXPECT_THAT(results[rank], HasSubstr("rank 1 of 4 didn't come"));

  places.erase(places.begin() + 1);
  EXPECT_THAT(on_threads(places, milliseconds(400))[0], HasSubstr("ranks 1, 2 of 4 didn't come"));
}

TEST(Rendezvous, TheOthersHearItFromRankZeroEvenIfTheyWouldWaitLonger) {
  const std::uint16_t port = free_port();
  std::string heard;
  std::thread other([&] {
    try {
      rendezvous({here, port, 2, 3, "t"}, "", long_enough);
    } catch (const CollectiveError& error) {
      heard = error.what();
    }
  });
  EXPECT_THROW(rendezvous({here, port, 0, 3, "t"}, "", milliseconds(500)), DeadlineExceeded);
  other.join();
  EXPECT_THAT(heard, AllOf(HasSubstr("rendezvous: rank 2: rank 0 at 127."), HasSubstr("rank 1 of 3 didn't come")));
}

TEST(Rendezvous, WithoutRankZeroTheOthersSayWhereItShouldHaveBeen) {
  const std::uint16_t port = free_port();
  const auto results = on_threads({{here, port, 1, 2, "t"}}, milliseconds(100));
  EXPECT_EQ(results[0], "rendezvous: rank 1: rank 0 wasn't at " + here + ":" + std::to_string(port) +
                            " within 100 ms: Connection refused");
}

TEST(Rendezvous, RefusesRanksOfAnotherGangAndGoesOn) {
  const std::uint16_t port = free_port();
  auto places = gang(port, 3);
  places.push_back({here, port, 1, 3, "13.1.1"});
  std::vector<std::string> results(4);
  // The refused rank comes first, so that it can't miss the others.
  std::thread refused([&] { results[3] = on_threads({places[3]}, long_enough)[0]; });
  std::thread zero([&] { results[0] = on_threads({places[0]}, long_enough)[0]; });
  refused.join();
  EXPECT_THAT(results[3], HasSubstr("says: refused rank 1 of another gang (\"13.1.1\", this is \"12.1.1\")"));
  const auto others = on_threads({places[1], places[2]}, long_enough);
  zero.join();
  EXPECT_EQ(results[0], "from rank 0");
  EXPECT_THAT(others, Each("from rank 0"));
}

TEST(Rendezvous, RefusesAnotherWorldSizeAndARankThatCameAlready) {
  const std::uint16_t port = free_port();
  std::string zero;
  std::thread root([&] { zero = on_threads({{here, port, 0, 3, "t"}}, long_enough)[0]; });
  EXPECT_THAT(on_threads({{here, port, 1, 2, "t"}}, long_enough)[0],
              HasSubstr("refused rank 1 of a gang of 2 (this one has 3 ranks)"));
  // Of two that both say they are rank 1 the later is refused; then rank 2 frees the earlier.
  std::vector<std::string> twins(2);
  std::vector<std::thread> threads;
  for (std::string& twin : twins)
    threads.emplace_back([&] {
      twin = on_threads({{here, port, 1, 3, "t"}}, long_enough)[0];
      if (twin != "from rank 0") on_threads({{here, port, 2, 3, "t"}}, long_enough);
    });
  for (auto& thread : threads) thread.join();
  root.join();
  EXPECT_EQ(zero, "from rank 0");
  EXPECT_THAT(twins, testing::UnorderedElementsAre("from rank 0", HasSubstr("refused rank 1 a second time")));
}

TEST(Rendezvous, StrangersDontDisturbIt) {
  const std::uint16_t port = free_port();
  std::string zero;
  std::thread root([&] { zero = on_threads({{here, port, 0, 2, "t"}}, long_enough)[0]; });
  const int silent = connected(port), gone = connected(port), browser = connected(port), half = connected(port);
  ::close(gone);
  ASSERT_GT(::send(browser, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 0);
  EXPECT_THAT(all_from(browser), HasSubstr("refused a stranger"));
  ASSERT_GT(::send(half, "ultramarine", 11, MSG_NOSIGNAL), 0);
  EXPECT_EQ(on_threads({{here, port, 1, 2, "t"}}, long_enough)[0], "from rank 0");
  root.join();
  EXPECT_EQ(zero, "from rank 0");
  for (const int socket : {silent, browser, half}) ::close(socket);
}

TEST(Rendezvous, ARankThatDiedMayComeAgain) {
  const std::uint16_t port = free_port();
  std::string zero;
  std::thread root([&] { zero = on_threads({{here, port, 0, 3, ""}}, long_enough)[0]; });
  const int first = connected(port);
  const std::string hello = std::string("ultramarine rendezvous 1\n") + std::string("\0\0\0\1\0\0\0\3\0\0\0\0", 12);
  ASSERT_GT(::send(first, hello.data(), hello.size(), MSG_NOSIGNAL), 0);
  ::close(first);
  EXPECT_THAT(on_threads({{here, port, 1, 3, ""}, {here, port, 2, 3, ""}}, long_enough), Each("from rank 0"));
  root.join();
  EXPECT_EQ(zero, "from rank 0");
}

TEST(Rendezvous, TakesAName) {
  const std::uint16_t port = free_port();
  EXPECT_THAT(on_threads({{"localhost", port, 0, 2, "t"}, {"localhost", port, 1, 2, "t"}}, long_enough),
              Each("from rank 0"));
}

TEST(Rendezvous, SaysWhoElseListensThere) {
  int listening = -1;
  const std::uint16_t port = free_port(&listening);
  EXPECT_THAT(on_threads({{here, port, 0, 2, ""}}, milliseconds(100))[0],
              HasSubstr("rank 0 can't listen at " + here + ":" + std::to_string(port) + ": Address already in use"));
  std::thread other([&] {
    const int visitor = ::accept(listening, nullptr, nullptr);
    ::send(visitor, "HTTP/1.1 400 Bad Request\r\n", 26, MSG_NOSIGNAL);
    all_from(visitor);
    ::close(visitor);
  });
  EXPECT_THAT(on_threads({{here, port, 1, 2, ""}}, long_enough)[0], HasSubstr("is no rank 0 of ours"));
  other.join();
  ::close(listening);
}

class RendezvousEnvironment : public testing::Test {
 protected:
  RendezvousEnvironment() { clear(); }
  ~RendezvousEnvironment() override { clear(); }
  static void clear() {
    for (const char* name :
         {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "ULTRA_JOB_ID", "ULTRA_ATTEMPT", "ULTRA_GANG"})
      unsetenv(name);
  }
  static std::string error() {
    try {
      rendezvous_from_environment();
      return "";
    } catch (const CollectiveError& error) {
      return error.what();
    }
  }
};

TEST_F(RendezvousEnvironment, NamesWhatIsMissing) {
  EXPECT_EQ(rendezvous_from_environment().world_size, 1);
  EXPECT_EQ(rendezvous_from_environment().rank, 0);
  setenv("WORLD_SIZE", "4", 1);
  EXPECT_THAT(error(), HasSubstr("RANK isn't set, but WORLD_SIZE is 4"));
  setenv("RANK", "four", 1);
  EXPECT_THAT(error(), HasSubstr("RANK: \"four\" in the environment isn't a number"));
  setenv("RANK", "4", 1);
  EXPECT_THAT(error(), HasSubstr("MASTER_ADDR isn't set"));
  setenv("MASTER_ADDR", "node-1", 1);
  EXPECT_THAT(error(), HasSubstr("MASTER_PORT isn't set"));
  setenv("MASTER_PORT", "29500", 1);
  EXPECT_THAT(error(), HasSubstr("RANK is 4, but WORLD_SIZE is 4"));
  setenv("RANK", "3", 1);
  setenv("ULTRA_JOB_ID", "12", 1);
  setenv("ULTRA_ATTEMPT", "2", 1);
  const Rendezvous place = rendezvous_from_environment();
  EXPECT_EQ(place.address, "node-1");
  EXPECT_EQ(place.port, 29500);
  EXPECT_EQ(place.rank, 3);
  EXPECT_EQ(place.token, "12.2");
}

}  // namespace
}  // namespace ultramarine::collectives
