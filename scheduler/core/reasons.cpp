// See reasons.h.
#include "scheduler/core/reasons.h"

#include <algorithm>

#include "scheduler/core/calendar.h"
#include "scheduler/core/shape.h"

namespace ultramarine::core {
namespace {

constexpr std::size_t waits_for_max = 5;

}  // namespace

PlannedJob Reasons::first_line(const Candidate& waits) const {
  PlannedJob line;
  line.job = waits.job->job;
  line.position = static_cast<std::int64_t>(waits.position) + 1;
  line.reason.gpus_asked = total_gpus(waits.job->spec.resources);
  if (waits.view)
    for (std::size_t index = 0; index < waits.view->nodes.size(); ++index) line.reason.gpus_free += free_in(*waits.view, index, waits.job->spec);
  return line;
}

/// How many devices of its nodes[index] a job of the class could use now.
std::int64_t Reasons::free_in(const ClassView& view, std::size_t index, const JobSpec& spec) const {
  return std::min(rooms_.free(view.nodes[index], needs_of(spec)), view.devices[index]);
}

void Reasons::explain(const Candidate& waits, Reason& reason) const {
  const ClassView& view = *waits.view;
  std::vector<std::int64_t> free, open;
  for (std::size_t index = 0; index < view.nodes.size(); ++index) {
    free.push_back(free_in(view, index, waits.job->spec));
    open.push_back(is_open(waits, view.nodes[index]) ? free.back() : 0);
  }
  if (!fits(waits.shape, free)) {
    reason.code = reason.gpus_free >= reason.gpus_asked ? ReasonCode::fragmentation : ReasonCode::resources;
    return;
  }
  const Reservation* const in_the_way = fits(waits.shape, open) ? nullptr : roster_.closures().first_in_the_way(view.nodes, now_, waits.stay);
  reason.code = in_the_way ? ReasonCode::reservation : ReasonCode::priority;
  if (!in_the_way) return;
  reason.until_ms = in_the_way->end_ms;
  reason.reservation = in_the_way->name;
}

bool Reasons::waits_for_date(const Candidate& waits, Reason& reason) const {
  if (const auto begin = not_before(*waits.job); begin > now_) {
    reason.code = begin == waits.job->restart_ms ? ReasonCode::restart_delay : ReasonCode::begin_time;
    reason.until_ms = begin;
  } else if (waits.own && waits.own->start_ms > now_) {
    reason.code = ReasonCode::reservation;
    reason.until_ms = waits.own->start_ms;
    reason.reservation = waits.own->name;
  } else {
    return false;
  }
  return true;
}

/// Whether no reservation closes the node to it while it would run, from now on.
bool Reasons::is_open(const Candidate& waits, std::size_t node) const {
  if (!waits.view->closed) return true;
  const std::vector<Interval>& closed = (*waits.view->closed)[node];
  return std::none_of(closed.begin(), closed.end(), [&](const Interval& one) { return one.start < now_ + waits.stay && one.end > now_; });
}

void wait_for_deadline(const Candidate& waits, Reason& reason) {
  reason.code = ReasonCode::deadline;
  reason.until_ms = waits.job->spec.deadline_ms;
}

void say_if_borrower(const Candidate& waits, Reason& reason) {
  if (!waits.soft_cap || reason.code == ReasonCode::reservation) return;
  reason.code = ReasonCode::soft_cap;
  reason.limit = *waits.soft_cap;
}

std::vector<JobId> first_of(std::vector<std::pair<Time, JobId>> waits_for, Time start) {
  std::sort(waits_for.begin(), waits_for.end());
  if (waits_for.empty() || waits_for.back().first < start) return {};
  waits_for.erase(std::unique(waits_for.begin(), waits_for.end()), waits_for.end());
  if (waits_for.size() > waits_for_max) waits_for.resize(waits_for_max);
  std::vector<JobId> jobs;
  for (const auto& [end, job] : waits_for) jobs.push_back(job);
  return jobs;
}

}  // namespace ultramarine::core
