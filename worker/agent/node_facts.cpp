#include "worker/agent/node_facts.h"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>

#include "worker/launcher/log_tail.h"

namespace ultramarine::agent {
namespace {

std::string text_of_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// From "btime SECONDS" of /proc/stat.
Time boot_time() {
  std::istringstream lines(text_of_file("/proc/stat"));
  for (std::string word; lines >> word;) {
    std::int64_t seconds = 0;
    if (word == "btime" && lines >> seconds) return Time{seconds * 1000};
  }
  return {};
}

/// The first line that `program --version` says, or "" when there is no such program.
std::string version_of(const std::string& program) {
  const std::string command = "command -v " + program + " >/dev/null 2>&1 && timeout 2 " + program + " --version </dev/null 2>&1";
  FILE* const output = ::popen(command.c_str(), "re");
  if (output == nullptr) return "";
  std::string text;
  std::array<char, 512> piece{};
  while (std::fgets(piece.data(), static_cast<int>(piece.size()), output) != nullptr) {
    if (text.size() < piece.size()) text += piece.data();
  }
  const bool succeeded = ::pclose(output) == 0;
  return succeeded ? launcher::clean_text(text.substr(0, text.find('\n')), 120) : "";
}

const std::map<std::string, std::string>& program_versions() {
  static const std::map<std::string, std::string> versions = [] {
    std::map<std::string, std::string> found;
    for (const char* program : {"python3", "mpirun", "nvcc", "apptainer", "docker"}) {
      if (const std::string version = version_of(program); !version.empty()) found[program] = version;
    }
    return found;
  }();
  return versions;
}

}  // namespace

std::string nvidia_driver_version(const std::string& text) {
  // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Sat Feb 17 ..." and "... Open Kernel Module for x86_64  550.54 ...": the
  // first word of digits and dots.
  std::istringstream words(text.substr(0, text.find('\n')));
  for (std::string word; words >> word;) {
    const bool numeric = word.find_first_not_of("0123456789.") == std::string::npos;
    if (numeric && std::isdigit(static_cast<unsigned char>(word.front())) != 0 && word.find('.') != std::string::npos) return word;
  }
  return "";
}

NodeFacts node_facts(const std::string& state_directory, const std::string& version) {
  NodeFacts facts{.boot_ms = boot_time(), .agent_version = version, .state_directory = state_directory};
  facts.clock_ms =
      Time{std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count()};
  utsname kernel{};
  if (::uname(&kernel) == 0) facts.kernel = std::string(kernel.sysname) + " " + kernel.release;
  facts.cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
  struct sysinfo memory {};
  if (::sysinfo(&memory) == 0) facts.memory_bytes = static_cast<std::int64_t>(memory.totalram) * memory.mem_unit;
  struct statvfs disk {};
  if (::statvfs(state_directory.c_str(), &disk) == 0) facts.disk_free_bytes = static_cast<std::int64_t>(disk.f_bavail * disk.f_frsize);
  const std::string driver = nvidia_driver_version(text_of_file("/proc/driver/nvidia/version"));
  if (!driver.empty()) facts.driver = "NVIDIA " + driver;
  facts.programs = program_versions();
  return facts;
}

}  // namespace ultramarine::agent
