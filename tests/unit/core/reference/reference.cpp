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
  job.cpus_per_gpu = spec.cpus_per_gpu;
  job.exclusive = spec.exclusive;
  std::int64_t largest = 0;
  for (const NodeConfig& node : cluster_.nodes) {
    const bool is_named = spec.only_nodes.empty() || std::count(spec.only_nodes.begin(), spec.only_nodes.end(), node.name) > 0;
    const bool is_of_type = spec.gpu_type.empty() || spec.gpu_type == node.gpu_type;
    const std::int64_t by_cpus = node.cpus > 0 && spec.cpus_per_gpu > 0 ? node.cpus / spec.cpus_per_gpu : node.gpus;
    job.at_most.push_back(is_named && is_of_type ? std::min(node.gpus, by_cpus) : 0);
    largest = std::max(largest, job.at_most.back());
  }
  job.parts = spec.resources.gpus > 0 ? spec.resources.gpus / largest : spec.resources.nodes;
  job.devices_per_part = spec.resources.gpus > 0 ? largest : spec.resources.gpus_per_node;
  job.remainder = spec.resources.gpus > 0 ? spec.resources.gpus % largest : 0;
  job.caps = caps_of(spec, user);
  const auto said = [&](const char* name) { return policy_.trial.count(name) ? policy_.trial.at(name) : 0; };
  job.trial_stay_s = (policy_.launch_allowance_ms.ms + std::min(said("minutes") * 60'000, spec.time_limit_ms.ms) + spec.stop_grace_ms.ms) / 1000;
  job.trial_gpus = spec.exclusive ? 0 : std::min(spec.resources.gpus > 0 ? spec.resources.gpus : spec.resources.gpus_per_node, said("gpus_per_job"));
  jobs_[id] = std::move(job);
}

void Reference::end(JobId id) { jobs_.erase(id); }

void Reference::start(const Line& line, std::int64_t now_s) {
  jobs_.at(line.job).started_s = now_s;
  jobs_.at(line.job).allocation = line.allocation;
}

void Reference::start_trial(const Line& line, std::int64_t now_s) {
  Known& job = jobs_.at(line.job);
  job.started_s = now_s;
  job.allocation = line.allocation;
  job.is_in_trial = job.was_tried = true;
}

void Reference::end_trial(JobId id) {
  Known& job = jobs_.at(id);
  job.started_s.reset();
  job.is_in_trial = false;
}

/// A job that asks for what a trial has.
Reference::Known Reference::as_trial(Known job, std::int64_t gpus) {
  job.parts = 0, job.devices_per_part = 0, job.remainder = gpus;
  job.stay_s = job.trial_stay_s;
  job.is_in_trial = true;
  return job;
}

bool Reference::before(const Known& a, const Known& b) const {
  if (policy_.order == "shortest" && a.limit_s != b.limit_s) return a.limit_s < b.limit_s;
  if (a.submitted_s != b.submitted_s) return a.submitted_s < b.submitted_s;
  return a.id < b.id;
}

/// Seconds from now.
std::int64_t Reference::assumed_end(const Known& job, std::int64_t now_s) const {
  return std::max<std::int64_t>(*job.started_s + (job.is_in_trial ? job.trial_stay_s : job.stay_s) - now_s, 1);
}

void Reference::put(Known job, const Allocation& allocation, std::int64_t from, std::int64_t until, Table& table, std::vector<Known>& placed) const {
  for (const NodeAllocation& on_node : allocation)
    for (const std::int64_t device : on_node.devices)
      for (std::int64_t t = from; t < until; ++t)
        table[index_of(cluster_, on_node.node)][static_cast<std::size_t>(device)][static_cast<std::size_t>(t)] = job.is_in_trial ? -job.id.value : job.id.value;
  job.allocation = allocation;
  job.from = from, job.until = until;
  placed.push_back(std::move(job));
}

/// The table with who runs, long enough for whatever is to come.
Reference::Table Reference::table_of_now(std::int64_t now_s, std::vector<Known>& placed) const {
  std::int64_t horizon = 1;
  for (const auto& [id, job] : jobs_) horizon += job.stay_s * 2 + (job.started_s ? assumed_end(job, now_s) : 0);
  Table table;
  for (const NodeConfig& node : cluster_.nodes)
    table.emplace_back(static_cast<std::size_t>(node.gpus), std::vector<std::int64_t>(static_cast<std::size_t>(horizon), 0));
  for (const auto& [id, job] : jobs_)
    if (job.started_s) {
      std::int64_t gpus = 0;
      for (const NodeAllocation& on_node : job.allocation) gpus += static_cast<std::int64_t>(on_node.devices.size());
      put(job.is_in_trial ? as_trial(job, gpus) : job, job.allocation, 0, assumed_end(job, now_s), table, placed);
    }
  return table;
}

/// Which nodes take the job's parts. `can`: devices that each node can give; `left`: that count. Empty: they don't fit.
std::vector<Reference::Choice> Reference::choose(const Known& job, std::vector<std::int64_t> can, const std::vector<std::int64_t>& left) const {
  std::vector<Choice> chosen;
  const auto take_from = [&](std::vector<std::size_t> nodes, std::int64_t count, std::int64_t devices) {
    for (; count > 0; --count) {
      std::optional<std::size_t> best;
      for (const std::size_t node : nodes)
        if (can[node] >= devices && (!best || left[node] < left[*best])) best = node;
      if (!best) return;
      chosen.push_back({*best, devices});
      can[*best] = 0;
    }
  };
  std::map<std::string, std::vector<std::size_t>> leaves;
  std::vector<std::string> in_order;  // of their first nodes
  std::vector<std::size_t> all;
  for (std::size_t node = 0; node < can.size(); ++node) {
    if (job.at_most[node] == 0) continue;
    all.push_back(node);
    const std::string& leaf = policy_.placement == "pack" ? std::string("all") : cluster_.nodes[node].leaf;
    if (leaves[leaf].empty()) in_order.push_back(leaf);
    leaves[leaf].push_back(node);
  }
  std::int64_t wanted = job.parts;
  while (wanted > 0) {
    std::string best;
    std::int64_t best_rooms = 0, best_left = 0;
    for (const std::string& leaf : in_order) {
      std::int64_t rooms = 0, sum = 0;
      for (const std::size_t node : leaves[leaf]) rooms += can[node] >= job.devices_per_part ? 1 : 0, sum += left[node];
      rooms = std::min(rooms, wanted);
      if (rooms > best_rooms || (rooms == best_rooms && rooms > 0 && sum < best_left)) best = leaf, best_rooms = rooms, best_left = sum;
    }
    if (best_rooms == 0) return {};
    if (policy_.placement == "pack")
      for (const std::size_t node : all) {
        if (best_rooms == 0 || can[node] < job.devices_per_part) continue;
        chosen.push_back({node, job.devices_per_part});
        can[node] = 0;
        --best_rooms, --wanted;
      }
    else take_from(leaves[best], best_rooms, job.devices_per_part), wanted -= best_rooms;
  }
  if (job.remainder > 0) take_from(all, 1, job.remainder);
  if (static_cast<std::int64_t>(chosen.size()) < job.parts + (job.remainder > 0 ? 1 : 0)) return {};
  return chosen;
}

/// Devices that the node can give the job for all of the stay, of `free` ones.
std::int64_t Reference::can_give(std::size_t node, const Known& job, std::int64_t free, std::int64_t start, std::int64_t length,
                                 const std::vector<Known>& placed) const {
  const NodeConfig& config = cluster_.nodes[node];
  if (job.exclusive && free < config.gpus) return 0;
  std::int64_t can = std::min(free, job.at_most[node]);
  if (config.cpus == 0 || job.cpus_per_gpu == 0) return can;
  for (std::int64_t t = start; t < start + length; ++t) {
    std::int64_t cpus = config.cpus;
    for (const Known& other : placed)
      for (const NodeAllocation& on_node : other.allocation)
        if (on_node.node == config.name && other.from <= t && t < other.until) cpus -= other.cpus_per_gpu * static_cast<std::int64_t>(on_node.devices.size());
    can = std::min(can, std::max<std::int64_t>(cpus, 0) / job.cpus_per_gpu);
  }
  return can;
}

/// Where the job would be if it started `start` seconds from now; nothing: it doesn't fit then. `placed`: who runs and who was placed before.
std::optional<Allocation> Reference::fits(const Known& job, std::int64_t start, std::int64_t length, const Table& table,
                                          const std::vector<Known>& placed) const {
  const auto gpus_of = [](const Known& one) { return one.parts * one.devices_per_part + one.remainder; };
  for (const Cap& cap : job.caps) {
    for (std::int64_t t = start; t < start + length; ++t) {
      std::int64_t used = gpus_of(job);
      for (const Known& other : placed) {
        const bool counted = std::any_of(other.caps.begin(), other.caps.end(), [&](const Cap& c) { return c.name == cap.name; });
        if (counted && other.from <= t && t < other.until) used += gpus_of(other);
      }
      if (used > cap.gpus) return std::nullopt;
    }
  }
  std::vector<std::vector<std::int64_t>> devices;  // of each node: those that are free for all of the stay
  std::vector<std::int64_t> can, left;
  for (std::size_t node = 0; node < table.size(); ++node) {
    devices.emplace_back();
    left.push_back(0);
    for (std::size_t device = 0; device < table[node].size(); ++device) {
      bool is_free = true, left_by_jobs_ahead = true;
      for (std::int64_t t = start; t < start + length; ++t) {
        const std::int64_t holder = table[node][device].at(static_cast<std::size_t>(t));
        if (holder == 0) continue;
        is_free = false;
        if (job.is_in_trial) left_by_jobs_ahead = false;  // what is really free
        else if (holder > 0) left_by_jobs_ahead &= before(job, jobs_.at(JobId{holder}));
      }
      if (is_free) devices.back().push_back(static_cast<std::int64_t>(device));
      left.back() += (policy_.placement == "pack" ? is_free : left_by_jobs_ahead) ? 1 : 0;
    }
    can.push_back(can_give(node, job, static_cast<std::int64_t>(devices.back().size()), start, length, placed));
  }
  const std::vector<Choice> chosen = choose(job, can, left);
  if (chosen.empty()) return std::nullopt;
  Allocation allocation;
  for (std::size_t node = 0; node < table.size(); ++node)
    for (const Choice& choice : chosen)
      if (choice.node == node) {
        if (!job.exclusive) devices[node].resize(static_cast<std::size_t>(choice.devices));
        allocation.push_back({cluster_.nodes[node].name, devices[node]});
      }
  return allocation;
}

std::vector<Line> Reference::conservative(const std::vector<Known>& queue, std::int64_t now_s) const {
  std::vector<Known> placed;
  Table table = table_of_now(now_s, placed);
  return place_all(queue, now_s, table, placed);
}

std::vector<Line> Reference::place_all(const std::vector<Known>& queue, std::int64_t now_s, Table& table, std::vector<Known>& placed) const {
  std::vector<Line> lines;
  for (Known job : queue) {
    std::int64_t start = job.is_in_trial ? assumed_end(job, now_s) : 0;
    job.is_in_trial = false;  // its own place
    auto allocation = fits(job, start, job.stay_s, table, placed);
    while (!allocation) allocation = fits(job, ++start, job.stay_s, table, placed);
    put(job, *allocation, start, start + job.stay_s, table, placed);
    lines.push_back({job.id, now_s + start, *allocation});
  }
  return lines;
}

/// By what is free at that second.
bool Reference::could_be_placed(const Known& job, const Table& table, std::int64_t at, const std::vector<Known>& placed) const {
  return fits(job, at, 1, table, placed).has_value();
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
  std::size_t next = 0;
  while (next < queue.size() && start_now(queue[next])) ++next;
  if (next < queue.size() && policy_.backfill != "none") {
    const Known& head = queue[next];
    const bool has_a_start = policy_.backfill != "skip";
    std::int64_t shadow = 0;
    while (has_a_start && !could_be_placed(head, table, shadow, placed)) ++shadow;
    std::vector<Known> candidates(queue.begin() + static_cast<std::ptrdiff_t>(next) + 1, queue.end());
    if (policy_.backfill == "easy_sjf")
      std::stable_sort(candidates.begin(), candidates.end(), [](const Known& a, const Known& b) { return a.limit_s < b.limit_s; });
    for (const Known& candidate : candidates)
      if (start_now(candidate) && has_a_start && !could_be_placed(head, table, shadow, placed)) take_back(candidate);
  }
  std::vector<Line> in_order;
  for (const Known& job : queue) in_order.push_back(lines[job.id]);
  return in_order;
}

std::vector<Reference::Known> Reference::queue() const {
  std::vector<Known> queue;
  for (const auto& [id, job] : jobs_)
    if (!job.started_s || job.is_in_trial) queue.push_back(job);
  std::sort(queue.begin(), queue.end(), [&](const Known& a, const Known& b) { return before(a, b); });
  return queue;
}

std::vector<Line> Reference::plan(std::int64_t now_s) const {
  return policy_.backfill == "conservative" ? conservative(queue(), now_s) : starts_only(queue(), now_s);
}

std::vector<Line> Reference::trials(std::int64_t now_s) const {
  if (policy_.trial.empty()) return {};
  std::int64_t left = 0;
  for (const NodeConfig& node : cluster_.nodes) left += node.gpus;
  left = left * policy_.trial.at("share_permille") / 1000;
  for (const auto& [id, job] : jobs_)
    if (job.is_in_trial)
      for (const NodeAllocation& on_node : job.allocation) left -= static_cast<std::int64_t>(on_node.devices.size());
  std::vector<Known> placed;
  Table table = table_of_now(now_s, placed);
  const std::vector<Known> waiting = queue();
  const std::vector<Line> lines = place_all(waiting, now_s, table, placed);
  std::vector<Line> trials;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    const Known& job = waiting[i];
    if (job.was_tried || job.started_s || *lines[i].start_s < now_s + job.trial_stay_s) continue;
    for (std::int64_t gpus = std::min(job.trial_gpus, left); gpus > 0; --gpus) {
      const Known trial = as_trial(job, gpus);
      const auto allocation = fits(trial, 0, trial.stay_s, table, placed);
      if (!allocation) continue;
      put(trial, *allocation, 0, trial.stay_s, table, placed);
      trials.push_back({job.id, now_s, *allocation});
      left -= gpus;
      break;
    }
  }
  return trials;
}

}  // namespace ultramarine::core::reference
