// Limits: hard caps over time (every plan against a table of seconds), floors and soft caps, hours per month, what is refused at once.
#include "scheduler/core/limits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "scheduler/core/planner.h"
#include "tests/unit/core/builders.h"
#include "tests/support/counts.h"

namespace ultramarine::core {
namespace {

/// lab with lab-a and lab-b under it, and guests; QOS urgent; partition quick beside main.
ClusterConfig labs(std::int64_t gpus = 8) {
  ClusterConfig cluster = cluster_of(1, gpus);
  cluster.accounts = {{.name = "lab", .members = {"*"}}, {.name = "lab-a", .parent = "lab", .members = {"*"}}, {.name = "lab-b", .parent = "lab", .members = {"*"}},
                      {.name = "guests", .members = {"*"}}};
  cluster.qos.push_back({.name = "urgent"});
  cluster.partitions.push_back({.name = "quick"});
  return cluster;
}

struct Asked {
  std::int64_t gpus = 1;
  std::string account = "lab-a", qos = "normal", partition = "main";
  Actor owner = ada;
  Duration limit = hours(1);
};

JobId submit(Driver& driver, const Asked& asked) {
  JobSpec spec = spec_of({.gpus = asked.gpus}, asked.limit);
  spec.account = asked.account, spec.qos = asked.qos, spec.partition = asked.partition;
  const JobId id{driver.scheduler.state().next_job};
  driver.apply(JobSubmitted{.job = id, .spec = spec, .actor = asked.owner});
  return id;
}

Duration stay_of(Duration limit) { return Duration{5000} + limit; }

TEST(HardCap, OfAnAccountHoldsForAllUnderItAndSaysWhoEndsWhen) {
  ClusterConfig cluster = labs();
  cluster.accounts[0].limits.gpus = 4;
  Driver driver(cluster);
  const JobId first = submit(driver, {.gpus = 3, .account = "lab-a"}), second = submit(driver, {.gpus = 2, .account = "lab-b"}),
              third = submit(driver, {.gpus = 1, .account = "lab-b"}), guest = submit(driver, {.gpus = 4, .account = "guests"});
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{first, third, guest}));
  const PlannedJob line = driver.planned(second);
  EXPECT_EQ(line.reason.code, ReasonCode::limit);
  EXPECT_EQ(line.reason.limit, (LimitReached{LimitScope::account, "lab", LimitKind::gpus, 4, 4}));
  EXPECT_EQ(line.start_ms, driver.now + stay_of(hours(1)));
  EXPECT_EQ(line.reason.waits_for, (std::vector<JobId>{first, third}));
  driver.run(first);
  driver.end(first);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{second});
}

TEST(HardCap, OfAUserAQosAPartitionAndUsersInThem) {
  struct Case {
    std::function<void(ClusterConfig&)> set;
    LimitReached expected;
  };
  const std::vector<Case> limit_cases{
      {[](ClusterConfig& c) { c.accounts[1].user_limits.gpus = 1; }, {LimitScope::user, "ada of lab-a", LimitKind::gpus, 1, 1}},
      {[](ClusterConfig& c) { c.accounts[0].user_limits.jobs = 1; }, {LimitScope::user, "ada of lab", LimitKind::jobs, 1, 1}},
      {[](ClusterConfig& c) { c.qos[0].limits.jobs = 1; }, {LimitScope::qos, "normal", LimitKind::jobs, 1, 1}},
      {[](ClusterConfig& c) { c.qos[0].user_limits.gpus = 1; }, {LimitScope::user, "ada in QOS normal", LimitKind::gpus, 1, 1}},
      {[](ClusterConfig& c) { c.partitions[0].limits.gpus = 1; }, {LimitScope::partition, "main", LimitKind::gpus, 1, 1}},
      {[](ClusterConfig& c) { c.partitions[0].user_limits.jobs = 1; }, {LimitScope::user, "ada in partition main", LimitKind::jobs, 1, 1}}};
  for (const Case& one : limit_cases) {
    SCOPED_TRACE(one.expected.name);
    ClusterConfig cluster = labs();
    one.set(cluster);
    Driver driver(cluster);
    const JobId first = submit(driver, {}), second = submit(driver, {});
    EXPECT_EQ(driver.start_round(), std::vector<JobId>{first});
    EXPECT_EQ(driver.planned(second).reason.code, ReasonCode::limit);
    EXPECT_EQ(driver.planned(second).reason.limit, one.expected);
    Asked other{.owner = bob};
    if (one.expected.scope != LimitScope::user) other = {.account = "guests", .qos = "urgent", .partition = "quick"};
    EXPECT_EQ(driver.start_round(), std::vector<JobId>{}) << "it goes on waiting";
    const JobId third = submit(driver, other);
    EXPECT_EQ(driver.start_round(), std::vector<JobId>{third}) << "whom the limit doesn't concern isn't held up";
    EXPECT_FALSE(driver.attempt(third).backfilled);
  }
}

