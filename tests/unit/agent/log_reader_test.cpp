#include "worker/agent/log_reader.h"

#include <gmock/gmock.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "scheduler/net/base64.h"
#include "temporary_folder.h"
#include "worker/launcher/output_notes.h"

namespace ultramarine::agent {
namespace {

using protocol::LogChunk;
using protocol::LogRequest;
using testing::ElementsAre;
using testing::HasSubstr;

const GangKey gang{JobId{7}, 1, 1};

/// A job folder, and a reader whose chunks are put together again.
struct LogReaderTest : testing::Test {
  TemporaryFolder temporary;
  std::string folder = temporary.path + "/7.1.1";
  net::Loop loop;
  bool over = true;
  bool is_cut = false;  // the output is not read from its start to its end
  std::size_t queued = 0;
  std::vector<std::int64_t> ranks{0, 1};
  std::vector<LogChunk> chunks;
  std::map<std::pair<std::int64_t, std::string>, std::string> output;
  std::vector<std::int64_t> ended;
  std::function<void()> on_chunk = [] {};
  LogReader reader{loop,
                   {.node = "node01",
                    .folder = [this](const GangKey&) { return folder; },
                    .ranks = [this](const GangKey&) { return ranks; },
                    .is_over = [this](const GangKey&) { return over; },
                    .send = [this](const LogChunk& chunk) { receive(chunk); },
                    .queued_bytes = [this] { return queued; }}};

  LogReaderTest() { std::filesystem::create_directory(folder); }

  void receive(const LogChunk& chunk) {
    chunks.push_back(chunk);
    const std::string bytes = net::from_base64(chunk.data_base64);
    EXPECT_LE(bytes.size(), log_chunk_bytes);
    if (!bytes.empty()) {
      std::string& whole = output[{chunk.rank, chunk.stream}];
      EXPECT_TRUE(is_cut || chunk.offset == static_cast<std::int64_t>(whole.size())) << "a piece is missing or came twice";
      whole += bytes;
    }
    if (chunk.at_end) ended.push_back(chunk.rank);
    on_chunk();
  }
  void append(const std::string& name, const std::string& text) { std::ofstream(folder + "/" + name, std::ios::app) << text; }
  bool wait_until(const std::function<bool()>& condition) {
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20); std::chrono::steady_clock::now() < end;) {
      if (condition()) return true;
      loop.run_for(std::chrono::milliseconds(5));
    }
    return condition();
  }
  bool all_ended() {
    return wait_until([this] { return reader.open_requests() == 0; });
  }
};

TEST_F(LogReaderTest, SaysHowMuchIsLeftOut) {
  const std::string path = folder + "/rank_0.out";
  append("rank_0.out", "head\n" + std::string(95, '?') + "tail\n");
  launcher::write_gap(path, {.from = 5, .to = 100});
  append("rank_1.out", "headtail\n");  // where the tail was moved
  launcher::write_gap(folder + "/rank_1.out", {.from = 4, .to = 1004, .moved = 1000});
  is_cut = true;
  reader.request({.request = 5, .key = gang});
  ASSERT_TRUE(all_ended());
  EXPECT_EQ((output[{0, "out"}]), "head\n[... 95 bytes left out ...]\ntail\n");
  EXPECT_EQ((output[{1, "out"}]), "head\n[... 1000 bytes left out ...]\ntail\n") << "on a line of its own";
}

TEST_F(LogReaderTest, FollowsAnOutputWhoseMiddleGoesMeanwhile) {
  over = false;
  is_cut = true;
  append("rank_0.out", "one\n");
  reader.request({.request = 5, .key = gang, .ranks = {0}, .follow = true});
  ASSERT_TRUE(wait_until([&] { return output[{0, "out"}] == "one\n"; }));
  // 1000 bytes came and went before the reader looked again.
  launcher::write_gap(folder + "/rank_0.out", {.from = 4, .to = 1004, .moved = 1000});
  append("rank_0.out", "two\n");
  ASSERT_TRUE(wait_until([&] { return output[{0, "out"}].ends_with("two\n"); }));
  EXPECT_EQ((output[{0, "out"}]), "one\n[... 1000 bytes left out ...]\ntwo\n");
  over = true;
  ASSERT_TRUE(all_ended());
}

TEST_F(LogReaderTest, BeginsWithWhatWasWrittenSince) {
  is_cut = true;
  append("rank_0.out", "old\nnew\n");
  launcher::write_marks(folder + "/rank_0.out", {{Time{1000}, 0}, {Time{2000}, 4}, {Time{9000}, 8}});
  reader.request({.request = 5, .key = gang, .ranks = {0}, .since_ms = Time{5000}});
  ASSERT_TRUE(all_ended());
  EXPECT_EQ((output[{0, "out"}]), "new\n");
  EXPECT_EQ(chunks.front().offset, 4);
}

