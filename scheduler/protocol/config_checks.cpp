// The checks of cluster and policy files, section by section.
#include "scheduler/protocol/config_checks.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <set>

#include "scheduler/model/priority.h"
#include "scheduler/protocol/embedded_configs.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::protocol {
namespace {

constexpr std::size_t nodes_max = 4096;
constexpr std::int64_t gpus_max = 1024;

std::string at(const std::string& list, std::size_t index) { return list + "[" + std::to_string(index) + "]"; }

std::string in_quotes(std::string_view word) { return "\"" + std::string(word) + "\""; }

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

/// "did you mean ...?", or the words themselves when there are few, or `otherwise`.
std::string suggestion(std::string_view word, const std::vector<std::string>& known, const std::string& otherwise) {
  const std::string near = nearest_word(word, known);
  if (!near.empty()) return "did you mean " + in_quotes(near) + "?";
  return !known.empty() && known.size() <= 8 ? "known: " + joined(known) : otherwise;
}

bool is_name(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= 64 && text.front() != '-' && text.front() != '.' && std::all_of(text.begin(), text.end(), allowed);
}

void check_name(const std::string& name, const std::string& path, const TomlReader& reader) {
  if (name.empty()) reader.fail(path, "a name is missing", "add name = \"...\"");
  if (!is_name(name)) {
    reader.fail(path, in_quotes(name) + " is no name", "use at most 64 letters, digits, '.', '_' and '-', a letter, a digit or '_' first");
  }
}

void check_known(const std::string& word, const std::vector<std::string>& known, const char* noun, const std::string& path,
                 const TomlReader& reader, const std::string& otherwise) {
  if (std::find(known.begin(), known.end(), word) == known.end()) {
    reader.fail(path, "there is no " + std::string(noun) + " " + in_quotes(word), suggestion(word, known, otherwise));
  }
}

void check_range(std::int64_t value, std::int64_t least, std::int64_t most, const std::string& path, const TomlReader& reader) {
  if (value < least || value > most) {
    reader.fail(path, std::to_string(value) + " is out of range", "use " + std::to_string(least) + " to " + std::to_string(most));
  }
}

void check_not_negative(std::int64_t value, const std::string& path, const TomlReader& reader) {
  if (value < 0) reader.fail(path, std::to_string(value) + " is negative", "use 0 or more");
}

void check_positive(Duration length, const std::string& path, const TomlReader& reader) {
  if (length.ms <= 0) reader.fail(path, "must be longer than nothing", "write it like \"1h\"");
}

void check_limits(const Limits& limits, const std::string& path, const TomlReader& reader) {
  if (limits.gpus) check_not_negative(*limits.gpus, path + ".gpus", reader);
  if (limits.gpus_soft) check_not_negative(*limits.gpus_soft, path + ".gpus_soft", reader);
  if (limits.gpus_floor) check_not_negative(*limits.gpus_floor, path + ".gpus_floor", reader);
  if (limits.jobs) check_not_negative(*limits.jobs, path + ".jobs", reader);
  if (limits.gpus_per_job) check_not_negative(*limits.gpus_per_job, path + ".gpus_per_job", reader);
  if (limits.gpu_hours_per_month) check_not_negative(*limits.gpu_hours_per_month, path + ".gpu_hours_per_month", reader);
  if (limits.max_time_ms) check_positive(*limits.max_time_ms, path + ".max_time_ms", reader);
  for (const auto& [field, value] : {std::pair{"gpus_soft", limits.gpus_soft}, std::pair{"gpus_floor", limits.gpus_floor}})
    if (value && limits.gpus && *value > *limits.gpus)
      reader.fail(path + "." + field, std::to_string(*value) + " is more than the " + std::to_string(*limits.gpus) + " of gpus, beyond which nothing runs",
                  "lower it, or raise gpus");
}

/// Of a section whose limits are for all together and for each user.
template <class Section>
void check_both_limits(const Section& section, const std::string& path, const TomlReader& reader) {
  check_limits(section.limits, path + ".limits", reader);
  check_limits(section.user_limits, path + ".user_limits", reader);
}

/// Names of a list of sections, each valid and only once.
template <class Section>
std::vector<std::string> unique_names(const std::vector<Section>& sections, const std::string& list, const TomlReader& reader) {
  std::vector<std::string> names;
  std::map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const std::string path = at(list, i) + ".name";
    check_name(sections[i].name, path, reader);
    const auto [first, is_new] = seen.try_emplace(sections[i].name, i);
    if (!is_new) {
      reader.fail(path, in_quotes(sections[i].name) + " is declared twice", "the first is on " + reader.line_text(at(list, first->second) + ".name"));
    }
    names.push_back(sections[i].name);
  }
  return names;
}

