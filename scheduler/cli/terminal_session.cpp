#include "scheduler/cli/terminal_session.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include "scheduler/cli/job_output.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/patience.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

constexpr Duration longest_silence = hours(24);
constexpr char leave_key = 0x1d;  // Ctrl-]
constexpr char end_of_input = 0x04;
constexpr auto try_again_after = std::chrono::milliseconds(100);

/// Every key as it is, until this is gone.
class RawKeys {
 public:
  RawKeys() {
    is_terminal_ = ::tcgetattr(0, &before_) == 0;
    if (!is_terminal_) return;
    termios raw = before_;
    ::cfmakeraw(&raw);
    ::tcsetattr(0, TCSADRAIN, &raw);
  }
  ~RawKeys() {
    if (is_terminal_) ::tcsetattr(0, TCSADRAIN, &before_);
  }
  RawKeys(const RawKeys&) = delete;
  RawKeys& operator=(const RawKeys&) = delete;
  bool is_terminal() const { return is_terminal_; }

 private:
  termios before_{};
  bool is_terminal_ = false;
};

/// SIGWINCH as something to read. Made before the thread that reads it, so that no thread is interrupted by it.
class WindowChanges {
 public:
  WindowChanges() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~WindowChanges() {
    ::close(fd_);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WindowChanges(const WindowChanges&) = delete;
  WindowChanges& operator=(const WindowChanges&) = delete;
  int fd() const { return fd_; }
  void take() const {
    signalfd_siginfo one;
    while (::read(fd_, &one, sizeof one) > 0) {
    }
  }

 private:
  sigset_t before_{};
  int fd_ = -1;
};

/// Hands over what is typed, on a thread of its own, while the output is read.
class Typist {
 public:
  Typist(const JobName& job, std::int64_t gang, std::string socket, bool is_terminal)
      : job_(job), gang_(gang), client_(std::move(socket)), is_terminal_(is_terminal), stop_(::eventfd(0, EFD_CLOEXEC)), thread_([this] { run(); }) {}
  ~Typist() {
    stopping_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(stop_, &one, sizeof one);
    thread_.join();
    ::close(stop_);
  }
  Typist(const Typist&) = delete;
  Typist& operator=(const Typist&) = delete;
  bool left() const { return left_; }

 private:
  void run() {
    if (is_terminal_) {
      // A program that is there already draws itself anew only when the size changes.
      TerminalSize other = window_size();
      other.rows += 1;
      say("", other);
      say("", window_size());
    }
    bool open = true;
    while (!stopping_) {
      std::array<pollfd, 3> ready = {{{stop_, POLLIN, 0}, {changes_.fd(), POLLIN, 0}, {open ? 0 : -1, POLLIN, 0}}};
      if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) return;
      if (ready[0].revents) return;
      if (ready[1].revents) {
        changes_.take();
        say("", window_size());
      }
      if (ready[2].revents) open = type();
    }
  }

  /// False at the end of what can be typed.
  bool type() {
    std::array<char, 16384> buffer;
    const ssize_t got = ::read(0, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) return true;
    if (got <= 0) {
      if (!is_terminal_) say(std::string(1, end_of_input), std::nullopt);
      return false;
    }
    std::string bytes(buffer.data(), static_cast<std::size_t>(got));
    const std::size_t leave = is_terminal_ ? bytes.find(leave_key) : std::string::npos;
    if (leave != std::string::npos) bytes.resize(leave);
    if (!bytes.empty()) say(bytes, std::nullopt);
    if (leave == std::string::npos) return true;
    left_ = true;
    ::kill(::getpid(), SIGINT);  // the thread that reads the output ends as by any signal
    return false;
  }

  /// A process that is just starting, and a scheduler or a node that is away for a moment, are waited for: people type ahead.
  void say(const std::string& bytes, const std::optional<TerminalSize>& size) {
    while (!stopping_) {
      try {
        return client_.type(job_, gang_, bytes, size);
      } catch (const Unreachable& away) {
        if (away.lost) return;  // it may have been typed
      } catch (const Refused& refused) {
        if (refused.reply.code != "not_ready") return;  // it has ended: the output's end says so
      } catch (const CommandError&) {
        return;
      }
      std::this_thread::sleep_for(try_again_after);
    }
  }

  const JobName job_;
  const std::int64_t gang_;
  Client client_;
  const bool is_terminal_;
  const int stop_;
  std::atomic<bool> stopping_ = false, left_ = false;
  WindowChanges changes_;
  std::thread thread_;  // the last member: it uses all others
};

}  // namespace

TerminalSize window_size() {
  winsize window{};
  for (const int file : {0, 1, 2})
    if (::ioctl(file, TIOCGWINSZ, &window) == 0 && window.ws_row > 0 && window.ws_col > 0) return {window.ws_row, window.ws_col};
  return {};
}

bool stay_at_terminal(const JobName& job, std::int64_t gang, std::optional<Time> since, Context& context, Interrupt& interrupt) {
  Client client(context.socket, &interrupt);
  JobOutput output(context.out, context.err, OutputForm::bytes, false);
  OutputChoice choice;
  choice.gang = gang;
  choice.since = since;
  const RawKeys keys;
  const Typist typist(job, gang, context.socket, keys.is_terminal());
  try {
    Patience patience(interrupt, context.now, longest_silence, true);
    patience([&] {
      output.rewind();
      client.logs(job, choice, true, [&](const protocol::LogLine& piece, std::string_view) { output.take(piece); });
      return true;
    });
    output.finish();
    return true;
  } catch (const Interrupted&) {
    interrupt.take();
    output.finish();
    return false;
  }
}

int stay_with_shell(const JobName& job, std::optional<Time> since, Context& context, Interrupt& interrupt) {
  if (!stay_at_terminal(job, 1, since, context, interrupt)) {
    context.err << '\n'
                << spoken("Left: job {0} goes on. Come back with '{1}'; stop it with '{2}'.", job.text, "ultra attach " + job.text, "ultra cancel " + job.text)
                << std::endl;
    return exit_code::interrupted;
  }
  Client client(context.socket, &interrupt);
  Progress progress(context.err, context.terminal);
  const protocol::JobView view = wait_for_end(client, job, std::nullopt, context, interrupt, progress)->value;
  const Job& details = view.details;
  const bool exited = details.state == JobState::completed ||
                      (!details.attempts.empty() && details.attempts.back().outcome == Outcome::failed && view.exit_code.value_or(0) < exit_code::system_failed);
  if (!exited) say_end(view, context);  // that its command just exited is no news
  return exit_code_of(view);
}

}  // namespace ultramarine::cli
