// See cases.h. What is drawn are small integers, so that shrinking makes jobs fewer, smaller and shorter; anything that doesn't fit the
// drawn cluster is cut down to it.
#include "tests/unit/core/reference/cases.h"

#include <algorithm>

namespace ultramarine::core::reference {
namespace {

struct DrawnJob {
  int gap_s = 0, gpus = 1, nodes = 0, limit_s = 1, grace_s = 0, runs_permille = 1000, user = 0;
};

struct Drawn {
  std::vector<int> nodes;  // GPUs of each
  bool even = true;
  std::vector<DrawnJob> jobs;
};

rc::Gen<DrawnJob> any_job(const CaseOptions& options) {
  using namespace rc;
  return gen::build<DrawnJob>(gen::set(&DrawnJob::gap_s, gen::weightedOneOf<int>({{3, gen::just(0)}, {2, gen::inRange(0, 12)}})),
                              gen::set(&DrawnJob::gpus, gen::weightedOneOf<int>({{3, gen::inRange(1, 5)}, {1, gen::inRange(1, 17)}})),
                              gen::set(&DrawnJob::nodes, options.shapes ? gen::weightedOneOf<int>({{3, gen::just(0)}, {1, gen::inRange(1, 5)}}) : gen::just(0)),
                              gen::set(&DrawnJob::limit_s, gen::weightedOneOf<int>({{1, gen::inRange(1, 6)}, {1, gen::inRange(1, 40)}})),
                              gen::set(&DrawnJob::grace_s, gen::inRange(0, 3)),
                              gen::set(&DrawnJob::runs_permille, gen::weightedOneOf<int>({{2, gen::just(1000)}, {3, gen::inRange(0, options.overdue ? 2000 : 1001)}})),
                              gen::set(&DrawnJob::user, gen::inRange(0, 3)));
}

Scenario story_of(const Drawn& drawn, const PolicyConfig& policy) {
  Scenario scenario;
  scenario.policy = policy;
  ClusterConfig& cluster = scenario.cluster;
  std::int64_t total = 0, largest = 0;
  for (std::size_t i = 0; i < drawn.nodes.size(); ++i) {
    const std::int64_t gpus = drawn.nodes[drawn.even ? 0 : i];
    cluster.nodes.push_back({.name = "node" + std::to_string(i + 1), .gpus = gpus, .virtual_devices = true});
    total += gpus, largest = std::max(largest, gpus);
  }
  cluster.partitions.push_back({.name = "main"});
  cluster.accounts.push_back({.name = "default", .members = {"*"}});
  cluster.qos.push_back({.name = "normal"});
  const char* const users[] = {"ada", "bob", "eve"};
  Time now;
  for (const DrawnJob& drawn_job : drawn.jobs) {
    now = now + seconds(drawn_job.gap_s);
    ScenarioJob job{.at_ms = now, .user = users[drawn_job.user]};
    job.spec.time_limit_ms = seconds(drawn_job.limit_s);
    job.spec.stop_grace_ms = seconds(drawn_job.grace_s);
    const std::int64_t stay_s = policy.launch_allowance_ms.ms / 1000 + drawn_job.limit_s + drawn_job.grace_s;
    job.runs_ms = seconds(std::max<std::int64_t>(1, stay_s * drawn_job.runs_permille / 1000));
    if (drawn_job.nodes > 0) {
      const std::int64_t per_node = std::min<std::int64_t>(drawn_job.gpus, largest);
      const auto wide_enough = std::count_if(cluster.nodes.begin(), cluster.nodes.end(), [&](const NodeConfig& node) { return node.gpus >= per_node; });
      job.spec.resources = {.nodes = std::min<std::int64_t>(drawn_job.nodes, wide_enough), .gpus_per_node = per_node};
    } else {
      // Whole nodes of the largest size, as far as there are such.
      const auto of_the_largest = std::count_if(cluster.nodes.begin(), cluster.nodes.end(), [&](const NodeConfig& node) { return node.gpus == largest; });
      job.spec.resources = {.gpus = std::min<std::int64_t>(drawn_job.gpus, of_the_largest * largest)};
    }
    scenario.job.push_back(job);
  }
  return scenario;
}

}  // namespace

rc::Gen<Scenario> any_scenario(const PolicyConfig& policy, const CaseOptions& options) {
  using namespace rc;
  const auto sizes = gen::mapcat(gen::inRange<std::size_t>(1, 5), [](std::size_t count) { return gen::container<std::vector<int>>(count, gen::inRange(1, 5)); });
  const auto jobs = gen::mapcat(gen::inRange<std::size_t>(1, 13), [options](std::size_t count) { return gen::container<std::vector<DrawnJob>>(count, any_job(options)); });
  const auto drawn = gen::build<Drawn>(gen::set(&Drawn::nodes, sizes),
                                       gen::set(&Drawn::even, options.uneven ? gen::weightedElement<bool>({{2, true}, {1, false}}) : gen::just(true)),
                                       gen::set(&Drawn::jobs, jobs));
  return gen::map(drawn, [policy](const Drawn& value) { return story_of(value, policy); });
}

}  // namespace ultramarine::core::reference
