// `ultra wait-report`: sums that people can add up, exact milliseconds for programs, and mistakes that name the option.
#include <gtest/gtest.h>

#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/wait_messages.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::Ran;
using test::run;

std::string waits_of_12() {
  protocol::WaitsOfJob waits{.job = {12}, .name = "12", .account = "lab-a", .gpus = 8, .state = JobState::running, .until_ms = {}, .wait_ms = {61'234}, .parts = {}, .certificate = {}, .overtaking = {}};
  waits.parts.push_back({{WaitCause::running_job, {3}, "lab-b", "", 0, {60'000}}, "job 3 (train, lab-b, 8 GPUs), which held GPUs that it needed"});
  waits.parts.push_back({{WaitCause::hold, {}, "", "ada: wait, please", 0, {1'234}}, "a hold: ada: wait, please"});
  waits.overtaking = {"Started ahead of 1 job; nobody ahead of it had a planned start."};
  return protocol::to_json(waits);
}

std::string roll_up() {
  protocol::WaitRollUp all{.now_ms = {}, .month = "2026-11", .accounts = {}};
  all.accounts.push_back({"lab-a", 2, 7'200'000, {{"lab-b", WaitCause::job_ahead, 5'400'000, 1'800'000}, {"", WaitCause::nodes, 1'800'000, 0}},
                          {"lab-a waited 1.5 GPU-hours for lab-b, 0.5 of them by boosts.", "lab-a waited 0.5 GPU-hours for nodes that were away."}});
  return protocol::to_json(all);
}

TEST(WaitReport, AddsUpToTheMillisecond) {
  FakeApi api;
  api.on("GET /v1/jobs/12/waits", waits_of_12());
  const Ran ran = run(api, {"wait-report", "12"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out,
            "TIME\tSECONDS\tWAITED FOR\n"
            "1m\t60.000\tjob 3 (train, lab-b, 8 GPUs), which held GPUs that it needed\n"
            "1s\t1.234\ta hold: ada: wait, please\n"
            "1m 01s\t61.234\tall of its wait\n");
  EXPECT_EQ(ran.err, "Started ahead of 1 job; nobody ahead of it had a planned start.\n");
  EXPECT_EQ(run(api, {"wait-report", "12", "--csv"}).out,
            "job,cause,for_job,for_account,detail,bill,wait_ms\n"
            "12,running_job,3,lab-b,,,60000\n"
            "12,hold,,,\"ada: wait, please\",,1234\n");
  EXPECT_EQ(run(api, {"wait-report", "12", "--json"}).out, waits_of_12() + "\n");
}

TEST(WaitReport, SetsAccountAgainstAccount) {
  FakeApi api;
  api.on("GET /v1/waits", roll_up());
  EXPECT_EQ(run(api, {"wait-report", "--accounts"}).out,
            "ACCOUNT\tGPU-HOURS\tBY BOOSTS\tWAITED FOR\n"
            "lab-a\t1.50\t0.50\tlab-a waited 1.5 GPU-hours for lab-b, 0.5 of them by boosts.\n"
            "lab-a\t0.50\t0.00\tlab-a waited 0.5 GPU-hours for nodes that were away.\n");
  EXPECT_EQ(run(api, {"wait-report", "--accounts", "--month", "2026-11", "--csv"}).out,
            "month,account,for_account,cause,gpu_ms,boost_gpu_ms\n"
            "2026-11,lab-a,lab-b,,5400000,1800000\n"
            "2026-11,lab-a,,nodes,1800000,0\n");
}

TEST(WaitReport, SaysWhatIsWrong) {
  FakeApi api;
  const auto fails = [&](const std::vector<std::string>& words, const std::string& said) {
    const Ran ran = run(api, words);
    EXPECT_EQ(ran.code, 2) << ran.out;
    EXPECT_NE(ran.err.find(said), std::string::npos) << ran.err;
  };
  fails({"wait-report"}, "JOB: none given");
  fails({"wait-report", "12", "13"}, "JOB: one job at a time");
  fails({"wait-report", "12", "--accounts"}, "--accounts: no job is named with it");
  fails({"wait-report", "12", "--month", "2026-11"}, "--month: it is about accounts, not about one job; add --accounts");
  fails({"wait-report", "--accounts", "--csv", "--json"}, "--csv: ");
}

}  // namespace
}  // namespace ultramarine::cli
