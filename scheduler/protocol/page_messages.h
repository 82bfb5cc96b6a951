// Bodies of the HTTP API that pages need beside all others: who they are shown to. What has changed they learn from a
// stream without a body.
//
//   GET  /v1/caller               CallerView       both doors
//   GET  /v1/events               text/event-stream: `changed`, {"revision": N}, when something was recorded; both doors
//   GET  /v1/history              ?before=N&limit=N -> PastList (socket only) what happened in the cluster
//   GET  /v1/jobs/ID/progress     ProgressList     (socket only) loss and throughput of a job over time
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/job.h"
#include "scheduler/model/progress.h"

namespace ultramarine::protocol {

/// Who asks, as the door knows him.
struct CallerView {
  bool identified = false;         // false: nobody knows; all else is then empty
  std::string user;
  std::vector<std::string> roles;  // of the cluster file's [roles]: user, lead, manager, admin, auditor
};
BOOST_DESCRIBE_STRUCT(CallerView, (), (identified, user, roles))

/// One thing that happened to a job, a node or the cluster as a whole.
struct PastView {
  std::int64_t sequence = 0;  // in the journal; several may share one
  Time at_ms;
  std::string type;            // as in the journal: job_submitted, start_job, node_drained ...
  std::string actor;           // who brought it about; "" = the scheduler
  std::optional<JobId> job;    // that it is about, also of an array its first
  std::string job_name;        // 12, or 12_3
  std::string label, account;  // of the job
  std::string node;            // that it is about
  std::string sentence;        // for people; of a job the same as in its own list
};
BOOST_DESCRIBE_STRUCT(PastView, (), (sequence, at_ms, type, actor, job, job_name, label, account, node, sentence))

struct PastList {
  Time now_ms;
  std::vector<PastView> events;        // newest first
  std::optional<std::int64_t> before;  // what to ask for next; absent: the journal begins here
};
BOOST_DESCRIBE_STRUCT(PastList, (), (now_ms, events, before))

/// At most 512 points and the newest, evenly thinned out; in memory only, from the start of the scheduler on.
struct ProgressList {
  Time now_ms;
  JobId job;
  std::string name;                   // 12, or 12_3
  std::vector<ProgressPoint> points;  // in the order of time
};
BOOST_DESCRIBE_STRUCT(ProgressList, (), (now_ms, job, name, points))

}  // namespace ultramarine::protocol
