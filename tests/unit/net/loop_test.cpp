// The loop: posting, timers, watches, signals, and handles that are destroyed from inside their own handler.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <vector>

#include "tests/unit/net/support.h"

namespace ultramarine::net {
namespace {

TEST(Loop, RunsWhatOthersPostInTheirOrder) {
  Loop loop;
  constexpr int threads = 8;
  constexpr int each = 2000;
  std::vector<std::vector<int>> seen(threads);
  int left = threads * each;
  std::vector<std::thread> posters;
  for (int thread = 0; thread < threads; ++thread) {
    posters.emplace_back([&, thread] {
      for (int i = 0; i < each; ++i) {
        loop.post([&, thread, i] {
          seen[static_cast<std::size_t>(thread)].push_back(i);
          if (--left == 0) loop.stop();
        });
      }
    });
  }
  run_until_stopped(loop);
  for (auto& poster : posters) poster.join();
  for (const auto& order : seen) {
    ASSERT_EQ(order.size(), static_cast<std::size_t>(each));
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  }
}

TEST(Loop, CanRunAgainAfterItStopped) {
  Loop loop;
  int runs = 0;
  for (int round = 0; round < 3; ++round) {
    loop.post([&] {
      ++runs;
      loop.stop();
    });
    run_until_stopped(loop);
  }
  EXPECT_EQ(runs, 3);
  loop.post([&] { ++runs; });
  loop.run_for(0ms);
  loop.run_for(0ms);
  EXPECT_EQ(runs, 4);
}

TEST(Loop, AStopBeforeRunIsNotLost) {
  Loop loop;
  std::thread([&] { loop.stop(); }).join();
  loop.run();
  loop.post([&] { loop.stop(); });
  loop.run();
}

TEST(Loop, RunForWaitsForWhatBecomesReady) {
  Loop loop;
  bool ran = false;
  const auto timer = loop.after(5ms, [&] {
    ran = true;
    loop.stop();
  });
  const auto begin = std::chrono::steady_clock::now();
  loop.run_for(20s);
  EXPECT_TRUE(ran);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 15s);
}

TEST(Timer, GoesOffInTheOrderOfTime) {
  Loop loop;
  std::vector<int> order;
  const auto third = loop.after(30ms, [&] {
    order.push_back(3);
    loop.stop();
  });
  const auto first = loop.after(1ms, [&] { order.push_back(1); });
  const auto second = loop.after(10ms, [&] { order.push_back(2); });
  run_until_stopped(loop);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(Timer, CancelledOrDestroyedNeverRuns) {
  Loop loop;
  bool ran = false;
  const auto cancelled = loop.after(1ms, [&] { ran = true; });
  auto destroyed = loop.after(1ms, [&] { ran = true; });
  cancelled->cancel();
  destroyed.reset();
  const auto later = loop.after(20ms, [&] { loop.stop(); });
  run_until_stopped(loop);
  EXPECT_FALSE(ran);
}

TEST(Timer, CancelledByAHandlerThatIsReadyAtTheSameMomentNeverRuns) {
  Loop loop;
  std::unique_ptr<Loop::Timer> one;
  std::unique_ptr<Loop::Timer> other;
  int ran = 0;
  one = loop.after(0ms, [&] {
    ++ran;
    other->cancel();
  });
  other = loop.after(0ms, [&] {
    ++ran;
    one->cancel();
  });
  const auto later = loop.after(20ms, [&] { loop.stop(); });
  run_until_stopped(loop);
  EXPECT_EQ(ran, 1);
}

TEST(Timer, MayDestroyItselfInItsHandler) {
  Loop loop;
  std::unique_ptr<Loop::Timer> timer;
  const auto owned = std::make_shared<int>(7);
  timer = loop.after(0ms, [&timer, &loop, owned] {
    timer.reset();
    EXPECT_EQ(*owned, 7);  // the handler is still whole
    loop.stop();
  });
  run_until_stopped(loop);
  EXPECT_EQ(owned.use_count(), 1);
}

TEST(Timer, MayOutliveItsLoop) {
  std::unique_ptr<Loop::Timer> timer;
  {
    Loop loop;
    timer = loop.after(1h, [] {});
  }
  timer->cancel();
}

TEST(Watch, IsCalledAsLongAsSomethingIsLeftToRead) {
  Loop loop;
  const Pipe pipe;
  std::string seen;
  const auto watch = loop.on_readable(pipe.ends[0], [&] {
    char c = 0;
    ASSERT_EQ(::read(pipe.ends[0], &c, 1), 1);
    seen += c;
    if (seen.size() == 4) loop.stop();
  });
  for (const char c : {'a', 'b', 'c'}) pipe.put(c);
  const auto later = loop.after(10ms, [&] { pipe.put('d'); });
  run_until_stopped(loop);
  EXPECT_EQ(seen, "abcd");
}

TEST(Watch, LeavesTheDescriptorOpenAndLetsItBeWatchedAgain) {
  Loop loop;
  const Pipe pipe;
  int calls = 0;
  std::unique_ptr<Loop::Watch> watch;
  watch = loop.on_readable(pipe.ends[0], [&] { ADD_FAILURE() << "the first watch is gone"; });
  watch.reset();
  pipe.put('x');
  watch = loop.on_readable(pipe.ends[0], [&] {
    ++calls;
    watch.reset();  // from inside its own handler
    char c = 0;
    EXPECT_EQ(::read(pipe.ends[0], &c, 1), 1);
    loop.stop();
  });
  run_until_stopped(loop);
  EXPECT_EQ(calls, 1);
  EXPECT_GE(::fcntl(pipe.ends[0], F_GETFD), 0);
}

TEST(Watch, ReadsDatagrams) {
  Loop loop;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
  std::vector<std::string> seen;
  auto watch = loop.on_readable(ends[0], [&] {
    char buffer[100];
    for (ssize_t length; (length = ::recv(ends[0], buffer, sizeof(buffer), 0)) >= 0;) seen.emplace_back(buffer, static_cast<std::size_t>(length));
    EXPECT_EQ(errno, EAGAIN) << "the descriptor must be non-blocking";
    if (seen.size() >= 2) loop.stop();
  });
  for (const std::string text : {"step", "phase"}) ASSERT_EQ(::send(ends[1], text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  run_until_stopped(loop);
  EXPECT_EQ(seen, (std::vector<std::string>{"step", "phase"}));
  watch.reset();
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Watch, SeesTheEndOfAProcess) {
  Loop loop;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  ASSERT_GE(fd, 0);
  std::unique_ptr<Loop::Watch> watch;
  int status = 0;
  watch = loop.on_readable(fd, [&] {
    EXPECT_EQ(::waitpid(child, &status, WNOHANG), child);
    watch.reset();
    loop.stop();
  });
  loop.post([&] { ::kill(child, SIGKILL); });
  run_until_stopped(loop);
  EXPECT_TRUE(WIFSIGNALED(status));
  ::close(fd);
}

TEST(Watch, RefusesARegularFile) {
  Loop loop;
  const TemporaryFolder folder;
  const int fd = ::open((folder / "file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(net_error_of([&] { (void)loop.on_readable(fd, [] {}); }), EPERM);
  EXPECT_GE(::fcntl(fd, F_GETFD), 0) << "still open";
  ::close(fd);
}

TEST(Watch, MayOutliveItsLoop) {
  const Pipe pipe;
  std::unique_ptr<Loop::Watch> watch;
  {
    Loop loop;
    watch = loop.on_readable(pipe.ends[0], [] {});
  }
  watch.reset();
  EXPECT_GE(::fcntl(pipe.ends[0], F_GETFD), 0);
}

TEST(Signals, CallTheHandlerEachTime) {
  Loop loop;
  std::vector<int> seen;
  loop.on_signals({SIGUSR1, SIGUSR2}, [&](int number) {
    seen.push_back(number);
    if (seen.size() == 1) ::kill(::getpid(), SIGUSR2);
    if (seen.size() == 2) loop.stop();
  });
  ::kill(::getpid(), SIGUSR1);
  run_until_stopped(loop);
  EXPECT_EQ(seen, (std::vector<int>{SIGUSR1, SIGUSR2}));
}

TEST(Loop, DestroyingItReleasesWhatWaits) {
  const auto owned = std::make_shared<int>(1);
  std::unique_ptr<Loop::Timer> timer;
  {
    Loop loop;
    loop.post([owned] {});
    timer = loop.after(1h, [owned] {});
    EXPECT_EQ(owned.use_count(), 3);
  }
  EXPECT_EQ(owned.use_count(), 1);
}

}  // namespace
}  // namespace ultramarine::net
