// ultra submit: hands a command to the cluster, with the shell's environment, and if asked stays with it.
#include <filesystem>

#include "scheduler/cli/client.h"
#include "scheduler/cli/job_output.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/submission.h"
#include "scheduler/cli/words.h"
#include "scheduler/net/proof.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

void check_combinations(const Arguments& arguments) {
  if (arguments.has("--json") && arguments.has("--follow")) {
    throw CommandError(exit_code::usage,
                       error_line("--json", spoken("can't be combined with --follow, whose output is the job's"),
                                  spoken("use --json --wait, then 'ultra logs JOB'")));
  }
  if (arguments.has("--rank") && !arguments.has("--follow"))
    throw CommandError(exit_code::usage, error_line("--rank", spoken("says which rank to follow"), spoken("add {0}", "--follow")));
  if (arguments.has("--json") && arguments.has("--quiet"))
    throw CommandError(exit_code::usage, error_line("--quiet", spoken("can't be combined with {0}", "--json"), spoken("give one of them")));
}

std::string submitted_sentence(const protocol::JobView& view) {
  const Job& job = view.details;
  const std::int64_t gpus = view.gpus > 0 ? view.gpus : total_gpus(job.spec.resources);
  std::string what = printable(job.spec.name) + ", " + spoken_count(gpus, "{0} GPU", "{0} GPUs");
  if (job.spec.time_limit_ms.ms > 0) what += ", " + spoken("{0} limit", protocol::format_duration(job.spec.time_limit_ms));
  return spoken("Submitted job {0} ({1}).", job.job.value, what);
}

void write_json(std::ostream& out, const std::string& id, const std::string& view) {
  out << "{\"job\":" << id << ",\"view\":" << view << "}\n";
}

int stay_with(Client& client, JobId job, const Arguments& arguments, Context& context, const Interrupt& interrupt) {
  try {
    if (arguments.has("--follow")) {
      const auto view = follow_job(client, job, arguments.whole_number("--rank", 0, 1'000'000), context, interrupt);
      say_end(view, context);
      return exit_code_of(view);
    }
    Progress progress(context.err, context.terminal);
    const auto answer = wait_for_end(client, job, std::nullopt, context, interrupt, progress);
    if (arguments.has("--json")) write_json(context.out, std::to_string(job.value), answer->body);
    if (answer->value.details.state != JobState::completed || !(arguments.has("--json") || arguments.has("--quiet")))
      say_end(answer->value, context);
    return exit_code_of(answer->value);
  } catch (const Interrupted&) {
    say_detached(job, context);
    return exit_code::interrupted;
  }
}

int submit(const Arguments& arguments, Context& context) {
  check_combinations(arguments);
  std::string warning;
  std::error_code error;
  const std::string folder = std::filesystem::current_path(error).string();
  if (error && !arguments.has("--workdir"))
    throw CommandError(exit_code::usage, error_line("--workdir", spoken("the current folder is gone"), spoken("give one that exists")));
  protocol::SubmitRequest request = submission(arguments, context.environment, folder.empty() ? "/" : folder, warning);
  request.request_key = net::random_hex(16);
  if (!warning.empty())
    context.err << tinted(spoken("warning:"), Tint::yellow, context.terminal.error_colour) << ' ' << warning << '\n';

  const JobId job = Client(context.socket).submit(request).value.job;
  const std::string id = std::to_string(job.value);
  const bool follow = arguments.has("--follow"), wait = arguments.has("--wait");
  std::optional<Interrupt> interrupt;
  if (follow || wait) interrupt.emplace();
  if (arguments.has("--quiet")) {
    (follow ? context.err : context.out) << id << '\n';
  } else {
    try {
      const auto answer = Client(context.socket).job(job);
      if (arguments.has("--json")) {
        if (!wait) write_json(context.out, id, answer.body);
      } else {
        std::ostream& to = follow ? context.err : context.out;  // with --follow, stdout is the job's
        to << submitted_sentence(answer.value) << '\n';
        if (!is_terminal(answer.value.details.state)) to << outlook(answer.value, context.now()) << '\n';
      }
    } catch (const CommandError&) {
      // The job is safe; only its details can't be had now.
      if (arguments.has("--json"))
        context.out << "{\"job\":" << id << "}\n";
      else
        (follow ? context.err : context.out) << spoken("Submitted job {0}.", id) << '\n';
    }
  }
  context.out.flush();
  if (!interrupt) return exit_code::ok;
  Client client(context.socket, &*interrupt);
  return stay_with(client, job, arguments, context, *interrupt);
}

}  // namespace

Verb submit_verb() {
  return {.path = "submit",
          .summary = "hand a command to the cluster",
          .positionals = Positionals::command,
          .options = {{"--gpus", "N", "GPUs in all, one rank each (default 1)"},
                      {"--nodes", "N", "Nodes, with --gpus-per-node instead of --gpus"},
                      {"--gpus-per-node", "K", "GPUs on each node"},
                      {"--name", "NAME", "Name of the job (default: the program's)"},
                      {"--time", "LENGTH", "Longest run: 30m, 2h, 1-12:00 (default: the partition's)"},
                      {"--account", "NAME", "Who is charged (default: your first account)"},
                      {"--partition", "NAME", "Set of nodes (default: the cluster's first)"},
                      {"--qos", "NAME", "Service level (default: normal)"},
                      {"--export", "WHAT", "Environment to take along: ALL (default), NONE, or names A,B"},
                      {"--workdir", "FOLDER", "Where the ranks run (default: here)"},
                      {"--grace", "LENGTH", "Time between SIGTERM and SIGKILL (default 30s)"},
                      {"--mpi", "HOW", "auto (default: PMIx for several ranks), pmix or none"},
                      {"--wait", "", "Wait for its end; exit with the job's code"},
                      {"--follow", "", "Print what its ranks print until its end; exit with the job's code", "-f"},
                      {"--rank", "N", "With --follow: only this rank, as it is"},
                      {"--json", "", "Print {\"job\": ID, \"view\": the job} as one JSON object"},
                      {"--quiet", "", "Print the job's number only", "-q"}},
          .details =
              "With every --export, PATH, HOME, USER, LOGNAME, SHELL, LANG and TERM go along. Ctrl-C in --follow or "
              "--wait leaves the job alone.\n"
              "Examples:\n  ultra submit --gpus 16 --time 2h --name train -- python3 train.py --lr 3e-4\n"
              "  ultra submit --nodes 2 --gpus-per-node 8 --follow -- ./all_reduce\n"
              "  ultra submit --gpus 1 --wait -- make test && echo passed",
          .run = submit};
}

}  // namespace ultramarine::cli