TEST(HardCap, OfThePolicyCountsLikeThatOfTheAccount) {
  Driver driver(labs(), {.caps = {{"lab", 2}}});
  submit(driver, {.gpus = 2});
  const JobId second = submit(driver, {});
  driver.round();
  EXPECT_EQ(driver.planned(second).reason.limit, (LimitReached{LimitScope::account, "lab", LimitKind::gpus, 2, 2}));
}

TEST(HardCap, WithoutBackfillHoldsNobodyElseUp) {
  ClusterConfig cluster = labs();
  cluster.accounts[1].limits.jobs = 1;
  Driver driver(cluster, {.backfill = "none"});
  const JobId first = submit(driver, {}), second = submit(driver, {}), third = submit(driver, {.account = "lab-b"});
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{first, third}));
  EXPECT_EQ(driver.planned(second).reason.code, ReasonCode::limit);
}

TEST(HardCap, WithEasyNobodyTakesWhatTheFirstThatWaitsWillNeedOfIt) {
  // The first is promised 6 devices in an hour. Somebody else of the lab would leave it those, but not what it needs of the lab's cap then.
  struct Case {
    Limits limits;
    bool leaves_room_for_half_an_hour;  // that ends by then
  };
  for (const Case& one : {Case{{.gpus = 6}, true}, Case{{.jobs = 1}, true}, Case{{.gpu_hours_per_month = 6}, false}}) {
    for (const char* backfill : {"easy", "easy_sjf"}) {
      SCOPED_TRACE(backfill);
      ClusterConfig cluster = labs();
      cluster.accounts[0].limits = one.limits;
      Driver driver(cluster, {.backfill = backfill, .launch_allowance_ms = {}});
      driver.apply(PeriodStarted{driver.now - hours(24), driver.now + hours(240), {}});
      const JobId guest = submit(driver, {.gpus = 4, .account = "guests"});
      EXPECT_EQ(driver.start_round(), std::vector<JobId>{guest});
      const JobId first = submit(driver, {.gpus = 6}), in_the_way = submit(driver, {.account = "lab-b", .limit = hours(5)}),
                  short_one = submit(driver, {.account = "lab-b", .limit = minutes(30)}), stranger = submit(driver, {.gpus = 2, .account = "guests", .limit = hours(9)});
      EXPECT_FALSE(driver.planned(in_the_way).start_ms);
      const std::vector<JobId> started = driver.start_round();
      EXPECT_EQ(started, one.leaves_room_for_half_an_hour ? (std::vector<JobId>{short_one, stranger}) : std::vector<JobId>{stranger});
      driver.now = driver.now + hours(1);
      for (const JobId job : {guest, short_one})
        if (driver.state(job) == JobState::starting) driver.run(job), driver.end(job);
      EXPECT_EQ(driver.start_round(), std::vector<JobId>{first}) << "as promised";
    }
  }
}

