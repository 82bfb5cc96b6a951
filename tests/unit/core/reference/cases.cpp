// See cases.h. What is drawn are small integers, so that shrinking makes jobs fewer, smaller and shorter; anything that doesn't fit the
// drawn cluster is cut down to it.
#include "tests/unit/core/reference/cases.h"

#include <algorithm>
#include <stdexcept>

namespace ultramarine::core::reference {
namespace {

struct DrawnJob {
  int gap_s = 0, gpus = 1, nodes = 0, limit_s = 1, grace_s = 0, runs_permille = 1000, user = 0;
  int gpu_type = 0, cpus_per_gpu = 0, only = 0, exclusive = 0;
};

struct DrawnNode {
  int gpus = 1, gpu_type = 0, cpus = 0, leaf = 0;
};

struct DrawnEvent {
  int kind = 0, about = 0, after_s = 0, for_s = 0;
};

/// GPUs that may be in use at once; 0 = any number.
struct DrawnCaps {
  int account = 0, parent = 0, user = 0, qos = 0, qos_user = 0, partition = 0, partition_user = 0;
};

struct Drawn {
  std::vector<DrawnNode> nodes;
  bool even = true;
  std::vector<DrawnJob> jobs;
  std::vector<DrawnEvent> events;
  DrawnCaps caps;
};

rc::Gen<DrawnJob> any_job(const CaseOptions& options) {
  using namespace rc;
  const auto rarely = [](bool ever, int below) { return ever ? gen::weightedOneOf<int>({{5, gen::just(0)}, {1, gen::inRange(0, below)}}) : gen::just(0); };
  return gen::build<DrawnJob>(gen::set(&DrawnJob::gap_s, gen::weightedOneOf<int>({{3, gen::just(0)}, {2, gen::inRange(0, 12)}})),
                              gen::set(&DrawnJob::gpus, gen::weightedOneOf<int>({{3, gen::inRange(1, 5)}, {1, gen::inRange(1, 17)}})),
                              gen::set(&DrawnJob::nodes, options.shapes ? gen::weightedOneOf<int>({{3, gen::just(0)}, {1, gen::inRange(1, 5)}}) : gen::just(0)),
                              gen::set(&DrawnJob::limit_s, gen::weightedOneOf<int>({{1, gen::inRange(1, 6)}, {1, gen::inRange(1, 40)}})),
                              gen::set(&DrawnJob::grace_s, gen::inRange(0, 3)),
                              gen::set(&DrawnJob::runs_permille, gen::weightedOneOf<int>({{2, gen::just(1000)}, {3, gen::inRange(0, options.overdue ? 2000 : 1001)}})),
                              gen::set(&DrawnJob::user, gen::inRange(0, 3)), gen::set(&DrawnJob::gpu_type, rarely(options.kinds, 3)),
                              gen::set(&DrawnJob::cpus_per_gpu, rarely(options.needs, 4)), gen::set(&DrawnJob::only, rarely(options.kinds, 16)), gen::set(&DrawnJob::exclusive, rarely(options.needs, 2)));
}

rc::Gen<DrawnNode> any_node(const CaseOptions& options) {
  using namespace rc;
  const auto of = [&](int below) { return options.kinds ? gen::inRange(0, below) : gen::just(0); };
  return gen::build<DrawnNode>(gen::set(&DrawnNode::gpus, gen::inRange(1, 5)), gen::set(&DrawnNode::gpu_type, of(2)), gen::set(&DrawnNode::cpus, of(13)),
                               gen::set(&DrawnNode::leaf, of(3)));
}

rc::Gen<DrawnEvent> any_event() {
  using namespace rc;
  return gen::build<DrawnEvent>(gen::set(&DrawnEvent::kind, gen::inRange(0, 4)), gen::set(&DrawnEvent::about, gen::inRange(0, 12)),
                                gen::set(&DrawnEvent::after_s, gen::inRange(1, 60)), gen::set(&DrawnEvent::for_s, gen::inRange(1, 30)));
}

/// What happens to a job or a node, and is undone some time later.
void add_event(Scenario& scenario, const DrawnEvent& drawn) {
  const ScenarioJob& job = scenario.job[static_cast<std::size_t>(drawn.about) % scenario.job.size()];
  const JobId id{static_cast<std::int64_t>(&job - scenario.job.data()) + 1};
  const std::string node = scenario.cluster.nodes[static_cast<std::size_t>(drawn.about) % scenario.cluster.nodes.size()].name;
  const Time begin = job.at_ms + seconds(drawn.after_s), end = begin + seconds(drawn.for_s);
  ScenarioEvent first{.at_ms = begin}, second{.at_ms = end};
  switch (drawn.kind) {
    case 0: first.cancel = JobCancelled{id, {}}; break;
    case 1: first.hold = JobHeld{id, HoldKind::user, "wait", {}}, second.release = JobReleased{id, {}}; break;
    case 2: first.drain = NodeDrained{node, "fan", {}}, second.resume = NodeResumed{node, {}}; break;
    default: first.suspect = NodeSuspected{node, {}}, second.join = NodeJoined{node, "boot-1", "0.1.0", node, {}}; break;
  }
  scenario.event.push_back(first);
  if (drawn.kind > 0) scenario.event.push_back(second);
}

bool is_possible(const Scenario& scenario, const ScenarioJob& job) {
  Scenario alone = scenario;
  alone.job = {job};
  try {
    Playback(alone).advance();
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

Scenario story_of(const Drawn& drawn, const PolicyConfig& policy) {
  Scenario scenario;
  scenario.policy = policy;
  ClusterConfig& cluster = scenario.cluster;
  std::int64_t total = 0, largest = 0;
  const char* const types[] = {"H100", "A100"};
  const char* const leaves[] = {"", "left", "right"};
  for (std::size_t i = 0; i < drawn.nodes.size(); ++i) {
    const DrawnNode& node = drawn.nodes[i];
    const std::int64_t gpus = drawn.nodes[drawn.even ? 0 : i].gpus;
    cluster.nodes.push_back({.name = "node" + std::to_string(i + 1), .gpus = gpus, .gpu_type = types[node.gpu_type], .cpus = node.cpus, .leaf = leaves[node.leaf],
                             .virtual_devices = true});
    total += gpus, largest = std::max(largest, gpus);
  }
  const auto at_most = [](int gpus) {
    Limits limits;
    if (gpus > 0) limits.gpus = gpus;
    return limits;
  };
  const DrawnCaps& caps = drawn.caps;
  cluster.partitions.push_back({.name = "main", .limits = at_most(caps.partition), .user_limits = at_most(caps.partition_user)});
  cluster.accounts.push_back({.name = "labs", .limits = at_most(caps.parent)});
  cluster.accounts.push_back({.name = "lab-a", .parent = "labs", .members = {"ada", "bob"}, .limits = at_most(caps.account), .user_limits = at_most(caps.user)});
  cluster.accounts.push_back({.name = "lab-b", .parent = "labs", .members = {"eve"}});
  cluster.qos.push_back({.name = "normal", .limits = at_most(caps.qos), .user_limits = at_most(caps.qos_user)});
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
    if (drawn_job.gpu_type > 0) job.spec.gpu_type = types[drawn_job.gpu_type - 1];
    job.spec.cpus_per_gpu = drawn_job.cpus_per_gpu;
    job.spec.exclusive = drawn_job.exclusive > 0;
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i)
      if ((drawn_job.only >> i & 1) != 0) job.spec.only_nodes.push_back(cluster.nodes[i].name);
    const bool is_of_lab_a = drawn_job.user < 2;
    const auto is_beyond = [&](int cap) { return cap > 0 && total_gpus(job.spec.resources) > cap; };  // no time could help it
    if (is_beyond(caps.parent) || is_beyond(caps.qos) || is_beyond(caps.qos_user) || is_beyond(caps.partition) || is_beyond(caps.partition_user)) continue;
    if (is_of_lab_a && (is_beyond(caps.account) || is_beyond(caps.user))) continue;
    if (is_possible(scenario, job)) scenario.job.push_back(job);
  }
  if (scenario.job.empty()) return scenario;
  for (const DrawnEvent& event : drawn.events) add_event(scenario, event);
  return scenario;
}

}  // namespace

rc::Gen<Scenario> any_scenario(const PolicyConfig& policy, const CaseOptions& options) {
  using namespace rc;
  const auto sizes = gen::mapcat(gen::inRange<std::size_t>(1, 5), [options](std::size_t count) { return gen::container<std::vector<DrawnNode>>(count, any_node(options)); });
  const auto jobs = gen::mapcat(gen::inRange<std::size_t>(1, 13), [options](std::size_t count) { return gen::container<std::vector<DrawnJob>>(count, any_job(options)); });
  const auto events = gen::mapcat(options.people ? gen::inRange<std::size_t>(0, 6) : gen::just<std::size_t>(0),
                                  [](std::size_t count) { return gen::container<std::vector<DrawnEvent>>(count, any_event()); });
  const auto cap = [&] { return options.caps ? gen::weightedOneOf<int>({{3, gen::just(0)}, {1, gen::inRange(1, 9)}}) : gen::just(0); };
  const auto caps = gen::build<DrawnCaps>(gen::set(&DrawnCaps::account, cap()), gen::set(&DrawnCaps::parent, cap()), gen::set(&DrawnCaps::user, cap()),
                                          gen::set(&DrawnCaps::qos, cap()), gen::set(&DrawnCaps::qos_user, cap()), gen::set(&DrawnCaps::partition, cap()),
                                          gen::set(&DrawnCaps::partition_user, cap()));
  const auto drawn = gen::build<Drawn>(gen::set(&Drawn::nodes, sizes),
                                       gen::set(&Drawn::even, options.uneven ? gen::weightedElement<bool>({{2, true}, {1, false}}) : gen::just(true)),
                                       gen::set(&Drawn::jobs, jobs), gen::set(&Drawn::events, events), gen::set(&Drawn::caps, caps));
  return gen::map(drawn, [policy](const Drawn& value) { return story_of(value, policy); });
}

}  // namespace ultramarine::core::reference
