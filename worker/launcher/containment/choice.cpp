// Which kind of containment this machine and this user allow.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "worker/launcher/containment/containment.h"
#include "worker/launcher/containment/group_files.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {

namespace fs = std::filesystem;

std::unique_ptr<Containment> reopen_cgroup_v1(const std::vector<std::string>& folders);
std::unique_ptr<Containment> reopen_cgroup_v2(const std::vector<std::string>& folders);

namespace {

class ProcessGroups final : public Containment {
 public:
  std::string kind() const override { return "process_groups"; }
  std::vector<std::string> limits() const override { return {}; }
  std::vector<std::string> folders() const override { return {}; }
  std::unique_ptr<GangGroup> make(const GangKey&, const AttemptLimits&) override { return nullptr; }
  std::unique_ptr<GangGroup> find(const GangKey&) override { return nullptr; }
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

/// "\040" for a blank, and so on.
std::string unescaped(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool has_word(const std::string& list, const std::string& word) {
  const auto words = split(list, ',');
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Where the group `path` of a hierarchy is seen below its mount point, of which `root` is shown.
std::string folder_of(const std::string& mount_point, const std::string& root, const std::string& path) {
  if (root == "/") return path == "/" ? mount_point : mount_point + path;
  if (path == root) return mount_point;
  return path.starts_with(root + "/") ? mount_point + path.substr(root.size()) : mount_point;
}

std::string text_of_file(const std::string& path) { return read_group_file(path); }

/// A number in a file; 0 when it says "max" or is too large to be a limit.
std::int64_t number_in(const std::string& path) {
  const std::string text = read_group_file(path);
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number >= (std::int64_t{1} << 62) ? 0 : number;
}

std::int64_t kills_in(const std::string& path) {
  std::istringstream words(read_group_file(path));
  std::string name;
  for (std::int64_t value = 0; words >> name >> value;)
    if (name == "oom_kill") return value;
  return 0;
}

}  // namespace

OwnGroups own_groups(const std::string& mountinfo, const std::string& membership) {
  OwnGroups own;
  struct Wanted {
    const char* controller;
    std::string* folder;
  };
  const std::vector<Wanted> wanted = {{"memory", &own.memory}, {"pids", &own.pids}, {"cpu", &own.cpu}, {"devices", &own.devices}, {"freezer", &own.freezer}};
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    // id parent major:minor root mount-point options [more]... - type source super-options
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto before = split(line.substr(0, dash), ' '), after = split(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    const std::string root = unescaped(before[3]), mount_point = unescaped(before[4]);
    std::istringstream memberships(membership);
    for (std::string one; std::getline(memberships, one);) {
      const std::size_t first = one.find(':'), second = one.find(':', first + 1);
      if (first == std::string::npos || second == std::string::npos) continue;
      const std::string controllers = one.substr(first + 1, second - first - 1), path = one.substr(second + 1);
      if (after[0] == "cgroup2" && controllers.empty() && own.unified.empty()) {
        own.unified = folder_of(mount_point, root, path);
        own.unified_is_root = path == "/" && !fs::exists(own.unified + "/cgroup.events");
      }
      if (after[0] != "cgroup") continue;
      for (const Wanted& one_wanted : wanted) {
        if (one_wanted.folder->empty() && has_word(controllers, one_wanted.controller) && has_word(after[2], one_wanted.controller))
          *one_wanted.folder = folder_of(mount_point, root, path);
      }
    }
  }
  return own;
}

OwnGroups own_groups() { return own_groups(text_of_file("/proc/self/mountinfo"), text_of_file("/proc/self/cgroup")); }

std::unique_ptr<Containment> make_process_groups() { return std::make_unique<ProcessGroups>(); }

std::unique_ptr<Containment> choose_containment(const std::string& wish, const std::string& name, const OwnGroups& own) {
  if (wish == "process_groups") return make_process_groups();
  if (wish == "cgroup_v1") return make_cgroup_v1(own, name);
  if (wish == "cgroup_v2") return make_cgroup_v2(own, name);
  std::unique_ptr<Containment> unified;
  try {
    // Without controllers it is of use only where version 1 isn't: so ask before anything is made.
    const std::string given = own.unified.empty() ? "" : read_group_file(own.unified + "/cgroup.controllers");
    const bool limits_memory = given.find("memory") != std::string::npos && given.find("pids") != std::string::npos;
    if (limits_memory || own.freezer.empty()) unified = make_cgroup_v2(own, name);
    if (unified && !unified->limits().empty()) return unified;
  } catch (const FolderError&) {
  }
  try {
    return make_cgroup_v1(own, name);
  } catch (const FolderError&) {
  }
  return unified ? std::move(unified) : make_process_groups();
}

std::unique_ptr<Containment> reopen_containment(const std::string& kind, const std::vector<std::string>& folders) {
  bool holds_groups = false;
  for (const std::string& folder : folders) {
    std::error_code gone;
    for (const auto& entry : fs::directory_iterator(folder, gone)) {
      std::error_code ignored;
      holds_groups = holds_groups || entry.is_directory(ignored);
    }
  }
  if (!holds_groups) return nullptr;
  return kind == "cgroup_v2" ? reopen_cgroup_v2(folders) : kind == "cgroup_v1" ? reopen_cgroup_v1(folders) : nullptr;
}

void remove_empty_groups(const Containment& containment) {
  for (const std::string& folder : containment.folders()) {
    std::error_code gone;
    for (const auto& entry : fs::directory_iterator(folder, gone)) {
      std::error_code ignored;
      if (entry.is_directory(ignored)) remove_group(entry.path().string());  // refused where a process is
    }
  }
}

std::vector<DeviceNumber> other_gpus(const std::string& folder, const std::vector<std::int64_t>& minors) {
  std::vector<DeviceNumber> others;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator(folder, gone)) {
    const std::string name = entry.path().filename().string();
    constexpr std::string_view prefix = "nvidia";
    if (!name.starts_with(prefix)) continue;
    std::int64_t index = -1;
    const auto [end, error] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), index);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    if (std::find(minors.begin(), minors.end(), index) != minors.end()) continue;
    struct stat status {};
    if (::stat(entry.path().c_str(), &status) != 0 || !S_ISCHR(status.st_mode)) continue;
    others.push_back({static_cast<std::int64_t>(major(status.st_rdev)), static_cast<std::int64_t>(minor(status.st_rdev))});
  }
  return others;
}

