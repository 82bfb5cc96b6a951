#include "worker/launcher/script_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "worker/launcher/command_check.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {
namespace {

constexpr const char* blanks = " \t";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// A word that `env` would look up along PATH: no option, no assignment, and the only one.
bool is_program_name(std::string_view words) {
  return !words.empty() && words.front() != '-' && words.find_first_of(" \t=/") == std::string_view::npos;
}

}  // namespace

std::string script_problem(const std::string& text, const std::string& working_directory, const Environment& environment,
                           const std::string& node) {
  if (!text.starts_with("#!")) return "the script has no interpreter: its first line must begin with #!, for example #!/bin/bash";
  const std::string_view line = std::string_view(text).substr(0, text.find('\n'));
  if (line.ends_with('\r')) {
    return "the script has DOS line ends (\\r\\n), which no interpreter of this system understands: convert it (dos2unix, or sed -i "
           "'s/\\r$//') and submit it again";
  }
  const std::string_view words = trimmed(line.substr(2));
  const std::size_t end = words.find_first_of(blanks);
  const std::string interpreter(words.substr(0, end));
  const std::string_view argument = end == std::string_view::npos ? std::string_view() : trimmed(words.substr(end));
  if (interpreter.empty()) return "the script names no interpreter: its first line must go on after #!, for example #!/bin/bash";
  const std::string named = "the script's first line asks for " + interpreter;
  const std::string path = interpreter.starts_with('/') ? interpreter : working_directory + "/" + interpreter;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    const std::string why = errno == ENOENT ? "does not exist" : std::string("can't be reached (") + std::strerror(errno) + ")";
    return named + ", which " + why + " on " + node + ": correct the line, or install it there";
  }
  if (S_ISDIR(status.st_mode) || ::access(path.c_str(), X_OK) != 0) return named + ", which can't be run on " + node;
  if (path.ends_with("/env") && is_program_name(argument)) {
    const CommandCheck program = check_command({std::string(argument)}, working_directory, environment, node);
    if (!program.problem.empty()) return "the script's first line asks env for " + std::string(argument) + ", but: " + program.problem;
  }
  return "";
}

void write_script(const std::string& path, const std::string& text) {
  write_durably(path, text);
  if (::chmod(path.c_str(), 0700) != 0) throw FolderError("can't make " + path + " executable: " + std::strerror(errno));
}

}  // namespace ultramarine::launcher