std::vector<NodeConfig> expanded_nodes(const ClusterLayout& layout, const TomlReader& reader) {
  if (layout.node.empty()) reader.fail("node", "the cluster has no nodes", "add [[node]] with name = \"node[01-08]\" and gpus = 8");
  std::vector<NodeConfig> nodes;
  std::map<std::string, std::size_t> declared;
  for (std::size_t i = 0; i < layout.node.size(); ++i) {
    const NodeConfig& section = layout.node[i];
    const std::string path = at("node", i);
    if (section.name.empty()) reader.fail(path + ".name", "a name is missing", "add name = \"node[01-08]\"");
    const auto names = expand_hostlist(section.name);
    if (!names) reader.fail(path + ".name", in_quotes(section.name) + " is no hostlist", "write it like \"node[01-08]\" or \"a,b\"");
    if (nodes.size() + names->size() > nodes_max) {
      reader.fail(path + ".name", "the cluster has more than " + std::to_string(nodes_max) + " nodes", "declare fewer");
    }
    check_range(section.gpus, 1, gpus_max, path + ".gpus", reader);
    check_not_negative(section.cpus, path + ".cpus", reader);
    check_not_negative(section.memory_bytes, path + ".memory_bytes", reader);
    // An IPv6 address has colons, which no hostlist has: it is one address.
    std::vector<std::string> addresses{section.address};
    if (!section.address.empty() && section.address.find(':') == std::string::npos) {
      const auto expanded = expand_hostlist(section.address);
      if (!expanded) reader.fail(path + ".address", in_quotes(section.address) + " is no address", "write it like \"10.0.0.[1-8]\"");
      addresses = *expanded;
    }
    if (addresses.size() != 1 && addresses.size() != names->size()) {
      reader.fail(path + ".address", std::to_string(addresses.size()) + " addresses for " + std::to_string(names->size()) + " nodes",
                  "give one for all or one for each");
    }
    for (std::size_t k = 0; k < names->size(); ++k) {
      NodeConfig node = section;
      node.name = (*names)[k];
      node.address = addresses[addresses.size() == 1 ? 0 : k];
      check_name(node.name, path + ".name", reader);
      const auto [first, is_new] = declared.try_emplace(node.name, i);
      if (!is_new) {
        reader.fail(path + ".name", "node " + in_quotes(node.name) + " is declared twice",
                    "the first is on " + reader.line_text(at("node", first->second) + ".name"));
      }
      nodes.push_back(std::move(node));
    }
  }
  return nodes;
}

