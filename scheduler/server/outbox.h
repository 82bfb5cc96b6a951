// What people are to be told, from the entry that it follows from until it has arrived. The daemon's half, on its
// thread: makes letters of entries, in the same commit as these; hands them to the deliverer once that is done; has
// them forgotten when they have arrived. So nothing is lost when the daemon ends at any moment, and what is told twice
// is told under the same id.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/notifier/deliverer.h"
#include "scheduler/store/store.h"

namespace ultramarine::server {

/// Reads the files that the section names. Throws SecretError.
notifier::Secrets read_notification_secrets(const protocol::NotificationsSection& section);

class Outbox {
 public:
  using OnResult = notifier::Deliverer::OnResult;
  explicit Outbox(OnResult on_result) : on_result_(std::move(on_result)) {}

  // ---- the daemon's thread
  /// Sends so from now on; what has happened until now is not told afterwards.
  void use(notifier::Means means, Time now);
  /// What the last life of the scheduler left; `recorded`: the time of the newest entry.
  void begin(const store::Store& store, Time recorded);
  /// After `entry` was applied: `after` is the state with it.
  void on_entry(const Entry& entry, Time now, const State& after, store::Batch& batch);
  /// What has fallen due by itself, of the jobs that hold devices.
  void on_time(Time now, const State& state, const std::set<JobId>& active, store::Batch& batch);
  std::optional<Time> next(const State& state, const std::set<JobId>& active) const;
  /// What has arrived need not be kept any longer.
  void forget_arrived(store::Batch& batch);
  /// The batch is on disk.
  void hand_over();
  void stop();

  const protocol::NotificationsSection& section() const { return section_; }
  std::int64_t size() const { return kept_; }  // letters that have not arrived

 private:
  void keep(const notifier::Occasion& occasion, const State& state, store::Batch& batch);
  notifier::Deliverer& deliverer();

  const OnResult on_result_;
  protocol::NotificationsSection section_;
  bool is_on_ = false;
  std::int64_t last_number_ = 0, kept_ = 0;
  std::optional<Time> looked_until_;
  std::vector<notifier::Delivery> committing_;
  bool told_of_dropped_ = false;

  std::mutex mutex_;
  std::vector<std::int64_t> arrived_;

  std::unique_ptr<notifier::Deliverer> deliverer_;  // while anything is to be sent
};

}  // namespace ultramarine::server
