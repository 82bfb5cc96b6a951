#include "scheduler/server/outbox.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "scheduler/protocol/codec.h"
#include "scheduler/server/secret_file.h"

namespace ultramarine::server {
namespace {

constexpr std::int64_t letters_max = 10'000;  // that wait: what comes beyond is dropped

}  // namespace

notifier::Secrets read_notification_secrets(const protocol::NotificationsSection& section) {
  notifier::Secrets secrets;
  for (const protocol::WebhookSection& webhook : section.webhook)
    secrets.webhooks.push_back(webhook.secret_file.empty() ? "" : read_secret(webhook.secret_file));
  if (!section.smtp_password_file.empty()) secrets.smtp_password = read_password(section.smtp_password_file);
  return secrets;
}

void Outbox::use(notifier::Means means, Time now) {
  section_ = means.section;
  const bool was_on = std::exchange(is_on_, notifier::is_on(section_));
  if (!was_on) looked_until_ = now;
  if (is_on_ || deliverer_) deliverer().use(std::move(means));
}

void Outbox::begin(const store::Store& store, Time recorded) {
  looked_until_ = std::max(recorded, store.looked_until().value_or(recorded));
  std::vector<notifier::Delivery> left;
  for (const auto& [number, text] : store.letters()) {
    last_number_ = number;
    ++kept_;
    try {
      auto delivery = protocol::from_json<notifier::Delivery>(text);
      delivery.number = number;
      left.push_back(std::move(delivery));
    } catch (const protocol::DecodeError& error) {
      spdlog::warn("a letter that was kept can't be read: {}", error.what());
      arrived_.push_back(number);
    }
  }
  if (left.empty()) return;
  spdlog::info("{} letters of before are still to be delivered", left.size());
  deliverer().add(std::move(left));
}

void Outbox::on_entry(const Entry& entry, Time now, const State& after, store::Batch& batch) {
  if (!is_on_) return;
  for (const notifier::Occasion& occasion : notifier::occasions_of(entry, now, after)) keep(occasion, after, batch);
}

void Outbox::on_time(Time now, const State& state, const std::set<JobId>& active, store::Batch& batch) {
  if (!is_on_ || !looked_until_ || now <= *looked_until_) return;
  const auto due = notifier::used_up_between(state, active, *looked_until_, now);
  looked_until_ = now;
  for (const notifier::Occasion& occasion : due) keep(occasion, state, batch);
  if (!due.empty()) batch.looked_until_ms = now;
}

std::optional<Time> Outbox::next(const State& state, const std::set<JobId>& active) const {
  return is_on_ && looked_until_ ? notifier::next_used_up(state, active, *looked_until_) : std::nullopt;
}

void Outbox::keep(const notifier::Occasion& occasion, const State& state, store::Batch& batch) {
  for (notifier::Delivery& delivery : notifier::deliveries_of(occasion, state, section_)) {
    if (kept_ >= letters_max) {
      if (!std::exchange(told_of_dropped_, true))
        spdlog::warn("{} letters wait to be delivered: what is to be told beyond these is dropped", kept_);
      on_result_(delivery.channel, notifier::Result::dropped);
      continue;
    }
    told_of_dropped_ = false;
    ++kept_;
    delivery.number = ++last_number_;
    batch.letters.emplace(delivery.number, protocol::to_json(delivery));
    committing_.push_back(std::move(delivery));
  }
}

void Outbox::forget_arrived(store::Batch& batch) {
  const std::lock_guard lock(mutex_);
  kept_ -= static_cast<std::int64_t>(arrived_.size());
  batch.forget_letters.insert(batch.forget_letters.end(), arrived_.begin(), arrived_.end());
  arrived_.clear();
}

void Outbox::hand_over() {
  if (committing_.empty()) return;
  deliverer().add(std::exchange(committing_, {}));
}

void Outbox::stop() {
  if (deliverer_) deliverer_->stop();
}

notifier::Deliverer& Outbox::deliverer() {
  if (deliverer_) return *deliverer_;
  deliverer_ =
      std::make_unique<notifier::Deliverer>(on_result_, [this](const notifier::Delivery& delivery, const std::string&) {
        const std::lock_guard lock(mutex_);
        arrived_.push_back(delivery.number);
      });
  return *deliverer_;
}

}  // namespace ultramarine::server
