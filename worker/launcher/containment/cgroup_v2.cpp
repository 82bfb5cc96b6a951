// Control groups of version 2: one hierarchy. A group with processes of its own can't hand controllers down, so an agent that isn't in the
// root group steps aside into a group beside those of its gangs.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <sstream>

#include "worker/launcher/containment/containment.h"
#include "worker/launcher/containment/group_files.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {
namespace {

namespace fs = std::filesystem;

class GroupV2 final : public GangGroup {
 public:
  explicit GroupV2(std::string folder) : folder_(std::move(folder)) {}

  std::vector<std::string> entrances() const override { return {folder_ + "/cgroup.procs"}; }
  std::vector<std::int64_t> processes() const override { return processes_below(folder_); }

  void kill_all_but(std::int64_t spared) override {
    if (spared == 0 && write_group_file(folder_ + "/cgroup.kill", "1") == 0) return;
    // Stopped, none can fork; SIGKILL reaches them all the same.
    write_group_file(folder_ + "/cgroup.freeze", "1");
    kill_processes(processes(), spared);
    write_group_file(folder_ + "/cgroup.freeze", "0");
  }

  bool remove() override {
    if (!remove_group(folder_)) return false;
    std::error_code other_gangs;
    fs::remove(fs::path(folder_).parent_path(), other_gangs);
    return true;
  }

 private:
  const std::string folder_;
};

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream words(text);
  return {std::istream_iterator<std::string>(words), {}};
}

class CgroupV2 final : public Containment {
 public:
  explicit CgroupV2(std::string base) : base_(std::move(base)) { learn(); }

  CgroupV2(const OwnGroups& own, const std::string& name) : base_(own.unified + "/ultramarine/" + name) {
    make_group(base_);
    if (!own.unified_is_root) {
      make_group(own.unified + "/ultramarine-agent");
      write_group_file(own.unified + "/ultramarine-agent/cgroup.procs", "0");
    }
    for (const std::string& folder : {own.unified, own.unified + "/ultramarine", base_}) hand_down(folder);
    learn();
    remove_base();  // made again with the first gang: an agent without gangs leaves nothing behind, however it ends
  }

  ~CgroupV2() override { remove_base(); }

  std::string kind() const override { return "cgroup_v2"; }
  std::vector<std::string> limits() const override { return limits_; }
  std::vector<std::string> folders() const override { return {base_}; }

  std::unique_ptr<GangGroup> make(const GangKey& key, const AttemptLimits& wanted) override {
    const std::string attempt = attempt_folder(key), gang = attempt + "/" + std::to_string(key.gang);
    make_group(gang);
    // For each gang anew: whoever made the attempt's group may not have come to its limits.
    // A parent that was removed and made again between two gangs has lost what it hands down.
    for (const std::string& folder : {fs::path(base_).parent_path().string(), base_}) hand_down(folder);
    if (has("memory") && wanted.memory_bytes > 0) {
      set(attempt, "memory.max", std::to_string(wanted.memory_bytes));
      if (fs::exists(attempt + "/memory.swap.max")) set(attempt, "memory.swap.max", "0");
    }
    if (has("pids") && wanted.processes > 0) set(attempt, "pids.max", std::to_string(wanted.processes));
    if (has("cpu") && wanted.cpus > 0) set(attempt, "cpu.max", std::to_string(wanted.cpus * 100'000) + " 100000");
    if (has("devices") && !wanted.denied_devices.empty()) {
      if (const int problem = deny_devices_by_program(attempt, wanted.denied_devices))
        throw FolderError("can't keep the other GPUs from " + attempt + ": " + std::strerror(problem));
    }
    return std::make_unique<GroupV2>(gang);
  }

  std::unique_ptr<GangGroup> find(const GangKey& key) override {
    const std::string gang = attempt_folder(key) + "/" + std::to_string(key.gang);
    return fs::exists(gang) ? std::make_unique<GroupV2>(gang) : nullptr;
  }

 private:
  std::string attempt_folder(const GangKey& key) const {
    return base_ + "/" + std::to_string(key.job.value) + "." + std::to_string(key.attempt);
  }
  void remove_base() const {
    std::error_code in_use;
    for (const fs::path& one : {fs::path(base_), fs::path(base_).parent_path()}) fs::remove(one, in_use);
  }
  bool has(const char* limit) const { return std::find(limits_.begin(), limits_.end(), limit) != limits_.end(); }

  static void hand_down(const std::string& folder) {
    for (const char* controller : {"+memory", "+pids", "+cpu"}) write_group_file(folder + "/cgroup.subtree_control", controller);
  }

  static void set(const std::string& folder, const std::string& file, const std::string& value) {
    if (const int problem = write_group_file(folder + "/" + file, value))
      throw FolderError("can't set " + folder + "/" + file + " to " + value + ": " + std::strerror(problem));
  }

  void learn() {
    const auto given = words_of(read_group_file(base_ + "/cgroup.subtree_control"));
    for (const char* controller : {"memory", "pids", "cpu"})
      if (std::find(given.begin(), given.end(), controller) != given.end()) limits_.push_back(controller);
    if (can_deny_devices_by_program()) limits_.push_back("devices");
  }

  const std::string base_;
  std::vector<std::string> limits_;
};

}  // namespace

std::unique_ptr<Containment> make_cgroup_v2(const OwnGroups& own, const std::string& name) {
  if (own.unified.empty()) throw FolderError("control groups of version 2 are not mounted");
  return std::make_unique<CgroupV2>(own, name);
}

std::unique_ptr<Containment> reopen_cgroup_v2(const std::vector<std::string>& folders) { return std::make_unique<CgroupV2>(folders.front()); }

}  // namespace ultramarine::launcher
