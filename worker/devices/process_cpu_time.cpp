#include "worker/devices/process_cpu_time.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

namespace ultramarine::devices {
namespace {

/// A rank that forks without end must not make the agent read without end.
constexpr std::size_t processes_max = 1024;

void add_children(std::int64_t pid, std::vector<std::int64_t>& out) {
  std::error_code ended;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", ended)) {
    std::ifstream children(thread.path() / "children");
    for (std::int64_t child = 0; children >> child;) out.push_back(child);
  }
}

}  // namespace

std::optional<std::int64_t> cpu_ticks_of_stat(const std::string& line) {
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field <= 13; ++field) fields >> skipped;  // state .. cmajflt; utime is field 14 of proc(5)
  std::int64_t utime = 0, stime = 0, cutime = 0, cstime = 0;
  if (!(fields >> utime >> stime >> cutime >> cstime)) return std::nullopt;
  return utime + stime + cutime + cstime;
}

std::optional<Duration> process_cpu_time(std::int64_t pid) {
  static const std::int64_t ticks_per_second = sysconf(_SC_CLK_TCK);
  std::int64_t ticks = 0;
  bool exists = false;
  std::set<std::int64_t> visited;
  std::vector<std::int64_t> pending{pid};
  while (!pending.empty() && visited.size() < processes_max) {
    const std::int64_t next = pending.back();
    pending.pop_back();
    if (!visited.insert(next).second) continue;
    std::ifstream file("/proc/" + std::to_string(next) + "/stat");
    std::string line;
    std::getline(file, line);
    const std::optional<std::int64_t> own = cpu_ticks_of_stat(line);
    if (!own) continue;
    ticks += *own;
    exists = exists || next == pid;
    add_children(next, pending);
  }
  if (!exists) return std::nullopt;
  return milliseconds(ticks * 1000 / ticks_per_second);
}

}  // namespace ultramarine::devices
