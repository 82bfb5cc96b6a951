// Scripts and what belongs to them, against an API that answers as told: submit, run, logs, cancel, show.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "scheduler/cli/client.h"
#include "scheduler/cli/remote_shell.h"
#include "scheduler/protocol/codec.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::fixed_now;
using test::json_of;
using test::Ran;
using test::run;
using testing::HasSubstr;

/// A file in a folder of its own.
class ScriptOnDisk {
 public:
  explicit ScriptOnDisk(const std::string& text, const std::string& name = "job.sh") : path_(folder_.path() + "/" + name) {
    std::ofstream(path_) << text;
  }
  const std::string& path() const { return path_; }

 private:
  test::TemporaryFolder folder_;
  std::string path_;
};

protocol::SubmitRequest submitted(FakeApi& api) {
  for (const auto& request : api.requests()) {
    if (request.method == "POST" && request.path == "/v1/jobs")
      return protocol::from_json<protocol::SubmitRequest>(request.body, protocol::Unknown::refused);
  }
  throw std::runtime_error("nothing was submitted");
}

protocol::JobView array_view(std::int64_t job, std::int64_t index, std::int64_t count) {
  protocol::JobView view = test::queued_job();
  view.details.job = {job};
  view.details.array = ArrayElement{{12}, index, count, 0, count - 1, 1, 4};
  return view;
}

TEST(SubmitScript, SendsItsTextAndItsArgumentsAndWarnsOnStderr) {
  const std::string text = "#!/bin/bash\n#SBATCH -N 2 --gres=gpu:4 --hint=x\npython3 train.py \"$@\"\n";
  const ScriptOnDisk script(text);
  FakeApi api;
  api.on("POST /v1/jobs", R"({"job":12,"warnings":["partition: gpu is called main here"]})");
  api.on("GET /v1/jobs/12", json_of(test::queued_job()));
  const Ran ran = run(api, {"submit", script.path(), "--epochs", "3"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("Submitted job 12 (train, 16 GPUs, 2h limit).\nPlanned start:"));
  EXPECT_EQ(ran.err,
            "warning: " + script.path() + ": kept with the job but without effect: --hint\nwarning: partition: gpu is called main here\n");
  const auto sent = submitted(api);
  EXPECT_EQ(sent.spec.script->text, text);
  EXPECT_EQ(sent.spec.command, (std::vector<std::string>{script.path(), "--epochs", "3"}));
  EXPECT_EQ(sent.spec.name, "job.sh");
  EXPECT_EQ(sent.spec.output, "slurm-%j.out");
  EXPECT_EQ(sent.spec.recorded.at("hint"), "x");
}

TEST(SubmitScript, ParsableIsTheNumberAlone) {
  const ScriptOnDisk script("#!/bin/sh\n#ULTRA --gpus 1 --parsable\n");
  FakeApi api;
  api.on("POST /v1/jobs", R"({"job":12})");
  EXPECT_EQ(run(api, {"submit", script.path()}).out, "12\n");
  EXPECT_EQ(run(api, {"submit", "--parsable", "--", "x"}).out, "12\n");
}

TEST(SubmitScript, ARefusalNamesTheScriptsLine) {
  const ScriptOnDisk script("#!/bin/sh\n#SBATCH -G 1\n#SBATCH --partition=gpus\n");
  FakeApi api;
  api.refuse("POST /v1/jobs", 400, "bad_request", "spec.partition", "no partition \"gpus\"", "use one of: main");
  const Ran ran = run(api, {"submit", script.path()});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err, "error: " + script.path() + ":3: --partition: no partition \"gpus\"; use one of: main\n");
  EXPECT_EQ(run(api, {"submit", "--partition", "x", script.path()}).err, "error: --partition: no partition \"gpus\"; use one of: main\n");
}

TEST(SubmitScript, MistakesNameTheLineAndNothingIsSent) {
  const ScriptOnDisk script("#!/bin/sh\n#SBATCH -G 1\n#SBATCH --time=soon\n");
  FakeApi api;
  const Ran ran = run(api, {"submit", script.path()});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr(script.path() + ":3: --time: expected a length of time, got \"soon\"; write minutes"));
  EXPECT_TRUE(api.requests().empty());
}

