// Arrays and their limits; jobs that depend on others: what counts as come, who waits, who never starts, and whom that touches.
#include "scheduler/core/arrays.h"

#include <gtest/gtest.h>

#include "scheduler/core/dependencies.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

JobSpec one_gpu(Duration limit = hours(1)) { return spec_of({.gpus = 1}, limit); }

TEST(Array, IsAsManyJobsAsItHasIndicesWithWhatTheyShareKeptOnce) {
  Driver driver(cluster_of(1, 8));
  JobSpec spec = one_gpu();
  spec.script = Script{"#!/bin/sh\n"};
  driver.apply(JobSubmitted{.job = {1}, .spec = spec, .environment_names = {"PATH"}, .request_key = "k", .actor = ada, .array_indices = {1, 3, 5}, .array_limit = 2});
  EXPECT_EQ(driver.scheduler.state().next_job, 4);
  for (std::int64_t place = 0; place < 3; ++place) {
    const Job& job = driver.job({place + 1});
    EXPECT_EQ(job.array, (ArrayElement{.array = {1}, .index = 1 + 2 * place, .count = 3, .min = 1, .max = 5, .step = 2, .limit = 2}));
    EXPECT_EQ(job.spec.script->text, place == 0 ? "#!/bin/sh\n" : "");
    EXPECT_EQ(job.environment_of, JobId{1});
    EXPECT_EQ(job.request_key, place == 0 ? "k" : "");
  }
  EXPECT_TRUE(names_array(driver.job({1})));
  EXPECT_FALSE(names_array(driver.job({2})));
  EXPECT_EQ(elements_of(driver.scheduler.state(), driver.job({2})).size(), 3u);
  EXPECT_EQ(element_at(driver.scheduler.state(), {1}, 5)->job, JobId{3});
  EXPECT_EQ(element_at(driver.scheduler.state(), {1}, 2), nullptr);
  EXPECT_EQ(element_at(driver.scheduler.state(), {2}, 3), nullptr) << "the array is named by its first";
  driver.apply(JobSubmitted{.job = {4}, .spec = spec, .actor = ada, .array_indices = {0, 1, 5}});
  EXPECT_EQ(driver.job({4}).array->step, 1) << "not evenly spaced";
}

TEST(Jobs, ShareTheNamesOfTheirVariablesWithThoseShortlyBefore) {
  Driver driver(cluster_of(1, 8));
  const auto submit = [&](std::vector<std::string> names) {
    const JobId job{driver.scheduler.state().next_job};
    driver.apply(JobSubmitted{.job = job, .spec = one_gpu(), .environment_names = std::move(names), .request_key = "", .actor = ada});
    return driver.job(job).environment_of;
  };
  EXPECT_EQ(submit({"HOME", "PATH"}), JobId{1});
  EXPECT_EQ(submit({}), std::nullopt);
  EXPECT_EQ(submit({"HOME"}), JobId{3});
  EXPECT_EQ(submit({"HOME", "PATH"}), JobId{1});
  for (int other = 0; other < 8; ++other) submit({"OTHER_" + std::to_string(other)});
  EXPECT_EQ(submit({"HOME", "PATH"}), JobId{13}) << "too long ago";
  EXPECT_EQ(driver.scheduler.state().environment_names.size(), 11u);
}

TEST(Array, RunsNoMoreElementsThanItsLimitAndSaysWhenTheNextWillStart) {
  Driver driver(cluster_of(1, 8));
  const JobId first = driver.submit_array(one_gpu(), 5, 2);
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{first, {2}}));
  const PlannedJob third = driver.planned({3});
  EXPECT_EQ(third.reason.code, ReasonCode::array_limit);
  EXPECT_EQ(third.reason.waits_for, std::vector<JobId>{first});
  EXPECT_EQ(third.start_ms, driver.now + seconds(5) + hours(1));
  EXPECT_FALSE(third.backfilled);
  EXPECT_EQ(driver.planned({4}).start_ms, third.start_ms) << "both places are free then";
  EXPECT_EQ(driver.planned({5}).start_ms, *third.start_ms + seconds(5) + hours(1));
  const JobId other = driver.submit(6, hours(1));
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{other}) << "who waits for his own array holds nobody up";
  EXPECT_FALSE(driver.attempt(other).backfilled);
  driver.run(first);
  driver.end(first);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{{3}});
}

