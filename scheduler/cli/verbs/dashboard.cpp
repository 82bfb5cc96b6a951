// ultra dashboard: the web page with everything that its user may see and do. The door itself is page_door.
#include <csignal>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/page_door.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {
namespace {

int dashboard(const Arguments& arguments, Context& context) {
  const auto port = arguments.whole_number("--port", 0, 65'535).value_or(0);
  Client(context.socket).cluster();  // no scheduler is an error like everywhere
  net::Loop loop;
  int ended_by = 0;
  loop.on_signals({SIGINT, SIGTERM}, [&](int signal) {
    ended_by = signal;
    loop.stop();
  });
  try {
    PageDoor door(loop, context.socket, static_cast<std::uint16_t>(port));
    context.out << door.address() << '\n' << std::flush;
    context.err << spoken("Open this address in a browser of this machine; it works once, until Ctrl-C.") << '\n' << std::flush;
    loop.run();
  } catch (const net::NetError& error) {
    throw CommandError(exit_code::failure, error_line("--port", error.what(), spoken("leave --port out for any free one")));
  }
  return ended_by == SIGTERM ? 128 + SIGTERM : exit_code::ok;
}

}  // namespace

Verb dashboard_verb() {
  return {.path = "dashboard",
          .summary = "open the web page for yourself: queue, teams, your jobs and their output",
          .options = {{"--port", "PORT", "Listen on this port of 127.0.0.1 (default: any free one)"}},
          .details = "The page may do what you may. From afar, forward the port: ssh -L 8700:127.0.0.1:8700 HOST ultra dashboard --port 8700\n"
                     "Examples:\n  ultra dashboard\n  ultra dashboard --port 8700",
          .run = dashboard};
}

}  // namespace ultramarine::cli