TEST(SubmitScript, WhatIsNoScriptIsACommand) {
  FakeApi api;
  api.on("POST /v1/jobs", R"({"job":12})");
  EXPECT_EQ(run(api, {"submit", "/bin/true"}).code, 0);
  EXPECT_FALSE(submitted(api).spec.script);
  const ScriptOnDisk script("#!/bin/sh\n");
  FakeApi again;
  again.on("POST /v1/jobs", R"({"job":12})");
  EXPECT_EQ(run(again, {"submit", "--", script.path()}).code, 0);
  EXPECT_FALSE(submitted(again).spec.script);
  EXPECT_EQ(run(again, {"submit", "no-such.sh"}).err, "error: no-such.sh: no such file; a command that is no script goes after --\n");
  const ScriptOnDisk no_interpreter("echo hello\n");
  EXPECT_THAT(run(again, {"submit", no_interpreter.path()}).err, HasSubstr(":1: a script begins with #! and its interpreter"));
  EXPECT_THAT(run(again, {"submit"}).err, HasSubstr("command: nothing to run; give a script, or a command after --"));
}

TEST(SubmitScript, WrapMakesOneOfALine) {
  FakeApi api;
  api.on("POST /v1/jobs", R"({"job":12})");
  EXPECT_EQ(run(api, {"submit", "--gpus", "2", "--wrap", "hostname; date"}).code, 0);
  const auto sent = submitted(api);
  EXPECT_EQ(sent.spec.script->text, "#!/bin/sh\n# Made from: ultra submit --wrap\nhostname; date\n");
  EXPECT_EQ(sent.spec.name, "wrap");
  EXPECT_EQ(sent.spec.resources.gpus, 2);
  EXPECT_THAT(run(api, {"submit", "--wrap", "date", "--", "x"}).err, HasSubstr("--wrap: can't be combined with a script or a command"));
}

