// Control groups of version 1: a hierarchy per controller. Attempts have a group where something is limited, and gangs one inside it in two of the
// hierarchies: the freezer, which stops them before they are killed, and memory, where the kernel counts whom it killed. A process counts as there
// while either has it. Making and removing a group is dear, so no more are made than that.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include "worker/launcher/containment/containment.h"
#include "worker/launcher/containment/group_files.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {
namespace {

namespace fs = std::filesystem;

/// The base folder of this node in each hierarchy that can be used; "" = it can't.
struct Bases {
  std::string freezer, memory, pids, cpu, devices;
  std::vector<std::string> all() const {
    std::vector<std::string> folders;
    for (const std::string* one : {&freezer, &memory, &pids, &cpu, &devices})
      if (!one->empty()) folders.push_back(*one);
    return folders;
  }
};

class GroupV1 final : public GangGroup {
 public:
  /// Of the attempt's groups, those that exist are the gang's, too.
  GroupV1(const Bases& bases, const std::string& attempt, const std::string& name) : freezer_(bases.freezer + "/" + name), folders_{freezer_} {
    if (!bases.memory.empty()) folders_.push_back(bases.memory + "/" + name);
    for (const std::string* base : {&bases.pids, &bases.cpu, &bases.devices})
      if (!base->empty() && ::access((*base + "/" + attempt).c_str(), F_OK) == 0) limits_.push_back(*base + "/" + attempt);
  }

  std::vector<std::string> entrances() const override {
    std::vector<std::string> files;
    for (const auto* folders : {&folders_, &limits_})
      for (const std::string& folder : *folders) files.push_back(folder + "/cgroup.procs");
    return files;
  }

  std::vector<std::int64_t> processes() const override {
    std::set<std::int64_t> found;
    for (const std::string& folder : folders_) {
      const auto here = processes_below(folder);
      found.insert(here.begin(), here.end());
    }
    return {found.begin(), found.end()};
  }

  void kill_all_but(std::int64_t spared) override {
    write_group_file(freezer_ + "/freezer.state", "FROZEN");
    // What sleeps in the kernel may never get there; what runs does at once.
    for (int look = 0; look < 20 && !read_group_file(freezer_ + "/freezer.state").starts_with("FROZEN"); ++look)
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    kill_processes(processes(), spared);
    write_group_file(freezer_ + "/freezer.state", "THAWED");
  }

  bool remove() override {
    for (const std::string& folder : folders_)
      if (!remove_group(folder)) return false;
    for (const std::string& folder : folders_) ::rmdir(fs::path(folder).parent_path().c_str());  // refused while it has other gangs
    for (const std::string& folder : limits_) remove_group(folder);  // in which an earlier version made one for each gang
    return true;
  }

 private:
  const std::string freezer_;
  std::vector<std::string> folders_;  // its own
  std::vector<std::string> limits_;   // of its attempt
};

class CgroupV1 final : public Containment {
 public:
  explicit CgroupV1(Bases bases) : bases_(std::move(bases)) {}

  ~CgroupV1() override {
    std::error_code in_use;
    for (const std::string& base : bases_.all())
      for (const fs::path& one : {fs::path(base), fs::path(base).parent_path()}) fs::remove(one, in_use);
  }

  std::string kind() const override { return "cgroup_v1"; }
  std::vector<std::string> limits() const override {
    std::vector<std::string> words;
    if (!bases_.memory.empty()) words.push_back("memory");
    if (!bases_.pids.empty()) words.push_back("pids");
    if (!bases_.cpu.empty()) words.push_back("cpu");
    if (!bases_.devices.empty()) words.push_back("devices");
    return words;
  }
  std::vector<std::string> folders() const override { return bases_.all(); }

