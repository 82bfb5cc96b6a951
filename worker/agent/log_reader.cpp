#include "worker/agent/log_reader.h"

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

#include "scheduler/net/base64.h"
#include "worker/launcher/job_folder.h"
#include "worker/launcher/output_notes.h"
#include "worker/launcher/privileged/as_owner.h"
#include "worker/launcher/user_file.h"

namespace ultramarine::agent {

using namespace std::chrono_literals;
using protocol::LogChunk;

namespace {

/// How long a follower waits for more at the end of a file.
constexpr auto follow_interval = 100ms;
constexpr auto soon_interval = 10ms;
constexpr auto soon_for = 1s;
/// Read in one turn of the loop, so that heartbeats go out between two turns.
constexpr std::size_t turn_bytes_max = 1 << 20;
constexpr auto between_turns = 2ms;
/// Above this the network is behind: wait for it.
constexpr std::size_t queued_bytes_enough = 4 << 20;
constexpr auto network_wait = 20ms;

/// A folder is its user's, and may have more in it than anybody should look through.
constexpr int entries_max = 1 << 16;

/// Ranks that have a file rank_<R>.out or .err in the folder, ascending.
std::vector<std::int64_t> ranks_in(const std::string& folder) {
  std::set<std::int64_t> ranks;
  std::error_code gone;
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder, gone)) {
    if (++seen > entries_max) break;
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

/// Also a link that leads nowhere.
bool has_name(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0;
}

/// Why a file can't be opened: a FIFO, a device, a socket, or what a process has open (/dev/stdout).
bool keeps_nothing(int error_number) { return error_number == EINVAL || error_number == ENXIO || error_number == ELOOP; }

/// The other end of a link, or the path itself.
std::string target_of(const std::string& path) {
  std::error_code no_link;
  const auto target = std::filesystem::read_symlink(path, no_link);
  return no_link ? path : target.string();
}

}  // namespace

struct LogReader::Stream {
  std::int64_t rank = 0;
  std::string name;  // out, err
  std::string path;
  int fd = -1;
  std::pair<dev_t, ino_t> file;       // while open
  std::int64_t offset = 0;            // counts what is gone, too
  std::optional<std::int64_t> limit;  // without follow: the length when it was opened
  char last = '\n';                   // that was sent
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
    } else if (missing || (over && !has_name(files.output(rank)) && !has_name(files.error(rank)))) {
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

void LogReader::expect_soon() {
  const auto now = std::chrono::steady_clock::now();
  const bool was_soon = now < std::exchange(soon_until_, now + soon_for);
  if (!was_soon && !requests_.empty()) pump_after(soon_interval);
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
  const bool soon = std::chrono::steady_clock::now() < soon_until_;
  pump_after(more ? std::chrono::milliseconds(between_turns) : std::chrono::milliseconds(soon ? soon_interval : follow_interval));
}

/// False when there is nothing to be read (yet).
bool LogReader::open(Request& request, Stream& stream, bool last_look) {
  const auto fail = [&](const std::string& why) {
    world_.send({.request = request.asked.request,
                 .rank = stream.rank,
                 .stream = stream.name,
                 .error = "std" + stream.name + " of rank " + std::to_string(stream.rank) + " " + why});
    stream.done = true;
    return false;
  };
  // Links are the shim's own, to files that users named (the folder is its job's owner's, and so are the links). Whatever they named must not hold us up.
  stream.fd = launcher::open_for_reading(stream.path, launcher::Links::follow);
  if (stream.fd < 0 && errno == ENOENT) {
    if (has_name(stream.path)) return fail("was written to " + target_of(stream.path) + ", which is not there any more");
    stream.done = last_look;  // a rank that has not started yet has no file
    return false;
  }
  if (stream.fd < 0 && keeps_nothing(errno)) return fail("was written to " + target_of(stream.path) + ", which keeps nothing");
  struct stat status {};
  if (stream.fd < 0 || fstat(stream.fd, &status) != 0) return fail("can't be read: " + std::string(std::strerror(errno)));
  stream.file = {status.st_dev, status.st_ino};
  for (const auto& other : request.streams) {
    if (other.get() == &stream || other->fd < 0 || other->file != stream.file) continue;
    stream.done = true;  // the same file under another name: once is enough
    return false;
  }
  const std::vector<launcher::OutputMark> marks = launcher::read_marks(stream.path);
  if (request.asked.since_ms.ms > 0) stream.offset = launcher::offset_since(marks, request.asked.since_ms);
  else if (!marks.empty()) stream.offset = marks.front().offset;
  const auto gap = launcher::read_gap(stream.path);
  if (!request.asked.follow) stream.limit = status.st_size + (gap ? gap->moved : 0);
  return true;
}

void LogReader::send(const Request& request, Stream& stream, const std::string& bytes) {
  world_.send({.request = request.asked.request,
               .rank = stream.rank,
               .stream = stream.name,
               .offset = stream.offset,
               .data_base64 = net::to_base64(bytes)});
  stream.last = bytes.back();
}

/// Sends the next piece of a stream. `over`: the end of the file is the end of the stream.
LogReader::Progress LogReader::read_some(Request& request, Stream& stream, bool over) {
  const bool last_look = over || !request.asked.follow;
  // What lies in the folder is its owner's: he gets what he may read himself.
  const launcher::AsOwner as_owner(world_.folder(request.asked.key));
  if (stream.fd < 0 && !open(request, stream, last_look)) return Progress::idle;
  const auto gap = launcher::read_gap(stream.path);
  if (gap && gap->busy && !over) return Progress::idle;  // its bytes are being moved at this moment
  if (gap && stream.offset >= gap->from && stream.offset < gap->to) {
    send(request, stream,
         (stream.last == '\n' ? "[... " : "\n[... ") + std::to_string(gap->to - stream.offset) + " bytes left out ...]\n");
    stream.offset = gap->to;
    return Progress::has_more;
  }
  std::string bytes(log_chunk_bytes, '\0');
  std::int64_t wanted = static_cast<std::int64_t>(bytes.size());
  if (stream.limit) wanted = std::clamp<std::int64_t>(*stream.limit - stream.offset, 0, wanted);
  const bool ahead_of_gap = gap && stream.offset < gap->from;
  if (ahead_of_gap) wanted = std::min(wanted, gap->from - stream.offset);
  const std::int64_t moved = gap && !ahead_of_gap ? gap->moved : 0;
  const ssize_t length = wanted == 0 ? 0 : pread(stream.fd, bytes.data(), static_cast<std::size_t>(wanted), stream.offset - moved);
  if (launcher::read_gap(stream.path) != gap) return Progress::has_more;  // it was cut while we read: again
  if (length <= 0) {
    stream.done = last_look || length < 0;
    return Progress::idle;
  }
  bytes.resize(static_cast<std::size_t>(length));
  send(request, stream, bytes);
  stream.offset += length;
  // A short piece was all there was, but only another look can tell the end of a file.
  return length == wanted || last_look ? Progress::has_more : Progress::read_all;
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