TEST(SubmitScript, ADryRunAsksNobody) {
  const ScriptOnDisk script("#!/bin/sh\n#SBATCH --array=1-3%2 -G 1 --hint=x --mail-type=END\n");
  const Ran ran = run({"submit", "--dry-run", "--time", "5m", script.path()}, {{"ULTRA_HOME", "/nowhere"}, {"PATH", "/bin"}});
  EXPECT_EQ(ran.code, 0) << ran.err;
  const auto dry = protocol::parse_json(ran.out);
  EXPECT_EQ(dry.at("spec").at("resources").at("gpus"), 1);
  EXPECT_EQ(dry.at("spec").at("time_limit_ms"), 300'000);
  EXPECT_EQ(dry.at("array_indices").as_array().size(), 3U);
  EXPECT_EQ(dry.at("array_limit"), 2);
  EXPECT_EQ(dry.at("recorded").at("hint"), "x");
  EXPECT_EQ(dry.at("spec").at("notify").at("events").as_array(), (boost::json::array{"end"}));
  EXPECT_EQ(dry.at("environment_names").as_array().size(), 4U);
  EXPECT_THAT(ran.out, HasSubstr("\"honoured\":["));
  EXPECT_THAT(ran.out, HasSubstr(":2: --array\""));
  EXPECT_THAT(ran.out, HasSubstr("without effect: --hint"));
}

TEST(SubmitArray, SaysHowManyAndHowManyAtOnce) {
  FakeApi api;
  api.on("POST /v1/jobs", R"({"job":12,"count":16})");
  api.on("GET /v1/jobs/12", json_of(array_view(12, 0, 16)));
  const Ran ran = run(api, {"submit", "--array", "0-15%4", "--", "x"});
  EXPECT_EQ(ran.out, "Submitted array 12 (train, 16 elements of 16 GPUs, at most 4 at once, 2h limit).\n");
  EXPECT_EQ(submitted(api).array_indices.size(), 16U);
  EXPECT_EQ(submitted(api).array_limit, 4);
  EXPECT_THAT(run(api, {"submit", "--array", "0-3", "--follow", "--", "x"}).err, HasSubstr("--follow: an array has many elements"));
}

TEST(SubmitAfter, AnElementIsLookedUp) {
  FakeApi api;
  api.on("POST /v1/jobs", R"({"job":20})");
  api.on("GET /v1/jobs/12_3", json_of(array_view(15, 3, 16)));
  EXPECT_EQ(run(api, {"submit", "--after", "12_3:any", "--after", "9", "--quiet", "--", "x"}).code, 0);
  EXPECT_EQ(submitted(api).spec.dependencies, (std::vector<Dependency>{{{9}, DependencyCondition::ok}, {{15}, DependencyCondition::any}}));
}

TEST(SubmitAfter, TheFirstElementAloneCantBeNamed) {
  FakeApi api;
  api.on("GET /v1/jobs/12_0", json_of(array_view(12, 0, 16)));
  const Ran ran = run(api, {"submit", "--after", "12_0", "--", "x"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err, "error: --after: the first element of an array can't be waited for alone; name the whole array: 12\n");
}

TEST(SubmitScript, ExclusiveNodesWithoutAGpuOptionAreWhole) {
  const ScriptOnDisk script("#!/bin/sh\n#SBATCH -N 2 --exclusive\n");
  FakeApi api;
  api.on("POST /v1/jobs", R"({"job":12})");
  EXPECT_EQ(run(api, {"submit", "-q", script.path()}).code, 0);
  EXPECT_EQ(submitted(api).spec.resources, (Resources{0, 2, 1}));
  EXPECT_TRUE(submitted(api).spec.exclusive);
}

TEST(SubmitScript, NodesMayBeNamedInAFileOfTheCurrentFolder) {
  const ScriptOnDisk script("#!/bin/sh\n#SBATCH --gres=gpu:1\n"), hosts("node[01-02]\nnode04\n");
  FakeApi api;
  api.on("POST /v1/jobs", R"({"job":12})");
  EXPECT_EQ(run(api, {"submit", "-q", "-w", hosts.path(), "-x", "node02", "-C", "nvlink&ib", script.path()}).code, 0);
  EXPECT_EQ(submitted(api).spec.only_nodes, (std::vector<std::string>{"node01", "node02", "node04"}));
  EXPECT_EQ(submitted(api).spec.without_nodes, (std::vector<std::string>{"node02"}));
  EXPECT_EQ(submitted(api).spec.features, (std::vector<std::string>{"nvlink", "ib"}));
  const Ran ran = run(api, {"submit", "-q", "-w", "/no/such/file", script.path()});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err, "error: --nodelist: /no/such/file can't be read; name a file that exists and that you may read\n");
}

TEST(Run, OutsideAJobSaysWhatToDo) {
  const Ran ran = run({"run", "--", "x"}, {{"ULTRA_HOME", "/nowhere"}});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err,
            "error: ultra run: this is not inside a job (ULTRA_JOB_ID is not set); put it into a script for 'ultra submit', or run the "
            "command by "
            "itself: ultra submit --gpus 8 --follow -- COMMAND\n");
}

std::string gang_view(const std::string& rest) {
  return R"({"details":{"gang":3,"finished_ms":5)" + rest + R"(},"attempt":1,"exit_code":)";
}

class RunInside : public testing::Test {
 protected:
  RunInside() {
    api_.on("POST /v1/jobs/9/gangs", R"({"gang":3,"attempt":1})");
    api_.on("GET /v1/jobs/9/gangs/3/logs", test::log_line(0, "out", "one\ntw") + test::log_line(1, "out", "uno\n") +
                                               test::log_line(0, "err", "oops\n") + test::log_line(0, "out", "o"));
    api_.on("GET /v1/jobs/9/gangs/3/wait", gang_view("") + "0}");
  }
  Ran run_inside(std::vector<std::string> words) {
    words.insert(words.begin(), "run");
    return run(words, {{"ULTRA_HOME", api_.home()}, {"ULTRA_JOB_ID", "9"}, {"LR", "0.1"}, {"BAD", "caf\xE9"}});
  }
  FakeApi api_;
};

