// ultra shell: a job that is a shell (or another command) at this terminal, on the first node of its allocation.
#include <filesystem>
#include <set>

#include "scheduler/cli/job_output.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/terminal_session.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/submission.h"
#include "scheduler/cli/words.h"
#include "scheduler/net/proof.h"

namespace ultramarine::cli {
namespace {

/// The job's script; the words after its name are the command.
constexpr const char* shell_script = "#!/bin/sh\n# Made by: ultra shell\nexec \"$@\"\n";

void say(Context& context, const std::string& line) { context.err << line << '\n' << std::flush; }

protocol::SubmitRequest shell_request(const Arguments& given, Context& context) {
  Arguments arguments = given;
  const std::string shell = context.variable("SHELL");
  if (arguments.positionals.empty()) arguments.positionals = {shell.empty() ? "/bin/sh" : shell};
  if (!arguments.has("--name")) arguments.values["--name"] = std::filesystem::path(arguments.positionals.front()).filename().string();
  arguments.positionals.insert(arguments.positionals.begin(), "shell");
  std::error_code error;
  const std::string folder = std::filesystem::current_path(error).string();
  if (error && !arguments.has("--workdir")) usage_error("--workdir", spoken("the current folder is gone"), spoken("give one that exists"));
  Submission made = submission(arguments, context.environment, folder.empty() ? "/" : folder, ScriptFile{"shell", shell_script}, {}, context.now());
  made.request.spec.output.clear();
  made.request.spec.error.clear();
  made.request.spec.terminal = window_size();
  for (const char* of_this_window : {"LINES", "COLUMNS"}) made.request.environment.erase(of_this_window);
  made.request.request_key = net::random_hex(16);
  return made.request;
}

int shell(const Arguments& arguments, Context& context) {
  const protocol::SubmitRequest request = shell_request(arguments, context);
  Interrupt interrupt;
  Client client(context.socket, &interrupt);
  const protocol::SubmitReply reply = Client(context.socket).submit(request).value;
  const JobName job(reply.job);
  try {
    const protocol::JobView view = wait_for_start(client, job, context, interrupt);
    if (!is_terminal(view.details.state)) say(context, spoken("Job {0} runs on {1}; Ctrl-] leaves it.", job.text, places(view.details.attempts.back().allocation)));
  } catch (const Interrupted&) {
    interrupt.take();
    Client(context.socket).cancel(job);
    say(context, "\n" + spoken("Cancelled job {0}, which was waiting.", job.text));
    return exit_code::interrupted;
  }
  return stay_with_shell(job, std::nullopt, context, interrupt);
}

/// They mean here what they mean there.
std::vector<Option> options_of_submit(const std::set<std::string>& names) {
  std::vector<Option> options = submit_verb().options;
  std::erase_if(options, [&](const Option& option) { return names.count(option.name) == 0; });
  return options;
}

}  // namespace

Verb shell_verb() {
  return {.path = "shell",
          .summary = "a shell on a node, at this terminal",
          .positionals = Positionals::maybe_command,
          .options = options_of_submit({"--gpus", "--nodes", "--gpus-per-node", "--gpu-type", "--cpus-per-gpu", "--mem-per-gpu", "--nodelist", "--name", "--time",
                                        "--account", "--partition", "--qos", "--reservation", "--export", "--workdir"}),
          .details = "It waits in the queue like any job; a line says why and until when. Then this terminal is that of your shell ($SHELL) on the first "
                     "node.\n"
                     "Inside it 'ultra run' and mpirun use all GPUs of the job. Ctrl-] leaves it running, 'ultra attach JOB' comes back. It ends with "
                     "the shell, and with its exit code.\n"
                     "Examples:\n  ultra shell --gpus 1 --time 2h\n  ultra shell --gpus 2 -- python3",
          .run = shell};
}

}  // namespace ultramarine::cli
