// `ultra priority` and `ultra shares`: the columns that sprio and sshare have, and how the numbers are written.
#include <gtest/gtest.h>

#include "scheduler/protocol/codec.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::Ran;
using test::run;

Terminal wide_terminal() {
  Terminal terminal;
  terminal.out_is_terminal = true;
  terminal.columns = 200;
  return terminal;
}

std::string priorities(const std::string& order = "multifactor") {
  protocol::PriorityList list;
  list.order = order;
  list.max_age_ms = hours(24);
  list.weights = {.age = 1000, .fair_share = 2000, .size = 3000, .qos = 4000, .partition = 5000, .account = 6000};
  protocol::PriorityView waited{.name = "7", .position = 1, .user = "ada", .account = "lab", .partition = "main", .qos = "normal", .details = {}};
  waited.details.waited_max_age = true;
  waited.details.priority = 12;
  waited.details.weighted.age = 12;
  protocol::PriorityView element = waited;
  element.name = "12_3";
  element.position = 2;
  element.details = {.priority = 2095,
                     .factors = {.age = factor_one / 10, .fair_share = factor_one, .size = 1'500, .qos = 0, .partition = 1, .account = factor_one / 3},
                     .weighted = {.age = 100, .fair_share = 2000, .size = 1, .qos = 2, .partition = 3, .account = 4},
                     .nice = 15};
  list.jobs = {waited, element};
  return protocol::to_json(list);
}

TEST(PriorityVerb, HasTheColumnsOfSprio) {
  FakeApi api;
  api.on("GET /v1/priorities", priorities());
  const Ran ran = run(api, {"priority"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out,
            "JOBID\tPARTITION\tPRIORITY\tSITE\tAGE\tASSOC\tFAIRSHARE\tJOBSIZE\tPARTITION\tQOS\tNICE\tTRES\n"
            "7\tmain\t12\t0\t12\t0\t0\t0\t0\t0\t0\t\n"
            "12_3\tmain\t2095\t0\t100\t4\t2000\t1\t3\t2\t15\t\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(run(api, {"priority", "--json"}).out, priorities() + "\n");
}

TEST(PriorityVerb, ShowsFactorsAndWeights) {
  FakeApi api;
  api.on("GET /v1/priorities", priorities());
  EXPECT_NE(run(api, {"priority", "-n"}).out.find("12_3\tmain\t2095\t0\t0.100000\t0.333333\t1.000000\t0.000001\t0.000000\t0.000000\t15\t\n"), std::string::npos);
  EXPECT_NE(run(api, {"priority", "-w"}).out.find("\nWeights\t\t\t0\t1000\t6000\t2000\t3000\t5000\t4000\t1\t\n"), std::string::npos);
}

TEST(PriorityVerb, FiltersByUserAccountAndJob) {
  FakeApi api;
  api.on("GET /v1/priorities", priorities());
  EXPECT_EQ(run(api, {"priority", "-u", "ada", "-A", "lab"}).code, 0);
  EXPECT_EQ(api.requests().back().query, (std::map<std::string, std::string>{{"user", "ada"}, {"account", "lab"}}));
  EXPECT_EQ(run(api, {"priority", "-j", "7"}).out.find("12_3"), std::string::npos);
  for (const char* jobs : {"12", "12_3", "5,12_[1,3]"}) {
    const Ran ran = run(api, {"priority", "-j", jobs});
    EXPECT_NE(ran.out.find("\n12_3\t"), std::string::npos) << jobs;
    EXPECT_EQ(ran.out.find("\n7\t"), std::string::npos) << jobs;
  }
  for (const char* jobs : {"x", "", "12_[1,3", "7,"}) {
    const Ran ran = run(api, {"priority", "--jobs", jobs});
    EXPECT_EQ(ran.code, 2) << jobs;
    EXPECT_NE(ran.err.find("--jobs: "), std::string::npos) << ran.err;
  }
}

TEST(PriorityVerb, SaysWhatTheNumbersDoNot) {
  FakeApi api;
  api.on("GET /v1/priorities", priorities());
  const Ran ran = run(api, {"priority"}, wide_terminal());
  EXPECT_NE(ran.out.find(" 12*"), std::string::npos) << ran.out;
  EXPECT_EQ(ran.err, "* has waited for 1d or longer, and is ahead of all that have not.\n");
  EXPECT_EQ(run(api, {"priority", "-j", "99"}, wide_terminal()).err, "No such jobs wait.\n");
  api.on("GET /v1/priorities", priorities("submit_time"));
  EXPECT_EQ(run(api, {"priority"}).err, "The policy's order is submit_time: nobody is ordered by these numbers.\n");
}

TEST(SharesVerb, HasTheColumnsOfSshare) {
  protocol::ShareList list;
  list.shares = {{.account = "root", .raw_usage_gpu_ms = 100'000, .norm_usage = factor_one, .effective_usage = factor_one, .running_gpu_ms = 120'000},
                 {.account = "lab", .parent = "root", .depth = 1, .raw_shares = 3, .norm_shares = 750'000'000, .raw_usage_gpu_ms = 90'999, .norm_usage = 900'000'000,
                  .effective_usage = 900'000'000, .level_fair_share = 833'333'333, .gpu_hours_per_month = 10},
                 {.account = "lab", .user = "ada", .parent = "lab", .depth = 2, .fair_share = 333'333'333}};
  FakeApi api;
  api.on("GET /v1/shares", protocol::to_json(list));
  const Ran ran = run(api, {"shares"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out,
            "Account\tUser\tRawShares\tNormShares\tRawUsage\tNormUsage\tEffectvUsage\tFairShare\tLevelFS\tGrpTRESMins\tTRESRunMins\n"
            "root\t\t1\t1.000000\t100\t1.000000\t1.000000\t\t\t\tgres/gpu=2\n"
            "lab\t\t3\t0.750000\t90\t0.900000\t0.900000\t\t0.833333\tgres/gpu=600\tgres/gpu=0\n"
            "lab\tada\t1\t1.000000\t0\t0.000000\t0.000000\t0.333333\tinf\t\tgres/gpu=0\n");
  EXPECT_EQ(run(api, {"shares", "--json"}).out, protocol::to_json(list) + "\n");
  EXPECT_NE(run(api, {"shares"}, wide_terminal()).out.find("\n  lab "), std::string::npos);  // under its account
  EXPECT_EQ(run(api, {"shares", "-u", "ada", "-A", "lab"}).code, 0);
  EXPECT_EQ(api.requests().back().query, (std::map<std::string, std::string>{{"user", "ada"}, {"account", "lab"}}));
  api.on("GET /v1/shares", protocol::to_json(protocol::ShareList{}));
  EXPECT_EQ(run(api, {"shares", "-u", "eve"}, wide_terminal()).err, "Nobody of that name has submitted a job so far.\n");
}

}  // namespace
}  // namespace ultramarine::cli
