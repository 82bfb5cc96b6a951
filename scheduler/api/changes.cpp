// One walk over the described members of both configurations: whatever they come to hold is compared without being named here.
#include "scheduler/api/changes.h"

#include <boost/mp11.hpp>
#include <map>

#include "scheduler/api/job_name.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::api {

namespace {

template <class T>
using members = protocol::detail::members<T>;

/// As the files call it: max_time_ms -> max_time.
std::string word_of(std::string member) {
  for (const std::string_view unit : {"_ms", "_bytes", "_permille", "_milli"})
    if (member.ends_with(unit)) return member.substr(0, member.size() - unit.size());
  return member;
}

std::string text(const std::string& value) { return value.empty() ? "none" : value; }
std::string text(std::int64_t value) { return std::to_string(value); }
/// Thousandths, as the files have them: 2350 is 2.35.
std::string decimal(std::int64_t thousandths) {
  std::string rest = std::to_string(1000 + thousandths % 1000).substr(1);
  while (rest.ends_with('0')) rest.pop_back();
  return std::to_string(thousandths / 1000) + (rest.empty() ? "" : ".") + rest;
}
std::string text(bool value) { return value ? "true" : "false"; }
std::string text(Duration value) { return protocol::format_duration(value); }
template <class T>
  requires std::is_same_v<T, std::string> || std::is_same_v<T, std::int64_t>
std::string text(const std::vector<T>& values) {
  std::string list;
  for (const T& value : values) list += (list.empty() ? "" : ", ") + text(value);
  return text(list);
}
template <class T>
std::string text(const std::map<std::string, T>& values) {
  std::string list;
  for (const auto& [name, value] : values) list += (list.empty() ? "" : ", ") + name + " = " + text(value);
  return text(list);
}
template <class T>
std::string text(const std::optional<T>& value) {
  return value ? text(*value) : "none";
}

/// "limits.gpus 8 -> 16, max_time 1d -> 2d"; "" = nothing. Lists of named things are not looked into.
template <class T>
std::string difference(const T& before, const T& after, const std::string& prefix = "") {
  std::string list;
  boost::mp11::mp_for_each<members<T>>([&](auto member) {
    const auto& old_value = before.*member.pointer;
    const auto& new_value = after.*member.pointer;
    using Member = std::decay_t<decltype(old_value)>;
    if (old_value == new_value) return;
    if constexpr (boost::describe::has_describe_members<Member>::value && !StrongInteger<Member>) {
      list += (list.empty() ? "" : ", ") + difference(old_value, new_value, prefix + member.name + ".");
    } else if constexpr (requires { text(old_value); }) {
      const std::string name = prefix + word_of(member.name);
      // Long lists of nodes are told in short.
      if constexpr (std::is_same_v<Member, std::vector<std::string>>)
        if (name == "nodes") {
          list += (list.empty() ? "" : ", ") + name + " " + protocol::fold_hostlist(old_value) + " -> " + protocol::fold_hostlist(new_value);
          return;
        }
      const auto shown = [&](const auto& value) {
        if constexpr (std::is_same_v<Member, std::int64_t>)
          if (const std::string_view member_name = member.name; member_name.ends_with("_permille") || member_name.ends_with("_milli")) return decimal(value);
        return text(value);
      };
      list += (list.empty() ? "" : ", ") + name + " " + shown(old_value) + " -> " + shown(new_value);
    }
  });
  return list;
}

template <class Named>
const Named* find(const std::vector<Named>& all, const std::string& name) {
  for (const Named& one : all)
    if (one.name == name) return &one;
  return nullptr;
}

/// What is said of each name -> the names, so that many nodes make one line.
using Told = std::vector<std::pair<std::string, std::vector<std::string>>>;

void tell(Told& told, const std::string& name, const std::string& what) {
  for (auto& [sentence, names] : told)
    if (sentence == what) return names.push_back(name);
  told.push_back({what, {name}});
}

/// What is new, gone or different in a list of named things. `gone`, `fresh`: what else to say of such a one.
template <class Named, class Gone, class Fresh>
void compare(const std::string& noun, const std::vector<Named>& before, const std::vector<Named>& after, const Gone& gone, const Fresh& fresh,
             std::vector<std::string>& lines) {
  Told told;
  for (const Named& one : before)
    if (!find(after, one.name)) tell(told, one.name, "gone" + gone(one.name));
  for (const Named& one : after) {
    const Named* old_one = find(before, one.name);
    if (!old_one) tell(told, one.name, "new" + fresh(one.name));
    else if (!(*old_one == one)) tell(told, one.name, difference(*old_one, one));
  }
  for (const auto& [what, names] : told) lines.push_back(noun + " " + protocol::fold_hostlist(names) + ": " + what);
}

std::string jobs_in_words(std::int64_t count, const char* adjective) { return count == 1 ? "1 " + std::string(adjective) + "job" : std::to_string(count) + " " + adjective + "jobs"; }

}  // namespace

std::vector<std::string> changes(const State& before, const ClusterConfig& cluster, const PolicyConfig& policy) {
  std::vector<std::string> lines;
  const auto nothing = [](const std::string&) { return std::string(); };
  const auto running_on = [&](const std::string& name) {
    std::string jobs;
    for (const auto& [id, job] : before.jobs) {
      const Attempt* open = core::open_attempt(job);
      if (!open) continue;
      for (const NodeAllocation& part : open->allocation)
        if (part.node == name) jobs += (jobs.empty() ? "" : ", ") + text_of(job);
    }
    return jobs.empty() ? "" : "; what runs there runs on to its end: " + jobs;
  };
  const auto held_by = [&](const std::string& partition) {
    std::int64_t count = 0;
    for (const auto& [id, job] : before.jobs) count += job.state == JobState::queued && job.spec.partition == partition;
    return count == 0 ? "" : "; " + jobs_in_words(count, "waiting ") + (count == 1 ? " is" : " are") + " held until it is back";
  };
  const auto let_go_by = [&](const std::string& partition) {
    std::int64_t count = 0;
    for (const auto& [id, job] : before.jobs) count += job.hold && job.hold->kind == HoldKind::configuration && job.spec.partition == partition;
    return count == 0 ? "" : "; " + jobs_in_words(count, "held ") + (count == 1 ? " queues" : " queue") + " again";
  };
  compare("node", before.cluster.nodes, cluster.nodes, running_on,
          [](const std::string&) { return std::string("; it takes jobs once its ultra-agent has joined"); }, lines);
  compare("partition", before.cluster.partitions, cluster.partitions, held_by, let_go_by, lines);
  compare("account", before.cluster.accounts, cluster.accounts, nothing, nothing, lines);
  compare("QOS", before.cluster.qos, cluster.qos, nothing, nothing, lines);
  if (const std::string rest = difference(before.cluster, cluster); !rest.empty()) lines.push_back("cluster: " + rest);
  if (const std::string rest = difference(before.policy, policy); !rest.empty()) lines.push_back("policy: " + rest);
  return lines;
}

std::vector<std::string> changes(const protocol::MetricsSection& before, const protocol::MetricsSection& after) {
  if (before == after) return {};
  return {"metrics: " + difference(before, after)};
}

}  // namespace ultramarine::api
