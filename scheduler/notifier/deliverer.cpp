#include "scheduler/notifier/deliverer.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "scheduler/protocol/addresses.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::notifier {
namespace {

constexpr std::size_t under_way_max = 16;
constexpr Duration longest_wait = minutes(10);
constexpr std::chrono::milliseconds longest_sleep{60'000};
constexpr int courtesy = 5;  // niceness: decisions come first

std::int64_t wall_clock_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// What follows a webhook's host may be a secret.
std::string shown(const Delivery& delivery) {
  return delivery.channel == Channel::mail ? delivery.address : protocol::origin_of(delivery.address);
}

}  // namespace

Deliverer::Deliverer(OnResult on_result, OnDone on_done)
    : on_result_(std::move(on_result)), on_done_(std::move(on_done)), means_(std::make_shared<const Means>()) {
  thread_ = std::thread([this] { run(); });
}

Deliverer::~Deliverer() { stop(); }

void Deliverer::use(Means means) {
  {
    const std::lock_guard lock(mutex_);
    new_means_ = std::make_shared<const Means>(std::move(means));
  }
  transfers_.wake();
}

void Deliverer::add(std::vector<Delivery> deliveries) {
  if (deliveries.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    std::move(deliveries.begin(), deliveries.end(), std::back_inserter(new_));
  }
  transfers_.wake();
}

void Deliverer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  transfers_.wake();
  if (thread_.joinable()) thread_.join();
}

void Deliverer::run() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), courtesy);
  for (;;) {
    take_new();
    {
      const std::lock_guard lock(mutex_);
      if (stops_) return;
    }
    begin_due();
    for (const Ended& ended : transfers_.go_on(until_next())) settle(ended);
  }
}

void Deliverer::take_new() {
  std::vector<Delivery> fresh;
  {
    const std::lock_guard lock(mutex_);
    fresh.swap(new_);
    if (new_means_) means_ = std::move(new_means_);
  }
  for (Delivery& delivery : fresh) lanes_[{delivery.channel, delivery.address}].waiting.push_back(std::move(delivery));
}

void Deliverer::begin_due() {
  const auto now = Clock::now();
  for (auto lane = lanes_.begin(); lane != lanes_.end();) {
    Lane& its = lane->second;
    // The cluster file may have changed since it was kept.
    while (!its.under_way && !its.waiting.empty() && !may_go(its.waiting.front(), means_->section))
      done(its, "the cluster file names no such receiver any more", Result::given_up);
    if (its.waiting.empty() && !its.under_way && its.due <= now) {
      lane = lanes_.erase(lane);
      continue;
    }
    if (!its.under_way && !its.waiting.empty() && its.due <= now && transfers_.under_way() < under_way_max) {
      its.under_way = true;
      tickets_[++last_ticket_] = lane->first;
      transfers_.begin(last_ticket_, its.waiting.front(), *means_);
    }
    ++lane;
  }
}

void Deliverer::settle(const Ended& ended) {
  const auto ticket = tickets_.extract(ended.ticket);
  if (ticket.empty()) return;
  Lane& lane = lanes_.at(ticket.mapped());
  const Delivery& delivery = lane.waiting.front();
  lane.under_way = false;
  if (ended.verdict == Verdict::delivered) {
    if (lane.failures > 0) spdlog::info("notifications reach {} again", shown(delivery));
    lane.failures = 0;
    return done(lane, "", Result::delivered);
  }
  if (ended.verdict == Verdict::never) {
    spdlog::warn("notice {} was refused: {}", delivery.notice.id, ended.why);
    return done(lane, ended.why, Result::refused);
  }
  if (lane.failures++ == 0)
    spdlog::warn("notice {} could not be delivered, and is tried again: {}", delivery.notice.id, ended.why);
  lane.due = Clock::now() + std::chrono::milliseconds(wait_after(lane.failures).ms);
  const Duration age{wall_clock_ms() - delivery.notice.time_ms.ms};
  if (age >= means_->section.give_up_after_ms) {
    spdlog::warn("notice {} is given up after {}: {}", delivery.notice.id, protocol::format_duration(age), ended.why);
    return done(lane, ended.why, Result::given_up);
  }
  on_result_(delivery.channel, Result::retried);
}

void Deliverer::done(Lane& lane, const std::string& why, Result result) {
  const Delivery delivery = std::move(lane.waiting.front());
  lane.waiting.pop_front();
  on_result_(delivery.channel, result);
  on_done_(delivery, why);
}

Duration Deliverer::wait_after(int failures) const {
  Duration wait = means_->section.retry_after_ms;
  for (int i = 1; i < failures && wait < longest_wait; ++i) wait = wait + wait;
  return std::min(wait, longest_wait);
}

std::chrono::milliseconds Deliverer::until_next() const {
  if (transfers_.under_way() >= under_way_max) return longest_sleep;
  const auto now = Clock::now();
  auto longest = longest_sleep;
  for (const auto& [receiver, lane] : lanes_) {
    if (lane.under_way) continue;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(lane.due - now);
    longest = std::clamp(left, std::chrono::milliseconds(0), longest);
  }
  return longest;
}

}  // namespace ultramarine::notifier
