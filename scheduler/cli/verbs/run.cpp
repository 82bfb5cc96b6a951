// ultra run: ranks over the allocation of the job that it is called in, as one gang; it stays until they have ended and ends with their
// code. The scheduler may restart meanwhile, and several may run side by side.
#include <filesystem>

#include "scheduler/cli/client.h"
#include "scheduler/cli/job_output.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/nearest.h"
#include "scheduler/cli/patience.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/submission.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

/// While a gang runs its scheduler is waited for as long as this: the job goes on without it.
constexpr Duration longest_silence = hours(24 * 7);

MpiMode mpi_mode(const std::string& text) {
  if (text == "auto") return MpiMode::automatic;
  if (text == "pmix") return MpiMode::pmix;
  if (text == "none") return MpiMode::none;
  throw CommandError(exit_code::usage,
                     error_line("--mpi", spoken("\"{0}\" is not known", text),
                                did_you_mean(text, {"auto", "pmix", "none"}, spoken("give one of {0}", "auto, pmix, none"))));
}

JobName job_around(const Context& context) {
  const std::string job = context.variable("ULTRA_JOB_ID");
  const auto names = parse_job_names(job);
  if (names.size() == 1) return names.front();
  throw CommandError(exit_code::usage, error_line("ultra run",
                                                  job.empty() ? spoken("this is not inside a job (ULTRA_JOB_ID is not set)")
                                                              : spoken("ULTRA_JOB_ID is \"{0}\", which is no job", job),
                                                  spoken("put it into a script for 'ultra submit', or run the command by itself: {0}",
                                                         "ultra submit --gpus 8 --follow -- COMMAND")));
}

protocol::GangRequest request_of(const Arguments& arguments, Context& context) {
  protocol::GangRequest request;
  request.spec.command = arguments.positionals;
  request.spec.ranks = arguments.whole_number("--ranks", 1, 1'000'000).value_or(0);
  request.spec.ranks_per_node = arguments.whole_number("--ranks-per-node", 1, 1'000'000).value_or(0);
  request.spec.mpi = mpi_mode(arguments.text("--mpi").value_or("auto"));
  std::error_code error;
  const std::filesystem::path here = std::filesystem::current_path(error);
  const std::filesystem::path folder = arguments.text("--workdir").value_or("");
  if (error && !folder.is_absolute())
    throw CommandError(exit_code::usage, error_line("--workdir", spoken("the current folder is gone"), spoken("give one that exists")));
  request.spec.working_directory = folder.empty() ? here.string() : (here / folder).lexically_normal().string();
  request.environment = context.environment;
  const std::string left_out = leave_out_other_than_utf8(request.environment);
  if (!left_out.empty())
    context.err << tinted(spoken("warning:"), Tint::yellow, context.terminal.error_colour) << ' '
                << spoken("not sent to the ranks, because not UTF-8: {0}", left_out) << '\n';
  return request;
}

class Run {
 public:
  Run(JobName job, std::int64_t gang, bool labelled, Context& context)
      : job_(std::move(job)),
        gang_(gang),
        context_(context),
        output_(context.out, context.err, labelled ? OutputForm::labelled : OutputForm::lines, context.terminal.out_colour) {}

  /// Until the gang has finished. The first signal stops it, the second leaves it to its end.
  int stay() {
    bool stopping = false;
    for (;;) {
      try {
        const protocol::GangView view = follow();
        output_.finish();
        return end(view);
      } catch (const Interrupted&) {
        interrupt_.take();
        if (stopping) return leave();
        stopping = true;
        stop();
      }
    }
  }

 private:
  /// What the ranks print, then the gang as it ended.
  protocol::GangView follow() {
    Client client(context_.socket, &interrupt_);
    Patience patience(interrupt_, context_.now, longest_silence, true);
    OutputChoice choice;
    choice.gang = gang_;
    for (;;) {
      patience([&] {
        output_.rewind();
        client.logs(job_, choice, true, [&](const protocol::LogLine& piece, std::string_view) { output_.take(piece); });
        return true;
      });
      const protocol::GangView view = patience([&] { return client.wait_for_gang(job_, gang_, std::chrono::seconds(20)); });
      if (view.details.finished_ms || view.exit_code) return view;
    }
  }

  void stop() {
    say(spoken("Stopping gang {0} of job {1}; once more to leave it to its end.", gang_, job_.text));
    try {
      Client(context_.socket).stop_gang(job_, gang_);
    } catch (const CommandError& error) {
      say(spoken("it could not be stopped: {0}", error.what()));
    }
  }

  int leave() {
    output_.finish();
    say(spoken("Left gang {0} of job {1}; see 'ultra logs {1} --gang {0}'.", gang_, job_.text));
    return exit_code::interrupted;
  }

  int end(const protocol::GangView& view) {
    const int code = view.exit_code ? static_cast<int>(*view.exit_code) : exit_code::system_failed;
    if (code != 0) {
      const std::string why = view.details.failure          ? failure_sentence(*view.details.failure)
                              : view.details.stop_requested ? spoken("it was stopped")
                              : view.details.outcome        ? word(*view.details.outcome)
                                                            : spoken("its job ended");
      context_.err << tinted(spoken("error:"), Tint::red, context_.terminal.error_colour) << ' '
                   << spoken("gang {0} of job {1}: {2}", gang_, job_.text, printable(why)) << '\n';
    }
    context_.err.flush();
    return code;
  }

  void say(const std::string& line) { context_.err << line << '\n' << std::flush; }

  const JobName job_;
  const std::int64_t gang_;
  Context& context_;
  JobOutput output_;
  Interrupt interrupt_;
};

int run(const Arguments& arguments, Context& context) {
  const JobName job = job_around(context);
  const protocol::GangRequest request = request_of(arguments, context);
  const protocol::GangReply reply = Client(context.socket).start_gang(job, request);
  return Run(job, reply.gang, arguments.has("--label"), context).stay();
}

}  // namespace

Verb run_verb() {
  return {
      .path = "run",
      .summary = "inside a script: start ranks on the job's nodes, wait for them",
      .positionals = Positionals::command,
      .options = {{"--ranks", "N", "Ranks in all, in blocks over the nodes (default: the job's, else one per GPU)"},
                  {"--ranks-per-node", "K", "Ranks on each node, which share its GPUs"},
                  {"--mpi", "HOW", "auto (default: PMIx for several ranks), pmix or none"},
                  {"--workdir", "FOLDER", "Where the ranks run (default: here)"},
                  {"--label", "", "Write [rank] before each line", "-l"}},
      .details = "The ranks have this shell's environment and SLURM_, ULTRA_ and torchrun's variables. It ends with the code of the first "
                     "rank that failed.\n"
                     "Ctrl-C and SIGTERM stop the ranks. Several run side by side: ultra run ... & ultra run ... & wait\n"
                     "Examples, in a script:\n  ultra run -- python3 train.py\n"
                     "  ultra run --ranks-per-node 1 -- torchrun --nnodes $SLURM_NNODES train.py\n"
                     "  ultra run --ranks 1 --label -- nvidia-smi",
          .run = run};
}

}  // namespace ultramarine::cli
