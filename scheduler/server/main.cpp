// ultra-scheduler: the central daemon. Options here, everything else in program.cpp.
#include <CLI/CLI.hpp>

#include "scheduler/server/program.h"

int main(int argument_count, char** arguments) {
  ultramarine::server::ProgramOptions options;
  CLI::App app{"The scheduler of an Ultramarine cluster: decides what runs where, remembers it, shows it."};
  app.add_option("--config", options.config, "The cluster file")->required()->type_name("FILE");
  app.add_option("--log-level", options.log_level, "How much to say on stderr")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}))
      ->capture_default_str();
  app.add_flag("--from-journal", options.from_journal, "Replay the whole journal at start, whatever the snapshots say");
  app.set_version_flag("--version", std::string("ultra-scheduler ") + ULTRAMARINE_VERSION);
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "ultra-scheduler: %s (see ultra-scheduler --help)\n", error.what());
    return 2;
  }
  return ultramarine::server::run_scheduler(options);
}
