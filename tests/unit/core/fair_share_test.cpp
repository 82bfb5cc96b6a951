// Fair Tree on trees that were ranked by hand, and what usage counts at a tick.
#include "scheduler/core/fair_share.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "scheduler/core/priority.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

constexpr Time tick{600'000};

using Used = std::map<std::string, std::map<std::string, std::int64_t>>;  // account -> user -> GPU-milliseconds at the tick

State state_of(std::vector<AccountConfig> accounts, const Used& used) {
  State state;
  state.cluster.accounts = std::move(accounts);
  for (const auto& [account, users] : used)
    for (const auto& [user, gpu_ms] : users) state.usage[account][user] = {.gpu_ms = gpu_ms, .as_of_ms = tick, .later_as_of_ms = tick};
  return state;
}

/// The place from behind of each user, "account user" -> place; the first of n has n.
std::map<std::string, std::int64_t> places(const State& state) {
  const FairShare fair_share(state, tick);
  std::int64_t users = 0;
  for (const auto& [account, inside] : state.usage) users += static_cast<std::int64_t>(inside.size());
  std::map<std::string, std::int64_t> result;
  for (const AccountShare& share : fair_share.shares()) {
    if (share.user.empty()) continue;
    EXPECT_EQ(share.fair_share, fair_share.factor(share.account, share.user));
    result[share.account + " " + share.user] = (*share.fair_share * users + factor_one / 2) / factor_one;
  }
  return result;
}

using Places = std::map<std::string, std::int64_t>;

TEST(FairTree, WhoUsedLessForHisSharesIsAhead) {
  // lab has 3/4 of the shares and 90/100 of the usage: 0.83; uni 1/4 and 10/100: 2.5. Inside lab: ada (1/2) / (60/90) = 0.75, bob (1/2) / (30/90) = 1.5.
  const State state = state_of({{.name = "lab", .shares = 3}, {.name = "uni", .shares = 1}}, {{"lab", {{"ada", 60}, {"bob", 30}}}, {"uni", {{"cy", 10}}}});
  EXPECT_EQ(places(state), (Places{{"uni cy", 3}, {"lab bob", 2}, {"lab ada", 1}}));
  const std::vector<AccountShare> shares = FairShare(state, tick).shares();
  ASSERT_EQ(shares.size(), 6u);
  EXPECT_EQ(shares[0].account, "root");
  EXPECT_EQ(shares[0].raw_usage_gpu_ms, 100);
  EXPECT_EQ(shares[1].account, "lab");
  EXPECT_EQ(shares[1].norm_shares, factor_one / 4 * 3);
  EXPECT_EQ(shares[1].effective_usage, factor_one / 10 * 9);
  EXPECT_EQ(shares[1].level_fair_share, 833'333'333);
  EXPECT_EQ(shares[2].user, "ada");
  EXPECT_EQ(shares[2].effective_usage, 666'666'666);
  EXPECT_EQ(shares[2].norm_usage, factor_one / 10 * 6);
  EXPECT_EQ(shares[2].level_fair_share, 750'000'000);
  EXPECT_EQ(shares[2].fair_share, 333'333'333);
  EXPECT_EQ(shares[4].level_fair_share, 2'500'000'000);
  EXPECT_EQ(shares[5].fair_share, factor_one);
}

TEST(FairTree, AnAccountsUsersStayTogether) {
  // eve used nothing, but her account is behind: so is she.
  const State state = state_of({{.name = "lab", .shares = 1}, {.name = "uni", .shares = 1}}, {{"lab", {{"ada", 40}}}, {"uni", {{"cy", 60}, {"eve", 0}}}});
  EXPECT_EQ(places(state), (Places{{"lab ada", 3}, {"uni eve", 2}, {"uni cy", 1}}));
}

TEST(FairTree, GoesDownThroughAccountsUnderAccounts) {
  // Under lab (2 + 1 + 1 shares): vision (2/4) / (30/60) = 1, speech (1/4) / (10/60) = 1.5, its own user head (1/4) / (20/60) = 0.75.
  // uni (1/2) / (40/100) = 1.25 is ahead of lab (1/2) / (60/100) = 0.83.
  const State state = state_of({{.name = "lab"}, {.name = "vision", .parent = "lab", .shares = 2}, {.name = "speech", .parent = "lab"}, {.name = "uni"}},
                               {{"lab", {{"head", 20}}}, {"vision", {{"a", 25}, {"b", 5}}}, {"speech", {{"c", 10}}}, {"uni", {{"d", 40}}}});
  EXPECT_EQ(places(state), (Places{{"uni d", 5}, {"speech c", 4}, {"vision b", 3}, {"vision a", 2}, {"lab head", 1}}));
  const std::vector<AccountShare> shares = FairShare(state, tick).shares();
  EXPECT_EQ(shares[1].account, "lab");
  EXPECT_EQ(shares[1].raw_usage_gpu_ms, 60);
  EXPECT_EQ(shares[3].account, "vision");
  EXPECT_EQ(shares[3].parent, "lab");
  EXPECT_EQ(shares[3].depth, 2);
}

TEST(FairTree, TiedUsersHaveOneRank) {
  const State state = state_of({{.name = "lab"}}, {{"lab", {{"a", 10}, {"b", 20}, {"c", 20}, {"d", 30}}}});
  EXPECT_EQ(places(state), (Places{{"lab a", 4}, {"lab b", 3}, {"lab c", 3}, {"lab d", 1}}));
}

TEST(FairTree, ATiedUserHasTheRankOfTheBestOfTheAccount) {
  const State state = state_of({{.name = "lab"}, {.name = "team", .parent = "lab"}}, {{"lab", {{"u", 50}}}, {"team", {{"x", 20}, {"y", 30}}}});
  EXPECT_EQ(places(state), (Places{{"lab u", 3}, {"team x", 3}, {"team y", 1}}));
}

TEST(FairTree, TiedAccountsAreWalkedAsOne) {
  // x1 (1/2) / (75/100) = 0.67, x2 2, y1 and y2 1.
  const State state = state_of({{.name = "x"}, {.name = "y"}}, {{"x", {{"x1", 75}, {"x2", 25}}}, {"y", {{"y1", 50}, {"y2", 50}}}});
  EXPECT_EQ(places(state), (Places{{"x x2", 4}, {"y y1", 3}, {"y y2", 3}, {"x x1", 1}}));
}

TEST(FairTree, NobodyUsedAnything) {
  const State state = state_of({{.name = "x", .shares = 9}, {.name = "y"}}, {{"x", {{"a", 0}}}, {"y", {{"b", 0}, {"c", 0}}}});
  EXPECT_EQ(places(state), (Places{{"x a", 3}, {"y b", 3}, {"y c", 3}}));
  for (const AccountShare& share : FairShare(state, tick).shares()) EXPECT_EQ(share.level_fair_share, std::nullopt);
}

TEST(FairTree, OneUserInTwoAccountsIsTwo) {
  const State state = state_of({{.name = "x"}, {.name = "y"}}, {{"x", {{"ada", 90}}}, {"y", {{"ada", 10}}}});
  EXPECT_EQ(places(state), (Places{{"y ada", 2}, {"x ada", 1}}));
}

TEST(FairTree, EmptyTreesAndNamesThatAreNotThere) {
  EXPECT_EQ(FairShare(State{}, tick).factor("lab", "ada"), 0);
  EXPECT_EQ(FairShare(State{}, tick).shares().size(), 1u);
  const State state = state_of({{.name = "lab"}, {.name = "a", .parent = "b"}, {.name = "b", .parent = "a"}}, {{"gone", {{"ada", 5}}}, {"a", {{"bob", 5}}}});
  const FairShare fair_share(state, tick);
  EXPECT_EQ(fair_share.factor("gone", "ada"), 0);
  EXPECT_EQ(fair_share.factor("lab", "ada"), 0);
  EXPECT_EQ(fair_share.factor("a", "bob"), 0);  // its own ancestor: not under root
}

TEST(FairTree, ExtremesDoNotRunOver) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const State state = state_of({{.name = "x", .shares = most}, {.name = "y", .shares = 1}, {.name = "z", .shares = 0}},
                               {{"x", {{"a", most}, {"b", most - 1}}}, {"y", {{"c", most}}}, {"z", {{"d", 0}}}});
  EXPECT_EQ(places(state), (Places{{"x b", 4}, {"x a", 3}, {"y c", 2}, {"z d", 1}}));
  for (const AccountShare& share : FairShare(state, tick).shares()) {
    EXPECT_GE(share.norm_usage, 0);
    EXPECT_LE(share.norm_usage, factor_one);
    EXPECT_LE(share.effective_usage, factor_one);
    EXPECT_LE(share.norm_shares, factor_one);
  }
}

TEST(FairTree, TheOrderOfTheFileDoesNotMatter) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::vector<AccountConfig> accounts;
    Used used;
    for (std::int64_t i = 0; i < random.between(1, 7); ++i) {
      const std::string name = "account" + std::to_string(i);
      accounts.push_back({.name = name, .parent = i > 0 && random.chance(500) ? accounts[static_cast<std::size_t>(random.between(0, i - 1))].name : "", .shares = random.between(1, 3)});
      for (std::int64_t user = random.between(0, 4); user > 0; --user) used[name]["user" + std::to_string(user)] = random.between(0, 4);  // with ties
    }
    const Places expected = places(state_of(accounts, used));
    for (std::size_t i = accounts.size(); i > 1; --i) std::swap(accounts[i - 1], accounts[static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(i) - 1))]);
    EXPECT_EQ(places(state_of(accounts, used)), expected);
    // Whoever is first has the number of users, nobody more.
    std::int64_t best = 0;
    for (const auto& [user, place] : expected) best = std::max(best, place);
    EXPECT_EQ(best, static_cast<std::int64_t>(expected.size()));
  }
}

