// When ranks that report their steps count as still, from what they say alone; and what two looks at real processes tell.
#include "worker/launcher/step_watch.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "worker/launcher/process_look.h"

namespace ultramarine::launcher {
namespace {

using std::chrono::milliseconds;
using Moment = StepWatch::Moment;
using protocol::CheckpointProgress;
using protocol::CollectiveProgress;
using protocol::PhaseProgress;
using protocol::StepProgress;

constexpr std::int64_t sender = 4711;
const Moment t0{std::chrono::hours(1)};

Moment at(std::int64_t ms) { return t0 + milliseconds(ms); }

struct Watch : StepWatch {
  explicit Watch(HangConfig settings = {}) : StepWatch(settings, {0, 1, 2, 3}) {}
  bool step(std::int64_t ms, std::int64_t rank, std::int64_t number, std::int64_t from = sender) { return take(at(ms), StepProgress{.rank = rank, .step = number}, from); }
  std::int64_t deadline_ms() const { return std::chrono::duration_cast<milliseconds>(deadline() - t0).count(); }
};

TEST(StepWatch, WhoWaitsForAnAnswerBeginsAnew) {
  Watch watch;
  watch.step(0, 0, 1);
  watch.step(100, 0, 2);
  ASSERT_EQ(watch.deadline_ms(), 15'100);
  watch.still_waits(at(12'000));
  EXPECT_EQ(watch.deadline_ms(), 27'000);
}

TEST(StepWatch, JudgesOnlyWhoHasReportedTwoSteps) {
  Watch watch;
  EXPECT_FALSE(watch.watched());
  watch.take(at(0), PhaseProgress{.rank = 0, .name = "compiling", .limit_ms = seconds(600)}, sender);
  watch.take(at(10), CollectiveProgress{.rank = 0, .count = 5}, sender);
  EXPECT_TRUE(watch.step(20, 0, 1));
  EXPECT_FALSE(watch.watched());
  EXPECT_FALSE(watch.step(30, 0, 1)) << "said twice";
  EXPECT_FALSE(watch.watched());
  EXPECT_TRUE(watch.step(70, 0, 2));
  EXPECT_TRUE(watch.watched());
  EXPECT_EQ(watch.limit(), milliseconds(15'000));
  EXPECT_EQ(watch.deadline_ms(), 15'070);
}

TEST(StepWatch, TheLimitGrowsWithTheStepsOfTheSlowestRank) {
  Watch watch;
  for (int i = 0; i < 6; ++i) {
    watch.step(i * 4'000, 0, i);
    watch.step(i * 4'000 + 1, 1, i);
  }
  EXPECT_EQ(watch.limit(), milliseconds(20'000));
  // One long step doesn't count: the median does.
  watch.step(60'000, 0, 6);
  EXPECT_EQ(watch.limit(), milliseconds(20'000));
  EXPECT_EQ(watch.deadline_ms(), 80'000);
}

TEST(StepWatch, WhoReportsSeldomIsGivenTime) {
  Watch watch;
  for (int i = 0; i < 4; ++i) watch.step(i * 30'000, 0, i * 100);
  EXPECT_EQ(watch.limit(), milliseconds(150'000));
  RankStillness seen{.rank = 0};
  watch.describe(seen);
  EXPECT_EQ(seen.step, 300);
  EXPECT_EQ(seen.step_stride, 100);
}

TEST(StepWatch, APhaseLastsAsLongAsItSays) {
  Watch watch;
  watch.step(0, 0, 1), watch.step(50, 0, 2), watch.step(50, 1, 1), watch.step(100, 1, 2);
  watch.take(at(200), PhaseProgress{.rank = 1, .name = "evaluating", .limit_ms = seconds(600)}, sender);
  EXPECT_EQ(watch.deadline_ms(), 600'200);
  watch.step(300, 0, 3);
  EXPECT_EQ(watch.deadline_ms(), 600'200) << "another rank's steps don't end it";
  watch.step(400, 1, 3);
  EXPECT_EQ(watch.deadline_ms(), 15'400) << "its own do";
  watch.take(at(500), PhaseProgress{.rank = 1, .name = "saving", .limit_ms = seconds(5)}, sender);
  EXPECT_EQ(watch.deadline_ms(), 15'500) << "a short one doesn't shorten the limit";
  watch.take(at(600), PhaseProgress{.rank = 1, .name = "", .limit_ms = {}}, sender);
  EXPECT_EQ(watch.deadline_ms(), 15'600);
}

TEST(StepWatch, CollectivesAndCheckpointsAreSignsOfProgress) {
  Watch watch;
  watch.step(0, 0, 1), watch.step(50, 0, 2);
  EXPECT_TRUE(watch.take(at(1'000), CollectiveProgress{.rank = 1, .count = 1}, sender));
  EXPECT_FALSE(watch.take(at(2'000), CollectiveProgress{.rank = 1, .count = 1}, sender)) << "none more";
  EXPECT_EQ(watch.deadline_ms(), 16'000);
  EXPECT_TRUE(watch.take(at(3'000), CheckpointProgress{.rank = 0, .step = 2, .path = "/p"}, sender));
  EXPECT_EQ(watch.deadline_ms(), 18'000);
}

TEST(StepWatch, GoingBackIsMovingToo) {
  Watch watch;
  for (int i = 0; i < 5; ++i) watch.step(i * 50, 0, 100 + i);
  EXPECT_TRUE(watch.step(1'000, 0, 50)) << "it took up an older checkpoint";
  EXPECT_EQ(watch.deadline_ms(), 16'000);
  RankStillness seen{.rank = 0};
  watch.describe(seen);
  EXPECT_EQ(seen.step_stride, 1);
}

TEST(StepWatch, WhoseReporterHasEndedIsNotJudged) {
  Watch watch;
  watch.step(0, 0, 1, 10), watch.step(50, 0, 2, 10);
  watch.step(0, 1, 1, 11), watch.step(50, 1, 2, 11);
  EXPECT_EQ(watch.senders(), (std::set<std::int64_t>{10, 11}));
  watch.sender_ended(10);
  EXPECT_TRUE(watch.watched());
  watch.sender_ended(11);
  EXPECT_FALSE(watch.watched());
  watch.step(90'000, 0, 3, 12);
  EXPECT_FALSE(watch.watched()) << "the next program has to show two steps of its own";
  watch.step(90'050, 0, 4, 12);
  EXPECT_TRUE(watch.watched());
  EXPECT_EQ(watch.limit(), milliseconds(15'000)) << "what was between the programs is no step";
}

TEST(StepWatch, NumbersOfStrangersCountForTheNode) {
  Watch watch;
  watch.step(0, 77, 1), watch.step(50, 77, 2);
  EXPECT_TRUE(watch.watched());
  RankStillness seen{.rank = 0};
  watch.describe(seen);
  EXPECT_FALSE(seen.step);
}

TEST(StepWatch, TimeInWhichNobodyRanIsForgiven) {
  Watch watch;
  watch.step(0, 0, 1), watch.step(50, 0, 2);
  watch.forgive(milliseconds(3'000));
  EXPECT_EQ(watch.deadline_ms(), 18'050);
}

TEST(StepWatch, InRandomStoriesTheDeadlineIsNeverBeforeWhatWasPromised) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::uint64_t state = seed * 0x9e3779b97f4a7c15u;
    const auto below = [&](std::uint64_t most) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      return static_cast<std::int64_t>((state >> 33) % most);
    };
    const HangConfig settings{.after_ms = {1 + below(3'000)}, .steps = 1 + below(8)};
    Watch watch(settings);
    std::int64_t now = 0, steps[4] = {};
    for (int i = 0; i < 200; ++i) {
      now += below(400);
      const std::int64_t rank = below(4);
      std::int64_t promised = now + settings.after_ms.ms;
      const auto kind = below(10);
      if (kind == 0) {
        const std::int64_t limit = below(10'000);
        watch.take(at(now), PhaseProgress{.rank = rank, .name = "p", .limit_ms = {limit}}, sender);
        promised = std::max(promised, now + limit);
      } else if (kind == 1) {
        watch.take(at(now), CollectiveProgress{.rank = rank, .count = i + 1}, sender);
      } else {
        watch.step(now, rank, ++steps[rank]);
      }
      ASSERT_GE(watch.deadline_ms(), promised) << "seed " << seed << " at " << i;
    }
  }
}

/// A child that does one thing; killed at the end.
class Child {
 public:
  template <class Work>
  explicit Child(Work work) : pid_(::fork()) {
    if (pid_ == 0) {
      work();
      ::_exit(0);
    }
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  const pid_t pid_;
};

/// What two looks say of each, the second as soon as the first of them has used `cpu` in between.
std::vector<RankStillness> seen(const std::vector<std::int64_t>& pids, Duration cpu = {}) {
  const auto first = look_at(pids);
  while (true) {
    const auto second = look_at(pids);
    std::vector<RankStillness> all;
    for (std::size_t i = 0; i < pids.size(); ++i) all.push_back(compare(pids[i], first[i], second[i], {1}));
    if (all.front().cpu_ms >= cpu) return all;
    ::sched_yield();
  }
}

TEST(ProcessLook, TellsWhoIsStoppedWhoWorksAndWhoSleeps) {
  Child busy([] {
    volatile unsigned rounds = 0;
    while (true) rounds = rounds + 1;
  });
  Child idle([] { ::pause(); });
  Child stopped([] { ::raise(SIGSTOP); });
  int status = 0;
  ASSERT_EQ(::waitpid(stopped.pid(), &status, WUNTRACED), stopped.pid());
  const auto all = seen({busy.pid(), idle.pid(), stopped.pid()}, Duration{100});
  const RankStillness &works = all[0], &sleeps = all[1], &stands = all[2];
  EXPECT_EQ(works.state, "R");
  EXPECT_GT(works.cpu_ms.ms, 20);
  EXPECT_EQ(sleeps.state, "S");
  EXPECT_LE(sleeps.cpu_ms.ms, 10);
  EXPECT_EQ(stands.state, "T");
  EXPECT_EQ(stands.pid, stopped.pid());
  EXPECT_TRUE(stands.is_alone);
  EXPECT_FALSE(stands.program.empty());
}

TEST(ProcessLook, AStoppedChildSpeaksForItsRank) {
  int words[2];
  ASSERT_EQ(::pipe(words), 0);
  Child rank([&] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::raise(SIGSTOP);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, WUNTRACED);
    [[maybe_unused]] const auto written = ::write(words[1], &child, sizeof child);
    ::pause();
  });
  pid_t child = 0;
  ASSERT_EQ(::read(words[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  const RankStillness its = seen({rank.pid()}).front();
  EXPECT_EQ(its.state, "T");
  EXPECT_EQ(its.pid, child);
  EXPECT_FALSE(its.is_alone);
  ::kill(child, SIGKILL);
  ::close(words[0]);
  ::close(words[1]);
}

TEST(ProcessLook, AZombieThatNobodyAskedAboutIsNoHang) {
  int words[2];
  ASSERT_EQ(::pipe(words), 0);
  Child rank([&] {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
    [[maybe_unused]] const auto written = ::write(words[1], "x", 1);
    ::pause();
  });
  char word = 0;
  ASSERT_EQ(::read(words[0], &word, 1), 1);
  std::string state = "R";  // until it has reached its pause
  while (state == "R") state = seen({rank.pid()}).front().state;
  EXPECT_EQ(state, "S");
  ::close(words[0]);
  ::close(words[1]);
}

}  // namespace
}  // namespace ultramarine::launcher
