#include "scheduler/cli/timeline.h"

#include <algorithm>

#include "scheduler/cli/job_name.h"

namespace ultramarine::cli {
namespace {

bool waits(JobState state) { return state == JobState::queued || state == JobState::held; }

std::vector<TimelineBar> bars_of(const protocol::JobView& view, Time now) {
  const Job& job = view.details;
  std::vector<TimelineBar> bars;
  for (const Attempt& attempt : job.attempts) {
    TimelineBar bar{BarKind::ended, attempt.decided_ms, attempt.ended_ms.value_or(now), attempt.allocation};
    if (&attempt == &job.attempts.back() && is_active(job.state)) {
      bar.kind = BarKind::held;
      bar.end_ms = attempt.started_ms.value_or(attempt.decided_ms) + attempt.trial_ms.value_or(job.spec.time_limit_ms);
      bar.end_ms = std::max(bar.end_ms, now + milliseconds(1));  // it stops after its limit, but not at once
    }
    if (bar.start_ms < bar.end_ms) bars.push_back(std::move(bar));
  }
  if (waits(job.state) && view.planned && view.planned->start_ms) {
    const Time start = std::max(*view.planned->start_ms, now);
    const Time end = std::max(view.planned->end_ms.value_or(start + job.spec.time_limit_ms), start + milliseconds(1));
    bars.push_back({BarKind::planned, start, end, view.planned->allocation});
  }
  return bars;
}

/// Widens to what there is, between the least and the most that is shown when nobody says how much.
void set_window(Timeline& timeline, const TimelineLengths& lengths) {
  const Time now = timeline.now_ms, earliest = now - usual_past, latest = now + usual_next;
  Time start = now - least_shown, end = now + least_shown;
  for (const TimelineJob& job : timeline.jobs) {
    for (const TimelineBar& bar : job.bars) {
      if (bar.kind != BarKind::planned && bar.end_ms > earliest) start = std::min(start, bar.start_ms);
      if (bar.kind != BarKind::ended) end = std::max(end, bar.end_ms);
    }
  }
  for (const Reservation& one : timeline.reservations) {
    if (one.end_ms > now && one.start_ms < latest) end = std::max(end, one.end_ms);
  }
  timeline.start_ms = lengths.past ? now - *lengths.past : std::max(start, earliest);
  timeline.end_ms = lengths.next ? now + *lengths.next : std::min(end, latest);
}

}  // namespace

Timeline timeline_of(const protocol::JobList& jobs, const std::vector<Reservation>& reservations,
                     const std::string& time_zone, const TimelineLengths& lengths) {
  Timeline timeline{.now_ms = jobs.now_ms,
                    .time_zone = time_zone,
                    .start_ms = {},
                    .end_ms = {},
                    .jobs = {},
                    .unplanned = {},
                    .reservations = reservations};
  for (const protocol::JobView& view : jobs.jobs) {
    const Job& job = view.details;
    TimelineJob row{.job = name_of(job),
                    .name = job.spec.name,
                    .account = job.spec.account,
                    .user = job.owner.name,
                    .state = job.state,
                    .gpus = view.gpus,
                    .bars = bars_of(view, jobs.now_ms),
                    .why = waits(job.state) ? view.why : ""};
    if (waits(job.state) && (row.bars.empty() || row.bars.back().kind != BarKind::planned))
      timeline.unplanned.push_back(row);
    if (!row.bars.empty()) timeline.jobs.push_back(std::move(row));
  }
  set_window(timeline, lengths);
  std::erase_if(timeline.jobs, [&](const TimelineJob& job) {
    return std::all_of(job.bars.begin(), job.bars.end(),
                       [&](const TimelineBar& bar) { return bar.end_ms <= timeline.start_ms; });
  });
  std::erase_if(timeline.reservations, [&](const Reservation& one) {
    return one.end_ms <= timeline.start_ms || one.start_ms >= timeline.end_ms;
  });
  return timeline;
}

}  // namespace ultramarine::cli
