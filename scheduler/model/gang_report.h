// What a node says about a gang and about its devices. Reports are true of one moment and one node; core/liveness adds them up.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/job.h"

namespace ultramarine {

/// One device at one moment. What nobody can measure there is left out: of virtual devices all but the utilization, of real ones what the driver
/// doesn't say.
struct DeviceReport {
  std::int64_t device = 0;
  std::string uuid;
  std::string model;
  std::optional<std::int64_t> utilization_permille = 0;
  std::int64_t memory_total_bytes = 0;
  std::optional<std::int64_t> memory_used_bytes;
  std::optional<std::int64_t> power_milliwatts;
  std::optional<std::int64_t> temperature_celsius;
  std::optional<std::int64_t> ecc_corrected, ecc_uncorrected;  // errors of memory since the driver was loaded
};
BOOST_DESCRIBE_STRUCT(DeviceReport, (), (device, uuid, model, utilization_permille, memory_total_bytes, memory_used_bytes, power_milliwatts,
                                         temperature_celsius, ecc_corrected, ecc_uncorrected))

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
  Duration self_stop_ms;                 // without the scheduler and without progress for so long, this part ends itself; 0 = it won't
};
BOOST_DESCRIBE_STRUCT(GangReport, (), (key, phase, peer, pids, outcome, failure, ranks, self_stop_ms))

/// What a rank of a still gang was seen to do, over two looks at its processes. Texts are the kernel's words, "" where it doesn't say.
struct RankStillness {
  std::int64_t rank = 0;
  std::int64_t pid = 0;             // the process that tells most: one that is stopped, else the one that has worked most
  std::string program;              // its name
  std::string state;                // one letter as in proc(5), the same at both looks; S or R when they differ: R
  bool is_alone = true;             // the process is the rank itself
  Duration cpu_ms;                  // used between the looks, by all processes of the rank
  Duration look_ms;                 // between the looks
  std::string wait;                 // where in the kernel it sleeps
  std::int64_t system_call = -1;    // that it sleeps in; -1: none, or not known
  std::optional<std::int64_t> step, collective;  // the newest that it reported
  std::int64_t step_stride = 1, collective_stride = 1;  // how much lies between two of its reports
};
BOOST_DESCRIBE_STRUCT(RankStillness, (), (rank, pid, program, state, is_alone, cpu_ms, look_ms, wait, system_call, step, collective, step_stride,
                                          collective_stride))

/// One node's part of a gang makes no progress. Said when it may become a hang, again with new looks when it has, and when somebody asks;
/// without ranks: it goes on.
struct GangStillness {
  static constexpr const char* type = "gang_stillness";
  GangKey key;
  bool watched = false;  // a rank of this node has reported at least two steps, and what reported them still runs
  bool over = false;     // nothing here speaks against a hang: no step within the limit, no declared phase within its own
  Duration still_ms;     // since the last sign of progress; 0 = there never was any
  Duration limit_ms;
  std::vector<RankStillness> ranks;
};
BOOST_DESCRIBE_STRUCT(GangStillness, (), (key, watched, over, still_ms, limit_ms, ranks))

}  // namespace ultramarine
