// Prices and reports, against numbers that were worked out by hand.
#include "scheduler/core/report.h"

#include <gtest/gtest.h>

#include "scheduler/core/prices.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

constexpr std::int64_t hour_ms = 3'600'000;

ClusterConfig with_money(ClusterConfig cluster, MoneyConfig money) {
  cluster.money = std::move(money);
  return cluster;
}

TEST(Prices, FollowFromWhatTheClusterCosts) {
  const MoneyConfig example{.currency = "KRW", .capital_cost_milli = 8'000'000'000'000, .lifetime_years = 4, .monthly_running_cost_milli = 50'000'000'000,
                            .cloud_price_per_gpu_hour_milli = 5'600'000};
  // (8e9 / 35,064 h + 50e6 / 730.5 h) / 64 = (228,154.2322 + 68,446.2697) / 64 = 4,634.38284
  EXPECT_EQ(prices_of(with_money(cluster_of(8, 8), example)), (Prices{4'634'383, 5'600'000}));
  EXPECT_EQ(prices_of(with_money(cluster_of(4, 8), example)).per_gpu_hour_milli, 9'268'766) << "half the GPUs, twice the price: 9,268.76569";
  MoneyConfig capital = example, running = example;
  capital.monthly_running_cost_milli = 0;
  running.capital_cost_milli = running.lifetime_years = 0;
  EXPECT_EQ(prices_of(with_money(cluster_of(8, 8), capital)).per_gpu_hour_milli, 3'564'910) << "228,154.2322 / 64 = 3,564.90988";
  EXPECT_EQ(prices_of(with_money(cluster_of(8, 8), running)).per_gpu_hour_milli, 1'069'473) << "68,446.2697 / 64 = 1,069.47296";
}