std::vector<PartitionConfig> checked_partitions(const ClusterLayout& layout, const std::vector<std::string>& node_names,
                                                const std::vector<std::string>& account_names, const TomlReader& reader) {
  std::vector<PartitionConfig> partitions = layout.partition;
  unique_names(partitions, "partition", reader);
  if (partitions.empty()) partitions.push_back({.name = "main"});
  const std::set<std::string> known(node_names.begin(), node_names.end());
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    PartitionConfig& partition = partitions[i];
    const std::string path = at("partition", i);
    std::vector<std::string> names;
    std::set<std::string> seen;
    for (std::size_t k = 0; k < partition.nodes.size(); ++k) {
      const std::string nodes_path = at(path + ".nodes", k);
      const auto expanded = expand_hostlist(partition.nodes[k]);
      if (!expanded) {
        reader.fail(nodes_path, in_quotes(partition.nodes[k]) + " is no hostlist", "write it like \"node[01-08]\"; left out, all nodes");
      }
      for (const auto& name : *expanded) {
        if (!known.contains(name)) {
          reader.fail(nodes_path, "there is no node " + in_quotes(name), suggestion(name, node_names, "declare it with [[node]]"));
        }
        if (!seen.insert(name).second) reader.fail(nodes_path, "node " + in_quotes(name) + " is named twice", "name it once");
        names.push_back(name);
      }
    }
    partition.nodes = names.empty() ? node_names : std::move(names);
    check_both_limits(partition, path, reader);
    check_positive(partition.default_time_ms, path + ".default_time_ms", reader);
    check_positive(partition.max_time_ms, path + ".max_time_ms", reader);
    if (partition.default_time_ms > partition.max_time_ms) {
      reader.fail(path + ".default_time_ms", "default_time " + format_duration(partition.default_time_ms) + " is longer than max_time " +
                                                 format_duration(partition.max_time_ms),
                  "lower default_time or raise max_time");
    }
    for (std::size_t k = 0; k < partition.accounts.size(); ++k) {
      check_known(partition.accounts[k], account_names, "account", at(path + ".accounts", k), reader, "declare it with [[account]]");
    }
  }
  return partitions;
}

std::vector<AccountConfig> checked_accounts(const ClusterLayout& layout, const TomlReader& reader) {
  const auto& accounts = layout.account;
  const std::vector<std::string> names = unique_names(accounts, "account", reader);
  if (accounts.empty()) return {{.name = "default", .members = {"*"}}};
  std::map<std::string, std::string> parents;
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    const std::string path = at("account", i);
    check_range(accounts[i].shares, 1, 1'000'000, path + ".shares", reader);
    check_both_limits(accounts[i], path, reader);
    for (std::size_t k = 0; k < accounts[i].members.size(); ++k) {
      const std::string& member = accounts[i].members[k];
      if (member.empty() || member == "@") reader.fail(at(path + ".members", k), "a member has no name", "write a user, \"@group\" or \"*\"");
    }
    if (accounts[i].parent.empty()) continue;
    check_known(accounts[i].parent, names, "account", path + ".parent", reader, "declare it with [[account]]");
    parents[accounts[i].name] = accounts[i].parent;
  }
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    std::string way = accounts[i].name;
    std::set<std::string> passed{accounts[i].name};
    for (auto next = parents.find(accounts[i].name); next != parents.end(); next = parents.find(next->second)) {
      way += " -> " + next->second;
      if (next->second == accounts[i].name) {
        reader.fail(at("account", i) + ".parent", "accounts are their own ancestors: " + way, "break the circle");
      }
      if (!passed.insert(next->second).second) break;  // a circle further up, reported at its own members
    }
  }
  return accounts;
}

std::vector<QosConfig> checked_qos(const ClusterLayout& layout, const TomlReader& reader) {
  std::vector<QosConfig> qos = layout.qos;
  const std::vector<std::string> names = unique_names(qos, "qos", reader);
  for (std::size_t i = 0; i < qos.size(); ++i) {
    check_not_negative(qos[i].usage_factor_permille, at("qos", i) + ".usage_factor_permille", reader);
    check_range(qos[i].priority, -1'000'000'000, 1'000'000'000, at("qos", i) + ".priority", reader);
    check_both_limits(qos[i], at("qos", i), reader);
  }
  if (std::find(names.begin(), names.end(), "normal") == names.end()) qos.push_back({.name = "normal"});
  return qos;
}

void check_fabric(const FabricConfig& fabric, const TomlReader& reader) {
  for (const auto& [name, value] : fabric.environment) {
    const bool starts_well = !name.empty() && !(name.front() >= '0' && name.front() <= '9');
    const bool is_variable = starts_well && name.find_first_of("=.- \t\n") == std::string::npos;
    if (!is_variable || value.find('\0') != std::string::npos || name.find('\0') != std::string::npos) {
      reader.fail("fabric.environment." + name, in_quotes(name) + " can't be a variable of the environment", "use letters, digits and '_'");
    }
  }
}

/// Thousandths as a file has them: 2350 is 2.35.
std::string decimal(std::int64_t thousandths) {
  std::string text = std::to_string(std::abs(thousandths) / 1000), rest = std::to_string(1000 + std::abs(thousandths) % 1000).substr(1);
  while (rest.ends_with('0')) rest.pop_back();
  if (!rest.empty()) text += "." + rest;
  return thousandths < 0 ? "-" + text : text;
}

