// What would let a job start sooner, what if, and favours with their bills: over HTTP against a real daemon whose clock stands still. One node of four
// GPUs; job 1 of stan (lab-b) holds it for ten hours; job 2 of cora (lab-a, 1 hour) and job 3 of stan (2 hours) wait for all of it, job 4 of cora for two.
#include <gtest/gtest.h>

#include <regex>

#include "scheduler/protocol/planning_messages.h"
#include "tests/unit/server/daemon_harness.h"

namespace ultramarine::server::testing {
namespace {

const api::Caller cora = caller(2010, "cora"), stan = caller(2011, "stan"), mia = caller(2003, "mia"), ada = caller(2004, "ada");

class Favours : public ::testing::Test {
 protected:
  static ClusterConfig cluster() {
    ClusterConfig cluster = small_cluster(1, 4);
    cluster.accounts[0].members = {"cora"};
    cluster.accounts.push_back({.name = "lab-b", .members = {"stan"}});
    cluster.roles.manager = {"mia"};
    return cluster;
  }

  static JobSubmitted submitted(std::int64_t number, const api::Caller& owner, std::int64_t gpus, Duration limit) {
    JobSubmitted event;
    event.job = {number};
    event.spec = {.name = "train", .account = owner.actor.name == "stan" ? "lab-b" : "lab-a", .partition = "main", .qos = "normal", .resources = {.gpus = gpus}, .time_limit_ms = limit};
    event.spec.command = {"true"};
    event.spec.working_directory = "/tmp";
    event.actor = owner.actor;
    return event;
  }

  void SetUp() override {
    files_.cluster = cluster();
    files_.policy.boost_budgets = {{"mia", 100}};
    const Time at{hand_.ms->load()};
    store::Batch batch;
    const auto add = [&](const Entry& entry) { batch.entries.emplace_back(at, entry); };
    add(ClusterConfigured{cluster(), {}});
    NodeJoined joined;
    joined.node = "node01";
    add(joined);
    add(submitted(1, stan, 4, hours(10)));
    add(Round{.now_ms = at, .policy_hash = "", .decisions = {StartJob{.job = {1}, .attempt = 1, .allocation = {{"node01", {0, 1, 2, 3}}}}}});
    add(submitted(2, cora, 4, hours(1)));
    add(submitted(3, stan, 4, hours(2)));
    add(submitted(4, cora, 2, hours(1)));
    store_->append(batch);
    scheduler_ = std::make_unique<Scheduler>(loop_, *store_, cluster(), hand_.clock(), [this] { return files_; });
    scheduler_->start_and_wait();
  }
  void TearDown() override { scheduler_->daemon.stop(); }

  template <class Reply>
  Reply asked(const api::Caller& who, const std::string& method, const std::string& path, const std::string& body = "") {
    const net::Response response = scheduler_->ask(api::Door::socket, who, method, path, body);
    EXPECT_EQ(response.status, 200) << response.body;
    if (response.status != 200) return {};
    return protocol::from_json<Reply>(response.body);
  }
  protocol::ErrorReply refused(int status, const api::Caller& who, const std::string& path, const std::string& body) {
    const net::Response response = scheduler_->ask(api::Door::socket, who, "POST", path, body);
    EXPECT_EQ(response.status, status) << response.body;
    return scheduler_->problem(response);
  }
  protocol::FavourReply favour(const api::Caller& who, const std::string& body) { return asked<protocol::FavourReply>(who, "POST", "/v1/favours", body); }
  void reload() { asked<protocol::ReloadReply>(ada, "POST", "/v1/reload"); }
  std::vector<std::string> journal() {
    scheduler_->daemon.stop();
    std::vector<std::string> types;
    store_->read(1, [&](const store::Record& record) { types.push_back(std::visit([](const auto& one) { return std::string(std::decay_t<decltype(one)>::type); }, record.entry)); });
    return types;
  }
  static std::string boost_of(int job, const std::string& more = "") {
    return R"({"favour":"boost","job":")" + std::to_string(job) + R"(","reason":"visitors tomorrow")" + more + "}";
  }
  static std::string with_token(const std::string& token) { return R"(,"token":")" + token + R"(")"; }

