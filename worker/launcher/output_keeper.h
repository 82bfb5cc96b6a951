// Looks after the output files of a node's ranks while they grow: notes once a second how long they are, and keeps those that are ours
// within a limit. A program may write for ever, so what goes is the middle: the head, where it says how it was started, and the tail,
// where it says how it ended, stay. The program notices nothing: it goes on appending to the same file, and we punch a hole into
// it (FALLOC_FL_PUNCH_HOLE). On a file system that can't (NFS before 4.2, some FUSE ones) the tail is moved down behind the head instead; what the
// program writes in the instant between the last look and the cut may then be lost. Files that users named are never touched. On a disk that is
// nearly full less is kept: the program would fail when it can't print.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "scheduler/net/loop.h"
#include "worker/launcher/output_files.h"
#include "worker/launcher/output_notes.h"

namespace ultramarine::launcher {

/// A rank's output is never cut to less than this.
inline constexpr std::int64_t kept_bytes_min = 64 << 10;
/// Marks of one file; when there are more, every second one goes, and from then on they are made half as often.
inline constexpr std::size_t marks_max = 1 << 16;

class OutputKeeper {
 public:
  /// Frees the blocks of [from, from + length): 0, or an errno. ENOTSUP: this file system can't.
  using PunchHole = std::function<int(int descriptor, std::int64_t from, std::int64_t length)>;

  /// `bytes_max`: of one rank's output and error together. Begins at once. `streams` must stay open as long as this lives.
  OutputKeeper(net::Loop& loop, const std::vector<OutputFiles::Stream>& streams, std::int64_t bytes_max, PunchHole punch_hole = punch_hole_here);
  /// One look now: also the last one, once nobody writes any more.
  void look();

  static int punch_hole_here(int descriptor, std::int64_t from, std::int64_t length);

 private:
  struct File {
    OutputFiles::Stream stream;
    OutputGap gap;
    std::int64_t marked = 0;      // length at the last mark
    std::int64_t last_length = 0;
    std::vector<OutputMark> marks;
    int skip = 0, looks = 0;      // a mark every `skip` + 1 looks
    std::int64_t kept() const { return last_length - (gap.to - gap.from); }
  };

  void arm();
  void measure(File& file);
  void mark(File& file);
  void cut_rank(std::vector<File*> files, bool nearly_full);
  void cut(File& file, std::int64_t allowed);
  bool leave_hole(File& file, std::int64_t allowed);
  void move_tail(File& file, std::int64_t allowed);

  net::Loop& loop_;
  const std::int64_t bytes_max_;
  const PunchHole punch_hole_;
  bool can_punch_ = true;
  bool hurry_ = true;  // something grows fast, or there is little room: look again soon
  bool was_nearly_full_ = false;
  std::chrono::steady_clock::time_point last_look_ = std::chrono::steady_clock::now();
  std::vector<File> files_;
  std::unique_ptr<net::Loop::Timer> timer_;
};

}  // namespace ultramarine::launcher
