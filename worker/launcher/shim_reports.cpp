// What the shim says and writes down: to its agent when there is one, to its folder always.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "worker/launcher/message_text.h"
#include "worker/launcher/shim.h"

namespace ultramarine::launcher {

void Shim::listen_for_agent() {
  socket_name_ = std::make_unique<ShortName>(folder_.socket());
  net::ServerOptions options;
  options.unix_mode = 0600;
  options.websockets["/v1/shim"] = [this](const net::Request&, std::shared_ptr<net::Connection> connection) {
    on_agent(std::move(connection));
  };
  server_ = net::listen(loop_, net::Endpoint{.path = socket_name_->text()},
                        [](const net::Request&, const std::shared_ptr<net::Reply>& reply) { reply->send({.status = 404}); }, options);
}

void Shim::on_agent(std::shared_ptr<net::Connection> connection) {
  const std::int64_t uid = connection->peer().uid;
  if (uid != static_cast<std::int64_t>(::geteuid()) && uid != 0) {
    spdlog::warn("refused a connection from uid {}", uid);
    return connection->close();
  }
  if (leaving_) {
    connection->send(to_text<protocol::FromShim>(report()));
    return connection->close();
  }
  if (agent_) agent_->close();  // the older one is of an agent that is gone
  agent_ = connection;
  connection->on_message([this](std::string_view text) { on_message(text); });
  connection->on_closed([this, weak = std::weak_ptr<net::Connection>(connection)](const std::string&) {
    if (agent_ != weak.lock()) return;
    agent_.reset();
    if (phase_ == GangPhase::prepared) arm_start_wait();
  });
  start_wait_.reset();
  say(report());
  if (progress_) progress_->repeat_checkpoints();
}

void Shim::on_message(std::string_view text) {
  try {
    const auto message = from_text<protocol::ToShim>(text);
    std::visit(
        [this](const auto& command) {
          using Command = std::decay_t<decltype(command)>;
          if (command.key != key_) return;
          if constexpr (std::is_same_v<Command, protocol::Start>) {
            start(command);
          } else if constexpr (std::is_same_v<Command, protocol::Stop>) {
            stop(Outcome::cancelled, command.grace_ms);
          } else {
            if (progress_) progress_->recorded(command.step);
          }
        },
        message);
  } catch (const std::exception& error) {
    spdlog::warn("a message that is not understood: {}", error.what());
  }
}

GangReport Shim::report() const {
  GangReport report{.key = key_, .phase = phase_, .peer = peer_, .outcome = outcome_, .failure = failure_};
  for (const Rank& rank : ranks_) {
    report.pids.push_back(rank.pid);
    if (phase_ == GangPhase::finished) report.ranks.push_back(rank.result);
  }
  return report;
}

/// Disk first, then the agent. False when neither took it.
bool Shim::publish() {
  const GangReport current = report();
  bool known = agent_ != nullptr;
  try {
    write_durably(folder_.report(), to_text(current));
    known = true;
  } catch (const FolderError& error) {
    spdlog::error("{}", error.what());
  }
  say(current);
  return known;
}

void Shim::say(const protocol::FromShim& message) {
  if (agent_) agent_->send(to_text(message));
}

void Shim::write_leftovers() { write_durably(folder_.leftovers(), to_text(leftovers_)); }

/// For what must not lie in the job folder: shared memory, and names that must be short. Removed at the end, by the agent if need be.
std::string Shim::outside_folder() {
  if (outside_folder_.empty()) {
    outside_folder_ = make_outside_folder(key_, true);
    leftovers_.folders.push_back(outside_folder_);
    write_leftovers();
  }
  return outside_folder_;
}

void Shim::arm_start_wait() {
  if (agent_) return;
  start_wait_ = loop_.after(std::chrono::milliseconds(settings_.start_wait_ms.ms), [this] {
    if (phase_ == GangPhase::prepared && !start_seen_ && !agent_) {
      refuse("no start came within " + std::to_string(settings_.start_wait_ms.ms / 1000) + " s of the preparation, and no agent is there");
    }
  });
}

}  // namespace ultramarine::launcher
