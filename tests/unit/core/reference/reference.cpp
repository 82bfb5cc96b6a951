// See reference.h.
#include "tests/unit/core/reference/reference.h"

#include <algorithm>
#include <stdexcept>

namespace ultramarine::core::reference {
namespace {

std::size_t index_of(const ClusterConfig& cluster, const std::string& node) {
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i)
    if (cluster.nodes[i].name == node) return i;
  throw std::logic_error("no node " + node);
}

}  // namespace

/// Every cap that counts the job: of its account and those above it, of its user there, of its QOS and its partition.
std::vector<Reference::Cap> Reference::caps_of(const JobSpec& spec, const std::string& user) const {
  std::vector<Cap> caps;
  const auto add = [&](const std::string& name, const Limits& limits) {
    if (limits.gpus) caps.push_back({name, *limits.gpus});
  };
  for (std::string name = spec.account; !name.empty();) {
    std::string parent;
    for (const AccountConfig& account : cluster_.accounts) {
      if (account.name != name) continue;
      add("account " + name, account.limits);
      if (name == spec.account) add("user " + user + " of " + name, account.user_limits);
      parent = account.parent;
    }
    name = parent;
  }
  for (const QosConfig& qos : cluster_.qos)
    if (qos.name == spec.qos) add("qos " + qos.name, qos.limits), add("user " + user + " in qos " + qos.name, qos.user_limits);
  for (const PartitionConfig& partition : cluster_.partitions)
    if (partition.name == spec.partition)
      add("partition " + partition.name, partition.limits), add("user " + user + " in partition " + partition.name, partition.user_limits);
  return caps;
}

void Reference::submit(JobId id, const JobSpec& spec, const std::string& user, std::int64_t now_s) {
  Known job{.id = id, .submitted_s = now_s, .limit_s = spec.time_limit_ms.ms / 1000};
  job.stay_s = (policy_.launch_allowance_ms.ms + spec.time_limit_ms.ms + spec.stop_grace_ms.ms) / 1000;
  std::int64_t largest = 0;
  for (const NodeConfig& node : cluster_.nodes) {
    job.may_use.push_back(spec.gpu_type.empty() || spec.gpu_type == node.gpu_type);
    if (job.may_use.back()) largest = std::max(largest, node.gpus);
  }
  if (spec.resources.gpus == 0) job.parts.assign(static_cast<std::size_t>(spec.resources.nodes), spec.resources.gpus_per_node);
  for (std::int64_t left = spec.resources.gpus; left > 0; left -= largest) job.parts.push_back(std::min(left, largest));
  job.caps = caps_of(spec, user);
  jobs_[id] = std::move(job);
}

void Reference::end(JobId id) { jobs_.erase(id); }

void Reference::start(const Line& line, std::int64_t now_s) {
  jobs_.at(line.job).started_s = now_s;
  jobs_.at(line.job).allocation = line.allocation;
}

bool Reference::before(const Known& a, const Known& b) const {
  if (policy_.order == "shortest" && a.limit_s != b.limit_s) return a.limit_s < b.limit_s;
  if (a.submitted_s != b.submitted_s) return a.submitted_s < b.submitted_s;
  return a.id < b.id;
}

/// Seconds from now.
std::int64_t Reference::assumed_end(const Known& job, std::int64_t now_s) const { return std::max<std::int64_t>(*job.started_s + job.stay_s - now_s, 1); }

void Reference::put(Known job, const Allocation& allocation, std::int64_t from, std::int64_t until, Table& table, std::vector<Known>& placed) const {
  for (const NodeAllocation& on_node : allocation)
    for (const std::int64_t device : on_node.devices)
      for (std::int64_t t = from; t < until; ++t)
        table[index_of(cluster_, on_node.node)][static_cast<std::size_t>(device)][static_cast<std::size_t>(t)] = job.id.value;
  job.from = from, job.until = until;
  placed.push_back(std::move(job));
}

