// Who may do what: every row of the table, for every role and for one's own job, one of the own account and another's, by the rule and through HTTP. What
// is allowed is read from the table; that handlers keep to it, and that a refusal says who may, is what is tested.
#include "scheduler/api/roles.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/unit/server/daemon_harness.h"

namespace ultramarine::server::testing {
namespace {

using api::Act;
using api::Reach;
using api::Role;

const std::map<Role, api::Caller> people{{Role::user, caller(2001, "uma")}, {Role::lead, caller(2002, "lena")}, {Role::manager, caller(2003, "mia", {"office"})},
                                         {Role::admin, caller(2004, "ada")}, {Role::auditor, caller(2005, "otto")}};
const api::Caller colleague = caller(2010, "cora"), outsider = caller(2011, "stan");

/// Job 1 is the asker's, 2 a colleague's of the same account, 3 somebody else's of another.
enum class Whose { own, of_account, others };

ClusterConfig cluster_with_roles() {
  ClusterConfig cluster = small_cluster(1);
  cluster.accounts[0].members = {"uma", "lena", "mia", "ada", "otto", "cora"};
  cluster.accounts.push_back({.name = "lab-b", .members = {"stan"}});
  cluster.roles = {.user = {"uma"}, .lead = {"lena"}, .manager = {"@office"}, .admin = {"ada"}, .auditor = {"otto"}};
  return cluster;
}

bool reaches(Reach reach, Whose whose) {
  switch (reach) {
    case Reach::none: return false;
    case Reach::own: return whose == Whose::own;
    case Reach::account: return whose != Whose::others;
    case Reach::all: return true;
  }
  return false;
}

std::string people_of(Role role) { return role == Role::manager ? "@office" : people.at(role).actor.name; }

/// What is asked for, and how it is seen whether it was allowed.
struct Question {
  std::string method, path, body;
};

std::optional<Question> question(Act act, std::int64_t job) {
  const std::string path = "/v1/jobs/" + std::to_string(job), number = std::to_string(job);
  switch (act) {
    case Act::read_output: return Question{"GET", path + "/logs", ""};
    case Act::cancel: return Question{"POST", path + "/cancel", ""};
    case Act::hold: return Question{"POST", path + "/hold", R"({"reason":"new data"})"};
    case Act::edit: return Question{"POST", path + "/edit", R"({"time_limit_ms":60000})"};
    case Act::reorder: return Question{"POST", "/v1/jobs/reorder", R"({"jobs":[")" + std::to_string(job + 3) + R"(",")" + number + R"("]})"};
    case Act::boost: return Question{"POST", "/v1/favours", R"({"favour":"boost","job":")" + number + R"(","reason":"a demonstration"})"};
    case Act::extend: return Question{"POST", "/v1/favours", R"({"favour":"extend","job":")" + number + R"(","time_ms":60000,"reason":"one more epoch"})"};
    case Act::drain_nodes: return Question{"POST", "/v1/nodes/drain", R"({"nodes":["node01"],"reason":"new fans"})"};
    case Act::reserve_nodes:
      return Question{"POST", "/v1/reservations",
                      R"({"name":"course","nodes":["node01"],"accounts":["lab-b"],"start_ms":1800000060000,"end_ms":1800003600000,"reason":"a course"})"};
    case Act::reload: return Question{"POST", "/v1/reload", ""};
    default: return std::nullopt;  // by the rule alone: the others are asked below, or end the daemon
  }
}

class Roles : public ::testing::Test {
 protected:
  /// A daemon that finds jobs 1 to 3, and 4 to 6 of the same owners, in its journal.
  void start(const api::Caller& asker) {
    store_ = store::open_memory();
    store::Batch batch;
    batch.entries.emplace_back(Time{hand_.ms->load()}, ClusterConfigured{cluster_with_roles(), {}});
    for (std::int64_t number = 1; number <= 6; ++number) {
      const api::Caller& owner = number % 3 == 1 ? asker : number % 3 == 2 ? colleague : outsider;
      JobSubmitted event;
      event.job = {number};
      event.spec = {.name = "job", .account = number % 3 == 0 ? "lab-b" : "lab-a", .partition = "main", .qos = "normal", .resources = {.gpus = 1}, .time_limit_ms = hours(1)};
      event.spec.command = {"secret"};
      event.spec.working_directory = "/tmp";
      event.actor = owner.actor;
      batch.entries.emplace_back(Time{hand_.ms->load()}, event);
    }
    store_->append(batch);
    scheduler_ = std::make_unique<Scheduler>(loop_, *store_, cluster_with_roles(), hand_.clock(), [] { return Configuration{cluster_with_roles(), {}}; });
    scheduler_->start_and_wait();
  }
  void TearDown() override {
    if (scheduler_) scheduler_->daemon.stop();
  }

