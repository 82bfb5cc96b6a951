#include "scheduler/cli/top/full_screen.h"

#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>
#include <unistr.h>

#undef columns  // term.h takes these words for itself
#undef lines

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "scheduler/cli/command_error.h"
#include "scheduler/cli/language.h"

namespace ultramarine::cli {
namespace {

constexpr std::array<int, 7> asked_signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
constexpr std::array<int, 5> crash_signals{SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE};

// What signal handlers may touch: made before they are installed, only read by them.
int signal_pipe[2] = {-1, -1};
termios cooked;
char restore_text[256];
std::size_t restore_length = 0;
struct sigaction old_actions[NSIG];

void on_signal(int number) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(number);
  if (write(signal_pipe[1], &byte, 1) < 0) {
    // Full: more signals wait than anybody can tell apart.
  }
  errno = saved;
}

/// The terminal back as it was, with nothing but what a handler may call; then the crash goes on.
void on_crash(int number) {
  if (write(STDOUT_FILENO, restore_text, restore_length) < 0) {
    // The terminal is gone too.
  }
  tcsetattr(STDIN_FILENO, TCSADRAIN, &cooked);
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(number, &action, nullptr);
  raise(number);
}

void install(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(number, &action, nullptr);
}

int keep_restore_byte(int byte) {
  if (restore_length < sizeof restore_text) restore_text[restore_length++] = static_cast<char>(byte);
  return byte;
}

/// What endwin would write: attributes off, the usual keys, cursor shown, the screen that was there before.
void remember_how_to_restore() {
  restore_length = 0;
  for (const char* name : {"sgr0", "op", "rmkx", "cnorm", "rmcup"}) {
    const char* text = tigetstr(const_cast<char*>(name));
    if (text && text != reinterpret_cast<const char*>(-1)) tputs(text, 1, keep_restore_byte);
  }
  keep_restore_byte('\r');
}

}  // namespace

FullScreen::FullScreen(bool colour) {
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &cooked) != 0)
    usage_error("", spoken("this needs a terminal"), spoken("'{0}' prints tables anywhere", "ultra queue"));
  const char* kind = std::getenv("TERM");
  if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
    throw CommandError(exit_code::failure,
                       error_line("", spoken("can't make a pipe") + ": " + heard(std::strerror(errno)), ""));
  for (const int number : asked_signals) {
    sigaction(number, nullptr, &old_actions[number]);
    if (old_actions[number].sa_handler != SIG_IGN || number == SIGWINCH || number == SIGCONT)
      install(number, on_signal);
  }
  set_escdelay(25);
  if (!newterm(nullptr, stdout, stdin)) {
    for (const int number : asked_signals) sigaction(number, &old_actions[number], nullptr);
    throw CommandError(
        exit_code::usage,
        error_line("TERM", spoken("this system doesn't know terminals of the kind \"{0}\"", kind ? kind : ""),
                   spoken("write for example {0}", "TERM=xterm-256color, TERM=vt100")));
  }
  remember_how_to_restore();
  for (const int number : crash_signals) {
    sigaction(number, nullptr, &old_actions[number]);
    install(number, on_crash);
  }
  cbreak();
  noecho();
  nonl();
  keypad(stdscr, TRUE);
  nodelay(stdscr, TRUE);
  curs_set(0);
  colour_ = colour && has_colors();
  if (colour_) {
    start_color();
    use_default_colors();
  }
}

FullScreen::~FullScreen() {
  endwin();
  for (const int number : asked_signals) sigaction(number, &old_actions[number], nullptr);
  for (const int number : crash_signals) sigaction(number, &old_actions[number], nullptr);
  close(signal_pipe[0]);
  close(signal_pipe[1]);
}

std::size_t FullScreen::rows() const { return static_cast<std::size_t>(getmaxy(stdscr)); }
std::size_t FullScreen::columns() const { return static_cast<std::size_t>(getmaxx(stdscr)); }

void FullScreen::wait(int fd, int milliseconds) {
  std::array<pollfd, 3> waited{{{STDIN_FILENO, POLLIN, 0}, {signal_pipe[0], POLLIN, 0}, {fd, POLLIN, 0}}};
  poll(waited.data(), waited.size(), milliseconds);
  take_signals();
  if ((waited[0].revents & (POLLHUP | POLLERR)) != 0 && ended_by_ == 0) ended_by_ = SIGHUP;  // nobody is there any more
}

void FullScreen::take_signals() {
  unsigned char number = 0;
  while (read(signal_pipe[0], &number, 1) == 1) {
    switch (number) {
      case SIGTSTP:
        stop_until_continued();
        break;
      case SIGCONT:  // stopped from outside, where nobody could prepare for it
        endwin();
        clearok(curscr, TRUE);
        refresh();
        break;
      case SIGWINCH: {
        winsize size{};
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
          resizeterm(size.ws_row, size.ws_col);
        clearok(curscr, TRUE);
        break;
      }
      default:
        ended_by_ = number;
    }
  }
}

void FullScreen::stop_until_continued() {
  endwin();
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(SIGTSTP, &action, nullptr);
  kill(getpid(), SIGTSTP);  // returns when the shell lets us go on
  install(SIGTSTP, on_signal);
  clearok(curscr, TRUE);
  refresh();
}

std::optional<Key> FullScreen::key() {
  wint_t code = 0;
  const int kind = get_wch(&code);
  if (kind == ERR) return std::nullopt;
  if (kind == KEY_CODE_YES) {
    switch (code) {
      case KEY_UP:
        return Key{Key::Kind::up};
      case KEY_DOWN:
        return Key{Key::Kind::down};
      case KEY_PPAGE:
        return Key{Key::Kind::page_up};
      case KEY_NPAGE:
        return Key{Key::Kind::page_down};
      case KEY_HOME:
        return Key{Key::Kind::home};
      case KEY_END:
        return Key{Key::Kind::end};
      case KEY_ENTER:
        return Key{Key::Kind::enter};
      case KEY_BACKSPACE:
        return Key{Key::Kind::backspace};
      default:
        return key();
    }
  }
  if (code == '\r' || code == '\n') return Key{Key::Kind::enter};
  if (code == 0x1B) return Key{Key::Kind::escape};
  if (code == 0x7F || code == 0x08) return Key{Key::Kind::backspace};
  if (code < 0x20) return key();
  std::array<std::uint8_t, 6> bytes{};
  const int length = u8_uctomb(bytes.data(), code, static_cast<ptrdiff_t>(bytes.size()));
  return length > 0 ? std::optional(Key{Key::Kind::character, std::string(reinterpret_cast<const char*>(bytes.data()),
                                                                          static_cast<std::size_t>(length))})
                    : key();
}

}  // namespace ultramarine::cli
