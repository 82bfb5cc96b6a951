// What a whole script comes to: names, times, files, order, and what is kept without effect.
#include "scheduler/batch/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/unit/batch/ask.h"

namespace ultramarine::batch {
namespace {

using test::ask;
using test::command;
using test::mistake;
using test::sbatch;
using test::sbatch_mistake;
using test::ultra;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Request, CopiesTheScriptAndItsWords) {
  Submission submission;
  submission.name = "runs/job.sh";
  submission.text = "#!/bin/bash -l\n#SBATCH -G 1\npython3 train.py \"$@\"\n";
  submission.command = {"runs/job.sh", "--epochs", "3"};
  submission.folder = "/home/ada";
  const Request request = request_of(submission);
  EXPECT_EQ(request.spec.script->text, submission.text);
  EXPECT_EQ(request.spec.command, submission.command);
  EXPECT_EQ(request.spec.name, "job.sh");
  EXPECT_EQ(request.spec.working_directory, "/home/ada");
  EXPECT_THAT(request.honoured, ElementsAre("runs/job.sh:2: --gpus"));
  EXPECT_TRUE(request.warnings.empty());
}

TEST(Request, NamesOfTheSite) {
  const Request request = sbatch("-A lab -p gpu -q high -J train -G 1");
  EXPECT_EQ(request.spec.account, "lab");
  EXPECT_EQ(request.spec.partition, "gpu");
  EXPECT_EQ(request.spec.qos, "high");
  EXPECT_EQ(request.spec.name, "train");
  EXPECT_TRUE(ultra("--strict-names").spec.strict_names);
  const Request several = sbatch("-p gpu,long -G 1");
  EXPECT_EQ(several.spec.partition, "gpu");
  EXPECT_THAT(several.warnings, ElementsAre("job.sh:2: --partition: of several partitions the first is taken, gpu"));
}

TEST(Request, TimeIsInSlurmsFormsAndNoLimitIsTheLongest) {
  EXPECT_EQ(sbatch("-t 2-00:00:00").spec.time_limit_ms, hours(48));
  EXPECT_EQ(sbatch("--time=0").spec.time_limit_ms, longest_time_limit);
  EXPECT_EQ(sbatch("-N1").spec.time_limit_ms, Duration{0});  // the partition's default
  EXPECT_EQ(ultra("--time 90s --grace 5s --mpi none").spec.time_limit_ms, seconds(90));
  EXPECT_EQ(ultra("--grace 5s").spec.stop_grace_ms, seconds(5));
  EXPECT_EQ(ultra("--mpi none").spec.mpi, MpiMode::none);
  EXPECT_EQ(mistake({"#ULTRA --mpi mvapich"}), "job.sh:2: --mpi: \"mvapich\" is not known; give auto, pmix or none");
  EXPECT_EQ(mistake({"", "", "", "", "", "#SBATCH --time=soon"}),
            "job.sh:7: --time: expected a length of time, got \"soon\"; write minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS");
}

TEST(Request, OutputDefaultsToSlurmsNamesInScriptsOnly) {
  EXPECT_EQ(sbatch("-N1").spec.output, "slurm-%j.out");
  EXPECT_EQ(sbatch("-N1").spec.error, "");  // follows output
  EXPECT_EQ(sbatch("--array=0-3").spec.output, "slurm-%A_%a.out");
  EXPECT_EQ(sbatch("-e err.txt").spec.output, "slurm-%j.out");
  EXPECT_EQ(command({}).spec.output, "");
  const Request request = sbatch("--output=logs/%x-%j.out --error=logs/%x-%j.err --open-mode=append");
  EXPECT_EQ(request.spec.output, "logs/%x-%j.out");
  EXPECT_EQ(request.spec.error, "logs/%x-%j.err");
  EXPECT_TRUE(request.spec.append_output);
  EXPECT_FALSE(sbatch("--open-mode=truncate").spec.append_output);
  EXPECT_THAT(sbatch_mistake("--open-mode=over"), HasSubstr("--open-mode: \"over\" is not known"));
  EXPECT_EQ(ultra("--log-limit 10MiB").spec.log_bytes_max, 10 << 20);
}

TEST(Request, FoldersAreRelativeToTheCurrentOne) {
  EXPECT_EQ(sbatch("-D /data/run").spec.working_directory, "/data/run");
  EXPECT_EQ(sbatch("--chdir=../bob/./run").spec.working_directory, "/home/bob/run");
  EXPECT_EQ(ultra("--workdir x").spec.working_directory, "/home/ada/x");
  EXPECT_EQ(ultra("--chdir x").spec.working_directory, "/home/ada/x");
}

TEST(Request, ArraysAndWhatMustComeBefore) {
  const Request request = ask({"#SBATCH --array=1,3,5-7%2", "#SBATCH --dependency=afterok:12,afterany:13_4"});
  EXPECT_THAT(request.array_indices, ElementsAre(1, 3, 5, 6, 7));
  EXPECT_EQ(request.array_limit, 2);
  EXPECT_THAT(request.spec.dependencies, ElementsAre(Dependency{{12}, DependencyCondition::ok}));
  ASSERT_EQ(request.element_dependencies.size(), 1U);
  EXPECT_EQ(request.element_dependencies[0].element, 4);
  // Ours add up; sbatch's last one wins; a stronger level replaces them all.
  EXPECT_EQ(ask({"#ULTRA --after 12", "#ULTRA --after 13:any"}).spec.dependencies.size(), 2U);
  EXPECT_EQ(ask({"#SBATCH -d afterok:12", "#SBATCH -d afterok:13"}).spec.dependencies,
            (std::vector<Dependency>{{{13}, DependencyCondition::ok}}));
  EXPECT_EQ(ask({"#SBATCH -d afterok:12"}, {}, {given_on_command_line("after", "14:notok")}).spec.dependencies,
            (std::vector<Dependency>{{{14}, DependencyCondition::notok}}));
}

TEST(Request, SignalsAndTheEnvironment) {
  EXPECT_EQ(sbatch("--signal=B:USR1@120").spec.warning, (WarningSignal{SIGUSR1, seconds(120), true}));
  const Request request = sbatch("--export=ALL,LR=0.1");
  EXPECT_EQ(request.environment, "ALL,LR=0.1");
  EXPECT_TRUE(request.environment_values);
  EXPECT_EQ(sbatch("-N1").environment, "ALL");
  EXPECT_FALSE(ask({}, {}, {given_on_command_line("export", "NONE")}).environment_values);
}

TEST(Request, MemoryIsSaidInOneWay) {
  EXPECT_EQ(sbatch("--mem=64G").spec.recorded.at("mem"), "64G");
  EXPECT_EQ(sbatch_mistake("--mem=64G --mem-per-cpu=4G"),
            "job.sh:2: --mem-per-cpu: memory is said by job.sh:2: --mem already; leave out one of the two");
  EXPECT_THAT(sbatch_mistake("--mem=lots"), HasSubstr("job.sh:2: --mem: expected a size of memory, got \"lots\""));
  EXPECT_EQ(ask({"#SBATCH --mem=64G"}, {{"SBATCH_MEM_PER_CPU", "4G"}}).spec.recorded.count("mem"), 0U);
}

TEST(Request, RecordedValuesAreCheckedAllTheSame) {
  EXPECT_THAT(sbatch_mistake("--nodelist=n[3-1]"), HasSubstr("job.sh:2: --nodelist: \"n[3-1]\" is no list of nodes"));
  EXPECT_THAT(sbatch_mistake("--cpus-per-gpu=many"), HasSubstr("job.sh:2: --cpus-per-gpu: expected a whole number"));
  EXPECT_EQ(sbatch("--gres=gpu:1,nvme:400").spec.recorded.at("gres"), "nvme:400");
}

TEST(Request, EmptyCountsAreErrorsAndEmptyTextsAreNotSaid) {
  EXPECT_THAT(sbatch_mistake("--nodes="), HasSubstr("job.sh:2: --nodes: expected a whole number, got \"\""));
  EXPECT_EQ(sbatch("--job-name= -G1").spec.name, "job.sh");
  EXPECT_EQ(sbatch("--output= -G1").spec.output, "slurm-%j.out");
}

TEST(Request, APlainCommandHasNoScriptAndNoWarnings) {
  const Request request = command({{"gpus", "4"}, {"name", "x"}, {"array", "0-1"}});
  EXPECT_FALSE(request.spec.script);
  EXPECT_EQ(request.spec.resources.gpus, 4);
  EXPECT_EQ(command({}).spec.name, "python3");
  EXPECT_EQ(command({}).spec.resources.gpus, 1);
  EXPECT_TRUE(command({}).warnings.empty());
}

}  // namespace
}  // namespace ultramarine::batch