TEST(Limit, ThatAQueuedJobExceedsByItselfHoldsItUntilTheLimitIsChanged) {
  Driver driver(labs());
  const JobId wide = submit(driver, {.gpus = 4}), running = submit(driver, {.gpus = 8});
  driver.apply(JobHeld{wide, HoldKind::user, "", ada});
  driver.round();
  driver.apply(JobReleased{wide, ada});
  for (const auto& [set, kind, asked, most] :
       {std::tuple<std::function<void(Limits&)>, LimitKind, std::int64_t, std::int64_t>{[](Limits& l) { l.gpus_per_job = 3; }, LimitKind::gpus_per_job, 4, 3},
        {[](Limits& l) { l.gpus = 2; }, LimitKind::gpus, 4, 2},
        {[](Limits& l) { l.jobs = 0; }, LimitKind::jobs, 1, 0},
        {[](Limits& l) { l.max_time_ms = minutes(59); }, LimitKind::max_time_ms, hours(1).ms, minutes(59).ms}}) {
    ClusterConfig cluster = labs();
    set(cluster.accounts[1].limits);
    driver.apply(ClusterConfigured{cluster, {}});
    const PlannedJob line = driver.planned(wide);
    EXPECT_EQ(line.reason.code, ReasonCode::limit);
    EXPECT_EQ(line.reason.limit, (LimitReached{LimitScope::account, "lab-a", kind, asked, most}));
    EXPECT_FALSE(line.start_ms);
    EXPECT_TRUE(driver.round().empty()) << "it is not rejected";
  }
  driver.apply(ClusterConfigured{labs(), {}});
  EXPECT_EQ(driver.planned(wide).start_ms, driver.now + stay_of(hours(1)));
  EXPECT_EQ(driver.state(running), JobState::starting);
}

/// field: problem; remedy
std::string refused(const std::function<void(ClusterConfig&)>& set, Resources resources, Duration limit = hours(1)) {
  ClusterConfig cluster = labs();
  set(cluster);
  Driver driver(cluster);
  driver.apply(PeriodStarted{driver.now, driver.now + hours(720), {}});
  JobSpec spec = spec_of(resources, limit);
  spec.account = "lab-a";
  const auto answer = driver.scheduler.accept(spec, ada);
  const auto* refusal = std::get_if<Refusal>(&answer);
  return refusal ? refusal->field + ": " + refusal->problem + "; " + refusal->remedy + (refusal->impossible ? " (impossible)" : "") : "accepted";
}

TEST(Limit, ThatARequestExceedsByItselfRefusesIt) {
  EXPECT_EQ(refused([](ClusterConfig& c) { c.accounts[0].limits.gpus_per_job = 4; }, {.gpus = 5}),
            "resources.gpus: 5 GPUs asked, account lab allows 4 per job; ask for at most 4 (impossible)");
  EXPECT_EQ(refused([](ClusterConfig& c) { c.accounts[1].user_limits.gpus = 4; }, {.nodes = 1, .gpus_per_node = 5}),
            "resources.nodes: 5 GPUs asked, user ada of lab-a may use 4 at once; ask for at most 4 (impossible)");
  EXPECT_EQ(refused([](ClusterConfig& c) { c.qos[0].limits.max_time_ms = minutes(90); }, {.gpus = 1}, hours(2)),
            "time_limit_ms: 2h asked, QOS normal allows 90m; ask for at most 90m");
  EXPECT_EQ(refused([](ClusterConfig& c) { c.partitions[0].user_limits.jobs = 0; }, {.gpus = 1}),
            "account: user ada in partition main may run no jobs; ask the cluster's admin, or use another (impossible)");
  EXPECT_EQ(refused([](ClusterConfig& c) { c.accounts[0].limits.gpu_hours_per_month = 8; }, {.gpus = 8}),
            "time_limit_ms: it may hold 9 GPU-hours, account lab has 8 a month; ask for fewer GPUs or less time (impossible)");
  EXPECT_EQ(refused([](ClusterConfig& c) { c.accounts[0].limits = {.gpus = 8, .jobs = 1, .gpus_per_job = 8, .gpu_hours_per_month = 9, .max_time_ms = hours(1)}; }, {.gpus = 8}),
            "accepted");
  EXPECT_EQ(refused([](ClusterConfig& c) { c.accounts[3].limits.gpus = 0; }, {.gpus = 8}), "accepted") << "of another account";
}

