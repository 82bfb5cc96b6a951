// Scripts as files, file patterns, and who writes into which file.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "worker/launcher/output_files.h"
#include "worker/launcher/output_pattern.h"
#include "worker/launcher/scratch_folders.h"
#include "worker/launcher/script_file.h"

namespace ultramarine::launcher {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

struct Folder : testing::Test {
  Folder() {
    std::string name = "/tmp/launcher-test-XXXXXX";
    folder = ::mkdtemp(name.data());
  }
  ~Folder() override { fs::remove_all(folder); }
  std::string folder;
};

// ---- scripts

std::string problem_of(const std::string& text) { return script_problem(text, "/", {{"PATH", "/usr/bin:/bin"}}, "node03"); }

TEST(ScriptFile, RunsWhatTheKernelWouldRun) {
  for (const char* text : {"#!/bin/sh\n", "#! /bin/bash -l\ntrue\n", "#!/bin/sh", "#!/usr/bin/env bash\n", "#!/usr/bin/env -S sh -e\n", "#!bin/sh\n"}) {
    EXPECT_EQ(problem_of(text), "") << text;
  }
}

TEST(ScriptFile, SaysWhatIsWrongWithTheFirstLine) {
  EXPECT_EQ(problem_of("#!/opt/none/bash -l\ntrue\n"),
            "the script's first line asks for /opt/none/bash, which does not exist on node03: correct the line, or install it there");
  EXPECT_THAT(problem_of("#!/bin/bash\r\ntrue\r\n"), HasSubstr("DOS line ends"));
  EXPECT_THAT(problem_of("echo hello\n"), HasSubstr("must begin with #!"));
  EXPECT_THAT(problem_of("#!\n"), HasSubstr("names no interpreter"));
  EXPECT_THAT(problem_of("#!/etc/passwd\n"), HasSubstr("can't be run on node03"));
  EXPECT_THAT(problem_of("#!/tmp\n"), HasSubstr("can't be run on node03"));
  EXPECT_THAT(problem_of("#!/usr/bin/env no-such-program\n"), HasSubstr("asks env for no-such-program, but: command not found"));
}

TEST_F(Folder, ScriptsAreForTheirOwnerAlone) {
  write_script(folder + "/script", "#!/bin/sh\nexit 3\n");
  struct stat status {};
  ASSERT_EQ(::stat((folder + "/script").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
}

// ---- scratch folders

struct Scratch : Folder {
  using Attempt = ScratchFolders::Attempt;
  const Attempt attempt{JobId{12}, 3};
  std::set<Attempt> with_gangs;
  ScratchFolders folders{folder + "/scratch", [this](const Attempt& one) { return with_gangs.contains(one); }};

  /// A gang with so much time comes, and its shim makes the folder.
  void come(Duration time_limit, Time now) {
    protocol::LaunchSpec launch;
    launch.key = {attempt.first, attempt.second, 2};
    launch.spec.time_limit_ms = time_limit;
    launch.spec.stop_grace_ms = seconds(30);
    with_gangs.insert(attempt);
    folders.expect(launch, now);
    make_private_folder(folders.path_of(attempt));
    std::ofstream(folders.path_of(attempt) + "/data") << "x";
  }
  bool is_there() const { return fs::exists(folders.path_of(attempt)); }
};

TEST_F(Scratch, GoesWhenTheAttemptIsOverAndItsLastGangIsForgotten) {
  come(minutes(10), Time{0});
  folders.over(attempt);
  EXPECT_TRUE(is_there()) << "a gang is still known";
  with_gangs.clear();
  folders.gang_gone(attempt);
  EXPECT_TRUE(fs::is_empty(folder + "/scratch")) << "with the note beside it";
  come(minutes(10), Time{0});
  with_gangs.clear();
  folders.gang_gone(attempt);
  EXPECT_TRUE(is_there()) << "the script may start another gang";
  folders.over(attempt);
  EXPECT_FALSE(is_there());
}

TEST_F(Scratch, GoesLongAfterItsTimeWhenNobodySaysSo) {
  come(minutes(10), Time{1000});
  const Time end = Time{1000} + minutes(10) + seconds(30) + hours(1);
  folders.sweep(end + seconds(1));
  EXPECT_TRUE(is_there()) << "a gang is still known";
  with_gangs.clear();
  folders.sweep(end - seconds(1));
  EXPECT_TRUE(is_there());
  folders.sweep(end + seconds(1));
  EXPECT_TRUE(fs::is_empty(folder + "/scratch"));
}

TEST_F(Scratch, WithoutALimitOnlyAWordEndsIt) {
  come(Duration{0}, Time{0});
  with_gangs.clear();
  folders.sweep(Time{} + hours(1'000'000));
  EXPECT_TRUE(is_there());
  folders.over(attempt);
  EXPECT_FALSE(is_there());
}

TEST_F(Scratch, PrivateFoldersLieBesideItAndGoWithIt) {
  come(minutes(10), Time{0});
  const OwnMounts mounts = make_private_folders(folders.path_of(attempt));
  EXPECT_EQ(mounts.tmp, folder + "/scratch/12.3.private/tmp");
  EXPECT_TRUE(mounts.shm.starts_with("/dev/shm/ultramarine-12.3-private-")) << mounts.shm;
  const std::string memory = fs::path(mounts.shm).parent_path().string();
  for (const std::string& path : {mounts.tmp, mounts.shm}) {
    EXPECT_EQ(fs::status(path).permissions(), fs::perms::all | fs::perms::sticky_bit) << path;
    EXPECT_EQ(fs::status(fs::path(path).parent_path()).permissions(), fs::perms::owner_all) << "nobody else comes this way";
    std::ofstream(path + "/data") << "x";
  }
  const OwnMounts again = make_private_folders(folders.path_of(attempt));
  EXPECT_EQ(again.tmp, mounts.tmp);
  EXPECT_EQ(again.shm, mounts.shm);
  // After a restart of the machine memory is empty, and what now has that name was put there by somebody.
  fs::remove_all(memory);
  fs::create_symlink(folder, memory);
  const OwnMounts fresh = make_private_folders(folders.path_of(attempt));
  EXPECT_NE(fresh.shm, mounts.shm);
  EXPECT_TRUE(fs::exists(mounts.tmp + "/data"));
  with_gangs.clear();
  folders.over(attempt);
  EXPECT_FALSE(fs::exists(fresh.shm));
  EXPECT_TRUE(fs::is_empty(folder + "/scratch"));
  EXPECT_TRUE(fs::is_symlink(memory)) << "not ours";
  fs::remove(memory);
}

// ---- patterns

const PatternWords words{.job = 123, .array = 100, .index = 7, .node = "n05.hall.example", .node_rank = 2, .rank = 11, .step = "0", .user = "kim",
                         .job_name = "bert"};

TEST(OutputPattern, KnowsSlurmsLetters) {
  EXPECT_EQ(expand_pattern("slurm-%j.out", words), "slurm-123.out");
  EXPECT_EQ(expand_pattern("slurm-%A_%a.out", words), "slurm-100_7.out");
  EXPECT_EQ(expand_pattern("%N/%n/%t/%u/%x/%J/%s", words), "n05/2/11/kim/bert/123/0");
  EXPECT_EQ(expand_pattern("100%%", words), "100%");
}

TEST(OutputPattern, PadsNumbers) {
  EXPECT_EQ(expand_pattern("%3a-%4t-%2j-%05j", words), "007-0011-123-00123");
  EXPECT_EQ(expand_pattern("%99j", words), "0000000123") << "ten digits at the most";
  EXPECT_EQ(expand_pattern("%5x", words), "bert") << "words are not padded";
}

TEST(OutputPattern, LeavesOtherLettersAlone) {
  EXPECT_EQ(expand_pattern("%Y-%d %3q %", words), "%Y-%d %3q %");
  EXPECT_EQ(expand_pattern("plain.txt", words), "plain.txt");
}

TEST(OutputPattern, ABackslashSwitchesReplacementOff) {
  EXPECT_EQ(expand_pattern("logs\\\\%j.out", words), "logs\\%j.out");
  EXPECT_EQ(expand_pattern("logs\\%j-%x.out", words), "logs%j-%x.out");
}

TEST(OutputPattern, OutsideAnArrayIsSlurmsBigNumber) {
  protocol::LaunchSpec launch;
  launch.key = {JobId{9}, 1, 1};
  launch.spec.name = "one";
  launch.owner.name = "ann";
  EXPECT_EQ(expand_pattern("%A_%a_%s", pattern_words(launch, {.rank = 1})), "9_4294967294_0");
  launch.kind = protocol::LaunchKind::script;
  EXPECT_EQ(expand_pattern("%j_%s_%t_%u", pattern_words(launch, {})), "9_batch_0_ann");
  launch.array = ArrayElement{.array = JobId{8}, .index = 1};
  EXPECT_EQ(expand_pattern("%j %A_%a", pattern_words(launch, {})), "9 8_1");
}

// ---- files

struct Outputs : Folder {
  Outputs() : job{folder + "/9.1.1"} {
    make_private_folder(job.path);
    launch.key = {JobId{9}, 1, 1};
    launch.node = "a";
    launch.allocation = {{"a", {0, 1}}};
    launch.spec.name = "x";
    launch.spec.working_directory = folder;
  }
  void open() { files.open(launch, layout_of(launch), job); }
  void write(const OutputFiles::Stream& stream, const std::string& text) {
    ASSERT_EQ(::write(stream.descriptor, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  std::string content(const std::string& name) { return read_whole(folder + "/" + name).value_or("(none)"); }

  JobFolder job;
  protocol::LaunchSpec launch;
  OutputFiles files;
};

TEST_F(Outputs, AreOursWithoutAPattern) {
  open();
  ASSERT_EQ(files.streams().size(), 4U);
  write(files.error(1), "oops");
  EXPECT_TRUE(files.error(1).is_ours);
  EXPECT_EQ(content("9.1.1/rank_1.err"), "oops");
  struct stat status {};
  ASSERT_EQ(::stat(job.error(1).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(Outputs, GoWhereThePatternSaysAndFoldersAreMade) {
  launch.spec.output = "logs/%x/%j_%t.out";
  launch.spec.error = "logs/%x/%j_%t.err";
  open();
  write(files.output(1), "one");
  write(files.error(1), "bad");
  EXPECT_EQ(content("logs/x/9_1.out"), "one");
  EXPECT_EQ(content("logs/x/9_1.err"), "bad");
  EXPECT_TRUE(fs::is_symlink(job.output(1)));
  EXPECT_EQ(fs::read_symlink(job.output(1)), folder + "/logs/x/9_1.out") << "its name in the job folder";
  struct stat status {};
  ASSERT_EQ(::stat((folder + "/logs/x/9_1.out").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644U) << "as from a shell";
}

TEST_F(Outputs, OutputAndErrorOfOneFileAreOneDescriptor) {
  std::ofstream(folder + "/all.txt") << "of the last run";
  launch.spec.output = "all.txt";
  open();
  EXPECT_EQ(files.output(0).descriptor, files.error(0).descriptor);
  EXPECT_EQ(files.output(0).descriptor, files.output(1).descriptor) << "other ranks too";
  write(files.output(0), "1 ");
  write(files.error(0), "2 ");
  write(files.output(1), "3");
  EXPECT_EQ(content("all.txt"), "1 2 3");
}

TEST_F(Outputs, TwoNamesOfOneFileAreOneDescriptor) {
  std::ofstream(folder + "/real.txt") << "old";
  fs::create_symlink("real.txt", folder + "/alias.txt");
  launch.spec.output = "real.txt";
  launch.spec.error = "alias.txt";
  open();
  EXPECT_EQ(files.output(0).descriptor, files.error(0).descriptor);
}

TEST_F(Outputs, AppendOnlyWhenAsked) {
  std::ofstream(folder + "/out.txt") << "before ";
  launch.spec.output = "out.txt";
  launch.spec.append_output = true;
  open();
  EXPECT_EQ(files.output(0).start, 7);
  write(files.output(0), "after");
  EXPECT_EQ(content("out.txt"), "before after");
}

TEST_F(Outputs, AnErrorFileAloneLeavesTheOutputWithUs) {
  launch.spec.error = folder + "/err.txt";
  open();
  EXPECT_TRUE(files.output(0).is_ours);
  EXPECT_EQ(files.error(0).path, folder + "/err.txt");
}

TEST_F(Outputs, OfLaterGangsAreOurs) {
  launch.spec.output = "out.txt";
  launch.key.gang = 2;
  open();
  EXPECT_TRUE(files.output(0).is_ours);
  EXPECT_FALSE(fs::exists(folder + "/out.txt"));
}

TEST_F(Outputs, AFileThatCannotBeOpenedIsNamed) {
  std::ofstream(folder + "/file") << "";
  for (const std::string& pattern : {folder + "/file/below.txt", folder, std::string("/proc/none/out.txt")}) {
    launch.spec.output = pattern;
    try {
      open();
      ADD_FAILURE() << pattern << " was opened";
    } catch (const FolderError& error) {
      ADD_FAILURE() << error.what() << " is the job's mistake, not the node's";
    } catch (const std::runtime_error& error) {
      EXPECT_THAT(error.what(), HasSubstr("can't write the output file " + pattern + ": "));
    }
    files.close();
  }
}

TEST_F(Outputs, AFifoWithoutAReaderHoldsNobodyUp) {
  ASSERT_EQ(::mkfifo((folder + "/fifo").c_str(), 0600), 0);
  launch.spec.output = "fifo";
  EXPECT_THROW(open(), std::runtime_error);
}

TEST_F(Outputs, MayGoToNowhere) {
  launch.spec.output = "/dev/null";
  open();
  write(files.output(0), "gone");
}

}  // namespace
}  // namespace ultramarine::launcher