/// They are counted in the innermost group that counts memory at all.
std::optional<std::int64_t> own_memory_kills(const OwnGroups& own) {
  const bool first_version = !own.memory.empty();
  for (fs::path folder = first_version ? own.memory : own.unified; folder.has_relative_path(); folder = folder.parent_path()) {
    const std::string counters = folder.string() + (first_version ? "/memory.oom_control" : "/memory.events");
    if (fs::exists(counters)) return kills_in(counters);
    if (folder == "/sys/fs/cgroup") break;
  }
  return std::nullopt;
}

std::optional<MemoryUse> own_memory(const OwnGroups& own) {
  const bool first_version = !own.memory.empty();
  const std::string start = first_version ? own.memory : own.unified;
  const char* const counters = first_version ? "/memory.oom_control" : "/memory.events";
  const char* const limit_file = first_version ? "/memory.limit_in_bytes" : "/memory.max";
  const char* const peak_file = first_version ? "/memory.max_usage_in_bytes" : "/memory.peak";
  MemoryUse use{.kills = own_memory_kills(own).value_or(0)};
  bool found = false;
  // The limit that binds may be of any group above.
  for (fs::path folder = start; folder.has_relative_path(); folder = folder.parent_path()) {
    if (!fs::exists(folder.string() + counters)) {
      if (found) break;
      if (folder == "/sys/fs/cgroup" || folder == folder.parent_path()) break;
      continue;
    }
    const std::int64_t limit = number_in(folder.string() + limit_file);
    if (!found || (limit > 0 && (use.limit_bytes == 0 || limit < use.limit_bytes))) {
      use.limit_bytes = limit;
      use.peak_bytes = number_in(folder.string() + peak_file);
    }
    found = true;
  }
  return found ? std::optional(use) : std::nullopt;
}

}  // namespace ultramarine::launcher
