// Messages go through the codec of scheduler/protocol; the socket is bound to an address of the kernel's choice, so
// that the answer to a checkpoint finds its way back.
#include "worker/trainer/progress.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/progress_messages.h"

namespace ultramarine::trainer {

ProgressReporter::ProgressReporter(std::string path, std::int64_t rank) : path_(std::move(path)), rank_(rank) {
  if (path_.empty()) return;
  if (path_.size() >= sizeof(sockaddr_un::sun_path)) {
    const std::filesystem::path full(path_);
    directory_ = ::open(full.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    path_ = "/proc/self/fd/" + std::to_string(directory_) + "/" + full.filename().string();
    if (directory_ < 0 || path_.size() >= sizeof(sockaddr_un::sun_path)) return;
  }
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return;
  const timeval patience{.tv_sec = 2, .tv_usec = 0};  // for important messages; others never wait
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_un own{};
  own.sun_family = AF_UNIX;
  ::bind(socket_, reinterpret_cast<const sockaddr*>(&own),
         sizeof own.sun_family);  // the family alone: autobind, see unix(7)
}

ProgressReporter::~ProgressReporter() {
  if (socket_ >= 0) ::close(socket_);
  if (directory_ >= 0) ::close(directory_);
}

bool ProgressReporter::due(Clock::time_point& next, std::chrono::milliseconds interval, bool always) {
  const auto now = Clock::now();
  if (!always && now < next) return false;
  next = now + interval;
  return true;
}

template <class Message>
bool ProgressReporter::send(const Message& message, bool important) {
  if (socket_ < 0) return false;
  const std::string text = protocol::to_json(protocol::ProgressMessage(message));
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path_.data(), path_.size());
  const auto size = ::sendto(socket_, text.data(), text.size(), important ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&to), sizeof to);
  return size == static_cast<ssize_t>(text.size());
}

void ProgressReporter::step(std::int64_t step, double loss, double tokens_per_s, std::int64_t tokens,
                            double flops_per_token, bool last) {
  if (!due(next_step_, std::chrono::milliseconds(100), last)) return;
  send(
      protocol::StepProgress{.rank = rank_,
                             .step = step,
                             .loss = loss,
                             .tokens_per_s = tokens_per_s,
                             .tokens = tokens,
                             .flops_per_token = flops_per_token},
      last);
}

void ProgressReporter::collectives(const collectives::Counters& counters, bool last) {
  if (!due(next_collectives_, std::chrono::seconds(1), last)) return;
  send(
      protocol::CollectiveProgress{
          .rank = rank_, .count = counters.collectives, .bytes = counters.bytes, .sequence = counters.collectives},
      last);
}

void ProgressReporter::phase(const std::string& name, std::chrono::milliseconds limit) {
  send(protocol::PhaseProgress{.rank = rank_, .name = name, .limit_ms = milliseconds(limit.count())}, false);
}

void ProgressReporter::checkpoint(std::int64_t step, const std::string& path) {
  if (send(protocol::CheckpointProgress{.rank = rank_, .step = step, .path = path}, true)) ++unanswered_;
}

bool ProgressReporter::recorded(std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  while (unanswered_ > 0) {
    pollfd answer{.fd = socket_, .events = POLLIN, .revents = 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    const int ready = ::poll(&answer, 1, std::max(0, static_cast<int>(left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    char text[64];
    const auto size = ::recv(socket_, text, sizeof text, MSG_DONTWAIT);
    const std::string_view word(text, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    if (word == "kept") --unanswered_;  // by the node; the scheduler is away, and nothing more will be said
    if (word == "recorded") {
      --unanswered_;
      return true;
    }
  }
  return false;
}

}  // namespace ultramarine::trainer