void check_money(const MoneyConfig& money, const TomlReader& reader) {
  bool has_amount = false;
  boost::mp11::mp_for_each<detail::members<MoneyConfig>>([&](auto member) {
    if constexpr (std::is_same_v<std::decay_t<decltype(money.*member.pointer)>, std::int64_t>) {
      const std::int64_t amount = money.*member.pointer;
      const bool is_amount = file_word(member.name).form == Form::milli;
      if (is_amount && amount < 0) reader.fail(std::string("money.") + member.name, decimal(amount) + " is negative", "use 0 or more");
      has_amount = has_amount || (is_amount && amount > 0);
    }
  });
  check_range(money.lifetime_years, 0, 100, "money.lifetime_years", reader);
  const std::string_view bad = " ,;\"\\\t\r\n";
  if (money.currency.size() > 16 || money.currency.find_first_of(bad) != std::string::npos)
    reader.fail("money.currency", in_quotes(money.currency) + " is no currency", "write it like \"EUR\"");
  if (has_amount && money.currency.empty()) reader.fail("money", "amounts without a currency", "add currency = \"EUR\"");
  if (money.capital_cost_milli > 0 && money.lifetime_years == 0)
    reader.fail("money.capital_cost_milli", "over how many years " + decimal(money.capital_cost_milli) + " is spread isn't said", "add lifetime_years = 4");
  if (money.lifetime_years > 0 && money.capital_cost_milli == 0)
    reader.fail("money.lifetime_years", "there is no capital_cost that is spread over it", "add capital_cost, or leave lifetime_years out");
}

void check_timeouts(const TimeoutsConfig& timeouts, const TomlReader& reader) {
  boost::mp11::mp_for_each<detail::members<TimeoutsConfig>>([&](auto member) {
    const Duration value = timeouts.*member.pointer;
    if (value < Duration{100} || value > hours(24)) reader.fail(std::string("timeouts.") + member.name, format_duration(value) + " is out of range", "use 100ms to 1d");
  });
  const auto check_order = [&](Duration shorter, const char* name, Duration longer, const char* longer_name, const std::string& remedy) {
    if (longer <= shorter)
      reader.fail("timeouts." + std::string(longer_name) + "_ms", std::string(longer_name) + " " + format_duration(longer) + " is not longer than " + name + " (" + format_duration(shorter) + ")", remedy);
  };
  check_order(timeouts.heartbeat_ms, "heartbeat", timeouts.suspect_ms, "suspect", "give agents time for several words, such as five times heartbeat");
  check_order(timeouts.suspect_ms, "suspect", timeouts.unreachable_ms, "unreachable", "raise it, or lower suspect");
  if (timeouts.self_stop_ms < timeouts.suspect_ms)
    reader.fail("timeouts.self_stop_ms", "self_stop " + format_duration(timeouts.self_stop_ms) + " is shorter than suspect (" + format_duration(timeouts.suspect_ms) + ")",
                "raise it: a short silence ends nothing");
  // It is pinged after half of that, and both ways take their time.
  check_order(timeouts.heartbeat_ms, "heartbeat", timeouts.line_silence_ms, "line_silence", "raise it: a healthy line is never cut");
  constexpr Duration two_words = seconds(2);  // agents say once a second how far ranks are
  if (timeouts.progress_patience_ms < two_words)
    reader.fail("timeouts.progress_patience_ms", "progress_patience " + format_duration(timeouts.progress_patience_ms) + " is too short: agents say once a second how far ranks are",
                "use " + format_duration(two_words) + " or more");
  if (timeouts.restart_delay_max_ms < timeouts.restart_delay_ms)
    reader.fail("timeouts.restart_delay_max_ms", "restart_delay_max " + format_duration(timeouts.restart_delay_max_ms) + " is shorter than restart_delay (" +
                    format_duration(timeouts.restart_delay_ms) + ")", "raise it, or lower restart_delay");
}