TEST_F(RunInside, AsksForAGangAndPrintsItsLinesWhole) {
  const Ran ran = run_inside({"--ranks", "4", "--ranks-per-node", "2", "--mpi", "none", "--workdir", "/data", "--", "python3", "train.py"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "one\nuno\ntwo\n");
  EXPECT_EQ(ran.err, "warning: not sent to the ranks, because not UTF-8: BAD\noops\n");
  const auto sent = protocol::from_json<protocol::GangRequest>(api_.requests().front().body, protocol::Unknown::refused);
  EXPECT_EQ(sent.spec.command, (std::vector<std::string>{"python3", "train.py"}));
  EXPECT_EQ(sent.spec.ranks, 4);
  EXPECT_EQ(sent.spec.ranks_per_node, 2);
  EXPECT_EQ(sent.spec.mpi, MpiMode::none);
  EXPECT_EQ(sent.spec.working_directory, "/data");
  EXPECT_EQ(sent.environment.at("LR"), "0.1");
}

TEST_F(RunInside, SomeOfTheNodesAndTheirCpus) {
  run_inside({"--nodes", "1", "--nodelist", "n[2-3],n7", "--cpus-per-rank", "4", "--bind", "none", "--", "x"});
  const auto sent = protocol::from_json<protocol::GangRequest>(api_.requests().front().body, protocol::Unknown::refused);
  EXPECT_EQ(sent.spec.nodes, 1);
  EXPECT_EQ(sent.spec.only_nodes, (std::vector<std::string>{"n2", "n3", "n7"}));
  EXPECT_EQ(sent.spec.cpus_per_rank, 4);
  EXPECT_EQ(sent.spec.bind, BindMode::none);
  EXPECT_THAT(run_inside({"--bind", "core", "--", "x"}).err, HasSubstr("--bind: \"core\" is not known; give one of auto, none"));
  EXPECT_THAT(run_inside({"--nodelist", "n[2", "--", "x"}).err, HasSubstr("--nodelist: \"n[2\" is no list of nodes"));
}

TEST_F(RunInside, ExecAsksForOneProcessBesideARank) {
  const Ran ran = run({"exec", "9", "--rank", "3", "--", "nvidia-smi", "--rank"}, {{"ULTRA_HOME", api_.home()}, {"LR", "0.1"}});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "one\ntwuno\no") << "byte for byte";
  const auto sent = protocol::from_json<protocol::GangRequest>(api_.requests().front().body, protocol::Unknown::refused);
  EXPECT_EQ(sent.spec.command, (std::vector<std::string>{"nvidia-smi", "--rank"}));
  EXPECT_EQ(sent.spec.beside_rank, 3);
  EXPECT_FALSE(sent.spec.terminal) << "no terminal here";
  EXPECT_TRUE(sent.environment.empty()) << "it has the job's";
  EXPECT_THAT(run({"exec", "9", "nvidia-smi"}, {{"ULTRA_HOME", api_.home()}}).err, HasSubstr("unexpected word \"nvidia-smi\"; give it after --"));
  EXPECT_THAT(run({"exec", "9"}, {{"ULTRA_HOME", api_.home()}}).err, HasSubstr("command: nothing to run"));
  EXPECT_THAT(run({"exec", "--", "x"}, {{"ULTRA_HOME", api_.home()}}).err, HasSubstr("JOB: "));
}

TEST(RemoteShell, TakesSshsOptionsAndJoinsTheWords) {
  const RemoteCommand plain = parse_remote_command({"n2", "orted", "-mca", "x", "\"a b\""});
  EXPECT_EQ(plain.host, "n2");
  EXPECT_EQ(plain.command, "orted -mca x \"a b\"");
  const RemoteCommand busy = parse_remote_command({"-x", "-o", "BatchMode=yes", "-oPort=3", "-l", "kim", "-T", "kim@n3", "true"});
  EXPECT_EQ(busy.host, "n3");
  EXPECT_EQ(busy.command, "true");
  EXPECT_THROW(parse_remote_command({"-x"}), CommandError);
  EXPECT_THROW(parse_remote_command({"n2"}), CommandError);
}

TEST_F(RunInside, LabelsLinesIfAsked) { EXPECT_EQ(run_inside({"-l", "--", "x"}).out, "[0] one\n[1] uno\n[0] two\n"); }

TEST_F(RunInside, EndsWithTheGangsCodeAndSaysWhoFailed) {
  api_.on("GET /v1/jobs/9/gangs/3/wait", gang_view(R"(,"outcome":"failed","failure":{"rank":1,"node":"node02","exit_code":7})") + "7}");
  const Ran ran = run_inside({"--", "x"});
  EXPECT_EQ(ran.code, 7);
  EXPECT_THAT(ran.err, HasSubstr("error: gang 3 of job 9: rank 1 on node02 ended with code 7\n"));
}

