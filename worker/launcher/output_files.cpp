#include "worker/launcher/output_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "scheduler/net/network_disk.h"
#include "worker/launcher/output_pattern.h"

namespace ultramarine::launcher {
namespace {

namespace fs = std::filesystem;

/// Users' files and folders get the modes that they would get from a shell, not our private ones.
class UsersMask {
 public:
  UsersMask() : before_(::umask(022)) {}
  UsersMask(const UsersMask&) = delete;
  UsersMask& operator=(const UsersMask&) = delete;
  ~UsersMask() { ::umask(before_); }

 private:
  mode_t before_;
};

[[noreturn]] void fail(const std::string& path, int error_number) {
  const char* const remedy = error_number == ENXIO ? " (a FIFO needs a reader before the job starts)" : "; choose another --output";
  throw std::runtime_error("can't write the output file " + path + ": " + std::strerror(error_number) + remedy);
}

int open_named(const std::string& path, bool append) {
  const UsersMask mask;
  std::error_code problem;
  const fs::path parent = fs::path(path).parent_path();
  if (!parent.empty()) fs::create_directories(parent, problem);
  if (problem) fail(path, problem.value());
  // Without blocking: a FIFO that nobody reads must not hold us up.
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (append ? 0 : O_TRUNC), 0666);
  if (file < 0) fail(path, errno);
  ::fcntl(file, F_SETFL, ::fcntl(file, F_GETFL) & ~O_NONBLOCK);
  return file;
}

constexpr std::int64_t room_for_a_file = 64 << 10;  // bytes; less is as good as nothing

/// Of an ordinary file that was opened (and truncated): what it would be told at its first line is told before the
/// start.
void expect_room(int file, const std::string& path) {
  struct stat status {};
  struct statfs disk {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || ::fstatfs(file, &disk) != 0 || disk.f_blocks == 0)
    return;
  const auto blocks = static_cast<std::int64_t>(::geteuid() == 0 ? disk.f_bfree : disk.f_bavail);
  if (blocks >= room_for_a_file / std::max<std::int64_t>(1, disk.f_bsize)) return;
  throw DiskFull(
      "can't write the output file " + path + ": its disk is full; make room there, or choose another --output",
      !net::network_file_system(disk.f_type).empty());
}

bool same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

std::string absolute(const std::string& path, const std::string& from) { return path.starts_with('/') ? path : from + "/" + path; }

}  // namespace

void OutputFiles::open(const protocol::LaunchSpec& launch, const GangLayout& layout, const JobFolder& folder) {
  const JobSpec& spec = launch.spec;
  const bool has_patterns = launch.key.gang == 1;
  for (const RankPlace& place : layout.on_node(launch.node)) {
    for (const bool is_error : {false, true}) {
      const std::string& pattern = is_error && !spec.error.empty() ? spec.error : spec.output;
      if (!has_patterns || pattern.empty()) {
        add_ours(place.rank, is_error, folder);
      } else {
        const std::string path = absolute(expand_pattern(pattern, pattern_words(launch, place)), spec.working_directory);
        add_named(place.rank, is_error, path, spec.append_output, folder);
      }
    }
  }
}

void OutputFiles::add_ours(std::int64_t rank, bool is_error, const JobFolder& folder) {
  const std::string path = is_error ? folder.error(rank) : folder.output(rank);
  // Also for reading: its middle may have to be moved (log_keeper.h).
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) throw FolderError("can't write " + path + ": " + std::strerror(errno));
  streams_.push_back({.rank = rank, .is_error = is_error, .name = path, .path = path, .descriptor = file, .is_ours = true});
}

void OutputFiles::add_named(std::int64_t rank, bool is_error, const std::string& path, bool append, const JobFolder& folder) {
  Stream stream{.rank = rank, .is_error = is_error, .name = is_error ? folder.error(rank) : folder.output(rank), .path = path};
  remove_file(stream.name);
  if (::symlink(path.c_str(), stream.name.c_str()) != 0) throw FolderError("can't make link " + stream.name + ": " + std::strerror(errno));
  const auto known = std::find_if(streams_.begin(), streams_.end(), [&](const Stream& one) { return !one.is_ours && one.path == path; });
  if (known != streams_.end()) {
    stream.descriptor = known->descriptor;
    stream.start = known->start;
    streams_.push_back(stream);
    return;
  }
  stream.descriptor = open_named(path, append);
  struct stat status {};
  ::fstat(stream.descriptor, &status);
  stream.start = status.st_size;
  try {
    expect_room(stream.descriptor, path);
  } catch (const DiskFull&) {
    ::close(stream.descriptor);
    throw;
  }
  // Two names of one file (links): still one descriptor.
  for (const Stream& one : streams_) {
    struct stat other {};
    if (one.is_ours || ::fstat(one.descriptor, &other) != 0 || !same_file(status, other)) continue;
    ::close(stream.descriptor);
    stream.descriptor = one.descriptor;
    stream.start = one.start;
    break;
  }
  streams_.push_back(stream);
}

const OutputFiles::Stream& OutputFiles::stream(std::int64_t rank, bool is_error) const {
  const auto found =
      std::find_if(streams_.begin(), streams_.end(), [&](const Stream& one) { return one.rank == rank && one.is_error == is_error; });
  if (found == streams_.end()) throw FolderError("rank " + std::to_string(rank) + " has no output file here");
  return *found;
}

void OutputFiles::close() {
  std::set<int> descriptors;
  for (const Stream& stream : streams_) descriptors.insert(stream.descriptor);
  for (const int descriptor : descriptors) ::close(descriptor);
  streams_.clear();
}

}  // namespace ultramarine::launcher