  net::Loop loop_;
  HandClock hand_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Scheduler> scheduler_;
};

State state_with_jobs(const api::Caller& asker) {
  State state;
  state.cluster = cluster_with_roles();
  for (std::int64_t number = 1; number <= 3; ++number) {
    Job job;
    job.job = {number};
    job.owner = (number == 1 ? asker : number == 2 ? colleague : outsider).actor;
    job.spec.account = number == 3 ? "lab-b" : "lab-a";
    state.jobs.emplace(job.job, job);
  }
  return state;
}

TEST(RolesByRule, EveryRowForEveryRoleAndEveryJob) {
  for (const api::Rule& rule : api::rules()) {
    for (const auto& [role, asker] : people) {
      const State state = state_with_jobs(asker);
      for (const Whose whose : {Whose::own, Whose::of_account, Whose::others}) {
        SCOPED_TRACE(std::string(rule.what) + ", " + asker.actor.name + ", job " + std::to_string(static_cast<int>(whose) + 1));
        const Job& job = state.jobs.at({static_cast<std::int64_t>(whose) + 1});
        const bool allowed = reaches(api::reach(rule, role), whose);
        EXPECT_EQ(api::may(rule.act, asker, job, state, runner_uid), allowed);
        const auto problem = api::why_not(rule.act, asker, job, state, runner_uid);
        EXPECT_EQ(!problem, allowed);
        if (!problem) continue;
        EXPECT_EQ(problem->status, 403);
        // Everybody who may is in the remedy.
        for (const auto& [able, person] : people) {
          if (api::reach(rule, able) == Reach::all || (api::reach(rule, able) == Reach::account && rule.user != Reach::none)) {
            EXPECT_NE(problem->remedy.find(people_of(able)), std::string::npos) << problem->remedy;
          }
        }
        if (rule.user == Reach::own) {
          EXPECT_NE((problem->message + problem->remedy).find(job.owner.name), std::string::npos) << "whose job it is";
        }
      }
    }
  }
}

TEST(RolesByRule, EverybodyIsAUserUnlessSomeAreNamedAndRootAndTheRunnerAreAdmins) {
  State state = state_with_jobs(people.at(Role::user));
  EXPECT_FALSE(api::has_role(Role::user, outsider, state, runner_uid));
  state.cluster.roles.user.clear();
  EXPECT_TRUE(api::has_role(Role::user, outsider, state, runner_uid));
  EXPECT_FALSE(api::has_role(Role::user, {}, state, runner_uid)) << "nobody";
  EXPECT_TRUE(api::has_role(Role::admin, caller(0, "root"), state, runner_uid));
  EXPECT_TRUE(api::has_role(Role::admin, caller(runner_uid, "runner"), state, runner_uid));
  EXPECT_FALSE(api::has_role(Role::manager, caller(runner_uid, "runner"), state, runner_uid));
}

TEST_F(Roles, HandlersKeepToTheTable) {
  for (const auto& [role, asker] : people) {
    for (const api::Rule& rule : api::rules()) {
      for (const Whose whose : {Whose::own, Whose::of_account, Whose::others}) {
        const auto asked = question(rule.act, static_cast<std::int64_t>(whose) + 1);
        if (!asked) continue;
        SCOPED_TRACE(std::string(rule.what) + ", " + asker.actor.name + ", job " + std::to_string(static_cast<int>(whose) + 1));
        start(asker);
        const auto reply = scheduler_->send(api::Door::socket, asker, asked->method, asked->path, asked->body);
        ASSERT_TRUE(scheduler_->until([&] { return reply->response || reply->stream; }, "an answer"));
        const bool allowed = reaches(api::reach(rule, role), whose);
        EXPECT_EQ(!reply->response || reply->response->status != 403, allowed) << (reply->response ? reply->response->body : "");
        if (reply->response && !allowed) {
          EXPECT_NE(reply->response->body.find("ask "), std::string::npos) << "it says who may: " << reply->response->body;
        }
        scheduler_->daemon.stop();
        scheduler_.reset();
      }
    }
  }
}

TEST_F(Roles, WhatIsSeenOfAJobFollowsTheTable) {
  const api::Rule& rule = *std::find_if(api::rules().begin(), api::rules().end(), [](const api::Rule& one) { return one.act == Act::see; });
  for (const auto& [role, asker] : people) {
    start(asker);
    for (const Whose whose : {Whose::own, Whose::of_account, Whose::others}) {
      const auto response = scheduler_->ask(api::Door::socket, asker, "GET", "/v1/jobs/" + std::to_string(static_cast<int>(whose) + 1), "");
      EXPECT_EQ(response.body.find("secret") != std::string::npos, reaches(api::reach(rule, role), whose)) << asker.actor.name << ", job " << static_cast<int>(whose) + 1;
    }
    scheduler_->daemon.stop();
    scheduler_.reset();
  }
}

}  // namespace
}  // namespace ultramarine::server::testing
