// The site's prolog and epilog: when they run, what they know, and what happens to node and job when they fail or hang.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/launcher/node_fixture.h"
#include "tests/support/ice.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

class SiteScripts : public VirtualNodes {
 protected:
  std::string program(const std::string& name, const std::string& text) {
    std::ofstream(path(name)) << "#!/bin/sh\n" << text << "\n";
    ::chmod(path(name).c_str(), 0755);
    return path(name);
  }
  /// Tells its number in `file`, and then hangs in the kernel: the test sees to that with `ice`.
  std::string program_that_hangs(const std::string& name) {
    return program(name,
                   "echo $$ > " + path("pid.new") + "; mv " + path("pid.new") + " " + path("pid") + "; sleep 1000");
  }
  std::int64_t freeze_it(const Ice& ice) {
    until([&] { return fs::exists(path("pid")); }, "the program runs");
    const std::int64_t pid = std::stoll(read_whole(path("pid")).value_or("-1"));
    EXPECT_TRUE(ice.freeze(pid));
    return pid;
  }
  /// Once it can die, it goes, and nothing of it stays.
  void expect_it_goes(Ice& ice, std::int64_t pid) {
    EXPECT_TRUE(identify(pid)) << "as long as it hangs";
    ice.thaw();
    until([&] { return !identify(pid); }, "it is reaped");
  }
  void until_it_runs_and_ends(const protocol::LaunchSpec& launch) {
    until([&] { return nodes.at("a").last().key == launch.key && nodes.at("a").last().phase == GangPhase::prepared; },
          "it is prepared");
    start(launch);
    wait_finished(launch);
  }
  std::string story() const { return read_whole(path("story")).value_or(""); }
  protocol::LaunchSpec on_a(protocol::LaunchSpec launch) const {
    launch.node = "a";
    return launch;
  }
};

TEST_F(SiteScripts, RunOnceAroundAllGangsOfAnAttempt) {
  prolog = program("prolog", "echo prolog $ULTRA_JOB_ID.$ULTRA_ATTEMPT on $ULTRA_NODE, devices $ULTRA_DEVICES, uid $ULTRA_UID, ${HOME-no home} >> " + path("story"));
  epilog = program("epilog", "echo epilog $ULTRA_JOB_ID.$ULTRA_ATTEMPT >> " + path("story"));
  auto launch = shell("echo gang $ULTRA_GANG >> " + path("story"), {"a"}, 2);
  launch.spec.ranks = 1;
  launch.owner.uid = 0;
  const std::string attempt = std::to_string(key.job.value) + ".1";
  run(launch);
  start_agent("a");  // a new agent knows that the prolog has run
  auto second = launch;
  second.key.gang = 2;
  nodes.at("a").launcher->prepare(on_a(second));
  until([&] { return nodes.at("a").last().phase == GangPhase::prepared && nodes.at("a").last().key.gang == 2; }, "gang 2 is prepared");
  start(second);
  until([&] { return nodes.at("a").last().phase == GangPhase::finished && nodes.at("a").last().key.gang == 2; }, "gang 2 has finished");
  EXPECT_EQ(story(), "prolog " + attempt + " on a, devices 0,1, uid 0, no home\ngang 1\ngang 2\n");
  nodes.at("a").launcher->attempt_over(key.job, 1);
  EXPECT_EQ(story().find("epilog"), std::string::npos) << "its second gang is still known here";
  nodes.at("a").launcher->forget(second.key);
  until([&] { return story().find("epilog") != std::string::npos; }, "the epilog runs");
  nodes.at("a").launcher->attempt_over(key.job, 1);
  loop.run_for(std::chrono::milliseconds(100));
  EXPECT_EQ(story(), "prolog " + attempt + " on a, devices 0,1, uid 0, no home\ngang 1\ngang 2\nepilog " + attempt + "\n");
  EXPECT_TRUE(troubles.empty());
}

