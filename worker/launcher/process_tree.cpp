#include "worker/launcher/process_tree.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cctype>
#include <charconv>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace ultramarine::launcher {
namespace {

struct ProcessLine {
  ProcessIdentity identity;
  std::int64_t parent = 0;
  bool ended = false;  // a zombie without living threads
};

/// One line of /proc/PID/stat: pid (name) state ppid ... 20: threads ... 22: start time. The name may hold blanks and brackets.
std::optional<ProcessLine> read_process(std::int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!file || !std::getline(file, line, '\0')) return std::nullopt;
  const std::size_t bracket = line.rfind(')');
  if (bracket == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(bracket + 1));
  char state = '?';
  ProcessLine process;
  process.identity.pid = pid;
  fields >> state >> process.parent;
  std::int64_t skipped = 0, threads = 0;
  for (int field = 5; field <= 19; ++field) fields >> skipped;
  fields >> threads >> skipped >> process.identity.start_ticks;
  if (!fields) return std::nullopt;
  process.ended = (state == 'Z' || state == 'X') && threads <= 1;
  return process;
}

template <class Visit>
void for_each_pid(Visit visit) {
  DIR* folder = ::opendir("/proc");
  if (folder == nullptr) return;
  while (const dirent* entry = ::readdir(folder)) {
    std::int64_t pid = 0;
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    const auto [stop, error] = std::from_chars(entry->d_name, end, pid);
    if (error == std::errc() && stop == end) visit(pid);
  }
  ::closedir(folder);
}

}  // namespace

std::optional<ProcessIdentity> identify(std::int64_t pid) {
  const auto process = read_process(pid);
  return process ? std::optional(process->identity) : std::nullopt;
}

bool is_running(const ProcessIdentity& process) {
  const auto now = read_process(process.pid);
  return now && now->identity == process && !now->ended;
}

bool belongs_to(std::int64_t pid, std::int64_t uid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("Uid:")) continue;
    std::istringstream ids(line.substr(4));
    int count = 0;
    for (std::int64_t id = 0; ids >> id; ++count)
      if (id != uid) return false;
    return count == 4;
  }
  return false;
}

namespace {

using Children = std::map<std::int64_t, std::vector<ProcessLine>>;  // by parent

Children read_children() {
  Children children;
  for_each_pid([&](std::int64_t pid) {
    if (const auto process = read_process(pid)) children[process->parent].push_back(*process);
  });
  return children;
}

void add_descendants(Children& children, std::int64_t ancestor, std::vector<ProcessIdentity>& found) {
  std::vector<std::int64_t> open = {ancestor};
  std::set<std::int64_t> seen = {ancestor};
  while (!open.empty()) {
    const std::int64_t parent = open.back();
    open.pop_back();
    for (const ProcessLine& child : children[parent]) {
      if (!seen.insert(child.identity.pid).second) continue;
      open.push_back(child.identity.pid);
      if (!child.ended) found.push_back(child.identity);
    }
  }
}

}  // namespace

std::vector<ProcessIdentity> descendants_of(std::int64_t ancestor) {
  Children children = read_children();
  std::vector<ProcessIdentity> found;
  add_descendants(children, ancestor, found);
  return found;
}

std::vector<std::vector<ProcessIdentity>> trees_of(const std::vector<std::int64_t>& roots) {
  Children children = read_children();
  std::vector<std::vector<ProcessIdentity>> trees;
  for (const std::int64_t root : roots) {
    std::vector<ProcessIdentity>& tree = trees.emplace_back();
    if (const auto identity = identify(root)) tree.push_back(*identity);
    add_descendants(children, root, tree);
  }
  return trees;
}

std::vector<ProcessIdentity> processes_with_environment(const std::string& entry) {
  std::vector<ProcessIdentity> found;
  for_each_pid([&](std::int64_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/environ", std::ios::binary);
    std::string variable;
    while (std::getline(file, variable, '\0')) {
      if (variable != entry) continue;
      const auto process = read_process(pid);
      if (process && !process->ended) found.push_back(process->identity);
      break;
    }
  });
  return found;
}

int open_process(const ProcessIdentity& process) {
  const int descriptor = static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(process.pid), 0));
  if (descriptor < 0) return -1;
  // Checked after opening: from here on the descriptor can't come to mean another process.
  if (identify(process.pid) == process) return descriptor;
  ::close(descriptor);
  return -1;
}

bool send_signal(const ProcessIdentity& process, int signal) {
  const int descriptor = open_process(process);
  if (descriptor < 0) return false;
  const bool sent = ::syscall(SYS_pidfd_send_signal, descriptor, signal, nullptr, 0) == 0;
  ::close(descriptor);
  return sent;
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace ultramarine::launcher