/// The table with who runs, long enough for whatever is to come.
Reference::Table Reference::table_of_now(std::int64_t now_s, std::vector<Known>& placed) const {
  std::int64_t horizon = 1;
  for (const auto& [id, job] : jobs_) horizon += job.started_s ? assumed_end(job, now_s) : job.stay_s * 2;
  Table table;
  for (const NodeConfig& node : cluster_.nodes)
    table.emplace_back(static_cast<std::size_t>(node.gpus), std::vector<std::int64_t>(static_cast<std::size_t>(horizon), 0));
  for (const auto& [id, job] : jobs_)
    if (job.started_s) put(job, job.allocation, 0, assumed_end(job, now_s), table, placed);
  return table;
}

/// Which nodes take the parts: the smaller part first, to the node that counts the fewest; then the others likewise. `can`: devices that each
/// node can give. Empty: they don't fit.
std::vector<Reference::Choice> Reference::choose(const std::vector<std::int64_t>& parts, const std::vector<std::int64_t>& can,
                                                 const std::vector<std::int64_t>& counts) const {
  if (parts.empty()) return {};
  std::vector<std::size_t> nodes;
  for (std::size_t node = 0; node < can.size(); ++node) nodes.push_back(node);
  std::stable_sort(nodes.begin(), nodes.end(), [&](std::size_t a, std::size_t b) { return counts[a] < counts[b]; });
  const std::vector<std::int64_t> others(parts.begin(), parts.end() - 1);
  for (const std::size_t node : nodes) {
    if (can[node] < parts.back()) continue;
    std::vector<std::int64_t> left = can;
    left[node] = 0;
    std::vector<Choice> rest = choose(others, left, counts);
    if (rest.size() != others.size()) continue;
    rest.push_back({node, parts.back()});
    return rest;
  }
  return {};
}

/// Where the job would be if it started `start` seconds from now; nothing: it doesn't fit then. `placed`: who runs and who was placed before.
std::optional<Allocation> Reference::fits(const Known& job, std::int64_t start, std::int64_t length, const Table& table,
                                          const std::vector<Known>& placed) const {
  std::int64_t gpus = 0;
  for (const std::int64_t part : job.parts) gpus += part;
  for (const Cap& cap : job.caps) {
    for (std::int64_t t = start; t < start + length; ++t) {
      std::int64_t used = gpus;
      for (const Known& other : placed) {
            const bool counted = std::any_of(other.caps.begin(), other.caps.end(), [&](const Cap& c) { return c.name == cap.name; });
        if (!counted || t < other.from || t >= other.until) continue;
        for (const std::int64_t part : other.parts) used += part;
      }
      if (used > cap.gpus) return std::nullopt;
    }
  }
  std::vector<std::vector<std::int64_t>> devices;  // of each node: those that it can have
  std::vector<std::int64_t> can, counts;
  for (std::size_t node = 0; node < table.size(); ++node) {
    devices.emplace_back();
    counts.push_back(0);
    for (std::size_t device = 0; device < table[node].size(); ++device) {
      bool free = job.may_use[node], left_by_jobs_ahead = true;
      for (std::int64_t t = start; t < start + length; ++t) {
        const std::int64_t holder = table[node][device][static_cast<std::size_t>(t)];
        if (holder == 0) continue;
        free = false;
        left_by_jobs_ahead &= before(job, jobs_.at(JobId{holder}));
      }
      if (free) devices.back().push_back(static_cast<std::int64_t>(device));
      counts.back() += (policy_.placement == "pack" ? table[node][device][static_cast<std::size_t>(start)] == 0 : left_by_jobs_ahead) ? 1 : 0;
    }
    can.push_back(static_cast<std::int64_t>(devices.back().size()));
  }
  const std::vector<Choice> chosen = choose(job.parts, can, counts);
  if (chosen.size() != job.parts.size()) return std::nullopt;
  Allocation allocation;
  for (std::size_t node = 0; node < table.size(); ++node)
    for (const Choice& choice : chosen)
      if (choice.node == node) allocation.push_back({cluster_.nodes[node].name, {devices[node].begin(), devices[node].begin() + choice.devices}});
  return allocation;
}