TEST(Prices, OneThatIsSaidIsChargedWhateverTheCosts) {
  MoneyConfig money{.currency = "EUR", .price_per_gpu_hour_milli = 2'357, .capital_cost_milli = 1'000'000'000, .lifetime_years = 4};
  EXPECT_EQ(prices_of(with_money(cluster_of(1, 8), money)), (Prices{2'357, 0}));
  EXPECT_EQ(prices_of(cluster_of(1, 8)), Prices{}) << "nothing is said";
}

TEST(Prices, RoundToTheNearestThousandth) {
  EXPECT_EQ(cost_milli(hour_ms, 2'357), 2'357);
  EXPECT_EQ(cost_milli(hour_ms / 2, 2'357), 1'179) << "1,178.5: halves upwards";
  EXPECT_EQ(cost_milli(hour_ms / 2 - 1, 2'357), 1'178);
  EXPECT_EQ(cost_milli(0, 2'357), 0);
  EXPECT_EQ(cost_milli(1'000'000'000 * hour_ms, 5'600'000), 5'600'000'000'000'000) << "a product beyond 64 bits";
}

/// The waits, runs and ends of each test are its own; one GPU-hour costs 2.000 and in the cloud 3.000.
struct Story : Driver {
  explicit Story() : Driver(cluster()) { now = start; }
  static ClusterConfig cluster() {
    ClusterConfig cluster = with_money(cluster_of(2, 8), {.currency = "EUR", .price_per_gpu_hour_milli = 2'000, .cloud_price_per_gpu_hour_milli = 3'000});
    cluster.accounts = {{.name = "research", .shares = 3}, {.name = "vision", .parent = "research", .shares = 1, .members = {"*"}},
                        {.name = "speech", .parent = "research", .shares = 4}, {.name = "guests", .shares = 1}};
    return cluster;
  }
  JobId submit_for(const std::string& account, std::int64_t gpus, Duration limit = hours(100)) {
    JobSpec spec = spec_of({.gpus = gpus}, limit);
    spec.account = account;
    return submit(spec);
  }
  Report november(const std::string& account = "") const { return report(scheduler.state(), start, start + hours(720), now, account); }
  AccountReport of(const std::string& account) const {
    for (const AccountReport& row : november().accounts)
      if (row.account == account) return row;
    ADD_FAILURE() << "no row for " << account;
    return {};
  }
  void wait(Duration length) { now = now + length; }

  static constexpr Time start{1'793'491'200'000};
};

TEST(Report, OfNothingHasARowForEachAccount) {
  Story story;
  const Report made = story.november();
  ASSERT_EQ(made.accounts.size(), 4u);
  EXPECT_EQ(made.accounts[0].account, "research");
  EXPECT_EQ(made.accounts[1].account, "vision");
  EXPECT_EQ(made.accounts[1].parent, "research");
  EXPECT_EQ(made.accounts[1].depth, 1);
  EXPECT_EQ(made.accounts[2].account, "speech");
  EXPECT_EQ(made.accounts[3].account, "guests");
  EXPECT_EQ(made.accounts[0].entitled_share_permille, 750);
  EXPECT_EQ(made.accounts[1].entitled_share_permille, 150) << "one fifth of three quarters";
  EXPECT_EQ(made.accounts[2].entitled_share_permille, 600);
  EXPECT_EQ(made.accounts[3].entitled_share_permille, 250);
  EXPECT_EQ(made.total, AccountReport{});
}

TEST(Report, ChargesWhatIsHeldAndSaysWhatStoodIdle) {
  Story story;
  const JobId job = story.submit_for("vision", 4);
  story.wait(hours(1));
  ASSERT_EQ(story.start_round().size(), 1u);
  story.wait(minutes(6));   // until its ranks run
  story.run(job);
  story.wait(minutes(54));
  EXPECT_EQ(story.of("vision").used_gpu_ms, 4 * hour_ms) << "it runs still";
  EXPECT_EQ(story.of("vision").idle_gpu_ms, 4 * hour_ms / 10);
  story.apply(GangFinished{job, 1, 1, Outcome::succeeded, {}, {}});
  story.wait(minutes(3));   // until the last node let go
  story.apply(AttemptEnded{job, 1, Outcome::succeeded, {}});
  story.wait(hours(5));
  const AccountReport row = story.of("vision");
  EXPECT_EQ(row.used_gpu_ms, 4 * 63 * 60'000);
  EXPECT_EQ(row.idle_gpu_ms, 4 * 9 * 60'000);
  EXPECT_EQ(row.failed_gpu_ms, 0);
  EXPECT_EQ(row.cost_milli, 8'400) << "4.2 GPU-hours";
  EXPECT_EQ(row.cloud_milli, 12'600);
  EXPECT_EQ(row.jobs_tried, 1);
  EXPECT_EQ(row.jobs_completed, 1);
  EXPECT_EQ(row.cost_per_completed_milli, 8'400);
  EXPECT_EQ(row.median_wait_ms, hours(1));
  EXPECT_EQ(story.november().total.cost_milli, 8'400);
}

TEST(Report, CountsFailuresWholeAndThoseThatCameEarly) {
  Story story;
  const auto fails_after = [&](Duration length, Outcome outcome, std::int64_t gpus) {
    const JobId job = story.submit_for("vision", gpus);
    story.start_round();
    story.wait(minutes(2));
    story.run(job);
    story.wait(length);
    story.end(job, outcome);
  };
  fails_after(minutes(10), Outcome::failed, 1);        // early, just so
  fails_after(minutes(10) + Duration{1}, Outcome::out_of_memory, 1);
  fails_after(hours(1), Outcome::timed_out, 2);
  fails_after(minutes(1), Outcome::cancelled, 8);      // somebody wanted it so: no failure
  const JobId never = story.submit_for("vision", 1);   // could never run: it held nothing
  story.apply(Round{story.now, planner_version, story.scheduler.policy_hash(), {RejectJob{never, "its node is gone"}}});
  const AccountReport row = story.of("vision");
  EXPECT_EQ(row.jobs_tried, 4);
  EXPECT_EQ(row.jobs_failed, 4);
  EXPECT_EQ(row.jobs_failed_early, 1);
  EXPECT_EQ(row.jobs_completed, 0);
  EXPECT_FALSE(row.cost_per_completed_milli);
  EXPECT_EQ(row.failed_gpu_ms, 12 * 60'000 + (12 * 60'000 + 1) + 2 * 62 * 60'000);
  EXPECT_EQ(row.idle_gpu_ms, 8 * 2 * 60'000) << "of the cancelled one alone: the others are counted as failed";
  EXPECT_EQ(row.used_gpu_ms, row.failed_gpu_ms + 8 * 3 * 60'000);
}

TEST(Report, ATrialThatEndedIsNoFailureAndNoStart) {
  Story story;
  const JobId job = story.submit_for("vision", 4);
  story.apply(Round{story.now, planner_version, story.scheduler.policy_hash(), {StartJob{.job = job, .allocation = {{"node1", {0, 1, 2, 3}}}, .trial_ms = minutes(5)}}});
  story.run(job);
  story.wait(minutes(5));
  story.end(job, Outcome::timed_out);
  EXPECT_EQ(story.state(job), JobState::queued);
  EXPECT_EQ(story.of("vision").failed_gpu_ms, 0);
  EXPECT_EQ(story.of("vision").used_gpu_ms, 4 * 5 * 60'000);
  EXPECT_EQ(story.of("vision").jobs_tried, 1);
  EXPECT_FALSE(story.of("vision").median_wait_ms);
  story.wait(minutes(15));
  story.start_round();
  EXPECT_EQ(story.of("vision").median_wait_ms, minutes(20));
  EXPECT_EQ(story.of("vision").jobs_tried, 1);
}

TEST(Report, TakesTheMiddleOfTheWaits) {
  Story story;
  for (const std::int64_t wait : {1, 10, 3, 8}) {
    const JobId job = story.submit_for(wait == 8 ? "guests" : "vision", 1);
    story.wait(minutes(wait));
    story.start_round();
    story.end(job);
  }
  EXPECT_EQ(story.of("vision").median_wait_ms, minutes(3));
  EXPECT_EQ(story.of("guests").median_wait_ms, minutes(8));
  EXPECT_EQ(story.november().total.median_wait_ms, minutes(5) + seconds(30)) << "between 3 and 8";
}

TEST(Report, ComparesWhatWasUsedWithTheShares) {
  Story story;
  const auto uses = [&](const std::string& account, std::int64_t gpus) {
    const JobId job = story.submit_for(account, gpus);
    story.start_round();
    story.wait(hours(1));
    story.end(job);
  };
  uses("vision", 1), uses("speech", 5), uses("guests", 2);
  EXPECT_EQ(story.of("research").used_share_permille, 750) << "with all accounts under it";
  EXPECT_EQ(story.of("vision").used_share_permille, 125);
  EXPECT_EQ(story.of("guests").used_share_permille, 250);
  EXPECT_EQ(story.november().total.used_share_permille, 1000);
  const Report research = story.november("research");
  ASSERT_EQ(research.accounts.size(), 3u);
  EXPECT_EQ(research.total.used_gpu_ms, 6 * hour_ms);
  EXPECT_EQ(research.total.used_share_permille, 750) << "of all that was used, also by others";
  EXPECT_EQ(story.november("vision").accounts.size(), 1u);
  EXPECT_TRUE(story.november("nobody").accounts.empty());
}

TEST(Report, ChargesEachMonthItsPartOfAnAttempt) {
  Story story;
  story.now = Story::start - hours(10);
  const JobId job = story.submit_for("vision", 8);
  story.start_round();
  story.run(job);
  story.now = Story::start + hours(720) + hours(5);
  const State& state = story.scheduler.state();
  const auto used = [&](Time from, Time to) { return report(state, from, to, story.now).total.used_gpu_ms; };
  EXPECT_EQ(used(Story::start - hours(744), Story::start), 80 * hour_ms);
  EXPECT_EQ(used(Story::start, Story::start + hours(720)), 8 * 720 * hour_ms);
  EXPECT_EQ(used(Story::start + hours(720), Story::start + hours(1464)), 40 * hour_ms) << "until now";
  EXPECT_EQ(used(Story::start - hours(744), Story::start + hours(1464)), held_gpu_ms(story.attempt(job), story.now));
  EXPECT_EQ(report(state, Story::start, Story::start + hours(720), story.now).total.jobs_tried, 0) << "it started the month before";
}

TEST(Report, CountsFavoursForBothSides) {
  Story story;
  const JobId boosted = story.submit_for("vision", 8), delayed = story.submit_for("guests", 16), extended = story.submit_for("guests", 1);
  const auto bill = [&](std::int64_t number, Favour favour, JobId job, std::int64_t gpus, Duration delay) {
    Bill one{.bill = number, .favour = favour, .job = job};
    one.delayed = {{.job = delayed, .user = "bob", .account = "guests", .gpus = gpus, .before_ms = story.now, .after_ms = story.now + delay},
                   {.job = extended, .user = "bob", .account = "guests", .gpus = 1, .before_ms = story.now, .after_ms = {}}};
    one.displaced_gpu_ms = gpus * delay.ms;
    one.at_ms = story.now;
    return one;
  };
  State state = story.scheduler.state();
  state.bills = {bill(1, Favour::boost, boosted, 16, hours(2)), bill(2, Favour::extend, extended, 16, hours(1)), bill(3, Favour::reserve, {}, 16, hours(3))};
  state.bills.push_back(bill(4, Favour::boost, boosted, 16, hours(50)));
  state.bills.back().at_ms = Story::start - hours(1);  // the month before
  const Report made = report(state, Story::start, Story::start + hours(720), story.now);
  const AccountReport &vision = made.accounts[1], &guests = made.accounts[3];
  EXPECT_EQ(vision.boosts_bought, 1);
  EXPECT_EQ(vision.boosts_bought_gpu_ms, 32 * hour_ms);
  EXPECT_EQ(vision.boosts_suffered_gpu_ms, 0);
  EXPECT_EQ(guests.boosts_bought, 1);
  EXPECT_EQ(guests.boosts_bought_gpu_ms, 16 * hour_ms);
  EXPECT_EQ(guests.boosts_suffered_gpu_ms, (32 + 16 + 48) * hour_ms);
  EXPECT_EQ(made.total.boosts_bought, 2);
}

TEST(Report, KeepsAccountsThatLeftTheClusterFile) {
  Story story;
  const JobId job = story.submit_for("guests", 2);
  story.start_round();
  story.wait(hours(1));
  story.end(job);
  State state = story.scheduler.state();
  state.cluster.accounts.pop_back();
  const Report made = report(state, Story::start, Story::start + hours(720), story.now);
  ASSERT_EQ(made.accounts.size(), 4u);
  EXPECT_EQ(made.accounts.back().account, "guests");
  EXPECT_EQ(made.accounts.back().used_gpu_ms, 2 * hour_ms);
  EXPECT_FALSE(made.accounts.back().entitled_share_permille);
}

}  // namespace
}  // namespace ultramarine::core
