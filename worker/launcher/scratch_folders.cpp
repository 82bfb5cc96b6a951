#include "worker/launcher/scratch_folders.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {
namespace {

namespace fs = std::filesystem;

constexpr Duration patience = hours(1);
constexpr const char* memory_prefix = "/dev/shm/ultramarine-";

std::string private_folder(const std::string& scratch_folder) { return scratch_folder + ".private"; }
std::string link_of(const std::string& private_folder) { return private_folder + "/shm"; }

/// The part of an attempt's private folder that is in memory; "" when there is none. Everybody may write in /dev/shm: what isn't ours is not meant.
std::string memory_folder(const std::string& private_folder) {
  std::error_code missing;
  const std::string path = fs::read_symlink(link_of(private_folder), missing).string();
  struct stat status {};
  const bool is_ours = path.starts_with(memory_prefix) && ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid();
  return is_ours ? path : "";
}

/// The folder's name, or that of the note beside it.
std::optional<ScratchFolders::Attempt> parse_attempt(std::string_view name) {
  const auto key = parse_gang_key(std::string(name.substr(0, name.rfind(".until"))) + ".1");
  return key ? std::optional(ScratchFolders::Attempt{key->job, key->attempt}) : std::nullopt;
}

}  // namespace

std::string ScratchFolders::path_of(const Attempt& attempt) const {
  return base_.empty() ? "" : base_ + "/" + std::to_string(attempt.first.value) + "." + std::to_string(attempt.second);
}

void ScratchFolders::expect(const protocol::LaunchSpec& launch, Time now) const {
  if (base_.empty()) return;
  const Duration left = launch.time_left_ms.ms > 0 ? launch.time_left_ms : launch.spec.time_limit_ms;
  try {
    make_private_folder(base_);
    if (::geteuid() == 0) ::chmod(base_.c_str(), 0711);  // the folders in it belong to their jobs' owners
    const std::string note = until_file({launch.key.job, launch.key.attempt});
    if (left.ms <= 0) return remove_file(note);  // without a limit only a word ends it
    write_whole(note, std::to_string((now + left + launch.spec.stop_grace_ms + patience).ms));
  } catch (const FolderError&) {
    // The shim says so when it can't make the folder.
  }
}

void ScratchFolders::over(const Attempt& attempt) {
  if (has_gangs_(attempt)) over_.insert(attempt);
  else remove(attempt);
}

void ScratchFolders::gang_gone(const Attempt& attempt) {
  if (!over_.contains(attempt) || has_gangs_(attempt)) return;
  over_.erase(attempt);
  remove(attempt);
}

void ScratchFolders::sweep(Time now) const {
  if (base_.empty()) return;
  std::error_code gone;
  std::set<Attempt> attempts;
  for (const auto& entry : fs::directory_iterator(base_, gone)) {
    if (const auto attempt = parse_attempt(entry.path().filename().string())) attempts.insert(*attempt);
  }
  for (const Attempt& attempt : attempts) {
    if (has_gangs_(attempt)) continue;
    std::string text;
    try {
      text = read_whole(until_file(attempt)).value_or("");
    } catch (const FolderError&) {
    }
    Time until;
    const bool has_end = std::from_chars(text.data(), text.data() + text.size(), until.ms).ec == std::errc();
    if (has_end && until < now) remove(attempt);
  }
}

void ScratchFolders::remove(const Attempt& attempt) const {
  if (base_.empty()) return;
  remove_folder(path_of(attempt));
  const std::string folder = private_folder(path_of(attempt));
  if (const std::string memory = memory_folder(folder); !memory.empty()) remove_folder(memory);
  remove_folder(folder);
  remove_file(until_file(attempt));
}

OwnMounts make_private_folders(const std::string& scratch_folder) {
  const std::string folder = private_folder(scratch_folder);
  make_private_folder(folder);
  std::string memory = memory_folder(folder);
  if (memory.empty()) {
    memory = memory_prefix + fs::path(scratch_folder).filename().string() + "-private-XXXXXX";
    if (::mkdtemp(memory.data()) == nullptr) throw FolderError("can't make folder " + memory + ": " + std::strerror(errno));
    // After a restart of the machine the old name leads nowhere.
    remove_file(link_of(folder));
    if (::symlink(memory.c_str(), link_of(folder).c_str()) != 0) throw FolderError("can't make link " + link_of(folder) + ": " + std::strerror(errno));
  }
  OwnMounts mounts{.tmp = folder + "/tmp", .shm = memory + "/shm"};
  for (const std::string& path : {mounts.tmp, mounts.shm}) {
    const bool is_there = ::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST;
    if (!is_there || ::chmod(path.c_str(), 01777) != 0) throw FolderError("can't make folder " + path + ": " + std::strerror(errno));
  }
  return mounts;
}

}  // namespace ultramarine::launcher