TEST_F(SiteScripts, BothKnowWhoHadWhichDevicesAlsoAfterARestart) {
  const std::string all =
      "echo $(basename $0): $ULTRA_CLUSTER $ULTRA_NODE $ULTRA_JOB_ID.$ULTRA_ATTEMPT $ULTRA_UID $ULTRA_USER "
      "$ULTRA_ACCOUNT $ULTRA_PARTITION "
      "$ULTRA_DEVICES $CUDA_VISIBLE_DEVICES ${ULTRA_JOB_NAME-unnamed} >> " +
      path("story");
  prolog = program("prolog", all);
  epilog = program("epilog", all);
  auto launch = shell("true", {"a"}, 2);
  launch.virtual_devices = false;
  launch.local_devices = {{.device = 0, .uuid = "GPU-aa"}, {.device = 1, .uuid = "GPU-bb"}};
  launch.owner = {.uid = 0, .name = "ada"};
  launch.spec.name = "$(reboot)";
  launch.spec.account = "vision";
  launch.spec.partition = "main";
  run(launch);
  start_agent("a");
  ASSERT_EQ(nodes.at("a").launcher->begun().size(), 1u);
  nodes.at("a").launcher->forget(key);
  const std::string known =
      ": test a " + std::to_string(key.job.value) + ".1 0 ada vision main 0,1 GPU-aa,GPU-bb unnamed\n";
  until([&] { return story() == "prolog" + known + "epilog" + known; }, "both have run");
  until([&] { return nodes.at("a").launcher->begun().empty(); }, "nothing of it is left");
  EXPECT_FALSE(fs::exists(path("a") + jobs_below + "/" + std::to_string(key.job.value) + ".1.begun"));
}

TEST_F(SiteScripts, AnEpilogThatWasCutShortRunsAgainBeforeAnythingStarts) {
  epilog = program("epilog", "echo begin >> " + path("story") + "; while ! test -e " + path("go") +
                                 "; do sleep 0.01; done; echo end >> " + path("story"));
  run(shell("true", {"a"}, 1));
  nodes.at("a").launcher->forget(key);
  until([&] { return story() == "begin\n"; }, "the epilog runs");
  stop_agent("a");
  start_agent("a");
  const auto left = nodes.at("a").launcher->begun();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].job, key.job);
  EXPECT_EQ(left[0].attempt, 1);
  const GangKey ended = key;
  nodes.at("a").launcher->attempt_over(ended.job, ended.attempt);
  nodes.at("a").launcher->attempt_over(ended.job, ended.attempt);  // said twice, done once
  ++key.job.value;
  const auto next = shell("true", {"a"}, 1);
  nodes.at("a").launcher->prepare(on_a(next));
  until([&] { return story() == "begin\nbegin\n"; }, "it runs again");
  loop.run_for(std::chrono::milliseconds(100));
  EXPECT_NE(nodes.at("a").last().key, key);
  std::ofstream(path("go")) << "";
  until_it_runs_and_ends(next);
  EXPECT_EQ(story(), "begin\nbegin\nend\n");
  EXPECT_TRUE(troubles.empty());
}

TEST_F(SiteScripts, ALaunchWaitsForTheEpilogOfAnAttemptWhoseGangIsStillHere) {
  epilog = program("epilog", "echo epilog $ULTRA_JOB_ID >> " + path("story"));
  const GangKey ended = key;
  run(shell("true", {"a"}, 1));
  start_agent("a");
  nodes.at("a").launcher->adopt();  // it was killed before it had cleared up after the gang
  nodes.at("a").launcher->attempt_over(ended.job, ended.attempt);
  ++key.job.value;
  const auto next = shell("echo job >> " + path("story"), {"a"}, 1);
  nodes.at("a").launcher->prepare(on_a(next));
  loop.run_for(std::chrono::milliseconds(200));
  EXPECT_NE(nodes.at("a").last().key, key);
  EXPECT_EQ(story(), "");
  nodes.at("a").launcher->forget(ended);
  until_it_runs_and_ends(next);
  EXPECT_EQ(story(), "epilog " + std::to_string(ended.job.value) + "\njob\n");
}

TEST_F(SiteScripts, WhatAPrologHadBegunWhenTheAgentEndedIsEndedByTheEpilog) {
  prolog = program("prolog",
                   "echo prolog >> " + path("story") + "; while ! test -e " + path("go") + "; do sleep 0.01; done");
  epilog = program("epilog", "echo epilog >> " + path("story"));
  start_agent("a");
  nodes.at("a").launcher->prepare(on_a(shell("true", {"a"}, 1)));
  until([&] { return story() == "prolog\n"; }, "the prolog runs");
  stop_agent("a");
  start_agent("a");
  ASSERT_EQ(nodes.at("a").launcher->begun().size(), 1u);
  nodes.at("a").launcher->prepare(on_a(shell("true", {"a"}, 1)));  // the same again: its prolog has not come to its end
  until([&] { return story() == "prolog\nprolog\n"; }, "the prolog runs again");
  nodes.at("a").launcher->attempt_over(key.job, 1);
  until([&] { return story() == "prolog\nprolog\nepilog\n"; }, "the epilog runs");
}

