#include "worker/agent/state_directory.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "scheduler/protocol/codec.h"
#include "worker/agent/options.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::agent {
namespace {

std::string owner_of_lock(int fd) {
  std::array<char, 32> text{};
  const ssize_t length = pread(fd, text.data(), text.size() - 1, 0);
  std::string pid(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  while (!pid.empty() && pid.back() == '\n') pid.pop_back();
  return pid.empty() ? "another agent" : "the agent with process id " + pid;
}

constexpr std::int64_t room_min_bytes = 8 << 20, reserve_bytes = 1 << 20, changes_bytes_max = 256 << 10;

/// Folders above that aren't there yet: of an agent that is root, the owners of jobs get through them.
void make_parents(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  std::error_code ignored;
  if (parent.empty() || std::filesystem::exists(parent, ignored)) return;
  make_parents(parent.string());
  mkdir(parent.c_str(), 0711);
}

}  // namespace

StateDirectory::StateDirectory(std::string path) : path_(std::move(path)) {
  const auto fail = [&](const std::string& why) { return AgentError(exit_failure, "state_directory: " + path_ + ": " + why); };
  try {
    if (geteuid() == 0) make_parents(path_);
    launcher::make_private_folder(path_);
    launcher::make_private_folder(jobs_folder());
  } catch (const launcher::FolderError& error) {
    throw AgentError(exit_failure, std::string("state_directory: ") + error.what());
  }
  struct stat status {};
  if (stat(path_.c_str(), &status) != 0) throw fail(std::strerror(errno));
  if (status.st_uid != geteuid())
    throw fail("belongs to uid " + std::to_string(status.st_uid) + "; choose a folder of uid " + std::to_string(geteuid()));
  // Where jobs run as their owners, these must get through to their own folders; to read what else is here they may not.
  const mode_t mode = geteuid() == 0 ? 0711 : 0700;
  if ((status.st_mode & 07777) != mode && chmod(path_.c_str(), mode) != 0) throw fail(std::strerror(errno));
  if (chmod(jobs_folder().c_str(), mode) != 0) throw fail(std::strerror(errno));

  const std::string lock_file = path_ + "/lock";
  lock_ = open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) throw fail("lock: " + std::string(std::strerror(errno)));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const bool taken = errno == EWOULDBLOCK;
    const std::string why = taken ? "in use by " + owner_of_lock(lock_) + "; stop it, or give this agent a state_directory of its own"
                                  : "can't be locked: " + std::string(std::strerror(errno));
    close(lock_);
    throw AgentError(taken ? exit_conflict : exit_failure, "state_directory: " + path_ + ": " + why);
  }
  // Who holds it, for the message above only: the lock itself is the kernel's.
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(lock_, 0) != 0 || pwrite(lock_, pid.data(), pid.size(), 0) < 0) {
    const std::string why = std::strerror(errno);
    close(lock_);
    throw fail("can't be written: " + why);
  }
  set_room_aside();
}

StateDirectory::~StateDirectory() {
  if (changes_ >= 0) close(changes_);
  close(lock_);
}

const worker_core::AgentMemory& StateDirectory::load() {
  const auto damaged = [](const std::string& file, const std::exception& error) {
    return AgentError(exit_failure, file + " is damaged: " + error.what() + "; once no job runs on this node, remove it");
  };
  std::string changes;
  try {
    const auto text = launcher::read_whole(memory_file(), launcher::any_length);
    memory_ = text ? protocol::from_json<worker_core::AgentMemory>(*text) : worker_core::AgentMemory{};
    changes = launcher::read_whole(changes_file(), launcher::any_length).value_or("");
  } catch (const std::exception& error) {
    throw damaged(memory_file(), error);
  }
  try {
    // What has no end of line was being written when the power failed: nothing was done because of it.
    for (std::size_t from = 0, end = 0; (end = changes.find('\n', from)) != std::string::npos; from = end + 1)
      worker_core::apply(memory_, protocol::from_json<worker_core::MemoryChange>(std::string_view(changes).substr(from, end - from)));
  } catch (const std::exception& error) {
    throw damaged(changes_file(), error);
  }
  changes_bytes_ = changes_bytes_max;  // the first change writes all anew
  return memory_;
}

void StateDirectory::save(const worker_core::MemoryChange& change) {
  worker_core::apply(memory_, change);
  if (changes_bytes_ < changes_bytes_max && append(protocol::to_json(change) + "\n")) return;
  try {
    return write_all();
  } catch (const launcher::FolderError& error) {
    if (!has_reserve_) throw AgentError(exit_failure, std::string("state_directory: ") + error.what() + "; free space or repair the disk, then start the agent again");
    spdlog::warn("{}: using what was set aside", error.what());
  }
  has_reserve_ = false;
  unlink(reserve_file().c_str());
  save({});
}

/// False when it is not on disk; then all is to be written anew.
bool StateDirectory::append(const std::string& line) {
  const bool written = ::write(changes_, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && fdatasync(changes_) == 0;
  changes_bytes_ = written ? changes_bytes_ + static_cast<std::int64_t>(line.size()) : changes_bytes_max;
  return written;
}

/// Should it end between its two steps: the changes change nothing in a memory that has them already.
void StateDirectory::write_all() {
  if (changes_ < 0) changes_ = open(changes_file().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  launcher::write_durably(memory_file(), protocol::to_json(memory_));
  if (changes_ >= 0 && ftruncate(changes_, 0) == 0 && fdatasync(changes_) == 0) changes_bytes_ = 0;
}

std::string StateDirectory::why_no_room() {
  struct statvfs disk {};
  if (statvfs(path_.c_str(), &disk) != 0) return "";  // what is wrong with it shows when it is used
  const auto free_bytes = static_cast<std::int64_t>(disk.f_bavail) * static_cast<std::int64_t>(disk.f_frsize);
  if (free_bytes >= room_min_bytes) {
    set_room_aside();
    return "";
  }
  return "the disk of " + path_ + " is full: " + std::to_string(free_bytes >> 20) + " MiB are free, and a launch wants " + std::to_string(room_min_bytes >> 20) +
         "; free space there";
}

/// So that the ends of jobs can be kept when somebody has filled the disk.
void StateDirectory::set_room_aside() {
  if (has_reserve_) return;
  const int file = open(reserve_file().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  has_reserve_ = posix_fallocate(file, 0, reserve_bytes) == 0;
  close(file);
  if (!has_reserve_) unlink(reserve_file().c_str());
}

}  // namespace ultramarine::agent
