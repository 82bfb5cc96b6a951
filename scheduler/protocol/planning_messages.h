// Bodies of the questions that go to the planner with one input changed, and of the favours that such a question prices.
//
//   GET  /v1/jobs/ID/why          WhyReply                              (socket only) what keeps a job waiting, and what would let it start sooner
//   POST /v1/jobs/ID/edit         JobChange -> JobView                  (socket only; owner, lead, admin) a waiting job; it keeps its age
//   POST /v1/whatif               WhatIfRequest -> WhatIfReply          (socket only) nothing is changed
//   POST /v1/favours              FavourRequest -> FavourReply          (socket only) without `token`: the bill; with it: granted
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/bill.h"
#include "scheduler/model/event.h"
#include "scheduler/model/plan.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::protocol {

/// A job that holds what another waits for, or will before it. `priority`: where jobs are ordered by it, of one that waits.
struct JobInTheWay {
  JobId job;
  std::string name, user, account;
  std::int64_t gpus = 0;
  bool runs = false;
  std::optional<Time> start_ms, end_ms;  // of one that waits: as planned; the end of one that runs at the latest
  std::optional<PriorityOfJob> priority;
  std::string sentence;                  // for people
};
BOOST_DESCRIBE_STRUCT(JobInTheWay, (), (job, name, user, account, gpus, runs, start_ms, end_ms, priority, sentence))

/// One change that was tried on the plan. `number` counts from 1: `ultra why JOB --apply 1`.
struct WayView {
  std::int64_t number = 0;
  JobChange change;
  Time start_ms;
  Duration sooner_ms;          // than planned; 0: there was no planned start
  bool is_suggestion = false;  // fewer GPUs than the job said that its program can run on
  std::vector<MovedStart> delayed;
  std::int64_t displaced_gpu_ms = 0;
  std::string sentence;
};
BOOST_DESCRIBE_STRUCT(WayView, (), (number, change, start_ms, sooner_ms, is_suggestion, delayed, displaced_gpu_ms, sentence))

struct WhyReply {
  Time now_ms;
  JobId job;
  std::string name;                       // 12, or 12_3
  JobState state = JobState::queued;
  std::string why;                        // the short form: one or two sentences
  std::optional<PlannedJob> planned;      // while it waits
  std::int64_t ahead = 0;                 // jobs ahead of it in the order
  std::vector<JobInTheWay> in_the_way;    // what it waits for, first that which ends first; at most 10
  std::optional<PriorityOfJob> priority;  // its own
  std::vector<std::string> reasons;       // all that keeps it, in order, a sentence each: jobs, limits, reservation, shape, favours to others
  std::vector<WayView> ways;              // at most five
  std::string no_way;                     // when there is none: why, in one sentence
};
BOOST_DESCRIBE_STRUCT(WhyReply, (), (now_ms, job, name, state, why, planned, ahead, in_the_way, priority, reasons, ways, no_way))

/// What is to be tried. Exactly one of them is given.
struct WhatIfRequest {
  std::optional<SubmitRequest> submit;
  std::string boost, cancel;              // a job: 12, 12_3
  std::string drain;                      // nodes, also as a hostlist
  std::int64_t add_nodes = 0;             // like the cluster's last
  std::optional<PolicyConfig> policy;
};
BOOST_DESCRIBE_STRUCT(WhatIfRequest, (), (submit, boost, cancel, drain, add_nodes, policy))

/// What a change means for one account.
struct AccountChange {
  std::string account;
  std::int64_t jobs_delayed = 0, jobs_helped = 0;
  std::int64_t displaced_gpu_ms = 0, gained_gpu_ms = 0;  // GPUs x delay, GPUs x gain
  std::int64_t share_before_permille = 0, share_after_permille = 0;  // of all that is held in the seven days to come
};
BOOST_DESCRIBE_STRUCT(AccountChange, (), (account, jobs_delayed, jobs_helped, displaced_gpu_ms, gained_gpu_ms, share_before_permille, share_after_permille))

struct WhatIfReply {
  Time now_ms;
  std::vector<std::string> sentences;     // what would be so, for people
  std::optional<PlannedJob> before, after;  // of the job that it is about; `before` is absent for one to be submitted
  std::vector<MovedStart> delayed, helped;
  std::int64_t displaced_gpu_ms = 0;
  std::vector<AccountChange> accounts;
  std::vector<std::string> warnings;      // of a submission
};
BOOST_DESCRIBE_STRUCT(WhatIfReply, (), (now_ms, sentences, before, after, delayed, helped, displaced_gpu_ms, accounts, warnings))

/// A change by hand in favour of somebody. `token`: of the bill that was shown for the same request.
struct FavourRequest {
  Favour favour = Favour::boost;
  std::string job;                      // boost, hold, cancel, requeue, extend
  std::optional<Duration> time_ms;      // boost: how long it lasts at most (24h); extend: so much longer
  std::optional<ReservationRequest> reservation;  // reserve
  std::string reason;
  std::string token;
};
BOOST_DESCRIBE_STRUCT(FavourRequest, (), (favour, job, time_ms, reservation, reason, token))

/// What a manager may displace by boosts in this month.
struct BudgetView {
  std::int64_t gpu_hours = 0;
  std::int64_t spent_gpu_ms = 0;
  Time until_ms;  // when the next month begins
};
BOOST_DESCRIBE_STRUCT(BudgetView, (), (gpu_hours, spent_gpu_ms, until_ms))

struct FavourReply {
  Time now_ms;
  Bill bill;                            // `bill.bill` is 0 until it is granted
  bool granted = false;
  std::string token;                    // to grant it; until it is
  Time token_until_ms;
  std::optional<BudgetView> budget;     // of who asks, where he has one
  std::vector<std::string> sentences;   // the bill for people
};
BOOST_DESCRIBE_STRUCT(FavourReply, (), (now_ms, bill, granted, token, token_until_ms, budget, sentences))

}  // namespace ultramarine::protocol
