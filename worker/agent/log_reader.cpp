#include "worker/agent/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "scheduler/net/proof.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::agent {

using namespace std::chrono_literals;
using protocol::LogChunk;

namespace {

/// How long a follower waits for more at the end of a file.
constexpr auto follow_interval = 100ms;
/// Read in one turn of the loop, so that heartbeats go out between two turns.
constexpr std::size_t turn_bytes_max = 1 << 20;
constexpr auto between_turns = 2ms;
/// Above this the network is behind: wait for it.
constexpr std::size_t queued_bytes_enough = 4 << 20;
constexpr auto network_wait = 20ms;

/// Ranks that have a file rank_<R>.out or .err in the folder, ascending.
std::vector<std::int64_t> ranks_in(const std::string& folder) {
  std::set<std::int64_t> ranks;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator(folder, gone)) {
    const std::string name = entry.path().filename().string();
    constexpr std::string_view prefix = "rank_";
    if (!name.starts_with(prefix)) continue;
    std::int64_t rank = 0;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + prefix.size(), end, rank);
    const std::string_view rest(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
    if (parsed.ec == std::errc() && (rest == ".out" || rest == ".err")) ranks.insert(rank);
  }
  return {ranks.begin(), ranks.end()};
}

}  // namespace

struct LogReader::Stream {
  std::int64_t rank = 0;
  std::string name;  // out, err
  std::string path;
  int fd = -1;
  std::int64_t offset = 0;
  std::optional<std::int64_t> limit;  // without follow: the length when it was opened
  bool done = false;

  Stream(std::int64_t rank_, std::string name_, std::string path_) : rank(rank_), name(std::move(name_)), path(std::move(path_)) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (fd >= 0) close(fd);
  }
};

struct LogReader::Request {
  protocol::LogRequest asked;
  std::vector<std::unique_ptr<Stream>> streams;  // two per rank, neighbours
};

LogReader::LogReader(net::Loop& loop, World world) : loop_(loop), world_(std::move(world)) {}
LogReader::~LogReader() = default;

void LogReader::request(const protocol::LogRequest& asked) {
  const std::string folder = world_.folder(asked.key);
  const bool over = world_.is_over(asked.key);
  const std::string job = "job " + std::to_string(asked.key.job.value) + " (attempt " + std::to_string(asked.key.attempt) + ")";
  std::vector<std::int64_t> known = world_.ranks(asked.key);
  const bool all_known = !known.empty();
  if (!all_known) known = ranks_in(folder);
  const std::vector<std::int64_t>& wanted = asked.ranks.empty() ? known : asked.ranks;

  std::error_code ignored;
  const bool missing = over && !std::filesystem::is_directory(folder, ignored);
  if (wanted.empty()) {
    return fail(asked.request, -1, "node " + world_.node + " has no output of " + job + ": it never ran there, or its folder was removed");
  }
  auto request = std::make_unique<Request>(Request{.asked = asked});
  for (const std::int64_t rank : wanted) {
    const launcher::JobFolder files{folder};
    if (all_known && std::find(known.begin(), known.end(), rank) == known.end()) {
      fail(asked.request, rank, "rank " + std::to_string(rank) + " of " + job + " does not run on node " + world_.node);
    } else if (missing || (over && access(files.output(rank).c_str(), F_OK) != 0 && access(files.error(rank).c_str(), F_OK) != 0)) {
      fail(asked.request, rank, "node " + world_.node + " has no output of rank " + std::to_string(rank) + " of " + job +
                                    ": it never started, or its folder was removed");
    } else {
      request->streams.push_back(std::make_unique<Stream>(rank, "out", files.output(rank)));
      request->streams.push_back(std::make_unique<Stream>(rank, "err", files.error(rank)));
    }
  }
  if (request->streams.empty()) return;
  requests_[asked.request] = std::move(request);
  pump_after(0ms);
}

void LogReader::cancel(std::int64_t request) { requests_.erase(request); }

