#include "worker/launcher/containment/group_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "worker/launcher/job_folder.h"
#include "worker/launcher/process_tree.h"

namespace ultramarine::launcher {

namespace fs = std::filesystem;

int write_group_file(const std::string& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return errno;
  const bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int problem = written ? 0 : errno;
  ::close(file);
  return problem;
}

std::string read_group_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::int64_t> processes_below(const std::string& folder) {
  std::istringstream numbers(read_group_file(folder + "/cgroup.procs"));
  std::vector<std::int64_t> found{std::istream_iterator<std::int64_t>(numbers), {}};
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator(folder, gone)) {
    std::error_code ignored;
    if (entry.is_symlink(ignored) || !entry.is_directory(ignored)) continue;
    const auto below = processes_below(entry.path().string());
    found.insert(found.end(), below.begin(), below.end());
  }
  return found;
}

void make_group(const std::string& path) {
  // Its parents may be removed by a neighbour between two of our steps.
  for (int round = 0; round < 16; ++round) {
    if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return;
    if (errno != ENOENT) break;
    make_group(fs::path(path).parent_path().string());
  }
  throw FolderError("can't make control group " + path + ": " + std::strerror(errno));
}

bool remove_group(const std::string& path) {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return true;
  std::error_code gone;
  std::vector<std::string> below;
  for (const auto& entry : fs::directory_iterator(path, gone)) {
    std::error_code ignored;
    if (!entry.is_symlink(ignored) && entry.is_directory(ignored)) below.push_back(entry.path().string());
  }
  for (const std::string& one : below) remove_group(one);
  return ::rmdir(path.c_str()) == 0 || errno == ENOENT;
}

void kill_processes(const std::vector<std::int64_t>& processes, std::int64_t spared) {
  for (const std::int64_t pid : processes) {
    if (pid == spared || pid <= 1 || pid == ::getpid()) continue;
    if (const auto process = identify(pid)) send_signal(*process, SIGKILL);
  }
}

}  // namespace ultramarine::launcher
