// Who is told, and what is sent.
#include <gmock/gmock.h>

#include "scheduler/notifier/receivers.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::notifier {
namespace {

using core::ada;
using core::Driver;
using core::spec_of;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* hook = "https://hooks.example.com/team";

protocol::NotificationsSection with_mail() {
  protocol::NotificationsSection section;
  section.mail = "sendmail";
  section.from = "ultramarine@example.org";
  section.mail_domain = "example.org";
  return section;
}

/// "mail ada@example.org", of the job's end.
std::vector<std::string> receivers(const Driver& driver, NotificationEvent event,
                                   const protocol::NotificationsSection& section, bool of_array = false) {
  std::vector<std::string> words;
  for (const Delivery& delivery :
       deliveries_of({.event = event, .job = {1}, .at_ms = driver.now, .number = 1, .of_array = of_array},
                     driver.scheduler.state(), section))
    words.push_back(std::string(boost::describe::enum_to_string(delivery.channel, "")) + " " + delivery.address +
                    (delivery.cluster_wide ? " for all" : ""));
  return words;
}

Driver with_job(const NotificationWish& wish, bool is_array = false) {
  ClusterConfig cluster = core::cluster_of(1, 4);
  cluster.accounts.push_back({.name = "lab", .members = {"*"}});
  cluster.accounts.push_back({.name = "team", .parent = "lab", .members = {"*"}});
  Driver driver(cluster);
  JobSpec spec = spec_of({.gpus = 1}, hours(1));
  spec.account = "team";
  spec.notify = wish;
  if (is_array)
    driver.submit_array(spec, 2);
  else
    driver.submit(spec);
  return driver;
}

TEST(Receivers, AreNobodyWhereTheClusterFileSaysNothing) {
  const Driver driver = with_job({.events = {NotificationEvent::end}, .mail = true, .mail_to = {}, .webhook = hook});
  EXPECT_THAT(receivers(driver, NotificationEvent::end, {}), IsEmpty());
  EXPECT_FALSE(is_on({}));
}

TEST(Receivers, MailGoesToTheOwnerOrWhereHeSays) {
  EXPECT_THAT(
      receivers(with_job({.events = {NotificationEvent::end}, .mail = true}), NotificationEvent::end, with_mail()),
      ElementsAre("mail ada@example.org"));
  const Driver driver =
      with_job({.events = {NotificationEvent::end}, .mail = true, .mail_to = {"bob", "list@lab.example", "bob"}});
  EXPECT_THAT(receivers(driver, NotificationEvent::end, with_mail()),
              ElementsAre("mail bob@example.org", "mail list@lab.example"));
  EXPECT_THAT(receivers(driver, NotificationEvent::begin, with_mail()), IsEmpty());
  EXPECT_THAT(receivers(driver, NotificationEvent::fail, with_mail()),
              ElementsAre("mail bob@example.org", "mail list@lab.example"))
      << "a failure is an end";
  EXPECT_THAT(
      receivers(with_job({.events = {NotificationEvent::fail}, .mail = true}), NotificationEvent::end, with_mail()),
      IsEmpty());
}

TEST(Receivers, AWebhookOfAUserMustBeAllowed) {
  const Driver driver = with_job({.events = {NotificationEvent::end}, .webhook = hook});
  protocol::NotificationsSection section = with_mail();
  EXPECT_THAT(receivers(driver, NotificationEvent::end, section), IsEmpty()) << "no mail either: he asked for none";
  section.webhooks_allowed = {"https://hooks.example.com/"};
  EXPECT_THAT(receivers(driver, NotificationEvent::end, section), ElementsAre(std::string("webhook ") + hook));
  section.webhooks_allowed = {"https://other.example.com/"};
  EXPECT_THAT(receivers(driver, NotificationEvent::end, section), IsEmpty());
}

TEST(Receivers, AWebhookOfTheClusterHasItsEventsAndAccounts) {
  const Driver driver = with_job({});
  protocol::NotificationsSection section;
  section.webhook = {{.url = hook}};
  EXPECT_THAT(receivers(driver, NotificationEvent::begin, section),
              ElementsAre(std::string("webhook ") + hook + " for all"));
  EXPECT_THAT(receivers(driver, NotificationEvent::time_limit_50, section), IsEmpty());
  section.webhook[0].events = {NotificationEvent::fail};
  EXPECT_THAT(receivers(driver, NotificationEvent::begin, section), IsEmpty());
  EXPECT_THAT(receivers(driver, NotificationEvent::fail, section), testing::SizeIs(1));
  section.webhook[0].accounts = {"default"};
  EXPECT_THAT(receivers(driver, NotificationEvent::fail, section), IsEmpty());
  section.webhook[0].accounts = {"lab"};
  EXPECT_THAT(receivers(driver, NotificationEvent::fail, section), testing::SizeIs(1)) << "team is under lab";
}

TEST(Receivers, OfAnArrayHearOnceUnlessTheyWantEachElement) {
  NotificationWish wish{.events = {NotificationEvent::end, NotificationEvent::time_limit_50}, .mail = true};
  EXPECT_THAT(receivers(with_job(wish, true), NotificationEvent::end, with_mail(), false), IsEmpty());
  EXPECT_THAT(receivers(with_job(wish, true), NotificationEvent::end, with_mail(), true), testing::SizeIs(1));
  EXPECT_THAT(receivers(with_job(wish, true), NotificationEvent::time_limit_50, with_mail(), false), testing::SizeIs(1))
      << "as sbatch does";
  wish.each_element = true;
  EXPECT_THAT(receivers(with_job(wish, true), NotificationEvent::end, with_mail(), false), testing::SizeIs(1));
  EXPECT_THAT(receivers(with_job(wish, true), NotificationEvent::end, with_mail(), true), IsEmpty());
}

TEST(Receivers, NoAddressIsMadeOfANameThatIsNone) {
  EXPECT_EQ(mail_address("ada", with_mail()), "ada@example.org");
  EXPECT_EQ(mail_address("-oQ/tmp", with_mail()), "");
  EXPECT_EQ(mail_address("a b", with_mail()), "");
  EXPECT_EQ(mail_address("/etc/passwd", with_mail()), "");
  EXPECT_EQ(mail_address("ada@x\r\nBcc: eve", with_mail()), "");
}

TEST(Receivers, WhatWasKeptGoesOnlyWhereItStillMay) {
  protocol::NotificationsSection section = with_mail();
  EXPECT_TRUE(may_go({.channel = Channel::mail, .address = "ada@example.org"}, section));
  EXPECT_FALSE(may_go({.channel = Channel::webhook, .address = hook}, section));
  section.webhook = {{.url = hook}};
  EXPECT_FALSE(may_go({.channel = Channel::webhook, .address = hook}, section)) << "a user's, and users have none";
  EXPECT_TRUE(may_go({.channel = Channel::webhook, .address = hook, .cluster_wide = true}, section));
  EXPECT_FALSE(may_go({.channel = Channel::mail, .address = "ada@example.org"}, {}));
}

TEST(Notices, HaveTheFactsOfTheirJob) {
  ClusterConfig cluster = core::cluster_of(1, 4);
  cluster.money = {.currency = "EUR", .price_per_gpu_hour_milli = 2500};
  Driver driver(cluster);
  const JobId job = driver.submit(4, hours(2));
  driver.start_round();
  driver.run(job);
  driver.now = driver.now + hours(1);
  driver.apply(GangFailed{
      job, 1, 1, Outcome::failed, {.rank = 3, .node = "node1", .exit_code = 7, .last_lines = {"no luck"}}, {}});
  driver.apply(GangFinished{job, 1, 1, Outcome::failed, {}, {}});
  driver.apply(AttemptEnded{job, 1, Outcome::failed, {}});
  const Occasion occasion{.event = NotificationEvent::fail, .job = job, .at_ms = driver.now, .number = 1};
  const Notice notice = notice_of(occasion, driver.scheduler.state());
  EXPECT_EQ(notice.id, "local.1.fail.1." + std::to_string(driver.now.ms));
  EXPECT_EQ(notice.id, notice_of(occasion, driver.scheduler.state()).id);
  EXPECT_EQ(notice.job.exit_code, 7);
  EXPECT_EQ(notice.job.owner, "ada");
  EXPECT_EQ(notice.job.nodes, "node1");
  EXPECT_EQ(notice.job.held_gpu_ms, 4 * hours(1).ms);
  EXPECT_EQ(notice.job.cost_milli, 10'000);
  EXPECT_THAT(notice.failure->last_lines, ElementsAre("no luck"));
  protocol::NotificationsSection section;
  section.webhook = {{.url = hook}};
  EXPECT_THAT(deliveries_of(occasion, driver.scheduler.state(), section).at(0).notice.failure->last_lines, IsEmpty())
      << "output is for its owner";
}

TEST(Notices, OfAnArrayCountItsJobs) {
  Driver driver(core::cluster_of(1, 4));
  driver.submit_array(spec_of({.gpus = 1}, hours(1)), 3);
  driver.start_round();
  for (const auto& [number, outcome] :
       {std::pair{1, Outcome::succeeded}, {2, Outcome::failed}, {3, Outcome::succeeded}}) {
    driver.run(JobId{number});
    driver.end(JobId{number}, outcome);
  }
  const Notice notice =
      notice_of({.event = NotificationEvent::fail, .job = {3}, .at_ms = driver.now, .number = 1, .of_array = true},
                driver.scheduler.state());
  EXPECT_EQ(notice.id, "local.array-1.fail.1." + std::to_string(driver.now.ms));
  EXPECT_EQ(std::tuple(notice.array->count, notice.array->completed, notice.array->failed, notice.array->cancelled),
            std::tuple(3, 2, 1, 0));
  EXPECT_EQ(notice.job.state, JobState::failed);
}

}  // namespace
}  // namespace ultramarine::notifier
