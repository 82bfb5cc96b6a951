// Money over the API, against a real daemon with a memory store: reports by month and account, the price of a job, the policy; who may ask.
#include <gtest/gtest.h>

#include "scheduler/api/changes.h"
#include "scheduler/core/scheduler.h"
#include "scheduler/protocol/report_messages.h"
#include "tests/unit/server/daemon_harness.h"

namespace ultramarine::server::testing {
namespace {

constexpr std::int64_t hour_ms = 3'600'000;

class Reports : public ::testing::Test {
 protected:
  net::Loop loop_;
  std::unique_ptr<store::Store> store_ = store::open_memory();
  HandClock hand_;
  std::unique_ptr<Scheduler> scheduler_;

  static ClusterConfig cluster(MoneyConfig money) {
    ClusterConfig cluster = small_cluster(2);
    cluster.time_zone = "Asia/Seoul";
    cluster.accounts.push_back({.name = "lab-b", .parent = "lab-a", .members = {"stan"}});
    cluster.money = std::move(money);
    return cluster;
  }
  static MoneyConfig won() { return {.currency = "KRW", .price_per_gpu_hour_milli = 4'000'000, .cloud_price_per_gpu_hour_milli = 6'000'000}; }

  /// The journal of a job of 8 GPUs that ran from 20 hours before a Korean midnight, the first of December 2026, until 4 hours after it; and of one that waits.
  void start(MoneyConfig money = won()) {
    const Time midnight{1'796'050'800'000};
    hand_.ms->store(midnight.ms + 10 * hour_ms);
    store::Batch batch;
    const auto at = [&](std::int64_t hours_after, const Entry& entry) { batch.entries.emplace_back(Time{midnight.ms + hours_after * hour_ms}, entry); };
    at(-22, ClusterConfigured{cluster(money), {}});
    at(-22, PolicyChanged{PolicyConfig{}, {}});
    at(-22, NodeJoined{"node01", "boot", "0", "node01", {}});
    JobSubmitted job{.job = {1}, .spec = {.name = "train", .account = "lab-b", .partition = "main", .qos = "normal", .resources = {.gpus = 8}, .time_limit_ms = hours(48)}, .actor = stranger.actor};
    job.spec.command = {"true"};
    at(-21, job);
    at(-20, Round{Time{midnight.ms - 20 * hour_ms}, core::planner_version, "", {StartJob{.job = {1}, .allocation = {{"node01", {0, 1, 2, 3, 4, 5, 6, 7}}}}}});
    at(-20, GangStarted{{1}, 1, 1, {}});
    at(4, GangFinished{{1}, 1, 1, Outcome::succeeded, {}, {}});
    at(4, AttemptEnded{{1}, 1, Outcome::succeeded, {}});
    job.job = {2};
    job.spec.resources.gpus = 2;
    job.spec.time_limit_ms = hours(3);
    at(9, job);
    store_->append(batch);
    scheduler_ = std::make_unique<Scheduler>(loop_, *store_, cluster(money), hand_.clock());
    scheduler_->start_and_wait();
  }
  void TearDown() override {
    if (scheduler_) scheduler_->daemon.stop();
  }

