// What operators and owners do with jobs, nodes and reservations, against a real daemon with a memory store: who may, what becomes of it, and what
// is said when it can't be.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "scheduler/api/roles.h"
#include "tests/unit/server/daemon_harness.h"

namespace ultramarine::server::testing {
namespace {

const api::Caller admin = caller(2001, "ada");
const api::Caller wheel = caller(2002, "wil", {"users", "wheel"});

class Operations : public ::testing::Test {
 protected:
  net::Loop loop_;
  std::unique_ptr<store::Store> store_ = store::open_memory();
  HandClock hand_;
  std::unique_ptr<Scheduler> scheduler_ = std::make_unique<Scheduler>(loop_, *store_, two_accounts(), hand_.clock());

  static ClusterConfig two_accounts() {
    ClusterConfig cluster = small_cluster(4);
    cluster.accounts.push_back({.name = "lab-b", .members = {"stan"}});
    return cluster;
  }

  static JobSubmitted submitted(std::int64_t job, const api::Caller& owner, std::int64_t gpus, Duration time_limit) {
    JobSubmitted event;
    event.job = {job};
    event.spec = {.name = "earlier", .account = owner.actor.name == "stan" ? "lab-b" : "lab-a", .partition = "main", .qos = "normal", .resources = {.gpus = gpus}, .time_limit_ms = time_limit};
    event.spec.command = {"true"};
    event.actor = owner.actor;
    return event;
  }
  /// What the journal holds: here a job of somebody who doesn't run the scheduler.
  virtual std::vector<JobSubmitted> earlier_jobs() const { return {submitted(1, stranger, 1, hours(1))}; }

  void SetUp() override {
    store::Batch batch;
    batch.entries.emplace_back(Time{hand_.ms->load()}, ClusterConfigured{two_accounts(), {}});
    for (const JobSubmitted& job : earlier_jobs()) batch.entries.emplace_back(Time{hand_.ms->load()}, job);
    store_->append(batch);
    scheduler_->start_and_wait();
  }
  void TearDown() override { scheduler_->daemon.stop(); }

