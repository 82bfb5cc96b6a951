// Which of the failures that the nodes of a gang report is the cause, and which follow from it: the peers of a rank
// that dies see their lines break, and end with a plain exit code a moment later, whoever is heard first. The others
// are stopped at the first word of any; the name is settled until the gang has ended everywhere, so nobody waits for
// it.
//
// The rule: times are those of the nodes, less what each node's clock is ahead of ours (from its heartbeats). Of all
// failures within `cause_window` of the earliest, the one counts that explains the others best: a lost device or too
// little memory; then a rank that the kernel ended (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGKILL); then any other.
// Of equals the earliest, then the one that was named first, then the first node of the allocation.
#pragma once

#include <optional>

#include "scheduler/core/liveness.h"

namespace ultramarine::core {

constexpr Duration cause_window{2'000};

struct ReportedFailure {
  Outcome outcome = Outcome::failed;
  Failure failure;
};

/// Takes in the node's clock as a heartbeat says it. The delay of a message makes a clock look late, never early: the
/// last few are kept, and the one that was under way for the shortest time counts.
void note_clock(NodeLiveness& node, Time clock, Time now);
/// How far the node's clock is ahead of ours; 0 when it never said.
Duration clock_lead(const Liveness& liveness, const std::string& node);

/// The cause of a gang's end, from what its nodes report. `named`: what was taken for it before. nullopt: nobody
/// reports a failure.
std::optional<ReportedFailure> first_failure(const Allocation& allocation, const GangLiveness& gang,
                                             const Liveness& liveness,
                                             const std::optional<ReportedFailure>& named = std::nullopt);
/// Whether what was named came from a node's report, so that another report may correct it.
bool may_be_corrected(Outcome named);

}  // namespace ultramarine::core