TEST_F(RunInside, ASignalStopsTheGangAndASecondLeavesIt) {
  // The first signal comes while output is awaited, the second when the stop was answered.
  api_.on("GET /v1/jobs/9/gangs/3/logs", [](const net::Request&, std::shared_ptr<net::Reply> reply) {
    auto stream = reply->start_stream(200, "application/x-ndjson");
    static std::shared_ptr<net::Stream> kept;  // the stream stays open
    kept = stream;
    kill(getpid(), SIGTERM);
  });
  api_.on("POST /v1/jobs/9/gangs/3/stop", R"({"details":{"gang":3,"stop_requested":true},"attempt":1})");
  const Ran ran = run_inside({"--", "x"});
  EXPECT_EQ(ran.code, 130);
  EXPECT_THAT(ran.err, HasSubstr("Stopping gang 3 of job 9; once more to leave it to its end.\n"));
  EXPECT_THAT(ran.err, HasSubstr("Left gang 3 of job 9; see 'ultra logs 9 --gang 3'.\n"));
  int stops = 0;
  for (const auto& request : api_.requests()) stops += request.path == "/v1/jobs/9/gangs/3/stop" ? 1 : 0;
  EXPECT_EQ(stops, 1);
}

TEST_F(RunInside, WhatTheSchedulerRefusesIsOneLine) {
  api_.refuse("POST /v1/jobs/9/gangs", 409, "conflict", "", "job 9 is not running", "");
  const Ran ran = run_inside({"--", "x"});
  EXPECT_EQ(ran.code, 6);
  EXPECT_THAT(ran.err, HasSubstr("error: job 9 is not running\n"));
}

TEST(LogsChoice, SeveralRanksAreChosenHere) {
  FakeApi api;
  api.on("GET /v1/jobs/9/logs", test::log_line(0, "out", "a\n") + test::log_line(1, "out", "b\n") + test::log_line(2, "out", "c\n"));
  EXPECT_EQ(run(api, {"logs", "9", "--rank", "0,2"}).out, "[0] a\n[2] c\n");
  EXPECT_EQ(api.requests().back().query.count("rank"), 0U);
  EXPECT_EQ(run(api, {"logs", "9", "--rank", "2"}).out, "c\n");
  EXPECT_EQ(api.requests().back().query.at("rank"), "2");
  EXPECT_THAT(run(api, {"logs", "9", "--rank", "2-1"}).err, HasSubstr("--rank: \"2-1\" is no list of ranks"));
}

TEST(LogsChoice, GrepShowsLinesThatMatch) {
  FakeApi api;
  api.on("GET /v1/jobs/9/logs", test::log_line(0, "out", "step 1 loss 3\nother\nstep 2 lo") + test::log_line(0, "out", "ss 2\nlast loss"));
  EXPECT_EQ(run(api, {"logs", "9", "--grep", "loss [0-9]+$"}).out, "[0] step 1 loss 3\n[0] step 2 loss 2\n");
  EXPECT_THAT(run(api, {"logs", "9", "--grep", "("}).err, HasSubstr("--grep: \"(\": "));
}

TEST(LogsChoice, SinceAndGangTravel) {
  FakeApi api;
  api.on("GET /v1/jobs/12_3/gangs/2/logs", test::log_line(0, "out", "a\n"));
  EXPECT_EQ(run(api, {"logs", "12_3", "--gang", "2", "--since", "10m"}).out, "[0] a\n");
  EXPECT_EQ(api.requests().back().query.at("since_ms"), std::to_string((fixed_now - minutes(10)).ms));
  run(api, {"logs", "12_3", "--gang", "2", "--since", "2023-11-14 22:00"});
  EXPECT_EQ(api.requests().back().query.at("since_ms"), "1699999200000");
  run(api, {"logs", "12_3", "--gang", "2", "--since", "22:00:05"});
  EXPECT_EQ(api.requests().back().query.at("since_ms"), "1699999205000");
  EXPECT_THAT(run(api, {"logs", "9", "--since", "yesterday"}).err, HasSubstr("--since: \"yesterday\" is no moment"));
}

TEST(LogsChoice, AScriptsOutputIsAsItCame) {
  FakeApi api;
  protocol::JobView view = test::running_job();
  view.details.spec.script = Script{"#!/bin/sh\n"};
  api.on("GET /v1/jobs/9", json_of(view));
  api.on("GET /v1/jobs/9/logs", test::log_line(0, "out", "a\nb"));
  EXPECT_EQ(run(api, {"logs", "9"}).out, "a\nb");
}

