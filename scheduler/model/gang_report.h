// What a node says about a gang and about its devices. Reports are true of one moment and one node; core/liveness adds them up.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/job.h"

namespace ultramarine {

struct DeviceReport {
  std::int64_t device = 0;
  std::string uuid;
  std::string model;
  std::int64_t utilization_permille = 0;
  std::int64_t memory_total_bytes = 0;
};
BOOST_DESCRIBE_STRUCT(DeviceReport, (), (device, uuid, model, utilization_permille, memory_total_bytes))

/// Names one gang on one node, in every command and report.
struct GangKey {
  JobId job;
  std::int64_t attempt = 1;
  std::int64_t gang = 1;
  friend auto operator<=>(const GangKey&, const GangKey&) = default;
};
BOOST_DESCRIBE_STRUCT(GangKey, (), (job, attempt, gang))

/// Where one node's shim listens for the others of its gang, and the port that is free there for rank 0's rendezvous.
struct GangPeer {
  std::string node;
  std::string address;          // host where the ranks of this node are reached
  std::int64_t peer_port = 0;   // the shim's TCP port (PMIx fences)
  std::int64_t master_port = 0; // reserved on the node of rank 0, else 0
};
BOOST_DESCRIBE_STRUCT(GangPeer, (), (node, address, peer_port, master_port))

/// How far a gang is on one node.
///   preparing  the shim is coming up           prepared  it waits for Start (peer filled in)
///   running    ranks run (pids filled in)      stopping  being stopped
///   finished   no process is left (ranks and outcome filled in)
BOOST_DEFINE_FIXED_ENUM_CLASS(GangPhase, std::uint8_t, preparing, prepared, running, stopping, finished)

/// The truth about one gang on one node. Sent at every change of phase, at a first failure, and for every known gang after Hello.
struct GangReport {
  static constexpr const char* type = "gang_report";
  GangKey key;
  GangPhase phase = GangPhase::preparing;
  GangPeer peer;
  std::vector<std::int64_t> pids;        // by local rank
  std::optional<Outcome> outcome;        // of this node's part: set at the first failure and when finished
  std::optional<Failure> failure;        // the first one of this node
  std::vector<RankResult> ranks;         // when finished
};
BOOST_DESCRIBE_STRUCT(GangReport, (), (key, phase, peer, pids, outcome, failure, ranks))

}  // namespace ultramarine