TEST_F(SiteScripts, ALaunchWaitsOnlyForEpilogsThatWereThereBefore) {
  epilog = program("epilog", "touch " + path("up.") + "$ULTRA_JOB_ID; while ! test -e " + path("go.") +
                                 "$ULTRA_JOB_ID; do sleep 0.01; done");
  const GangKey first = key;
  run(shell("true", {"a"}, 1));
  const GangKey second{JobId{key.job.value + 1}, 1, 1}, third{JobId{key.job.value + 2}, 1, 1};
  key = second;
  run(shell("true", {"a"}, 1));
  nodes.at("a").launcher->forget(first);
  key = third;
  const auto launch = shell("true", {"a"}, 1);
  nodes.at("a").launcher->prepare(on_a(launch));
  nodes.at("a").launcher->forget(second);
  until(
      [&] {
        return fs::exists(path("up." + std::to_string(first.job.value))) &&
               fs::exists(path("up." + std::to_string(second.job.value)));
      },
      "both epilogs run");
  EXPECT_NE(nodes.at("a").last().key, third);
  std::ofstream(path("go." + std::to_string(first.job.value))) << "";
  until_it_runs_and_ends(launch);
  ASSERT_EQ(nodes.at("a").launcher->begun().size(), 2u) << "the second epilog runs still";
}

TEST_F(SiteScripts, AFailingPrologDrainsTheNodeAndSendsTheJobElsewhere) {
  prolog = program("prolog", "echo looking; echo the disk is gone >&2; exit 3");
  prepare(shell("echo ran >> " + path("story"), {"a"}, 1));
  ASSERT_EQ(troubles.size(), 1u);
  EXPECT_EQ(troubles[0].reason, "prolog " + prolog + " exited with code 3: the disk is gone");
  EXPECT_THAT(troubles[0].requeue, ElementsAre(key));
  const GangReport report = nodes.at("a").last();
  EXPECT_EQ(report.outcome, Outcome::start_failed);
  EXPECT_EQ(report.failure.value().detail, "node a could not be made ready: " + troubles[0].reason);
  EXPECT_EQ(story(), "");
}

TEST_F(SiteScripts, AHangingPrologIsKilledAtItsDeadline) {
  script_deadline = std::chrono::milliseconds(300);
  prolog = program("prolog", "trap '' TERM; sleep 1000 & wait; sleep 1000");
  const auto begun = Clock::now();
  prepare(shell("true", {"a"}, 1));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun);
  std::printf("hanging prolog, deadline 300 ms -> reported: %lld ms\n", static_cast<long long>(took.count()));
  EXPECT_GE(took.count(), 300);
  EXPECT_EQ(troubles.at(0).reason, "prolog " + prolog + " did not end within 300 ms and was killed");
  EXPECT_THAT(troubles.at(0).requeue, ElementsAre(key));
}

TEST_F(SiteScripts, AProgramThatIsMissingIsAFailure) {
  prolog = path("no-such-program");
  prepare(shell("true", {"a"}, 1));
  EXPECT_EQ(troubles.at(0).reason, "prolog " + prolog + " can't be run: No such file or directory");
}

TEST_F(SiteScripts, ACancelledJobStopsWaitingForItsProlog) {
  prolog = program("prolog", "echo > " + path("up") + "; while ! test -e " + path("go") + "; do sleep 0.01; done");
  epilog = program("epilog", "echo epilog >> " + path("story"));
  start_agent("a");
  const auto launch = on_a(shell("echo ran >> " + path("story"), {"a"}, 1));
  nodes.at("a").launcher->prepare(launch);
  nodes.at("a").launcher->prepare(launch);  // asked twice, waits once
  until([&] { return fs::exists(path("up")); }, "the prolog runs");
  nodes.at("a").launcher->send(key, protocol::Stop{.key = key});
  until([&] { return !nodes.at("a").reports.empty(); }, "the stop is answered");
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::cancelled);
  nodes.at("a").launcher->forget(key);
  until([&] { return story() == "epilog\n"; }, "what the prolog began, the epilog ends");
  EXPECT_TRUE(troubles.empty());
}

TEST_F(SiteScripts, NothingStartsWhileAnEpilogRunsAndItsFailureSendsJobsElsewhere) {
  epilog = program("epilog", "echo > " + path("up") + "; while ! test -e " + path("go") + "; do sleep 0.01; done; exit 1");
  run(shell("true", {"a"}, 1));
  nodes.at("a").launcher->forget(key);
  until([&] { return fs::exists(path("up")); }, "the epilog runs");
  ++key.job.value;
  nodes.at("a").launcher->prepare(on_a(shell("echo ran >> " + path("story"), {"a"}, 1)));
  loop.run_for(std::chrono::milliseconds(200));
  EXPECT_NE(nodes.at("a").last().key, key);
  std::ofstream(path("go")) << "";
  until([&] { return !troubles.empty(); }, "the trouble is told");
  EXPECT_EQ(troubles.at(0).reason, "epilog " + epilog + " exited with code 1");
  EXPECT_THAT(troubles.at(0).requeue, ElementsAre(key));
  until([&] { return nodes.at("a").last().key == key; }, "the waiting job hears of it");
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::start_failed);
}

