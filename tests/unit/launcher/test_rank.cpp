// What ranks do, good and bad, for the launcher's tests: test_rank MODE [ARGUMENT]. It uses nothing of the project.
//   escape FILE     leaves behind a daemon (own session, parent gone, deaf to SIGTERM), writes its pid to FILE, then ignores SIGTERM itself
//   daemon FILE     the same daemon, but then exits 0
//   checkpoint STEP sends a checkpoint message every 100 ms until it is answered; exits 0 after "recorded"
//   progress N      sends N steps, a phase and a collective count, then exits 0
//   wait FIFO       opens FIFO for reading (so it blocks until somebody writes), then exits with the number that it read
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

void leave_daemon(const char* file) {
  int ends[2];
  if (pipe(ends) != 0) exit(20);
  if (fork() == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    signal(SIGTERM, SIG_IGN);
    const std::string pid = std::to_string(getpid());
    const int out = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (write(out, pid.data(), pid.size()) < 0) _exit(21);
    close(out);
    close(ends[0]);
    close(ends[1]);
    for (;;) pause();
  }
  close(ends[1]);
  char nothing;
  if (read(ends[0], &nothing, 1) != 0) exit(22);  // until the daemon has written its pid
}

int progress_socket() {
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un own{};
  own.sun_family = AF_UNIX;
  if (bind(socket, reinterpret_cast<sockaddr*>(&own), sizeof(sa_family_t)) != 0) exit(23);  // the kernel gives it an abstract name
  sockaddr_un there{};
  there.sun_family = AF_UNIX;
  const char* const path = getenv("ULTRA_PROGRESS");
  if (path == nullptr || strlen(path) >= sizeof there.sun_path) exit(24);
  strcpy(there.sun_path, path);
  if (connect(socket, reinterpret_cast<sockaddr*>(&there), sizeof there) != 0) exit(25);
  return socket;
}

void say(int socket, const std::string& text) {
  if (send(socket, text.data(), text.size(), 0) < 0) exit(26);
}

}  // namespace

int main(int count, char** arguments) {
  const std::string mode = count > 1 ? arguments[1] : "";
  const char* const argument = count > 2 ? arguments[2] : "";
  const std::string rank = getenv("RANK") == nullptr ? "0" : getenv("RANK");
  if (mode == "escape") {
    signal(SIGTERM, SIG_IGN);
    leave_daemon(argument);
    for (;;) pause();
  }
  if (mode == "daemon") {
    leave_daemon(argument);
    return 0;
  }
  if (mode == "checkpoint") {
    const int socket = progress_socket();
    for (;;) {
      say(socket, R"({"type":"checkpoint","rank":)" + rank + R"(,"step":)" + argument + R"(,"path":"/data/step"})");
      pollfd answer{.fd = socket, .events = POLLIN, .revents = 0};
      if (poll(&answer, 1, 100) != 1) continue;
      char word[64] = {};
      if (recv(socket, word, sizeof word - 1, 0) < 0) return 27;
      puts(word);
      return 0;
    }
  }
  if (mode == "progress") {
    const int socket = progress_socket();
    say(socket, "this is not JSON");
    say(socket, R"({"type":"of a later version","rank":0})");
    say(socket, R"({"type":"phase","rank":)" + rank + R"(,"name":"warm-up","limit_ms":1000})");
    for (int step = 1; step <= atoi(argument); ++step) {
      say(socket, R"({"type":"step","rank":)" + rank + R"(,"step":)" + std::to_string(step) + R"(,"loss":1.5,"tokens_per_s":10,"tokens":)" +
                      std::to_string(step * 100) + "}");
    }
    say(socket, R"({"type":"collective","rank":)" + rank + R"(,"count":12,"bytes":4096,"sequence":12})");
    return 0;
  }
  if (mode == "wait") {
    FILE* const fifo = fopen(argument, "r");
    int code = 99;
    if (fifo == nullptr || fscanf(fifo, "%d", &code) != 1) return 98;
    return code;
  }
  fputs("test_rank: unknown mode\n", stderr);
  return 2;
}
