#include "scheduler/cli/gang_stay.h"

#include "scheduler/cli/interrupt.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/patience.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

/// While a gang runs its scheduler is waited for as long as this: the job goes on without it.
constexpr Duration longest_silence = hours(24 * 7);

class Stay {
 public:
  Stay(JobName job, std::int64_t gang, OutputForm form, Context& context, bool silent)
      : job_(std::move(job)),
        gang_(gang),
        context_(context),
        silent_(silent),
        output_(context.out, context.err, form, context.terminal.out_colour) {}

  /// Until the gang has finished. The first signal stops it, the second leaves it to its end.
  int stay() {
    bool stopping = false;
    for (;;) {
      try {
        const protocol::GangView view = follow();
        output_.finish();
        if (silent_ && view.exit_code && *view.exit_code != exit_code::system_failed) return static_cast<int>(*view.exit_code);
        return say_end_of_gang(job_, gang_, view, context_);
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

  void say(const std::string& line) { context_.err << line << '\n' << std::flush; }

  const JobName job_;
  const std::int64_t gang_;
  Context& context_;
  const bool silent_;
  JobOutput output_;
  Interrupt interrupt_;
};

}  // namespace

int stay_with_gang(const JobName& job, std::int64_t gang, OutputForm form, Context& context, bool silent) {
  return Stay(job, gang, form, context, silent).stay();
}

int say_end_of_gang(const JobName& job, std::int64_t gang, const protocol::GangView& view, Context& context) {
  const int code = view.exit_code ? static_cast<int>(*view.exit_code) : exit_code::system_failed;
  if (code != 0) {
    const std::string why = view.details.failure          ? failure_sentence(*view.details.failure)
                            : view.details.stop_requested ? spoken("it was stopped")
                            : view.details.outcome        ? word(*view.details.outcome)
                                                          : spoken("its job ended");
    context.err << tinted(spoken("error:"), Tint::red, context.terminal.error_colour) << ' '
                << spoken("gang {0} of job {1}: {2}", gang, job.text, printable(why)) << '\n';
  }
  context.err.flush();
  return code;
}

}  // namespace ultramarine::cli
