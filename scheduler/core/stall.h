// When a gang hangs and which rank is to blame, from what its nodes say of their ranks. A node alone can only tell that nothing goes on there:
// the gang hangs when all its nodes say so, and whoever differs from the others is the one that they wait for. How long is too long, and what
// a process does, is the nodes' business (worker/launcher): nothing here measures time.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/liveness.h"

namespace ultramarine::core {

/// What counts for this job: the cluster's settings, with what the job says for itself.
HangConfig hang_settings(const ClusterConfig& cluster, const JobSpec& spec);

/// Takes in what a node says of an open gang of the job's newest attempt. Returns the other nodes that are to be asked for the same: those whose
/// ranks report nothing can't know that somebody waits for them.
std::vector<std::string> note_stillness(const Job& job, const std::string& node, const GangStillness& said, Liveness& liveness);

struct EndedRank {
  std::int64_t rank = 0;
  std::string node;
};

/// What hangs, with one sentence that says why; rank -1 when nobody differs from the others. nullopt unless every node of `allocation` says that
/// nothing there speaks against a hang, and one of them has seen steps before.
/// Once ranks have `ended` (well, and early), only after four times as long, whether the others sleep or wait actively: then the first of these is named.
std::optional<Failure> hang_of(const Allocation& allocation, const std::map<std::string, GangStillness>& stillness, Time now,
                               const std::vector<EndedRank>& ended = {});

/// GangStalled or GangWentOn, if it is due of this gang, whose ranks run, or have ended well, on all nodes. `gang`: its record.
std::optional<Event> due_of_stillness(const State& state, const Job& job, const Gang& gang, const Allocation& allocation, const GangLiveness& liveness, Time now);

}  // namespace ultramarine::core