  net::Response get(const std::string& target) { return scheduler_->ask(api::Door::socket, stranger, "GET", target); }
  template <class T>
  T got(const std::string& target) {
    const net::Response response = get(target);
    EXPECT_EQ(response.status, 200) << response.body;
    return protocol::from_json<T>(response.body);
  }
  protocol::ErrorReply refused(int status, const std::string& target) {
    const net::Response response = get(target);
    EXPECT_EQ(response.status, status) << response.body;
    return scheduler_->problem(response);
  }
};

TEST_F(Reports, AreOfTheCurrentMonthOfTheClustersZone) {
  start();
  const auto view = got<protocol::ReportView>("/v1/report");
  EXPECT_EQ(view.month, "2026-12");
  EXPECT_EQ(view.time_zone, "Asia/Seoul");
  EXPECT_EQ(view.currency, "KRW");
  EXPECT_EQ(view.price_per_gpu_hour_milli, 4'000'000);
  ASSERT_EQ(view.accounts.size(), 2u);
  EXPECT_EQ(view.accounts[1].account, "lab-b");
  EXPECT_EQ(view.accounts[1].used_gpu_ms, 32 * hour_ms) << "what lay in November is November's";
  EXPECT_EQ(view.accounts[1].cost_milli, 128'000'000);
  EXPECT_EQ(view.accounts[1].cloud_milli, 192'000'000);
  EXPECT_EQ(view.accounts[1].jobs_tried, 0);
  EXPECT_EQ(view.accounts[1].jobs_completed, 1);
  EXPECT_EQ(view.total.cost_per_completed_milli, 128'000'000);
  const auto november = got<protocol::ReportView>("/v1/report?month=2026-11&account=lab-b");
  ASSERT_EQ(november.accounts.size(), 1u);
  EXPECT_EQ(november.total.used_gpu_ms, 160 * hour_ms);
  EXPECT_EQ(november.total.jobs_tried, 1);
  EXPECT_EQ(november.total.jobs_completed, 0);
  EXPECT_EQ(november.total.median_wait_ms, hours(1));
  EXPECT_EQ(got<protocol::ReportView>("/v1/report?account=lab-a").accounts.size(), 2u) << "with those under it";
}

TEST_F(Reports, RefuseWhatIsNoMonthAndNoAccount) {
  start();
  auto problem = refused(400, "/v1/report?month=2026-13");
  EXPECT_EQ(problem.field, "month");
  EXPECT_EQ(problem.message, "\"2026-13\" is no month");
  EXPECT_EQ(problem.remedy, "write it like 2026-12");
  EXPECT_EQ(refused(400, "/v1/report?month=").message, "\"\" is no month");
  problem = refused(400, "/v1/report?month=2027-01");
  EXPECT_EQ(problem.message, "2027-01 has not begun");
  EXPECT_EQ(problem.remedy, "the newest is 2026-12");
  EXPECT_EQ(refused(404, "/v1/report?account=lab-c").message, "there is no account lab-c");
  EXPECT_EQ(refused(400, "/v1/report?user=stan").field, "user");
}

TEST_F(Reports, AreForCallersWithIdentityAndNameNobody) {
  start();
  EXPECT_EQ(get("/v1/report").body.find("stan"), std::string::npos);
  for (const char* target : {"/v1/report", "/v1/policy", "/v1/jobs/1/price"}) EXPECT_EQ(scheduler_->ask(api::Door::loopback, {}, "GET", target).status, 403) << target;
}

TEST_F(Reports, AJobHasAPriceAtMostAndAtTheEnd) {
  start();
  const auto ended = got<protocol::JobPrice>("/v1/jobs/1/price");
  EXPECT_TRUE(ended.ended);
  EXPECT_EQ(ended.held_gpu_ms, 192 * hour_ms);
  EXPECT_EQ(ended.cost_milli, 768'000'000);
  EXPECT_EQ(ended.cloud_milli, 1'152'000'000);
  const auto waits = got<protocol::JobPrice>("/v1/jobs/2/price");
  EXPECT_FALSE(waits.ended);
  EXPECT_EQ(waits.at_most_gpu_ms, 6 * hour_ms);
  EXPECT_EQ(waits.at_most_milli, 24'000'000);
  EXPECT_EQ(waits.at_most_cloud_milli, 36'000'000);
  EXPECT_EQ(waits.cost_milli, 0);
  EXPECT_EQ(refused(404, "/v1/jobs/9/price").code, "not_found");
}

TEST_F(Reports, AnArrayCostsWhatItsElementsCost) {
  start();
  const auto response = scheduler_->ask("POST", "/v1/jobs", R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":2},"time_limit_ms":3600000,"account":"lab-a"},"array_indices":[0,1,2]})");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(got<protocol::JobPrice>("/v1/jobs/3/price").at_most_milli, 24'000'000);
  EXPECT_EQ(got<protocol::JobPrice>("/v1/jobs/3_1/price").at_most_milli, 8'000'000);
}

TEST_F(Reports, WithoutMoneyHaveNoCurrency) {
  start({.currency = "KRW"});
  EXPECT_EQ(got<protocol::JobPrice>("/v1/jobs/1/price").currency, "");
  const auto view = got<protocol::ReportView>("/v1/report");
  EXPECT_EQ(view.currency, "");
  EXPECT_EQ(view.total.used_gpu_ms, 32 * hour_ms) << "hours are counted all the same";
  EXPECT_EQ(view.total.cost_milli, 0);
}

TEST_F(Reports, ChangesOfMoneyAreToldAsTheFileHasThem) {
  State before;
  before.cluster = cluster({.currency = "EUR", .price_per_gpu_hour_milli = 2'350});
  before.cluster.qos.front().usage_factor_permille = 250;
  ClusterConfig after = cluster({.currency = "KRW", .capital_cost_milli = 8'000'000'000'000, .lifetime_years = 4});
  EXPECT_EQ(api::changes(before, after, before.policy),
            (std::vector<std::string>{"QOS normal: usage_factor 0.25 -> 1",
                                      "cluster: money.currency EUR -> KRW, money.price_per_gpu_hour 2.35 -> 0, money.capital_cost 0 -> 8000000000, money.lifetime_years 0 -> 4"}));
}

TEST_F(Reports, ThePolicyIsShownAsItRuns) {
  start();
  EXPECT_EQ(got<PolicyConfig>("/v1/policy"), Scheduler::options(small_cluster()).policy);
}

}  // namespace
}  // namespace ultramarine::server::testing
