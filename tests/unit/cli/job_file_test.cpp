// Job files: what they ask for is what the same options on the command line ask for; every mistake has a line and a
// column.
#include "scheduler/cli/job_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "scheduler/cli/command_error.h"
#include "scheduler/cli/command_line.h"
#include "scheduler/cli/verbs/submission.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

Submission from_file(const std::string& text) {
  const JobFile file = parse_job_file(text, "job.toml");
  Arguments arguments;
  arguments.positionals = file.command;
  return submission(arguments, {{"PATH", "/bin"}}, "/home/ada", file.script, file.given);
}

std::string refused(const std::string& text) {
  try {
    from_file(text);
  } catch (const CommandError& error) {
    EXPECT_EQ(error.code, exit_code::usage);
    return error.what();
  }
  return "accepted";
}

TEST(JobFile, SaysWhatTheSameOptionsSay) {
  const Submission made = from_file(
      "name = \"학습\"\ngpus = 16\ntime = \"2h\"\naccount = \"vision\"\narray = \"0-6:2%2\"\nafter = [\"12:ok\", "
      "\"13\"]\nstrict-names = true\n"
      "cpus_per_rank = 4\nexport = [\"NONE\"]\ncommand = [\"python3\", \"train.py\", \"--lr\", \"3e-4\"]\n");
  const JobSpec& spec = made.request.spec;
  EXPECT_EQ(spec.name, "학습");
  EXPECT_EQ(spec.resources, (Resources{16, 0, 0}));
  EXPECT_EQ(spec.time_limit_ms, hours(2));
  EXPECT_EQ(spec.account, "vision");
  EXPECT_EQ(spec.cpus_per_rank, 4);
  EXPECT_TRUE(spec.strict_names);
  EXPECT_EQ(made.request.array_indices, (std::vector<std::int64_t>{0, 2, 4, 6}));
  EXPECT_EQ(made.request.array_limit, 2);
  ASSERT_EQ(spec.dependencies.size(), 2U);
  EXPECT_EQ(spec.dependencies[1].job, JobId{13});
  EXPECT_EQ(spec.command, (std::vector<std::string>{"python3", "train.py", "--lr", "3e-4"}));
  EXPECT_EQ(made.request.environment, (std::map<std::string, std::string>{{"PATH", "/bin"}}));
  EXPECT_EQ(made.places.at("account"), "job.toml:4:11: account");
}

TEST(JobFile, SaysWhichNodesItMayUse) {
  const JobSpec spec = from_file("gpus = 4\ngpu-type = \"A100\"\ncpus_per_gpu = 8\nmem_per_gpu = \"64G\"\nconstraint = [\"nvlink\", \"ib\"]\n"
                                 "nodelist = \"n[1-3]\"\nexclude = [\"n2\", \"n7\"]\nexclusive = true\ncommand = [\"x\"]\n")
                           .request.spec;
  EXPECT_EQ(spec.gpu_type, "A100");
  EXPECT_EQ(spec.cpus_per_gpu, 8);
  EXPECT_EQ(spec.memory_per_gpu_bytes, std::int64_t{64} << 30);
  EXPECT_EQ(spec.features, (std::vector<std::string>{"nvlink", "ib"}));
  EXPECT_EQ(spec.only_nodes, (std::vector<std::string>{"n1", "n2", "n3"}));
  EXPECT_EQ(spec.without_nodes, (std::vector<std::string>{"n2", "n7"}));
  EXPECT_TRUE(spec.exclusive);
  EXPECT_EQ(spec.resources, (Resources{4, 0, 0})) << "on any of the nodes that are named";
  EXPECT_EQ(refused("gpus = 1\nexclusive = 1\ncommand = [\"x\"]\n"), "job.toml:2:13: exclusive: expected true or false; write exclusive = true");
}

