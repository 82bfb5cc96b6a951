// What the shim says and writes down: to its agent when there is one, to its folder always.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "scheduler/net/base64.h"
#include "scheduler/net/listening_socket.h"
#include "worker/launcher/message_text.h"
#include "worker/launcher/shim.h"
#include "worker/launcher/shim_log.h"

namespace ultramarine::launcher {

namespace {

/// The agent makes our socket before us, where it can, and gives it to us as standard input.
net::FileDescriptor socket_from_agent() {
  int is_listening = 0;
  socklen_t size = sizeof is_listening;
  if (::getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) != 0 || is_listening == 0) return net::FileDescriptor();
  net::FileDescriptor socket(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing < 0 || ::dup2(nothing, STDIN_FILENO) != STDIN_FILENO) throw FolderError(std::string("can't open /dev/null: ") + std::strerror(errno));
  ::close(nothing);
  return socket;
}

}  // namespace

void Shim::listen_for_agent() {
  socket_name_ = std::make_unique<ShortName>(folder_.socket());
  net::ServerOptions options;
  options.unix_mode = 0600;
  options.websockets["/v1/shim"] = [this](const net::Request&, std::shared_ptr<net::Connection> connection) {
    on_agent(std::move(connection));
  };
  server_ = net::listen_on_given(loop_, socket_from_agent(), socket_name_->text(),
                                 [](const net::Request&, const std::shared_ptr<net::Reply>& reply) { reply->send({.status = 404}); }, options);
}

void Shim::on_agent(std::shared_ptr<net::Connection> connection) {
  const std::int64_t uid = connection->peer().uid;
  if (uid != static_cast<std::int64_t>(::geteuid()) && uid != 0) {
    shim_log::warn("refused a connection from uid " + std::to_string(uid));
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
    else if (phase_ != GangPhase::finished) publish();  // who comes next finds it even if we are gone by then
  });
  start_wait_.reset();
  say(report());
  if (progress_) progress_->repeat_checkpoints();
  if (hang_watch_) hang_watch_->repeat();
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
            stop_after_checkpoint(static_cast<int>(command.request_signal), command.grace_ms);
          } else if constexpr (std::is_same_v<Command, protocol::Lease>) {
            take(command);
          } else if constexpr (std::is_same_v<Command, protocol::TerminalInput>) {
            if (terminal_ && command.size) terminal_->resize(*command.size);
            if (terminal_ && !command.data_base64.empty()) terminal_->type(net::from_base64(command.data_base64));
          } else if constexpr (std::is_same_v<Command, protocol::Examine>) {
            if (hang_watch_) hang_watch_->examine();
          } else if constexpr (std::is_same_v<Command, protocol::TimeAllowed>) {
            allow(command.time_ms);
          } else {
            if (progress_) progress_->recorded(command.step);
          }
        },
        message);
  } catch (const std::exception& error) {
    shim_log::warn(std::string("a message that is not understood: ") + error.what());
  }
}

GangReport Shim::report() const {
  GangReport report{.key = key_, .phase = phase_, .peer = peer_, .outcome = outcome_, .failure = failure_, .self_stop_ms = {promised_.count()}};
  for (const Rank& rank : ranks_) {
    report.pids.push_back(rank.pid);
    if (phase_ == GangPhase::finished) report.ranks.push_back(rank.result);
  }
  return report;
}

/// Disk first, then the agent. False when neither took it. Only the end must outlive the power: before it, nothing of the gang does, and an agent that
/// is here knows it without the disk.
bool Shim::publish() {
  const GangReport current = report();
  bool known = agent_ != nullptr;
  try {
    if (phase_ == GangPhase::finished) write_durably(folder_.report(), to_text(current));
    else if (!agent_) write_whole(folder_.report(), to_text(current));
    known = true;
  } catch (const FolderError& error) {
    shim_log::error(error.what());
  }
  say(current);
  return known;
}

void Shim::say(const protocol::FromShim& message) {
  if (agent_) agent_->send(to_text(message));
}

/// Good as long as the machine isn't started again. What has a control group is found by that.
void Shim::write_leftovers() {
  if (!settings_.contained || !leftovers_.folders.empty()) write_whole(folder_.leftovers(), to_text(leftovers_));
}

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
