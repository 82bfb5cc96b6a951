// Bodies of the HTTP API. What a client sends is decoded strictly (unknown fields are errors), what it receives leniently.
//
//   POST /v1/jobs                 SubmitRequest -> SubmitReply          (Unix socket only: identity from SO_PEERCRED)
//   POST /v1/jobs/check           SubmitRequest -> CheckReply           (socket only) what would become of it now; nothing is kept
//   GET  /v1/jobs?state=&user=&account=&all=1   JobList                 (without identity: no user names beyond accounts, no commands or paths)
//   GET  /v1/jobs/ID              JobView                               (socket only)
//   GET  /v1/jobs/ID/wait?timeout_ms=   JobView, once the job has ended or the time is over (at most 60 s; ask again)   (socket only)
//   POST /v1/jobs/ID/cancel       {} -> JobView                         (socket only; owner or admin)
//   POST /v1/jobs/ID/requeue      {} -> JobView                         (socket only; owner or admin)
//   POST /v1/jobs/ID/hold         HoldRequest -> JobView                (socket only; owner or admin)
//   POST /v1/jobs/reorder         ReorderRequest -> JobList             (socket only; owner or admin) 409 when somebody else would start later
//   POST /v1/jobs/ID/release      {} -> JobView                         (socket only; owner or admin; an admin's hold: admin)
//   GET  /v1/jobs/ID/logs?rank=N&follow=1&since_ms=   one LogLine JSON per line, chunked    (socket only; owner or admin)
//   GET  /v1/jobs/ID/events       EventList                             (socket only)
//   POST /v1/jobs/ID/gangs        GangRequest -> GangReply              (socket only; owner, while the job runs)
//   POST /v1/jobs/ID/gangs/N/input InputRequest -> GangView             (socket only; owner, for a gang with a terminal)
//   GET  /v1/jobs/ID/gangs/N/wait?timeout_ms=   GangView, once the gang has finished or the time is over     (socket only)
//   GET  /v1/jobs/ID/gangs/N/logs?rank=N&follow=1&since_ms=   as above            (socket only; owner or admin)
//   POST /v1/jobs/ID/gangs/N/stop {} -> GangView                        (socket only; owner or admin)
//   GET  /v1/priorities?user=&account=        PriorityList               (socket only)
//   GET  /v1/shares?user=&account=            ShareList                  (socket only)
//   GET  /v1/openapi.json         the description of all this, generated from these types
// ID is a job, or ARRAY_INDEX (12_3) for an element of an array; the number of an array alone means all its elements (show, wait, cancel, requeue,
// hold, release, events), and nowhere else.
//   POST /v1/reload               ReloadRequest -> ReloadReply          (socket only; admin) the cluster file and the policy, anew
//   POST /v1/shutdown             ShutdownRequest -> {}                 (socket only; the user who runs the scheduler, or admin) stops deciding, with
//                                 `requeue` stops running jobs and queues them again, then the daemon exits; 409 when jobs run without it
//   GET  /v1/nodes                NodeList
//   POST /v1/nodes/drain          DrainRequest -> NodeList              (socket only; admin)
//   POST /v1/nodes/lost           LossRequest -> NodeList               (socket only; admin) 409 when one of them answers
//   POST /v1/nodes/resume         ResumeRequest -> NodeList             (socket only; admin)
//   GET  /v1/reservations         ReservationList                       (socket only)
//   POST /v1/reservations         ReservationRequest -> ReservationReply         (socket only; admin)
//   POST /v1/reservations/cancel  ReservationCancelRequest -> ReservationReply   (socket only; admin)
//   GET  /v1/cluster              ClusterView
//   GET  /livez /readyz           text;  GET /metrics  Prometheus text
// Every error has the body ErrorReply and one of: 400 bad request, 403 not permitted, 404 not found, 409 conflict, 413 too large,
// 421 wrong Host, 503 not ready.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/gang_report.h"
#include "scheduler/model/job.h"
#include "scheduler/model/node.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/priority.h"
#include "scheduler/model/reservation.h"

