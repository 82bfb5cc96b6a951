// Bodies of the HTTP API about what jobs waited for (socket only; any identified user sees them, because everybody waits for others).
//   GET  /v1/jobs/ID/waits             WaitsOfJob
//   GET  /v1/waits?account=&month=     WaitRollUp
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/certificate.h"
#include "scheduler/model/job.h"
#include "scheduler/model/wait.h"

namespace ultramarine::protocol {

/// A part of a wait, and what it was in words.
struct WaitLine {
  WaitPart details;
  std::string text;
};
BOOST_DESCRIBE_STRUCT(WaitLine, (), (details, text))

/// What a job has waited for, over all its stays in the queue. The parts sum to the wait, to the millisecond.
struct WaitsOfJob {
  JobId job;
  std::string name;     // as people write it: 12, or 12_3 for an element of an array
  std::string account;
  std::int64_t gpus = 0;
  JobState state = JobState::queued;
  Time until_ms;        // as of then
  Duration wait_ms;
  std::vector<WaitLine> parts;  // longest first
  std::optional<Certificate> certificate;  // it started ahead of others, and why that harmed none of them
  std::vector<std::string> overtaking;     // whom it passed, and who passed it, in words
};
BOOST_DESCRIBE_STRUCT(WaitsOfJob, (), (job, name, account, gpus, state, until_ms, wait_ms, parts, certificate, overtaking))

/// GPU time that an account's jobs waited for the same: for another account's jobs (or for its own), or for what the cause says.
struct WaitRow {
  std::string for_account;  // "" = for no job; then the cause says for what
  WaitCause cause = WaitCause::scheduler;  // without an account
  std::int64_t gpu_ms = 0;  // GPUs asked for x wait
  std::int64_t boost_gpu_ms = 0;  // of that, for jobs that were ahead by a boost alone
};
BOOST_DESCRIBE_STRUCT(WaitRow, (), (for_account, cause, gpu_ms, boost_gpu_ms))

struct WaitsOfAccount {
  std::string account;
  std::int64_t jobs = 0;    // that waited at all
  std::int64_t gpu_ms = 0;  // the sum of the rows, and of what its jobs waited x the GPUs that they asked for
  std::vector<WaitRow> rows;      // most first
  std::vector<std::string> text;  // the same in words, one sentence a row
};
BOOST_DESCRIBE_STRUCT(WaitsOfAccount, (), (account, jobs, gpu_ms, rows, text))

/// Account against account: who waited for whom. A job counts in the month in which its wait was over, one that still waits in the current month.
struct WaitRollUp {
  Time now_ms;
  std::string month;  // 2026-11
  std::vector<WaitsOfAccount> accounts;  // by name
};
BOOST_DESCRIBE_STRUCT(WaitRollUp, (), (now_ms, month, accounts))

}  // namespace ultramarine::protocol