TEST_F(SiteScripts, APrologThatCannotBeKilledIsToldAtItsDeadline) {
  Ice ice;
  if (!ice) GTEST_SKIP() << "only the freezer of version 1 makes a process that SIGKILL doesn't end";
  script_deadline = std::chrono::milliseconds(500);
  prolog = program_that_hangs("prolog");
  epilog = program("epilog", "echo epilog >> " + path("story"));
  start_agent("a");
  const auto begun = Clock::now();
  nodes.at("a").launcher->prepare(on_a(shell("echo ran >> " + path("story"), {"a"}, 1)));
  const std::int64_t pid = freeze_it(ice);
  until([&] { return !troubles.empty(); }, "the trouble is told");
  EXPECT_LT(Clock::now() - begun, std::chrono::seconds(5));
  EXPECT_EQ(troubles.at(0).reason, "prolog " + prolog + " did not end within 500 ms, and process " +
                                       std::to_string(pid) + " (prolog, state D) can't be killed");
  EXPECT_THAT(troubles.at(0).requeue, ElementsAre(key));
  until_phase("a", GangPhase::finished);
  nodes.at("a").launcher->attempt_over(key.job, 1);
  until([&] { return story() == "epilog\n"; }, "the epilog runs all the same");
  expect_it_goes(ice, pid);
}

TEST_F(SiteScripts, AnEpilogThatCannotBeKilledIsToldAtItsDeadline) {
  Ice ice;
  if (!ice) GTEST_SKIP() << "only the freezer of version 1 makes a process that SIGKILL doesn't end";
  script_deadline = std::chrono::milliseconds(500);
  epilog = program_that_hangs("epilog");
  run(shell("true", {"a"}, 1));
  nodes.at("a").launcher->forget(key);
  const std::int64_t pid = freeze_it(ice);
  ++key.job.value;
  nodes.at("a").launcher->prepare(on_a(shell("true", {"a"}, 1)));
  until([&] { return !troubles.empty(); }, "the trouble is told");
  EXPECT_THAT(troubles.at(0).reason, HasSubstr("did not end within 500 ms, and process " + std::to_string(pid)));
  EXPECT_THAT(troubles.at(0).requeue, ElementsAre(key));
  until([&] { return nodes.at("a").last().key == key; }, "the waiting job hears of it");
  expect_it_goes(ice, pid);
}

TEST_F(SiteScripts, AJobThatIsCancelledInAPrologThatCannotBeKilledHoldsNobodyUp) {
  Ice ice;
  if (!ice) GTEST_SKIP() << "only the freezer of version 1 makes a process that SIGKILL doesn't end";
  prolog = program_that_hangs("prolog");
  epilog = program("epilog", "echo epilog >> " + path("story"));
  start_agent("a");
  nodes.at("a").launcher->prepare(on_a(shell("true", {"a"}, 1)));
  const std::int64_t pid = freeze_it(ice);
  const auto cancelled = Clock::now();
  nodes.at("a").launcher->send(key, protocol::Stop{.key = key});
  nodes.at("a").launcher->forget(key);
  until([&] { return story() == "epilog\n"; }, "the epilog runs");
  EXPECT_LT(Clock::now() - cancelled, std::chrono::seconds(5));
  EXPECT_EQ(troubles.at(0).reason, "prolog " + prolog + " was stopped, and process " + std::to_string(pid) +
                                       " (prolog, state D) can't be killed");
  stop_agent("a");  // which waits for nothing either
  expect_it_goes(ice, pid);
}

TEST_F(SiteScripts, AnAgentEndsWhileAScriptCannotBeKilled) {
  Ice ice;
  if (!ice) GTEST_SKIP() << "only the freezer of version 1 makes a process that SIGKILL doesn't end";
  prolog = program_that_hangs("prolog");
  start_agent("a");
  nodes.at("a").launcher->prepare(on_a(shell("true", {"a"}, 1)));
  const std::int64_t pid = freeze_it(ice);
  stop_agent("a");
  expect_it_goes(ice, pid);
}

}  // namespace
}  // namespace ultramarine::launcher
