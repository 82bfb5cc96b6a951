// The forms of single values.
#include "scheduler/batch/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace ultramarine::batch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Read>
std::string error(Read read) {
  try {
    read();
    return "";
  } catch (const Problem& problem) {
    return problem.what();
  }
}

TEST(TimeForms, AreSlurms) {
  const std::map<std::string, std::int64_t> minutes_of{
      {"90", 90},           {"1:30", 2}, {"5:00", 5},      {"00:5:00", 5}, {"72:00:00", 72 * 60}, {"2-0", 48 * 60}, {"1-12:30", 2190},
      {"1-12:30:01", 2191}, {"0:01", 1}, {"1:90:00", 150}, {"2h", 120}};
  for (const auto& [text, expected] : minutes_of) EXPECT_EQ(slurm_time_value(text, "t"), minutes(expected)) << text;
  for (const char* text : {"0", "0:00", "UNLIMITED", "infinite", "-1"}) EXPECT_EQ(slurm_time_value(text, "t"), longest_time_limit) << text;
  for (const char* text : {"", "soon", "1:2:3:4", "1-", "-5", "1.5", "99999999999"})
    EXPECT_NE(error([&] { slurm_time_value(text, "t"); }), "") << text;
}

TEST(CutOffForms, AreWaitOrALengthOfTime) {
  EXPECT_EQ(cut_off_value("wait", "--on-cut-off"), Duration{});
  EXPECT_EQ(cut_off_value("stop-after=10m", "--on-cut-off"), minutes(10));
  EXPECT_EQ(error([] { cut_off_value("stop-after=9s", "--on-cut-off"); }), "--on-cut-off: too short: \"stop-after=9s\"; give at least 10s");
  for (const char* text : {"", "stop", "stop-after", "stop-after=", "stop-after=soon", "10m"})
    EXPECT_THAT(error([&] { cut_off_value(text, "--on-cut-off"); }), HasSubstr("expected wait or stop-after=TIME")) << text;
}

TEST(TimeForms, AreOurs) {
  EXPECT_EQ(time_value("1h30m", "--time", seconds(1)), minutes(90));
  EXPECT_EQ(time_value("0:30", "--time", seconds(1)), seconds(30));
  EXPECT_EQ(error([] { time_value("0s", "--time", seconds(1)); }), "--time: shorter than a second; give at least 1s");
  EXPECT_EQ(error([] { time_value("soon", "--time", seconds(1)); }),
            "--time: expected a length of time, got \"soon\"; write for example 30s, 10m, 2h or 1-12:00");
}

TEST(Memory, IsAWholeNumberInMegabytesOrWithAUnit) {
  constexpr std::int64_t mebi = 1 << 20;
  const std::map<std::string, std::int64_t> bytes_of{{"512", 512 * mebi},
                                                     {"64G", 65536 * mebi},
                                                     {"16gb", 16384 * mebi},
                                                     {"2T", 2 * 1048576 * mebi},
                                                     {"100MB", 100 * mebi},
                                                     {"8k", 8192},
                                                     {"0", 0}};
  for (const auto& [text, expected] : bytes_of) EXPECT_EQ(memory_value(text, "m"), expected) << text;
  for (const char* text : {"", "G", "1.5G", "64 G", "64X", "-1", "999999999999999T"})
    EXPECT_NE(error([&] { memory_value(text, "m"); }), "") << text;
  EXPECT_EQ(size_value("100MiB", "l"), 100 * mebi);
  EXPECT_NE(error([] { size_value("100", "l"); }), "");
}

TEST(Counts, AreWholeNumbersFromOne) {
  EXPECT_EQ(count_value("8", "n"), 8);
  EXPECT_EQ(error([] { count_value("", "n"); }), "n: expected a whole number, got \"\"; write for example 8");
  EXPECT_EQ(error([] { count_value("0", "n"); }), "n: 0 is out of range; give 1 to 1000000");
  for (const char* text : {"four", "4.0", "-1", "+1", "4k", "1000001"}) EXPECT_NE(error([&] { count_value(text, "n"); }), "") << text;
  EXPECT_EQ(range_value("2-4", "n").min, 2);
  EXPECT_EQ(range_value("2-4", "n").max, 4);
  EXPECT_EQ(error([] { range_value("4-2", "n"); }), "n: \"4-2\": the maximum is below the minimum; write MIN-MAX");
}

TEST(Hosts, AreAHostlistOrTheLinesOfAFile) {
  EXPECT_EQ(hosts_value("n[01-02,7],m1", "w"), (std::vector<std::string>{"n01", "n02", "n7", "m1"}));
  EXPECT_EQ(hosts_in_file("# all\nn[01-02],\tm1 # and one\r\n", "w"), (std::vector<std::string>{"n01", "n02", "m1"}));
  EXPECT_EQ(error([] { hosts_in_file("#\n\n", "w"); }), "w: the file names no node; write one name, or one list such as node[01-04], in each line");
  EXPECT_EQ(error([] { hosts_value("n[04-01]", "w"); }), "w: \"n[04-01]\" is no list of nodes; write for example node[01-04],node07");
}

TEST(Gpus, AreACountWithOrWithoutAType) {
  EXPECT_EQ(gpus_value("4", "g").count, 4);
  EXPECT_EQ(gpus_value("a100:4", "g").type, "a100");
  EXPECT_EQ(gpus_value("GeForce_GTX_1080Ti:2", "g").count, 2);
  EXPECT_EQ(error([] { gpus_value("volta:3,kepler:5", "g"); }),
            "g: \"volta:3,kepler:5\" asks for several kinds of GPUs; give one, and submit a job for each kind");
  for (const char* text : {"", "a100", ":4", "a100:", "a b:4"}) EXPECT_NE(error([&] { gpus_value(text, "g"); }), "") << text;
}

