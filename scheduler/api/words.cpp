// Sentences.
#include "scheduler/api/words.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "scheduler/api/job_name.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::api {

namespace {

std::string gpus(std::int64_t count) { return std::to_string(count) + (count == 1 ? " GPU" : " GPUs"); }

std::string are_free(std::int64_t count) {
  if (count == 0) return "none is free";
  return std::to_string(count) + (count == 1 ? " is free" : " are free");
}

std::string named(JobId id, const State& state) {
  const auto job = state.jobs.find(id);
  if (job == state.jobs.end()) return std::to_string(id.value);
  std::string text = text_of(job->second) + " (" + job->second.spec.name;
  if (!job->second.spec.account.empty()) text += ", " + job->second.spec.account;
  return text + ")";
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  return text;
}

std::string expectation(const PlannedJob& planned, const State& state, Time now) {
  if (!planned.start_ms) return "";
  if (*planned.start_ms <= now) return " Expected to start at any moment.";
  std::string text = " Expected to start " + when(*planned.start_ms, now);
  std::vector<std::string> jobs;
  for (const JobId job : planned.reason.waits_for) jobs.push_back(named(job, state));
  if (!jobs.empty()) text += (jobs.size() == 1 ? " when job " : " when jobs ") + joined(jobs) + (jobs.size() == 1 ? " ends" : " end");
  return text + ".";
}

/// The nodes of the job's partition that take nothing new, by what ails them: "node[03-04] (down), node07 (suspect)".
std::string missing_nodes(const Job& job, const State& state) {
  std::map<NodeState, std::vector<std::string>> ailing;
  const auto partition = std::find_if(state.cluster.partitions.begin(), state.cluster.partitions.end(),
                                      [&](const PartitionConfig& one) { return one.name == job.spec.partition; });
  for (const auto& [name, node] : state.nodes) {
    if (node.state == NodeState::up) continue;
    if (partition != state.cluster.partitions.end() && !partition->nodes.empty() &&
        std::find(partition->nodes.begin(), partition->nodes.end(), name) == partition->nodes.end())
      continue;
    ailing[node.state].push_back(name);
  }
  std::vector<std::string> parts;
  for (const auto& [node_state, names] : ailing)
    parts.push_back(protocol::fold_hostlist(names) + " (" + boost::describe::enum_to_string(node_state, "") + ")");
  return joined(parts);
}

/// "account lab-a uses 32 of its 32 GPUs"
std::string limit_in_words(const std::optional<LimitReached>& limit) {
  if (!limit) return "a limit is used up";
  constexpr std::array scopes{"account", "user", "QOS", "partition"};
  constexpr std::array things{"GPUs", "running jobs", "GPU-hours of this month"};
  return std::string(scopes[static_cast<std::size_t>(limit->scope)]) + " " + limit->name + " uses " + std::to_string(limit->used) + " of its " + std::to_string(limit->limit) +
         " " + things[static_cast<std::size_t>(limit->kind)];
}

/// `job 3`, `jobs 3 and 4`
std::string numbers(const std::vector<JobId>& jobs, const State& state) {
  std::vector<std::string> parts;
  for (const JobId id : jobs) {
    const auto job = state.jobs.find(id);
    parts.push_back(job == state.jobs.end() ? std::to_string(id.value) : text_of(job->second));
  }
  return (jobs.size() == 1 ? "job " : "jobs ") + joined(parts);
}

}  // namespace

std::string when(Time instant, Time now) {
  constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::chrono::sys_time<std::chrono::milliseconds> moment{std::chrono::milliseconds(instant.ms)};
  const auto midnight = std::chrono::floor<std::chrono::days>(moment);
  const std::int64_t minute = std::chrono::floor<std::chrono::minutes>(moment - midnight).count();
  std::string text;
  if (instant.ms - now.ms > 86'400'000 || now.ms - instant.ms > 86'400'000) {
    const std::chrono::year_month_day date{midnight};
    const unsigned day = static_cast<unsigned>(date.day());
    text = std::string("on ") + months[static_cast<unsigned>(date.month()) - 1] + (day < 10 ? "  " : " ") + std::to_string(day) + " ";
  }
  text += "at 00:00";
  for (const auto& [place, number] : {std::pair{5, minute / 60}, std::pair{2, minute % 60}}) {
    text[text.size() - static_cast<std::size_t>(place)] = static_cast<char>('0' + number / 10);
    text[text.size() - static_cast<std::size_t>(place) + 1] = static_cast<char>('0' + number % 10);
  }
  const Duration distance{(instant > now ? instant - now : now - instant).ms};
  return text + " UTC (" + (instant > now ? "in " : "") + protocol::format_duration(distance) + (instant > now ? ")" : " ago)");
}

std::string why(const PlannedJob& planned, const State& state, Time now) {
  const Reason& reason = planned.reason;
  const std::string asks = gpus(reason.gpus_asked);
  const std::string then = expectation(planned, state, now);
  switch (reason.code) {
    case ReasonCode::starting_now: return "Starts now.";
    case ReasonCode::resources: return "Waits for " + asks + "; " + are_free(reason.gpus_free) + "." + then;
    case ReasonCode::fragmentation:
      return "Waits for " + asks + "; " + are_free(reason.gpus_free) + ", but spread over nodes in another shape than it asks for." + then;
    case ReasonCode::priority:
      return "Lets jobs ahead of it go first: it asks for " + asks + " and " + are_free(reason.gpus_free) +
             ", but to start it now would delay them." + then;
    case ReasonCode::nodes_missing: {
      const auto job = state.jobs.find(planned.job);
      const std::string nodes = job == state.jobs.end() ? "" : missing_nodes(job->second, state);
      return "Waits for " + asks + " on nodes that don't answer" + (nodes.empty() ? "" : ": " + nodes) +
             ". Its start can be planned once they are back.";
    }
    case ReasonCode::never_fits:
      return "Can never run here: no state of this cluster has " + asks + " in the shape it asks for. Cancel it and ask for less.";
    case ReasonCode::dependency: return "Waits for " + numbers(reason.waits_for, state) + ", on which it depends.";
    case ReasonCode::dependency_never:
      return "Can't start: " + numbers(reason.waits_for, state) + ", on which it depends, ended otherwise than it asked for. Cancel it, or submit it again without.";
    case ReasonCode::array_limit: return "Waits until an element of its array has ended: no more of them may run at once." + then;
    case ReasonCode::held: {
      const auto job = state.jobs.find(planned.job);
      if (job == state.jobs.end() || !job->second.hold) return "Held: it waits until it is released.";
      const Hold& hold = *job->second.hold;
      if (hold.kind == HoldKind::configuration) return "Held: " + hold.reason + ".";
      return "Held by " + hold.actor.name + (hold.reason.empty() ? "" : " (" + hold.reason + ")") + ": it waits until it is released.";
    }
    case ReasonCode::begin_time: return "Waits for the time at which it asked to begin." + then;
    case ReasonCode::deadline: return "Can't start: it could not end by its deadline any more. Cancel it, or submit it again with another deadline.";
    case ReasonCode::limit: return "Waits for " + asks + ": " + limit_in_words(reason.limit) + "." + then;
    case ReasonCode::soft_cap: return "Lets jobs of others go first: " + limit_in_words(reason.limit) + ", and beyond that it may only borrow what nobody else wants." + then;
    case ReasonCode::reservation:
      return "Waits for " + asks + (reason.reservation.empty() ? "; nodes are kept for a reservation." : "; nodes are kept for reservation " + reason.reservation + ".") + then;
  }
  return "";
}

}  // namespace ultramarine::api
