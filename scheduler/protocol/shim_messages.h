// What the agent and the shims of its node say to each other (a WebSocket on the shim's Unix socket, path /v1/shim), and what
// the shims of one gang say among themselves (a WebSocket over TCP, path /v1/gang, after both proved the gang secret).
//
// A shim is one process per gang and node, outlives the agent, and works in its job folder (0700):
//   <agent state>/jobs/<job>.<attempt>.<gang>/
//     launch.json    LaunchSpec and the agent's settings, 0600, written by the agent before it starts the shim, erased by the shim once ranks run
//     shim.sock      the shim listens here          shim.pid    its pid and start time
//     progress.sock  ULTRA_PROGRESS, a datagram socket (progress_messages.h)
//     rank_<R>.out, rank_<R>.err    output of each local rank, 0600
//     report.json    the last GangReport that no agent was there to hear; with phase finished it is complete and fsynced, and then the shim exits
#pragma once

#include <boost/describe.hpp>
#include <string>
#include <variant>
#include <vector>

#include "scheduler/protocol/agent_messages.h"

namespace ultramarine::protocol {

/// The scheduler has heard this node. A part of a gang that reports progress stops itself when neither this nor progress comes.
struct Lease {
  static constexpr const char* type = "lease";
  GangKey key;
  Duration age_ms;        // how long ago the word was sent that was heard: the scheduler may have heard nothing since
  Duration self_stop_ms;  // the newest promise of this part (GangReport) that was heard for certain; 0 = none
};
BOOST_DESCRIBE_STRUCT(Lease, (), (key, age_ms, self_stop_ms))

// agent -> shim: Start, Stop, TerminalInput, Examine, TimeAllowed (as from the scheduler), CheckpointRecorded, Lease
using ToShim = std::variant<Start, Stop, CheckpointRecorded, TerminalInput, Examine, TimeAllowed, Lease>;
// shim -> agent: GangReport at once after the connection and at every change, Progress, CheckpointReport, GangStillness
using FromShim = std::variant<GangReport, Progress, CheckpointReport, GangStillness>;

/// The node that holds rank 0 gathers the blobs of a PMIx fence and answers everybody with all of them, in node order.
struct FenceBlob {
  static constexpr const char* type = "fence_blob";
  std::int64_t fence = 0;  // counts the fences over the same set of ranks, from 1
  std::string ranks;       // the set: "*" for the whole gang
  std::string node;
  std::string data_base64;
};
BOOST_DESCRIBE_STRUCT(FenceBlob, (), (fence, ranks, node, data_base64))

struct FenceDone {
  static constexpr const char* type = "fence_done";
  std::int64_t fence = 0;
  std::string ranks;
  std::string data_base64;
};
BOOST_DESCRIBE_STRUCT(FenceDone, (), (fence, ranks, data_base64))

struct ModexRequest {
  static constexpr const char* type = "modex_request";
  std::int64_t request = 0;
  std::string from_node;
  std::int64_t rank = 0;
};
BOOST_DESCRIBE_STRUCT(ModexRequest, (), (request, from_node, rank))

struct ModexReply {
  static constexpr const char* type = "modex_reply";
  std::int64_t request = 0;
  std::int64_t code = 0;  // a pmix_status_t
  std::string data_base64;
};
BOOST_DESCRIBE_STRUCT(ModexReply, (), (request, code, data_base64))

/// The first message after the proof: which node speaks.
struct GangHello {
  static constexpr const char* type = "gang_hello";
  GangKey key;
  std::string node;
};
BOOST_DESCRIBE_STRUCT(GangHello, (), (key, node))

using GangMessage = std::variant<GangHello, FenceBlob, FenceDone, ModexRequest, ModexReply>;

}  // namespace ultramarine::protocol