TEST_F(LogReaderTest, ReadsUsersFilesThroughTheirNamesFromWhereThisAttemptBegan) {
  is_cut = true;
  const std::string named = temporary.path + "/all.txt";
  std::ofstream(named) << "of another run\nof this one\n";
  for (const char* name : {"rank_0.out", "rank_0.err", "rank_1.out", "rank_1.err"}) {
    std::filesystem::create_symlink(named, folder + "/" + name);
    launcher::write_marks(folder + "/" + name, {{Time{1000}, 15}});
  }
  reader.request({.request = 5, .key = gang});
  ASSERT_TRUE(all_ended());
  EXPECT_EQ((output[{0, "out"}]), "of this one\n");
  EXPECT_EQ(output.size(), 1u) << "one file under four names comes once";
  EXPECT_THAT(ended, testing::UnorderedElementsAre(0, 1));
}

TEST_F(LogReaderTest, SaysWhereUsersFilesWentThatCannotBeRead) {
  std::filesystem::create_symlink(temporary.path + "/gone.txt", folder + "/rank_0.out");
  std::filesystem::create_symlink("/dev/null", folder + "/rank_1.out");
  reader.request({.request = 5, .key = gang});
  ASSERT_TRUE(all_ended());
  std::vector<std::string> errors;
  for (const LogChunk& chunk : chunks)
    if (!chunk.error.empty()) errors.push_back(chunk.error);
  EXPECT_THAT(errors, ElementsAre("stdout of rank 0 was written to " + temporary.path + "/gone.txt, which is not there any more",
                                  "stdout of rank 1 was written to /dev/null, which keeps nothing"));
}

TEST_F(LogReaderTest, WhatAUserPutsInPlaceOfAnOutputNeitherHoldsItUpNorShowsOursToHim) {
  ranks = {0, 1, 2, 3};
  const std::string ours = temporary.path + "/ours";
  std::ofstream(ours) << "of another request";
  const int open_here = ::open(ours.c_str(), O_RDONLY | O_CLOEXEC);
  std::filesystem::create_symlink("/proc/self/fd/" + std::to_string(open_here), folder + "/rank_0.out");
  std::filesystem::create_symlink("/proc/self/maps", folder + "/rank_1.out");
  std::filesystem::create_symlink("/dev/zero", folder + "/rank_2.out");
  ASSERT_EQ(::mkfifo((folder + "/rank_3.out").c_str(), 0600), 0);
  reader.request({.request = 5, .key = gang, .follow = true});
  ASSERT_TRUE(all_ended());
  ::close(open_here);
  EXPECT_TRUE(output.empty());
  std::vector<std::string> errors;
  for (const LogChunk& chunk : chunks)
    if (!chunk.error.empty()) errors.push_back(chunk.error);
  EXPECT_THAT(errors, testing::ElementsAreArray(std::vector<testing::Matcher<std::string>>(4, testing::EndsWith(", which keeps nothing"))));
}

TEST_F(LogReaderTest, SendsBothStreamsOfEveryRankAndThenEachRanksEnd) {
  append("rank_0.out", "hello\n");
  append("rank_0.err", "oops\n");
  append("rank_1.out", "world\n");
  append("rank_1.err", "");
  reader.request({.request = 5, .key = gang});
  ASSERT_TRUE(all_ended());
  EXPECT_EQ((output[{0, "out"}]), "hello\n");
  EXPECT_EQ((output[{0, "err"}]), "oops\n");
  EXPECT_EQ((output[{1, "out"}]), "world\n");
  EXPECT_THAT(ended, testing::UnorderedElementsAre(0, 1));
  for (const LogChunk& chunk : chunks) EXPECT_EQ(chunk.request, 5);
}

TEST_F(LogReaderTest, OnlyTheRanksThatWereAskedFor) {
  append("rank_0.out", "a");
  append("rank_1.out", "b");
  reader.request({.key = gang, .ranks = {1}});
  ASSERT_TRUE(all_ended());
  EXPECT_EQ(output.size(), 1u);
  EXPECT_THAT(ended, ElementsAre(1));
}

TEST_F(LogReaderTest, BinaryDataArrivesUnchangedInPieces) {
  std::string bytes(5 * log_chunk_bytes + 123, '\0');
  std::mt19937 random(1);
  for (char& byte : bytes) byte = static_cast<char>(random());
  append("rank_0.out", bytes);
  reader.request({.key = gang, .ranks = {0}});
  ASSERT_TRUE(all_ended());
  EXPECT_TRUE((output[{0, "out"}]) == bytes);
  EXPECT_EQ(chunks.size(), 7u);
}

