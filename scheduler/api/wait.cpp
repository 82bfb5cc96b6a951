// Long polls: an answer that comes when something has happened, or when the time is over.
#include <algorithm>

#include "scheduler/api/handlers.h"

namespace ultramarine::api {

namespace {

constexpr std::int64_t wait_ms_max = 60'000;

struct Wait {
  std::shared_ptr<void> watch;
  std::unique_ptr<net::Loop::Timer> timer;
  bool over = false;
};

}  // namespace

std::chrono::steady_clock::time_point latest_answer(const Exchange& exchange) {
  const std::int64_t timeout_ms = number_parameter(exchange, "timeout_ms").value_or(wait_ms_max);
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(std::min(timeout_ms, wait_ms_max));
}

void wait_until(const ExchangePtr& exchange, JobId job, std::chrono::steady_clock::time_point latest, std::function<bool(const Job&)> until,
                std::function<void()> then) {
  auto wait = std::make_shared<Wait>();
  const auto finish = [exchange, wait, then = std::move(then)] {
    if (wait->over) return;
    wait->over = true;
    // Not from inside the timer's own handler.
    exchange->backend.loop().post([wait] {
      wait->timer.reset();
      wait->watch.reset();
    });
    then();
  };
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(latest - std::chrono::steady_clock::now());
  wait->timer = exchange->backend.loop().after(std::max(left, std::chrono::milliseconds(0)), finish);
  wait->watch = exchange->backend.watch(job, std::move(until), finish);
}

}  // namespace ultramarine::api
