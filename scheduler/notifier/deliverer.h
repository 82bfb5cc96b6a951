// Hands notices over, on a thread of its own: one after the other to each receiver, to several at once. What can't be
// delivered now is tried again, the wait doubling each time; what can't be for too long is given up, with a warning. At
// least once: whoever keeps deliveries drops one when it is done and not before. Knows no store and no state.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "scheduler/notifier/transfer.h"

namespace ultramarine::notifier {

/// delivered; retried: a try failed and another follows; refused: the receiver doesn't want it; given_up: it was tried
/// for too long, or the cluster file doesn't have the receiver any more; dropped: too many waited already
BOOST_DEFINE_FIXED_ENUM_CLASS(Result, std::uint8_t, delivered, retried, refused, given_up, dropped)

class Deliverer {
 public:
  using OnResult = std::function<void(Channel channel, Result result)>;
  /// Of this delivery nothing more will be done. `why`: "" = it has arrived.
  using OnDone = std::function<void(const Delivery& delivery, const std::string& why)>;

  /// Both are called on the deliverer's thread.
  Deliverer(OnResult on_result, OnDone on_done);
  ~Deliverer();

  /// Sends so from now on. Any thread.
  void use(Means means);
  /// Any thread.
  void add(std::vector<Delivery> deliveries);
  /// What is under way is ended, and not done. Any thread but its own.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  struct Lane {
    std::deque<Delivery> waiting;
    bool under_way = false;
    int failures = 0;
    Clock::time_point due;
  };

  void run();
  void take_new();
  void begin_due();
  void settle(const Ended& ended);
  void done(Lane& lane, const std::string& why, Result result);
  std::chrono::milliseconds until_next() const;
  Duration wait_after(int failures) const;

  const OnResult on_result_;
  const OnDone on_done_;
  std::thread thread_;

  std::mutex mutex_;  // of what is handed over
  std::vector<Delivery> new_;
  std::shared_ptr<const Means> new_means_;
  bool stops_ = false;

  // ---- its own thread only
  Transfers transfers_;
  std::shared_ptr<const Means> means_;
  std::map<std::pair<Channel, std::string>, Lane> lanes_;
  std::map<std::int64_t, std::pair<Channel, std::string>> tickets_;  // of what is under way: its lane
  std::int64_t last_ticket_ = 0;
};

}  // namespace ultramarine::notifier
