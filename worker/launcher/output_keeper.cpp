#include "worker/launcher/output_keeper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "worker/launcher/shim_log.h"
#include "worker/launcher/wall_clock.h"

namespace ultramarine::launcher {
namespace {

constexpr auto look_interval = std::chrono::milliseconds(1000);
constexpr auto hurried_interval = std::chrono::milliseconds(100);
constexpr std::int64_t block_bytes = 4096;
/// Moving a tail is copying, during which the shim does nothing else.
constexpr std::int64_t moved_tail_max = 32 << 20;

/// A disk is nearly full when less than this is left, or than this part of it.
constexpr std::int64_t room_bytes = 64 << 20, room_part = 16;

struct Room {
  std::int64_t all = 0, left = 0;
  bool is_small() const { return left < std::min(room_bytes, all / room_part); }
};
std::optional<Room> room_on_disk(int descriptor) {
  struct statvfs disk {};
  if (::fstatvfs(descriptor, &disk) != 0) return std::nullopt;
  const auto block = static_cast<std::int64_t>(disk.f_frsize);
  return Room{static_cast<std::int64_t>(disk.f_blocks) * block, static_cast<std::int64_t>(disk.f_bavail) * block};
}

constexpr std::int64_t blocks_down(std::int64_t bytes) { return bytes / block_bytes * block_bytes; }

std::int64_t length_of(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : 0;
}

}  // namespace

OutputKeeper::OutputKeeper(net::Loop& loop, const std::vector<OutputFiles::Stream>& streams, std::int64_t bytes_max, PunchHole punch_hole)
    : loop_(loop), bytes_max_(std::max(bytes_max, kept_bytes_min)), punch_hole_(std::move(punch_hole)) {
  for (const OutputFiles::Stream& stream : streams) {
    File file{.stream = stream, .marked = stream.start, .last_length = stream.start};
    // Where this attempt's output begins. Without a note that is at 0: who never writes needs no file for that.
    file.marks = {{wall_clock_now(), stream.start}};
    if (stream.start > 0) write_marks(stream.name, file.marks);
    files_.push_back(std::move(file));
  }
  arm();
}

void OutputKeeper::arm() {
  timer_ = loop_.after(hurry_ ? hurried_interval : look_interval, [this] {
    look();
    arm();
  });
}

void OutputKeeper::look() {
  const auto now = std::chrono::steady_clock::now();
  const auto since = std::max(std::chrono::duration_cast<std::chrono::milliseconds>(now - std::exchange(last_look_, now)), std::chrono::milliseconds(1));
  hurry_ = false;
  std::int64_t grown = 0;
  std::map<std::int64_t, std::vector<File*>> ours;
  for (File& file : files_) {
    const std::int64_t before = file.last_length;
    measure(file);
    if (!file.stream.is_ours) continue;
    grown += file.last_length - before;
    ours[file.stream.rank].push_back(&file);
  }
  const auto room = ours.empty() ? std::nullopt : room_on_disk(ours.begin()->second.front()->stream.descriptor);
  const bool nearly_full = room && room->is_small();
  if (nearly_full && !was_nearly_full_) shim_log::warn("the disk of the output is nearly full: what is kept of it is halved");
  was_nearly_full_ = nearly_full;
  // Full before the look after the next, if it goes on like this.
  hurry_ = hurry_ || nearly_full || (room && grown / since.count() * 2 * look_interval.count() > room->left);
  for (auto& [rank, files] : ours) cut_rank(std::move(files), nearly_full);
}

void OutputKeeper::measure(File& file) {
  const std::int64_t length = length_of(file.stream.descriptor) + file.gap.moved;
  if (file.stream.is_ours && length - file.last_length > bytes_max_ / 8) hurry_ = true;
  file.last_length = length;
  if (length != file.marked && ++file.looks > file.skip) mark(file);
}

/// The clock is read after the length was: what lies below the mark was written before its time.
void OutputKeeper::mark(File& file) {
  const OutputMark mark{wall_clock_now(), file.last_length};
  file.looks = 0;
  file.marked = mark.offset;
  file.marks.push_back(mark);
  if (file.marks.size() == 2) return write_marks(file.stream.name, file.marks);
  if (file.marks.size() <= marks_max) return add_mark(file.stream.name, mark);
  std::vector<OutputMark> half;
  for (std::size_t i = 0; i < file.marks.size(); i += 2) half.push_back(file.marks[i]);
  file.marks = std::move(half);
  file.skip = file.skip * 2 + 1;
  write_marks(file.stream.name, file.marks);
}

/// Output and error share the limit; the longer one yields, but never to less than half. Of a disk that is nearly full it gives back half of
/// what it has: a program that can't print fails for that alone.
void OutputKeeper::cut_rank(std::vector<File*> files, bool nearly_full) {
  std::int64_t kept = 0;
  for (const File* file : files) kept += file->kept();
  const std::int64_t bytes_max = nearly_full ? std::clamp(kept / 2, kept_bytes_min, bytes_max_) : bytes_max_;
  if (kept <= bytes_max) return;
  std::sort(files.begin(), files.end(), [](const File* a, const File* b) { return a->kept() > b->kept(); });
  for (File* file : files) {
    const std::int64_t others = kept - file->kept();
    const std::int64_t allowed = std::max(bytes_max - others, bytes_max / 2);
    if (file->kept() <= allowed) continue;
    kept -= file->kept();
    cut(*file, allowed);
    kept += file->kept();
  }
}

void OutputKeeper::cut(File& file, std::int64_t allowed) {
  try {
    if (can_punch_ && leave_hole(file, allowed)) return;
    move_tail(file, allowed);
  } catch (const FolderError& error) {
    shim_log::error(file.stream.path + " grows over its limit: " + error.what());
  }
}

/// False when this file system can't.
bool OutputKeeper::leave_hole(File& file, std::int64_t allowed) {
  OutputGap gap = file.gap;
  if (gap.to == 0) gap.from = gap.to = blocks_down(allowed / 4);
  const std::int64_t tail = std::max(allowed - gap.from, block_bytes);
  const std::int64_t to = blocks_down(file.last_length - tail);
  if (to <= gap.to) return true;
  const std::int64_t from = gap.to;
  gap.to = to;
  // Noted first: a reader that still finds the bytes may send them or not, but nobody may read zeros for them.
  write_gap(file.stream.name, gap);
  const int problem = punch_hole_(file.stream.descriptor, from, to - from);
  if (problem == 0) {
    file.gap = gap;
    return true;
  }
  if (file.gap.to == 0) remove_file(gap_of(file.stream.name));
  else write_gap(file.stream.name, file.gap);
  if (problem != EOPNOTSUPP && problem != ENOSYS) throw FolderError(std::string("can't leave a hole: ") + std::strerror(problem));
  shim_log::info("the file system of " + file.stream.path + " can't leave holes: the ends of long outputs are moved instead");
  can_punch_ = false;
  return false;
}

/// Head, then the tail copied down, then the cut. In larger steps than a hole: half of what is allowed is left free to grow into.
void OutputKeeper::move_tail(File& file, std::int64_t allowed) {
  OutputGap gap = file.gap;
  if (gap.to == 0) gap.from = blocks_down(allowed / 4);
  const std::int64_t tail = std::clamp(allowed / 2 - gap.from, block_bytes, moved_tail_max);
  // The descriptor that we have only appends.
  const int copy = ::open(file.stream.path.c_str(), O_RDWR | O_CLOEXEC);
  if (copy < 0) throw FolderError(std::string("can't open it: ") + std::strerror(errno));
  const std::int64_t before = length_of(copy);
  std::int64_t from = std::max(before - tail, gap.from);
  gap.to = from + gap.moved;
  gap.busy = true;
  write_gap(file.stream.name, gap);
  std::int64_t to = gap.from;
  std::vector<char> buffer(1 << 20);
  while (true) {
    const ssize_t got = ::pread(copy, buffer.data(), buffer.size(), from);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || ::pwrite(copy, buffer.data(), static_cast<std::size_t>(got), to) != got) break;
    from += got;
    to += got;
  }
  const bool done = ::ftruncate(copy, to) == 0;
  ::close(copy);
  gap.busy = false;
  if (done) gap.moved += from - to;
  file.gap = gap;
  file.last_length = std::max(file.last_length, from + (gap.moved - (done ? from - to : 0)));
  write_gap(file.stream.name, gap);
}

int OutputKeeper::punch_hole_here(int descriptor, std::int64_t from, std::int64_t length) {
  return ::fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, length) == 0 ? 0 : errno;
}

}  // namespace ultramarine::launcher
