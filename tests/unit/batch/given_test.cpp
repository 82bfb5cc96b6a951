// How words become options: getopt_long's rules, the table's classes, and who wins.
#include "scheduler/batch/given.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/batch/ask.h"

namespace ultramarine::batch {
namespace {

using test::ask;
using test::command;
using test::mistake;
using test::sbatch;
using test::sbatch_mistake;
using testing::Contains;
using testing::HasSubstr;

TEST(Options, TakeTheirValueInFourWays) {
  for (const char* line : {"--nodes=3", "--nodes 3", "-N 3", "-N3"}) EXPECT_EQ(sbatch(line).spec.resources.nodes, 3) << line;
  EXPECT_EQ(sbatch("-WJ x").spec.name, "x");  // flags and one value in one word
}

TEST(Options, UnambiguousBeginningsAreLegal) {
  EXPECT_EQ(sbatch("--ntasks-per-nod=4").spec.ranks_per_node, 4);
  EXPECT_EQ(sbatch("--job x").spec.name, "x");
  EXPECT_EQ(sbatch("--constrain=v100").spec.features, std::vector<std::string>{"v100"});
  EXPECT_EQ(sbatch("--gres=gpu:2").spec.resources.gpus_per_node, 2);  // an exact name wins over longer ones
  EXPECT_EQ(sbatch_mistake("--mail=x"), "job.sh:2: --mail: it could be one of --mail-type, --mail-user; write it out");
}

TEST(Options, AnEqualsSignAfterAShortOptionIsAHint) {
  EXPECT_EQ(sbatch_mistake("-N=2"), "job.sh:2: -N: the = would be part of the value; write -N 2 or --nodes=2");
}

TEST(Options, OldNamesAreAccepted) {
  EXPECT_EQ(sbatch("--tasks=4").spec.ranks, 4);
  EXPECT_EQ(sbatch("--tasks-per-node=4").spec.ranks_per_node, 4);
  EXPECT_EQ(sbatch("--cluster=x").spec.recorded.at("clusters"), "x");
  EXPECT_EQ(sbatch("--workdir=/data").spec.working_directory, "/data");  // sbatch 22.05 no longer does
  EXPECT_EQ(sbatch("--share").spec.recorded.count("oversubscribe"), 1U);
}

TEST(Options, AnOptionalValueIsOnlyGluedOn) {
  EXPECT_TRUE(sbatch("--exclusive=user").spec.exclusive);
  EXPECT_EQ(sbatch("--exclusive -J x").spec.name, "x");
  EXPECT_THAT(sbatch_mistake("--exclusive user"), HasSubstr("job.sh:2: #SBATCH: \"user\" is not an option"));
  EXPECT_THAT(sbatch_mistake("--exclusive=users"), HasSubstr("write --exclusive, --exclusive=user or --exclusive=mcs"));
}

TEST(Options, AStrayWordIsAnError) {
  EXPECT_EQ(
      sbatch_mistake("--mail-user=<your address>"),
      "job.sh:2: #SBATCH: \"address>\" is not an option; options begin with -; quote a value that has blanks, and put # before a comment");
  EXPECT_THAT(sbatch_mistake("-- x"), HasSubstr("\"x\" is not an option"));
  EXPECT_THAT(sbatch_mistake("hetjob"), HasSubstr("submit each part as a job of its own"));
}

TEST(Options, AnUnknownOneIsNamedWithTheNearest) {
  EXPECT_EQ(sbatch_mistake("--ntask-per-node=4"), "job.sh:2: --ntask-per-node: sbatch has no such option; did you mean --ntasks-per-node?");
  EXPECT_EQ(sbatch_mistake("--quotatype=auto"),
            "job.sh:2: --quotatype: sbatch has no such option; take it out, or write it as a comment: ##SBATCH");
  EXPECT_EQ(mistake({"#ULTRA --gpu-per-node 4"}), "job.sh:2: --gpu-per-node: no such option; did you mean --gpus-per-node?");
  EXPECT_EQ(sbatch_mistake("-Z"), "job.sh:2: -Z: unknown option; a long name begins with two dashes: --Z");
}

TEST(Options, AMissingValueAndOneTooManyAreErrors) {
  EXPECT_EQ(sbatch_mistake("--nodes"), "job.sh:2: --nodes: its value is missing; write --nodes=VALUE");
  EXPECT_EQ(sbatch_mistake("-N"), "job.sh:2: -N: its value is missing; write -N VALUE");
  EXPECT_EQ(sbatch_mistake("--requeue=yes"), "job.sh:2: --requeue: it takes no value; write --requeue");
}

TEST(Options, TheLastOneWins) {
  EXPECT_EQ(ask({"#SBATCH --nodes=2", "#SBATCH -N 3"}).spec.resources.nodes, 3);
  EXPECT_EQ(ask({"#SBATCH --hint=compute_bound", "#SBATCH --hint=nomultithread"}).spec.recorded.at("hint"), "nomultithread");
}

TEST(Options, TheCommandLineWinsOverVariablesAndTheseOverLines) {
  const std::vector<std::string> lines{"#SBATCH --partition=line --job-name=line --qos=line --time=10", "#ULTRA --qos ours"};
  const std::map<std::string, std::string> environment{
      {"SBATCH_PARTITION", "variable"}, {"SBATCH_JOB_NAME", "variable"}, {"ULTRA_SUBMIT_NAME", "ours"}};
  const Request request = ask(lines, environment, {given_on_command_line("partition", "typed")});
  EXPECT_EQ(request.spec.partition, "typed");
  EXPECT_EQ(request.spec.name, "ours");  // our variable is stronger than sbatch's
  EXPECT_EQ(request.spec.qos, "ours");   // and so are our lines
  EXPECT_EQ(request.spec.time_limit_ms, minutes(10));
  EXPECT_EQ(request.places.at("partition"), "--partition");
  EXPECT_EQ(request.places.at("name"), "ULTRA_SUBMIT_NAME");
  EXPECT_EQ(request.places.at("time_limit_ms"), "job.sh:2: --time");
}

TEST(Options, AStrongerWayToSayGpusPutsAwayTheWeaker) {
  const Request request = ask({"#SBATCH --nodes=2 --gres=gpu:4,nvme:1"}, {}, {given_on_command_line("gpus", "16")});
  EXPECT_EQ(request.spec.resources, (Resources{0, 2, 8}));
  EXPECT_EQ(ask({"#SBATCH --ntasks=8 --gpus-per-task=1"}, {{"SBATCH_GPUS_PER_NODE", "2"}}).spec.resources, (Resources{0, 1, 2}));
}

TEST(Options, VariablesOfSbatchAreForScriptsOnly) {
  EXPECT_EQ(command({}, {{"SBATCH_PARTITION", "x"}}).spec.partition, "");
  EXPECT_EQ(command({}, {{"ULTRA_SUBMIT_PARTITION", "x"}}).spec.partition, "x");
  EXPECT_EQ(ask({}, {{"SBATCH_TIMELIMIT", "5"}, {"SBATCH_ARRAY_INX", "1-3"}, {"SBATCH_PARTITION", ""}}).array_indices.size(), 3U);
  EXPECT_TRUE(ask({}, {{"SBATCH_WAIT", "1"}}).wait);
  EXPECT_FALSE(ask({}, {{"SBATCH_WAIT", "0"}}).wait);
  try {
    ask({}, {{"SBATCH_TIMELIMIT", "soon"}});
    FAIL();
  } catch (const Problem& problem) {
    EXPECT_THAT(problem.what(), HasSubstr("SBATCH_TIMELIMIT: expected a length of time, got \"soon\""));
  }
}

TEST(OptionTable, EveryRecordedOptionIsKeptAndNamedInOneWarning) {
  for (const OptionRule& rule : option_rules(Dialect::slurm)) {
    if (rule.treatment != Treatment::recorded) continue;
    const std::string name(rule.name), value = rule.takes == Takes::value ? "4" : "";
    const Request request = sbatch("--gpus=1 --" + name + (value.empty() ? "" : "=" + value));
    EXPECT_EQ(request.spec.recorded.at(std::string(known_name(rule))), value) << name;
    EXPECT_THAT(request.warnings, testing::ElementsAre("job.sh: kept with the job but without effect: --" + std::string(known_name(rule))))
        << name;
  }
  const Request several = sbatch("--gpus=1 --switches=1 --hint=x --switches=2 --comment=x");
  EXPECT_THAT(several.warnings, testing::ElementsAre("job.sh: kept with the job but without effect: --switches, --hint, --comment"));
}

TEST(OptionTable, EveryRefusedOptionIsNamedWithItsRemedy) {
  for (const Dialect dialect : {Dialect::slurm, Dialect::ultra}) {
    for (const OptionRule& rule : option_rules(dialect)) {
      if (rule.treatment != Treatment::refused) continue;
      EXPECT_FALSE(rule.remedy.empty()) << rule.name;
      const std::string mark = dialect == Dialect::slurm ? "#SBATCH --" : "#ULTRA --";
      const std::string line = mark + std::string(rule.name) + (rule.takes == Takes::value ? "=x" : "");
      EXPECT_EQ(mistake({line}), "job.sh:2: --" + std::string(rule.name) + ": it can't be kept; " + std::string(rule.remedy));
    }
  }
}

TEST(OptionTable, NamesAndLettersAreUnique) {
  for (const Dialect dialect : {Dialect::slurm, Dialect::ultra}) {
    std::set<std::string_view> names;
    std::set<char> letters;
    for (const OptionRule& rule : option_rules(dialect)) {
      EXPECT_TRUE(names.insert(rule.name).second) << rule.name;
      if (rule.letter != 0) {
        EXPECT_TRUE(letters.insert(rule.letter).second) << rule.name;
      }
      if (!rule.same_as.empty()) {
        EXPECT_NE(find_option(dialect, rule.same_as), nullptr) << rule.name;
      }
    }
  }
}

TEST(OptionTable, KnowsEveryOptionThatRealScriptsUse) {
  // All option names counted in public GPU scripts, however rare, but for one site's own.
  for (const char* name : {"time",
                           "gres",
                           "job-name",
                           "output",
                           "partition",
                           "nodes",
                           "cpus-per-task",
                           "mem",
                           "error",
                           "ntasks",
                           "ntasks-per-node",
                           "account",
                           "mail-type",
                           "mail-user",
                           "qos",
                           "constraint",
                           "array",
                           "mem-per-cpu",
                           "gpus",
                           "gpus-per-node",
                           "hint",
                           "chdir",
                           "nodelist",
                           "exclusive",
                           "exclude",
                           "cpus-per-gpu",
                           "export",
                           "gpus-per-task",
                           "open-mode",
                           "requeue",
                           "comment",
                           "mem-per-gpu",
                           "signal",
                           "no-requeue",
                           "clusters",
                           "reservation",
                           "ntasks-per-core",
                           "gres-flags",
                           "wait-all-nodes",
                           "get-user-env",
                           "nice",
                           "mincpus",
                           "priority",
                           "verbose",
                           "ntasks-per-socket",
                           "distribution",
                           "gpu-bind",
                           "tmp",
                           "begin",
                           "dependency",
                           "licenses",
                           "wckey",
                           "overcommit",
                           "switches",
                           "workdir",
                           "share",
                           "container-image"}) {
    EXPECT_NE(find_option(Dialect::slurm, name), nullptr) << name;
  }
}

}  // namespace
}  // namespace ultramarine::batch