TEST(Array, ALimitOfOneIsAChain) {
  Driver driver(cluster_of(1, 8));
  driver.submit_array(one_gpu(), 3, 1);
  for (std::int64_t place = 1; place <= 3; ++place) {
    EXPECT_EQ(driver.start_round(), std::vector<JobId>{{place}});
    driver.run({place});
    driver.end({place});
  }
}

class Dependent : public testing::Test {
 protected:
  Driver driver{cluster_of(1, 8)};
  JobId other = driver.submit(one_gpu());
  JobId after(DependencyCondition condition) { return driver.submit_after(other, condition, one_gpu()); }
  ReasonCode reason(JobId id) { return driver.planned(id).reason.code; }
  void start() {
    driver.round();
    driver.run(other);
  }
};

TEST_F(Dependent, WaitsForASuccess) {
  const JobId job = after(DependencyCondition::ok);
  const PlannedJob line = driver.planned(job);
  EXPECT_EQ(line.reason.code, ReasonCode::dependency);
  EXPECT_EQ(line.reason.waits_for, std::vector<JobId>{other});
  EXPECT_EQ(line.start_ms, driver.now + seconds(5) + hours(1)) << "when the other ends that may start now";
  EXPECT_EQ(in_words(line.allocation), "node1:0");
  start();
  EXPECT_EQ(reason(job), ReasonCode::dependency);
  EXPECT_EQ(driver.planned(job).start_ms, line.start_ms);
  driver.now = driver.now + minutes(1);
  driver.end(other);
  EXPECT_EQ(driver.job(job).eligible_ms, driver.now);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{job});
}

TEST_F(Dependent, NeverStartsAfterAFailureAndStaysQueued) {
  const JobId job = after(DependencyCondition::ok), clean_up = after(DependencyCondition::notok), either = after(DependencyCondition::any);
  start();
  driver.end(other, Outcome::failed);
  EXPECT_EQ(reason(job), ReasonCode::dependency_never);
  EXPECT_EQ(driver.planned(job).reason.waits_for, std::vector<JobId>{other});
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{clean_up, either}));
  EXPECT_EQ(driver.state(job), JobState::queued);
  driver.apply(JobCancelled{job, ada});
  EXPECT_TRUE(driver.scheduler.state().awaiting_dependencies.empty());
}

TEST_F(Dependent, OnAFailureNeverStartsAfterASuccess) {
  const JobId job = after(DependencyCondition::notok);
  start();
  driver.end(other);
  EXPECT_EQ(reason(job), ReasonCode::dependency_never);
}

TEST_F(Dependent, OnTheStartOfAnotherComesAsSoonAsThatRuns) {
  const JobId job = after(DependencyCondition::started);
  driver.round();
  EXPECT_EQ(reason(job), ReasonCode::dependency);
  driver.run(other);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{job});
}

TEST_F(Dependent, OnACancelledJobIsJudgedByThat) {
  const JobId ok = after(DependencyCondition::ok), notok = after(DependencyCondition::notok), started = after(DependencyCondition::started);
  driver.apply(JobCancelled{other, ada});
  EXPECT_EQ(reason(ok), ReasonCode::dependency_never);
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{notok, started}));
}

TEST_F(Dependent, OnAJobThatHasEndedCountsFromItsSubmission) {
  start();
  driver.end(other);
  driver.now = driver.now + minutes(1);
  const JobId job = after(DependencyCondition::ok);
  EXPECT_EQ(driver.job(job).eligible_ms, driver.now);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{job});
}

TEST_F(Dependent, ARequeuedJobHasNotEnded) {
  const JobId job = after(DependencyCondition::any), started = after(DependencyCondition::started);
  start();
  driver.apply(JobRequeued{other, ada});
  driver.end(other, Outcome::preempted);
  EXPECT_EQ(reason(job), ReasonCode::dependency);
  EXPECT_TRUE(driver.job(started).eligible_ms) << "it had started once";
}