/// What the site's scripts may take ahead of a launch: the epilog of whoever had the devices, and the launch's own
/// prolog. Each is given up a moment after its deadline.
Duration scripts_before_a_launch(const AgentSection& agent) {
  constexpr Duration moment = seconds(2);
  const Duration each = agent.script_deadline_ms + moment;
  return Duration{(agent.prolog.empty() ? 0 : each.ms) + (agent.epilog.empty() ? 0 : each.ms)};
}

/// A script that is slow and succeeds is nobody's failure: `launch` is longer by what they may take, unless the file
/// says how long it is.
void make_room_for_scripts(TimeoutsConfig& timeouts, const AgentSection& agent, const TomlReader& reader) {
  const Duration scripts = scripts_before_a_launch(agent);
  if (scripts.ms == 0) return;
  constexpr Duration at_least = seconds(5);  // for the launch itself
  if (!reader.has("timeouts.launch_ms"))
    timeouts.launch_ms = timeouts.launch_ms + scripts;
  else if (timeouts.launch_ms < scripts + at_least)
    reader.fail("timeouts.launch_ms",
                "launch " + format_duration(timeouts.launch_ms) +
                    " is less than what prolog and epilog may take before a job starts (" + format_duration(scripts) +
                    ")",
                "write launch = \"" + std::to_string((scripts + at_least).ms / 1000 + 1) +
                    "s\" or more, leave it out, or lower [agent] script_deadline");
}

template <class Section>
std::vector<std::string> names_of(const std::vector<Section>& sections) {
  std::vector<std::string> names;
  for (const auto& section : sections) names.push_back(section.name);
  return names;
}

void check_aliases(const ClusterConfig& cluster, const TomlReader& reader) {
  std::set<std::string> types, features{""};
  std::vector<std::string> nodes{""};  // "" = leave it out
  for (const auto& node : cluster.nodes) {
    types.insert(node.gpu_type);
    features.insert(node.features.begin(), node.features.end());
    nodes.push_back(node.name);
  }
  const auto check = [&](const char* list, const char* noun, const std::map<std::string, std::string>& aliases,
                         const std::vector<std::string>& known) {
    for (const auto& [alias, ours] : aliases) {
      check_known(ours, known, noun, std::string("names.") + list + "." + alias, reader, "name one of this file");
    }
  };
  check("partitions", "partition", cluster.names.partitions, names_of(cluster.partitions));
  check("accounts", "account", cluster.names.accounts, names_of(cluster.accounts));
  std::vector<std::string> levels = names_of(cluster.qos);
  levels.emplace_back("normal");  // exists in any case
  check("qos", "QOS", cluster.names.qos, levels);
  check("gpu_types", "GPU type", cluster.names.gpu_types, {types.begin(), types.end()});
  check("features", "feature", cluster.names.features, {features.begin(), features.end()});
  check("nodes", "node", cluster.names.nodes, nodes);
}

void check_roles(const RolesConfig& roles, const TomlReader& reader) {
  boost::mp11::mp_for_each<detail::members<RolesConfig>>([&](auto member) {
    const auto& people = roles.*member.pointer;
    for (std::size_t i = 0; i < people.size(); ++i) {
      if (people[i].empty() || people[i] == "@") {
        reader.fail(at(std::string("roles.") + member.name, i), "somebody has no name", "write a user or \"@group\"");
      }
    }
  });
}

/// `host:port`, `[IPv6]:port`. Whether the host exists is the network's business.
bool is_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  if (host.starts_with('[') != host.ends_with(']')) return false;
  if (host.starts_with('[')) {
    host = host.substr(1, host.size() - 2);
    if (host.find_first_not_of("0123456789abcdefABCDEF:.%") != std::string_view::npos || host.find(':') == std::string_view::npos) return false;
  } else if (!is_name(host)) {
    return false;
  }
  std::int64_t number = -1;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return !port.empty() && port.front() != '-' && error == std::errc() && end == port.data() + port.size() && number <= 65'535;
}

void check_endpoint(const std::string& text, bool may_be_absent, const std::string& path, const TomlReader& reader) {
  if (may_be_absent && text.empty()) return;
  if (!is_endpoint(text)) reader.fail(path, in_quotes(text) + " is no address", "write host:port, like \"127.0.0.1:8642\"");
}

}  // namespace

