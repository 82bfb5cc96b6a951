// Properties of whole plans over random clusters and queues, among them agreement with a planner that is as simple as it can be:
// it tries every instant one by one on a table of devices.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>

#include "scheduler/core/planner.h"
#include "scheduler/core/timeline.h"
#include "tests/unit/core/builders.h"
#include "tests/support/counts.h"

namespace ultramarine::core {
namespace {

/// holder[node][device][t]: the job that has the device then, 0 for nobody; in units of a second from now.
struct Table {
  std::vector<std::vector<std::vector<std::int64_t>>> holder;
  /// Of jobs up to that number.
  bool free(std::size_t node, std::size_t device, std::size_t from, std::size_t length, std::int64_t of_jobs_up_to) const {
    for (std::size_t t = from; t < from + length; ++t)
      if (const std::int64_t job = holder[node][device][t]; job != 0 && job <= of_jobs_up_to) return false;
    return true;
  }
};
constexpr std::int64_t everybody = std::numeric_limits<std::int64_t>::max();

/// For how many devices on how many nodes; the sizes in descending order.
std::vector<std::int64_t> parts_of(const Resources& resources, std::int64_t largest) {
  std::vector<std::int64_t> parts;
  if (resources.gpus == 0) return std::vector<std::int64_t>(static_cast<std::size_t>(resources.nodes), resources.gpus_per_node);
  for (std::int64_t left = resources.gpus; left > 0; left -= largest) parts.push_back(std::min(left, largest));
  return parts;
}

/// Which nodes take the parts, largest part first, tightest node first; empty when they don't fit. Tries everything.
std::map<std::size_t, std::int64_t> put(std::vector<std::int64_t> parts, const std::vector<std::int64_t>& free, const std::vector<std::int64_t>& room) {
  const std::int64_t part = parts.front();
  parts.erase(parts.begin());
  std::vector<std::size_t> nodes;
  for (std::size_t node = 0; node < free.size(); ++node)
    if (free[node] >= part) nodes.push_back(node);
  std::stable_sort(nodes.begin(), nodes.end(), [&](std::size_t a, std::size_t b) { return room[a] < room[b]; });
  for (const std::size_t node : nodes) {
    if (parts.empty()) return {{node, part}};
    std::vector<std::int64_t> left = free;
    left[node] = 0;
    if (auto others = put(parts, left, room); !others.empty()) {
      others[node] = part;
      return others;
    }
  }
  return {};
}

/// The starts (in seconds from now) and allocations that conservative backfill, or none, must give.
std::map<JobId, std::pair<std::int64_t, Allocation>> simple_plan(const State& state, Time now) {
  std::size_t horizon = 1;
  for (const auto& [id, job] : state.jobs) horizon += static_cast<std::size_t>(longest_stay(job.spec, state.policy).ms / 1000 + 1) * 2;
  Table table;
  std::int64_t largest = 0;
  for (const NodeConfig& node : state.cluster.nodes) {
    table.holder.push_back(std::vector(static_cast<std::size_t>(node.gpus), std::vector<std::int64_t>(horizon, 0)));
    if (state.nodes.at(node.name).state != NodeState::up) table.holder.back().clear();
    largest = std::max(largest, node.gpus);
  }
  std::map<std::string, std::size_t> index;
  for (std::size_t node = 0; node < state.cluster.nodes.size(); ++node) index[state.cluster.nodes[node].name] = node;
  for (const auto& [id, job] : state.jobs) {
    if (!is_active(job.state)) continue;
    const std::int64_t end = std::max<std::int64_t>((job.attempts.back().decided_ms + longest_stay(job.spec, state.policy) - now).ms / 1000, 1);
    for (const auto& [node, devices] : job.attempts.back().allocation)
      for (const std::int64_t device : devices)
        if (!table.holder[index[node]].empty())
          for (std::int64_t t = 0; t < end; ++t) table.holder[index[node]][static_cast<std::size_t>(device)][static_cast<std::size_t>(t)] = id.value;
  }
  std::map<JobId, std::pair<std::int64_t, Allocation>> plan;
  std::size_t earliest = 0;
  // Of each array with a limit: from when until when its elements hold devices.
  std::map<JobId, std::vector<std::pair<std::size_t, std::size_t>>> elements;
  for (const auto& [id, job] : state.jobs)
    if (job.array && is_active(job.state))
      elements[job.array->array].emplace_back(0, std::max<std::int64_t>((job.attempts.back().decided_ms + longest_stay(job.spec, state.policy) - now).ms / 1000, 1));
  for (const auto& [id, job] : state.jobs) {  // in these tests the order of submission is the order of the numbers
    if (job.state != JobState::queued) continue;
    const auto length = static_cast<std::size_t>(longest_stay(job.spec, state.policy).ms / 1000);
    auto* const siblings = job.array && job.array->limit > 0 ? &elements[job.array->array] : nullptr;
    for (std::size_t start = earliest; start + length <= horizon; ++start) {
      if (siblings && std::count_if(siblings->begin(), siblings->end(), [&](const auto& stay) { return stay.first < start + length && start < stay.second; }) >=
                          job.array->limit)
        continue;
      // A job that runs behind this one is in the way, but doesn't count when nodes are compared.
      std::vector<std::int64_t> free, room;
      for (std::size_t node = 0; node < table.holder.size(); ++node) {
        free.push_back(0), room.push_back(0);
        for (std::size_t device = 0; device < table.holder[node].size(); ++device) {
          free.back() += table.free(node, device, start, length, everybody) ? 1 : 0;
          room.back() += table.free(node, device, start, length, id.value) ? 1 : 0;
        }
      }
      const auto chosen = put(parts_of(job.spec.resources, largest), free, room);
      if (chosen.empty()) continue;
      Allocation allocation;
      for (const auto& [node, count] : chosen) {
        allocation.push_back({state.cluster.nodes[node].name, {}});
        for (std::size_t device = 0; static_cast<std::int64_t>(allocation.back().devices.size()) < count; ++device) {
          if (!table.free(node, device, start, length, everybody)) continue;
          allocation.back().devices.push_back(static_cast<std::int64_t>(device));
          for (std::size_t t = start; t < start + length; ++t) table.holder[node][device][t] = id.value;
        }
      }
      plan[id] = {static_cast<std::int64_t>(start), allocation};
      if (state.policy.backfill == "none" && !siblings) earliest = start;
      if (siblings) siblings->emplace_back(start, start + length);
      break;
    }
  }
  return plan;
}

/// Small jobs of people who used little first; all of the test is within one tick.
PolicyConfig by_priority() {
  PolicyConfig policy;
  policy.order = "multifactor";
  policy.weights = {{"size", 100}, {"fair_share", 50}};
  policy.priority_interval_ms = hours(1);
  return policy;
}

/// A cluster with some jobs running and some queued, arrays among them. All times are whole seconds. `dependents`: some wait for others.
Driver random_driver(Random& random, bool dependents = false, PolicyConfig policy = {}) {
  const std::int64_t nodes = random.between(1, 5), gpus = random.between(1, 6);
  ClusterConfig cluster = cluster_of(nodes, gpus);
  if (random.chance(300))
    for (NodeConfig& node : cluster.nodes) node.gpus = random.between(1, 6);
  std::int64_t total = 0, largest = 0;
  for (const NodeConfig& node : cluster.nodes) total += node.gpus, largest = std::max(largest, node.gpus);
  if (random.chance(250)) policy.backfill = "none";
  Driver driver(cluster, policy);
  const auto submit = [&] {
    const Duration limit = seconds(random.between(1, random.chance(500) ? 5 : 40)), grace = seconds(random.between(0, 2));
    Resources resources{.gpus = random.between(1, random.chance(700) ? largest : total)};
    if (random.chance(300)) resources = {.nodes = random.between(1, static_cast<std::int64_t>(cluster.nodes.size())), .gpus_per_node = random.between(1, largest)};
    JobSpec spec = spec_of(resources, limit, grace);
    const std::int64_t submitted = driver.scheduler.state().next_job - 1;
    while (dependents && submitted > 0 && random.chance(250))
      spec.dependencies.push_back({JobId{random.between(1, submitted)}, random.chance(500) ? DependencyCondition::any : DependencyCondition::started});
    if (random.chance(150)) driver.submit_array(spec, random.between(1, 5), random.between(0, 3));
    else driver.submit(spec);
  };
  for (std::int64_t i = random.between(0, 8); i > 0; --i) submit();
  for (std::int64_t i = random.between(0, 4); i > 0; --i) {
    driver.round();
    driver.now = driver.now + seconds(random.between(0, 15));  // some become overdue
  }
  for (const NodeConfig& node : cluster.nodes)
    if (random.chance(100)) driver.apply(NodeSuspected{node.name, {}});
  for (std::int64_t i = random.between(1, 14); i > 0; --i) submit();
  return driver;
}

/// ULTRAMARINE_SLOW=1: many more.
const std::uint64_t plan_cases = tests::cases(200, 5000);

TEST(PlanProperty, AgreesWithTheSimplePlanner) {
  // Starts and allocations of every job are those of a planner that tries every second on a table.
  for (std::uint64_t seed = 1; seed <= plan_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const Driver driver = random_driver(random);
    const auto expected = simple_plan(driver.scheduler.state(), driver.now);
    std::size_t planned = 0;
    for (const PlannedJob& line : driver.scheduler.plan(driver.now).jobs) {
      if (!line.start_ms) {
        EXPECT_EQ(expected.count(line.job), 0u) << "job " << line.job.value;
        continue;
      }
      ++planned;
      ASSERT_EQ(expected.count(line.job), 1u) << "job " << line.job.value;
      EXPECT_EQ((*line.start_ms - driver.now).ms, expected.at(line.job).first * 1000) << "job " << line.job.value;
      EXPECT_EQ(in_words(line.allocation), in_words(expected.at(line.job).second)) << "job " << line.job.value;
    }
    EXPECT_EQ(planned, expected.size());
    if (HasFailure()) return;
  }
}

TEST(PlanProperty, AJobsPlanDoesNotDependOnJobsBelowIt) {
  // Cancelling the last of the queue, again and again, changes no line above it. So an overtaker never moves a start ahead of it.
  for (std::uint64_t seed = 1; seed <= plan_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver driver = random_driver(random, false, seed % 2 == 0 ? by_priority() : PolicyConfig{});
    Plan longer = driver.scheduler.plan(driver.now);
    while (!longer.jobs.empty()) {
      driver.apply(JobCancelled{longer.jobs.back().job, ada});
      longer.jobs.pop_back();
      EXPECT_EQ(driver.scheduler.plan(driver.now), longer);
    }
    if (HasFailure()) return;
  }
}

TEST(PlanProperty, StartingWhatIsPlannedForNowMovesNothingElse) {
  // After a round, every job that still waits has the start and the devices that it had before, whoever overtook it.
  int overtakers = 0;
  for (std::uint64_t seed = 1; seed <= plan_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver driver = random_driver(random, false, seed % 2 == 0 ? by_priority() : PolicyConfig{});
    std::map<JobId, PlannedJob> before;
    for (const PlannedJob& line : driver.scheduler.plan(driver.now).jobs) before[line.job] = line;
    for (const Decision& decision : driver.round())
      if (const auto* start = std::get_if<StartJob>(&decision)) overtakers += start->backfilled ? 1 : 0;
    for (const PlannedJob& line : driver.scheduler.plan(driver.now).jobs) {
      EXPECT_EQ(line.start_ms, before.at(line.job).start_ms) << "job " << line.job.value;
      EXPECT_EQ(in_words(line.allocation), in_words(before.at(line.job).allocation)) << "job " << line.job.value;
      EXPECT_NE(line.reason.code, ReasonCode::starting_now);
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(overtakers, 30);
}

/// Every launch takes its normal time and every job runs exactly as long as it may, until nothing runs: what was planned at first must happen.
/// Returns how many of those that waited for others started.
int run_as_planned(Driver& driver) {
  int dependent = 0;
  std::map<JobId, PlannedJob> expected;
  for (const PlannedJob& line : driver.scheduler.plan(driver.now).jobs) expected[line.job] = line;
  const PolicyConfig& policy = driver.scheduler.state().policy;
  std::map<JobId, Time> launches, ends;
  for (const auto& [id, job] : driver.scheduler.state().jobs) {
    if (!is_active(job.state)) continue;
    ends[id] = assumed_end(job, policy, driver.now);
    const Time launched = job.attempts.back().decided_ms + policy.launch_allowance_ms;
    if (!job.attempts.back().started_ms) launches[id] = launched > driver.now ? launched : ends[id];
  }
  while (true) {
    for (const Decision& decision : driver.round()) {
      const auto* start = std::get_if<StartJob>(&decision);
      if (!start) continue;
      launches[start->job] = driver.now + policy.launch_allowance_ms;
      ends[start->job] = driver.now + longest_stay(driver.job(start->job).spec, policy);
      dependent += driver.job(start->job).eligible_ms.has_value();
      EXPECT_EQ(driver.now, expected.at(start->job).start_ms) << "job " << start->job.value;
      EXPECT_EQ(in_words(start->allocation), in_words(expected.at(start->job).allocation)) << "job " << start->job.value;
      expected.at(start->job).start_ms.reset();
    }
    if (ends.empty()) break;
    driver.now = forever;
    for (const auto* times : {&launches, &ends})
      for (const auto& [id, time] : *times) driver.now = std::min(driver.now, time);
    for (auto launch = launches.begin(); launch != launches.end();) {
      if (launch->second > driver.now) {
        ++launch;
        continue;
      }
      driver.run(launch->first);
      launch = launches.erase(launch);
    }
    for (auto end = ends.begin(); end != ends.end();) {
      if (end->second > driver.now) {
        ++end;
        continue;
      }
      driver.end(end->first);
      end = ends.erase(end);
    }
  }
  for (const auto& [id, line] : expected) EXPECT_FALSE(line.start_ms) << "job " << id.value << " never started";
  return dependent;
}

TEST(PlanProperty, WithoutSurprisesEveryJobStartsWhenAndWhereItWasPlanned) {
  for (std::uint64_t seed = 1; seed <= plan_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver driver = random_driver(random);
    EXPECT_EQ(run_as_planned(driver), 0);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(PlanProperty, WhoWaitsForOthersStartsAsPlannedAndMovesNobodysStart) {
  int started = 0;
  for (std::uint64_t seed = 1; seed <= plan_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver driver = random_driver(random, true);
    driver.now = driver.now + seconds(1);  // who becomes able to run in the very instant of a submission may come before it
    for (const auto& [id, job] : std::map(driver.scheduler.state().jobs))  // a launch that takes too long is a surprise
      if (job.state == JobState::starting && job.attempts.back().decided_ms + seconds(5) <= driver.now) driver.run(id);
    while (!driver.round().empty()) {
    }
    // Those who wait for nobody have the plan that they have without the others.
    const Plan plan = driver.scheduler.plan(driver.now);
    Driver without = driver;
    for (const PlannedJob& line : plan.jobs)
      if (line.reason.code == ReasonCode::dependency) without.apply(JobCancelled{line.job, ada});
    for (const PlannedJob& line : without.scheduler.plan(driver.now).jobs) {
      const auto same = std::find_if(plan.jobs.begin(), plan.jobs.end(), [&](const PlannedJob& one) { return one.job == line.job; });
      if (same->reason.code != ReasonCode::dependency && without.job(line.job).spec.dependencies.empty()) {
        EXPECT_EQ(same->start_ms, line.start_ms) << "job " << line.job.value;
      }
    }
    started += run_as_planned(driver);
    for (const auto& [id, job] : driver.scheduler.state().jobs)
      if (job.state == JobState::queued && !job.spec.dependencies.empty() && !job.eligible_ms) {
        EXPECT_EQ(driver.planned(id).reason.code, ReasonCode::dependency) << "job " << id.value;
      }
    if (HasFailure()) return;
  }
  EXPECT_GT(started, 100);
}

TEST(PlanProperty, WhatOvertakesNeverMovesAPlannedStartAhead) {
  // A short job that is let in at the end of the queue may start now; all starts ahead of it stay.
  for (std::uint64_t seed = 1; seed <= plan_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Driver driver = random_driver(random);
    driver.round();
    const Plan before = driver.scheduler.plan(driver.now);
    const std::int64_t gpus = random.between(1, 3), limit_s = random.between(1, 3);
    driver.submit(gpus, seconds(limit_s));
    driver.round();
    std::map<JobId, std::optional<Time>> after;
    for (const PlannedJob& line : driver.scheduler.plan(driver.now).jobs) after[line.job] = line.start_ms;
    for (const PlannedJob& line : before.jobs) EXPECT_EQ(after.at(line.job), line.start_ms) << "job " << line.job.value;
    if (HasFailure()) return;
  }
}

TEST(PlanProperty, TheCheapPlanOfARoundDecidesAsTheFullOne) {
  for (std::uint64_t seed = 1; seed <= plan_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const Driver driver = random_driver(random, false, seed % 2 == 0 ? by_priority() : PolicyConfig{});
    std::vector<JobId> chosen, expected;
    for (const Decision& decision : driver.scheduler.decide(driver.now)) chosen.push_back(std::visit([](const auto& d) { return d.job; }, decision));
    for (const PlannedJob& line : driver.scheduler.plan(driver.now).jobs)
      if (line.reason.code == ReasonCode::starting_now || line.reason.code == ReasonCode::never_fits) expected.push_back(line.job);
    std::sort(chosen.begin(), chosen.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(chosen, expected);
    if (HasFailure()) return;
  }
}

TEST(PlanProperty, ReasonsAreTrue) {
  // starting_now exactly when the start is now; what is waited for exists and ends by the start; one of them ends at it.
  for (std::uint64_t seed = 1; seed <= plan_cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const Driver driver = random_driver(random);
    const State& state = driver.scheduler.state();
    if (state.policy.backfill == "none") continue;
    std::map<JobId, Time> ends;
    for (const auto& [id, job] : state.jobs)
      if (is_active(job.state)) ends[id] = assumed_end(job, driver.scheduler.state().policy, driver.now);
    const Plan plan = driver.scheduler.plan(driver.now);
    for (const PlannedJob& line : plan.jobs) {
      EXPECT_EQ(line.reason.code == ReasonCode::starting_now, line.start_ms == driver.now);
      if (line.start_ms) ends[line.job] = *line.start_ms + longest_stay(state.jobs.at(line.job).spec, state.policy);
      if (!line.start_ms || *line.start_ms == driver.now) {
        EXPECT_TRUE(line.reason.waits_for.empty());
        continue;
      }
      ASSERT_FALSE(line.reason.waits_for.empty()) << "job " << line.job.value;
      if (line.reason.code == ReasonCode::array_limit) {
        ASSERT_EQ(line.reason.waits_for.size(), 1u);
        EXPECT_EQ(state.jobs.at(line.reason.waits_for[0]).array->array, state.jobs.at(line.job).array->array);
        EXPECT_LE(ends.at(line.reason.waits_for[0]), *line.start_ms);
        continue;
      }
      for (std::size_t i = 0; i < line.reason.waits_for.size(); ++i) {
        const Time end = ends.at(line.reason.waits_for[i]);
        EXPECT_GT(end, driver.now);
        EXPECT_LE(end, *line.start_ms);
        if (i > 0) {
          EXPECT_LE(ends.at(line.reason.waits_for[i - 1]), end);
        }
      }
      if (line.reason.waits_for.size() < 5) {
        EXPECT_EQ(ends.at(line.reason.waits_for.back()), *line.start_ms) << "job " << line.job.value;
      }
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace ultramarine::core
