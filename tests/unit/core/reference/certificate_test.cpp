// Non-harm certificates over random stories, with another opinion on each: certificate_check, which plans nothing. And both find a page out that lets in whoever
// fits.
#include "scheduler/core/certificate.h"

#include "scheduler/core/certificate_check.h"
#include "tests/unit/core/builders.h"
#include "tests/unit/core/reference/cases.h"
#include "tests/unit/core/reference/property.h"
#include "tests/unit/core/reference/reference.h"

namespace ultramarine::core::reference {
namespace {

TEST(Certificate, SaysWhomItPassedAndWhereTheHoleEnds) {
  Driver driver(cluster_of(1, 2));
  driver.submit(1, seconds(60));
  driver.round();
  const JobId wide = driver.submit(2, seconds(10)), brief = driver.submit(1, seconds(20));
  const Plan before = driver.scheduler.plan(driver.now);
  const Round round{driver.now, planner_version, driver.scheduler.policy_hash(), driver.scheduler.decide(driver.now)};
  EXPECT_TRUE(broken_promises(driver.scheduler.state(), before, round).empty());
  driver.apply(round);
  const auto made = certify(before, round, driver.scheduler.plan(driver.now));
  ASSERT_EQ(made.size(), 1u);
  const Certificate& certificate = made[0].certificate;
  EXPECT_EQ(certificate.job, brief);
  EXPECT_EQ(certificate.overtaken, 1);
  EXPECT_EQ(certificate.promised, 1);
  EXPECT_EQ(made[0].overtaken, std::vector{wide});
  EXPECT_EQ(certificate.hole_until_ms, driver.now + seconds(65));
  EXPECT_EQ(certificate.later_ms.ms, 0);
  EXPECT_EQ(certificate.digest_before, certificate.digest_after);
  EXPECT_EQ(certificate.digest_before.size(), 32u);
}

TEST(Certificate, ARudeStartIsFoundOut) {
  // The decision is made up: no page of ours would take it.
  Driver driver(cluster_of(1, 2));
  driver.submit(1, seconds(60));
  driver.round();
  driver.submit(2, seconds(10));
  const JobId rude = driver.submit(1, seconds(100));
  const Plan before = driver.scheduler.plan(driver.now);
  const Round round{driver.now, planner_version, driver.scheduler.policy_hash(), {StartJob{rude, 1, {{"node1", {1}}}, true, 1}}};
  EXPECT_EQ(broken_promises(driver.scheduler.state(), before, round), std::vector<std::string>{"job 2 can't start when promised: job 3 has one of its devices then"});
  driver.apply(round);
  const auto made = certify(before, round, driver.scheduler.plan(driver.now));
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made[0].certificate.later_ms, seconds(40));
  EXPECT_NE(made[0].certificate.digest_before, made[0].certificate.digest_after);
}

TEST(Certificate, ACapIsAPromiseToo) {
  // The devices would do, and the account's cap would not.
  ClusterConfig cluster = cluster_of(2, 2);
  cluster.accounts[0].limits.gpus = 2;
  Driver driver(cluster);
  driver.submit(1, seconds(60));
  driver.round();
  driver.submit(2, seconds(10));
  const JobId rude = driver.submit(1, seconds(100));
  const Plan before = driver.scheduler.plan(driver.now);
  const Round round{driver.now, planner_version, driver.scheduler.policy_hash(), {StartJob{rude, 1, {{"node1", {1}}}, true, 1}}};
  const auto broken = broken_promises(driver.scheduler.state(), before, round);
  ASSERT_FALSE(broken.empty());
  EXPECT_NE(broken.back().find("account default would have 3 GPUs, and may have 2"), std::string::npos) << broken.back();
}

/// Makes the certificates of a story's rounds, and asks the other opinion.
struct Certified {
  explicit Certified(Playback& story) : playback(story) {
    playback.after_entry = [this](const Entry& entry) {
      if (const auto* round = std::get_if<Round>(&entry)) {
        const bool can_be_kept = broken_promises(state, before, *round).empty();
        for (const Overtaking& one : certify(before, *round, playback.scheduler.plan(playback.now))) {
          ++certificates;
          harm = harm + one.certificate.later_ms;
          RC_ASSERT((one.certificate.later_ms.ms == 0 || !can_be_kept));
          RC_ASSERT((one.certificate.later_ms.ms == 0 || one.certificate.digest_before != one.certificate.digest_after));
        }
        broken += can_be_kept ? 0 : 1;
      }
      look();
    };
    look();
  }
  void look() {
    state = playback.scheduler.state();
    before = playback.scheduler.plan(playback.now);
  }

  Playback& playback;
  State state;
  Plan before;
  std::int64_t certificates = 0, broken = 0;
  Duration harm;
};

TEST(Certificate, ConservativeBackfillKeepsEveryPromise) {
  std::int64_t certificates = 0, trials = 0;
  check_property(1000, [&] {
    PolicyConfig policy;
    if (*rc::gen::arbitrary<bool>()) policy.trial = {{"minutes", 1}, {"gpus_per_job", 2}, {"share_permille", 400}};
    Playback playback(*any_scenario(policy, {.overdue = true, .caps = true, .people = true}));
    Certified certified(playback);
    while (playback.advance()) {
      certified.look();
      for (const Decision& decision : playback.round())
        if (const auto* start = std::get_if<StartJob>(&decision)) trials += start->trial_ms ? 1 : 0;
    }
    RC_ASSERT(certified.harm.ms == 0);
    RC_ASSERT(certified.broken == 0);
    certificates += certified.certificates;
  });
  EXPECT_GT(certificates, 50);
  EXPECT_GT(trials, 20);
}

TEST(Certificate, APageThatIgnoresTheCalendarIsFoundOutTwice) {
  // It starts whoever fits on what is free, in order, with no regard for planned starts.
  Duration harm;
  std::int64_t broken = 0;
  check_property(300, [&] {
    const Scenario scenario = *any_scenario({}, {});
    PolicyConfig rude;
    rude.backfill = "skip", rude.placement = "pack";
    Playback playback(scenario);
    Reference chooser(scenario.cluster, rude);
    Certified certified(playback);
    while (playback.advance()) {
      const std::int64_t now_s = playback.now.ms / 1000;
      for (const JobId id : playback.ended) chooser.end(id);
      for (const JobId id : playback.came) chooser.submit(id, playback.scheduler.state().jobs.at(id).spec, "ada", now_s);
      certified.look();
      playback.round([&] {
        std::vector<Decision> decisions;
        for (const Line& line : chooser.plan(now_s)) {
          if (!line.start_s) continue;
          decisions.push_back(StartJob{line.job, 1, line.allocation, true, 1});
          chooser.start(line, now_s);
        }
        return decisions;
      });
    }
    harm = harm + certified.harm;
    broken += certified.broken;
  });
  EXPECT_GT(harm, seconds(100));
  EXPECT_GT(broken, 20);
}

}  // namespace
}  // namespace ultramarine::core::reference
