// When there is something to tell, from the entries that a real core made.
#include <gmock/gmock.h>

#include "scheduler/notifier/occasions.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::notifier {
namespace {

using core::ada;
using core::cluster_of;
using core::Driver;
using core::spec_of;
using testing::ElementsAre;
using testing::IsEmpty;

/// "begin 1", "array end 3": what an entry gives occasion for.
std::vector<std::string> told(const std::vector<Occasion>& occasions) {
  std::vector<std::string> words;
  for (const Occasion& one : occasions)
    words.push_back((one.of_array ? "array " : "") + std::string(boost::describe::enum_to_string(one.event, "")) + " " +
                    std::to_string(one.job.value));
  return words;
}

std::vector<std::string> after(Driver& driver, const Entry& entry) {
  driver.apply(entry);
  return told(occasions_of(entry, driver.now, driver.scheduler.state()));
}

TEST(Occasions, AreTheStartAndTheEndOfAJob) {
  Driver driver(cluster_of(1, 4));
  const JobId job = driver.submit(4, hours(1));
  EXPECT_THAT(driver.start_round(), ElementsAre(job));
  EXPECT_THAT(after(driver, GangStarted{job, 1, 1, {}}), ElementsAre("begin 1"));
  driver.now = driver.now + minutes(1);
  EXPECT_THAT(after(driver, GangStarted{job, 1, 1, {}}), IsEmpty()) << "said again";
  EXPECT_THAT(after(driver, GangFinished{job, 1, 1, Outcome::succeeded, {}, {}}), IsEmpty());
  EXPECT_THAT(after(driver, AttemptEnded{job, 1, Outcome::succeeded, {}}), ElementsAre("end 1"));
  driver.now = driver.now + minutes(1);
  EXPECT_THAT(after(driver, AttemptEnded{job, 1, Outcome::succeeded, {}}), IsEmpty()) << "a late report";
}

TEST(Occasions, AFailureIsOne) {
  Driver driver(cluster_of(1, 4));
  const JobId job = driver.submit(4, hours(1));
  driver.start_round();
  driver.run(job);
  driver.apply(GangFailed{job, 1, 1, Outcome::failed, {.rank = 3, .node = "node1", .exit_code = 1}, {}});
  driver.apply(GangFinished{job, 1, 1, Outcome::failed, {}, {}});
  EXPECT_THAT(after(driver, AttemptEnded{job, 1, Outcome::failed, {}}), ElementsAre("fail 1"));
}

TEST(Occasions, AJobThatIsCancelledWhileItWaitsHasEnded) {
  Driver driver(cluster_of(1, 4));
  driver.submit(4, hours(1));
  const JobId waits = driver.submit(4, hours(1));
  driver.start_round();
  EXPECT_THAT(after(driver, JobCancelled{waits, ada}), ElementsAre("end 2"));
  driver.now = driver.now + minutes(1);
  EXPECT_THAT(after(driver, JobCancelled{JobId{1}, ada}), IsEmpty()) << "it runs: its end follows";
  EXPECT_THAT(after(driver, AttemptEnded{JobId{1}, 1, Outcome::cancelled, {}}), ElementsAre("end 1"));
}

TEST(Occasions, AJobThatCanNeverRunHasFailed) {
  Driver driver(cluster_of(1, 4));
  const JobId job = driver.submit(4, hours(1));
  EXPECT_THAT(after(driver, Round{driver.now, 1, "", {RejectJob{job, "its nodes are gone"}}}), ElementsAre("fail 1"));
}

TEST(Occasions, AJobThatWaitsAgainIsRequeued) {
  Driver driver(cluster_of(1, 4));
  const JobId job = driver.submit(4, hours(1));
  driver.start_round();
  driver.run(job);
  driver.apply(JobRequeued{job, ada});
  driver.apply(GangFinished{job, 1, 1, Outcome::preempted, {}, {}});
  EXPECT_THAT(after(driver, AttemptEnded{job, 1, Outcome::preempted, {}}), ElementsAre("requeue 1"));
  driver.start_round();
  EXPECT_THAT(after(driver, GangStarted{job, 2, 1, {}}), ElementsAre("begin 1"))
      << "each start is told, as sbatch does";
}

TEST(Occasions, AreToldOfElementsAndOnceOfTheWholeArray) {
  Driver driver(cluster_of(1, 4));
  driver.submit_array(spec_of({.gpus = 1}, hours(1)), 3, 2);
  EXPECT_EQ(driver.start_round().size(), 2U);
  EXPECT_THAT(after(driver, GangStarted{JobId{1}, 1, 1, {}}), ElementsAre("begin 1", "array begin 1"));
  EXPECT_THAT(after(driver, GangStarted{JobId{2}, 1, 1, {}}), ElementsAre("begin 2"));
  driver.apply(GangFinished{JobId{1}, 1, 1, Outcome::failed, {}, {}});
  EXPECT_THAT(after(driver, AttemptEnded{JobId{1}, 1, Outcome::failed, {}}), ElementsAre("fail 1"));
  driver.apply(GangFinished{JobId{2}, 1, 1, Outcome::succeeded, {}, {}});
  EXPECT_THAT(after(driver, AttemptEnded{JobId{2}, 1, Outcome::succeeded, {}}), ElementsAre("end 2"));
  driver.start_round();
  EXPECT_THAT(after(driver, GangStarted{JobId{3}, 1, 1, {}}), ElementsAre("begin 3"));
  driver.apply(GangFinished{JobId{3}, 1, 1, Outcome::succeeded, {}, {}});
  EXPECT_THAT(after(driver, AttemptEnded{JobId{3}, 1, Outcome::succeeded, {}}), ElementsAre("end 3", "array fail 3"));
}

TEST(Occasions, AnArrayThatIsCancelledWholeEndsOnce) {
  Driver driver(cluster_of(1, 4));
  driver.submit_array(spec_of({.gpus = 1}, hours(1)), 2);
  EXPECT_THAT(after(driver, JobCancelled{JobId{1}, ada}), ElementsAre("end 1"));
  EXPECT_THAT(after(driver, JobCancelled{JobId{2}, ada}), ElementsAre("end 2", "array end 2"));
}

TEST(Occasions, AFavourDelaysThoseOnItsBill) {
  Driver driver(cluster_of(1, 4));
  driver.submit(4, hours(1));
  const JobId waits = driver.submit(4, hours(1)), favoured = driver.submit(4, hours(1));
  driver.submit_array(spec_of({.gpus = 4}, hours(1)), 2);
  Bill bill{.bill = 1, .favour = Favour::boost, .job = favoured};
  for (const JobId job : {waits, JobId{4}, JobId{5}})
    bill.delayed.push_back({.job = job, .user = "ada", .gpus = 4, .before_ms = Time{1}, .after_ms = Time{2}});
  EXPECT_THAT(after(driver, FavourBilled{bill, ada}),
              ElementsAre("delayed 2", "delayed 4", "array delayed 4", "delayed 5"));
}

TEST(Occasions, SharesOfTheTimeLimitFallDueByThemselves) {
  Driver driver(cluster_of(1, 4));
  JobSpec spec = spec_of({.gpus = 4}, hours(10));
  spec.notify.events = {NotificationEvent::time_limit_50, NotificationEvent::time_limit_80,
                        NotificationEvent::time_limit};
  const JobId job = driver.submit(spec);
  driver.start_round();
  driver.run(job);
  const std::set<JobId> active{job};
  const Time start = driver.now;
  const auto due = [&](Time from, Time until) {
    return told(used_up_between(driver.scheduler.state(), active, from, until));
  };
  EXPECT_EQ(next_used_up(driver.scheduler.state(), active, start), start + hours(5));
  EXPECT_THAT(due(start, start + hours(5) - milliseconds(1)), IsEmpty());
  EXPECT_THAT(due(start, start + hours(5)), ElementsAre("time_limit_50 1"));
  EXPECT_THAT(due(start + hours(5), start + hours(9)), ElementsAre("time_limit_80 1")) << "90 wasn't asked for";
  EXPECT_THAT(due(start, start + hours(10)), ElementsAre("time_limit_50 1", "time_limit_80 1", "time_limit 1"));
  driver.apply(JobExtended{job, hours(20), ada});
  EXPECT_EQ(next_used_up(driver.scheduler.state(), active, start + hours(8)), start + hours(10))
      << "half of the longer limit";
  EXPECT_EQ(next_used_up(driver.scheduler.state(), {}, start), std::nullopt);
}

}  // namespace
}  // namespace ultramarine::notifier
