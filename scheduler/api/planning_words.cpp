// See planning_words.h.
#include "scheduler/api/planning_words.h"

#include <algorithm>
#include <map>

#include "scheduler/api/job_name.h"
#include "scheduler/api/phrases.h"
#include "scheduler/api/words.h"
#include "scheduler/core/fair_share.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::api {

namespace {

constexpr std::size_t listed_max = 10;

/// Seconds are enough for people.
std::string length_in_words(Duration length) {
  const std::int64_t unit_ms = length >= hours(1) ? 60'000 : 1000;
  return protocol::format_duration({std::max<std::int64_t>(length.ms / unit_ms, 1) * unit_ms});
}

std::string size_in_words(const Resources& resources) {
  if (resources.gpus > 0) return gpus_in_words(resources.gpus);
  return counted(resources.nodes, "node") + " x " + gpus_in_words(resources.gpus_per_node);
}

std::string nodes_in_words(const std::vector<std::string>& nodes) { return protocol::fold_hostlist(nodes); }

/// What is changed: "with 32 GPUs instead of 64 GPUs".
std::string change_in_words(const JobChange& change, const JobSpec& spec) {
  std::vector<std::string> parts;
  if (change.resources) parts.push_back("with " + size_in_words(*change.resources) + " instead of " + size_in_words(spec.resources));
  if (change.time_limit_ms)
    parts.push_back("with a time limit of " + protocol::format_duration(*change.time_limit_ms) + " instead of " + protocol::format_duration(spec.time_limit_ms));
  if (change.partition) parts.push_back("in partition " + *change.partition + " instead of " + spec.partition);
  if (change.qos) parts.push_back("with QOS " + *change.qos + " instead of " + spec.qos);
  if (change.exclusive) parts.push_back("if it shared its nodes with other jobs");
  if (change.without_nodes) parts.push_back("if it might use " + nodes_in_words(spec.without_nodes) + " too");
  if (change.only_nodes) parts.push_back("if it might use other nodes than " + nodes_in_words(spec.only_nodes));
  return joined(parts);
}

std::string moved_in_words(const MovedStart& moved, const State& state, Time now) {
  const auto job = state.jobs.find(moved.job);
  std::string text = job == state.jobs.end() ? "job " + std::to_string(moved.job.value) : job_in_words(job->second);
  text += " (" + gpus_in_words(moved.gpus) + ")";
  if (!moved.after_ms) return text + " would have no planned start any more";
  if (!moved.before_ms) return text + " would start " + when(*moved.after_ms, now);
  const bool is_later = *moved.after_ms > *moved.before_ms;
  const Duration by = is_later ? *moved.after_ms - *moved.before_ms : *moved.before_ms - *moved.after_ms;
  return text + " would start " + length_in_words(by) + (is_later ? " later, " : " sooner, ") + when(*moved.after_ms, now) + " instead of " + when(*moved.before_ms, now);
}

std::string part_of_hundred(std::int64_t permille) {
  return std::to_string(permille / 10) + (permille % 10 ? "." + std::to_string(permille % 10) : "") + " %";
}

}  // namespace

std::string favour_in_words(const Bill& bill, const State& state) {
  const auto found = state.jobs.find(bill.job);
  const std::string job = found == state.jobs.end() ? "" : job_in_words(found->second);
  switch (bill.favour) {
    case Favour::boost: return "put " + job + " ahead of all others";
    case Favour::hold: return "hold " + job;
    case Favour::cancel: return "cancel " + job;
    case Favour::requeue: return "stop " + job + " and queue it again";
    case Favour::extend: return "give " + job + " " + bill.detail + " more";
    case Favour::reserve: break;
  }
  return "keep " + bill.detail;
}

std::string gpu_hours_in_words(std::int64_t gpu_ms) {
  constexpr std::int64_t minute_ms = 60'000, tenth_ms = 360'000;
  if (gpu_ms < tenth_ms) return counted((gpu_ms + minute_ms - 1) / minute_ms, "GPU-minute");
  const std::int64_t tenths = (gpu_ms + tenth_ms / 2) / tenth_ms;
  if (tenths >= 1000 || tenths % 10 == 0) return counted((tenths + 5 * (tenths >= 1000)) / 10, "GPU-hour");
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GPU-hours";
}

std::string job_in_words(const Job& job, bool with_user) {
  std::string text = "job " + text_of(job) + " (" + (job.spec.name.empty() ? "" : job.spec.name + ", ") + job.spec.account + ")";
  return with_user && !job.owner.name.empty() ? text + " of " + job.owner.name : text;
}

