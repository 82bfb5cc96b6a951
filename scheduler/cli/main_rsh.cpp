// ultra-rsh: see remote_shell.h.
#include <chrono>
#include <cstring>
#include <iostream>

#include "scheduler/cli/remote_shell.h"

extern char** environ;

int main(int argc, char** argv) {
  using namespace ultramarine;
  std::ios::sync_with_stdio(false);
  std::map<std::string, std::string> environment;
  for (char** entry = environ; *entry; ++entry)
    if (const char* equals = std::strchr(*entry, '=')) environment.emplace(std::string(*entry, static_cast<std::size_t>(equals - *entry)), std::string(equals + 1));
  const auto now = [] {
    return Time{std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count()};
  };
  const int code = cli::run_remote_shell(std::vector<std::string>(argv + 1, argv + argc), environment, std::cout, std::cerr, now);
  std::cout.flush();
  return code;
}
