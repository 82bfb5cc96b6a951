// What is noted beside a rank's output file: how long it was at which moment, so that a reader can begin "an hour ago", and which part of its
// middle is gone, so that a reader can skip it. Written by the shim, read by the agent. Offsets count all that was ever written, also
// what is gone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/time.h"

namespace ultramarine::launcher {

/// At that moment so much had been written.
struct OutputMark {
  Time at_ms;
  std::int64_t offset = 0;
  bool operator==(const OutputMark&) const = default;
};

/// [from, to) is gone. What comes after it lies `moved` bytes lower in the file than it was written: 0 where the file system can leave a
/// hole, else to - from. `busy`: it is being moved just now.
struct OutputGap {
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::int64_t moved = 0;
  bool busy = false;
  bool operator==(const OutputGap&) const = default;
};

/// Names beside `file`.
inline std::string marks_of(const std::string& file) { return file + ".marks"; }
inline std::string gap_of(const std::string& file) { return file + ".gap"; }

/// Oldest first; the first one says where this attempt's output begins. Empty when there are none.
std::vector<OutputMark> read_marks(const std::string& file);
/// Where to begin for all that was written at or after `since`: never too late, and too early by as much as was written between two marks.
std::int64_t offset_since(const std::vector<OutputMark>& marks, Time since);
/// Adds one. Best effort.
void add_mark(const std::string& file, const OutputMark& mark);
/// Replaces all. Best effort.
void write_marks(const std::string& file, const std::vector<OutputMark>& marks);

std::optional<OutputGap> read_gap(const std::string& file);
/// Old or new, never half. Throws FolderError.
void write_gap(const std::string& file, const OutputGap& gap);

}  // namespace ultramarine::launcher
