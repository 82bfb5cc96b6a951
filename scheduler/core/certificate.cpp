// See certificate.h.
#include "scheduler/core/certificate.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "scheduler/core/hasher.h"

namespace ultramarine::core {
namespace {

using PlannedStarts = std::vector<std::pair<JobId, std::optional<Time>>>;

std::string digest_of(const PlannedStarts& starts) {
  Hasher hasher;
  for (const auto& [job, start] : starts) {
    hasher.add(job);
    hasher.add(start);
  }
  return hasher.hex();
}

bool shares_a_device(const Allocation& one, const Allocation& other) {
  for (const NodeAllocation& a : one)
    for (const NodeAllocation& b : other) {
      if (a.node != b.node) continue;
      for (const std::int64_t device : a.devices)
        if (std::find(b.devices.begin(), b.devices.end(), device) != b.devices.end()) return true;
    }
  return false;
}

/// It waits for GPUs or its turn, not for something of its own.
bool waits_its_turn(const Reason& reason) {
  return reason.code == ReasonCode::resources || reason.code == ReasonCode::fragmentation || reason.code == ReasonCode::priority ||
         reason.code == ReasonCode::nodes_missing || reason.code == ReasonCode::soft_cap;
}

bool is_ahead_of_others(const StartJob& start) { return start.backfilled || start.trial_ms; }

/// Who overtakes moves nobody who was ahead of him; a trial moves nobody at all, its own job's planned start included.
Overtaking certify_one(const Plan& before, const StartJob& start, const std::set<JobId>& started, const std::map<JobId, const PlannedJob*>& after, Time now) {
  Overtaking made{{.job = start.job, .attempt = start.attempt, .at_ms = now, .overtaken = start.overtaken, .promised = 0, .digest_before = "", .digest_after = "",
                   .hole_until_ms = std::nullopt, .later_ms = {}},
                  {}};
  Certificate& certificate = made.certificate;
  PlannedStarts promised, kept;
  bool is_ahead = true;
  for (const PlannedJob& line : before.jobs) {
    if (line.job == start.job) is_ahead = false;
    if (!is_ahead && !start.trial_ms) break;
    if (started.count(line.job) != 0) continue;
    if (is_ahead && waits_its_turn(line.reason)) made.overtaken.push_back(line.job);
    if (!line.start_ms) continue;
    const auto now_planned = after.find(line.job);
    const std::optional<Time> planned = now_planned == after.end() ? std::nullopt : now_planned->second->start_ms;
    promised.emplace_back(line.job, line.start_ms);
    kept.emplace_back(line.job, planned);
    if (planned && *planned > *line.start_ms) certificate.later_ms = certificate.later_ms + (*planned - *line.start_ms);
    if ((!certificate.hole_until_ms || *line.start_ms < *certificate.hole_until_ms) && shares_a_device(line.allocation, start.allocation))
      certificate.hole_until_ms = line.start_ms;
  }
  if (start.trial_ms) certificate.overtaken = static_cast<std::int64_t>(made.overtaken.size());
  certificate.promised = static_cast<std::int64_t>(promised.size());
  certificate.digest_before = digest_of(promised);
  certificate.digest_after = digest_of(kept);
  return made;
}

}  // namespace

bool overtakes(const Round& round) {
  return std::any_of(round.decisions.begin(), round.decisions.end(), [](const Decision& decision) {
    const auto* start = std::get_if<StartJob>(&decision);
    return start && is_ahead_of_others(*start);
  });
}

std::vector<Overtaking> certify(const Plan& before, const Round& round, const Plan& after) {
  std::set<JobId> started;
  for (const Decision& decision : round.decisions)
    if (const auto* start = std::get_if<StartJob>(&decision); start && !start->trial_ms) started.insert(start->job);
  std::map<JobId, const PlannedJob*> lines;
  for (const PlannedJob& line : after.jobs) lines.emplace(line.job, &line);
  std::vector<Overtaking> all;
  for (const Decision& decision : round.decisions) {
    const auto* start = std::get_if<StartJob>(&decision);
    if (start && is_ahead_of_others(*start)) all.push_back(certify_one(before, *start, started, lines, round.now_ms));
  }
  return all;
}

}  // namespace ultramarine::core
