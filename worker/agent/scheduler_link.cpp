#include "worker/agent/scheduler_link.h"

#include <algorithm>
#include <utility>

#include "scheduler/net/proof.h"

namespace ultramarine::agent {

SchedulerLink::SchedulerLink(net::Loop& loop, net::Endpoint scheduler, std::string secret, Handlers handlers, Backoff backoff, net::LineTimes times)
    : loop_(loop),
      scheduler_(std::move(scheduler)),
      secret_(std::move(secret)),
      handlers_(std::move(handlers)),
      backoff_(backoff),
      times_(times),
      random_(std::random_device{}()) {}

SchedulerLink::~SchedulerLink() {
  line_.reset();
  if (connection_) connection_->close();
}

void SchedulerLink::start() { connect(); }

void SchedulerLink::send(std::string message) {
  if (connection_) connection_->send(std::move(message));
}

std::size_t SchedulerLink::queued_bytes() const { return connection_ ? connection_->queued_bytes() : 0; }

void SchedulerLink::drop(const std::string& why) {
  line_.reset();
  const auto connection = std::exchange(connection_, nullptr);
  if (connection) connection->close();
  if (connection) handlers_.on_lost(why);
  else handlers_.on_failed(why);
  try_again();
}

void SchedulerLink::connect() {
  line_ = std::make_shared<int>(0);
  const std::weak_ptr<int> line = line_;
  net::connect(
      loop_, scheduler_, agents_path,
      [this, line](std::shared_ptr<net::Connection> connection) {
        if (line.expired()) return connection->close();
        prove(std::move(connection));
      },
      [this, line](const net::NetError& error) {
        if (!line.expired()) drop(error.what());
      }, times_);
}

void SchedulerLink::prove(std::shared_ptr<net::Connection> connection) {
  const std::weak_ptr<int> line = line_;
  net::prove_as_client(loop_, connection, secret_, agents_proof_context, [this, line, connection](bool proved) {
    if (line.expired()) return connection->close();
    if (proved) return opened(connection);
    drop("scheduler and agent do not share the cluster secret, or the line was cut; secret_file must be the same on both");
  });
}

void SchedulerLink::opened(std::shared_ptr<net::Connection> connection) {
  const std::weak_ptr<int> line = line_;
  connection_ = std::move(connection);
  connection_->on_message([this, line](std::string_view text) {
    if (!line.expired()) handlers_.on_message(text);
  });
  connection_->on_closed([this, line](const std::string& why) {
    if (!line.expired()) drop(why.empty() ? "closed by the scheduler" : why);
  });
  handlers_.on_open();
}

void SchedulerLink::try_again() {
  const auto doubled = backoff_.shortest * (1LL << std::min(failures_, 20));
  ++failures_;
  const auto whole = std::min<std::chrono::milliseconds>(doubled, backoff_.longest);
  const std::chrono::milliseconds pause(std::uniform_int_distribution<std::int64_t>(whole.count() / 2, whole.count())(random_));
  timer_ = loop_.after(pause, [this] { connect(); });
}

}  // namespace ultramarine::agent