std::vector<Line> Reference::conservative(const std::vector<Known>& queue, std::int64_t now_s) const {
  std::vector<Known> placed;
  Table table = table_of_now(now_s, placed);
  std::vector<Line> lines;
  for (const Known& job : queue) {
    std::int64_t start = 0;
    auto allocation = fits(job, start, job.stay_s, table, placed);
    while (!allocation) allocation = fits(job, ++start, job.stay_s, table, placed);
    put(job, *allocation, start, start + job.stay_s, table, placed);
    lines.push_back({job.id, now_s + start, *allocation});
  }
  return lines;
}

/// Whether its parts fit on nodes with so many free devices.
bool Reference::could_be_placed(const Known& job, std::vector<std::int64_t> free) const {
  for (std::size_t node = 0; node < free.size(); ++node)
    if (!job.may_use[node]) free[node] = 0;
  return choose(job.parts, free, free).size() == job.parts.size();
}

std::vector<Line> Reference::starts_only(const std::vector<Known>& queue, std::int64_t now_s) const {
  std::vector<Known> placed;
  Table table = table_of_now(now_s, placed);
  std::map<JobId, Line> lines;
  for (const Known& job : queue) lines[job.id] = {job.id, std::nullopt, {}};
  const auto start_now = [&](const Known& job) {
    const auto allocation = fits(job, 0, 1, table, placed);  // who runs, runs on: free now is free
    if (!allocation) return false;
    put(job, *allocation, 0, job.stay_s, table, placed);
    lines[job.id] = {job.id, now_s, *allocation};
    return true;
  };
  const auto take_back = [&](const Known& job) {
    for (auto& node : table)
      for (auto& device : node) std::replace(device.begin(), device.end(), job.id.value, std::int64_t{0});
    placed.pop_back();
    lines[job.id] = {job.id, std::nullopt, {}};
  };
  const auto free_at = [&](std::int64_t t) {
    std::vector<std::int64_t> free;
    for (const auto& node : table) {
      free.push_back(0);
      for (const auto& device : node) free.back() += device[static_cast<std::size_t>(t)] == 0 ? 1 : 0;
    }
    return free;
  };

  std::size_t next = 0;
  while (next < queue.size() && start_now(queue[next])) ++next;
  if (next < queue.size() && policy_.backfill != "none") {
    const Known& head = queue[next];
    const bool has_a_start = policy_.backfill != "skip";
    std::int64_t shadow = 0;
    while (has_a_start && !could_be_placed(head, free_at(shadow))) ++shadow;
    std::vector<Known> candidates(queue.begin() + static_cast<std::ptrdiff_t>(next) + 1, queue.end());
    if (policy_.backfill == "easy_sjf")
      std::stable_sort(candidates.begin(), candidates.end(), [](const Known& a, const Known& b) { return a.limit_s < b.limit_s; });
    for (const Known& candidate : candidates)
      if (start_now(candidate) && has_a_start && !could_be_placed(head, free_at(shadow))) take_back(candidate);
  }
  std::vector<Line> in_order;
  for (const Known& job : queue) in_order.push_back(lines[job.id]);
  return in_order;
}

std::vector<Line> Reference::plan(std::int64_t now_s) const {
  std::vector<Known> queue;
  for (const auto& [id, job] : jobs_)
    if (!job.started_s) queue.push_back(job);
  std::sort(queue.begin(), queue.end(), [&](const Known& a, const Known& b) { return before(a, b); });
  return policy_.backfill == "conservative" ? conservative(queue, now_s) : starts_only(queue, now_s);
}

}  // namespace ultramarine::core::reference