TEST_F(LogReaderTest, RanksTakeTurns) {
  // A rank that wrote gigabytes must not hold back the last words of another.
  append("rank_0.out", std::string(40 * log_chunk_bytes, 'x'));
  append("rank_1.out", "short");
  reader.request({.key = gang});
  ASSERT_TRUE(all_ended());
  const auto short_one = std::find_if(chunks.begin(), chunks.end(), [](const LogChunk& chunk) { return chunk.rank == 1; });
  EXPECT_LT(short_one - chunks.begin(), 3);
  EXPECT_EQ(ended.front(), 1);
  EXPECT_EQ((output[{0, "out"}].size()), 40 * log_chunk_bytes);
}

TEST_F(LogReaderTest, FollowGoesOnUntilTheGangIsOverAndMissesNothing) {
  over = false;
  append("rank_0.out", "one\n");
  reader.request({.key = gang, .ranks = {0}, .follow = true});
  ASSERT_TRUE(wait_until([this] { return output[{0, "out"}] == "one\n"; }));
  append("rank_0.out", "two\n");
  ASSERT_TRUE(wait_until([this] { return output[{0, "out"}] == "one\ntwo\n"; }));
  EXPECT_TRUE(ended.empty());
  append("rank_0.out", "last\n");
  over = true;
  ASSERT_TRUE(all_ended());
  EXPECT_EQ((output[{0, "out"}]), "one\ntwo\nlast\n");
  EXPECT_THAT(ended, ElementsAre(0));
}

TEST_F(LogReaderTest, FollowWaitsForARankThatHasNotStarted) {
  over = false;
  std::filesystem::remove(folder);
  reader.request({.key = gang, .ranks = {0}, .follow = true});
  loop.run_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(chunks.empty());
  std::filesystem::create_directory(folder);
  append("rank_0.out", "late");
  ASSERT_TRUE(wait_until([this] { return output[{0, "out"}] == "late"; }));
}

TEST_F(LogReaderTest, WithoutFollowItEndsThoughTheRankGoesOnWriting) {
  over = false;
  const std::string first(2 * log_chunk_bytes, 'x');
  append("rank_0.out", first);
  on_chunk = [this] { append("rank_0.out", "more"); };
  reader.request({.key = gang, .ranks = {0}});
  ASSERT_TRUE(all_ended());
  EXPECT_EQ((output[{0, "out"}]), first);
}

TEST_F(LogReaderTest, SlowNetworkIsWaitedFor) {
  append("rank_0.out", "text");
  queued = 64 << 20;
  reader.request({.key = gang, .ranks = {0}});
  loop.run_for(std::chrono::milliseconds(60));
  EXPECT_TRUE(chunks.empty());
  queued = 0;
  ASSERT_TRUE(all_ended());
  EXPECT_EQ((output[{0, "out"}]), "text");
}

TEST_F(LogReaderTest, CancelEndsAFollower) {
  over = false;
  append("rank_0.out", "one");
  reader.request({.request = 1, .key = gang, .ranks = {0}, .follow = true});
  reader.request({.request = 2, .key = gang, .ranks = {1}, .follow = true});
  reader.cancel(1);
  EXPECT_EQ(reader.open_requests(), 1u);
  reader.cancel_all();
  EXPECT_EQ(reader.open_requests(), 0u);
  loop.run_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(chunks.empty());
}

TEST_F(LogReaderTest, MissingFolderIsAnErrorForEachRankThatWasAskedFor) {
  std::filesystem::remove(folder);
  ranks.clear();
  reader.request({.key = gang, .ranks = {0, 3}});
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_THAT(chunks[1].error, HasSubstr("node01 has no output of rank 3 of job 7 (attempt 1)"));
  EXPECT_THAT(ended, ElementsAre(0, 3));
  EXPECT_EQ(reader.open_requests(), 0u);
}

TEST_F(LogReaderTest, MissingFolderOfUnknownRanksIsOneErrorForAll) {
  std::filesystem::remove(folder);
  ranks.clear();
  reader.request({.key = gang});
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_THAT(chunks[0].error, HasSubstr("node01 has no output of job 7"));
  EXPECT_TRUE(chunks[0].at_end);
  EXPECT_EQ(chunks[0].rank, -1);
}

TEST_F(LogReaderTest, RankOfAnotherNodeIsAnError) {
  append("rank_0.out", "x");
  reader.request({.key = gang, .ranks = {0, 9}});
  ASSERT_TRUE(all_ended());
  EXPECT_THAT(chunks[0].error, HasSubstr("rank 9 of job 7 (attempt 1) does not run on node node01"));
  EXPECT_EQ((output[{0, "out"}]), "x");
}

TEST_F(LogReaderTest, ForgottenGangsRanksAreFoundInItsFolder) {
  ranks.clear();
  append("rank_4.out", "four");
  append("rank_12.err", "twelve");
  append("report.json", "{}");
  reader.request({.key = gang});
  ASSERT_TRUE(all_ended());
  EXPECT_EQ((output[{4, "out"}]), "four");
  EXPECT_EQ((output[{12, "err"}]), "twelve");
  EXPECT_EQ(output.size(), 2u);
}

}  // namespace
}  // namespace ultramarine::agent
