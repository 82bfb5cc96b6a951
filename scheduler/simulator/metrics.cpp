// See metrics.h.
#include "scheduler/simulator/metrics.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

namespace ultramarine::simulator {
namespace {

constexpr double shortest_run_s = 10;

double in_seconds(std::int64_t ms) { return static_cast<double>(ms) / 1000; }

double turnaround_s(const TraceJob& row, const JobOutcome& job) { return in_seconds(job.end->ms - row.submit_s * 1000); }

double mean(const std::vector<double>& values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Distribution distribution(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  if (values.empty()) return {};
  return {mean(values), percentile(values, 50), percentile(values, 95), percentile(values, 99), values.back()};
}

/// GPU-seconds of jobs that ran between `from` and `to`.
double held_gpu_s(const std::vector<Load>& load, Time from, Time to) {
  double sum = 0;
  for (std::size_t index = 0; index < load.size(); ++index) {
    const Time begin = std::max(load[index].at, from), end = index + 1 < load.size() ? std::min(load[index + 1].at, to) : to;
    if (begin < end) sum += static_cast<double>(load[index].gpus) * in_seconds((end - begin).ms);
  }
  return sum;
}

double jains_index(const std::vector<double>& values) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  const double squares = std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
  return sum * sum / (static_cast<double>(values.size()) * squares);
}

}  // namespace

double wait_s(const TraceJob& row, const JobOutcome& job) { return turnaround_s(row, job) - static_cast<double>(run_s(row)); }

double bounded_slowdown(const TraceJob& row, const JobOutcome& job) {
  return std::max(1.0, turnaround_s(row, job) / std::max(static_cast<double>(run_s(row)), shortest_run_s));
}

double percentile(const std::vector<double>& values, std::int64_t percent) {
  if (values.empty()) return 0;
  const auto rank = (static_cast<std::int64_t>(values.size()) * percent + 99) / 100;
  return values[static_cast<std::size_t>(std::max<std::int64_t>(rank, 1) - 1)];
}

const std::vector<SizeBounds>& size_classes() {
  static const std::vector<SizeBounds> all{{"1", 0, 1}, {"2-8", 2, 8}, {"9-64", 9, 64}, {"65+", 65, std::numeric_limits<std::int64_t>::max()}};
  return all;
}

namespace {

std::optional<Trials> trials_of(const Trace& trace, const Replay& replay) {
  Trials trials;
  std::vector<double> first_outputs, known, waits_of_others;
  for (const JobOutcome& job : replay.jobs) {
    if (!job.end) continue;
    const TraceJob& row = trace.jobs[job.row];
    trials.trials += job.tried ? 1 : 0;
    trials.wasted_gpu_h += in_seconds(job.wasted_gpu_ms) / 3600;
    if (job.first_output) first_outputs.push_back(in_seconds(job.first_output->ms - row.submit_s * 1000));
    if (!job.failed) {
      waits_of_others.push_back(wait_s(row, job));
      continue;
    }
    ++trials.failed_early;
    trials.failed_in_trial += job.tried && job.attempts == 1 ? 1 : 0;
    known.push_back(turnaround_s(row, job));
  }
  if (trials.trials == 0 && trials.failed_early == 0) return std::nullopt;
  trials.first_output_s = distribution(std::move(first_outputs));
  trials.known_s = distribution(std::move(known));
  trials.wait_of_others_s = distribution(std::move(waits_of_others));
  return trials;
}

}  // namespace

Summary summarize(const std::string& policy, const Trace& trace, const Replay& replay) {
  Summary summary;
  summary.policy = policy;
  summary.refused = static_cast<std::int64_t>(replay.refused.size());
  for (const SlipsOfCause& counted : replay.slips) {
    const SlipTotal total{counted.slips, in_seconds(counted.later.ms)};
    if (counted.cause == core::SlipCause::overtaken) summary.harm = total;
    else summary.slips.emplace(boost::describe::enum_to_string(counted.cause, ""), total);
  }
  std::vector<double> waits, turnarounds, slowdowns, first_waits;
  std::map<std::string, std::vector<double>> slowdowns_of_account;
  std::vector<std::pair<std::vector<double>, std::vector<double>>> of_size(size_classes().size());
  Time first_submit{std::numeric_limits<std::int64_t>::max()}, last_submit, last_end;
  double work_gpu_s = 0;
  for (const JobOutcome& job : replay.jobs) {
    if (!job.end) {
      ++summary.never_ran;
      continue;
    }
    const TraceJob& row = trace.jobs[job.row];
    const Time submit{row.submit_s * 1000};
    first_submit = std::min(first_submit, submit);
    last_submit = std::max(last_submit, submit);
    last_end = std::max(last_end, *job.end);
    if (!job.failed) work_gpu_s += static_cast<double>(row.gpus) * static_cast<double>(row.runtime_s);
    summary.preemptions += job.preemptions;
    waits.push_back(wait_s(row, job));
    turnarounds.push_back(turnaround_s(row, job));
    slowdowns.push_back(bounded_slowdown(row, job));
    first_waits.push_back(in_seconds((*job.first_start - submit).ms));
    if (!row.account.empty()) slowdowns_of_account[row.account].push_back(slowdowns.back());
    for (std::size_t index = 0; index < of_size.size(); ++index) {
      if (row.gpus < size_classes()[index].least || row.gpus > size_classes()[index].most) continue;
      of_size[index].first.push_back(waits.back());
      of_size[index].second.push_back(slowdowns.back());
    }
  }
  summary.jobs = static_cast<std::int64_t>(waits.size());
  summary.trials = trials_of(trace, replay);
  if (waits.empty()) return summary;
  summary.wait_s = distribution(waits);
  summary.turnaround_s = distribution(turnarounds);
  summary.bounded_slowdown = distribution(slowdowns);
  summary.first_wait_s_mean = mean(first_waits);
  summary.makespan_s = in_seconds((last_end - first_submit).ms);
  const auto gpus = static_cast<double>(replay.cluster_gpus);
  if (last_end > first_submit) summary.utilization = work_gpu_s / (gpus * summary.makespan_s);
  if (last_submit > first_submit)
    summary.utilization_while_jobs_arrive = held_gpu_s(replay.load, first_submit, last_submit) / (gpus * in_seconds((last_submit - first_submit).ms));
  if (!slowdowns_of_account.empty()) {
    std::vector<double> means;
    for (const auto& [account, values] : slowdowns_of_account) means.push_back(mean(values));
    summary.fairness = jains_index(means);
  }
  for (std::size_t index = 0; index < of_size.size(); ++index) {
    const auto& [size_waits, size_slowdowns] = of_size[index];
    if (!size_waits.empty())
      summary.sizes.push_back({size_classes()[index].gpus, static_cast<std::int64_t>(size_waits.size()), distribution(size_waits), distribution(size_slowdowns)});
  }
  return summary;
}

}  // namespace ultramarine::simulator