std::string delays_in_words(const std::vector<MovedStart>& delayed, std::int64_t displaced_gpu_ms) {
  if (delayed.empty()) return "Nobody else would start later.";
  Duration most;
  std::map<std::string, std::int64_t> by_account;
  for (const MovedStart& moved : delayed) {
    if (!moved.before_ms || !moved.after_ms) continue;
    const Duration by = *moved.after_ms - *moved.before_ms;
    most = std::max(most, by);
    by_account[moved.account] += moved.gpus * by.ms;
  }
  const std::string who = "This delays " + counted(static_cast<std::int64_t>(delayed.size()), "other job");
  if (by_account.empty()) return who + ".";
  std::vector<std::pair<std::int64_t, std::string>> accounts;
  for (const auto& [account, gpu_ms] : by_account) accounts.emplace_back(-gpu_ms, account);
  std::sort(accounts.begin(), accounts.end());
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < std::min<std::size_t>(accounts.size(), 3); ++i) parts.push_back(accounts[i].second + " " + gpu_hours_in_words(-accounts[i].first));
  if (accounts.size() > 3) parts.push_back(counted(static_cast<std::int64_t>(accounts.size()) - 3, "other account"));
  return who + ", by " + length_in_words(most) + " at most: " + gpu_hours_in_words(displaced_gpu_ms) + " in all (" + joined(parts) + ").";
}

std::string gains_in_words(const std::vector<MovedStart>& helped) {
  if (helped.empty()) return "Nobody else would start sooner.";
  Duration most;
  for (const MovedStart& moved : helped)
    if (moved.before_ms && moved.after_ms) most = std::max(most, *moved.before_ms - *moved.after_ms);
  return "This lets " + counted(static_cast<std::int64_t>(helped.size()), "other job") + " start sooner" + (most.ms > 0 ? ", by " + length_in_words(most) + " at most." : ".");
}

std::string way_in_words(const core::Way& way, const JobSpec& spec, std::optional<Time> planned, Time now) {
  std::string text = "It would start ";
  if (way.start <= now) text += "now ";
  else text += when(way.start, now) + (planned ? ", " + length_in_words(*planned - way.start) + " sooner, " : " ");
  text += change_in_words(way.change, spec);
  if (way.is_suggestion) text += ", if your program runs on fewer GPUs";
  return text + ". " + delays_in_words(way.delayed, way.displaced_gpu_ms);
}

std::vector<std::string> bill_in_words(const Bill& bill, const State& state, std::optional<Time> before, std::optional<Time> after, Time now) {
  std::vector<std::string> sentences;
  std::string first = "The bill to " + favour_in_words(bill, state) + ".";
  if (bill.favour == Favour::boost) {
    if (!after) first += " It has no planned start, boosted or not.";
    else if (before == after) first += " It would start " + when(*after, now) + ", as planned.";
    else first += " It would start " + (*after <= now ? "now" : when(*after, now)) + (before ? " instead of " + when(*before, now) : "") + ".";
  }
  sentences.push_back(std::move(first));
  sentences.push_back(delays_in_words(bill.delayed, bill.displaced_gpu_ms));
  for (std::size_t i = 0; i < std::min(bill.delayed.size(), listed_max); ++i) sentences.push_back("Later: " + moved_in_words(bill.delayed[i], state, now) + ".");
  if (bill.delayed.size() > listed_max) sentences.push_back("And " + counted(static_cast<std::int64_t>(bill.delayed.size() - listed_max), "other job") + " later.");
  if (!bill.helped.empty()) {
    sentences.push_back(gains_in_words(bill.helped));
    for (std::size_t i = 0; i < std::min(bill.helped.size(), listed_max); ++i) sentences.push_back("Sooner: " + moved_in_words(bill.helped[i], state, now) + ".");
  }
  for (const ShareOfWeek& share : bill.shares)
    if (share.before_permille != share.after_permille)
      sentences.push_back("Of the seven days to come " + share.account + " would hold " + part_of_hundred(share.after_permille) + " of all that is planned, instead of " +
                          part_of_hundred(share.before_permille) + ".");
  return sentences;
}

std::string suffered_in_words(const Bill& bill, const MovedStart& moved, const State& state, Time now) {
  const auto found = state.jobs.find(bill.job);
  std::string text;
  switch (bill.favour) {
    case Favour::boost: text = "The boost of " + (found == state.jobs.end() ? "a job" : job_in_words(found->second)); break;
    case Favour::extend: text = "The time given to " + (found == state.jobs.end() ? "a job" : job_in_words(found->second)); break;
    case Favour::reserve: text = "A reservation"; break;
    default: text = "What was done to " + (found == state.jobs.end() ? "a job" : job_in_words(found->second)); break;
  }
  text += " by " + core::user_name(bill.actor) + " " + when(bill.at_ms, now);
  if (moved.before_ms && moved.after_ms) text += " moved its planned start from " + when(*moved.before_ms, now) + " to " + when(*moved.after_ms, now);
  else text += " took its planned start";
  return text + (bill.reason.empty() ? "." : ": " + bill.reason + ".");
}

}  // namespace ultramarine::api
