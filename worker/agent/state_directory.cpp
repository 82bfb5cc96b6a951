#include "worker/agent/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

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

}  // namespace

StateDirectory::StateDirectory(std::string path) : path_(std::move(path)) {
  const auto fail = [&](const std::string& why) { return AgentError(exit_failure, "state_directory: " + path_ + ": " + why); };
  try {
    launcher::make_private_folder(path_);
    launcher::make_private_folder(jobs_folder());
  } catch (const launcher::FolderError& error) {
    throw AgentError(exit_failure, std::string("state_directory: ") + error.what());
  }
  struct stat status {};
  if (stat(path_.c_str(), &status) != 0) throw fail(std::strerror(errno));
  if (status.st_uid != geteuid())
    throw fail("belongs to uid " + std::to_string(status.st_uid) + "; choose a folder of uid " + std::to_string(geteuid()));
  if ((status.st_mode & 07777) != 0700 && chmod(path_.c_str(), 0700) != 0) throw fail(std::strerror(errno));

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
}

StateDirectory::~StateDirectory() { close(lock_); }

worker_core::AgentMemory StateDirectory::load() const {
  try {
    const auto text = launcher::read_whole(memory_file());
    return text ? protocol::from_json<worker_core::AgentMemory>(*text) : worker_core::AgentMemory{};
  } catch (const std::exception& error) {
    throw AgentError(exit_failure, memory_file() + " is damaged: " + error.what() + "; once no job runs on this node, remove it");
  }
}

void StateDirectory::save(const worker_core::AgentMemory& memory) const {
  try {
    launcher::write_durably(memory_file(), protocol::to_json(memory));
  } catch (const launcher::FolderError& error) {
    throw AgentError(exit_failure, std::string("state_directory: ") + error.what() + ";"
                                      " free space or repair the disk, then start the agent again");
  }
}

}  // namespace ultramarine::agent
