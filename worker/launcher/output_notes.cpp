#include "worker/launcher/output_notes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {
namespace {

std::string line_of(const OutputMark& mark) { return std::to_string(mark.at_ms.ms) + " " + std::to_string(mark.offset) + "\n"; }

constexpr std::size_t gap_bytes_max = 4096;

}  // namespace

std::vector<OutputMark> read_marks(const std::string& file) {
  std::vector<OutputMark> marks;
  try {
    std::istringstream lines(read_whole(marks_of(file)).value_or(""));
    OutputMark mark;
    while (lines >> mark.at_ms.ms >> mark.offset) marks.push_back(mark);
  } catch (const FolderError&) {
  }
  return marks;
}

std::int64_t offset_since(const std::vector<OutputMark>& marks, Time since) {
  if (marks.empty()) return 0;
  const auto later = std::partition_point(marks.begin(), marks.end(), [&](const OutputMark& mark) { return mark.at_ms <= since; });
  return later == marks.begin() ? marks.front().offset : std::prev(later)->offset;
}

void add_mark(const std::string& file, const OutputMark& mark) {
  const int notes = ::open(marks_of(file).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (notes < 0) return;
  const std::string line = line_of(mark);
  [[maybe_unused]] const ssize_t written = ::write(notes, line.data(), line.size());
  ::close(notes);
}

void write_marks(const std::string& file, const std::vector<OutputMark>& marks) {
  std::string text;
  for (const OutputMark& mark : marks) text += line_of(mark);
  try {
    write_whole(marks_of(file), text);  // not fsynced: after a crash of the machine the notes are as old as the output itself
  } catch (const FolderError&) {
    // Without them the output can't be asked for by time.
  }
}

std::optional<OutputGap> read_gap(const std::string& file) {
  try {
    const auto text = read_whole(gap_of(file), gap_bytes_max);
    long long from = 0, to = 0, moved = 0;
    int busy = 0;
    if (!text || std::sscanf(text->c_str(), "%lld %lld %lld %d", &from, &to, &moved, &busy) != 4) return std::nullopt;
    return OutputGap{.from = from, .to = to, .moved = moved, .busy = busy != 0};
  } catch (const FolderError&) {
    return std::nullopt;
  }
}

void write_gap(const std::string& file, const OutputGap& gap) {
  const std::string text =
      std::to_string(gap.from) + " " + std::to_string(gap.to) + " " + std::to_string(gap.moved) + (gap.busy ? " 1\n" : " 0\n");
  write_whole(gap_of(file), text);
}

}  // namespace ultramarine::launcher