ClusterConfig checked_cluster(const ClusterLayout& layout, const TomlReader& reader) {
  ClusterConfig cluster;
  check_name(layout.name, "name", reader);
  cluster.name = layout.name;
  constexpr const char* zone_characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/";
  const bool is_zone = !layout.time_zone.empty() && layout.time_zone.find_first_not_of(zone_characters) == std::string::npos;
  if (!is_zone) reader.fail("time_zone", in_quotes(layout.time_zone) + " is no time zone", "write it like \"UTC\" or \"Europe/Berlin\"");
  cluster.time_zone = layout.time_zone;
  cluster.nodes = expanded_nodes(layout, reader);
  cluster.accounts = checked_accounts(layout, reader);
  cluster.partitions = checked_partitions(layout, names_of(cluster.nodes), names_of(cluster.accounts), reader);
  cluster.qos = checked_qos(layout, reader);
  check_roles(layout.roles, reader);
  cluster.roles = layout.roles;
  cluster.names = layout.names;
  check_aliases(cluster, reader);
  check_fabric(layout.fabric, reader);
  cluster.fabric = layout.fabric;
  check_range(layout.hang.after_ms.ms, 100, 86'400'000, "hang.after_ms", reader);
  check_range(layout.hang.steps, 1, 1000, "hang.steps", reader);
  cluster.hang = layout.hang;
  check_money(layout.money, reader);
  cluster.money = layout.money;
  check_timeouts(layout.timeouts, reader);
  cluster.timeouts = layout.timeouts;
  make_room_for_scripts(cluster.timeouts, layout.agent, reader);
  return cluster;
}