  std::unique_ptr<GangGroup> make(const GangKey& key, const AttemptLimits& wanted) override {
    const std::string attempt = attempt_name(key), name = attempt + "/" + std::to_string(key.gang);
    for (const std::string* base : {&bases_.freezer, &bases_.memory}) {
      if (base->empty()) continue;
      make_group(*base + "/" + attempt);
      make_group(*base + "/" + name);
    }
    if (!bases_.memory.empty() && wanted.memory_bytes > 0) {
      const std::string folder = bases_.memory + "/" + attempt;
      set(folder + "/memory.limit_in_bytes", std::to_string(wanted.memory_bytes));
      // Memory and swap together, so that nothing is swapped instead; absent where the kernel doesn't count swap.
      if (fs::exists(folder + "/memory.memsw.limit_in_bytes")) set(folder + "/memory.memsw.limit_in_bytes", std::to_string(wanted.memory_bytes));
    }
    if (!bases_.pids.empty() && wanted.processes > 0) {
      make_group(bases_.pids + "/" + attempt);
      set(bases_.pids + "/" + attempt + "/pids.max", std::to_string(wanted.processes));
    }
    if (!bases_.cpu.empty() && wanted.cpus > 0) {
      make_group(bases_.cpu + "/" + attempt);
      set(bases_.cpu + "/" + attempt + "/cpu.cfs_quota_us", std::to_string(wanted.cpus * 100'000));
    }
    if (!bases_.devices.empty() && !wanted.denied_devices.empty()) {
      const std::string folder = bases_.devices + "/" + attempt;
      make_group(folder);
      for (const DeviceNumber& device : wanted.denied_devices)
        set(folder + "/devices.deny", "c " + std::to_string(device.major) + ":" + std::to_string(device.minor) + " rwm");
    }
    return std::make_unique<GroupV1>(bases_, attempt, name);
  }

  std::unique_ptr<GangGroup> find(const GangKey& key) override {
    const std::string attempt = attempt_name(key), name = attempt + "/" + std::to_string(key.gang);
    for (const std::string* base : {&bases_.freezer, &bases_.memory})
      if (!base->empty() && fs::exists(*base + "/" + name)) return std::make_unique<GroupV1>(bases_, attempt, name);
    return nullptr;
  }

 private:
  static std::string attempt_name(const GangKey& key) { return std::to_string(key.job.value) + "." + std::to_string(key.attempt); }

  static void set(const std::string& file, const std::string& value) {
    if (const int problem = write_group_file(file, value)) throw FolderError("can't set " + file + " to " + value + ": " + std::strerror(problem));
  }

  const Bases bases_;
};

/// Of one hierarchy; "" when it isn't mounted or we may not.
std::string usable(const std::string& own, const std::string& name) {
  if (own.empty()) return "";
  try {
    const std::string base = own + "/ultramarine/" + name;
    make_group(base);
    // Made again with the first gang: an agent without gangs leaves nothing behind, however it ends.
    std::error_code in_use;
    for (const fs::path& one : {fs::path(base), fs::path(base).parent_path()}) fs::remove(one, in_use);
    return base;
  } catch (const FolderError&) {
    return "";
  }
}

}  // namespace

std::unique_ptr<Containment> make_cgroup_v1(const OwnGroups& own, const std::string& name) {
  Bases bases{.freezer = usable(own.freezer, name)};
  if (bases.freezer.empty())
    throw FolderError(own.freezer.empty() ? "the freezer of version 1 is not mounted" : "this user may make no control group in " + own.freezer);
  bases.memory = usable(own.memory, name);
  bases.pids = usable(own.pids, name);
  bases.cpu = usable(own.cpu, name);
  bases.devices = usable(own.devices, name);
  return std::make_unique<CgroupV1>(bases);
}

/// Which hierarchy a folder is of is told by the files that its kernel put there.
std::unique_ptr<Containment> reopen_cgroup_v1(const std::vector<std::string>& folders) {
  Bases bases;
  for (const std::string& folder : folders) {
    if (fs::exists(folder + "/freezer.state")) bases.freezer = folder;
    else if (fs::exists(folder + "/memory.limit_in_bytes")) bases.memory = folder;
    else if (fs::exists(folder + "/pids.max")) bases.pids = folder;
    else if (fs::exists(folder + "/cpu.cfs_quota_us")) bases.cpu = folder;
    else if (fs::exists(folder + "/devices.deny")) bases.devices = folder;
  }
  return bases.freezer.empty() ? nullptr : std::make_unique<CgroupV1>(bases);
}

}  // namespace ultramarine::launcher
