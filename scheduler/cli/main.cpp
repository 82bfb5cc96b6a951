// ultra: the shell's front door. Everything it knows of jobs it asks the scheduler over the public HTTP API.
#include <langinfo.h>

#include <chrono>
#include <clocale>
#include <cstring>
#include <iostream>

#include "scheduler/cli/command_line.h"

extern char** environ;

int main(int argc, char** argv) {
  using namespace ultramarine;
  // Column widths need a locale that knows UTF-8, also where the shell's locale is C.
  if (!std::setlocale(LC_CTYPE, "") || std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
    std::setlocale(LC_CTYPE, "C.UTF-8");
  std::ios::sync_with_stdio(false);
  std::map<std::string, std::string> environment;
  for (char** entry = environ; *entry; ++entry) {
    const char* equals = std::strchr(*entry, '=');
    if (equals)
      environment.emplace(std::string(*entry, static_cast<std::size_t>(equals - *entry)), std::string(equals + 1));
  }
  const auto terminal = [&environment](cli::ColourMode mode) { return cli::detect_terminal(mode, environment); };
  const auto now = [] {
    return Time{
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count()};
  };
  const int code = cli::run_command_line(std::vector<std::string>(argv + 1, argv + argc), environment, std::cout,
                                         std::cerr, terminal, now);
  std::cout.flush();
  return std::cout ? code : code == 0 ? cli::exit_code::failure : code;
}
