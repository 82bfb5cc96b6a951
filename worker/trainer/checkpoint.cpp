// Files with POSIX calls, because what matters here is when they are on disk.
#include "worker/trainer/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "scheduler/protocol/codec.h"
#include "worker/trainer/errno_error.h"
#include "worker/trainer/hash.h"

namespace ultramarine::trainer {
namespace {

namespace fs = std::filesystem;

constexpr char magic[8] = {'U', 'L', 'T', 'R', 'A', 'C', 'K', 'P'};
constexpr std::size_t kept = 3;
constexpr std::string_view suffix = ".checkpoint";

/// A file being written that only appears under its name when it is complete and on disk.
class AtomicFile {
 public:
  AtomicFile(const fs::path& path, const std::string& ending) : path_(path), temporary_(path.string() + ending) {
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail(temporary_.string());
  }
  ~AtomicFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t bytes) {
    const auto* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t written = ::write(descriptor_, at, bytes);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail(temporary_.string());
      at += written;
      bytes -= static_cast<std::size_t>(written);
    }
  }
  void commit(const CheckpointFence* fence) {
    if (::fsync(descriptor_) != 0) fail(temporary_.string());
    const auto appear = [this] {
      if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_.string());
    };
    if (fence) fence->guard(appear);
    else appear();
    ::close(std::exchange(descriptor_, -1));
    const int directory = ::open(path_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) fail(path_.parent_path().string());
    const int result = ::fsync(directory);
    ::close(directory);
    if (result != 0) fail(path_.parent_path().string());
  }

 private:
  fs::path path_, temporary_;
  int descriptor_ = -1;
};

struct Found {
  std::int64_t step;
  fs::path path;
};

/// Newest first.
std::vector<Found> list(const fs::path& directory) {
  std::vector<Found> found;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with("step_") || !name.ends_with(suffix)) continue;
    std::int64_t step = 0;
    const char* last = name.data() + name.size() - suffix.size();
    const auto [stop, problem] = std::from_chars(name.data() + 5, last, step);
    if (problem == std::errc() && stop == last) found.push_back({step, entry->path()});
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.step > b.step; });
  return found;
}

}  // namespace

ModelConfig model_of(const CheckpointManifest& manifest) {
  return {manifest.layers, manifest.heads, manifest.width, manifest.context, manifest.vocabulary};
}

std::string save_checkpoint(const std::string& directory, const CheckpointManifest& manifest,
                            std::span<const float> parameters, std::span<const float> first_moments,
                            std::span<const float> second_moments, const CheckpointFence* fence) {
  fs::create_directories(directory);
  char name[64];
  std::snprintf(name, sizeof name, "step_%08lld%s", static_cast<long long>(manifest.step), suffix.data());
  const fs::path path = fs::absolute(directory) / name;
  const std::string text = protocol::to_json(manifest);
  const std::uint64_t length = text.size();
  // Two attempts may be at the same step.
  AtomicFile file(path, fence ? ".tmp" + std::to_string(fence->attempt()) : ".tmp");
  std::uint64_t checksum = 0;
  const auto write = [&](const void* data, std::size_t bytes) {
    file.write(data, bytes);
    checksum = hash64(data, bytes, checksum);
  };
  write(magic, sizeof magic);
  write(&length, sizeof length);
  write(text.data(), text.size());
  for (const auto& arena : {parameters, first_moments, second_moments}) write(arena.data(), arena.size_bytes());
  file.write(&checksum, sizeof checksum);
  file.commit(fence);
  const auto present = list(directory);
  for (std::size_t i = kept; i < present.size(); ++i) {
    std::error_code ignored;  // an old checkpoint that stays is no harm
    fs::remove(present[i].path, ignored);
  }
  return path.string();
}

Checkpoint load_checkpoint(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(std::string("can't open it: ") + std::strerror(errno));
  std::uint64_t checksum = 0;
  const auto read = [&](void* data, std::size_t bytes) {
    if (!file.read(static_cast<char*>(data), static_cast<std::streamsize>(bytes)))
      throw std::runtime_error("it is cut short");
    checksum = hash64(data, bytes, checksum);
  };
  char start[sizeof magic];
  std::uint64_t length = 0;
  read(start, sizeof start);
  if (std::memcmp(start, magic, sizeof magic) != 0) throw std::runtime_error("it isn't a checkpoint");
  read(&length, sizeof length);
  if (length > 1 << 20) throw std::runtime_error("its manifest is damaged");
  std::string text(length, '\0');
  read(text.data(), text.size());
  Checkpoint checkpoint;
  try {
    checkpoint.manifest = protocol::from_json<CheckpointManifest>(text);
  } catch (const protocol::DecodeError& error) {
    throw std::runtime_error(std::string("its manifest is damaged: ") + error.what());
  }
  const CheckpointManifest& manifest = checkpoint.manifest;
  if (manifest.format != 1)
    throw std::runtime_error("its format is " + std::to_string(manifest.format) + "; this program reads format 1");
  const auto here = file.tellg();
  file.seekg(0, std::ios::end);
  const auto left = static_cast<std::int64_t>(file.tellg() - here);
  file.seekg(here);
  if (manifest.parameter_count < 0 || manifest.parameter_count > left / 12 ||
      left != manifest.parameter_count * 12 + 8) {
    throw std::runtime_error("its size doesn't fit its manifest");
  }
  for (Arena<float>* arena : {&checkpoint.parameters, &checkpoint.first_moments, &checkpoint.second_moments}) {
    arena->resize(static_cast<std::size_t>(manifest.parameter_count));
    read(arena->data(), arena->size() * sizeof(float));
  }
  const std::uint64_t expected = checksum;
  std::uint64_t stored = 0;
  read(&stored, sizeof stored);
  if (stored != expected) throw std::runtime_error("its checksum is wrong");
  if (manifest.width < 1 || manifest.layers < 0 || manifest.heads < 1 || manifest.context < 1 ||
      manifest.vocabulary != 256 || Layout(model_of(manifest)).parameter_count() != checkpoint.parameters.size()) {
    throw std::runtime_error("its model doesn't have as many parameters as it holds");
  }
  return checkpoint;
}

std::optional<Checkpoint> load_newest_checkpoint(
    const std::string& directory, const std::function<void(const std::string&, const std::string&)>& on_skipped) {
  for (const Found& found : list(directory)) {
    try {
      return load_checkpoint(found.path.string());
    } catch (const std::runtime_error& error) {
      on_skipped(found.path.string(), error.what());
    }
  }
  return std::nullopt;
}

}  // namespace ultramarine::trainer
