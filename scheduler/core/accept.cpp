// See accept.h. The checks go through the fields in the order in which people write them; the first that fails is the answer.
#include "scheduler/core/accept.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "scheduler/core/shape.h"

namespace ultramarine::core {
namespace {

constexpr std::int64_t gpus_asked_max = 1'000'000;        // more is a slip of the keyboard, and keeps products far from overflow
constexpr Duration time_limit_max{3650LL * 86'400'000};   // whatever the partition says: keeps sums of times far from overflow
constexpr Duration stop_grace_max{86'400'000};
constexpr std::size_t name_bytes_max = 200;

using Problem = std::optional<Refusal>;

Refusal refuse(std::string field, std::string problem, std::string remedy) {
  return {std::move(field), std::move(problem), std::move(remedy), false};
}
Refusal can_never(std::string field, std::string problem, std::string remedy) {
  return {std::move(field), std::move(problem), std::move(remedy), true};
}

std::string counted(std::int64_t count, const std::string& noun) { return std::to_string(count) + " " + noun + (count == 1 ? "" : "s"); }

/// In the largest unit that divides it, as people type it: 90m, 2h, 7d.
std::string in_words(Duration length) {
  constexpr std::pair<std::int64_t, const char*> units[] = {{86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}};
  for (const auto& [unit_ms, name] : units)
    if (length.ms != 0 && length.ms % unit_ms == 0) return std::to_string(length.ms / unit_ms) + name;
  return std::to_string(length.ms) + "ms";
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

/// Insertions, deletions and replacements that turn one word into the other (Levenshtein 1966).
std::size_t distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row.back();
}

/// The known name that was probably meant, or all of them.
std::string name_remedy(std::string_view asked, const std::vector<std::string>& known) {
  if (known.empty()) return "there is none; ask the cluster's admin";
  const std::string asked_short(asked.substr(0, name_bytes_max));
  const std::string* nearest = &known.front();
  for (const std::string& name : known)
    if (distance(asked_short, name) < distance(asked_short, *nearest)) nearest = &name;
  if (distance(asked_short, *nearest) <= std::max<std::size_t>(1, nearest->size() / 3)) return "did you mean " + *nearest + "?";
  std::string list;
  for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
  return "use one of: " + list;
}

template <class Named>
std::vector<std::string> names_of(const std::vector<Named>& values) {
  std::vector<std::string> names;
  for (const Named& value : values) names.push_back(value.name);
  return names;
}

std::string quoted(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, 60)) shown += has_control_characters({&c, 1}) ? '?' : c;
  return "\"" + shown + (text.size() > 60 ? "...\"" : "\"");
}

Problem check_command(JobSpec& spec) {
  if (spec.command.empty() || spec.command.front().empty()) return refuse("command", "no command", "give the program to run after --");
  for (const std::string& argument : spec.command)
    if (argument.find('\0') != std::string::npos) return refuse("command", "an argument has a zero byte in it", "take it out");
  if (spec.working_directory.empty() || spec.working_directory.front() != '/')
    return refuse("working_directory", quoted(spec.working_directory) + " is not an absolute path", "give a path that starts with /");
  if (spec.working_directory.find('\0') != std::string::npos)
    return refuse("working_directory", "it has a zero byte in it", "take it out");
  return std::nullopt;
}

Problem check_name(JobSpec& spec) {
  if (spec.name.empty()) {
    const std::string& program = spec.command.front();
    spec.name = program.substr(program.find_last_of('/') + 1).substr(0, name_bytes_max);
    if (spec.name.empty()) spec.name = "job";
    for (char& c : spec.name)
      if (has_control_characters({&c, 1})) c = '?';
  }
  if (spec.name.size() > name_bytes_max)
    return refuse("name", "it has " + counted(static_cast<std::int64_t>(spec.name.size()), "byte"), "use at most " + std::to_string(name_bytes_max));
  if (has_control_characters(spec.name)) return refuse("name", "it has control characters in it", "use printable characters");
  return std::nullopt;
}

