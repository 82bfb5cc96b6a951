// What accounts held, cost, may have and owe.
#include <gtest/gtest.h>

#include "tests/unit/metrics/site.h"

namespace ultramarine::metrics {
namespace {

TEST(Metrics, PriceWhatAnAccountHeld) {
  Site site(priced());
  site.have_run(seconds(250), 4);
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_price_per_gpu_hour{currency=\"EUR\"}"), 3.6);
  EXPECT_EQ(value(text, "ultramarine_cost_total{account=\"lab-a\",component=\"gpu\",currency=\"EUR\"}"), 1);
  EXPECT_EQ(value(text, "ultramarine_cost_total{account=\"lab-b\",component=\"gpu\",currency=\"EUR\"}"), 0);
  EXPECT_EQ(Site().text().find("currency"), std::string::npos) << "no prices where the cluster file says none";
}

TEST(Metrics, NameUsersOnlyWhereTheClusterFileWantsIt) {
  Site site(priced(), {.user_label = true, .peak_tflops = {}});
  site.have_run(seconds(250), 4);
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_allocated_gpu_seconds_total{account=\"lab-a\",partition=\"main\",user=\"u\"}"), 1000);
  EXPECT_EQ(value(text, "ultramarine_cost_total{account=\"lab-a\",component=\"gpu\",currency=\"EUR\",user=\"u\"}"), 1);
}

TEST(Metrics, ShowSharesLoansAndBudgetsOfAccounts) {
  ClusterConfig config = two_nodes();
  config.accounts[0].shares = 3;
  config.accounts[0].limits.gpus_floor = 2;
  config.accounts[0].limits.gpus_soft = 3;
  config.accounts[0].limits.gpu_hours_per_month = 10;
  AccountConfig child;
  child.name = "lab-a-students";
  child.parent = "lab-a";
  child.members = {"*"};
  config.accounts.push_back(child);
  Site site(config);
  site.record(PeriodStarted{start, start + hours(24 * 30), {}});
  const JobId job = site.submit(5, "lab-a-students");
  site.decide();
  site.run(job);
  site.now = site.now + minutes(30);
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_account_share_ratio{account=\"lab-a\"}"), 0.75);
  EXPECT_EQ(value(text, "ultramarine_account_share_ratio{account=\"lab-b\"}"), 0.25);
  EXPECT_EQ(value(text, "ultramarine_account_share_ratio{account=\"lab-a-students\"}"), 0.75) << "all of what is above it";
  EXPECT_EQ(value(text, "ultramarine_account_usage_ratio{account=\"lab-a\"}"), 1) << "what is under it counts";
  EXPECT_EQ(value(text, "ultramarine_account_usage_ratio{account=\"lab-b\"}"), 0);
  EXPECT_EQ(value(text, "ultramarine_account_guaranteed_gpus{account=\"lab-a\"}"), 2);
  EXPECT_EQ(value(text, "ultramarine_account_allocated_gpus{account=\"lab-a\"}"), 5);
  EXPECT_EQ(value(text, "ultramarine_account_borrowed_gpus{account=\"lab-a\"}"), 2);
  EXPECT_EQ(value(text, "ultramarine_account_borrowed_gpus{account=\"lab-a-students\"}"), 0);
  EXPECT_EQ(value(text, "ultramarine_account_budget_used_ratio{account=\"lab-a\",period=\"month\"}"), 0.25);
  EXPECT_EQ(value(text, "ultramarine_account_priority_factor{account=\"lab-a-students\"}"), 1) << "the only user";
}

TEST(Metrics, CallEvenUsageFairAndOneSidedUsageNot) {
  Site site;
  const JobId first = site.submit(4, "lab-a"), second = site.submit(4, "lab-b");
  site.decide();
  site.run(first);
  site.run(second);
  site.now = site.now + minutes(10);
  EXPECT_NEAR(value(site.text(), "ultramarine_fairness_jain_ratio").value_or(-1), 1, 1e-6);
  site.end(second);
  site.now = site.now + hours(24 * 3);
  EXPECT_NEAR(value(site.text(), "ultramarine_fairness_jain_ratio").value_or(-1), 0.5, 0.01);
}

}  // namespace
}  // namespace ultramarine::metrics