TEST(Limit, OfTimeIsTheDefaultOfWhoNamesNone) {
  ClusterConfig cluster = labs();
  cluster.accounts[0].limits.max_time_ms = minutes(20);
  const Driver driver(cluster);
  for (const Duration asked : {Duration{0}, longest_time_limit}) {
    JobSpec spec = spec_of({.gpus = 1}, asked);
    spec.account = "lab-a";
    EXPECT_EQ(std::get<Accepted>(driver.scheduler.accept(spec, ada)).spec.time_limit_ms, minutes(20));
  }
}

// ---- hours per month

class Monthly : public testing::Test {
 protected:
  Monthly() {
    cluster.accounts[0].limits.gpu_hours_per_month = 10;
    driver.apply(ClusterConfigured{cluster, {}});
    driver.apply(PeriodStarted{driver.now - hours(24), period_end, {}});
  }
  ClusterConfig cluster = labs();
  Driver driver{cluster};
  const Time period_end = driver.now + hours(240);
  static Duration in_all(std::int64_t whole_hours) { return seconds(whole_hours * 3600 - 5); }  // with its launch
};

TEST_F(Monthly, AJobStartsOnlyIfAllOfItFitsElseWhenThePeriodEnds) {
  const JobId first = submit(driver, {.gpus = 2, .limit = in_all(4)}), second = submit(driver, {.gpus = 1, .account = "lab-b", .limit = in_all(4)}),
              third = submit(driver, {.gpus = 2, .limit = in_all(1)}), guest = submit(driver, {.account = "guests"});
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{first, third, guest}));
  const PlannedJob line = driver.planned(second);
  EXPECT_EQ(line.reason.code, ReasonCode::limit);
  EXPECT_EQ(line.reason.limit, (LimitReached{LimitScope::account, "lab", LimitKind::gpu_hours, 10, 10}));
  EXPECT_EQ(line.start_ms, period_end);
  // The first ends early: what it did not use is there again, the rest is charged.
  driver.now = driver.now + hours(1);
  driver.run(first);
  driver.end(first);
  driver.run(third);
  driver.end(third);
  EXPECT_EQ(driver.scheduler.state().period.held_gpu_ms.at("account lab-a ada"), 4 * hours(1).ms);
  EXPECT_EQ(driver.scheduler.state().period.held_gpu_ms.at("qos normal ada"), 4 * hours(1).ms);
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{second}) << "4 of 10 are held";
}

TEST_F(Monthly, ANewPeriodStartsWithWhatIsHeldInItAlready) {
  driver.now = period_end - hours(1);
  const JobId over_midnight = submit(driver, {.gpus = 2, .limit = in_all(4)});
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{over_midnight});
  const JobId next = submit(driver, {.gpus = 2, .limit = in_all(3)});
  EXPECT_EQ(driver.planned(next).reason.code, ReasonCode::limit) << "8 of 10 are promised in this one";
  EXPECT_EQ(driver.planned(next).start_ms, period_end + hours(31 * 24)) << "6 of 10 in the next";
  driver.now = period_end + hours(1);
  driver.run(over_midnight);
  driver.end(over_midnight);
  driver.apply(PeriodStarted{period_end, period_end + hours(720), {}});
  EXPECT_EQ(driver.scheduler.state().period.held_gpu_ms.at("account lab-a ada"), 2 * hours(1).ms) << "the part since midnight";
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{next});
}

