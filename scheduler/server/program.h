// `ultra-scheduler` from its options to its exit code: reads the cluster file, opens the store, listens, runs until a signal or a
// shutdown. Every error of people's input is one line on stderr with the field and the remedy.
#pragma once

#include <string>

namespace ultramarine::server {

struct ProgramOptions {
  std::string config;
  std::string log_level = "info";  // trace, debug, info, warn, error
  bool from_journal = false;
};

/// 0 after SIGTERM, SIGINT or a shutdown; 1 the store failed or the journal can't be trusted; 2 wrong configuration; 4 no permission;
/// 6 another scheduler has the state directory or an address.
int run_scheduler(const ProgramOptions& options);

}  // namespace ultramarine::server