TEST(Gres, IsPerNodeWithOneAsDefault) {
  const auto gpus = [](const std::string& text) { return *gres_value(text, "g").gpus; };
  EXPECT_EQ(gpus("gpu").count, 1);
  EXPECT_EQ(gpus("gpu:4").count, 4);
  EXPECT_EQ(gpus("gpu:v100").count, 1);
  EXPECT_EQ(gpus("gpu:v100").type, "v100");
  EXPECT_EQ(gpus("gpu:v100:4").count, 4);
  EXPECT_EQ(gpus("nvme:400,gres:gpu:2").count, 2);
  EXPECT_EQ(gpus("gpu:0").count, 0);
  EXPECT_EQ(gres_value("gpu:4,nvme:400,craynetwork", "g").others, "nvme:400,craynetwork");
  EXPECT_FALSE(gres_value("none", "g").gpus);
  EXPECT_FALSE(gres_value("dcu:4", "g").gpus);
  for (const char* text : {"", "gpu:", "gpu:4,", "gpu:4,gpu:2", "gpu:a:b:4", "gpu:a100:x"})
    EXPECT_NE(error([&] { gres_value(text, "g"); }), "") << text;
}

TEST(Arrays, AreRangesListsAndStepsWithALimit) {
  const auto indices = [](const std::string& text) { return array_value(text, "a").indices; };
  EXPECT_THAT(indices("0-3"), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(indices("7"), ElementsAre(7));
  EXPECT_THAT(indices("5-7,1,3,6"), ElementsAre(1, 3, 5, 6, 7));
  EXPECT_THAT(indices("0-15:4"), ElementsAre(0, 4, 8, 12));
  EXPECT_THAT(indices("[1-3]"), ElementsAre(1, 2, 3));
  EXPECT_EQ(array_value("0-15%4", "a").limit, 4);
  EXPECT_EQ(array_value("0-0%1", "a").indices.size(), 1U);
  EXPECT_EQ(array_value("[0-15%4]", "a").limit, 4);
  EXPECT_EQ(array_value("0-9999", "a").indices.size(), 10'000U);
  for (const char* text : {"", "a", "3-1", "1-3:0", "5:2", "1,,2", "-3", "0-10000", "1-5%x", "4000001", "0-99999999999999999999"})
    EXPECT_NE(error([&] { array_value(text, "a"); }), "") << text;
}

std::string written(const std::vector<TypedDependency>& dependencies) {
  std::string text;
  for (const TypedDependency& one : dependencies) {
    const char* words[] = {"ok", "any", "notok", "started"};
    text += std::to_string(one.job.value) + (one.element ? "_" + std::to_string(*one.element) : "") + ":" +
            words[static_cast<int>(one.condition)] + " ";
  }
  return text;
}

TEST(Dependencies, AreSlurms) {
  EXPECT_EQ(written(slurm_dependency_value("afterok:12:13,afterany:14_3,afternotok:15,after:16", "d")),
            "12:ok 13:ok 14_3:any 15:notok 16:started ");
  EXPECT_THAT(error([] { slurm_dependency_value("singleton", "d"); }), HasSubstr("d: singleton can't be waited for; name the job"));
  EXPECT_THAT(error([] { slurm_dependency_value("aftercorr:12", "d"); }),
              HasSubstr("d: aftercorr can't be waited for; name the whole array"));
  EXPECT_THAT(error([] { slurm_dependency_value("afterok:12?afterok:13", "d"); }), HasSubstr("d: alternatives (?) can't be waited for"));
  EXPECT_THAT(error([] { slurm_dependency_value("after:12+5", "d"); }), HasSubstr("leave out +5"));
  for (const char* text : {"", "12", "afterok", "afterok:", "afterok:x", "afterok:0", "afterok:12_", "expand:12"})
    EXPECT_NE(error([&] { slurm_dependency_value(text, "d"); }), "") << text;
}

TEST(Dependencies, AreOurs) {
  EXPECT_EQ(written(after_value("12,13:any,14_2:notok,15:started,16:ok", "--after")), "12:ok 13:any 14_2:notok 15:started 16:ok ");
  EXPECT_EQ(error([] { after_value("12:okay", "--after"); }),
            "--after: \"okay\" is not known; write JOB, JOB:ok, JOB:any, JOB:notok or JOB:started");
  EXPECT_EQ(error([] { after_value("train", "--after"); }),
            "--after: \"train\" is no job; give a job's number, or 12_3 for element 3 of array 12");
}

TEST(Signals, HaveANameOrANumberAndATimeBefore) {
  EXPECT_EQ(signal_value("USR1", "s"), (WarningSignal{SIGUSR1, seconds(60), false}));
  EXPECT_EQ(signal_value("SIGUSR1@90", "s"), (WarningSignal{SIGUSR1, seconds(90), false}));
  EXPECT_EQ(signal_value("B:10@120", "s"), (WarningSignal{10, seconds(120), true}));
  EXPECT_EQ(signal_value("R:term@0", "s"), (WarningSignal{SIGTERM, seconds(0), false}));
  for (const char* text : {"", "NOSUCH", "0", "65", "USR1@", "USR1@x", "USR1@65536", "X:USR1", "@90"})
    EXPECT_NE(error([&] { signal_value(text, "s"); }), "") << text;
}

}  // namespace
}  // namespace ultramarine::batch
