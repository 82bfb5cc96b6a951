// How many elements of an array may run at once, over time: when the next one may start at the earliest.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "scheduler/model/job.h"

namespace ultramarine::core {

/// Filled in the order in which the planner meets jobs: first those that run, then queued ones with their planned ends. All elements of an
/// array ask for the same, so each starts no earlier than those before it, and the ends alone tell when a place is free.
class ArraySlots {
 public:
  struct Slot {
    Time at;
    JobId ends;  // the element whose end frees it
  };

  static bool is_limited(const Job& job) { return job.array && job.array->limit > 0; }

  /// An element holds a place until `end`.
  void take(const Job& job, Time end) {
    if (!is_limited(job)) return;
    std::vector<Slot>& latest = latest_[job.array->array];
    latest.push_back({end, job.job});
    std::push_heap(latest.begin(), latest.end(), later);
    if (static_cast<std::int64_t>(latest.size()) <= job.array->limit) return;
    std::pop_heap(latest.begin(), latest.end(), later);
    latest.pop_back();
  }

  /// When the first place is free for this job; nullopt: one is free already, or there is no limit.
  std::optional<Slot> next(const Job& job) const {
    if (!is_limited(job)) return std::nullopt;
    const auto latest = latest_.find(job.array->array);
    if (latest == latest_.end() || static_cast<std::int64_t>(latest->second.size()) < job.array->limit) return std::nullopt;
    return latest->second.front();
  }

 private:
  /// The earliest end is at the front of the heap.
  static bool later(const Slot& a, const Slot& b) { return a.at != b.at ? a.at > b.at : a.ends > b.ends; }

  std::map<JobId, std::vector<Slot>> latest_;  // of each array its `limit` latest ends
};

}  // namespace ultramarine::core
