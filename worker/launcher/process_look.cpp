#include "worker/launcher/process_look.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string_view>

#include "worker/launcher/log_tail.h"

namespace ultramarine::launcher {
namespace {

constexpr int threads_max = 256;  // looked at, of one process
constexpr std::size_t name_bytes_max = 64;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line, '\0');
  return line;
}

struct StatLine {
  std::string name;
  char state = '?';
  std::int64_t cpu_ticks = 0;
};

/// pid (name) state ppid ... 14: utime 15: stime
std::optional<StatLine> read_stat(const std::string& folder) {
  const std::string line = first_line(folder + "/stat");
  const std::size_t open = line.find('('), close = line.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close < open) return std::nullopt;
  StatLine stat{.name = line.substr(open + 1, close - open - 1)};
  std::istringstream fields(line.substr(close + 1));
  std::string skipped;
  std::int64_t user = 0, system = 0;
  fields >> stat.state;
  for (int field = 4; field <= 13; ++field) fields >> skipped;
  fields >> user >> system;
  if (!fields) return std::nullopt;
  stat.cpu_ticks = user + system;
  return stat;
}

/// What the states of threads make of a process: the one that hinders it most.
char worse(char a, char b) {
  constexpr std::string_view order = "TtZDR";
  const auto place = [&](char state) { return std::min(order.find(state), order.size()); };
  return place(a) <= place(b) ? a : b;
}

char state_of_threads(const std::string& folder, char leader) {
  char state = leader;
  DIR* const threads = ::opendir((folder + "/task").c_str());
  if (threads == nullptr) return state;
  int left = threads_max;
  while (const dirent* entry = ::readdir(threads)) {
    if (entry->d_name[0] == '.' || left-- <= 0) continue;
    if (const auto stat = read_stat(folder + "/task/" + entry->d_name); stat && stat->state != 'X') state = worse(state, stat->state);
  }
  ::closedir(threads);
  return state;
}

std::optional<ProcessLook> read_look(std::int64_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const auto stat = read_stat(folder);
  if (!stat) return std::nullopt;
  ProcessLook look{.program = clean_text(stat->name, name_bytes_max), .state = state_of_threads(folder, stat->state), .cpu_ticks = stat->cpu_ticks};
  look.wait = clean_text(first_line(folder + "/wchan"), name_bytes_max);
  if (look.wait == "0") look.wait.clear();
  const std::string call = first_line(folder + "/syscall");
  std::from_chars(call.data(), call.data() + call.size(), look.system_call);  // "running" leaves -1
  return look;
}

}  // namespace

std::string described(std::int64_t pid) {
  const std::string process = "process " + std::to_string(pid);
  const auto stat = read_stat("/proc/" + std::to_string(pid));
  return stat ? process + " (" + clean_text(stat->name, 32) + ", state " + stat->state + ")" : process;
}

std::vector<TreeLook> look_at(const std::vector<std::int64_t>& pids) {
  std::vector<TreeLook> looks;
  for (const std::vector<ProcessIdentity>& tree : trees_of(pids)) {
    TreeLook& look = looks.emplace_back();
    for (const ProcessIdentity& process : tree)
      if (auto seen = read_look(process.pid)) look.emplace(process, std::move(*seen));
  }
  return looks;
}

RankStillness compare(std::int64_t pid, const TreeLook& first, const TreeLook& second, Duration between) {
  RankStillness rank{.pid = pid, .look_ms = between};
  const std::int64_t ticks_per_second = std::max<std::int64_t>(1, ::sysconf(_SC_CLK_TCK));
  const ProcessLook* chosen = nullptr;
  char chosen_state = '?';
  const auto weight = [](char state) { return state == 'T' || state == 't' ? 3 : state == 'Z' ? 2 : state == 'D' ? 1 : 0; };
  std::int64_t ticks = 0;
  for (const auto& [process, look] : second) {
    const auto before = first.find(process);
    ticks += look.cpu_ticks - (before == first.end() ? 0 : before->second.cpu_ticks);
    char state = look.state;
    if (before != first.end() && before->second.state != state) state = before->second.state == 'R' || state == 'R' ? 'R' : 'S';
    if (state == 'Z' && process.pid != pid) continue;  // a child that nobody has asked about yet
    const bool says_more = !chosen || weight(state) > weight(chosen_state) || (weight(state) == weight(chosen_state) && look.cpu_ticks > chosen->cpu_ticks);
    if (!says_more) continue;
    chosen = &look;
    chosen_state = state;
    rank.pid = process.pid;
  }
  rank.is_alone = rank.pid == pid;
  rank.cpu_ms = {std::max<std::int64_t>(0, ticks) * 1000 / ticks_per_second};
  if (!chosen) return rank;
  rank.program = chosen->program;
  rank.state = std::string(1, chosen_state);
  rank.wait = chosen->wait;
  rank.system_call = chosen->system_call;
  return rank;
}

}  // namespace ultramarine::launcher
