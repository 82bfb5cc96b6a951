// What a whole script comes to: names, times, files, order, and what is kept without effect.
#include "scheduler/batch/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/unit/batch/ask.h"

namespace ultramarine::batch {
namespace {

constexpr std::int64_t gib = std::int64_t{1} << 30;

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
  EXPECT_EQ(sbatch_mistake("--mem=64G --mem-per-cpu=4G"),
            "job.sh:2: --mem-per-cpu: memory is said by job.sh:2: --mem already; leave out one of the two");
  EXPECT_THAT(sbatch_mistake("--mem=lots"), HasSubstr("job.sh:2: --mem: expected a size of memory, got \"lots\""));
  EXPECT_EQ(ask({"#SBATCH --mem=64G"}, {{"SBATCH_MEM_PER_CPU", "4G"}}).spec.memory_per_gpu_bytes, 4 * gib) << "a stronger level says it otherwise";
}

TEST(Request, CpusAreCountedPerGpu) {
  const auto cpus = [](const std::string& options) { return sbatch(options).spec.cpus_per_gpu; };
  EXPECT_EQ(cpus("--gres=gpu:4"), 0) << "not said, not counted";
  EXPECT_EQ(cpus("--gres=gpu:4 --cpus-per-task=32"), 8) << "sbatch starts one rank on a node";
  EXPECT_EQ(cpus("--gres=gpu:4 --nodes=2 --cpus-per-task=32"), 8);
  EXPECT_EQ(cpus("--gres=gpu:4 --nodes=2 --ntasks-per-node=4 --cpus-per-task=12"), 12);
  EXPECT_EQ(cpus("--gres=gpu:4 --nodes=2 --ntasks=16 --cpus-per-task=3"), 6);
  EXPECT_EQ(cpus("--gpus=8 --ntasks=4 --cpus-per-task=6"), 3);
  EXPECT_EQ(cpus("--gpus=4 --cpus-per-gpu=9"), 9);
  EXPECT_EQ(cpus("--nodes=2 --exclusive --cpus-per-task=48"), 48) << "for the one GPU that a node must have";
  EXPECT_EQ(sbatch("--gres=gpu:4 -c 32").spec.cpus_per_rank, 32);
  EXPECT_EQ(command({{"gpus", "8"}, {"cpus-per-rank", "6"}}).spec.cpus_per_gpu, 6) << "a command runs one rank for each GPU";
  EXPECT_EQ(ultra("--nodes 2 --gpus-per-node 8 --ranks-per-node 2 --cpus-per-rank 32").spec.cpus_per_gpu, 8);
  const Request uneven = sbatch("--gres=gpu:4 --cpus-per-task=10");
  EXPECT_EQ(uneven.spec.cpus_per_gpu, 3);
  EXPECT_THAT(uneven.warnings, ElementsAre("job.sh:2: --cpus-per-task: 10 CPUs for 4 GPUs are counted as 3 for each GPU"));
  const Request both = sbatch("--gres=gpu:4 --cpus-per-gpu=4 --cpus-per-task=8");
  EXPECT_EQ(both.spec.cpus_per_gpu, 4);
  EXPECT_THAT(both.warnings, ElementsAre("job.sh:2: --cpus-per-gpu: CPUs are counted by it, not by job.sh:2: --cpus-per-task"));
}

TEST(Request, MemoryIsCountedPerGpu) {
  const auto memory = [](const std::string& options) { return sbatch(options).spec.memory_per_gpu_bytes; };
  EXPECT_EQ(memory("--gres=gpu:4"), 0);
  EXPECT_EQ(memory("--gres=gpu:4 --mem=64G"), 16 * gib);
  EXPECT_EQ(memory("--gres=gpu:4 --nodes=4 --mem=64G"), 16 * gib) << "it is per node";
  EXPECT_EQ(memory("--gres=gpu:3 --mem=1000M"), 1000 * (gib / 1024) / 3) << "whole bytes";
  EXPECT_EQ(memory("--gpus=2 --mem-per-gpu=64G"), 64 * gib);
  EXPECT_EQ(memory("--gres=gpu:4 --cpus-per-task=16 --mem-per-cpu=2G"), 8 * gib);
  EXPECT_EQ(memory("--gres=gpu:4 --cpus-per-task=10 --mem-per-cpu=2G"), 5 * gib) << "of the CPUs that were asked for";
  EXPECT_EQ(memory("--gres=gpu:2 --ntasks-per-node=4 --mem-per-cpu=2G"), 4 * gib) << "a rank has one CPU";
  EXPECT_EQ(memory("--gpus=4 --cpus-per-gpu=8 --mem-per-cpu=2G"), 16 * gib);
  EXPECT_EQ(memory("--nodes=2 --exclusive --mem=100G"), 100 * gib);
  const Request total = sbatch("--gpus=4 --mem=64G");
  EXPECT_EQ(total.spec.memory_per_gpu_bytes, 16 * gib);
  EXPECT_THAT(total.warnings, ElementsAre("job.sh:2: --mem: counted as if all 4 GPUs were on one node; say --nodes, or --mem-per-gpu"));
  const Request all = sbatch("--gres=gpu:4 --mem=0");
  EXPECT_EQ(all.spec.memory_per_gpu_bytes, 0);
  EXPECT_THAT(all.warnings, ElementsAre("job.sh:2: --mem: 0 is all memory of a node: it is not counted, and --exclusive keeps others off the node"));
  EXPECT_THAT(sbatch("--gres=gpu:4 --mem=0 --exclusive").warnings, testing::IsEmpty());
  EXPECT_THAT(sbatch_mistake("--gpus=1 --ntasks=1000000 --cpus-per-task=1000000 --mem-per-cpu=900000T"), HasSubstr("is absurd; ask for less"));
  EXPECT_EQ(command({{"gpus", "2"}, {"mem-per-gpu", "64GiB"}}).spec.memory_per_gpu_bytes, 64 * gib);
}

using Names = std::vector<std::string>;

TEST(Request, NodesThatItMayUse) {
  EXPECT_EQ(sbatch("--gpus=1 --constraint=nvlink").spec.features, Names{"nvlink"});
  EXPECT_EQ(sbatch("--gpus=1 -C nvlink&ib").spec.features, (Names{"nvlink", "ib"}));
  EXPECT_EQ(sbatch("--gpus=1 --exclude=n[03-04],n07").spec.without_nodes, (Names{"n03", "n04", "n07"}));
  EXPECT_TRUE(sbatch("--gpus=1 --exclusive").spec.exclusive);
  EXPECT_THAT(sbatch("--gpus=1 --exclusive").warnings, testing::IsEmpty());
  EXPECT_THAT(sbatch("--gpus=1 --exclusive=user").warnings, ElementsAre("job.sh:2: --exclusive: it gets its nodes whole, and shares them with no other job"));
  const Request command_line =
      command({{"gpus", "1"}, {"constraint", "nvlink,ib"}, {"nodelist", "n[1-3]"}, {"exclude", "n2"}, {"exclusive", ""}});
  EXPECT_EQ(command_line.spec.features, (Names{"nvlink", "ib"}));
  EXPECT_EQ(command_line.spec.only_nodes, (Names{"n1", "n2", "n3"}));
  EXPECT_EQ(command_line.spec.without_nodes, Names{"n2"});
  EXPECT_TRUE(command_line.spec.exclusive);
  EXPECT_EQ(command_line.spec.resources, (Resources{1, 0, 0})) << "on one of them";
  EXPECT_EQ(command_line.places.at("only_nodes"), "--nodelist");
}

TEST(Request, OneOfSeveralFeaturesCantBeKept) {
  for (const char* text : {"a100|h100", "[rack1|rack2]", "a*2", "(a&b)|c"}) {
    const Request request = sbatch("--gpus=1 --constraint=" + std::string(text));
    EXPECT_TRUE(request.spec.features.empty());
    EXPECT_EQ(request.spec.recorded.at("constraint"), text);
    EXPECT_THAT(request.warnings, ElementsAre("job.sh:2: --constraint: \"" + std::string(text) +
                                              "\" asks for one of several features, or counts them, which can't be kept: any node will do"));
  }
  EXPECT_EQ(mistake({"#ULTRA --constraint a|b"}),
            "job.sh:2: --constraint: \"a|b\" asks for one of several features, or counts them; name features that each node must have: nvlink&infiniband");
  EXPECT_EQ(sbatch_mistake("--constraint=a&&b"), "job.sh:2: --constraint: \"a&&b\" is no list of features; write for example nvlink, or nvlink&infiniband");
}

TEST(Request, SbatchUsesAllNodesThatAreNamed) {
  const Request named = sbatch("--nodelist=n[01-03] --gres=gpu:2");
  EXPECT_EQ(named.spec.only_nodes, (Names{"n01", "n02", "n03"}));
  EXPECT_EQ(named.spec.resources, (Resources{0, 3, 2}));
  EXPECT_EQ(sbatch("-w n1,n2 --gpus=8").spec.resources, (Resources{0, 2, 4}));
  EXPECT_EQ(sbatch("-w n1").spec.resources, (Resources{0, 1, 1}));
  EXPECT_THAT(sbatch("-w n1,n2 -N 1 --gres=gpu:2").warnings, ElementsAre("job.sh:2: --nodelist: all of the named nodes are asked for, 2"));
  EXPECT_EQ(sbatch_mistake("-w n1,n2 -N 3 --gres=gpu:2"),
            "job.sh:2: --nodelist: 2 nodes named, but job.sh:2: --nodes asks for 3; name as many, or leave out one of the two");
  EXPECT_EQ(ultra("--nodelist n[01-03] --gpus 4").spec.resources, (Resources{4, 0, 0})) << "ours: on any of them";
}

TEST(Request, NodesMayBeNamedInAFile) {
  Submission submission;
  submission.name = "job.sh";
  submission.text = "#!/bin/bash\n#SBATCH --gres=gpu:2 --nodelist=./hosts --exclude=/etc/broken\n";
  submission.command = {"job.sh"};
  submission.folder = "/home/ada";
  EXPECT_THROW(request_of(submission), Problem) << "nobody reads files here";
  submission.read_file = [](const std::string& path, const std::string&) {
    return path == "./hosts" ? std::string("# ours\nn[01-02], n04\n\nn05\r\n") : std::string("n02\n");
  };
  const Request request = request_of(submission);
  EXPECT_EQ(request.spec.only_nodes, (Names{"n01", "n02", "n04", "n05"}));
  EXPECT_EQ(request.spec.without_nodes, Names{"n02"});
  submission.text = "#!/bin/bash\n#SBATCH --gres=gpu:2 --nodefile=hosts\n";
  submission.read_file = [](const std::string& path, const std::string&) { return path == "hosts" ? std::string("n01") : std::string(); };
  EXPECT_EQ(request_of(submission).spec.only_nodes, Names{"n01"});
  submission.read_file = [](const std::string&, const std::string&) { return std::string("# nobody\n"); };
  EXPECT_THROW(request_of(submission), Problem);
}

TEST(Request, ValuesAreChecked) {
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

TEST(Request, WhoIsToldWhat) {
  using enum NotificationEvent;
  const NotificationWish none = sbatch("--gpus=1").spec.notify;
  EXPECT_EQ(none, NotificationWish{});
  const Request all = sbatch("--gpus=1 --mail-type=ALL --mail-user=ada@example.org,bob");
  EXPECT_THAT(all.spec.notify.events, ElementsAre(begin, end, fail, requeue, delayed)) << "as sbatch: no time limits";
  EXPECT_THAT(all.spec.notify.mail_to, ElementsAre("ada@example.org", "bob"));
  EXPECT_TRUE(all.spec.notify.mail);
  EXPECT_TRUE(all.warnings.empty());
  const NotificationWish several = sbatch("--gpus=1 --mail-type=fail,time_limit_80,END,ARRAY_TASKS").spec.notify;
  EXPECT_THAT(several.events, ElementsAre(end, fail, time_limit_80));
  EXPECT_TRUE(several.each_element);
  EXPECT_EQ(sbatch("--gpus=1 --mail-type=NONE").spec.notify, NotificationWish{});
  const Request untold = sbatch("--gpus=1 --mail-type=END,INVALID_DEPEND,STAGE_OUT");
  EXPECT_THAT(untold.spec.notify.events, ElementsAre(end));
  EXPECT_EQ(untold.spec.recorded.at("mail-type"), "END,INVALID_DEPEND,STAGE_OUT");
  EXPECT_THAT(untold.warnings, ElementsAre("job.sh:2: --mail-type: nothing is told of INVALID_DEPEND, STAGE_OUT"));
  EXPECT_EQ(sbatch_mistake("--gpus=1 --mail-type=ENDS"), "job.sh:2: --mail-type: \"ENDS\" is not known; did you mean END?");
}

TEST(Request, AWebhookAloneHearsOfEverything) {
  using enum NotificationEvent;
  const NotificationWish wish = ultra("--webhook https://hooks.example.com/x").spec.notify;
  EXPECT_THAT(wish.events, ElementsAre(begin, end, fail, requeue, delayed));
  EXPECT_FALSE(wish.mail);
  EXPECT_EQ(wish.webhook, "https://hooks.example.com/x");
  const NotificationWish both = ultra("--webhook https://hooks.example.com/x --mail-type FAIL").spec.notify;
  EXPECT_THAT(both.events, ElementsAre(fail));
  EXPECT_TRUE(both.mail);
  EXPECT_THAT(mistake({"#ULTRA --webhook file:///etc/passwd"}), HasSubstr("--webhook: this is no URL that can be used: it doesn't begin with https:// or http://"));
  EXPECT_THAT(mistake({"#ULTRA --webhook https://u:p@h/"}), HasSubstr("it has a user name or password in it"));
  EXPECT_THAT(mistake({"#ULTRA --webhook https://h/../x"}), HasSubstr("it has . or .. in its path"));
}

TEST(Request, NoMailGoesWhereNoneCan) {
  EXPECT_THAT(mistake({"#ULTRA --mail-user -oQ@example.org"}), HasSubstr("no mail can go to \"-oQ@example.org\": before the @, it has other signs in it"));
  EXPECT_THAT(mistake({"#ULTRA --mail-user /etc/passwd"}), HasSubstr("give an address like ada@example.org, or a user's name"));
  const Request slurm = sbatch("--gpus=1 --mail-user=$USER@example.org --mail-type=END");
  EXPECT_TRUE(slurm.spec.notify.mail_to.empty()) << "a script isn't refused for it";
  EXPECT_EQ(slurm.spec.recorded.at("mail-user"), "$USER@example.org");
  EXPECT_THAT(slurm.warnings, ElementsAre(HasSubstr("; it goes to the owner")));
}

TEST(Request, WhenItMayRun) {
  Submission submission;
  submission.name = "job.sh";
  submission.text = "#!/bin/bash\n#SBATCH -G 1 -H -b now+1hour --deadline=now+2hours --nice --reservation=class\n";
  submission.command = {"job.sh"};
  submission.folder = "/home/ada";
  submission.now = {1'700'000'000'000};
  JobSpec spec = request_of(submission).spec;
  EXPECT_TRUE(spec.hold);
  EXPECT_EQ(spec.begin_ms, Time{1'700'003'600'000});
  EXPECT_EQ(spec.deadline_ms, Time{1'700'007'200'000});
  EXPECT_EQ(spec.nice, 100);
  EXPECT_EQ(spec.reservation, "class");
  EXPECT_EQ(sbatch("--gpus=1 --nice=-20").spec.nice, -20);
  EXPECT_EQ(ultra("--gpus 1 --nice 7").spec.nice, 7);
  EXPECT_EQ(ask({"#SBATCH --gpus=1"}, {{"SBATCH_RESERVATION", "r"}}).spec.reservation, "r");
  EXPECT_FALSE(sbatch("--gpus=1").spec.hold);
  EXPECT_TRUE(ultra("--gpus 1").spec.trial);
  EXPECT_FALSE(ultra("--gpus 1 --no-trial").spec.trial);
  EXPECT_FALSE(sbatch("--gpus=1").spec.begin_ms);
  EXPECT_EQ(sbatch_mistake("--gpus=1 --begin=soon"),
            "job.sh:2: --begin: expected an instant, got \"soon\"; write for example now+2h, 16:00, tomorrow or 2026-12-24T10:00");
  EXPECT_THAT(sbatch_mistake("--gpus=1 --nice=lots"), HasSubstr("job.sh:2: --nice: expected a whole number, got \"lots\""));
}

}  // namespace
}  // namespace ultramarine::batch
