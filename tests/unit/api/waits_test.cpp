// What jobs waited for, as the API says it: sums, sentences, accounts, and what the journal keeps.
#include <gtest/gtest.h>

#include <algorithm>

#include "scheduler/api/wait_words.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/wait_ledger.h"
#include "scheduler/protocol/wait_messages.h"
#include "tests/unit/server/daemon_harness.h"

namespace ultramarine::server::testing {
namespace {

class Waits : public TwoNodes {
 protected:
  protocol::WaitsOfJob waits(JobId job) {
    const net::Response response = scheduler_->ask("GET", "/v1/jobs/" + std::to_string(job.value) + "/waits");
    EXPECT_EQ(response.status, 200) << response.body;
    const auto answer = protocol::from_json<protocol::WaitsOfJob>(response.body);
    std::int64_t sum = 0;
    for (const protocol::WaitLine& line : answer.parts) sum += line.details.time_ms.ms;
    EXPECT_EQ(sum, answer.wait_ms.ms);
    return answer;
  }
  protocol::WaitRollUp roll_up(const std::string& query = "") {
    const net::Response response = scheduler_->ask("GET", "/v1/waits" + query);
    EXPECT_EQ(response.status, 200) << response.body;
    return protocol::from_json<protocol::WaitRollUp>(response.body);
  }
  void pass(std::int64_t ms) { *hand_.ms += ms; }
};

TEST_F(Waits, SayWhoHeldTheGpusAndUntilWhen) {
  both_join();
  const JobId first = scheduler_->submit(R"({"gpus":16})", R"(,"name":"train","time_limit_ms":3600000)");
  scheduler_->until_state(first, JobState::starting);
  pass(1000);
  const JobId second = scheduler_->submit(R"({"gpus":16})");
  pass(2345);
  const protocol::WaitsOfJob answer = waits(second);
  EXPECT_EQ(answer.wait_ms.ms, 2345);
  EXPECT_EQ(answer.gpus, 16);
  ASSERT_EQ(answer.parts.size(), 1u);
  EXPECT_EQ(answer.parts[0].details.cause, WaitCause::running_job);
  EXPECT_EQ(answer.parts[0].text.rfind("job 1 (train, lab-a, 16 GPUs), which held GPUs that it needed, at most until at ", 0), 0u) << answer.parts[0].text;
  EXPECT_FALSE(answer.certificate);

  const protocol::WaitRollUp all = roll_up();
  ASSERT_EQ(all.accounts.size(), 1u);
  EXPECT_EQ(all.accounts[0].account, "lab-a");
  EXPECT_EQ(all.accounts[0].gpu_ms, 16 * 2345);
  ASSERT_EQ(all.accounts[0].rows.size(), 1u);
  EXPECT_EQ(all.accounts[0].rows[0].for_account, "lab-a");
  EXPECT_EQ(all.accounts[0].text[0], "lab-a waited 0.0 GPU-hours for jobs of its own.");
  EXPECT_TRUE(roll_up("?month=2001-01").accounts.empty());
}

TEST_F(Waits, AreForIdentifiedUsersOnlyAndRefuseWhatIsWrong) {
  both_join();
  const JobId job = scheduler_->submit();
  const std::string path = "/v1/jobs/" + std::to_string(job.value) + "/waits";
  EXPECT_EQ(scheduler_->ask(api::Door::socket, caller(2000, "stan"), "GET", path).status, 200);
  for (const std::string& one : {path, std::string("/v1/waits")}) EXPECT_EQ(scheduler_->ask(api::Door::loopback, {}, "GET", one).status, 403) << one;
  EXPECT_EQ(scheduler_->ask("GET", "/v1/jobs/99/waits").status, 404);
  EXPECT_EQ(scheduler_->ask("GET", "/v1/waits?account=nobody").status, 404);
  const net::Response wrong = scheduler_->ask("GET", "/v1/waits?month=2026-13");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(scheduler_->problem(wrong).field, "month");
}

TEST_F(Waits, AreRecordedWhenTheyAreOverAndWhenTheDaemonStops) {
  both_join();
  const JobId first = scheduler_->submit(R"({"gpus":16})");
  scheduler_->until_state(first, JobState::starting);
  const JobId second = scheduler_->submit(R"({"gpus":16})"), third = scheduler_->submit(R"({"gpus":16})", R"(,"hold":true)");
  pass(5000);
  waits(second);
  scheduler_->daemon.stop();
  State state;
  store_->read(1, [&](const store::Record& record) { core::apply_entry(state, record.at_ms, record.entry); });
  EXPECT_EQ(core::sum_of(state.jobs.at(second).waited).ms, 5000);
  EXPECT_EQ(state.jobs.at(third).waited.front().cause, WaitCause::hold);
  EXPECT_EQ(state.jobs.at(second).waited.front().job, first);

  // The next life goes on from there.
  scheduler_ = std::make_unique<Scheduler>(loop_, *store_, small_cluster(), hand_.clock());
  pass(700);
  scheduler_->start_and_wait();
  pass(300);
  EXPECT_EQ(waits(second).wait_ms.ms, 6000);
  const protocol::WaitsOfJob after = waits(second);
  ASSERT_EQ(after.parts.size(), 2u);
  EXPECT_EQ(after.parts[0].details.cause, WaitCause::running_job);
  EXPECT_EQ(after.parts[0].details.time_ms.ms, 5000);
  // By then nobody had heard of the nodes for five seconds, and nobody has come back.
  EXPECT_EQ(after.parts[1].details.cause, WaitCause::nodes);
  EXPECT_EQ(after.parts[1].details.time_ms.ms, 1000);
}

TEST(WaitWords, NameWhoHowManyAndUntilWhenWithoutInnerWords) {
  State state;
  Job other;
  other.job = {7};
  other.spec.name = "sweep";
  other.spec.account = "lab-b";
  other.spec.resources.gpus = 8;
  state.jobs.emplace(other.job, other);
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<WaitCause>>([&](auto cause) {
    for (const JobId job : {JobId{}, JobId{7}})
      for (const std::string detail : {"", "somebody"})
        for (const std::string account : {"", "lab-b"}) {
          const std::string text = api::wait_in_words({cause.value, job, account, detail, 3, {1000}}, state, Time{5000});
          EXPECT_FALSE(text.empty());
          EXPECT_EQ(text.find('_'), std::string::npos) << text;
        }
  });
  EXPECT_EQ(api::wait_in_words({WaitCause::boost, {7}, "lab-b", "", 3, {1}}, state, Time{}), "job 7 (sweep, lab-b, 8 GPUs), which was ahead of it by boost 3");
  EXPECT_EQ(api::row_in_words("lab-a", {"lab-b", WaitCause::job_ahead, 41 * 3'600'000LL, 3 * 3'600'000LL}), "lab-a waited 41.0 GPU-hours for lab-b, 3.0 of them by boosts.");
  EXPECT_EQ(api::row_in_words("lab-a", {"", WaitCause::nodes, 5'400'000, 0}), "lab-a waited 1.5 GPU-hours for nodes that were away.");
}

}  // namespace
}  // namespace ultramarine::server::testing
