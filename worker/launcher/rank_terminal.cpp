#include "worker/launcher/rank_terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {
namespace {

constexpr std::size_t waiting_bytes_max = 1 << 20;
constexpr auto retry_interval = std::chrono::milliseconds(10);

unsigned short in_range(std::int64_t value) { return static_cast<unsigned short>(std::clamp<std::int64_t>(value, 1, 10'000)); }

/// False when the file takes no more: what is printed then is lost, and the program runs on.
bool append_all(int file, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(file, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

}  // namespace

RankTerminal::RankTerminal(net::Loop& loop, const TerminalSize& size, int output) : loop_(loop), output_(output) {
  outside_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  std::array<char, 64> name{};
  const bool made = outside_ >= 0 && ::grantpt(outside_) == 0 && ::unlockpt(outside_) == 0 && ::ptsname_r(outside_, name.data(), name.size()) == 0;
  if (made) inside_ = ::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (inside_ < 0) {
    const int problem = errno;
    if (outside_ >= 0) ::close(outside_);
    throw FolderError(std::string("can't make a terminal: ") + std::strerror(problem));
  }
  resize(size);
}

RankTerminal::~RankTerminal() {
  watch_.reset();
  close_inside();
  ::close(outside_);
}

void RankTerminal::close_inside() {
  if (inside_ >= 0) ::close(inside_);
  inside_ = -1;
}

void RankTerminal::started() {
  close_inside();
  watch_ = loop_.on_readable(outside_, [this] { drain(); });
}

void RankTerminal::resize(const TerminalSize& size) {
  winsize window{};
  window.ws_row = in_range(size.rows);
  window.ws_col = in_range(size.columns);
  ::ioctl(outside_, TIOCSWINSZ, &window);
}

void RankTerminal::type(std::string_view bytes) {
  if (waiting_.size() + bytes.size() > waiting_bytes_max) return say_refused();
  waiting_ += bytes;
  if (!retry_) write_waiting();
}

/// Whoever typed it reads what is printed. Once, until what waits has been read.
void RankTerminal::say_refused() {
  if (std::exchange(said_refused_, true)) return;
  constexpr std::string_view notice =
      "\r\n[ultra: what was typed last is lost: 1 MiB waits already that the program doesn't read. Send large inputs "
      "as a file.]\r\n";
  append_all(output_, notice.data(), notice.size());
}

void RankTerminal::write_waiting() {
  retry_.reset();
  while (!waiting_.empty()) {
    const ssize_t written = ::write(outside_, waiting_.data(), waiting_.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno != EAGAIN) return waiting_.clear();
    if (written <= 0) {
      retry_ = loop_.after(retry_interval, [this] { write_waiting(); });
      return;
    }
    waiting_.erase(0, static_cast<std::size_t>(written));
  }
  said_refused_ = false;
}

void RankTerminal::drain() {
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t got = ::read(outside_, buffer.data(), buffer.size());
    if (got > 0) {
      append_all(output_, buffer.data(), static_cast<std::size_t>(got));
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || errno != EAGAIN) watch_.reset();  // EIO: nobody has it open any more
    return;
  }
}

}  // namespace ultramarine::launcher
