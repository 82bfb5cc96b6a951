// Argument vectors become verbs, arguments and requests; every mistake is one line that names the word at fault.
#include "scheduler/cli/command_line.h"

#include <gtest/gtest.h>

#include "scheduler/cli/local_files.h"
#include "scheduler/cli/nearest.h"
#include "scheduler/cli/verbs/submission.h"

namespace ultramarine::cli {
namespace {

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all = all_verbs();
  return all;
}

CommandLine parse(const std::vector<std::string>& words) { return parse_command_line(verbs(), words); }

/// The error's line; "" when there is none. Every one is a usage error of one line.
std::string mistake(const std::vector<std::string>& words) {
  try {
    parse(words);
    return "";
  } catch (const CommandError& error) {
    EXPECT_EQ(error.code, exit_code::usage);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
}

TEST(CommandLineWords, FindVerbsAndTheirOptions) {
  const CommandLine line = parse({"--socket", "/tmp/s", "queue", "--state=queued", "-a", "--color", "never"});
  ASSERT_NE(line.verb, nullptr);
  EXPECT_EQ(line.verb->path, "queue");
  EXPECT_EQ(line.arguments.text("--state"), "queued");
  EXPECT_TRUE(line.arguments.has("--all"));
  EXPECT_FALSE(line.arguments.has("--me"));
  EXPECT_EQ(line.socket, "/tmp/s");
  EXPECT_EQ(line.colour, ColourMode::never);
  EXPECT_EQ(parse({"cluster", "up", "--nodes", "2"}).verb->path, "cluster up");
  EXPECT_EQ(parse({"queue", "--socket", "/tmp/t"}).socket, "/tmp/t");
}

TEST(CommandLineWords, TheCommandIsTakenAsItIs) {
  const std::vector<std::string> command{"python3", "t.py", "--gpus", "4", "--", "-x", "[a,b]", "", "--help"};
  std::vector<std::string> words{"submit", "--gpus", "2", "--"};
  words.insert(words.end(), command.begin(), command.end());
  EXPECT_EQ(parse(words).arguments.positionals, command);
  words.erase(words.begin() + 3);  // the first word that is no option begins it too
  const CommandLine line = parse(words);
  EXPECT_EQ(line.arguments.positionals, command);
  EXPECT_EQ(line.arguments.text("--gpus"), "2");
}

TEST(CommandLineWords, ValuesMayLookLikeAnything) {
  EXPECT_EQ(parse({"submit", "--name", "-dash", "--", "x"}).arguments.text("--name"), "-dash");
  EXPECT_EQ(parse({"submit", "--name=a=b", "--", "x"}).arguments.text("--name"), "a=b");
  EXPECT_EQ(parse({"submit", "--name", "[x]", "--", "x"}).arguments.text("--name"), "[x]");
  EXPECT_EQ(parse({"submit", "--name", "two words", "--", "x"}).arguments.text("--name"), "two words");
  EXPECT_EQ(parse({"submit", "--name", "%% {y}", "--", "x"}).arguments.text("--name"), "%% {y}");
}

TEST(CommandLineWords, MistakesNameTheWordAndTheNearestRightOne) {
  EXPECT_EQ(mistake({"qeue"}), "qeue: unknown verb; did you mean 'ultra queue'?");
  EXPECT_EQ(mistake({"cluster", "stauts"}), "stauts: unknown verb; did you mean 'ultra cluster status'?");
  EXPECT_EQ(mistake({"up"}), "up: unknown verb; did you mean 'ultra cluster up'?");
  EXPECT_EQ(mistake({"frobnicate"}), "frobnicate: unknown verb; see 'ultra --help'");
  EXPECT_EQ(mistake({"submit", "--gpu", "8", "--", "x"}), "--gpu: unknown option; did you mean --gpus?");
  EXPECT_EQ(mistake({"submit", "--gpsu=8", "--", "x"}), "--gpsu: unknown option; did you mean --gpus?");
  EXPECT_EQ(mistake({"queue", "--zzz"}), "--zzz: unknown option; see 'ultra queue --help'");
  EXPECT_EQ(mistake({"submit", "--gpus"}), "--gpus: needs a value; write --gpus N");
  EXPECT_EQ(mistake({"submit", "--gpus", "--name", "x", "--", "y"}), "--gpus: needs a value; write --gpus N");
  EXPECT_EQ(mistake({"submit", "--name=", "--", "y"}), "--name: its value is empty; write --name NAME");
  EXPECT_EQ(mistake({"queue", "--json=yes"}), "--json: takes no value; write --json");
  EXPECT_EQ(mistake({"queue", "--me", "--me"}), "--me: given twice; give it once");
  EXPECT_EQ(mistake({"queue", "12"}), "unexpected word \"12\"; see 'ultra queue --help'");
  EXPECT_EQ(mistake({"show", "1", "2"}), "JOB: one job at a time; give one job number");
  EXPECT_EQ(mistake({"cancel"}), "JOB: none given; name it by its number: ultra cancel 12 ('ultra queue' lists them)");
  EXPECT_EQ(mistake({"run", "--ranks", "2", "--"}), "command: nothing to run; give it after --, for example: ultra run -- python3 train.py");
  EXPECT_EQ(mistake({"queue", "--color", "blue"}), "--color: \"blue\" is not known; give one of auto, always, never");
}

TEST(CommandLineWords, ARepeatableOptionKeepsAllItsValues) {
  EXPECT_EQ(parse({"submit", "--after", "12", "--gpus", "2", "--after=13:any", "--", "x"}).arguments.text("--after"), "12,13:any");
}

TEST(CommandLineWords, AScriptIsToldFromACommandByTheDashes) {
  const Arguments script = parse({"submit", "--gpus", "2", "job.sh", "--epochs", "3", "--", "x"}).arguments;
  EXPECT_FALSE(script.after_dashes);
  EXPECT_EQ(script.positionals, (std::vector<std::string>{"job.sh", "--epochs", "3", "--", "x"}));
  EXPECT_TRUE(parse({"submit", "--", "job.sh"}).arguments.after_dashes);
  EXPECT_EQ(parse({"submit", "-"}).arguments.positionals, (std::vector<std::string>{"-"}));
}

TEST(Arguments, JobsHaveNumbersOrElementsOfArrays) {
  const auto names = [](const std::vector<std::string>& words) {
    Arguments made;
    made.positionals = words;
    std::string text;
    for (const JobName& name : made.job_names()) text += name.text + " ";
    return text;
  };
  EXPECT_EQ(names({"12", "13_4", "14_[1-3,7]"}), "12 13_4 14_1 14_2 14_3 14_7 ");
  for (const char* wrong : {"", "x", "0", "-1", "12_", "12_x", "12_[]", "12_[3-1]", "12_[1-100000]", "12_1-3", "12.0"})
    EXPECT_THROW(names({wrong}), CommandError) << wrong;
  EXPECT_EQ(ranges_text({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
}

TEST(CommandLineWords, HelpIsEverywhereAndNamesEveryOption) {
  for (const Verb& verb : verbs()) {
    std::vector<std::string> words;
    const std::size_t space = verb.path.find(' ');
    words.push_back(verb.path.substr(0, space));
    if (space != std::string::npos) words.push_back(verb.path.substr(space + 1));
    words.push_back("--help");
    const CommandLine line = parse(words);
    EXPECT_EQ(line.verb, nullptr);
    EXPECT_FALSE(line.text_is_error);
    EXPECT_NE(line.text.find("Usage: ultra " + verb.path), std::string::npos) << line.text;
    for (const Option& option : verb.options)
      EXPECT_NE(line.text.find(option.name), std::string::npos) << verb.path << " " << option.name;
    EXPECT_NE(parse({"--help"}).text.find(words.front()), std::string::npos);
  }
  EXPECT_TRUE(parse({}).text_is_error);
  EXPECT_TRUE(parse({"cluster"}).text_is_error);
}

TEST(Arguments, NumbersAndTimesAreReadStrictly) {
  const auto arguments = [](const std::string& option, const std::string& value) {
    Arguments made;
    made.values[option] = value;
    return made;
  };
  EXPECT_EQ(arguments("--gpus", "8").whole_number("--gpus", 1, 64), 8);
  for (const char* wrong : {"eight", "8x", " 8", "", "8.0", "99999999999999999999", "0", "65", "-1"}) {
    EXPECT_THROW(arguments("--gpus", wrong).whole_number("--gpus", 1, 64), CommandError) << wrong;
  }
  EXPECT_EQ(arguments("--time", "2h").duration("--time"), hours(2));
  EXPECT_EQ(arguments("--time", "1-12:00").duration("--time"), hours(36));
  EXPECT_THROW(arguments("--time", "soon").duration("--time"), CommandError);
  EXPECT_EQ(Arguments{}.whole_number("--gpus", 1, 64), std::nullopt);
}

protocol::SubmitRequest request_of(const std::vector<std::string>& words,
                                   const std::map<std::string, std::string>& environment = {}) {
  return submission(parse(words).arguments, environment, "/home/ada").request;
}

std::string refused(const std::vector<std::string>& words, const std::map<std::string, std::string>& environment = {}) {
  try {
    request_of(words, environment);
    return "";
  } catch (const CommandError& error) {
    EXPECT_EQ(error.code, exit_code::usage);
    return error.what();
  }
}

TEST(Submission, OptionsBecomeTheJobsDescription) {
  const JobSpec spec =
      request_of({"submit", "--nodes", "2",    "--gpus-per-node", "8",      "--name",      "n",       "--time",
                  "90",     "--grace", "5s",   "--account",       "vision", "--partition", "main",    "--qos",
                  "urgent", "--mpi",   "pmix", "--workdir",       "runs/1", "--",          "./train", "-v"})
          .spec;
  EXPECT_EQ(spec.resources, (Resources{0, 2, 8}));
  EXPECT_EQ(spec.name, "n");
  EXPECT_EQ(spec.time_limit_ms, minutes(90));
  EXPECT_EQ(spec.stop_grace_ms, seconds(5));
  EXPECT_EQ(spec.account, "vision");
  EXPECT_EQ(spec.partition, "main");
  EXPECT_EQ(spec.qos, "urgent");
  EXPECT_EQ(spec.mpi, MpiMode::pmix);
  EXPECT_EQ(spec.working_directory, "/home/ada/runs/1");
  EXPECT_EQ(spec.command, (std::vector<std::string>{"./train", "-v"}));
}

TEST(Submission, DefaultsAreOneGpuHereWithTheProgramsName) {
  const JobSpec spec = request_of({"submit", "--", "/usr/bin/python3", "x.py"}).spec;
  EXPECT_EQ(spec.resources, (Resources{1, 0, 0}));
  EXPECT_EQ(spec.name, "python3");
  EXPECT_EQ(spec.working_directory, "/home/ada");
  EXPECT_EQ(spec.time_limit_ms, Duration{0});  // the partition's
  EXPECT_EQ(spec.mpi, MpiMode::automatic);
}

TEST(Submission, TheEnvironmentGoesWholeOrChosenAndItsValuesNeverThroughArguments) {
  const std::map<std::string, std::string> shell{
      {"PATH", "/bin"}, {"HOME", "/h"}, {"VIRTUAL_ENV", "/v"}, {"TOKEN", "t"}, {"EDITOR", "vi"}};
  EXPECT_EQ(request_of({"submit", "--", "x"}, shell).environment, shell);
  EXPECT_EQ(request_of({"submit", "--export", "ALL", "--", "x"}, shell).environment, shell);
  EXPECT_EQ(request_of({"submit", "--export", "NONE", "--", "x"}, shell).environment,
            (std::map<std::string, std::string>{{"PATH", "/bin"}, {"HOME", "/h"}}));
  EXPECT_EQ(
      request_of({"submit", "--export", "TOKEN,VIRTUAL_ENV", "--", "x"}, shell).environment,
      (std::map<std::string, std::string>{{"PATH", "/bin"}, {"HOME", "/h"}, {"TOKEN", "t"}, {"VIRTUAL_ENV", "/v"}}));
  EXPECT_EQ(refused({"submit", "--export", "TOKNE", "--", "x"}, shell),
            "--export: TOKNE is not set in this environment; did you mean TOKEN?");
  EXPECT_EQ(refused({"submit", "--export", "TOKEN=abc", "--", "x"}, shell),
            "--export: values don't belong on a command line, where everybody can read them; set TOKEN in the "
            "environment and give only its name");
}

TEST(Submission, VariablesThatAreNotUtf8StayBehindAndAreNamed) {
  const auto made = submission(parse({"submit", "--", "x"}).arguments, {{"GOOD", "a?b\n\033"}, {"BAD", "caf\xE9"}}, "/");
  EXPECT_EQ(made.request.environment, (std::map<std::string, std::string>{{"GOOD", "a?b\n\033"}}));
  EXPECT_EQ(made.warnings, (std::vector<std::string>{"not sent with the job, because not UTF-8: BAD"}));
}

TEST(Submission, ImpossibleCombinationsAreSaidBeforeAnythingIsSent) {
  EXPECT_EQ(refused({"submit", "--gpus", "2", "--nodes", "1", "--", "x"}),
            "--gpus: can't be combined with --nodes; give either --gpus N, or --nodes N --gpus-per-node K");
  EXPECT_EQ(refused({"submit", "--nodes", "1", "--", "x"}),
            "--gpus-per-node: missing beside --nodes; add for example --gpus-per-node 8");
  EXPECT_EQ(refused({"submit", "--gpus-per-node", "1", "--", "x"}),
            "--nodes: missing beside --gpus-per-node; add for example --nodes 1");
  EXPECT_EQ(refused({"submit", "--gpus", "0", "--", "x"}), "--gpus: 0 is out of range; give 1 to 1000000");
  EXPECT_EQ(refused({"submit", "--mpi", "pmxi", "--", "x"}), "--mpi: \"pmxi\" is not known; did you mean pmix?");
  EXPECT_EQ(refused({"submit", "--time", "0s", "--", "x"}), "--time: shorter than a second; give at least 1s");
}

TEST(Submission, EveryOptionOfTheVerbIsInTheTableOfScriptsToo) {
  for (const Verb& verb : verbs()) {
    if (verb.path != "submit") continue;
    for (const Option& option : verb.options) {
      const batch::OptionRule* rule = batch::find_option(batch::Dialect::ultra, option.name.substr(2));
      ASSERT_NE(rule, nullptr) << option.name;
      if (rule->treatment == batch::Treatment::honoured) {
        EXPECT_EQ(rule->takes == batch::Takes::nothing, option.value_name.empty()) << option.name;
      }
    }
    for (const batch::OptionRule& rule : batch::option_rules(batch::Dialect::ultra)) {
      const auto known = [&](const Option& option) { return option.name == "--" + std::string(rule.name); };
      EXPECT_TRUE(rule.name == "help" || std::any_of(verb.options.begin(), verb.options.end(), known)) << rule.name;
    }
  }
}

TEST(Submission, WholeNodesNeedNoNumberOfGpus) {
  const Submission made = submission(parse({"submit", "--nodes", "2", "--exclusive", "-C", "nvlink", "--", "x"}).arguments, {}, "/home/ada");
  EXPECT_EQ(made.request.spec.resources, (Resources{0, 2, 1}));
  EXPECT_TRUE(made.request.spec.exclusive);
  EXPECT_EQ(made.request.spec.features, std::vector<std::string>{"nvlink"});
}

TEST(Submission, AScriptIsWeakerThanVariablesAndThoseThanTheCommandLine) {
  const ScriptFile script{"job.sh", "#!/bin/bash\n#SBATCH -N 2 --gres=gpu:4 -p gpu -A lab\n#ULTRA --qos ours\n"};
  const Submission made = submission(parse({"submit", "--time", "90s", "--gpus", "16", "job.sh", "--lr", "1"}).arguments,
                                     {{"SBATCH_PARTITION", "long"}, {"ULTRA_SUBMIT_NAME", "n"}}, "/home/ada", script);
  const JobSpec& spec = made.request.spec;
  EXPECT_EQ(spec.resources, (Resources{0, 2, 8}));
  EXPECT_EQ(spec.partition, "long");
  EXPECT_EQ(spec.account, "lab");
  EXPECT_EQ(spec.qos, "ours");
  EXPECT_EQ(spec.name, "n");
  EXPECT_EQ(spec.time_limit_ms, seconds(90));
  EXPECT_EQ(spec.command, (std::vector<std::string>{"job.sh", "--lr", "1"}));
  EXPECT_EQ(spec.output, "slurm-%j.out");
  EXPECT_EQ(made.places.at("partition"), "SBATCH_PARTITION");
  EXPECT_EQ(made.places.at("account"), "job.sh:2: --account");
}

TEST(Submission, AScriptMayExportValuesAndNamesThatAreNotSet) {
  const ScriptFile script{"job.sh", "#!/bin/bash\n#SBATCH -G 1 --export=TOKEN,MISSING,LR=0.1\n"};
  const Submission made = submission(parse({"submit", "job.sh"}).arguments, {{"PATH", "/bin"}, {"TOKEN", "t"}, {"EDITOR", "vi"}}, "/home/ada", script);
  std::map<std::string, std::string> sent = made.request.environment;
  EXPECT_EQ(sent["ULTRA_SUBMIT_DIR"], "/home/ada");
  EXPECT_FALSE(sent["ULTRA_SUBMIT_HOST"].empty());
  std::erase_if(sent, [](const auto& entry) { return entry.first.starts_with("ULTRA_SUBMIT_"); });
  EXPECT_EQ(sent, (std::map<std::string, std::string>{{"PATH", "/bin"}, {"TOKEN", "t"}, {"LR", "0.1"}}));
}

TEST(Submission, InsideAJobItsOwnVariablesStayBehind) {
  const std::map<std::string, std::string> inside{{"ULTRA_JOB_ID", "7"}, {"SLURM_JOB_ID", "7"}, {"RANK", "0"}, {"ULTRA_HOME", "/u"}, {"LR", "1"},
                                                  {"CUDA_VISIBLE_DEVICES", "0"}, {"ULTRA_SOCKET", "/s"}, {"SLURM_CONF", "/c"}, {"ULTRA_SUBMIT_DIR", "/d"}};
  EXPECT_EQ(request_of({"submit", "--", "x"}, inside).environment, (std::map<std::string, std::string>{{"ULTRA_HOME", "/u"}, {"LR", "1"}}));
  const std::map<std::string, std::string> outside{{"SLURM_CONF", "/c"}, {"RANK", "0"}};
  EXPECT_EQ(request_of({"submit", "--", "x"}, outside).environment, outside);
}

TEST(Nearest, ForgivesAThirdOfTheLettersAndPrefixes) {
  const std::vector<std::string> known{"queue", "submit", "show", "cancel", "cluster"};
  EXPECT_EQ(nearest("qeue", known), "queue");
  EXPECT_EQ(nearest("sumbit", known), "submit");
  EXPECT_EQ(nearest("clus", known), "cluster");
  EXPECT_EQ(nearest("s", known), "");
  EXPECT_EQ(nearest("frobnicate", known), "");
  EXPECT_EQ(nearest("", known), "");
  EXPECT_EQ(did_you_mean("shwo", known, "no idea"), "did you mean show?");
  EXPECT_EQ(did_you_mean("frobnicate", known, "no idea"), "no idea");
}

TEST(Places, TheServicesSocketServesWhereThereIsNoOwnCluster) {
  const std::string here = "/proc/self/exe", nowhere = "/nowhere/scheduler.sock";  // any file that exists, and none
  EXPECT_EQ(socket_path(std::nullopt, {}, "/h/.ultramarine", here), here);
  EXPECT_EQ(socket_path(std::nullopt, {}, "/h/.ultramarine", nowhere), "/h/.ultramarine/scheduler.sock");
  EXPECT_EQ(socket_path(std::nullopt, {{"ULTRA_HOME", "/h"}}, "/h", here), "/h/scheduler.sock") << "asked for";
  EXPECT_EQ(socket_path(std::nullopt, {{"ULTRA_SOCKET", "/s"}}, "/h", here), "/s");
}

TEST(Places, SocketComesFromOptionThenVariableThenHome) {
  const std::map<std::string, std::string> environment{{"HOME", "/h"}, {"ULTRA_SOCKET", "/s/x.sock"}};
  EXPECT_EQ(home_folder({{"HOME", "/h"}}), "/h/.ultramarine");
  EXPECT_EQ(home_folder({{"HOME", "/h"}, {"ULTRA_HOME", "/u//v/"}}), "/u/v");
  EXPECT_EQ(socket_path("/o/y.sock", environment, "/h/.ultramarine"), "/o/y.sock");
  EXPECT_EQ(socket_path(std::nullopt, environment, "/h/.ultramarine"), "/s/x.sock");
  EXPECT_EQ(socket_path(std::nullopt, {}, "/h/.ultramarine"), "/h/.ultramarine/scheduler.sock");
  try {
    socket_path(std::nullopt, {}, "/" + std::string(100, 'x'));
    FAIL() << "a path that no socket can have";
  } catch (const CommandError& error) {
    EXPECT_EQ(error.code, exit_code::usage);
    EXPECT_TRUE(std::string(error.what()).starts_with("ULTRA_HOME: /xxx")) << error.what();
    EXPECT_TRUE(std::string(error.what()).ends_with("; choose a shorter ULTRA_HOME")) << error.what();
  }
}

}  // namespace
}  // namespace ultramarine::cli