  net::Loop loop_;
  HandClock hand_;
  Configuration files_;
  std::unique_ptr<store::Store> store_ = store::open_memory();
  std::unique_ptr<Scheduler> scheduler_;
};

void expect_words(const std::vector<std::string>& sentences) {
  for (const std::string& sentence : sentences) {
    EXPECT_FALSE(std::regex_search(sentence, std::regex("[a-z]_[a-z]"))) << "an enumerator: " << sentence;
    EXPECT_EQ(sentence.back(), '.') << sentence;
  }
}

TEST_F(Favours, WhyNamesWhoHowManyAndUntilWhen) {
  const auto reply = asked<protocol::WhyReply>(cora, "GET", "/v1/jobs/4/why");
  EXPECT_EQ(reply.ahead, 2);
  ASSERT_EQ(reply.in_the_way.size(), 2u);
  EXPECT_EQ(reply.reasons.front(), "2 jobs are ahead of it, and ask for 8 GPUs.");
  std::string all;
  for (const std::string& sentence : reply.reasons) all += sentence + "\n";
  EXPECT_NE(all.find("Job 2 (train, lab-a) of cora is ahead of it and asks for 4 GPUs, planned at "), std::string::npos) << all;
  EXPECT_NE(all.find("of stan is ahead of it"), std::string::npos) << all;
  const auto first = asked<protocol::WhyReply>(cora, "GET", "/v1/jobs/2/why");
  ASSERT_EQ(first.in_the_way.size(), 1u);
  EXPECT_TRUE(first.in_the_way[0].runs);
  EXPECT_TRUE(std::regex_match(first.in_the_way[0].sentence, std::regex(R"(Job 1 \(train, lab-b\) of stan holds 4 GPUs until \d\d:\d\d UTC \(in 10h.*\) at the latest\.)")))
      << first.in_the_way[0].sentence;
  EXPECT_TRUE(first.ways.empty()) << "all GPUs are held";
  EXPECT_EQ(first.no_way, "Nothing that can be changed about it alone would let it start sooner.");
  expect_words(reply.reasons);
  expect_words(first.reasons);
}

TEST_F(Favours, AnOfferIsTakenAndTheAgeStays) {
  const std::int64_t submitted_ms = scheduler_->job({4}).details.submitted_ms.ms;
  hand_.ms->fetch_add(1000);
  const auto edited = asked<protocol::JobView>(cora, "POST", "/v1/jobs/4/edit", R"({"time_limit_ms":60000,"resources":{"gpus":1}})");
  EXPECT_EQ(edited.details.spec.time_limit_ms, minutes(1));
  EXPECT_EQ(edited.gpus, 1);
  EXPECT_EQ(edited.details.submitted_ms.ms, submitted_ms);
  EXPECT_EQ(refused(400, cora, "/v1/jobs/4/edit", R"({"resources":{"gpus":65}})").field, "spec.resources.gpus");
  EXPECT_EQ(refused(400, cora, "/v1/jobs/4/edit", "{}").message, "nothing is to be changed");
  EXPECT_EQ(refused(403, stan, "/v1/jobs/4/edit", R"({"time_limit_ms":60000})").message, "job 4 belongs to cora");
  EXPECT_EQ(refused(409, stan, "/v1/jobs/1/edit", R"({"time_limit_ms":60000})").code, "conflict");
}

TEST_F(Favours, ABoostIsPricedBeforeItIsGrantedAndBothAreInTheJournal) {
  reload();
  const auto bill = favour(mia, boost_of(3));
  EXPECT_FALSE(bill.granted);
  ASSERT_EQ(bill.bill.delayed.size(), 1u) << "behind both job 4 starts when it would";
  EXPECT_EQ(bill.bill.delayed[0].user, "cora");
  EXPECT_EQ((*bill.bill.delayed[0].after_ms - *bill.bill.delayed[0].before_ms).ms, hours(2).ms + 35'000) << "time limit, launch and grace";
  ASSERT_TRUE(bill.budget);
  EXPECT_EQ(bill.budget->gpu_hours, 100);
  EXPECT_EQ(bill.budget->spent_gpu_ms, 0);
  expect_words(bill.sentences);
  EXPECT_EQ(scheduler_->job({3}).planned->position, 2) << "nothing has changed";

  const auto granted = favour(mia, boost_of(3, with_token(bill.token)));
  EXPECT_TRUE(granted.granted);
  EXPECT_EQ(granted.bill.bill, 1);
  EXPECT_EQ(granted.bill.displaced_gpu_ms, bill.bill.displaced_gpu_ms);
  EXPECT_EQ(granted.budget->spent_gpu_ms, granted.bill.displaced_gpu_ms);
  EXPECT_EQ(scheduler_->job({3}).planned->position, 1);
  const auto why = asked<protocol::WhyReply>(cora, "GET", "/v1/jobs/2/why");
  std::string all;
  for (const std::string& sentence : why.reasons) all += sentence + "\n";
  EXPECT_NE(all.find("The boost of job 3 (train, lab-b) of stan by mia at "), std::string::npos) << all;
  EXPECT_NE(all.find(" moved its planned start from at "), std::string::npos) << all;
  EXPECT_NE(all.find(": visitors tomorrow."), std::string::npos) << all;
  EXPECT_NE(all.find("It was put there by mia: visitors tomorrow."), std::string::npos) << all;
  const std::vector<std::string> types = journal();
  const auto billed = std::find(types.begin(), types.end(), "favour_billed");
  ASSERT_NE(billed, types.end());
  EXPECT_EQ(*std::next(billed), "job_boosted");
  EXPECT_EQ(std::count(types.begin(), types.end(), "job_boosted"), 1);
}

TEST_F(Favours, ATokenIsForOneRequestOfOnePersonAndForAWhile) {
  reload();
  const auto bill = favour(mia, boost_of(3));
  EXPECT_EQ(refused(400, mia, "/v1/favours", boost_of(4, with_token(bill.token))).field, "token");
  EXPECT_EQ(refused(400, ada, "/v1/favours", boost_of(3, with_token(bill.token))).field, "token");
  EXPECT_EQ(refused(400, mia, "/v1/favours", boost_of(3, with_token("1.2.3"))).field, "token");
  EXPECT_EQ(refused(400, mia, "/v1/favours", R"({"favour":"boost","job":"3"})").field, "reason");
  asked<protocol::JobView>(stan, "POST", "/v1/jobs/3/edit", R"({"time_limit_ms":14400000})");  // so that it keeps the others waiting for longer
  const auto problem = refused(409, mia, "/v1/favours", boost_of(3, with_token(bill.token)));
  EXPECT_EQ(problem.code, "conflict");
  EXPECT_NE(problem.message.find("the queue has moved"), std::string::npos) << problem.message;
  const auto again = favour(mia, boost_of(3));
  hand_.ms->fetch_add(11 * 60'000);
  EXPECT_NE(refused(409, mia, "/v1/favours", boost_of(3, with_token(again.token))).message.find("older than"), std::string::npos);
  const auto types = journal();
  EXPECT_EQ(std::count(types.begin(), types.end(), "favour_billed"), 0);
}

TEST_F(Favours, ABudgetIsNeverOverspentAndAdminsHaveNone) {
  EXPECT_EQ(favour(mia, boost_of(3)).budget->gpu_hours, 0) << "the policy names none so far";
  const auto free_of_charge = favour(mia, boost_of(2));
  EXPECT_TRUE(free_of_charge.bill.delayed.empty());
  auto bill = favour(mia, boost_of(3));
  EXPECT_NE(refused(403, mia, "/v1/favours", boost_of(3, with_token(bill.token))).message.find("of your budget of 0 this month are left"), std::string::npos);
  files_.policy.boost_budgets = {{"*", bill.bill.displaced_gpu_ms / hours(1).ms + 1}};
  reload();
  bill = favour(mia, boost_of(3));
  EXPECT_TRUE(favour(mia, boost_of(3, with_token(bill.token))).granted);
  bill = favour(mia, boost_of(4));
  EXPECT_GT(bill.bill.displaced_gpu_ms, 0) << "ahead of 2, behind the boosted 3";
  EXPECT_EQ(refused(403, mia, "/v1/favours", boost_of(4, with_token(bill.token))).code, "not_permitted");
  EXPECT_FALSE(favour(ada, boost_of(4)).budget);
  EXPECT_TRUE(favour(ada, boost_of(4, with_token(favour(ada, boost_of(4)).token))).granted);
}

TEST_F(Favours, WhatIsDoneToOthersByHandHasABill) {
  const auto problem = refused(409, ada, "/v1/jobs/2/hold", R"({"reason":"it fills the disk"})");
  EXPECT_EQ(problem.field, "token") << "its planned start is gone";
  const std::string hold = R"({"favour":"hold","job":"2","reason":"it fills the disk")";
  EXPECT_TRUE(favour(ada, hold + with_token(favour(ada, hold + "}").token) + "}").granted);
  EXPECT_EQ(scheduler_->job({2}).details.hold->kind, HoldKind::admin);
  const std::string extend = R"({"favour":"extend","job":"1","time_ms":7200000,"reason":"one more epoch")";
  const auto bill = favour(ada, extend + "}");
  ASSERT_FALSE(bill.bill.delayed.empty());
  EXPECT_EQ(bill.bill.detail, "2h");
  EXPECT_TRUE(favour(ada, extend + with_token(bill.token) + "}").granted);
  EXPECT_EQ(scheduler_->job({1}).details.spec.time_limit_ms, hours(12));
  const std::string course = R"({"name":"course","nodes":["node01"],"accounts":["lab-b"],"start_ms":1800000000000,"end_ms":1800360000000,"reason":"a course"})";
  EXPECT_EQ(refused(409, ada, "/v1/reservations", course).field, "token");
  // Whoever runs is in nobody's way when he is gone: granted at once, and in the journal.
  asked<protocol::JobView>(ada, "POST", "/v1/jobs/1/cancel");
  const auto types = journal();
  EXPECT_EQ(std::count(types.begin(), types.end(), "favour_billed"), 3);
  for (const char* change : {"job_held", "job_extended", "job_cancelled"}) {
    const auto its = std::find(types.begin(), types.end(), change);
    ASSERT_NE(its, types.end()) << change;
    EXPECT_EQ(*std::prev(its), "favour_billed") << change;
  }
}

TEST_F(Favours, ANiceValueBelowZeroIsNoWayAroundABill) {
  files_.policy.order = "multifactor";
  files_.policy.weights = {{"age", 1}};
  reload();
  const auto job = [](int gpus, int nice) {
    return R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":)" + std::to_string(gpus) + R"(},"time_limit_ms":3600000,"nice":)" + std::to_string(nice) + R"(},"array_indices":[0,1]})";
  };
  const api::Caller runner = caller(runner_uid, "runner");
  files_.cluster.accounts[0].members.push_back("runner");
  reload();
  const auto problem = refused(409, runner, "/v1/jobs", job(4, -1'000'000));
  EXPECT_EQ(problem.field, "spec.nice");
  EXPECT_NE(problem.message.find("others would start later"), std::string::npos) << problem.message;
  EXPECT_EQ(asked<protocol::SubmitReply>(runner, "POST", "/v1/jobs", job(4, 0)).count, 2);
}

TEST_F(Favours, WhatIf) {
  const auto what_if = [&](const std::string& body) { return asked<protocol::WhatIfReply>(cora, "POST", "/v1/whatif", body); };
  auto reply = what_if(R"({"submit":{"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":4},"time_limit_ms":60000}}})");
  EXPECT_FALSE(reply.before);
  ASSERT_TRUE(reply.after);
  EXPECT_TRUE(reply.delayed.empty()) << "it comes last";
  reply = what_if(R"({"boost":"3"})");
  EXPECT_EQ(reply.delayed.size(), 1u);
  EXPECT_LT(*reply.after->start_ms, *reply.before->start_ms);
  reply = what_if(R"({"cancel":"1"})");
  EXPECT_EQ(reply.helped.size(), 3u);
  EXPECT_TRUE(reply.delayed.empty());
  reply = what_if(R"({"drain":"node01"})");
  EXPECT_EQ(reply.delayed.size(), 3u);
  EXPECT_FALSE(reply.delayed[0].after_ms);
  reply = what_if(R"({"add_nodes":1})");
  EXPECT_EQ(reply.helped.size(), 3u);
  EXPECT_EQ(reply.sentences.front(), "If there were 1 more node of 4 GPUs, like node01:");
  reply = what_if(R"({"policy":{"name":"shortest first","order":"shortest"}})");
  EXPECT_FALSE(reply.sentences.empty());
  for (const std::string body : {R"({})", R"({"boost":"2","cancel":"3"})", R"({"add_nodes":-1})", R"({"boost":"x"})", R"({"policy":{"order":"fastest"}})"})
    EXPECT_EQ(scheduler_->ask(api::Door::socket, cora, "POST", "/v1/whatif", body).status, 400) << body;
  EXPECT_EQ(refused(404, cora, "/v1/whatif", R"({"boost":"99"})").code, "not_found");
  EXPECT_EQ(refused(409, cora, "/v1/whatif", R"({"boost":"1"})").code, "conflict");
  EXPECT_EQ(scheduler_->job({1}).details.state, JobState::starting) << "nothing has changed";
}

}  // namespace
}  // namespace ultramarine::server::testing