bool lists(const AccountConfig& account, std::string_view member) {
  return std::find(account.members.begin(), account.members.end(), member) != account.members.end();
}

bool is_member(const AccountConfig& account, const Actor& actor) { return lists(account, actor.name) || lists(account, "*"); }

/// The first account that lists the user by name, else the first that is open to everybody.
const AccountConfig* default_account(const ClusterConfig& cluster, const Actor& actor) {
  for (const AccountConfig& account : cluster.accounts)
    if (lists(account, actor.name)) return &account;
  for (const AccountConfig& account : cluster.accounts)
    if (lists(account, "*")) return &account;
  return nullptr;
}

Problem check_account(const ClusterConfig& cluster, const PartitionConfig& partition, JobSpec& spec, const Actor& actor) {
  if (spec.account.empty()) {
    const AccountConfig* account = default_account(cluster, actor);
    if (!account) return refuse("account", "no account has " + quoted(actor.name) + " as a member", "ask the cluster's admin to add you to one");
    spec.account = account->name;
  } else {
    const auto account = std::find_if(cluster.accounts.begin(), cluster.accounts.end(),
                                      [&](const AccountConfig& a) { return a.name == spec.account; });
    if (account == cluster.accounts.end())
      return refuse("account", "no account " + quoted(spec.account), name_remedy(spec.account, names_of(cluster.accounts)));
    if (!is_member(*account, actor)) {
      const AccountConfig* own = default_account(cluster, actor);
      return refuse("account", quoted(actor.name) + " is not a member of " + spec.account,
                    own ? "use your account " + own->name + ", or ask the admin to add you" : "ask the cluster's admin to add you");
    }
  }
  const auto& allowed = partition.accounts;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), spec.account) == allowed.end())
    return refuse("account", "partition " + partition.name + " is not open to account " + spec.account,
                  "use another partition, or one of its accounts: " +
                      std::accumulate(std::next(allowed.begin()), allowed.end(), allowed.front(),
                                      [](const std::string& list, const std::string& name) { return list + ", " + name; }));
  return std::nullopt;
}

Problem check_qos(const ClusterConfig& cluster, JobSpec& spec) {
  if (spec.qos.empty()) spec.qos = "normal";
  const std::vector<std::string> known = names_of(cluster.qos);
  if (spec.qos == "normal" || std::find(known.begin(), known.end(), spec.qos) != known.end()) return std::nullopt;
  return refuse("qos", "no QOS " + quoted(spec.qos), name_remedy(spec.qos, known));
}

/// Signs, sizes and which fields go together; says nothing of the cluster.
Problem check_form(const Resources& resources) {
  const auto [gpus, nodes, gpus_per_node] = resources;
  const std::pair<const char*, std::int64_t> fields[] = {{"resources.gpus", gpus}, {"resources.nodes", nodes}, {"resources.gpus_per_node", gpus_per_node}};
  for (const auto& [field, value] : fields) {
    if (value < 0) return refuse(field, std::to_string(value) + " is negative", "ask for at least 1");
    if (value > gpus_asked_max) return refuse(field, std::to_string(value) + " is absurd", "ask for at most " + std::to_string(gpus_asked_max));
  }
  if (gpus > 0 && (nodes > 0 || gpus_per_node > 0))
    return refuse("resources.gpus", "a total and a shape (nodes, gpus_per_node) can't both be given", "give gpus alone, or nodes and gpus_per_node");
  if (gpus > 0) return std::nullopt;
  if (nodes == 0 && gpus_per_node == 0) return refuse("resources.gpus", "0 GPUs asked", "ask for at least 1");
  if (gpus_per_node == 0) return refuse("resources.gpus_per_node", "nodes without gpus_per_node", "say how many GPUs of each node");
  if (nodes == 0) return refuse("resources.nodes", "gpus_per_node without nodes", "say how many nodes");
  return std::nullopt;
}

