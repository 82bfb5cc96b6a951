// Script jobs on real shims: the script on the first node, gangs beside it over all nodes, Open MPI's own mpirun inside, users' output files.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/integration/launcher/node_fixture.h"

namespace ultramarine::launcher {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

std::string value_in(const std::string& output, const std::string& name) {
  const std::size_t at = ("\n" + output).find("\n" + name + "=");
  if (at == std::string::npos) return "(unset)";
  const std::size_t from = at + name.size() + 1;
  return output.substr(from, output.find('\n', from) - from);
}

class Scripts : public VirtualNodes {
 protected:
  /// Gang 1: the script on the first of `names`, with `devices` on each of them in the attempt.
  protocol::LaunchSpec script(const std::string& text, const std::vector<std::string>& names, int devices, std::vector<std::string> arguments = {}) {
    std::vector<std::string> command = {"job.sh"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    protocol::LaunchSpec launch = launch_of(std::move(command), names, devices);
    launch.kind = protocol::LaunchKind::script;
    launch.spec.script = Script{text};
    launch.job_allocation = launch.allocation;
    launch.allocation.resize(1);
    launch.owner = {.uid = static_cast<std::int64_t>(::geteuid()), .name = "kim"};
    return launch;
  }
  /// What `ultra run` starts beside it, as the gang with this number.
  protocol::LaunchSpec gang_of(const protocol::LaunchSpec& script, std::int64_t gang, std::vector<std::string> command) {
    protocol::LaunchSpec launch = script;
    launch.kind = protocol::LaunchKind::ranks;
    launch.key.gang = gang;
    launch.allocation = script.job_allocation;
    launch.spec.command = std::move(command);
    return launch;
  }
  GangReport run_script(const std::string& text, std::vector<std::string> arguments = {}) {
    nodes.clear();
    ++key.attempt;
    const auto launch = script(text, {"a"}, 2, std::move(arguments));
    prepare(launch);
    if (nodes.at("a").last().phase == GangPhase::prepared) {
      start(launch);
      wait_finished(launch, true);
    }
    return nodes.at("a").last();
  }
  std::string file(const std::string& name) { return read_whole(path(name)).value_or("no such file"); }
};

TEST_F(Scripts, RunOnceByTheirOwnInterpreterWithItsFlagsAndTheirArguments) {
  EXPECT_EQ(run_script("#!/bin/bash -eu\necho \"$- $(basename $0) $# $1|$2\"\nfalse\necho unreached\n", {"two words", "x"}).ranks.at(0).exit_code, 1);
  EXPECT_THAT(output("a", 0), testing::MatchesRegex("[a-zA-Z]*e[a-zA-Z]*u[a-zA-Z]* script 2 two words\\|x\n"));
  EXPECT_FALSE(fs::exists(nodes.at("a").launcher->folder(key) + "/rank_1.out")) << "one process, however many devices";

  run_script("#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:])\n", {"--steps", "5"});
  EXPECT_EQ(output("a", 0), "['--steps', '5']\n");
}

TEST_F(Scripts, ThatCannotRunAreRefusedBeforeTheStart) {
  GangReport report = run_script("#!/opt/none/zsh\n");
  EXPECT_EQ(report.outcome, Outcome::start_failed);
  EXPECT_THAT(report.failure.value().detail, HasSubstr("asks for /opt/none/zsh, which does not exist on a"));
  report = run_script("#!/bin/sh\r\ntrue\r\n");
  EXPECT_EQ(report.outcome, Outcome::start_failed);
  EXPECT_THAT(report.failure.value().detail, HasSubstr("DOS line ends"));
}

TEST_F(Scripts, KnowTheirJobAsSlurmWouldTellThem) {
  auto launch = script("#!/bin/sh\nenv\n", {"n1", "n2", "n3"}, 2);
  launch.spec.ranks_per_node = 2;
  launch.environment["SLURM_NTASKS"] = "77";
  launch.environment["TMPDIR"] = folder;
  run(launch);
  const std::string seen = output("n1", 0);
  EXPECT_EQ(value_in(seen, "SLURM_JOB_NODELIST"), "n[1-3]");
  EXPECT_EQ(value_in(seen, "SLURM_NTASKS"), "6");
  EXPECT_EQ(value_in(seen, "SLURM_PROCID"), "0");
  EXPECT_EQ(value_in(seen, "SLURM_TASKS_PER_NODE"), "2(x3)");
  EXPECT_EQ(value_in(seen, "SLURM_GPUS_ON_NODE"), "2");
  EXPECT_EQ(value_in(seen, "SLURM_STEP_ID"), "(unset)");
  EXPECT_EQ(value_in(seen, "RANK"), "(unset)");
  EXPECT_EQ(value_in(seen, "MASTER_ADDR"), "(unset)");
  EXPECT_EQ(value_in(seen, "PMIX_RANK"), "(unset)");
  EXPECT_EQ(value_in(seen, "ULTRA_SOCKET"), path("n1/jobs/api.sock"));
  EXPECT_EQ(value_in(seen, "TMPDIR"), folder) << "the user's own choice";
}

TEST_F(Scripts, ShareAScratchFolderWithTheirGangsUntilTheAttemptIsOver) {
  const auto launch = script("#!/bin/sh\necho staged > $SLURM_TMPDIR/data\necho $SLURM_TMPDIR\n", {"a", "b"}, 1);
  run(launch);
  std::string scratch = output("a", 0);
  ASSERT_FALSE(scratch.empty());
  scratch.pop_back();
  struct stat status {};
  ASSERT_EQ(::stat(scratch.c_str(), &status), 0) << scratch;
  EXPECT_EQ(status.st_mode & 0777, 0700U);

  const auto gang = gang_of(launch, 2, {"sh", "-c", "cat $SLURM_TMPDIR/data 2>/dev/null || echo other node; touch $SLURM_JOBTMP/mine"});
  for (auto& [name, node] : nodes) node.reports.clear();
  key = gang.key;
  run(gang);
  EXPECT_EQ(output("a", 0), "staged\n");
  EXPECT_EQ(output("b", 1), "other node\n") << "it is local to a node";
  nodes.at("a").launcher->forget(launch.key);
  EXPECT_TRUE(fs::exists(scratch)) << "gang 2 isn't forgotten yet";
  nodes.at("a").launcher->forget(gang.key);
  EXPECT_FALSE(fs::exists(scratch));

  const std::string elsewhere = path("b/scratch/") + std::to_string(key.job.value) + ".1";
  nodes.at("b").launcher->forget(gang.key);
  stop_agent("b");
  start_agent("b");
  nodes.at("b").launcher->adopt();
  EXPECT_TRUE(fs::exists(elsewhere + "/mine")) << "the script may start another gang there";
  nodes.at("b").launcher->attempt_over(key.job, key.attempt);
  EXPECT_TRUE(fs::is_empty(path("b/scratch")));
}

TEST_F(Scripts, StartMpiGangsThatKnowTheirSlurmStep) {
  const auto launch = script("#!/bin/sh\n", {"a", "b"}, 2);
  auto gang = gang_of(launch, 2, {mpi_rank, "reduce"});
  gang.spec.mpi = MpiMode::automatic;
  gang.spec.ranks_per_node = 3;
  // As `ultra run` hands it on from the script's shell.
  for (const char* name : {"SLURM_JOB_ID", "SLURM_JOBID", "SLURM_PROCID", "SLURM_NODELIST", "SLURM_TASKS_PER_NODE"}) gang.environment[name] = "1";
  gang.environment["OMPI_MCA_plm"] = "rsh";
  key = gang.key;
  run(gang);
  for (int rank = 0; rank < 6; ++rank) {
    EXPECT_EQ(output(rank < 3 ? "a" : "b", rank), "rank " + std::to_string(rank) + " of 6 wrong 0 half 3\n") << output("a", 0, "err");
  }
}

TEST_F(Scripts, MayUseOpenMpisOwnMpirun) {
  auto launch = script("#!/bin/sh\nmpirun -np 4 " + mpi_rank + " reduce | sort\n", {"a"}, 4);
  launch.environment["OMPI_ALLOW_RUN_AS_ROOT"] = launch.environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
  run(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::succeeded);
  EXPECT_EQ(output("a", 0),
            "rank 0 of 4 wrong 0 half 2\nrank 1 of 4 wrong 0 half 2\nrank 2 of 4 wrong 0 half 2\nrank 3 of 4 wrong 0 half 2\n")
      << output("a", 0, "err");
}

TEST_F(Scripts, WriteWhereTheirPatternsSay) {
  auto launch = script("#!/bin/sh\necho out; echo err >&2\n", {"a"}, 2);
  launch.spec.output = "logs/%x-%j.out";
  run(launch);
  const std::string name = "logs/test-" + std::to_string(key.job.value) + ".out";
  EXPECT_EQ(file(name), "out\nerr\n") << "one file for both";
  EXPECT_EQ(output("a", 0), "out\nerr\n");
  EXPECT_EQ(fs::read_symlink(nodes.at("a").launcher->folder(key) + "/rank_0.out"), path(name));
  nodes.at("a").launcher->forget(key);
  EXPECT_EQ(output("a", 0), "out\nerr\n") << "its name stays with the logs";
}

TEST_F(Scripts, WhoseOutputCannotBeWrittenAreRefusedByName) {
  std::ofstream(path("file")) << "";
  auto launch = script("#!/bin/sh\n", {"a"}, 1);
  launch.spec.output = "file/below.out";
  prepare(launch);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::start_failed);
  EXPECT_THAT(nodes.at("a").last().failure.value().detail, HasSubstr("can't write the output file " + path("file/below.out")));
}

TEST_F(Scripts, AWarningReachesThoseForWhomItIsMeant) {
  // Five nodes with one part each, so that all of them wait for their warnings at the same time.
  const std::string waits = "trap 'echo warned; exit 0' USR1; echo ready; while :; do sleep 0.05; done";
  const std::string text = "#!/bin/sh\n" + waits + "\n";
  std::vector<protocol::LaunchSpec> launches;
  const auto add = [&](protocol::LaunchSpec launch, std::int64_t gang, bool shell) {
    launch.key.gang = gang;
    launch.spec.time_limit_ms = seconds(603);
    launch.spec.warning = WarningSignal{.signal = SIGUSR1, .before_ms = seconds(600), .shell = shell};
    launches.push_back(launch);
  };
  add(script(text, {"script-not"}, 1), 1, false);
  add(launch_of({"sh", "-c", waits}, {"gang-not"}, 1), 2, true);
  add(script(text, {"script"}, 1), 1, true);
  // The rank itself ignores it: what it started hears it as well.
  add(launch_of({"sh", "-c", "trap '' USR1; python3 -c \"import signal; signal.signal(signal.SIGUSR1, lambda *_: print('warned', flush=True)); "
                            "print('ready', flush=True); signal.pause()\"; exit 0"},
                {"gang"}, 1), 2, false);
  add(launch_of({"sh", "-c", waits}, {"plain"}, 1), 1, true);
  for (const auto& launch : launches) prepare(launch);
  for (const auto& launch : launches) start(launch);
  for (const char* name : {"script", "gang", "plain"}) until_phase(name, GangPhase::finished);
  for (const char* name : {"script-not", "gang-not"}) until_phase(name, GangPhase::running);
  for (std::size_t i = 0; i < 2; ++i) stop(launches[i], seconds(20));
  for (const auto& launch : launches) wait_finished(launch);
  const auto said = [&](const protocol::LaunchSpec& launch) {
    return read_whole(nodes.at(launch.allocation[0].node).launcher->folder(launch.key) + "/rank_0.out").value();
  };
  EXPECT_EQ(said(launches[0]), "ready\n");
  EXPECT_EQ(said(launches[1]), "ready\n");
  for (std::size_t i = 2; i < 5; ++i) EXPECT_EQ(said(launches[i]), "ready\nwarned\n") << launches[i].allocation[0].node;
}

TEST_F(Scripts, GangsHaveTheTimeThatIsLeft) {
  const auto launch = script("#!/bin/sh\n", {"a"}, 1);
  auto gang = gang_of(launch, 2, {"sleep", "1000"});
  gang.spec.time_limit_ms = hours(5);
  gang.time_left_ms = milliseconds(100);
  key = gang.key;
  run(gang);
  EXPECT_EQ(nodes.at("a").last().outcome, Outcome::timed_out);
}

TEST_F(Scripts, KeepHeadAndTailOfAnEndlessOutput) {
  auto launch = script("#!/bin/sh\necho first\nhead -c 4000000 /dev/zero | tr '\\0' '.'\necho\necho last\n", {"a"}, 1);
  launch.spec.log_bytes_max = 256 << 10;
  run(launch);
  const std::string name = nodes.at("a").launcher->folder(key) + "/rank_0.out";
  struct stat status {};
  ASSERT_EQ(::stat(name.c_str(), &status), 0);
  EXPECT_GT(status.st_size, 4'000'000) << "the program noticed nothing";
  EXPECT_LE(status.st_blocks * 512, (256 << 10) + 16'384);
  const std::string whole = output("a", 0);
  EXPECT_TRUE(whole.starts_with("first\n.."));
  EXPECT_TRUE(whole.ends_with(".\nlast\n"));
}

TEST_F(Scripts, RanksOfAPlainJobOnTwoNodesAppendToOneFile) {
  auto launch = shell("echo rank $RANK", {"a", "b"}, 2);
  launch.spec.output = "all.txt";
  run(launch);
  std::vector<std::string> lines;
  std::ifstream all(path("all.txt"));
  for (std::string line; std::getline(all, line);) lines.push_back(line);
  EXPECT_THAT(lines, testing::UnorderedElementsAre("rank 0", "rank 1", "rank 2", "rank 3"));
}

}  // namespace
}  // namespace ultramarine::launcher
