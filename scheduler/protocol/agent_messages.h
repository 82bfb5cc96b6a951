// What agent and scheduler say to each other, one closed list per direction. Every command and report names {job, attempt,
// gang}; commands are idempotent (the scheduler repeats them after a reconnect), reports are repeated until `Forget`.
// The connection is a WebSocket on /v1/agents that the agent opens; both sides first prove the cluster secret (net/proof).
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "scheduler/model/cluster.h"
#include "scheduler/model/gang_report.h"
#include "scheduler/model/job.h"
#include "scheduler/model/node.h"

namespace ultramarine::protocol {

/// Raised when a message changes its meaning; N to N-2 are accepted.
constexpr std::int64_t agent_protocol = 1;

/// What a gang's ranks are: those of the job or of `ultra run`, or the one shell of a script.
BOOST_DEFINE_FIXED_ENUM_CLASS(LaunchKind, std::uint8_t, ranks, script)

/// A real device of the node: what its index stands for there.
struct LocalDevice {
  std::int64_t device = 0;
  std::string uuid;
  std::int64_t minor = -1;         // of /dev/nvidia<minor>; -1 = the driver doesn't say
  std::int64_t bus_position = -1;  // among the node's GPUs in the order of their bus addresses; -1 = not known
};
BOOST_DESCRIBE_STRUCT(LocalDevice, (), (device, uuid, minor, bus_position))

/// All that a node needs to start its part of a gang. Also the shim's launch file (0600: it holds the environment).
/// Of a gang of `ultra run`, the command, folder, MPI mode and numbers of ranks in `spec` are the gang's.
struct LaunchSpec {
  GangKey key;
  LaunchKind kind = LaunchKind::ranks;
  std::string cluster;
  std::string node;                 // the node this copy is for
  JobSpec spec;
  Actor owner;
  Allocation allocation;            // of the whole gang; ranks are numbered along it. A script's is its first node
  Allocation job_allocation;        // of the whole attempt; empty: the same
  std::optional<ArrayElement> array;
  Time submitted_ms;                // of the job
  Duration time_left_ms;            // of the attempt when the gang was asked for; 0 = spec.time_limit_ms
  std::map<std::string, std::string> environment;  // as captured from the submitter
  std::map<std::string, std::string> fabric_environment;  // where the submitter says nothing himself
  std::int64_t memlock_bytes = 0;   // as in FabricConfig
  HangConfig hang;                  // the cluster's, with what the job says
  std::string gang_secret;          // 128 bits, hex: proves a shim of the same gang to another
  bool virtual_devices = false;
  Duration self_stop_ms;            // once it reports progress: without the scheduler and without progress for so long, it ends itself; 0 = it won't
  TimeoutsConfig timeouts;          // the cluster's
  std::vector<LocalDevice> local_devices;  // of the whole attempt on this node, where they are real; its agent fills them in
};
BOOST_DESCRIBE_STRUCT(LaunchSpec, (), (key, kind, cluster, node, spec, owner, allocation, job_allocation, array, submitted_ms, time_left_ms,
                                       environment, fabric_environment, memlock_bytes, hang, gang_secret, virtual_devices, self_stop_ms, timeouts, local_devices))

// ---- agent -> scheduler ------------------------------------------------------------------------------------------

/// One stay of a job on its nodes.
struct AttemptKey {
  JobId job;
  std::int64_t attempt = 1;
};
BOOST_DESCRIBE_STRUCT(AttemptKey, (), (job, attempt))

struct Hello {
  static constexpr const char* type = "hello";
  std::int64_t protocol = agent_protocol;
  std::string node;
  std::string boot_id;
  std::string agent_version;
  std::string address;
  DeviceSource source = DeviceSource::virtual_devices;
  std::vector<DeviceReport> devices;
  std::vector<GangKey> gangs;  // all that this agent knows; a GangReport of each follows
  std::optional<NodeFacts> facts;
  bool launches_as_owner = false;  // it is root; else it starts nobody's jobs but those of its own user
  std::string metrics;         // host:port where others reach its /metrics; "" = nowhere
  std::vector<AttemptKey> attempts;  // begun here, and the site's epilog has not run yet; those that are over are answered by AttemptOver
};
BOOST_DESCRIBE_STRUCT(Hello, (), (protocol, node, boot_id, agent_version, address, source, devices, gangs, facts, launches_as_owner, metrics, attempts))

struct Heartbeat {
  static constexpr const char* type = "heartbeat";
  std::int64_t sequence = 0;
  std::vector<DeviceReport> devices;
  std::optional<Time> clock_ms;  // the node's wall clock when this was sent: only to compare what nodes say of one instant
};
BOOST_DESCRIBE_STRUCT(Heartbeat, (), (sequence, devices, clock_ms))

/// Newest training progress of a gang, at most one message a second and node. Not durable.
struct Progress {
  static constexpr const char* type = "progress";
  GangKey key;
  std::int64_t rank = 0;
  std::int64_t step = 0;
  double loss = 0;
  double tokens_per_s = 0;
  std::int64_t tokens = 0;  // since the gang started, all ranks
  std::string phase;        // "" or what the program said last
  double flops_per_token = 0;  // as the rank said; 0 = it didn't
};
BOOST_DESCRIBE_STRUCT(Progress, (), (key, rank, step, loss, tokens_per_s, tokens, phase, flops_per_token))

/// A rank says that a checkpoint is complete. Repeated until CheckpointRecorded.
struct CheckpointReport {
  static constexpr const char* type = "checkpoint_report";
  GangKey key;
  std::int64_t step = 0;
  std::string path;
};
BOOST_DESCRIBE_STRUCT(CheckpointReport, (), (key, step, path))

/// An answer to LogRequest: a piece of one rank's output. `at_end`: nothing more will come for this request and rank. Rank -1 (only with
/// `error` and `at_end`): for every rank of the request, when the node no longer knows which they were.
struct LogChunk {
  static constexpr const char* type = "log_chunk";
  std::int64_t request = 0;
  std::int64_t rank = 0;
  std::string stream;       // out, err
  std::int64_t offset = 0;  // in bytes from the start of that stream
  std::string data_base64;
  bool at_end = false;
  std::string error;        // set: the log can't be read, and why
};
BOOST_DESCRIBE_STRUCT(LogChunk, (), (request, rank, stream, offset, data_base64, at_end, error))

/// A request to the HTTP API that reached this node's socket. `uid` and `user` are the kernel's word (SO_PEERCRED) as this agent passes it
/// on; the scheduler believes it because the agent proved the cluster secret. `request` is the agent's number, unique on its connection.
struct ApiRequest {
  static constexpr const char* type = "api_request";
  std::int64_t request = 0;
  std::int64_t uid = -1;
  std::string user;
  std::string method;                        // upper case
  std::string path;                          // decoded, without the query
  std::map<std::string, std::string> query;  // decoded
  std::string body;
};
BOOST_DESCRIBE_STRUCT(ApiRequest, (), (request, uid, user, method, path, query, body))

/// Whoever asked is gone, or reads too slowly: nothing more of this answer is wanted.
struct ApiCancel {
  static constexpr const char* type = "api_cancel";
  std::int64_t request = 0;
};
BOOST_DESCRIBE_STRUCT(ApiCancel, (), (request))

/// All that was sent of this answer has gone out to whoever asked: the moment to send more of something long.
struct ApiDrained {
  static constexpr const char* type = "api_drained";
  std::int64_t request = 0;
};
BOOST_DESCRIBE_STRUCT(ApiDrained, (), (request))

/// Something is wrong with this node that a person must look at: it is drained, with this reason. `requeue`: gangs that could not start because
/// of it, through no fault of their jobs; those go back into the queue.
struct NodeTrouble {
  static constexpr const char* type = "node_trouble";
  std::string reason;
  std::vector<GangKey> requeue;
};
BOOST_DESCRIBE_STRUCT(NodeTrouble, (), (reason, requeue))

using FromAgent =
    std::variant<Hello, Heartbeat, GangReport, Progress, CheckpointReport, LogChunk, ApiRequest, ApiCancel, ApiDrained, NodeTrouble, GangStillness>;

// ---- scheduler -> agent ------------------------------------------------------------------------------------------

/// Answer to Hello. `accepted` false: `error` says why, and the scheduler closes.
struct Welcome {
  static constexpr const char* type = "welcome";
  std::int64_t protocol = agent_protocol;
  bool accepted = true;
  std::string error;
  std::int64_t heartbeat_ms = 1000;
  NodeConfig node;
};
BOOST_DESCRIBE_STRUCT(Welcome, (), (protocol, accepted, error, heartbeat_ms, node))

struct Prepare {
  static constexpr const char* type = "prepare";
  LaunchSpec launch;
};
BOOST_DESCRIBE_STRUCT(Prepare, (), (launch))

struct Start {
  static constexpr const char* type = "start";
  GangKey key;
  std::vector<GangPeer> peers;  // in allocation order
};
BOOST_DESCRIBE_STRUCT(Start, (), (key, peers))

/// Stop every process of the gang: SIGTERM, then SIGKILL after `grace_ms`. A gang that is not known is answered as finished.
struct Stop {
  static constexpr const char* type = "stop";
  GangKey key;
  Duration grace_ms;
  std::int64_t request_signal = 0;  // 0 = SIGTERM at once; else this asks for a checkpoint, and SIGTERM follows a second Stop or half of the grace
};
BOOST_DESCRIBE_STRUCT(Stop, (), (key, grace_ms, request_signal))

/// Other nodes of this gang make no progress: look at the ranks of this one and say GangStillness, in any case.
struct Examine {
  static constexpr const char* type = "examine";
  GangKey key;
};
BOOST_DESCRIBE_STRUCT(Examine, (), (key))

/// How long the ranks of this gang may run in all, counted from their start: more, or less, than they were launched with. May be repeated.
struct TimeAllowed {
  static constexpr const char* type = "time_allowed";
  GangKey key;
  Duration time_ms;
};
BOOST_DESCRIBE_STRUCT(TimeAllowed, (), (key, time_ms))

/// The end of this gang is on disk at the scheduler: reports of it may stop. Its logs stay.
struct Forget {
  static constexpr const char* type = "forget";
  GangKey key;
};
BOOST_DESCRIBE_STRUCT(Forget, (), (key))

/// No gang of this attempt runs or will ever run again: what it keeps on this node beside its logs (its scratch folder) may go. For every node
/// of the attempt, also those that have forgotten all its gangs. Comes ahead of what may start on its devices, and may be repeated.
struct AttemptOver {
  static constexpr const char* type = "attempt_over";
  JobId job;
  std::int64_t attempt = 1;
};
BOOST_DESCRIBE_STRUCT(AttemptOver, (), (job, attempt))

/// For the terminal of a rank: what was typed, and the size of the window when it has changed. Lost when the gang isn't running.
struct TerminalInput {
  static constexpr const char* type = "terminal_input";
  GangKey key;
  std::string data_base64;
  std::optional<TerminalSize> size;
};
BOOST_DESCRIBE_STRUCT(TerminalInput, (), (key, data_base64, size))

struct CheckpointRecorded {
  static constexpr const char* type = "checkpoint_recorded";
  GangKey key;
  std::int64_t step = 0;
};
BOOST_DESCRIBE_STRUCT(CheckpointRecorded, (), (key, step))

/// Send the output of these ranks of this node (all of the node's ranks when empty); `follow`: until the gang is finished. `since_ms`: from
/// what was written at or after that moment of the node's clock (a whole second may come too early, never too late); 0 = everything.
struct LogRequest {
  static constexpr const char* type = "log_request";
  std::int64_t request = 0;
  GangKey key;
  std::vector<std::int64_t> ranks;
  bool follow = false;
  Time since_ms;
};
BOOST_DESCRIBE_STRUCT(LogRequest, (), (request, key, ranks, follow, since_ms))

struct LogCancel {
  static constexpr const char* type = "log_cancel";
  std::int64_t request = 0;
};
BOOST_DESCRIBE_STRUCT(LogCancel, (), (request))

/// An answer to ApiRequest, or its next piece: the first one carries status and type of content. Nothing comes after `at_end`.
struct ApiReply {
  static constexpr const char* type = "api_reply";
  std::int64_t request = 0;
  std::int64_t status = 200;
  std::string content_type = "application/json";
  std::string data_base64;
  bool at_end = false;
};
BOOST_DESCRIBE_STRUCT(ApiReply, (), (request, status, content_type, data_base64, at_end))

/// The answer to a Heartbeat.
struct Heard {
  static constexpr const char* type = "heard";
  std::int64_t sequence = 0;
};
BOOST_DESCRIBE_STRUCT(Heard, (), (sequence))

using ToAgent = std::variant<Welcome, Prepare, Start, Stop, Forget, CheckpointRecorded, LogRequest, LogCancel, ApiReply, AttemptOver, TerminalInput,
                             Examine, TimeAllowed, Heard>;

}  // namespace ultramarine::protocol
