// See thinker.h.
#include "scheduler/server/thinker.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ultramarine::server {

namespace {
constexpr int niceness = 5;  // who decides comes before who asks
constexpr auto longest_sleep = std::chrono::hours(1);
}  // namespace

Thinker::Thinker(net::Loop& loop) : loop_(loop), thread_([this] { run(); }) {}

Thinker::~Thinker() {
  inbox_.close();
  thread_.join();
}

void Thinker::run() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), niceness);
  while (!inbox_.closed()) {
    for (Inbox::Work& work : inbox_.take(std::chrono::steady_clock::now() + longest_sleep)) {
      if (!inbox_.closed()) work();
      loop_.post([over = std::move(work)] {});
    }
  }
}

}  // namespace ultramarine::server
