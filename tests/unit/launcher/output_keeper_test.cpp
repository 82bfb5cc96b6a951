// Output that grows over its limit: head and tail stay, readers know what is gone, users' files are left alone.
#include "worker/launcher/output_keeper.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "worker/launcher/wall_clock.h"

namespace ultramarine::launcher {
namespace {

using testing::ElementsAre;
namespace fs = std::filesystem;

int no_holes(int, std::int64_t, std::int64_t) { return EOPNOTSUPP; }

struct Keeper : testing::Test {
  Keeper() {
    std::string name = "/tmp/launcher-test-XXXXXX";
    folder = ::mkdtemp(name.data());
  }
  ~Keeper() override {
    keeper.reset();
    for (const OutputFiles::Stream& stream : streams) ::close(stream.descriptor);
    fs::remove_all(folder);
  }
  std::string add(const std::string& name, bool is_ours = true) {
    const std::string path = folder + "/" + name;
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat status {};
    ::fstat(file, &status);
    streams.push_back({.rank = 0, .is_error = !streams.empty(), .name = path, .path = path, .descriptor = file, .is_ours = is_ours, .start = status.st_size});
    return path;
  }
  void begin(std::int64_t bytes_max, OutputKeeper::PunchHole punch = OutputKeeper::punch_hole_here) {
    keeper = std::make_unique<OutputKeeper>(loop, streams, bytes_max, std::move(punch));
  }
  /// Numbered lines of 16 bytes.
  void write(std::size_t stream, int lines) {
    std::string text;
    for (int i = 0; i < lines; ++i) {
      std::string number = std::to_string(next_line++);
      text += std::string(15 - number.size(), '.') + number + "\n";
    }
    ASSERT_EQ(::write(streams[stream].descriptor, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  std::string line(int number) {
    const std::string text = std::to_string(number);
    return std::string(15 - text.size(), '.') + text + "\n";
  }
  std::int64_t disk_bytes(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_blocks * 512 : -1;
  }
  /// All that is left, as a reader finds it: what is gone as "|".
  std::string whole(const std::string& path) {
    const std::string raw = read_whole(path).value();
    const auto gap = read_gap(path);
    if (!gap) return raw;
    EXPECT_FALSE(gap->busy);
    return raw.substr(0, static_cast<std::size_t>(gap->from)) + "|" + raw.substr(static_cast<std::size_t>(gap->to - gap->moved));
  }
  /// Only whole, consecutive lines from `first` on, cut off anywhere in front.
  void expect_tail(std::string text, int last) {
    ASSERT_TRUE(text.ends_with(line(last))) << text.substr(text.size() - 40);
    int number = last;
    while (text.size() >= 16) {
      ASSERT_EQ(text.substr(text.size() - 16), line(number--));
      text.resize(text.size() - 16);
    }
  }

  std::string folder;
  net::Loop loop;
  std::vector<OutputFiles::Stream> streams;
  std::unique_ptr<OutputKeeper> keeper;
  int next_line = 0;
};

constexpr std::int64_t limit = 256 << 10;
constexpr int lines_per_step = 4000;  // 64,000 bytes

/// The same promises with holes and where there can be none.
struct LongOutput : Keeper, testing::WithParamInterface<bool> {
  void begin_limited() { begin(limit, GetParam() ? OutputKeeper::punch_hole_here : no_holes); }
};
INSTANTIATE_TEST_SUITE_P(FileSystems, LongOutput, testing::Bool(), [](const auto& one) { return one.param ? "WithHoles" : "WithoutHoles"; });

TEST_P(LongOutput, KeepsHeadAndTailWhileTheProgramWritesOn) {
  const std::string path = add("rank_0.out");
  begin_limited();
  for (int step = 0; step < 40; ++step) {
    write(0, lines_per_step);
    keeper->look();
    EXPECT_LE(disk_bytes(path), limit + 16'384) << "step " << step;
  }
  const std::string text = whole(path);
  const std::size_t cut = text.find('|');
  ASSERT_NE(cut, std::string::npos);
  EXPECT_GE(static_cast<std::int64_t>(cut), limit / 5) << "the head";
  EXPECT_EQ(text.substr(0, 32), line(0) + line(1));
  EXPECT_GE(static_cast<std::int64_t>(text.size() - cut), limit / 5) << "the tail";
  expect_tail(text.substr(cut + 1), next_line - 1);
  const OutputGap gap = read_gap(path).value();
  const std::int64_t written = std::int64_t{next_line} * 16;
  EXPECT_EQ(static_cast<std::int64_t>(text.size()) - 1 + (gap.to - gap.from), written) << "every byte is there or counted as gone";
  EXPECT_EQ(gap.moved, GetParam() ? 0 : gap.to - gap.from);
}

TEST_P(LongOutput, BelowTheLimitNothingIsTouched) {
  const std::string path = add("rank_0.out");
  begin_limited();
  write(0, 16'000);  // 256,000 of 262,144 bytes
  keeper->look();
  EXPECT_FALSE(read_gap(path));
  expect_tail(read_whole(path).value(), 15'999);
}

TEST_P(LongOutput, OutputAndErrorShareTheLimitAndTheLongerOneYields) {
  const std::string out = add("rank_0.out"), err = add("rank_0.err");
  begin_limited();
  for (int step = 0; step < 20; ++step) {
    write(0, lines_per_step);
    keeper->look();
  }
  next_line = 0;
  write(1, 100);
  keeper->look();
  EXPECT_TRUE(read_gap(out));
  EXPECT_FALSE(read_gap(err));
  EXPECT_LE(disk_bytes(out) + disk_bytes(err), limit + 16'384);
  for (int step = 0; step < 20; ++step) {
    write(1, lines_per_step);
    keeper->look();
  }
  EXPECT_TRUE(read_gap(err));
  EXPECT_LE(disk_bytes(out) + disk_bytes(err), limit + 32'768);
  expect_tail(whole(err).substr(whole(err).find('|') + 1), next_line - 1);
}

TEST_P(LongOutput, UsersFilesAreNeverTouched) {
  const std::string path = add("named.txt", false);
  begin_limited();
  for (int step = 0; step < 10; ++step) {
    write(0, lines_per_step);
    keeper->look();
  }
  EXPECT_FALSE(read_gap(path));
  EXPECT_EQ(static_cast<std::int64_t>(read_whole(path).value().size()), std::int64_t{next_line} * 16);
}

TEST_F(Keeper, LooksByItself) {
  const std::string path = add("rank_0.out");
  begin(limit);
  write(0, 40'000);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!read_gap(path) && std::chrono::steady_clock::now() < end) loop.run_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(read_gap(path));
  EXPECT_GE(read_marks(path).size(), 2U);
}

TEST_F(Keeper, AHoleThatFailsIsNotNoted) {
  const std::string path = add("rank_0.out");
  begin(limit, [](int, std::int64_t, std::int64_t) { return EIO; });
  write(0, 40'000);
  keeper->look();
  EXPECT_FALSE(read_gap(path));
  expect_tail(read_whole(path).value(), 39'999);
}

// ---- marks

TEST_F(Keeper, NotesHowLongTheOutputWasWhen) {
  const std::string path = add("rank_0.out");
  const Time before = wall_clock_now();
  begin(limit);
  EXPECT_THAT(read_marks(path), testing::IsEmpty()) << "nothing was written, and it begins at 0";
  write(0, 10);
  keeper->look();
  keeper->look();  // it has not grown: no mark
  write(0, 5);
  keeper->look();
  const auto marks = read_marks(path);
  ASSERT_EQ(marks.size(), 3U);
  EXPECT_EQ(marks[0].offset, 0) << "where it begins, too: else what came before the first look would be passed over";
  EXPECT_GE(marks[0].at_ms, before);
  EXPECT_EQ(marks[1].offset, 160);
  EXPECT_EQ(marks[2].offset, 240);
  EXPECT_GE(marks[2].at_ms, marks[1].at_ms);
}

TEST_F(Keeper, AppendedOutputBeginsWhereTheFileEnded) {
  const int old = ::open((folder + "/named.txt").c_str(), O_WRONLY | O_CREAT, 0600);
  ASSERT_EQ(::write(old, "before", 6), 6);
  ::close(old);
  const std::string path = add("named.txt", false);
  begin(limit);
  EXPECT_EQ(read_marks(path).at(0).offset, 6);
}

TEST(OutputNotes, ABeginIsNeverTooLate) {
  const std::vector<OutputMark> marks = {{Time{1000}, 5}, {Time{2000}, 100}, {Time{60'000}, 300}};
  EXPECT_EQ(offset_since(marks, Time{0}), 5) << "this attempt's output begins there";
  EXPECT_EQ(offset_since(marks, Time{1999}), 5);
  EXPECT_EQ(offset_since(marks, Time{2000}), 100);
  EXPECT_EQ(offset_since(marks, Time{59'999}), 100) << "what came in between came after the mark before";
  EXPECT_EQ(offset_since(marks, Time{70'000}), 300);
  EXPECT_EQ(offset_since({}, Time{5}), 0);
}

TEST_F(Keeper, NotesSurviveBeingWrittenAndRead) {
  const std::string path = folder + "/file";
  EXPECT_TRUE(read_marks(path).empty());
  EXPECT_FALSE(read_gap(path));
  write_marks(path, {{Time{1}, 2}});
  add_mark(path, {Time{3}, 4});
  EXPECT_THAT(read_marks(path), ElementsAre(OutputMark{Time{1}, 2}, OutputMark{Time{3}, 4}));
  const OutputGap gap{.from = 4096, .to = 8192, .moved = 4096, .busy = true};
  write_gap(path, gap);
  EXPECT_EQ(read_gap(path), gap);
}

}  // namespace
}  // namespace ultramarine::launcher