namespace ultramarine::protocol {

/// Stable words that scripts may test: bad_request, not_permitted, not_found, conflict, impossible (the cluster can never run it), not_ready.
struct ErrorReply {
  std::string code;
  std::string field;    // path of the wrong field, "" when no single one is to blame
  std::string message;  // what is wrong
  std::string remedy;   // what to do about it
  std::string request;  // id of the request, also in the daemon's log
};
BOOST_DESCRIBE_STRUCT(ErrorReply, (), (code, field, message, remedy, request))

struct SubmitRequest {
  JobSpec spec;
  std::map<std::string, std::string> environment;
  std::string request_key;  // the same key from the same user gives the same job
  std::vector<std::int64_t> array_indices;  // not empty: one job each, at most 10,000
  std::int64_t array_limit = 0;             // how many of them may run at once; 0 = all
};
BOOST_DESCRIBE_STRUCT(SubmitRequest, (), (spec, environment, request_key, array_indices, array_limit))

/// Of an array `job` is the first element, and its name. `warnings`: one sentence each, for people (names that were mapped).
struct SubmitReply {
  JobId job;
  std::int64_t count = 1;
  std::vector<std::string> warnings;
};
BOOST_DESCRIBE_STRUCT(SubmitReply, (), (job, count, warnings))

/// What would become of a submission now. Nothing is kept of it.
struct CheckReply {
  JobSpec spec;                // as it would be accepted: account, partition, qos, time limit filled in
  std::int64_t count = 1;      // jobs: elements of an array
  std::int64_t gpus = 0;       // of each
  PlannedJob planned;          // of the first
  std::string why;             // it would wait, in one or two sentences
  std::vector<std::string> warnings;
};
BOOST_DESCRIBE_STRUCT(CheckReply, (), (spec, count, gpus, planned, why, warnings))

/// `ultra run` inside a running job. The environment is the caller's.
struct GangRequest {
  GangSpec spec;
  std::map<std::string, std::string> environment;
};
BOOST_DESCRIBE_STRUCT(GangRequest, (), (spec, environment))

/// For the terminal of a gang of one process: bytes that were typed, a new size of its window, or both.
struct InputRequest {
  std::string data_base64;
  std::optional<TerminalSize> size;
};
BOOST_DESCRIBE_STRUCT(InputRequest, (), (data_base64, size))

struct GangReply {
  std::int64_t gang = 0;
  std::int64_t attempt = 1;
};
BOOST_DESCRIBE_STRUCT(GangReply, (), (gang, attempt))

/// A gang and what a shell would say of it.
struct GangView {
  Gang details;
  std::int64_t attempt = 1;
  std::optional<std::int64_t> exit_code;  // once finished: 0, or the code of the rank that failed first (128 + signal); of a gang that was
                                          // stopped the highest of its ranks; 125: our system failed it
};
BOOST_DESCRIBE_STRUCT(GangView, (), (details, attempt, exit_code))

/// One thing that happened to a job, in order.
struct EventView {
  std::int64_t sequence = 0;  // in the journal
  Time at_ms;
  std::string type;           // as in the journal: job_submitted, start_job, gang_started ...
  std::string actor;          // who brought it about; "" = the scheduler
  std::string sentence;       // for people
};
BOOST_DESCRIBE_STRUCT(EventView, (), (sequence, at_ms, type, actor, sentence))

struct EventList {
  std::vector<EventView> events;
};
BOOST_DESCRIBE_STRUCT(EventList, (), (events))

struct ShutdownRequest {
  bool requeue = false;
};
BOOST_DESCRIBE_STRUCT(ShutdownRequest, (), (requeue))

struct HoldRequest {
  std::string reason;  // for people; may be left out
};
BOOST_DESCRIBE_STRUCT(HoldRequest, (), (reason))

/// Jobs that wait, by name (12, 12_3): the first is to have the foremost of their places, and so on.
struct ReorderRequest {
  std::vector<std::string> jobs;
};
BOOST_DESCRIBE_STRUCT(ReorderRequest, (), (jobs))

/// With `check` nothing is changed.
struct ReloadRequest {
  bool check = false;
};
BOOST_DESCRIBE_STRUCT(ReloadRequest, (), (check))

/// What the files change (with `check`: would change), one line each, for people.
struct ReloadReply {
  std::vector<std::string> changes;
};
BOOST_DESCRIBE_STRUCT(ReloadReply, (), (changes))

/// Names of nodes, or hostlists: node[01-04].
struct DrainRequest {
  std::vector<std::string> nodes;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(DrainRequest, (), (nodes, reason))

/// Names of unreachable nodes, or hostlists.
struct LossRequest {
  std::vector<std::string> nodes;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(LossRequest, (), (nodes, reason))

struct ResumeRequest {
  std::vector<std::string> nodes;
};
BOOST_DESCRIBE_STRUCT(ResumeRequest, (), (nodes))

/// Nodes (names or hostlists) kept for accounts from start to end; with `maintenance` for nobody.
struct ReservationRequest {
  std::string name;
  std::vector<std::string> nodes;
  std::vector<std::string> accounts;
  bool maintenance = false;
  Time start_ms, end_ms;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(ReservationRequest, (), (name, nodes, accounts, maintenance, start_ms, end_ms, reason))

struct ReservationCancelRequest {
  std::string name;
};
BOOST_DESCRIBE_STRUCT(ReservationCancelRequest, (), (name))

/// `warnings`: one sentence each, for people.
struct ReservationReply {
  Reservation reservation;
  std::vector<std::string> warnings;
};
BOOST_DESCRIBE_STRUCT(ReservationReply, (), (reservation, warnings))

struct ReservationList {
  Time now_ms;
  std::vector<Reservation> reservations;  // by start
};
BOOST_DESCRIBE_STRUCT(ReservationList, (), (now_ms, reservations))

/// Newest training progress; absent when the program never said any.
struct ProgressView {
  std::int64_t step = 0;
  double loss = 0;
  double tokens_per_s = 0;
  std::int64_t tokens = 0;
  std::string phase;
};
BOOST_DESCRIBE_STRUCT(ProgressView, (), (step, loss, tokens_per_s, tokens, phase))

/// All elements of an array by their state: the words of JobState -> indices, ascending.
struct ArrayView {
  std::int64_t count = 0;
  std::map<std::string, std::vector<std::int64_t>> states;
};
BOOST_DESCRIBE_STRUCT(ArrayView, (), (count, states))

/// What a waiting job's place in the order is made of: the same numbers as in PriorityList.
struct PriorityOfJob {
  JobPriority details;
  PriorityFactors weights;
  Time tick_ms;                        // when the numbers were taken; they stay until the next tick
  std::optional<Duration> max_age_ms;  // who has waited so long is ahead of all who have not; absent: nobody is for that
};
BOOST_DESCRIBE_STRUCT(PriorityOfJob, (), (details, weights, tick_ms, max_age_ms))

/// A job with what is derived from state, plan and liveness. Of a whole array (`array` set): its first element with the state of all (ended only
/// when every element has), without attempts, and the highest exit code.
struct JobView {
  Job details;                          // on loopback TCP: owner, command, folder and environment names are blank; lists hold neither a script's text nor names of variables
  std::int64_t gpus = 0;
  std::optional<PlannedJob> planned;    // while queued
  std::string why;                      // while queued: the reason in one sentence
  std::optional<PriorityOfJob> priority;  // of one job, while queued, if the policy orders by it; not in lists
  std::optional<ProgressView> progress; // while running
  std::map<std::string, std::vector<std::int64_t>> pids;  // node -> pids by local rank, while running
  std::optional<std::int64_t> exit_code;  // of the job as a shell would see it (128 + signal), once ended; 125: our system failed it
  std::optional<ArrayView> array;
};
BOOST_DESCRIBE_STRUCT(JobView, (), (details, gpus, planned, why, priority, progress, pids, exit_code, array))

struct JobList {
  Time now_ms;
  std::vector<JobView> jobs;  // running first, then queued in the order of the plan, then ended ones, newest first
};
BOOST_DESCRIBE_STRUCT(JobList, (), (now_ms, jobs))

/// A queued job and what it is ordered by.
struct PriorityView {
  std::string name;           // 12, or 12_3
  std::int64_t position = 0;  // in the order of the plan, from 1
  std::string user, account, partition, qos;
  JobPriority details;
};
BOOST_DESCRIBE_STRUCT(PriorityView, (), (name, position, user, account, partition, qos, details))

struct PriorityList {
  Time now_ms;
  Time tick_ms;             // when the numbers were taken; they stay until the next tick
  std::string order;        // the policy's: only with multifactor are jobs ordered by these numbers
  PriorityFactors weights;
  Duration max_age_ms;
  std::vector<PriorityView> jobs;  // first those that are served first
};
BOOST_DESCRIBE_STRUCT(PriorityList, (), (now_ms, tick_ms, order, weights, max_age_ms, jobs))

struct ShareList {
  Time now_ms;
  Time tick_ms;
  Duration half_life_ms;
  std::vector<AccountShare> shares;  // root first, each account before what is under it
};
BOOST_DESCRIBE_STRUCT(ShareList, (), (now_ms, tick_ms, half_life_ms, shares))

struct NodeView {
  Node node;
  DeviceSource source = DeviceSource::virtual_devices;
  std::int64_t allocated = 0;
  std::vector<std::optional<JobId>> device_jobs;  // by device
  std::vector<std::int64_t> device_utilization_permille;
  std::vector<DeviceReport> devices;  // as its agent said it last; while it is connected
  Duration heartbeat_age_ms;
  std::optional<NodeFacts> facts;  // what its agent said when it connected; only for callers with identity
  Time facts_heard_ms;             // our clock when it said so: the two clocks differ by this minus facts.clock_ms, and the way
};
BOOST_DESCRIBE_STRUCT(NodeView, (), (node, source, allocated, device_jobs, device_utilization_permille, devices, heartbeat_age_ms, facts, facts_heard_ms))

struct NodeList {
  Time now_ms;
  std::vector<NodeView> nodes;
};
BOOST_DESCRIBE_STRUCT(NodeList, (), (now_ms, nodes))

/// Addresses of /metrics that belong together, as http_sd_configs of Prometheus takes them.
struct PrometheusTargets {
  std::vector<std::string> targets;           // host:port
  std::map<std::string, std::string> labels;  // of each series from there: job; instance where it is a node's name
};
BOOST_DESCRIBE_STRUCT(PrometheusTargets, (), (targets, labels))

struct ClusterView {
  std::string name;
  std::string version;
  Time now_ms;
  Time started_ms;
  std::string policy;
  std::int64_t nodes = 0, nodes_up = 0;
  std::int64_t gpus = 0, gpus_allocated = 0, gpus_idle = 0, gpus_down = 0;
  std::int64_t jobs_queued = 0, jobs_running = 0, jobs_ended = 0;  // running: all that hold devices
  bool virtual_devices = false;
  std::string state_hash;
  std::int64_t journal_sequence = 0;
  std::string http;    // where the API without identity really listens; "" = nowhere
  std::string agents;  // where agents connect
  std::string time_zone = "UTC";  // of its months, and of its clocks
};
BOOST_DESCRIBE_STRUCT(ClusterView, (), (name, version, now_ms, started_ms, policy, nodes, nodes_up, gpus, gpus_allocated, gpus_idle, gpus_down,
                                        jobs_queued, jobs_running, jobs_ended, virtual_devices, state_hash, journal_sequence, http, agents, time_zone))

/// A piece of output, in order within each rank and stream.
struct LogLine {
  std::int64_t rank = 0;
  std::string stream;  // out, err
  std::string data_base64;
  std::string error;
};
BOOST_DESCRIBE_STRUCT(LogLine, (), (rank, stream, data_base64, error))

}  // namespace ultramarine::protocol
