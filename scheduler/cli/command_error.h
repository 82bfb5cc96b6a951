// What ends a command early: one line for a person and an exit code for a script. The codes are a promise to scripts.
#pragma once

#include <stdexcept>
#include <string>

namespace ultramarine::cli {

namespace exit_code {
constexpr int ok = 0;
constexpr int failure = 1;
constexpr int usage = 2;
constexpr int not_found = 3;
constexpr int not_permitted = 4;
constexpr int unreachable = 5;
constexpr int conflict = 6;
constexpr int timed_out = 7;
constexpr int system_failed = 125;  // of a job that our system failed
constexpr int interrupted = 130;
}  // namespace exit_code

/// `what` is one line without the leading "error: ": "--gpus: 65 GPUs asked, partition main has 64; ask for at most
/// 64".
struct CommandError : std::runtime_error {
  CommandError(int code_, const std::string& line) : std::runtime_error(line), code(code_) {}
  int code;
};

/// No scheduler at the socket, or (`lost`) it went away in the middle of a request.
struct Unreachable : CommandError {
  Unreachable(const std::string& line, bool lost_) : CommandError(exit_code::unreachable, line), lost(lost_) {}
  bool lost;
};

/// Ctrl-C (or SIGTERM) arrived while a command waited; whoever can say what that means catches it.
struct Interrupted {};

/// "field: problem; remedy", without the parts that are empty, on one line whatever they hold. English sentences that came from
/// elsewhere are said in the reader's language where it has them (language.h).
std::string error_line(const std::string& field, const std::string& problem, const std::string& remedy);

/// Throws CommandError with that line and the code for wrong usage.
[[noreturn]] void usage_error(const std::string& field, const std::string& problem, const std::string& remedy);

}  // namespace ultramarine::cli