/// Several people in several accounts, with random lives of their jobs.
class People : public Driver {
 public:
  People(ClusterConfig cluster, PolicyConfig policy) : Driver(std::move(cluster), std::move(policy)) {}

  static ClusterConfig cluster() {
    ClusterConfig cluster = cluster_of(2, 8);
    cluster.accounts = {{.name = "default", .members = {"*"}}, {.name = "lab", .shares = 3}, {.name = "team", .parent = "lab"}, {.name = "uni", .shares = 2}};
    cluster.qos.push_back({.name = "urgent", .priority = 100, .usage_factor_permille = 2500});
    cluster.qos.push_back({.name = "free", .usage_factor_permille = 0});
    return cluster;
  }
  static PolicyConfig policy() {
    PolicyConfig policy;
    policy.order = "multifactor";
    policy.weights = {{"age", 1000}, {"fair_share", 100'000}, {"size", 500}, {"qos", 2000}};
    policy.half_life_ms = hours(2);
    policy.priority_interval_ms = minutes(10);
    policy.max_age_ms = hours(3);
    return policy;
  }

  JobId submit_as(const std::string& user, const std::string& account, std::int64_t gpus, Duration limit, const std::string& qos = "normal") {
    JobSpec spec = spec_of({.gpus = gpus}, limit);
    spec.account = account;
    spec.qos = qos;
    const JobId id{scheduler.state().next_job};
    apply(JobSubmitted{id, spec, {}, "", Actor{.uid = 1, .name = user, .channel = "socket"}});
    return id;
  }
  std::int64_t usage(const std::string& account, const std::string& user = "") const {
    for (const AccountShare& share : FairShare(scheduler.state(), now).shares())
      if (share.account == account && share.user == user) return share.raw_usage_gpu_ms;
    ADD_FAILURE() << account << " " << user << " has no share";
    return -1;
  }
};

TEST(Usage, CountsFromTickToTick) {
  // 8 GPUs from minute 5 to minute 25, ticks every 10 minutes, a half-life of two hours.
  People people(People::cluster(), People::policy());
  people.now = {minutes(5).ms};
  const JobId job = people.submit_as("ada", "lab", 8, hours(1));
  people.round();
  people.run(job);
  EXPECT_EQ(people.usage("lab", "ada"), 0);
  people.now = {minutes(9).ms};
  EXPECT_EQ(people.usage("lab", "ada"), 0);
  people.now = {minutes(10).ms};
  const std::int64_t five_minutes = people.usage("lab", "ada");
  EXPECT_NEAR(static_cast<double>(five_minutes), 8 * 295'709.0, 8.0);  // 300 s, of which the first has faded for 5 minutes
  people.now = {minutes(20).ms};
  const std::int64_t before = people.usage("lab", "ada");
  people.now = {minutes(25).ms};
  EXPECT_EQ(people.usage("lab", "ada"), before);
  people.end(job);
  EXPECT_EQ(people.usage("lab", "ada"), before);  // until the next tick, its end changes nothing
  people.now = {minutes(30).ms};
  EXPECT_GT(people.usage("lab", "ada"), before);
  EXPECT_EQ(people.usage("root"), people.usage("lab", "ada"));
  people.now = {minutes(150).ms};
  const std::int64_t then = people.usage("lab");
  people.now = {minutes(270).ms};
  EXPECT_NEAR(static_cast<double>(people.usage("lab")), static_cast<double>(then) / 2, 2.0);
}

TEST(Usage, TheFactorOfTheQosApplies) {
  People people(People::cluster(), People::policy());
  people.now = {minutes(10).ms};
  const JobId plain = people.submit_as("ada", "lab", 4, hours(1)), urgent = people.submit_as("bob", "lab", 4, hours(1), "urgent"),
              unpaid = people.submit_as("cy", "lab", 4, hours(1), "free");
  people.round();
  people.now = {minutes(20).ms};
  const std::int64_t once = people.usage("lab", "ada");
  EXPECT_GT(once, 0);
  EXPECT_NEAR(static_cast<double>(people.usage("lab", "bob")), 2.5 * static_cast<double>(once), 1.0);
  EXPECT_EQ(people.usage("lab", "cy"), 0);
  for (const JobId job : {plain, urgent, unpaid}) people.run(job), people.end(job);
  people.now = {minutes(30).ms};
  EXPECT_NEAR(static_cast<double>(people.usage("lab", "bob")), 2.5 * static_cast<double>(people.usage("lab", "ada")), 3.0);
  EXPECT_EQ(people.usage("lab", "cy"), 0);
}

TEST(Usage, ANewUserMovesNobody) {
  // dan's first job comes between two ticks: he has a factor at once, and nobody else's changes before the next.
  People people(People::cluster(), People::policy());
  people.now = {minutes(10).ms};
  people.submit_as("ada", "lab", 16, hours(1));
  people.round();
  people.submit_as("bob", "uni", 1, hours(1));
  people.now = {minutes(21).ms};
  const auto factor = [&](const char* account, const char* user) { return FairShare(people.scheduler.state(), people.now).factor(account, user); };
  const std::int64_t ada = factor("lab", "ada"), bob = factor("uni", "bob");
  EXPECT_LT(ada, bob);
  people.submit_as("dan", "uni", 1, hours(1));
  EXPECT_EQ(factor("lab", "ada"), ada);
  EXPECT_EQ(factor("uni", "bob"), bob);
  EXPECT_EQ(factor("uni", "dan"), factor_one);
  people.submit_as("eve", "lab", 1, hours(1));
  EXPECT_EQ(factor("uni", "dan"), factor_one);
  EXPECT_EQ(factor("lab", "eve"), factor_one / 3 * 2);  // ahead of ada, behind bob
  people.now = {minutes(30).ms};
  EXPECT_EQ(factor("uni", "dan"), factor_one);
  EXPECT_EQ(factor("uni", "bob"), factor_one);  // he never ran, so he ties with dan
  EXPECT_EQ(factor("lab", "ada"), factor_one / 4);
}

TEST(Usage, KeysStayAsTheyAreBetweenTicks) {
  // Whatever is submitted, started, ended, held or cancelled: until the next tick, every job that was there keeps its key.
  int ends = 0, ticks = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    People people(People::cluster(), People::policy());
    people.now = {minutes(random.between(0, 100)).ms + random.between(0, 5)};
    const std::vector<std::string> users{"ada", "bob", "cy", "dan"}, accounts{"lab", "team", "uni", "default"}, levels{"normal", "urgent", "free"};
    const auto any = [&](const auto& list) { return list[static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(list.size()) - 1))]; };
    std::map<JobId, policy::OrderKey> keys;
    Time at = priority_tick(people.scheduler.state().policy, people.now);
    for (int step = 0; step < 150; ++step) {
      const State& state = people.scheduler.state();
      const Priorities priorities(state, people.now);
      const Time tick_now = priority_tick(state.policy, people.now);
      if (tick_now != at) keys.clear(), at = tick_now, ++ticks;
      for (const auto& [id, job] : state.jobs) {
        const policy::OrderKey key = order_key(priorities.of(job));
        const auto [known, is_new] = keys.emplace(id, key);
        ASSERT_EQ(known->second, key) << "job " << id.value << " in step " << step;
      }
      std::vector<JobId> active, queued;
      for (const auto& [id, job] : state.jobs) {
        if (is_active(job.state)) active.push_back(id);
        if (job.state == JobState::queued) queued.push_back(id);
      }
      const std::int64_t dice = random.between(1, 100);
      if (dice <= 35) people.submit_as(any(users), any(accounts), random.between(1, 16), minutes(random.between(1, 90)), any(levels));
      else if (dice <= 55) people.round();
      else if (dice <= 70 && !active.empty()) {
        const JobId job = any(active);
        people.run(job), people.end(job, random.chance(300) ? Outcome::preempted : Outcome::succeeded), ++ends;
      } else if (dice <= 75 && !queued.empty()) people.apply(JobCancelled{any(queued), ada});
      else people.now = people.now + Duration{random.between(0, minutes(4).ms)};
    }
  }
  EXPECT_GT(ends, 100);
  EXPECT_GT(ticks, 100);
}

}  // namespace
}  // namespace ultramarine::core
