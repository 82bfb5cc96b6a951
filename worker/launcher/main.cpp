// ultra-shim: supervises one gang on one node. Started by the agent, which gives it nothing but the job folder.
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "worker/launcher/shim.h"

int main(int argument_count, char** arguments) {
  if (argument_count != 3 || std::string(arguments[1]) != "--folder") {
    std::fputs("ultra-shim: usage: ultra-shim --folder DIR (the agent starts it; people use `ultra submit`)\n", stderr);
    return 2;
  }
  ::umask(077);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v", spdlog::pattern_time_type::utc);
  spdlog::flush_on(spdlog::level::info);
  ultramarine::net::Loop loop;
  return ultramarine::launcher::Shim(loop, arguments[2]).run();
}
