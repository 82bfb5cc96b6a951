// See wait_words.h.
#include "scheduler/api/wait_words.h"

#include "scheduler/api/job_name.h"
#include "scheduler/api/phrases.h"
#include "scheduler/api/words.h"
#include "scheduler/core/lifecycle.h"

namespace ultramarine::api {
namespace {

/// "job 812 (train, lab-b, 8 GPUs)"
std::string job_with_gpus(JobId id, const State& state) {
  const auto job = state.jobs.find(id);
  if (job == state.jobs.end()) return "job " + std::to_string(id.value);
  return "job " + text_of(job->second) + " (" + job->second.spec.name + ", " + job->second.spec.account + ", " + gpus_in_words(total_gpus(job->second.spec.resources)) + ")";
}

/// Until when it had its GPUs, or may have them.
std::string until(JobId id, const State& state, Time now) {
  const auto job = state.jobs.find(id);
  if (job == state.jobs.end() || job->second.attempts.empty()) return "";
  const Attempt& attempt = job->second.attempts.back();
  if (attempt.ended_ms) return ", until " + when(*attempt.ended_ms, now);
  const Time most = attempt.started_ms.value_or(attempt.decided_ms) + core::time_limit(job->second, attempt);
  return most > now ? ", at most until " + when(most, now) : "";
}

std::string with_detail(const std::string& text, const std::string& detail) { return detail.empty() ? text : text + ": " + detail; }

/// Tenths of GPU-hours, rounded to the nearest.
std::string gpu_hours(std::int64_t gpu_ms) {
  constexpr std::int64_t tenth = 360'000;
  const std::int64_t tenths = (gpu_ms + tenth / 2) / tenth;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
}

constexpr std::size_t digest_digits = 8;

/// What nobody's job is to blame for.
std::string without_a_job(WaitCause cause, const std::string& detail) {
  switch (cause) {
    case WaitCause::running_job: return "jobs that held GPUs that it needed";
    case WaitCause::job_ahead: return "jobs ahead of it";
    case WaitCause::boost: return "jobs that were ahead of it by a boost";
    case WaitCause::shape: return "GPUs in the shape that it asks for: enough were free, but spread over nodes otherwise";
    case WaitCause::hold: return with_detail("a hold", detail);
    case WaitCause::dependency: return "jobs on which it depends";
    case WaitCause::array_limit: return "other elements of its array: no more of them might run at once";
    case WaitCause::begin_time: return "the time at which it was to begin";
    case WaitCause::restart_delay: return "the time until it was to be tried again after a failure";
    case WaitCause::limit: return detail.empty() ? "a limit" : "the limit of " + detail;
    case WaitCause::soft_cap: return detail.empty() ? "GPUs to borrow beyond a soft cap" : "GPUs that " + detail + " may only borrow";
    case WaitCause::reservation: return detail.empty() ? "nodes that were reserved" : "nodes that were reserved: " + detail;
    case WaitCause::nodes: return with_detail("nodes that were away", detail);
    case WaitCause::deadline: return "an earlier start, to end by its deadline";
    case WaitCause::impossible: return "a cluster that could run it";
    case WaitCause::scheduler: return detail.empty() ? "the scheduler itself" : "nobody knows what: this part was not recorded";
  }
  return "";
}

}  // namespace

std::string wait_in_words(const WaitPart& part, const State& state, Time now) {
  if (part.job.value == 0) return part.account.empty() ? without_a_job(part.cause, part.detail) : "other jobs of " + part.account + ": " + without_a_job(part.cause, "");
  const std::string who = job_with_gpus(part.job, state);
  switch (part.cause) {
    case WaitCause::running_job: return who + ", which held GPUs that it needed" + until(part.job, state, now);
    case WaitCause::boost: return who + ", which was ahead of it by boost " + std::to_string(part.bill) + until(part.job, state, now);
    case WaitCause::dependency: return who + ", on which it depends" + until(part.job, state, now);
    default: return who + ", which was ahead of it" + until(part.job, state, now);
  }
}

std::string certificate_in_words(const Certificate& certificate, Time now) {
  const std::string jobs = counted(certificate.overtaken, "job");
  if (certificate.later_ms.ms > 0) return "Started ahead of " + jobs + " and delayed them: this must not be, tell an administrator.";
  if (certificate.promised == 0) return "Started ahead of " + jobs + "; nobody ahead of it had a planned start.";
  const std::string hole = certificate.hole_until_ms ? "it fits in a hole until " + when(*certificate.hole_until_ms, now) : "its GPUs are promised to nobody ahead of it";
  return "Started ahead of " + jobs + " without delaying them: " + hole + "; their planned starts stayed (digest " +
         certificate.digest_before.substr(0, digest_digits) + " -> " + certificate.digest_after.substr(0, digest_digits) + ").";
}

std::string passed_in_words(const Passed& passed, const Certificate* last, const State& state, Time now) {
  const std::string times = counted(passed.times, "job");
  std::string text = times + " started ahead of it; the last was " + job_with_gpus(passed.last, state);
  if (!last || last->later_ms.ms > 0) return text + ".";
  text += last->hole_until_ms ? ", in a hole until " + when(*last->hole_until_ms, now) : ", on GPUs that are promised to nobody ahead of it";
  return text + "; its planned start stayed (digest " + last->digest_before.substr(0, digest_digits) + " -> " + last->digest_after.substr(0, digest_digits) + ").";
}

std::string row_in_words(const std::string& account, const protocol::WaitRow& row) {
  const std::string waited = account + " waited " + gpu_hours(row.gpu_ms) + " GPU-hours for ";
  if (row.for_account.empty()) return waited + without_a_job(row.cause, "") + ".";
  const std::string whom = row.for_account == account ? "jobs of its own" : row.for_account;
  return waited + whom + (row.boost_gpu_ms > 0 ? ", " + gpu_hours(row.boost_gpu_ms) + " of them by boosts." : ".");
}

}  // namespace ultramarine::api
