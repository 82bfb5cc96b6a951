// See first_failure.h.
#include "scheduler/core/first_failure.h"

#include <algorithm>
#include <csignal>
#include <tuple>
#include <vector>

namespace ultramarine::core {
namespace {

constexpr std::size_t clock_leads_kept = 8;

/// 0 explains most.
int weakness_of(const ReportedFailure& reported) {
  if (reported.outcome == Outcome::device_lost || reported.outcome == Outcome::out_of_memory) return 0;
  switch (reported.failure.signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGSYS:
    case SIGKILL:
      return 1;
    default:
      return 2;
  }
}

struct DatedFailure {
  ReportedFailure reported;
  Time at;  // by our clock
};

}  // namespace

void note_clock(NodeLiveness& node, Time clock, Time now) {
  node.clock_leads.push_back(clock - now);
  if (node.clock_leads.size() > clock_leads_kept) node.clock_leads.pop_front();
}

Duration clock_lead(const Liveness& liveness, const std::string& node) {
  const auto found = liveness.nodes.find(node);
  if (found == liveness.nodes.end() || found->second.clock_leads.empty()) return {};
  return *std::max_element(found->second.clock_leads.begin(), found->second.clock_leads.end());
}

bool may_be_corrected(Outcome named) {
  return named == Outcome::failed || named == Outcome::out_of_memory || named == Outcome::device_lost;
}

std::optional<ReportedFailure> first_failure(const Allocation& allocation, const GangLiveness& gang,
                                             const Liveness& liveness, const std::optional<ReportedFailure>& named) {
  std::vector<DatedFailure> candidates;
  const auto add = [&](const ReportedFailure& reported) {
    candidates.push_back({reported, reported.failure.at_ms - clock_lead(liveness, reported.failure.node)});
  };
  if (named) add(*named);
  for (const NodeAllocation& part : allocation) {
    const auto report = gang.nodes.find(part.node);
    if (report == gang.nodes.end()) continue;
    const auto& [outcome, failure] = std::tie(report->second.outcome, report->second.failure);
    if (!failure && outcome.value_or(Outcome::succeeded) == Outcome::succeeded) continue;
    // Once they are being stopped, parts end without a failure of their own.
    if (named && (!failure || !may_be_corrected(outcome.value_or(Outcome::failed)))) continue;
    ReportedFailure reported{
        outcome.value_or(Outcome::failed),
        failure.value_or(Failure{.detail = "the node's part of the gang ended without saying why"})};
    if (reported.outcome == Outcome::succeeded) reported.outcome = Outcome::failed;
    if (reported.failure.node.empty()) reported.failure.node = part.node;
    add(reported);
  }
  if (candidates.empty()) return std::nullopt;
  Time earliest = candidates.front().at;
  for (const DatedFailure& one : candidates) earliest = std::min(earliest, one.at);
  const DatedFailure* best = nullptr;
  for (const DatedFailure& one : candidates) {
    if (one.at - earliest > cause_window) continue;
    const auto rank = [](const DatedFailure& dated) { return std::tuple(weakness_of(dated.reported), dated.at); };
    if (!best || rank(one) < rank(*best)) best = &one;
  }
  return best->reported;
}

}  // namespace ultramarine::core