TEST_F(Monthly, WithoutAPeriodThereIsNoLimit) {
  driver.apply(PeriodStarted{Time{0}, Time{0}, {}});
  const JobId job = submit(driver, {.gpus = 8, .limit = hours(10)});
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{job});
}

// ---- floors and soft caps

TEST(SoftCap, MakesABorrowerWaitForAllWhoAreWithinTheirsAndSaysSo) {
  ClusterConfig cluster = labs();
  cluster.accounts[1].limits.gpus_soft = 4;
  Driver driver(cluster);
  const JobId full = submit(driver, {.gpus = 8, .account = "guests"});
  driver.round();
  const JobId within = submit(driver, {.gpus = 4}), beyond = submit(driver, {.gpus = 4}), other = submit(driver, {.gpus = 4, .account = "lab-b"});
  driver.now = driver.now + hours(1);
  driver.run(full);
  EXPECT_EQ(driver.planned(beyond).reason.code, ReasonCode::soft_cap);
  EXPECT_EQ(driver.planned(beyond).reason.limit, (LimitReached{LimitScope::account, "lab-a", LimitKind::gpus, 4, 4}));
  EXPECT_EQ(driver.planned(beyond).position, 3);
  EXPECT_EQ(driver.planned(other).position, 2);
  driver.end(full);
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{within, other}));
}

TEST(SoftCap, LetsWhatIsIdleBeBorrowed) {
  ClusterConfig cluster = labs();
  cluster.accounts[1].limits.gpus_soft = 4;
  Driver driver(cluster);
  const JobId within = submit(driver, {.gpus = 4}), beyond = submit(driver, {.gpus = 4});
  EXPECT_EQ(driver.start_round(), (std::vector<JobId>{within, beyond}));
}

TEST(SoftCap, ABorrowersStartDelaysNobodyOfItsOwnAccountAhead) {
  // The small job overtakes as a borrower. The larger one ahead of it stays within the soft cap all the same: its place doesn't change.
  ClusterConfig cluster = labs();
  cluster.accounts[1].limits.gpus_soft = 6;
  Driver driver(cluster);
  const JobId running = submit(driver, {.gpus = 4, .account = "guests"});
  driver.round();
  const JobId ahead = submit(driver, {.gpus = 6}), small = submit(driver, {.gpus = 1, .limit = minutes(10)}), other = submit(driver, {.gpus = 8, .account = "lab-b"});
  const Time promised = driver.planned(ahead).start_ms.value();
  EXPECT_EQ(driver.start_round(), std::vector<JobId>{small});
  EXPECT_EQ(driver.planned(ahead).start_ms, promised);
  EXPECT_LT(driver.planned(ahead).position, driver.planned(other).position);
  EXPECT_EQ(driver.state(running), JobState::starting);
}

TEST(Floor, PutsJobsWithinItAheadOfAllOthers) {
  ClusterConfig cluster = labs();
  cluster.accounts[2].limits.gpus_floor = 2;
  Driver driver(cluster);
  const JobId full = submit(driver, {.gpus = 8, .account = "guests"});
  driver.round();
  const JobId guest = submit(driver, {.gpus = 8, .account = "guests"}), first = submit(driver, {.gpus = 2, .account = "lab-b"}),
              second = submit(driver, {.gpus = 1, .account = "lab-b"});
  EXPECT_EQ(driver.planned(first).position, 1);
  EXPECT_EQ(driver.planned(guest).position, 2);
  EXPECT_EQ(driver.planned(second).position, 3) << "beyond the floor it takes its turn";
  EXPECT_EQ(driver.state(full), JobState::starting);
}

// ---- properties over random clusters, queues and limits

/// Whom a limit concerns, written apart from core/limits: job -> does it count.
struct Cap {
  std::function<bool(const Job&)> concerns;
  std::optional<std::int64_t> gpus, jobs;
};

