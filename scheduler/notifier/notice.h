// What is told: an occasion with all facts of its job, as they were then, so that it can be worded and sent long after.
// Plain values, and the pure functions that make them. Doesn't know who gets it and how.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>

#include "scheduler/model/bill.h"
#include "scheduler/notifier/occasions.h"

namespace ultramarine::notifier {

struct NoticeJob {
  std::int64_t id = 0;
  std::string number;  // as people name it: 17, or 17_3 for an element of array 17
  std::string name, account, partition, owner;
  JobState state = JobState::queued;
  std::optional<Outcome> outcome;         // of the attempt that it is about
  std::optional<std::int64_t> exit_code;  // as a shell would see it; absent while the job goes on
  std::string reason;                     // why it ended so, in words; "" = for no other reason than that it was done
  std::int64_t attempt = 0, gpus = 0;
  std::string nodes;  // node[01-02]
  Time submitted_ms;
  std::optional<Time> started_ms, ended_ms;
  Duration time_limit_ms;
  std::int64_t held_gpu_ms = 0;            // by all of its attempts so far
  std::optional<std::int64_t> cost_milli;  // thousandths of `currency`; absent: the cluster has no prices
  std::string currency;
};
BOOST_DESCRIBE_STRUCT(NoticeJob, (),
                      (id, number, name, account, partition, owner, state, outcome, exit_code, reason, attempt, gpus,
                       nodes, submitted_ms, started_ms, ended_ms, time_limit_ms, held_gpu_ms, cost_milli, currency))

/// Of a notice about a whole array: how many of its jobs have come to what.
struct NoticeArray {
  std::int64_t count = 0, completed = 0, failed = 0, cancelled = 0;
};
BOOST_DESCRIBE_STRUCT(NoticeArray, (), (count, completed, failed, cancelled))

/// Whose favour moved the planned start, and by how much.
struct NoticeDelay {
  std::int64_t bill = 0;
  Favour favour = Favour::boost;
  std::string job;  // that the favour was for; "" = none
  std::string actor, reason, detail;
  std::optional<Time> before_ms, after_ms;
};
BOOST_DESCRIBE_STRUCT(NoticeDelay, (), (bill, favour, job, actor, reason, detail, before_ms, after_ms))

struct Notice {
  std::string id;  // the same whenever it is sent: receivers drop what they have had
  NotificationEvent event = NotificationEvent::begin;
  std::string cluster;
  Time time_ms;
  std::string time;  // the same as RFC 3339 has it
  std::string text;  // one sentence for people
  NoticeJob job;
  std::optional<NoticeArray> array;
  std::optional<NoticeDelay> delay;
  std::optional<Failure> failure;
};
BOOST_DESCRIBE_STRUCT(Notice, (), (id, event, cluster, time_ms, time, text, job, array, delay, failure))

/// `state` is the one of the occasion. `text`, `time` and the job's `reason` are left for whoever words it.
Notice notice_of(const Occasion& occasion, const State& state);

}  // namespace ultramarine::notifier
