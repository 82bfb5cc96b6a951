#include "worker/launcher/job_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "scheduler/net/endpoint.h"
#include "worker/launcher/user_file.h"

namespace ultramarine::launcher {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw FolderError(what + " " + path + ": " + std::strerror(errno));
}

void sync_folder_of(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail("can't open", folder);
  const int result = ::fsync(descriptor);
  ::close(descriptor);
  if (result != 0) fail("can't sync", folder);
}

}  // namespace

std::string text_of(const GangKey& key) {
  return std::to_string(key.job.value) + "." + std::to_string(key.attempt) + "." + std::to_string(key.gang);
}

std::optional<GangKey> parse_gang_key(std::string_view text) {
  GangKey key;
  const char* at = text.data();
  const char* const end = at + text.size();
  std::int64_t* const numbers[] = {&key.job.value, &key.attempt, &key.gang};
  for (int i = 0; i < 3; ++i) {
    if (i > 0) {
      if (at == end || *at != '.') return std::nullopt;
      ++at;
    }
    const auto [stop, error] = std::from_chars(at, end, *numbers[i]);
    if (error != std::errc() || *numbers[i] < 0) return std::nullopt;
    at = stop;
  }
  return at == end ? std::optional(key) : std::nullopt;
}

void make_private_folder(const std::string& path) {
  std::error_code error;
  const fs::path parent = fs::path(path).parent_path();
  if (!parent.empty() && !fs::exists(parent, error)) make_private_folder(parent.string());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail("can't make folder", path);
}

namespace {

void replace(const std::string& path, std::string_view text, bool durably) {
  const std::string fresh = path + ".new";
  ::unlink(fresh.c_str());  // of a writer that was killed, or a user's idea of it
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) fail("can't write", path);
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int problem = errno;
      ::close(file);
      ::unlink(fresh.c_str());
      errno = problem;
      fail("can't write", path);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  const bool synced = !durably || ::fsync(file) == 0;
  ::close(file);
  if (!synced) fail("can't sync", path);
  if (::rename(fresh.c_str(), path.c_str()) != 0) fail("can't write", path);
  if (durably) sync_folder_of(path);
}

}  // namespace

void write_whole(const std::string& path, std::string_view text) { replace(path, text, false); }

void write_durably(const std::string& path, std::string_view text) { replace(path, text, true); }

std::optional<std::string> read_whole(const std::string& path, std::size_t bytes_max) {
  const int file = open_for_reading(path, Links::refuse);
  if (file < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    if (errno == ELOOP || errno == EINVAL) throw FolderError("can't read " + path + ": it is no ordinary file");
    fail("can't read", path);
  }
  std::string text;
  char buffer[1 << 16];
  ssize_t got = 0;
  while (text.size() <= bytes_max && (got = ::read(file, buffer, sizeof buffer)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  const int problem = errno;
  ::close(file);
  errno = problem;
  if (got < 0) fail("can't read", path);
  if (text.size() > bytes_max) throw FolderError("can't read " + path + ": it has more than " + std::to_string(bytes_max >> 10) + " KiB");
  return text;
}

std::string make_outside_folder(const GangKey& key, bool in_memory) {
  const std::string name = "/ultramarine-" + text_of(key) + "-XXXXXX";
  if (in_memory) {
    std::string path = "/dev/shm" + name;
    if (::mkdtemp(path.data()) != nullptr) return path;
  }
  std::string path = "/tmp" + name;
  if (::mkdtemp(path.data()) == nullptr) fail("can't make folder", path);
  return path;
}

void remove_folder(const std::string& path) noexcept {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

void remove_file(const std::string& path) noexcept { ::unlink(path.c_str()); }

ShortName::ShortName(const std::string& path) : text_(path) {
  if (path.size() <= net::unix_path_max) return;
  const fs::path whole(path);
  folder_ = ::open(whole.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder_ >= 0) text_ = "/proc/self/fd/" + std::to_string(folder_) + "/" + whole.filename().string();
}

ShortName::~ShortName() {
  if (folder_ >= 0) ::close(folder_);
}

}  // namespace ultramarine::launcher
