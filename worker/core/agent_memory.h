// What an agent must still know after it was restarted: the newest attempt of each job, and the gangs whose end the scheduler
// has not confirmed. A described value; the agent room has each change of it on disk before anything is done because of it.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/gang_report.h"
#include "scheduler/protocol/agent_messages.h"

namespace ultramarine::worker_core {

/// The newest words heard about a job. Whatever is older is refused, so that a late or repeated command starts nothing twice.
struct SeenAttempt {
  std::int64_t attempt = 0;
  std::int64_t gang = 0;   // the highest gang of that attempt; a gang up to it is never launched anew
  std::int64_t order = 0;  // rises with each use: the least recently used are dropped first
  bool operator==(const SeenAttempt&) const = default;
};
BOOST_DESCRIBE_STRUCT(SeenAttempt, (), (attempt, gang, order))

/// One gang of this node, without its command and environment (those are the shim's alone).
struct GangRecord {
  GangKey key;
  std::int64_t first_rank = 0;         // global number of local rank 0
  std::int64_t ranks = -1;             // on this node; -1 (written by an earlier version): one per device
  std::vector<std::int64_t> devices;   // that it uses here; by local rank when there are as many ranks
  std::string account;
  Duration stop_grace_ms;
  std::vector<protocol::CheckpointReport> checkpoints;  // that the scheduler has not recorded yet, oldest first
  std::optional<GangReport> finished;                   // the last word, once there is one
  std::optional<Failure> device_lost;                   // a device failed under it: the gang's end is put down to that
};
BOOST_DESCRIBE_STRUCT(GangRecord, (), (key, first_rank, ranks, devices, account, stop_grace_ms, checkpoints, finished, device_lost))

struct AgentMemory {
  std::map<JobId, SeenAttempt> seen;
  std::vector<GangRecord> gangs;  // ascending by key
};
BOOST_DESCRIBE_STRUCT(AgentMemory, (), (seen, gangs))

/// What became different. Applying all changes since some moment to a memory of that moment or of a later one gives the newest.
struct MemoryChange {
  std::map<JobId, SeenAttempt> seen;
  std::vector<JobId> dropped;      // of `seen`
  std::vector<GangRecord> gangs;   // new, or as they are now
  std::vector<GangKey> forgotten;
};
BOOST_DESCRIBE_STRUCT(MemoryChange, (), (seen, dropped, gangs, forgotten))

void apply(AgentMemory& memory, const MemoryChange& change);

/// How many ranks of the gang are on this node.
inline std::int64_t rank_count(const GangRecord& record) {
  return record.ranks >= 0 ? record.ranks : static_cast<std::int64_t>(record.devices.size());
}

/// Jobs whose newest attempt is remembered. The attempts of jobs with a known gang are never dropped.
constexpr std::size_t seen_jobs_max = 4096;
/// Unrecorded checkpoints that are kept of one gang: the newest.
constexpr std::size_t checkpoints_max = 64;

}  // namespace ultramarine::worker_core