void LogReader::cancel_all() {
  requests_.clear();
  timer_.reset();
}

void LogReader::fail(std::int64_t request, std::int64_t rank, const std::string& error) {
  world_.send({.request = request, .rank = rank, .at_end = true, .error = error});
}

void LogReader::pump_after(std::chrono::milliseconds delay) {
  timer_ = loop_.after(delay, [this] { pump(); });
}

/// One piece of each stream in turn, so that no rank waits for another's gigabytes.
void LogReader::pump() {
  std::size_t read_bytes = 0;
  bool more = true;
  while (more && read_bytes < turn_bytes_max && world_.queued_bytes() < queued_bytes_enough) {
    more = false;
    for (auto& [number, request] : requests_) {
      // Asked before reading: what is there now is then all there will be.
      const bool over = world_.is_over(request->asked.key);
      for (auto& stream : request->streams) {
        if (stream->done) continue;
        const Progress progress = read_some(*request, *stream, over);
        if (progress != Progress::idle) read_bytes += log_chunk_bytes;
        more = more || progress == Progress::has_more;
      }
      end_ranks(*request);
    }
    std::erase_if(requests_, [](const auto& entry) { return entry.second->streams.empty(); });
  }
  if (requests_.empty()) return timer_.reset();
  if (world_.queued_bytes() >= queued_bytes_enough) return pump_after(network_wait);
  pump_after(more ? std::chrono::milliseconds(between_turns) : std::chrono::milliseconds(follow_interval));
}

/// Sends the next piece of a stream. `over`: the end of the file is the end of the stream.
LogReader::Progress LogReader::read_some(Request& request, Stream& stream, bool over) {
  const bool last_look = over || !request.asked.follow;
  if (stream.fd < 0) {
    stream.fd = open(stream.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (stream.fd < 0) {
      if (errno == ENOENT) {
        stream.done = last_look;  // a rank that has not started yet has no file
        return Progress::idle;
      }
      world_.send({.request = request.asked.request,
                   .rank = stream.rank,
                   .stream = stream.name,
                   .error = "std" + stream.name + " of rank " + std::to_string(stream.rank) + " can't be read: " + std::strerror(errno)});
      stream.done = true;
      return Progress::idle;
    }
    struct stat status {};
    if (!request.asked.follow && fstat(stream.fd, &status) == 0) stream.limit = status.st_size;
  }
  std::string bytes(log_chunk_bytes, '\0');
  std::size_t wanted = bytes.size();
  if (stream.limit) wanted = std::min<std::size_t>(wanted, static_cast<std::size_t>(*stream.limit - stream.offset));
  const ssize_t length = wanted == 0 ? 0 : pread(stream.fd, bytes.data(), wanted, stream.offset);
  if (length <= 0) {
    stream.done = last_look || length < 0;
    return Progress::idle;
  }
  bytes.resize(static_cast<std::size_t>(length));
  world_.send({.request = request.asked.request,
               .rank = stream.rank,
               .stream = stream.name,
               .offset = stream.offset,
               .data_base64 = net::to_base64(bytes)});
  stream.offset += length;
  // A short piece was all there was, but only another look can tell the end of a file.
  return static_cast<std::size_t>(length) == wanted || last_look ? Progress::has_more : Progress::read_all;
}

/// Says the end of each rank whose both streams are done, and drops them.
void LogReader::end_ranks(Request& request) {
  auto& streams = request.streams;
  for (std::size_t i = 0; i + 1 < streams.size();) {
    if (!streams[i]->done || !streams[i + 1]->done) {
      i += 2;
      continue;
    }
    world_.send({.request = request.asked.request, .rank = streams[i]->rank, .stream = "out", .offset = streams[i]->offset, .at_end = true});
    streams.erase(streams.begin() + static_cast<std::ptrdiff_t>(i), streams.begin() + static_cast<std::ptrdiff_t>(i) + 2);
  }
}

}  // namespace ultramarine::agent