std::vector<Cap> hard_caps(const ClusterConfig& cluster) {
  std::vector<Cap> caps;
  const std::map<std::string, std::string> parents{{"lab-a", "lab"}, {"lab-b", "lab"}};
  const auto add = [&](const Limits& all, const Limits& each, const std::function<bool(const Job&)>& is_in) {
    caps.push_back({is_in, all.gpus, all.jobs});
    for (const std::string user : {"ada", "bob"}) caps.push_back({[=](const Job& job) { return is_in(job) && job.owner.name == user; }, each.gpus, each.jobs});
  };
  for (const AccountConfig& account : cluster.accounts)
    add(account.limits, account.user_limits, [=, name = account.name](const Job& job) {
      const auto parent = parents.find(job.spec.account);
      return job.spec.account == name || (parent != parents.end() && parent->second == name);
    });
  for (const QosConfig& qos : cluster.qos) add(qos.limits, qos.user_limits, [name = qos.name](const Job& job) { return job.spec.qos == name; });
  for (const PartitionConfig& partition : cluster.partitions)
    add(partition.limits, partition.user_limits, [name = partition.name](const Job& job) { return job.spec.partition == name; });
  return caps;
}

Asked random_job(Random& random, std::int64_t gpus) {
  const auto one_of = [&](std::vector<std::string> words) { return words[static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(words.size()) - 1))]; };
  return {.gpus = random.between(1, gpus), .account = one_of({"lab", "lab-a", "lab-a", "lab-b", "guests"}), .qos = one_of({"normal", "normal", "urgent"}),
          .partition = one_of({"main", "main", "quick"}), .owner = random.chance(500) ? ada : bob, .limit = seconds(random.between(1, 30))};
}

/// One node of some GPUs; some limits of all kinds, at least as large as any job if `fitting`.
Driver random_world(Random& random, bool shares = false) {
  const std::int64_t gpus = random.between(2, 6), largest = random.between(1, gpus);
  ClusterConfig cluster = labs(gpus);
  const auto limit = [&](Limits& limits) {
    if (random.chance(250)) limits.gpus = random.between(1, gpus);
    if (random.chance(150)) limits.jobs = random.between(1, 3);
    if (shares && random.chance(300)) limits.gpus_soft = random.between(0, gpus);
    if (shares && random.chance(200)) limits.gpus_floor = random.between(0, gpus);
  };
  for (AccountConfig& account : cluster.accounts) limit(account.limits), limit(account.user_limits);
  for (QosConfig& qos : cluster.qos) limit(qos.limits), limit(qos.user_limits);
  for (PartitionConfig& partition : cluster.partitions) limit(partition.limits), limit(partition.user_limits);
  Driver driver(cluster);
  for (std::int64_t i = random.between(0, 8); i > 0; --i) submit(driver, random_job(random, largest));
  for (std::int64_t i = random.between(0, 3); i > 0; --i) {
    driver.round();
    driver.now = driver.now + seconds(random.between(0, 15));
  }
  for (std::int64_t i = random.between(1, 14); i > 0; --i) submit(driver, random_job(random, largest));
  return driver;
}

struct Held {
  const Job* job;
  std::int64_t from, to;  // seconds from now
  std::vector<std::int64_t> devices;
};

/// Whether the job could be there as well in every second of [from, to).
bool has_room(const std::vector<Cap>& caps, const std::vector<Held>& held, const Job& job, std::int64_t from, std::int64_t to) {
  for (const Cap& cap : caps) {
    if (!cap.concerns(job)) continue;
    for (std::int64_t second = from; second < to; ++second) {
      std::int64_t gpus = total_gpus(job.spec.resources), jobs = 1;
      for (const Held& one : held)
        if (one.from <= second && second < one.to && cap.concerns(*one.job)) gpus += static_cast<std::int64_t>(one.devices.size()), ++jobs;
      if (gpus > cap.gpus.value_or(gpus) || jobs > cap.jobs.value_or(jobs)) return false;
    }
  }
  return true;
}

