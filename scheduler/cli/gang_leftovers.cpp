#include "scheduler/cli/gang_leftovers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/protocol/codec.h"

namespace ultramarine::cli {

namespace fs = std::filesystem;

namespace {

std::int64_t owner_of(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? static_cast<std::int64_t>(status.st_uid) : -1;
}

/// Those that this agent noted down; none when it uses process groups.
std::vector<std::string> group_folders(const fs::path& agent) {
  std::vector<std::string> folders;
  std::ifstream file(agent / "containment.json");
  std::ostringstream text;
  text << file.rdbuf();
  try {
    const protocol::json::value record = protocol::parse_json(text.str());
    for (const auto& folder : record.at("folders").as_array()) folders.emplace_back(folder.as_string());
  } catch (const std::exception&) {
    // Not there, or of another version.
  }
  return folders;
}

template <class Add>
void add_processes_below(const fs::path& group, const Add& add) {
  std::ifstream file(group / "cgroup.procs");
  for (std::int64_t pid = 0; file >> pid;)
    if (const auto process = identify(pid)) add(*process);
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator(group, gone)) {
    std::error_code ignored;
    if (entry.is_directory(ignored)) add_processes_below(entry.path(), add);
  }
}

void remove_group(const fs::path& group) {
  std::error_code gone, ignored;
  for (const auto& entry : fs::directory_iterator(group, gone))
    if (entry.is_directory(ignored)) remove_group(entry.path());
  ::rmdir(group.c_str());
}

}  // namespace

void remove_gang_groups(const std::string& agents) {
  std::error_code error;
  for (const auto& agent : fs::directory_iterator(agents, error)) {
    for (const fs::path folder : group_folders(agent.path())) {
      remove_group(folder);
      ::rmdir(folder.parent_path().c_str());  // stays while other agents of this machine have groups in it
    }
  }
}

std::vector<Process> gang_leftovers(const std::string& agents) {
  std::vector<Process> found;
  const auto add = [&](const Process& process) {
    if (std::find(found.begin(), found.end(), process) == found.end()) found.push_back(process);
  };
  const auto read_json = [](const fs::path& path) -> protocol::json::value {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    try {
      return protocol::parse_json(text.str());
    } catch (const protocol::DecodeError&) {
      return nullptr;  // not there (any more), or half written: then its shim has just begun and has nothing yet
    }
  };
  std::error_code error;
  for (const auto& agent : fs::directory_iterator(agents, error)) {
    for (const std::string& folder : group_folders(agent.path())) add_processes_below(folder, add);
    std::error_code ignored;
    for (const auto& job : fs::directory_iterator(agent.path() / "jobs", ignored)) {
      // Under an agent that is root, a job's folder is its owner's: what he wrote there counts for his own processes only.
      const std::int64_t owner = owner_of(job.path());
      const auto add_owned = [&](const Process& process) {
        if (owner_of("/proc/" + std::to_string(process.pid)) == owner || owner == static_cast<std::int64_t>(::geteuid())) add(process);
      };
      const auto shim = read_json(job.path() / "shim.pid");
      try {
        if (shim.is_object()) {
          const auto& identity = shim.at("process").as_object();
          const Process process{identity.at("pid").to_number<std::int64_t>(),
                                identity.at("start_ticks").to_number<std::int64_t>(),
                                std::string(shim.at("boot_id").as_string())};
          if (is_running(process)) {
            for (const Process& one : descendants_of(process)) add_owned(one);
            add_owned(process);
          }
        }
        const auto leftovers = read_json(job.path() / "leftovers.json");
        if (leftovers.is_object()) {
          const std::string boot(leftovers.at("boot_id").as_string());
          for (const auto& rank : leftovers.at("ranks").as_array()) {
            const Process process{rank.at("pid").to_number<std::int64_t>(),
                                  rank.at("start_ticks").to_number<std::int64_t>(), boot};
            if (!is_running(process)) continue;
            for (const Process& one : descendants_of(process)) add_owned(one);
            add_owned(process);
          }
          const std::string mark(leftovers.at("mark").as_string());
          if (!mark.empty()) {
            for (const Process& one : processes_with_environment(mark)) add_owned(one);
          }
        }
      } catch (const std::exception&) {
        // Written by another version: its agent will clean up at the next start.
      }
    }
  }
  return found;
}

}  // namespace ultramarine::cli
