// A mail program (sendmail and all that take its options) with a message on its stdin: no shell, a process group of its
// own, a short environment.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "scheduler/net/file_descriptor.h"
#include "scheduler/notifier/transfer.h"

namespace ultramarine::notifier {

class MailProgram {
 public:
  /// Starts `program -i -f from -- to`. One that can't be started has ended at once.
  MailProgram(const std::string& program, const std::string& from, const std::string& to, const std::string& message,
              std::chrono::milliseconds timeout);
  ~MailProgram();  // kills it if it still runs
  MailProgram(const MailProgram&) = delete;
  MailProgram& operator=(const MailProgram&) = delete;

  /// Readable when it has ended; -1: there is no such thing here, ask now and then.
  int descriptor() const { return ended_.get(); }
  std::chrono::steady_clock::time_point deadline() const { return deadline_; }
  /// What it has come to; nullopt: it still runs. Past its deadline it is killed.
  struct End {
    Verdict verdict = Verdict::later;
    std::string why;
  };
  std::optional<End> end();

 private:
  std::optional<End> end_of(int status);
  void kill_and_wait();

  const std::string program_;
  const std::chrono::steady_clock::time_point deadline_;
  pid_t pid_ = -1;
  net::FileDescriptor ended_, errors_;
  std::optional<End> failed_start_;
};

}  // namespace ultramarine::notifier