std::vector<std::int64_t> free_devices(const std::vector<Held>& held, std::int64_t count, std::int64_t from, std::int64_t to) {
  std::vector<std::int64_t> free;
  for (std::int64_t device = 0; device < count; ++device)
    if (std::none_of(held.begin(), held.end(), [&](const Held& one) {
          return one.from < to && from < one.to && std::count(one.devices.begin(), one.devices.end(), device) > 0;
        }))
      free.push_back(device);
  return free;
}

const std::uint64_t limit_cases = tests::cases(300, 5000);

TEST(LimitProperty, EveryJobTakesTheFirstSecondAtWhichDevicesAndAllItsLimitsHaveRoom) {
  std::map<ReasonCode, int> reasons;
  for (std::uint64_t seed = 1; seed <= limit_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const Driver driver = random_world(random);
    const State& state = driver.scheduler.state();
    const std::vector<Cap> caps = hard_caps(state.cluster);
    const std::int64_t count = state.cluster.nodes[0].gpus;
    std::vector<Held> held;
    for (const auto& [id, job] : state.jobs)
      if (is_active(job.state)) held.push_back({&job, 0, (assumed_end(job, {}, driver.now) - driver.now).ms / 1000, job.attempts.back().allocation[0].devices});
    for (const PlannedJob& line : driver.scheduler.plan(driver.now).jobs) {
      const Job& job = state.jobs.at(line.job);
      ++reasons[line.reason.code];
      const std::int64_t gpus = total_gpus(job.spec.resources), stay = longest_stay(job.spec, {}).ms / 1000;
      if (!has_room(caps, {}, job, 0, 1)) {
        EXPECT_FALSE(line.start_ms);
        EXPECT_EQ(line.reason.code, ReasonCode::limit);
        continue;
      }
      std::int64_t start = 0;
      while (static_cast<std::int64_t>(free_devices(held, count, start, start + stay).size()) < gpus || !has_room(caps, held, job, start, start + stay)) ++start;
      ASSERT_TRUE(line.start_ms) << "job " << line.job.value;
      EXPECT_EQ(*line.start_ms, driver.now + seconds(start)) << "job " << line.job.value;
      // A job waits for a limit only if it had no room until then.
      if (line.reason.code == ReasonCode::limit && !line.reason.waits_for.empty() && driver.now + seconds(start) == *line.start_ms) {
        EXPECT_FALSE(has_room(caps, held, job, start - 1, start - 1 + stay) && has_room(caps, held, job, 0, stay)) << "job " << line.job.value;
      }
      held.push_back({&job, start, start + stay, line.allocation[0].devices});
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(reasons[ReasonCode::limit], 100);
  EXPECT_GT(reasons[ReasonCode::resources], 100);
}

/// Runs everything for as long as it may, and checks after every round that no hard cap is exceeded. Returns when each job started.
std::map<JobId, Time> run_to_the_end(Driver& driver) {
  const std::vector<Cap> caps = hard_caps(driver.scheduler.state().cluster);
  std::map<JobId, Time> starts, ends;
  for (const auto& [id, job] : driver.scheduler.state().jobs)
    if (is_active(job.state)) ends[id] = assumed_end(job, {}, driver.now);
  while (true) {
    for (const JobId id : driver.start_round()) starts[id] = driver.now, ends[id] = driver.now + longest_stay(driver.job(id).spec, {});
    for (const Cap& cap : caps) {
      std::int64_t gpus = 0, jobs = 0;
      for (const auto& [id, job] : driver.scheduler.state().jobs)
        if (is_active(job.state) && cap.concerns(job)) gpus += gpus_of(job.attempts.back().allocation), ++jobs;
      EXPECT_LE(gpus, cap.gpus.value_or(gpus));
      EXPECT_LE(jobs, cap.jobs.value_or(jobs));
    }
    if (ends.empty()) return starts;
    driver.now = std::min_element(ends.begin(), ends.end(), [](const auto& a, const auto& b) { return a.second < b.second; })->second;
    for (auto end = ends.begin(); end != ends.end();) {
      if (end->second > driver.now) {
        ++end;
        continue;
      }
      driver.run(end->first);
      driver.end(end->first);
      end = ends.erase(end);
    }
  }
}

TEST(LimitProperty, WithoutSurprisesEveryJobStartsWhenItWasPlannedAndNoHardCapIsExceeded) {
  for (std::uint64_t seed = 1; seed <= limit_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver driver = random_world(random);
    const Plan plan = driver.scheduler.plan(driver.now);
    const std::map<JobId, Time> starts = run_to_the_end(driver);
    for (const PlannedJob& line : plan.jobs) {
      EXPECT_EQ(starts.count(line.job), line.start_ms ? 1u : 0u) << "job " << line.job.value;
      if (line.start_ms && starts.count(line.job)) {
        EXPECT_EQ(starts.at(line.job), *line.start_ms) << "job " << line.job.value;
      }
    }
    if (HasFailure()) return;
  }
}

TEST(LimitProperty, SharesChangeTheOrderAloneNothingStaysIdleAndNobodyIsHarmed) {
  int borrowers = 0;
  for (std::uint64_t seed = 1; seed <= limit_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver driver = random_world(random, true);
    const State& state = driver.scheduler.state();
    const Plan before = driver.scheduler.plan(driver.now);
    driver.round();
    const Plan after = driver.scheduler.plan(driver.now);
    // Who still waits has the place and the start that it had: to start others, borrowers or not, moved nobody.
    std::map<JobId, PlannedJob> lines;
    for (const PlannedJob& line : before.jobs) lines[line.job] = line, borrowers += line.reason.code == ReasonCode::soft_cap ? 1 : 0;
    std::vector<JobId> order, expected;
    for (const PlannedJob& line : after.jobs) {
      order.push_back(line.job);
      EXPECT_EQ(line.start_ms, lines.at(line.job).start_ms) << "job " << line.job.value;
      EXPECT_EQ(in_words(line.allocation), in_words(lines.at(line.job).allocation)) << "job " << line.job.value;
    }
    for (const PlannedJob& line : before.jobs)
      if (state.jobs.at(line.job).state == JobState::queued) expected.push_back(line.job);
    EXPECT_EQ(order, expected);
    // Nobody waits who alone could run to his end now: only a planned start ahead, a hard cap or a want of devices keeps anybody.
    const std::vector<Cap> caps = hard_caps(state.cluster);
    std::vector<Held> running, all;
    for (const auto& [id, job] : state.jobs)
      if (is_active(job.state)) running.push_back({&job, 0, (assumed_end(job, {}, driver.now) - driver.now).ms / 1000, job.attempts.back().allocation[0].devices});
    all = running;
    for (const PlannedJob& line : after.jobs) {
      const Job& job = state.jobs.at(line.job);
      const std::int64_t stay = longest_stay(job.spec, {}).ms / 1000;
      const bool fits = static_cast<std::int64_t>(free_devices(all, state.cluster.nodes[0].gpus, 0, stay).size()) >= total_gpus(job.spec.resources);
      EXPECT_FALSE(fits && has_room(caps, all, job, 0, stay)) << "job " << line.job.value << " could run now";
      if (line.start_ms) all.push_back({&job, (*line.start_ms - driver.now).ms / 1000, (*line.start_ms - driver.now).ms / 1000 + stay, line.allocation[0].devices});
    }
    run_to_the_end(driver);
    if (HasFailure()) return;
  }
  EXPECT_GT(borrowers, 50);
}

}  // namespace
}  // namespace ultramarine::core
