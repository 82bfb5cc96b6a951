// ultra submit: hands a script or a command to the cluster, with the shell's environment, and if asked stays with it.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "scheduler/cli/client.h"
#include "scheduler/cli/job_output.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/money.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/submission.h"
#include "scheduler/cli/verbs/submit.h"
#include "scheduler/cli/words.h"
#include "scheduler/net/proof.h"
#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {

/// What --dry-run prints.
struct DryRun {
  JobSpec spec;
  std::vector<std::int64_t> array_indices;
  std::int64_t array_limit = 0;
  std::vector<std::string> environment_names;
  std::vector<std::string> honoured;            // where each option that counts was given
  std::map<std::string, std::string> recorded;  // options that change nothing
  std::vector<std::string> warnings;
};
BOOST_DESCRIBE_STRUCT(DryRun, (), (spec, array_indices, array_limit, environment_names, honoured, recorded, warnings))

namespace {

void check_combinations(const Arguments& arguments) {
  const bool json = arguments.has("--json"), follow = arguments.has("--follow");
  if (json && follow)
    usage_error("--json", spoken("can't be combined with --follow, whose output is the job's"),
                spoken("use --json --wait, then 'ultra logs JOB'"));
  if (arguments.has("--rank") && !follow) usage_error("--rank", spoken("says which rank to follow"), spoken("add {0}", "--follow"));
  for (const char* brief : {"--quiet", "--parsable"}) {
    if (json && arguments.has(brief)) usage_error(brief, spoken("can't be combined with {0}", "--json"), spoken("give one of them"));
  }
  if (arguments.has("--wrap") && !arguments.positionals.empty())
    usage_error("--wrap", spoken("can't be combined with a script or a command"), spoken("put everything into the text of --wrap"));
  if (arguments.has("--wrap") && arguments.has("--file"))
    usage_error("--wrap", spoken("can't be combined with {0}", "--file"), spoken("give one of them"));
  if (arguments.positionals.empty() && !arguments.has("--wrap") && !arguments.has("--file"))
    usage_error("command", spoken("nothing to run"),
                spoken("give a script, or a command after --, for example: {0}", "ultra submit --gpus 8 -- python3 train.py"));
}

// --- the script ---

std::string read_all(std::istream& stream) {
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

/// A word that people give only to files of job scripts.
bool is_named_like_a_script(const std::string& word) {
  const std::string ending = std::filesystem::path(word).extension().string();
  return ending == ".sh" || ending == ".sbatch" || ending == ".slurm" || ending == ".job";
}

/// Takes the script that the arguments name, if they do: - is stdin, --wrap a line of shell, and a file a script when it looks like one.
std::optional<ScriptFile> find_script(Arguments& arguments) {
  if (const auto line = arguments.text("--wrap")) {
    arguments.positionals = {"wrap"};
    return ScriptFile{"wrap", "#!/bin/sh\n# Made from: ultra submit --wrap\n" + *line + "\n"};
  }
  if (arguments.after_dashes) return std::nullopt;
  std::string& word = arguments.positionals.front();
  if (word == "-") {
    word = "stdin";
    return ScriptFile{word, read_all(std::cin)};
  }
  std::error_code error;
  if (!std::filesystem::is_regular_file(word, error)) {
    if (is_named_like_a_script(word)) usage_error(word, spoken("no such file"), spoken("a command that is no script goes after --"));
    return std::nullopt;
  }
  std::ifstream file(word, std::ios::binary);
  std::string text = read_all(file);
  if (!file) usage_error(word, spoken("it can't be read"), spoken("check its permissions"));
  if (!batch::looks_like_script(text) && !is_named_like_a_script(word)) return std::nullopt;
  return ScriptFile{word, std::move(text)};
}

// --- what is said ---

std::string submitted_sentence(const protocol::JobView& view, std::int64_t count, std::int64_t limit) {
  const Job& job = view.details;
  const std::int64_t gpus = view.gpus > 0 ? view.gpus : total_gpus(job.spec.resources);
  std::string about = printable(job.spec.name) + ", ";
  if (count > 1 || job.array)
    about += spoken_count(count, "{0} element of {1}", "{0} elements of {1}", counted(gpus, "GPU", "GPUs"));
  else
    about += counted(gpus, "GPU", "GPUs");
  if (limit > 0) about += ", " + spoken("at most {0} at once", limit);
  if (job.spec.time_limit_ms.ms > 0) about += ", " + spoken("{0} limit", protocol::format_duration(job.spec.time_limit_ms));
  return job.array ? spoken("Submitted array {0} ({1}).", job.array->array.value, about)
                   : spoken("Submitted job {0} ({1}).", job.job.value, about);
}

void write_json(std::ostream& out, const std::string& id, const std::string& view) {
  out << "{\"job\":" << id << ",\"view\":" << view << "}\n";
}

void print_dry_run(const Submission& made, Context& context) {
  DryRun dry{made.request.spec, made.request.array_indices, made.request.array_limit, {}, made.honoured,
             made.request.spec.recorded, made.warnings};
  for (const auto& [name, value] : made.request.environment) dry.environment_names.push_back(name);
  context.out << protocol::to_json(dry) << '\n';
}

int stay_with(Client& client, const protocol::SubmitReply& reply, const Arguments& arguments, Context& context, const Interrupt& interrupt,
              bool brief) {
  const JobId job = reply.job;
  try {
    if (arguments.has("--follow")) {
      OutputChoice choice;
      if (const auto rank = arguments.whole_number("--rank", 0, 1'000'000)) choice.ranks = {*rank};
      const auto view = follow_job(client, job, choice, context, interrupt);
      say_end(view, context, price_sentence(client, job));
      return exit_code_of(view);
    }
    Progress progress(context.err, context.terminal);
    const auto answer = wait_for_end(client, job, std::nullopt, context, interrupt, progress);
    if (arguments.has("--json")) write_json(context.out, std::to_string(job.value), answer->body);
    const bool is_brief = arguments.has("--json") || brief;
    if (answer->value.details.state != JobState::completed || !is_brief) say_end(answer->value, context, is_brief ? "" : price_sentence(client, job));
    return exit_code_of(answer->value);
  } catch (const Interrupted&) {
    say_detached(job, context);
    return exit_code::interrupted;
  }
}

/// The line or the JSON that tells that the job is accepted.
void say_accepted(const protocol::SubmitReply& reply, const Submission& made, const Arguments& arguments, Context& context, bool wait) {
  const std::string id = std::to_string(reply.job.value);
  std::ostream& to = arguments.has("--follow") ? context.err : context.out;  // with --follow, stdout is the job's
  try {
    Client client(context.socket);
    const auto answer = client.job(reply.job);
    if (arguments.has("--json")) {
      if (!wait) write_json(context.out, id, answer.body);
      return;
    }
    to << submitted_sentence(answer.value, reply.count, made.request.array_limit) << '\n';
    if (!is_terminal(answer.value.details.state) && !answer.value.details.array) to << outlook(answer.value, context.now()) << '\n';
    if (const std::string price = price_sentence(client, reply.job); !price.empty()) to << price << '\n';
  } catch (const CommandError&) {
    // The job is safe; only its details can't be had now.
    if (arguments.has("--json"))
      context.out << "{\"job\":" << id << "}\n";
    else
      to << spoken("Submitted job {0}.", id) << '\n';
  }
}

}  // namespace

Submission submission_of(const Arguments& given, Context& context) {
  Arguments arguments = given;
  check_combinations(arguments);
  JobFile file;
  if (const auto name = arguments.text("--file")) file = read_job_file(*name);
  std::optional<ScriptFile> script = file.script;
  if (arguments.positionals.empty() && !file.command.empty())
    arguments.positionals = file.command;
  else
    script = find_script(arguments);  // what is typed is stronger
  std::error_code error;
  const std::string folder = std::filesystem::current_path(error).string();
  if (error && !arguments.has("--workdir") && !arguments.has("--chdir"))
    usage_error("--workdir", spoken("the current folder is gone"), spoken("give one that exists"));
  Submission made = submission(arguments, context.environment, folder.empty() ? "/" : folder, script, file.given, context.now());
  if (arguments.has("--follow") && !made.request.array_indices.empty())
    usage_error("--follow", spoken("an array has many elements"), spoken("use --wait, then 'ultra logs JOB_INDEX'"));
  if (arguments.has("--dry-run")) return made;
  warn(made.warnings, context);
  Client asking(context.socket);
  complete(made, asking);
  return made;
}

namespace {

int submit(const Arguments& arguments, Context& context) {
  Submission made = submission_of(arguments, context);
  if (arguments.has("--dry-run")) {
    print_dry_run(made, context);
    return exit_code::ok;
  }
  Client asking(context.socket);
  made.request.request_key = net::random_hex(16);
  protocol::SubmitReply reply;
  try {
    reply = asking.submit(made.request).value;
  } catch (const Refused& refused) {
    refuse_at_its_place(refused, made);
  }
  warn(reply.warnings, context);
  const bool follow = arguments.has("--follow"), wait = made.wait, brief = arguments.has("--quiet") || made.parsable;
  std::optional<Interrupt> interrupt;
  if (follow || wait) interrupt.emplace();
  if (brief)
    (follow ? context.err : context.out) << reply.job.value << '\n';
  else
    say_accepted(reply, made, arguments, context, wait);
  context.out.flush();
  if (!interrupt) return exit_code::ok;
  Client client(context.socket, &*interrupt);
  return stay_with(client, reply, arguments, context, *interrupt, brief);
}

}  // namespace

Verb submit_verb() {
  return {
      .path = "submit",
      .summary = "hand a script or a command to the cluster",
      .positionals = Positionals::script_or_command,
      .options = {{"--gpus", "N", "GPUs in all, one rank each (default 1)"},
                  {"--min-gpus", "N", "It runs on so few, too: what 'ultra why' may offer it to start sooner"},
                  {"--nodes", "N", "Nodes, with --gpus-per-node instead of --gpus"},
                  {"--gpus-per-node", "K", "GPUs on each node"},
                  {"--gpu-type", "TYPE", "Only GPUs of this type"},
                  {"--cpus-per-gpu", "N", "CPUs kept for each GPU (default: none are counted)"},
                  {"--mem-per-gpu", "SIZE", "Memory kept for each GPU, such as 64G (default: none is counted)"},
                  {"--constraint", "LIST", "Only nodes that have all these features: nvlink&infiniband", "-C"},
                  {"--nodelist", "NODES", "Only on these nodes: node[01-04], or a file's name with a /", "-w"},
                  {"--exclude", "NODES", "On none of these nodes", "-x"},
                  {"--exclusive", "", "Whole nodes, with all their GPUs"},
                  {"--name", "NAME", "Name of the job (default: the program's)"},
                  {"--time", "LENGTH", "Longest run: 30m, 2h, 1-12:00 (default: the partition's)"},
                  {"--account", "NAME", "Who is charged (default: your first account)"},
                  {"--partition", "NAME", "Set of nodes (default: the cluster's first)"},
                  {"--qos", "NAME", "Service level (default: normal)"},
                  {"--strict-names", "", "Refuse names that this cluster maps from another site"},
                  {"--array", "LIST", "One job for each index: 0-15, 1,3,5-7, 0-15%4 (at most 4 at once)"},
                  {"--after", "JOB[:HOW]", "Start when the job ended ok (default), any, notok, or started; repeatable", "", true},
                  {"--begin", "WHEN", "Start no earlier: now+2h, 16:00, tomorrow, 2026-12-24T10:00 (local time)"},
                  {"--deadline", "WHEN", "Run only if it can end by then, its whole --time used"},
                  {"--hold", "", "Wait until 'ultra release' lets it go"},
                  {"--nice", "N", "Taken from its priority: lets others go first; below 0 it goes ahead of others, which is for admins and managers"},
                  {"--reservation", "NAME", "Run inside this reservation ('ultra reservations')"},
                  {"--on-node-loss", "strict|fast|wait", "When a node of several is lost: run again elsewhere once its ranks have surely ended (default), at once, or never"},
                  {"--on-cut-off", "wait|stop-after=TIME", "When its only node is cut off from the scheduler: run on there (default), or stop there after TIME and run again elsewhere"},
                  {"--max-restarts", "N", "Queue again up to N times when it fails (default 0; failures of nodes aren't counted)"},
                  {"--hang-after", "TIME", "Without a step for so long it hangs, if it reports steps; off: never (default: as the cluster says)"},
                  {"--no-trial", "", "Don't run its first minutes at once on few GPUs, where the policy gives such trials"},
                  {"--ranks", "N", "Ranks in all (default: one per GPU)"},
                  {"--ranks-per-node", "K", "Ranks on each node, which share its GPUs"},
                  {"--cpus-per-rank", "N", "CPUs of each rank: counted on its node, and told to it"},
                  {"--mpi", "HOW", "auto (default: PMIx for several ranks), pmix or none"},
                  {"--bind", "HOW", "auto (default: each rank on cores near its GPU, where there is a core for each) or none"},
                  {"--output", "FILE", "File for what is printed: %j job, %A array, %a index, %x name, %N node, %t rank, %u user"},
                  {"--error", "FILE", "File for what is printed to stderr (default: with --output)"},
                  {"--open-mode", "MODE", "truncate (default) or append"},
                  {"--log-limit", "SIZE", "Longest output that is kept, such as 100MiB: its head and its tail"},
                  {"--export", "WHAT", "Environment to take along: ALL (default), NONE, or names A,B"},
                  {"--workdir", "FOLDER", "Where it runs (default: here)"},
                  {"--chdir", "FOLDER", "The same as --workdir"},
                  {"--mail-type", "LIST", "Mail on BEGIN, END, FAIL, REQUEUE, DELAYED (a favour moved its start), TIME_LIMIT_50, _80, _90, TIME_LIMIT; ALL, NONE; ARRAY_TASKS: for each element"},
                  {"--mail-user", "LIST", "Addresses or users who get it (default: you)"},
                  {"--webhook", "URL", "Send them there as JSON, too; without --mail-type: ALL"},
                  {"--signal", "[B:]SIG[@S]", "Send a signal S seconds (default 60) before the time limit; B: to the script alone"},
                  {"--grace", "LENGTH", "Time between SIGTERM and SIGKILL (default 30s)"},
                  {"--file", "FILE", "Take all this and the command from a job file (TOML: 'ultra validate --help'); what is typed is stronger"},
                  {"--wrap", "LINE", "Submit a script of this one line of shell"},
                  {"--dry-run", "", "Print what would be asked for as JSON, and submit nothing"},
                  {"--wait", "", "Wait for its end; exit with the job's code"},
                  {"--follow", "", "Print what its ranks print until its end; exit with the job's code", "-f"},
                  {"--rank", "N", "With --follow: only this rank, as it is"},
                  {"--json", "", "Print {\"job\": ID, \"view\": the job} as one JSON object"},
                  {"--quiet", "", "Print the job's number only", "-q"},
                  {"--parsable", "", "The same as --quiet"}},
      .details = "A file that begins with #! is a script (- is stdin): it runs once, on the first node, and starts ranks with 'ultra run'.\n"
                     "Its lines #ULTRA (the options above) and #SBATCH (sbatch's) count before its first command. The command line is stronger "
                     "than\nULTRA_SUBMIT_NAME and SBATCH_NAME variables, and these than the lines.\n"
                     "With every --export, PATH, HOME, USER, LOGNAME, SHELL, LANG and TERM go along. Ctrl-C in --follow or "
          "--wait leaves the job alone.\n"
          "Examples:\n  ultra submit train.sh --epochs 3\n  ultra submit --array 0-15%4 sweep.sh\n"
          "  ultra submit --gpus 16 --time 2h --name train -- python3 train.py --lr 3e-4\n"
          "  ultra submit --after 12:ok --gpus 1 --wait -- make test && echo passed",
      .run = submit};
}

}  // namespace ultramarine::cli