TEST_F(Dependent, IsPlannedFromTheExpectedTimeOnBehindAllWhoWaitForNobody) {
  start();
  const Duration stay = seconds(5) + hours(1);
  const JobId eight = driver.submit_after(other, DependencyCondition::ok, spec_of({.gpus = 8}, hours(1)));
  const JobId chained = driver.submit_after(eight, DependencyCondition::any, one_gpu());
  const JobId at_its_start = driver.submit_after(chained, DependencyCondition::started, one_gpu());
  const JobId after_a_failure = after(DependencyCondition::notok), long_one = driver.submit(8, hours(1)), held = driver.submit(one_gpu());
  driver.apply(JobHeld{held, HoldKind::user, "", ada});
  const JobId after_held = driver.submit_after(held, DependencyCondition::any, one_gpu());
  EXPECT_EQ(driver.planned(long_one).start_ms, driver.now + stay);
  EXPECT_EQ(driver.planned(eight).start_ms, driver.now + stay + stay) << "its time comes with that of the long one, which is ahead";
  EXPECT_EQ(driver.planned(chained).start_ms, driver.now + stay + stay + stay);
  EXPECT_EQ(driver.planned(at_its_start).start_ms, driver.now + stay + stay + stay + seconds(5));
  EXPECT_FALSE(driver.planned(after_a_failure).start_ms) << "the other is expected to end well";
  EXPECT_FALSE(driver.planned(after_held).start_ms);
  std::vector<JobId> order;
  for (const PlannedJob& line : driver.scheduler.plan(driver.now).jobs) order.push_back(line.job);
  EXPECT_EQ(order, (std::vector<JobId>{long_one, eight, chained, at_its_start, after_a_failure, after_held, held}));
}

TEST_F(Dependent, AllOfSeveralMustHaveCome) {
  const JobId second = driver.submit(one_gpu());
  JobSpec spec = one_gpu();
  spec.dependencies = {{other, DependencyCondition::ok}, {second, DependencyCondition::started}};
  const JobId job = driver.submit(spec);
  EXPECT_EQ(driver.planned(job).reason.waits_for, (std::vector<JobId>{other, second}));
  start();
  driver.end(other);
  EXPECT_EQ(driver.planned(job).reason.waits_for, std::vector<JobId>{second});
  driver.run(second);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{job});
}

TEST_F(Dependent, ComesBehindWhoCouldRunBeforeIt) {
  // It was submitted first, but the other was planned while it could not run: its start stays.
  const JobId job = driver.submit_after(other, DependencyCondition::any, spec_of({.gpus = 8}, hours(1)));
  start();
  driver.now = driver.now + minutes(1);
  const JobId planned = driver.submit(8, hours(1));
  const Time promised = driver.planned(planned).start_ms.value();
  driver.now = promised;
  driver.end(other);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{planned});
  EXPECT_EQ(driver.planned(job).reason.waits_for, std::vector<JobId>{planned});
}

TEST(DependentOnAnArray, IsExpectedWhenTheLastElementHasEnded) {
  Driver driver(cluster_of(1, 8));
  const JobId array = driver.submit_array(one_gpu(), 3, 1);
  JobSpec spec = one_gpu();
  spec.dependencies = {{array, DependencyCondition::ok}};
  driver.apply(JobSubmitted{.job = {4}, .spec = spec, .actor = ada, .array_indices = {0, 1}});
  const Duration stay = seconds(5) + hours(1);
  for (const JobId element : {JobId{4}, JobId{5}}) EXPECT_EQ(driver.planned(element).start_ms, driver.now + stay + stay + stay);
}

TEST(DependentOnAnArray, MeansAllItsElements) {
  Driver driver(cluster_of(1, 8));
  const JobId array = driver.submit_array(one_gpu(), 3);
  const JobId ok = driver.submit_after(array, DependencyCondition::ok, one_gpu());
  const JobId notok = driver.submit_after(array, DependencyCondition::notok, one_gpu());
  const JobId of_one = driver.submit_after({2}, DependencyCondition::ok, one_gpu());
  driver.round();
  for (std::int64_t element = 1; element <= 3; ++element) driver.run({element});
  driver.end({2});
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{of_one});
  EXPECT_EQ(driver.planned(ok).reason.waits_for, (std::vector<JobId>{{1}, {3}}));
  driver.end({1}, Outcome::failed);
  EXPECT_EQ(driver.planned(ok).reason.code, ReasonCode::dependency_never);
  EXPECT_EQ(driver.planned(notok).reason.code, ReasonCode::dependency) << "one still runs";
  EXPECT_EQ(driver.planned(notok).reason.waits_for, std::vector<JobId>{{3}});
  driver.end({3});
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{notok});
}

}  // namespace
}  // namespace ultramarine::core
