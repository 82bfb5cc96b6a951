#include "scheduler/cli/verbs/watching.h"

#include "scheduler/cli/interrupt.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

std::string clock_text(Time now) { return local_time(now).substr(11); }

}  // namespace

Option watch_option() { return {"--watch", "", "Look again and again until Ctrl-C; on a terminal in place", "-w"}; }
Option interval_option() { return {"--interval", "LENGTH", "With --watch: how often (default 2s)"}; }

std::optional<Duration> watch_interval(const Arguments& arguments) {
  const auto interval = arguments.duration("--interval");
  if (interval && !arguments.has("--watch"))
    usage_error("--interval", spoken("says how often to look again"), spoken("add {0}", "--watch"));
  if (interval && (interval->ms < 100 || interval->ms > 86'400'000))
    usage_error("--interval", spoken("{0} is out of range", *arguments.text("--interval")),
                spoken("give {0} to {1}", "100ms", "1d"));
  return arguments.has("--watch") ? std::optional(interval.value_or(seconds(2))) : std::nullopt;
}

int watch(Duration interval, Context& context, const std::function<Seen(Client&, const Terminal&)>& look) {
  const Interrupt interrupt;
  Client client(context.socket, &interrupt);
  LiveText live(context.out, context.environment, context.terminal);
  std::optional<Seen> seen;  // the last
  try {
    for (;;) {
      const Terminal& terminal = live.terminal();
      const auto headed = [&](const std::string& head, Tint tint, const std::string& text) {
        if (!terminal.out_is_terminal || head.empty()) return text;
        return tinted(clock_text(context.now()) + "  " + head, tint, terminal.out_colour) + "\n" + text;
      };
      try {
        seen = look(client, terminal);
        live.show(headed(seen->head, Tint::dim, seen->text));
      } catch (const Unreachable&) {
        if (!seen) throw;
        const std::string away = spoken("The scheduler doesn't answer; reconnecting ...");
        if (terminal.out_is_terminal)
          live.show(headed(away, Tint::yellow, seen->text));
        else
          context.err << away << '\n' << std::flush;
      }
      interrupt.wait(static_cast<int>(interval.ms));
      interrupt.check();
    }
  } catch (const Interrupted&) {
    return exit_code::interrupted;
  }
}

}  // namespace ultramarine::cli