  net::Response post(const api::Caller& who, const std::string& path, const std::string& body = "") {
    return scheduler_->ask(api::Door::socket, who, "POST", path, body);
  }
  protocol::ErrorReply refused(int status, const net::Response& response) {
    EXPECT_EQ(response.status, status) << response.body;
    return scheduler_->problem(response);
  }
  protocol::JobView view(const net::Response& response) {
    EXPECT_EQ(response.status, 200) << response.body;
    return protocol::from_json<protocol::JobView>(response.body);
  }
  std::map<std::string, protocol::NodeView> nodes(const net::Response& response) {
    EXPECT_EQ(response.status, 200) << response.body;
    std::map<std::string, protocol::NodeView> found;
    for (const auto& node : protocol::from_json<protocol::NodeList>(response.body).nodes) found[node.node.config.name] = node;
    return found;
  }
  std::int64_t now() const { return hand_.ms->load(); }
  std::string reservation(const std::string& name, const std::string& nodes, std::int64_t from_min, std::int64_t to_min, const std::string& whose = R"("accounts":["lab-b"])") {
    return R"({"name":")" + name + R"(","nodes":[")" + nodes + R"("],)" + whose + R"(,"start_ms":)" + std::to_string(now() + from_min * 60'000) + R"(,"end_ms":)" +
           std::to_string(now() + to_min * 60'000) + R"(,"reason":"a course"})";
  }
};

TEST_F(Operations, AnOwnerHoldsAndReleases) {
  auto job = view(post(stranger, "/v1/jobs/1/hold", R"({"reason":"data is late"})"));
  EXPECT_EQ(job.details.state, JobState::held);
  ASSERT_TRUE(job.details.hold);
  EXPECT_EQ(job.details.hold->kind, HoldKind::user);
  EXPECT_EQ(job.details.hold->actor.name, "stan");
  EXPECT_EQ(job.why, "Held by stan (data is late): it waits until it is released.");
  // Again changes nothing; without identity nobody's name is seen.
  EXPECT_EQ(view(post(stranger, "/v1/jobs/1/hold", R"({"reason":"data is late"})")).details.hold->since_ms.ms, job.details.hold->since_ms.ms);
  EXPECT_EQ(scheduler_->ask(api::Door::loopback, {}, "GET", "/v1/jobs").body.find("stan"), std::string::npos);
  job = view(post(stranger, "/v1/jobs/1/release"));
  EXPECT_EQ(job.details.state, JobState::queued);
  EXPECT_FALSE(job.details.hold);
  EXPECT_EQ(view(post(stranger, "/v1/jobs/1/release")).details.state, JobState::queued);
}

TEST_F(Operations, AnAdminsHoldIsReleasedOnlyByAnAdmin) {
  EXPECT_EQ(view(post(admin, "/v1/jobs/1/hold", R"({"reason":"too many files"})")).details.hold->kind, HoldKind::admin);
  auto problem = refused(403, post(stranger, "/v1/jobs/1/release"));
  EXPECT_EQ(problem.message, "job 1 was held by ada, an admin (too many files)");
  EXPECT_EQ(problem.remedy, "only an admin may release it");
  EXPECT_EQ(refused(403, post(stranger, "/v1/jobs/1/hold")).code, "not_permitted") << "a user's hold must not take the admin's place";
  EXPECT_EQ(view(post(wheel, "/v1/jobs/1/release", "{}")).details.state, JobState::queued);
  // An admin's hold takes the place of the owner's.
  view(post(stranger, "/v1/jobs/1/hold"));
  EXPECT_EQ(view(post(admin, "/v1/jobs/1/hold")).details.hold->kind, HoldKind::admin);
  EXPECT_EQ(view(post(caller(0, "root"), "/v1/jobs/1/release")).details.state, JobState::queued);
}

TEST_F(Operations, OnlyWaitingJobsCanBeHeld) {
  const JobId mine = scheduler_->submit();
  EXPECT_EQ(refused(403, post(stranger, "/v1/jobs/" + std::to_string(mine.value) + "/hold")).message, "job 2 belongs to runner");
  EXPECT_EQ(refused(404, post(runner, "/v1/jobs/99/hold")).code, "not_found");
  EXPECT_EQ(refused(400, post(runner, "/v1/jobs/2/hold", R"({"why":"x"})")).field, "why");
  EXPECT_EQ(refused(400, post(runner, "/v1/jobs/2/hold", R"({"reason":"two\nlines"})")).field, "reason");
  post(runner, "/v1/jobs/2/cancel");
  EXPECT_EQ(refused(409, post(runner, "/v1/jobs/2/hold")).message, "job 2 doesn't wait: it is cancelled");
  EXPECT_EQ(refused(409, post(runner, "/v1/jobs/2/release")).message, "job 2 is not held: it is cancelled");
}

TEST_F(Operations, AnArrayIsHeldWhole) {
  const auto response = post(runner, "/v1/jobs", R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":1},"hold":true},"array_indices":[0,1,2]})");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(scheduler_->job({2}).details.state, JobState::held);
  view(post(runner, "/v1/jobs/2/release"));
  EXPECT_EQ(scheduler_->job({3}).details.state, JobState::queued);
  view(post(runner, "/v1/jobs/2_1/hold"));
  EXPECT_EQ(scheduler_->job({3}).details.state, JobState::held);
  EXPECT_EQ(scheduler_->job({4}).details.state, JobState::queued);
  post(runner, "/v1/jobs/2_0/cancel");
  view(post(runner, "/v1/jobs/2/hold"));  // one has ended: no mistake
  EXPECT_EQ(scheduler_->job({4}).details.state, JobState::held);
}

TEST_F(Operations, OnlyAdminsDrain) {
  const std::string drain = R"({"nodes":["node0[1-2]"],"reason":"new fans"})";
  const auto problem = refused(403, post(stranger, "/v1/nodes/drain", drain));
  EXPECT_EQ(problem.message, "only an admin may drain and resume nodes");
  EXPECT_EQ(problem.remedy, "ask root or the user who runs the scheduler (uid 1000), ada, @wheel");
  EXPECT_EQ(refused(403, post(stranger, "/v1/nodes/resume", R"({"nodes":["node01"]})")).code, "not_permitted");
  auto list = nodes(post(wheel, "/v1/nodes/drain", drain));
  ASSERT_EQ(list.size(), 2u);
  ASSERT_TRUE(list.at("node02").node.drain);
  EXPECT_EQ(list.at("node02").node.drain->reason, "new fans");
  EXPECT_EQ(list.at("node02").node.drain->actor.name, "wil");
  EXPECT_EQ(list.at("node02").node.state, NodeState::down) << "no agent has joined: that is the worse news";
  EXPECT_EQ(scheduler_->ask(api::Door::loopback, {}, "GET", "/v1/nodes").body.find("wil"), std::string::npos);
  Agent one{*scheduler_, loop_, "node01"};
  one.join();
  EXPECT_EQ(nodes(scheduler_->ask("GET", "/v1/nodes")).at("node01").node.state, NodeState::drained);
  list = nodes(post(admin, "/v1/nodes/resume", R"({"nodes":["node01"]})"));
  EXPECT_EQ(list.at("node01").node.state, NodeState::up);
  EXPECT_FALSE(list.at("node01").node.drain);
  EXPECT_EQ(refused(409, post(admin, "/v1/nodes/resume", R"({"nodes":["node01"]})")).message, "node01 is not drained");
}

TEST_F(Operations, ADrainNeedsAReasonAndNodesThatExist) {
  EXPECT_EQ(refused(400, post(admin, "/v1/nodes/drain", R"({"nodes":["node01"],"reason":"  "})")).field, "reason");
  EXPECT_EQ(refused(400, post(admin, "/v1/nodes/drain", R"({"nodes":[],"reason":"x"})")).field, "nodes");
  const auto problem = refused(400, post(admin, "/v1/nodes/drain", R"({"nodes":["node01","nod02"],"reason":"x"})"));
  EXPECT_EQ(problem.message, "there is no node nod02");
  EXPECT_EQ(problem.remedy, "did you mean node02?");
  EXPECT_FALSE(nodes(scheduler_->ask("GET", "/v1/nodes")).at("node01").node.drain) << "all of it or nothing";
  EXPECT_EQ(refused(400, post(admin, "/v1/nodes/drain", R"({"nodes":["node[01"],"reason":"x"})")).field, "nodes");
}

TEST_F(Operations, OnlyAnAdminSaysThatANodeIsLostAndOnlyOfOneThatIsUnreachable) {
  const std::string lost = R"({"nodes":["node02"],"reason":"no light on"})";
  EXPECT_EQ(refused(403, post(stranger, "/v1/nodes/lost", lost)).message, "only an admin may say that a node is lost");
  Agent two{*scheduler_, loop_, "node02"};
  two.join();
  EXPECT_EQ(refused(409, post(admin, "/v1/nodes/lost", lost)).message, "node02 is not unreachable, so what runs there is known");
  EXPECT_EQ(refused(400, post(admin, "/v1/nodes/lost", R"({"nodes":["node02"],"reason":" "})")).field, "reason");
  const auto state = [&] { return nodes(scheduler_->ask("GET", "/v1/nodes")).at("node02").node.state; };
  for (int second = 0; second < 30 && state() != NodeState::unreachable; ++second) {
    *hand_.ms += 1000;
    scheduler_->ask("GET", "/v1/cluster");
  }
  ASSERT_EQ(state(), NodeState::unreachable);
  const auto list = nodes(post(admin, "/v1/nodes/lost", lost));
  ASSERT_TRUE(list.at("node02").node.lost);
  EXPECT_EQ(list.at("node02").node.lost->reason, "no light on");
  EXPECT_EQ(list.at("node02").node.lost->actor.name, "ada");
  EXPECT_EQ(scheduler_->ask(api::Door::loopback, {}, "GET", "/v1/nodes").body.find("ada"), std::string::npos);
  two.say(protocol::Heartbeat{});
  scheduler_->until([&] { return state() == NodeState::up; }, "the node to be back");
  EXPECT_FALSE(nodes(scheduler_->ask("GET", "/v1/nodes")).at("node02").node.lost);
}

TEST_F(Operations, ADrainingNodeFinishesItsJobAndTakesNoOther) {
  Agent one{*scheduler_, loop_, "node01"};
  post(admin, "/v1/jobs/1/hold");
  one.join();
  const JobId job = scheduler_->submit(R"({"gpus":8})");
  const auto prepare = one.expect<protocol::Prepare>();
  post(admin, "/v1/nodes/drain", R"({"nodes":["node01"],"reason":"x"})");
  EXPECT_EQ(nodes(scheduler_->ask("GET", "/v1/nodes")).at("node01").node.state, NodeState::draining);
  const JobId next = scheduler_->submit(R"({"gpus":8})");
  one.say(one.report(prepare.launch.key, GangPhase::prepared));
  one.say(one.report(prepare.launch.key, GangPhase::running));
  one.say(one.report(prepare.launch.key, GangPhase::finished));
  scheduler_->until_state(job, JobState::completed);
  EXPECT_EQ(nodes(scheduler_->ask("GET", "/v1/nodes")).at("node01").node.state, NodeState::drained);
  EXPECT_EQ(scheduler_->job(next).details.state, JobState::queued);
  post(admin, "/v1/nodes/resume", R"({"nodes":["node01"]})");
  one.expect<protocol::Prepare>();
}

TEST_F(Operations, ReservationsAreMadeListedCancelled) {
  EXPECT_EQ(refused(403, post(stranger, "/v1/reservations", reservation("course", "node0[1-2]", 60, 120))).message, "only an admin may make and cancel reservations");
  auto response = post(admin, "/v1/reservations", reservation("course", "node0[1-2]", 60, 120));
  ASSERT_EQ(response.status, 200) << response.body;
  const auto made = protocol::from_json<protocol::ReservationReply>(response.body);
  EXPECT_EQ(made.reservation.nodes, (std::vector<std::string>{"node01", "node02"}));
  EXPECT_EQ(made.reservation.actor.name, "ada");
  EXPECT_TRUE(made.warnings.empty());
  response = post(wheel, "/v1/reservations", reservation("fans", "node03", 10, 20, R"("maintenance":true)"));
  ASSERT_EQ(response.status, 200) << response.body;
  auto list = protocol::from_json<protocol::ReservationList>(scheduler_->ask(api::Door::socket, stranger, "GET", "/v1/reservations").body);
  ASSERT_EQ(list.reservations.size(), 2u);
  EXPECT_EQ(list.reservations[0].name, "fans") << "by start";
  EXPECT_EQ(refused(404, post(admin, "/v1/reservations/cancel", R"({"name":"curse"})")).remedy, "did you mean course?");
  EXPECT_EQ(refused(403, post(stranger, "/v1/reservations/cancel", R"({"name":"course"})")).code, "not_permitted");
  EXPECT_EQ(post(admin, "/v1/reservations/cancel", R"({"name":"course"})").status, 200);
  list = protocol::from_json<protocol::ReservationList>(scheduler_->ask("GET", "/v1/reservations").body);
  EXPECT_EQ(list.reservations.size(), 1u);
}

TEST_F(Operations, AReservationThatCantBeIsRefused) {
  const auto field = [&](const std::string& body) { return refused(400, post(admin, "/v1/reservations", body)).field; };
  EXPECT_EQ(field(reservation("a b", "node01", 1, 2)), "name");
  EXPECT_EQ(field(reservation("a", "node09", 1, 2)), "nodes");
  EXPECT_EQ(field(reservation("a", "node01", 1, 2, R"("accounts":["lab-x"])")), "accounts");
  EXPECT_EQ(field(reservation("a", "node01", 1, 2, R"("accounts":[])")), "accounts");
  EXPECT_EQ(field(reservation("a", "node01", 1, 2, R"("accounts":["lab-b"],"maintenance":true)")), "accounts");
  EXPECT_EQ(field(reservation("a", "node01", 2, 2)), "end_ms");
  EXPECT_EQ(field(reservation("a", "node01", -20, -10)), "end_ms");
  EXPECT_EQ(field(reservation("a", "node01", 0, 100'000'000)), "end_ms");
  EXPECT_EQ(post(admin, "/v1/reservations", reservation("a", "node01", -5, 10)).status, 200) << "one that has begun is none too late";
  EXPECT_EQ(refused(409, post(admin, "/v1/reservations", reservation("a", "node02", 1, 2))).message, "there is a reservation a already");
  EXPECT_EQ(refused(409, post(admin, "/v1/reservations", reservation("b", "node0[1-2]", 9, 20))).message.rfind("node01 is kept for reservation a then, until ", 0), 0u);
  EXPECT_EQ(post(admin, "/v1/reservations", reservation("b", "node0[1-2]", 10, 20)).status, 200) << "one after the other";
}

TEST_F(Operations, AReservationEndsByItself) {
  ASSERT_EQ(post(admin, "/v1/reservations", reservation("course", "node01", 0, 10)).status, 200);
  const auto count = [&] { return protocol::from_json<protocol::ReservationList>(scheduler_->ask("GET", "/v1/reservations").body).reservations.size(); };
  *hand_.ms += 10 * 60'000 - 1;
  EXPECT_EQ(count(), 1u);
  *hand_.ms += 1;
  scheduler_->until([&] { return count() == 0; }, "the reservation's end");
}

TEST_F(Operations, AReservationSaysWhatRunsIntoIt) {
  Agent one{*scheduler_, loop_, "node01"};
  one.join();  // the job of an hour that waits starts on it
  one.expect<protocol::Prepare>();
  const auto response = post(admin, "/v1/reservations", reservation("course", "node0[1-2]", 30, 90));
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(protocol::from_json<protocol::ReservationReply>(response.body).warnings,
            (std::vector<std::string>{"job 1 may run on its nodes beyond its start: it is not stopped for it"}));
}

TEST_F(Operations, APeriodIsKnownFromTheStartAndFollowsTheMonth) {
  const auto count = [&] {
    std::int64_t periods = 0;
    store_->read(1, [&](const store::Record& record) { periods += std::holds_alternative<PeriodStarted>(record.entry); });
    return periods;
  };
  scheduler_->ask("GET", "/v1/cluster");
  scheduler_->daemon.stop();
  EXPECT_EQ(count(), 1);
  *hand_.ms += 31LL * 86'400'000;
  scheduler_ = std::make_unique<Scheduler>(loop_, *store_, two_accounts(), hand_.clock());
  scheduler_->start_and_wait();
  scheduler_->ask("GET", "/v1/cluster");
  scheduler_->daemon.stop();
  EXPECT_EQ(count(), 2);
}

TEST_F(Operations, JobsOfOneOwnerChangePlaces) {
  Agent one{*scheduler_, loop_, "node01"};
  post(admin, "/v1/jobs/1/hold");
  one.join();
  const JobId running = scheduler_->submit(R"({"gpus":8})");
  one.expect<protocol::Prepare>();
  const JobId first = scheduler_->submit(R"({"gpus":8})"), second = scheduler_->submit(R"({"gpus":8})"), third = scheduler_->submit(R"({"gpus":8})");
  const auto names = [](std::vector<JobId> jobs) {
    std::string list;
    for (const JobId job : jobs) list += (list.empty() ? "\"" : ",\"") + std::to_string(job.value) + "\"";
    return R"({"jobs":[)" + list + "]}";
  };
  const auto order = [&] {
    std::vector<JobId> jobs;
    for (const auto& view : protocol::from_json<protocol::JobList>(scheduler_->ask("GET", "/v1/jobs?state=queued").body).jobs) jobs.push_back(view.details.job);
    return jobs;
  };
  ASSERT_EQ(order(), (std::vector{first, second, third}));
  const auto response = post(runner, "/v1/jobs/reorder", names({third, first}));
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(protocol::from_json<protocol::JobList>(response.body).jobs.size(), 2u);
  EXPECT_EQ(order(), (std::vector{third, second, first})) << "the one between them stays where it is";
  // Once more among others: what was said before still holds.
  ASSERT_EQ(post(runner, "/v1/jobs/reorder", names({second, third})).status, 200);
  EXPECT_EQ(order(), (std::vector{second, third, first}));
  EXPECT_EQ(refused(403, post(stranger, "/v1/jobs/reorder", names({first, second}))).code, "not_permitted");
  EXPECT_EQ(refused(400, post(runner, "/v1/jobs/reorder", names({first}))).field, "jobs");
  EXPECT_EQ(refused(400, post(runner, "/v1/jobs/reorder", names({first, first}))).message, "job " + std::to_string(first.value) + " is named twice");
  EXPECT_EQ(refused(409, post(runner, "/v1/jobs/reorder", names({first, running}))).code, "conflict");
  EXPECT_EQ(refused(404, post(runner, "/v1/jobs/reorder", names({first, {77}}))).code, "not_found");
  EXPECT_EQ(refused(400, post(admin, "/v1/jobs/reorder", names({first, {1}}))).message, "jobs 3 and 1 differ in their owner: 1000 and 2000");
}

class OthersBetween : public Operations {
 protected:
  std::vector<JobSubmitted> earlier_jobs() const override {
    return {submitted(1, runner, 8, hours(1)), submitted(2, runner, 8, minutes(1)), submitted(3, stranger, 8, hours(1)), submitted(4, runner, 8, hours(2))};
  }
};

TEST_F(OthersBetween, AreNotMadeToWait) {
  Agent one{*scheduler_, loop_, "node01"};
  one.join();
  one.expect<protocol::Prepare>();  // job 1; 2, 3 and 4 follow on the only node
  const auto problem = refused(409, post(runner, "/v1/jobs/reorder", R"({"jobs":["4","2"]})"));
  EXPECT_EQ(problem.message, "job 3 of stan would start 1h 59m later");
  EXPECT_EQ(scheduler_->job({4}).details.own_turn, 0);
  EXPECT_EQ(post(admin, "/v1/jobs/reorder", R"({"jobs":["2","4"]})").status, 200) << "as they are; an admin may for the owner";
  EXPECT_EQ(scheduler_->job({4}).details.own_turn, 2);
}

/// The daemon's files, as the test says they are by now.
class Reload : public Operations {
 protected:
  std::shared_ptr<Configuration> files_ = std::make_shared<Configuration>(Configuration{two_accounts(), {}});
  std::shared_ptr<std::optional<api::Problem>> mistake_ = std::make_shared<std::optional<api::Problem>>();

  void SetUp() override {
    scheduler_ = std::make_unique<Scheduler>(loop_, *store_, two_accounts(), hand_.clock(), [files = files_, mistake = mistake_] {
      if (*mistake) throw **mistake;
      return *files;
    });
    Operations::SetUp();
  }
  std::vector<std::string> reload(const std::string& body = "{}") {
    const auto response = post(admin, "/v1/reload", body);
    EXPECT_EQ(response.status, 200) << response.body;
    return protocol::from_json<protocol::ReloadReply>(response.body).changes;
  }
};

TEST_F(Reload, SaysWhatChangesAndTakesItOverWhole) {
  EXPECT_TRUE(reload().empty());
  files_->cluster.nodes.pop_back();
  files_->cluster.partitions[0].nodes.pop_back();
  files_->cluster.partitions[0].max_time_ms = hours(48);
  files_->cluster.accounts[1].limits.gpus = 16;
  files_->policy.max_age_ms = hours(24);
  for (const char* name : {"node07", "node08"}) {
    NodeConfig node = files_->cluster.nodes[0];
    node.name = name;
    files_->cluster.nodes.push_back(node);
  }
  const std::vector<std::string> expected{"node node04: gone",
                                          "node node[07-08]: new; it takes jobs once its ultra-agent has joined",
                                          "partition main: nodes node[01-04] -> node[01-03], max_time 7d -> 2d",
                                          "account lab-b: limits.gpus none -> 16",
                                          "policy: max_age 7d -> 1d"};
  EXPECT_EQ(reload(R"({"check":true})"), expected);
  EXPECT_EQ(nodes(scheduler_->ask("GET", "/v1/nodes")).count("node04"), 1u) << "only checked";
  EXPECT_EQ(refused(403, post(stranger, "/v1/reload")).message, "only an admin may have the configuration read again");
  EXPECT_EQ(reload(), expected);
  const auto now = nodes(scheduler_->ask("GET", "/v1/nodes"));
  EXPECT_EQ(now.count("node04"), 0u);
  EXPECT_EQ(now.at("node08").node.state, NodeState::down);
  EXPECT_TRUE(reload().empty());
  Agent fresh{*scheduler_, loop_, "node07"};
  fresh.join();
  EXPECT_EQ(nodes(scheduler_->ask("GET", "/v1/nodes")).at("node07").node.state, NodeState::up);
}

TEST_F(Reload, AWaitingJobIsShownWithThePriorityThatOrdersIt) {
  const auto explained = [&](std::int64_t job) { return scheduler_->job({job}).priority; };
  EXPECT_FALSE(explained(1)) << "submit_time orders by no priority";
  files_->policy.order = "multifactor";
  files_->policy.weights = {{"age", 1000}, {"fair_share", 100}, {"size", 5000}, {"qos", 10}, {"partition", 20}, {"account", 30}};
  files_->policy.max_age_ms = hours(1);
  files_->cluster.accounts[0].priority = 7;
  reload();
  hand_.ms->fetch_add(30 * 60'000);
  scheduler_->submit(R"({"gpus":4})", R"(,"nice":12)");
  scheduler_->submit(R"({"gpus":1})");
  scheduler_->submit(R"({"gpus":2})", R"(,"hold":true)");
  const auto list = [&] { return protocol::from_json<protocol::PriorityList>(scheduler_->ask("GET", "/v1/priorities").body); };
  for (const bool is_past_max_age : {false, true}) {
    if (is_past_max_age) hand_.ms->fetch_add(31 * 60'000);
    scheduler_->submit(R"({"gpus":3})");  // so there is a plan of this instant
    const protocol::PriorityList all = list();
    ASSERT_EQ(all.jobs.size(), is_past_max_age ? 5u : 4u);
    std::set<std::pair<std::int64_t, std::int64_t>> by_place;
    for (const protocol::PriorityView& line : all.jobs) {
      const protocol::JobView shown = scheduler_->job(line.details.job);
      ASSERT_TRUE(shown.priority && shown.planned);
      EXPECT_EQ(shown.priority->details, line.details);
      EXPECT_EQ(shown.priority->weights, all.weights);
      EXPECT_EQ(shown.priority->tick_ms, all.tick_ms);
      EXPECT_EQ(shown.priority->max_age_ms, hours(1));
      EXPECT_EQ(shown.planned->position, line.position);
      const PriorityFactors& sum = shown.priority->details.weighted;
      EXPECT_EQ(shown.priority->details.priority, sum.age + sum.fair_share + sum.size + sum.qos + sum.partition + sum.account - shown.details.spec.nice);
      if (!shown.priority->details.waited_max_age) by_place.emplace(shown.planned->position, -shown.priority->details.priority);
    }
    EXPECT_TRUE(std::is_sorted(by_place.begin(), by_place.end(), [](const auto& a, const auto& b) { return a.second < b.second; })) << "the order of the queue";
    EXPECT_EQ(explained(1)->details.waited_max_age, is_past_max_age);
    EXPECT_TRUE(!is_past_max_age || scheduler_->job({1}).planned->position == 1);
  }
  EXPECT_FALSE(explained(4)) << "who is held stands in no order";
  EXPECT_EQ(explained(2)->details.nice, 12);
  EXPECT_GT(explained(2)->details.factors.account, 0);
  const auto queue = scheduler_->ask("GET", "/v1/jobs");
  for (const protocol::JobView& row : protocol::from_json<protocol::JobList>(queue.body).jobs) EXPECT_FALSE(row.priority);
  files_->policy.first_after_max_age = false;
  reload();
  EXPECT_FALSE(explained(1)->max_age_ms);
}

TEST_F(Operations, OnlyAdminsAndManagersGoAheadByANegativeNice) {
  State state;
  state.cluster = two_accounts();
  state.cluster.roles.manager = {"mia", "@office"};
  JobSpec spec;
  const auto problem_of = [&](const api::Caller& who) -> std::optional<api::Problem> {
    try {
      api::check_nice(spec, who, state, runner_uid);
      return std::nullopt;
    } catch (const api::Problem& problem) {
      return problem;
    }
  };
  spec.nice = 5;
  EXPECT_FALSE(problem_of(stranger));
  spec.nice = -1;
  const auto problem = problem_of(stranger);
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->status, 403);
  EXPECT_EQ(problem->code, "not_permitted");
  EXPECT_EQ(problem->field, "spec.nice");
  EXPECT_EQ(problem->message, "only an admin or a manager may put a job ahead of others by a nice value below 0");
  EXPECT_EQ(problem->remedy, "use 0 or more, or ask root or the user who runs the scheduler (uid 1000), ada, @wheel, mia, @office");
  EXPECT_TRUE(problem_of({})) << "nobody";
  for (const api::Caller& who : {admin, wheel, runner, caller(0, "root"), caller(2003, "mia"), caller(2004, "otto", {"office"})})
    EXPECT_FALSE(problem_of(who)) << who.actor.name;
  // Who runs the scheduler submits, and is an admin.
  const std::string body = R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":1},"nice":-3}})";
  EXPECT_EQ(post(runner, "/v1/jobs/check", body).status, 200);
  EXPECT_EQ(post(runner, "/v1/jobs", body).status, 200);
  EXPECT_EQ(scheduler_->job({2}).details.spec.nice, -3);
}

TEST_F(Reload, AMistakeChangesNothing) {
  *mistake_ = api::bad_request("", "cluster.toml:3:1: node: unknown word", "did you mean nodes?");
  const auto problem = refused(400, post(admin, "/v1/reload"));
  EXPECT_EQ(problem.message, "cluster.toml:3:1: node: unknown word");
  EXPECT_EQ(nodes(scheduler_->ask("GET", "/v1/nodes")).size(), 4u);
}

TEST_F(Reload, JobsOfAPartitionThatIsGoneAreHeldUntilItIsBack) {
  const auto partition = files_->cluster.partitions[0];
  files_->cluster.partitions[0].name = "other";
  EXPECT_EQ(reload(), (std::vector<std::string>{"partition main: gone; 1 waiting job is held until it is back", "partition other: new"}));
  const auto job = scheduler_->job({1});
  EXPECT_EQ(job.details.state, JobState::held);
  EXPECT_EQ(job.why, "Held: partition main is not in the cluster file any more.");
  EXPECT_EQ(refused(409, post(admin, "/v1/jobs/1/release")).message, "job 1 is held by the configuration: partition main is not in the cluster file any more");
  files_->cluster.partitions[0] = partition;
  EXPECT_EQ(reload(), (std::vector<std::string>{"partition other: gone", "partition main: new; 1 held job queues again"}));
  EXPECT_EQ(scheduler_->job({1}).details.state, JobState::queued);
}

TEST_F(Reload, ANodeThatLeftKeepsItsJobToItsEnd) {
  Agent one{*scheduler_, loop_, "node01"};
  one.join();
  const auto prepare = one.expect<protocol::Prepare>();  // job 1
  one.say(one.report(prepare.launch.key, GangPhase::prepared));
  one.say(one.report(prepare.launch.key, GangPhase::running));
  scheduler_->until_state({1}, JobState::running);
  files_->cluster.nodes.erase(files_->cluster.nodes.begin());
  files_->cluster.partitions[0].nodes.erase(files_->cluster.partitions[0].nodes.begin());
  EXPECT_EQ(reload().front(), "node node01: gone; what runs there runs on to its end: 1");
  one.leave();
  one.join({prepare.launch.key});  // also when its agent comes back meanwhile
  EXPECT_EQ(scheduler_->job({1}).details.state, JobState::running);
  one.say(one.report(prepare.launch.key, GangPhase::finished));
  scheduler_->until_state({1}, JobState::completed);
  EXPECT_EQ(nodes(scheduler_->ask("GET", "/v1/nodes")).count("node01"), 0u);
}

}  // namespace
}  // namespace ultramarine::server::testing