Problem check_times(const PartitionConfig& partition, JobSpec& spec) {
  const Duration longest = std::min(partition.max_time_ms, time_limit_max);
  if (spec.time_limit_ms.ms == 0) spec.time_limit_ms = std::min(partition.default_time_ms, longest);
  if (spec.time_limit_ms.ms <= 0) return refuse("time_limit_ms", in_words(spec.time_limit_ms) + " is not a length of time", "ask for at least 1s");
  if (spec.time_limit_ms > longest)
    return refuse("time_limit_ms", in_words(spec.time_limit_ms) + " asked, partition " + partition.name + " allows " + in_words(longest),
                  "ask for at most " + in_words(longest));
  if (spec.stop_grace_ms.ms < 0 || spec.stop_grace_ms > stop_grace_max)
    return refuse("stop_grace_ms", in_words(spec.stop_grace_ms) + " is out of range", "use 0s to " + in_words(stop_grace_max));
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> impossible_resources(const ClusterConfig& cluster, const PartitionConfig& partition, const Resources& resources) {
  std::vector<std::int64_t> devices;
  for (const NodeConfig* node : nodes_of(cluster, partition)) devices.push_back(node->gpus);
  const std::int64_t total = std::accumulate(devices.begin(), devices.end(), std::int64_t{0});
  const std::int64_t largest = devices.empty() ? 0 : *std::max_element(devices.begin(), devices.end());
  const Shape shape = shape_of(resources, largest);
  if (fits(shape, devices)) return std::nullopt;

  const std::string where = "partition " + partition.name;
  if (total == 0) return can_never("partition", where + " has no GPUs", "use another partition");
  if (resources.gpus > 0) {
    if (resources.gpus > total)
      return can_never("resources.gpus", counted(resources.gpus, "GPU") + " asked, " + where + " has " + std::to_string(total),
                       "ask for at most " + std::to_string(total));
    // Nodes of different sizes: the total is there, but not as whole large nodes. What does fit below it?
    std::int64_t possible = resources.gpus - 1;
    while (!fits(shape_of({.gpus = possible}, largest), devices)) --possible;  // 1 always fits
    return can_never("resources.gpus", counted(resources.gpus, "GPU") + " asked as whole nodes of " + std::to_string(largest) + ", " + where + " has too few of them",
                     "ask for at most " + std::to_string(possible) + ", or give nodes and gpus_per_node");
  }
  if (resources.gpus_per_node > largest)
    return can_never("resources.gpus_per_node",
                     counted(resources.gpus_per_node, "GPU") + " per node asked, the largest node of " + where + " has " + std::to_string(largest),
                     "ask for at most " + std::to_string(largest) + " per node");
  const auto large_enough = std::count_if(devices.begin(), devices.end(), [&](std::int64_t count) { return count >= resources.gpus_per_node; });
  return can_never("resources.nodes",
                   counted(resources.nodes, "node") + " of " + counted(resources.gpus_per_node, "GPU") + " asked, " + where + " has " + std::to_string(large_enough),
                   "ask for at most " + counted(large_enough, "node"));
}

std::variant<JobSpec, Refusal> accept_request(const ClusterConfig& cluster, JobSpec spec, const Actor& actor) {
  if (const auto problem = check_command(spec)) return *problem;
  if (const auto problem = check_name(spec)) return *problem;
  if (spec.partition.empty() && !cluster.partitions.empty()) spec.partition = cluster.partitions.front().name;
  const PartitionConfig* partition = find_partition(cluster, spec.partition);
  if (!partition) return refuse("partition", "no partition " + quoted(spec.partition), name_remedy(spec.partition, names_of(cluster.partitions)));
  if (const auto problem = check_account(cluster, *partition, spec, actor)) return *problem;
  if (const auto problem = check_qos(cluster, spec)) return *problem;
  if (const auto problem = check_form(spec.resources)) return *problem;
  if (const auto problem = impossible_resources(cluster, *partition, spec.resources)) return *problem;
  if (const auto problem = check_times(*partition, spec)) return *problem;
  return spec;
}

}  // namespace ultramarine::core
