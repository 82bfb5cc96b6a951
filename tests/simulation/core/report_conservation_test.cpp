// Nothing that was allocated is lost in a report, and nothing is charged twice: over random walks, what all accounts are charged in all spans of time
// together is what was held, summed up here from the journal alone. Also in the middle of a walk, while attempts are open.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "scheduler/core/prices.h"
#include "scheduler/core/report.h"
#include "tests/simulation/core/world.h"

namespace ultramarine::core {
namespace {

/// GPUs held x time by account, from who started when and whose end came when.
class Meter {
 public:
  void see(Time at, const Entry& entry, const State& before) {
    pass(at);
    if (const auto* round = std::get_if<Round>(&entry)) {
      for (const Decision& decision : round->decisions)
        if (const auto* start = std::get_if<StartJob>(&decision)) begin(*start, before);
    }
    if (const auto* ended = std::get_if<AttemptEnded>(&entry)) held_.erase({ended->job, ended->attempt});
  }
  void pass(Time at) {
    for (const auto& [key, holder] : held_) used_[holder.account] += holder.gpus * (at - last_).ms;
    last_ = at;
  }
  const std::map<std::string, std::int64_t>& used() const { return used_; }
  std::size_t open() const { return held_.size(); }

 private:
  struct Holder {
    std::string account;
    std::int64_t gpus = 0;
  };
  void begin(const StartJob& start, const State& before) {
    Holder& holder = held_[{start.job, start.attempt}];
    holder.account = before.jobs.at(start.job).spec.account;
    for (const NodeAllocation& part : start.allocation) holder.gpus += static_cast<std::int64_t>(part.devices.size());
  }

  Time last_{0};
  std::map<std::pair<JobId, std::int64_t>, Holder> held_;
  std::map<std::string, std::int64_t> used_;
};

/// The accounts' sums over spans that cover all of the walk, cut where no event has to be.
std::map<std::string, AccountReport> summed(const State& state, Time first, Time now) {
  constexpr std::int64_t spans = 7;
  const std::int64_t length = (now - first).ms / (spans - 1) + 1;  // the last one reaches beyond now
  std::map<std::string, AccountReport> sums;
  for (std::int64_t span = 0; span < spans; ++span) {
    const Time start{first.ms + span * length};
    const Report made = report(state, start, start + Duration{length}, now);
    std::int64_t used = 0, cost = 0;
    for (const AccountReport& row : made.accounts) {
      AccountReport& sum = sums[row.account];
      sum.used_gpu_ms += row.used_gpu_ms;
      sum.jobs_tried += row.jobs_tried;
      sum.jobs_completed += row.jobs_completed;
      sum.jobs_failed += row.jobs_failed;
      used += row.used_gpu_ms;
      cost += row.cost_milli;
      EXPECT_LE(row.failed_gpu_ms + row.idle_gpu_ms, row.used_gpu_ms) << row.account;
      EXPECT_LE(row.jobs_failed_early, row.jobs_failed) << row.account;
    }
    EXPECT_EQ(made.total.used_gpu_ms, used);
    EXPECT_EQ(made.total.cost_milli, cost);
    const auto rows = static_cast<std::int64_t>(made.accounts.size());
    EXPECT_LE(std::abs(2 * (cost_milli(used, prices_of(state.cluster).per_gpu_hour_milli) - cost)), rows + 1) << "half a thousandth for each row";
  }
  return sums;
}

void expect_all_charged(const State& state, const Meter& meter, Time first, Time now) {
  const auto sums = summed(state, first, now);
  for (const auto& [account, used] : meter.used()) {
    const auto sum = sums.find(account);
    ASSERT_NE(sum, sums.end()) << account;
    ASSERT_EQ(sum->second.used_gpu_ms, used) << account;
  }
  std::int64_t tried = 0, held = 0, ended = 0;
  for (const auto& [account, sum] : sums) {
    ASSERT_TRUE(sum.used_gpu_ms == 0 || meter.used().contains(account)) << account;
    tried += sum.jobs_tried;
    ended += sum.jobs_completed + sum.jobs_failed;
  }
  for (const auto& [id, job] : state.jobs) {
    held += !job.attempts.empty() && !job.attempts.back().allocation.empty();
    ended -= job.state == JobState::completed || job.state == JobState::failed;
  }
  ASSERT_GE(tried, held) << "a job that ran and was then rejected was tried, too";
  ASSERT_LE(tried, static_cast<std::int64_t>(state.jobs.size()));
  ASSERT_EQ(ended, 0) << "each job ends in one span";
}

TEST(Report, ChargesAllThatWasAllocatedOnceInRandomWalks) {
  std::uint64_t first_seed = 1, seeds = 6;
  if (const char* seed = std::getenv("ULTRAMARINE_SEED")) first_seed = std::strtoull(seed, nullptr, 10), seeds = 1;
  std::size_t looks = 0, open = 0;
  std::int64_t used = 0;
  for (std::uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed) + "; again with: ULTRAMARINE_SEED=" + std::to_string(seed) + " ultramarine_core_simulation --gtest_filter=Report.*");
    World world(seed);
    for (int step = 0; step < 1200 && world.complaints().empty(); ++step) world.step();
    ASSERT_TRUE(world.complaints().empty()) << world.complaints().front();
    world.heal();
    const auto& journal = world.journal();
    const Time first = journal.front().at;
    Scheduler replayed;
    Meter meter;
    meter.pass(first);
    for (std::size_t entry = 0; entry < journal.size(); ++entry) {
      meter.see(journal[entry].at, journal[entry].entry, replayed.state());
      replayed.apply(journal[entry].at, journal[entry].entry);
      const bool is_last = entry + 1 == journal.size();
      if (entry % 10 != 0 && !is_last) continue;
      State state = replayed.state();
      state.cluster.money = {.currency = "EUR", .price_per_gpu_hour_milli = 2'357};
      const Time now = is_last ? journal[entry].at : Time{(journal[entry].at.ms + journal[entry + 1].at.ms) / 2};
      meter.pass(now);
      ASSERT_NO_FATAL_FAILURE(expect_all_charged(state, meter, first, now));
      ++looks;
      open += meter.open();
    }
    for (const auto& [account, gpu_ms] : meter.used()) used += gpu_ms;
    for (const auto& [account, gpu_ms] : world.scheduler().state().allocated_gpu_ms) used -= gpu_ms;
    ASSERT_EQ(used, 0) << "at the end every attempt has ended, and the state's own sums say the same";
  }
  if (seeds == 1) return;  // too few to go everywhere
  EXPECT_GT(looks, 100u);
  EXPECT_GT(open, 100u) << "the looks must find attempts that are open";
}

}  // namespace
}  // namespace ultramarine::core