TEST(CancelArray, ElementsByNameOrAllByTheArrays) {
  FakeApi api;
  for (const char* name : {"12_1", "12_2", "12"}) {
    protocol::JobView view = test::running_job();
    view.details.state = JobState::cancelled;
    api.on("POST /v1/jobs/" + std::string(name) + "/cancel", json_of(view));
  }
  EXPECT_EQ(run(api, {"cancel", "12_[1-2]"}).out, "Job 12_1 is cancelled.\nJob 12_2 is cancelled.\n");
  EXPECT_EQ(run(api, {"cancel", "12"}).out, "Job 12 is cancelled.\n");
}

TEST(ShowScript, TellsWhatWasAskedAndWhatIsWithoutEffect) {
  FakeApi api;
  protocol::JobView view = test::failed_job();
  JobSpec& spec = view.details.spec;
  spec.script = Script{"#!/bin/sh\necho hi\n"};
  spec.command = {"job.sh", "--lr", "1"};
  spec.gpu_type = "H100";
  spec.cpus_per_gpu = 12;
  spec.memory_per_gpu_bytes = std::int64_t{64} << 30;
  spec.features = {"ib", "nvlink"};
  spec.only_nodes = {"n01", "n02", "n04"};
  spec.without_nodes = {"n09"};
  spec.exclusive = true;
  spec.ranks_per_node = 2;
  spec.dependencies = {{{5}, DependencyCondition::any}};
  spec.output = "out/%j.txt";
  spec.append_output = true;
  spec.warning = WarningSignal{SIGUSR1, seconds(90), true};
  spec.recorded = {{"hint", "x"}, {"requeue", ""}};
  view.details.array = ArrayElement{{5}, 2, 4, 0, 3, 1, 2};
  Gang gang;
  gang.gang = 2;
  gang.spec = GangSpec{{"python3", "train.py"}, "/data", MpiMode::automatic, 0, 0};
  gang.outcome = Outcome::failed;
  gang.failure = Failure{.rank = 1, .node = "node02", .exit_code = 3, .last_lines = {"last words"}, .at_ms = fixed_now};
  view.details.attempts.back().gangs.push_back(gang);
  api.on("GET /v1/jobs/5_2", json_of(view));
  const Ran ran = run(api, {"show", "5_2"});
  EXPECT_EQ(ran.code, 0);
  for (const char* part :
       {"Job 5_2 train: failed\n", "array\tindex 2 of array 5, which has 4; at most 2 at once\n", "script\tjob.sh --lr 1 (printed by",
        "gpu type\tH100\ncpus per gpu\t12\nmemory per gpu\t64.0 GiB\nfeatures\tib, nvlink\nonly on\tn[01-02,04]\nnot on\tn09\n",
        "exclusive\tits nodes are its own, with all their GPUs\n", "ranks\t2 on each node\n", "after\t5 any\n", "output\tout/%j.txt (appended to)\n",
        "signal\tSIGUSR1 to the script, 1m 30s before the limit\n", "Kept without effect\n--hint\tx\n--requeue\tyes\n",
        "Gang 1 (the script)\n", "Gang 2\ncommand\tpython3 train.py\nfolder\t/data\n",
        "failure\trank 1 on node02 ended with code 3\n  |\tlast words\n"}) {
    EXPECT_THAT(ran.out, HasSubstr(part));
  }
  EXPECT_EQ(run(api, {"show", "5_2", "--script"}).out, "#!/bin/sh\necho hi\n");
}

TEST(ShowArray, CountsItsElementsByState) {
  FakeApi api;
  protocol::JobView view = array_view(12, 0, 16);
  view.array = protocol::ArrayView{16, {{"running", {0, 1, 2, 3}}, {"queued", {4, 5, 7}}}};
  api.on("GET /v1/jobs/12", json_of(view));
  const Ran ran = run(api, {"show", "12"});
  EXPECT_THAT(ran.out, HasSubstr("Array 12 train: queued\n"));
  EXPECT_THAT(ran.out, HasSubstr("Elements\nqueued\t4-5,7 (3)\nrunning\t0-3 (4)\n"));
}

}  // namespace
}  // namespace ultramarine::cli