void check_daemon_sections(const ClusterLayout& layout, const TomlReader& reader) {
  check_endpoint(layout.scheduler.http, true, "scheduler.http", reader);
  check_endpoint(layout.scheduler.agents, false, "scheduler.agents", reader);
  check_endpoint(layout.agent.scheduler, true, "agent.scheduler", reader);
  check_endpoint(layout.agent.metrics, true, "agent.metrics", reader);
  check_known(layout.agent.containment, {"auto", "cgroup_v1", "cgroup_v2", "process_groups"}, "kind of containment", "agent.containment", reader,
              "auto takes the best that the node has");
  for (const auto& [type, peak] : layout.metrics.peak_tflops) check_range(peak, 1, 1'000'000, "metrics.peak_tflops." + type, reader);
  check_not_negative(layout.agent.processes_max, "agent.processes_max", reader);
  check_range(layout.agent.minimum_uid, 1, 4'000'000'000, "agent.minimum_uid", reader);
  check_range(layout.agent.script_deadline_ms.ms, 100, 50'000, "agent.script_deadline_ms", reader);
  check_range(layout.agent.health_interval_ms.ms, 100, 86'400'000, "agent.health_interval_ms", reader);
  check_range(layout.agent.device_release_ms.ms, 100, 600'000, "agent.device_release_ms", reader);
  check_not_negative(layout.agent.device_tolerance_bytes, "agent.device_tolerance_bytes", reader);
  for (const auto& [path, program] : {std::pair{"agent.prolog", layout.agent.prolog}, {"agent.epilog", layout.agent.epilog}, {"agent.health_check", layout.agent.health_check}}) {
    if (!program.empty() && !program.starts_with('/'))
      reader.fail(path, in_quotes(program) + " is no absolute path", "write where the program lies on every node, like \"/etc/ultramarine/" + std::string(path).substr(6) + "\"");
  }
  const std::string& agents = layout.scheduler.agents;
  if (layout.agent.scheduler.empty() && (agents.starts_with("0.0.0.0:") || agents.starts_with("[::]:"))) {
    reader.fail("scheduler.agents", in_quotes(agents) + " is every address of the scheduler's machine, and agents need one of them",
                "add it to [agent], like scheduler = \"10.0.0.1:8643\"");
  }
  const std::string& policy = layout.scheduler.policy;
  if (policy.find('/') == std::string::npos && !policy.ends_with(".toml")) {
    check_known(policy, embedded_policies(), "policy", "scheduler.policy", reader, "write a policy's name or the path of its file");
  }
}

void check_policy(const PolicyConfig& policy, const TomlReader& reader) {
  const auto one_of = [&](const std::string& word, const char* field, const std::vector<std::string>& known) {
    if (std::find(known.begin(), known.end(), word) != known.end()) return;
    reader.fail(field, "unknown word " + in_quotes(word), suggestion(word, known, ""));
  };
  check_name(policy.name, "name", reader);
  one_of(policy.order, "order", {"submit_time", "multifactor", "shortest", "least_remaining", "least_remaining_gpu_time", "least_attained"});
  one_of(policy.backfill, "backfill", {"conservative", "none", "skip", "easy", "easy_sjf"});
  one_of(policy.placement, "placement", {"best_fit", "pack"});
  one_of(policy.preemption, "preemption", {"none", "by_order"});
  for (std::size_t level = 0; level < policy.thresholds_gpu_s.size(); ++level) {
    const std::string path = "thresholds_gpu_s[" + std::to_string(level) + "]";
    check_range(policy.thresholds_gpu_s[level], 1, 1'000'000'000'000, path, reader);
    if (level > 0 && policy.thresholds_gpu_s[level] <= policy.thresholds_gpu_s[level - 1])
      reader.fail(path, std::to_string(policy.thresholds_gpu_s[level]) + " is not more than the one before it", "write the thresholds in ascending order");
  }
  check_not_negative(policy.launch_allowance_ms.ms, "launch_allowance_ms", reader);
  check_positive(policy.half_life_ms, "half_life_ms", reader);
  check_positive(policy.priority_interval_ms, "priority_interval_ms", reader);
  check_positive(policy.max_age_ms, "max_age_ms", reader);
  check_not_negative(policy.patience_ms.ms, "patience_ms", reader);
  if (policy.patience_ms.ms > 0 && policy.backfill != "conservative")
    reader.fail("patience_ms", "backfill \"" + policy.backfill + "\" plans no starts that could be kept clear", "leave patience out, or write backfill = \"conservative\"");
  std::vector<std::string> factors;
  boost::mp11::mp_for_each<detail::members<PriorityFactors>>([&](auto member) { factors.emplace_back(member.name); });
  for (const auto& [name, value] : policy.weights) {
    one_of(name, ("weights." + name).c_str(), factors);
    check_not_negative(value, "weights." + name, reader);
  }
  one_of(policy.size_favours, "size_favours", {"small", "large", "short", "lanes"});
  check_not_negative(policy.express_gpu_hours, "express_gpu_hours", reader);
  check_positive(policy.long_limit_ms, "long_limit_ms", reader);
  if (policy.middle_lane_permille < 0 || policy.middle_lane_permille > 1000) reader.fail("middle_lane_permille", "must be a part of one", "use 0 to 1, such as 0.45");
  for (const auto& [name, value] : policy.caps) check_not_negative(value, "caps." + name, reader);
  for (const auto& [name, value] : policy.boost_budgets) check_not_negative(value, "boost_budgets." + name, reader);
  for (const auto& [name, value] : policy.trial) {
    const std::string path = "trial." + name;
    if (name == "share_permille") check_range(value, 0, 1000, path, reader);
    else if (name == "minutes") check_range(value, 0, 1'000'000, path, reader);
    else if (name == "gpus_per_job") check_range(value, 1, 1'000'000, path, reader);
    else reader.fail(path, "unknown word " + in_quotes(name), suggestion(name, {"minutes", "gpus_per_job", "share"}, ""));
  }
  const auto minutes = policy.trial.find("minutes");
  if (minutes == policy.trial.end() || minutes->second == 0) return;
  if (policy.backfill != "conservative")
    reader.fail("trial", "backfill " + in_quotes(policy.backfill) + " plans no starts that a trial could leave alone", "leave trial out, or write backfill = \"conservative\"");
  if (policy.preemption != "none") reader.fail("trial", "with preemption " + in_quotes(policy.preemption) + " nobody's place is kept", "leave trial out, or write preemption = \"none\"");
}

}  // namespace ultramarine::protocol