TEST(JobFile, WhatIsTypedIsStronger) {
  const JobFile file = parse_job_file("gpus = 16\nname = \"a\"\ncommand = [\"x\"]\n", "job.toml");
  const CommandLine typed = parse_command_line(all_verbs(), {"submit", "--file", "job.toml", "--gpus", "2"});
  Arguments arguments = typed.arguments;
  arguments.positionals = file.command;
  const JobSpec spec = submission(arguments, {}, "/", file.script, file.given).request.spec;
  EXPECT_EQ(spec.resources, (Resources{2, 0, 0}));
  EXPECT_EQ(spec.name, "a");
}

TEST(JobFile, AScriptIsFoundBesideTheFile) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() + "/go.sh") << "#!/bin/sh\n#ULTRA --gpus 4\necho $1\n";
  const JobFile file =
      parse_job_file("script = \"go.sh\"\narguments = [\"one\", \"2\"]\n", folder.path() + "/job.toml");
  ASSERT_TRUE(file.script);
  EXPECT_EQ(file.script->text, "#!/bin/sh\n#ULTRA --gpus 4\necho $1\n");
  EXPECT_EQ(file.command, (std::vector<std::string>{folder.path() + "/go.sh", "one", "2"}));
  Arguments arguments;
  arguments.positionals = file.command;
  EXPECT_EQ(submission(arguments, {}, "/", file.script, file.given).request.spec.resources.gpus, 4);
}

TEST(JobFile, MistakesHaveLineAndColumn) {
  EXPECT_EQ(refused("gpu = 1\ncommand = [\"x\"]\n"), "job.toml:1:1: gpu: unknown word; did you mean gpus?");
  EXPECT_EQ(refused("\n  frobnicate = 1\ncommand = [\"x\"]\n"),
            "job.toml:2:3: frobnicate: unknown word; see 'ultra submit --help'");
  EXPECT_EQ(refused("gpus = \"eight\"\ncommand = [\"x\"]\n"),
            "job.toml:1:8: gpus: expected a whole number, got \"eight\"; write for example 8");
  EXPECT_EQ(refused("time = 30\ncommand = [\"x\"]\n"),
            "job.toml:1:8: time: a length of time needs a unit; write for example time = \"30m\"");
  EXPECT_EQ(refused("gpus = [1, 2]\ncommand = [\"x\"]\n"),
            "job.toml:1:8: gpus: expected one value, got a list; give one value");
  EXPECT_EQ(refused("strict-names = 1\ncommand = [\"x\"]\n"),
            "job.toml:1:16: strict-names: expected true or false; write strict-names = true");
  EXPECT_EQ(refused("follow = true\ncommand = [\"x\"]\n"),
            "job.toml:1:1: follow: can't be said in a job file; it belongs on the command line of 'ultra submit'");
  EXPECT_EQ(refused("command = \"x y\"\n"),
            "job.toml:1:11: command: expected a list: the program and its arguments; write for example command = "
            "[\"python3\", \"train.py\"]");
  EXPECT_EQ(refused("gpus = 1\n"), "job.toml: nothing to run; add for example command = [\"python3\", \"train.py\"]");
  EXPECT_EQ(refused("command = [\"x\"]\nscript = \"a.sh\"\n"),
            "job.toml:2:1: script: can't be combined with command; give one of them");
  EXPECT_EQ(refused("command = [\"x\"]\narguments = [\"a\"]\n"),
            "job.toml:2:1: arguments: they are a script's; put everything into command");
  EXPECT_EQ(refused("[job]\ngpus = 1\n"),
            "job.toml:1:2: job: expected a value, got a table; write job = VALUE on a line of its own");
  EXPECT_TRUE(refused("gpus == 1\n").starts_with("job.toml:1:7: ")) << refused("gpus == 1\n");
  EXPECT_TRUE(refused("gpus = 1\ngpus = 2\n").starts_with("job.toml:2:")) << refused("gpus = 1\ngpus = 2\n");
}

}  // namespace
}  // namespace ultramarine::cli
