// See stall.h. The suspects are narrowed in steps: whose process can't run at all, who is behind in steps, then in collectives, and last who does
// something else than everybody else. Only a single one is named; a wrong name costs people more than none.
#include "scheduler/core/stall.h"

#include <algorithm>
#include <utility>

#include "scheduler/core/gangs.h"
#include "scheduler/core/lifecycle.h"

namespace ultramarine::core {
namespace {

/// CPU time per second between the looks, in thousandths: who uses no more sleeps, who uses as much works or waits actively. Ranks that share
/// a core with a dozen others get little of it.
constexpr std::int64_t idle_permille = 15, busy_permille = 30;
/// Fewer ranks can't show who is different.
constexpr std::size_t crowd_min = 3;
/// How many times longer than usual nothing may go on once a rank has ended: a minute, by default.
constexpr std::int64_t patience_after_an_end = 4;

struct SeenRank {
  std::string node;
  RankStillness seen;
};
using Ranks = std::vector<SeenRank>;
using Suspects = std::vector<const SeenRank*>;

struct Verdict {
  const SeenRank* culprit = nullptr;
  std::string why;  // about the culprit: "it ..." or "its process ..."
};

std::string in_seconds(Duration duration) { return std::to_string(duration.ms / 1000) + "." + std::to_string(duration.ms % 1000 / 100) + " s"; }

std::string counted_others(std::size_t count) { return count == 1 ? "another rank" : std::to_string(count) + " others"; }

std::string process_of(const RankStillness& seen) {
  std::string text = seen.is_alone ? "its process" : "its child process";
  if (!seen.program.empty()) text += " " + seen.program;
  if (seen.pid > 0) text += " (pid " + std::to_string(seen.pid) + ")";
  return text;
}

std::string in_the_kernel(const RankStillness& seen) {
  if (!seen.wait.empty()) return " in " + seen.wait;
  return seen.system_call >= 0 ? " in system call " + std::to_string(seen.system_call) : "";
}

std::string what_its_state_says(const RankStillness& seen) {
  const std::string process = process_of(seen);
  if (seen.state == "T") return process + " is stopped (SIGSTOP)";
  if (seen.state == "t") return process + " is held by a debugger";
  if (seen.state == "Z") return "the main thread of " + process + " has ended, the others run on";
  return process + " waits for a device or a file system" + in_the_kernel(seen);
}

/// The one that has come least far.
const SeenRank* hindmost(const Suspects& suspects) {
  const auto comes_before = [](const SeenRank* a, const SeenRank* b) {
    const bool both_said = a->seen.step && b->seen.step;
    return both_said && *a->seen.step != *b->seen.step ? *a->seen.step < *b->seen.step : a->seen.rank < b->seen.rank;
  };
  return *std::min_element(suspects.begin(), suspects.end(), comes_before);
}

/// Whoever can't go on whatever the others do.
Verdict who_cannot_run(const Ranks& ranks) {
  for (const std::string& states : {std::string("Tt"), std::string("Z"), std::string("D")}) {
    Suspects found;
    for (const SeenRank& rank : ranks)
      if (!rank.seen.state.empty() && states.find(rank.seen.state) != std::string::npos) found.push_back(&rank);
    if (found.empty()) continue;
    Verdict verdict{hindmost(found), ""};
    verdict.why = what_its_state_says(verdict.culprit->seen);
    if (found.size() > 1) verdict.why += ", and so is it with " + counted_others(found.size() - 1);
    return verdict;
  }
  return {};
}

/// Those who are behind by more than what may lie between two reports of one rank; all of them when nobody is, or when not every rank reports.
Suspects who_is_behind(const Ranks& ranks, const Suspects& suspects, std::optional<std::int64_t> RankStillness::*count,
                       std::int64_t RankStillness::*stride_of) {
  std::int64_t least = 0, most = 0, stride = 1;
  bool is_first = true;
  for (const SeenRank& rank : ranks) {
    const auto& said = rank.seen.*count;
    if (!said) return suspects;
    least = is_first ? *said : std::min(least, *said);
    most = is_first ? *said : std::max(most, *said);
    stride = std::max(stride, rank.seen.*stride_of);
    is_first = false;
  }
  Suspects behind;
  for (const SeenRank* one : suspects) {
    const std::int64_t said = *(one->seen.*count);
    if (said <= most - stride && said < least + stride) behind.push_back(one);
  }
  return behind.empty() ? suspects : behind;
}

/// What a rank does, as far as that can be compared: "" = can't be told.
std::string manner_of(const RankStillness& seen) {
  if (seen.look_ms.ms <= 0) return "";
  const std::int64_t permille = seen.cpu_ms.ms * 1000 / seen.look_ms.ms;
  if (permille >= busy_permille) return "works";
  if (permille > idle_permille || seen.state == "R") return "";
  return "sleeps" + (seen.system_call >= 0 ? " in system call " + std::to_string(seen.system_call) : in_the_kernel(seen));
}

/// The only one of the suspects that does something else than all others, who all do the same.
Verdict who_is_different(const Ranks& ranks, const Suspects& suspects) {
  if (ranks.size() < crowd_min) return {};
  std::map<std::string, std::size_t> manners;
  for (const SeenRank& rank : ranks) ++manners[manner_of(rank.seen)];
  if (manners.size() != 2 || manners.contains("")) return {};
  for (const SeenRank* one : suspects) {
    const std::string its = manner_of(one->seen);
    if (manners.at(its) != 1) continue;
    const std::string theirs = manners.begin()->first == its ? manners.rbegin()->first : manners.begin()->first;
    if (its == "works") return {one, "it works while all others sleep, waiting"};
    return {one, "it sleeps" + in_the_kernel(one->seen) + (theirs == "works" ? ", using no CPU, while all others wait actively" : ", while all others wait elsewhere")};
  }
  return {};
}

/// `2`, `2 and 5`, `2, 5 and 7`
std::string numbers(const Suspects& suspects) {
  std::string text;
  for (std::size_t i = 0; i < suspects.size(); ++i)
    text += (i == 0 ? "" : i + 1 == suspects.size() ? " and " : ", ") + std::to_string(suspects[i]->seen.rank);
  return text;
}

bool sleeps(const SeenRank& rank) { return manner_of(rank.seen).starts_with("sleeps"); }

Verdict judge(const Ranks& ranks) {
  if (Verdict verdict = who_cannot_run(ranks); verdict.culprit) return verdict;
  Suspects suspects;
  for (const SeenRank& rank : ranks) suspects.push_back(&rank);
  suspects = who_is_behind(ranks, suspects, &RankStillness::step, &RankStillness::step_stride);
  if (suspects.size() == 1 && ranks.size() > 1) return {suspects.front(), "it has not got beyond step " + std::to_string(*suspects.front()->seen.step) + ", and all others have"};
  suspects = who_is_behind(ranks, suspects, &RankStillness::collective, &RankStillness::collective_stride);
  if (suspects.size() == 1 && ranks.size() > 1)
    return {suspects.front(), "it has completed " + std::to_string(*suspects.front()->seen.collective) + " collectives, and all others more"};
  if (ranks.size() == 1) return {&ranks.front(), manner_of(ranks.front().seen) == "works" ? "it works without getting on" : "it waits" + in_the_kernel(ranks.front().seen)};
  Verdict verdict = who_is_different(ranks, suspects);
  constexpr std::size_t named_at_most = 8;
  if (!verdict.culprit && suspects.size() < ranks.size() && suspects.size() <= named_at_most) verdict.why = "ranks " + numbers(suspects) + " are behind all others";
  return verdict;
}

}  // namespace

HangConfig hang_settings(const ClusterConfig& cluster, const JobSpec& spec) {
  HangConfig settings = cluster.hang;
  if (spec.hang_after_ms == never_hangs) settings.detect = false;
  if (spec.hang_after_ms.ms > 0) {
    settings.detect = true;
    settings.after_ms = spec.hang_after_ms;
  }
  return settings;
}

std::vector<std::string> note_stillness(const Job& job, const std::string& node, const GangStillness& said, Liveness& liveness) {
  auto& stillness = liveness.gangs[said.key].stillness;
  if (said.ranks.empty()) {
    stillness.erase(node);
    // What the others were asked for was about the stop that is over now.
    std::erase_if(stillness, [](const auto& entry) { return !entry.second.watched; });
    return {};
  }
  stillness[node] = said;
  std::vector<std::string> to_be_asked;
  if (!said.watched) return to_be_asked;
  for (const NodeAllocation& part : gang_allocation(job, job.attempts.back(), said.key.gang)) {
    const auto other = stillness.find(part.node);
    if (part.node != node && (other == stillness.end() || !other->second.over)) to_be_asked.push_back(part.node);
  }
  return to_be_asked;
}

std::optional<Failure> hang_of(const Allocation& allocation, const std::map<std::string, GangStillness>& stillness, Time now,
                               const std::vector<EndedRank>& ended) {
  Ranks ranks;
  bool watched = false;
  std::optional<Duration> still;
  Duration limit;
  for (const NodeAllocation& part : allocation) {
    const auto found = stillness.find(part.node);
    if (found == stillness.end() || !found->second.over) return std::nullopt;
    const GangStillness& said = found->second;
    watched = watched || said.watched;
    if (said.still_ms.ms > 0 && (!still || said.still_ms < *still)) still = said.still_ms;
    limit = std::max(limit, said.limit_ms);
    for (const RankStillness& seen : said.ranks) ranks.push_back({part.node, seen});
  }
  if (!watched || !still || ranks.empty()) return std::nullopt;
  std::stable_sort(ranks.begin(), ranks.end(), [](const SeenRank& a, const SeenRank& b) { return a.seen.rank < b.seen.rank; });

  const Verdict verdict = ended.empty() ? judge(ranks) : who_cannot_run(ranks);
  const std::string since = "no rank has finished a step for " + in_seconds(*still);
  Failure failure{.at_ms = now};
  if (!ended.empty() && !verdict.culprit) {
    // Others may well have something to do that takes longer, and doesn't need it. Whether who works gets anywhere, or waits actively, can't be seen.
    if (still->ms < patience_after_an_end * limit.ms) return std::nullopt;
    const bool all_sleep = std::all_of(ranks.begin(), ranks.end(), sleeps);
    failure.rank = ended.front().rank;
    failure.node = ended.front().node;
    failure.detail = "rank " + std::to_string(failure.rank) + " on " + failure.node + " ended early, with code 0" +
                     (ended.size() > 1 ? " as did " + counted_others(ended.size() - 1) : "") + (all_sleep ? ", and those that run only wait: " : ", and those that run get no further: ") + since;
  } else if (verdict.culprit) {
    failure.rank = verdict.culprit->seen.rank;
    failure.node = verdict.culprit->node;
    failure.detail = "rank " + std::to_string(failure.rank) + " on " + failure.node + " hangs: " + verdict.why + "; " + since;
  } else {
    failure.detail = "the ranks wait for each other" + (verdict.why.empty() ? "" : " (" + verdict.why + ")") + ": " + since +
                     "; if it was no hang, let the program declare its long phases, or raise --hang-after";
  }
  return failure;
}

namespace {

bool has_finished(const GangLiveness& liveness, const std::string& node) {
  const auto report = liveness.nodes.find(node);
  return report != liveness.nodes.end() && report->second.phase == GangPhase::finished;
}

/// Ranks of running parts that their nodes don't speak of any more, and all of parts that are over.
std::vector<EndedRank> ended_ranks(const Allocation& allocation, const std::vector<std::int64_t>& ranks_per_node, const GangLiveness& liveness) {
  std::vector<EndedRank> ended;
  std::int64_t rank = 0;
  for (std::size_t index = 0; index < allocation.size(); ++index) {
    const std::string& node = allocation[index].node;
    const auto said = liveness.stillness.find(node);
    const bool all = has_finished(liveness, node);
    for (const std::int64_t end = rank + ranks_per_node.at(index); rank < end; ++rank) {
      const auto runs = [&](const RankStillness& seen) { return seen.rank == rank; };
      if (all || (said != liveness.stillness.end() && std::none_of(said->second.ranks.begin(), said->second.ranks.end(), runs))) ended.push_back({rank, node});
    }
  }
  return ended;
}

}  // namespace

std::optional<Event> due_of_stillness(const State& state, const Job& job, const Gang& gang, const Allocation& allocation, const GangLiveness& liveness, Time now) {
  const std::int64_t attempt = job.attempts.back().attempt;
  std::optional<Failure> hang;
  // Of a node that is silent nobody knows what it does by now.
  const bool all_speak = std::all_of(allocation.begin(), allocation.end(), [&](const NodeAllocation& part) {
    const auto node = state.nodes.find(part.node);
    return node != state.nodes.end() && node->second.state != NodeState::suspect && node->second.state != NodeState::unreachable;
  });
  if (all_speak && hang_settings(state.cluster, job.spec).detect) {
    Allocation running = allocation;
    std::erase_if(running, [&](const NodeAllocation& part) { return has_finished(liveness, part.node); });
    hang = hang_of(running, liveness.stillness, now, ended_ranks(allocation, gang_ranks(job, job.attempts.back(), gang.gang), liveness));
  }
  if (hang && !gang.stall) return GangStalled{job.job, attempt, gang.gang, std::move(*hang), by_the_scheduler};
  if (!hang && all_speak && gang.stall) return GangWentOn{job.job, attempt, gang.gang, by_the_scheduler};
  return std::nullopt;
}

}  // namespace ultramarine::core
