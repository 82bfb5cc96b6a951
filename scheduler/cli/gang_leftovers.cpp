#include "scheduler/cli/gang_leftovers.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/protocol/codec.h"

namespace ultramarine::cli {

namespace fs = std::filesystem;

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
    std::error_code ignored;
    for (const auto& job : fs::directory_iterator(agent.path() / "jobs", ignored)) {
      const auto shim = read_json(job.path() / "shim.pid");
      try {
        if (shim.is_object()) {
          const auto& identity = shim.at("process").as_object();
          const Process process{identity.at("pid").to_number<std::int64_t>(),
                                identity.at("start_ticks").to_number<std::int64_t>(),
                                std::string(shim.at("boot_id").as_string())};
          if (is_running(process)) {
            for (const Process& one : descendants_of(process)) add(one);
            add(process);
          }
        }
        const auto leftovers = read_json(job.path() / "leftovers.json");
        if (leftovers.is_object()) {
          const std::string boot(leftovers.at("boot_id").as_string());
          for (const auto& rank : leftovers.at("ranks").as_array()) {
            const Process process{rank.at("pid").to_number<std::int64_t>(),
                                  rank.at("start_ticks").to_number<std::int64_t>(), boot};
            if (!is_running(process)) continue;
            for (const Process& one : descendants_of(process)) add(one);
            add(process);
          }
          const std::string mark(leftovers.at("mark").as_string());
          if (!mark.empty()) {
            for (const Process& one : processes_with_environment(mark)) add(one);
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
