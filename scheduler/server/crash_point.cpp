// The variable is read once; the points are known by name so that a misspelt one is an error and not a test that never fails.
#include "scheduler/server/crash_point.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace ultramarine::server {

namespace {

constexpr std::array<const char*, 8> points{"after_apply",
                                            "before_commit",
                                            "after_commit_before_reply",
                                            "after_reply_before_round",
                                            "before_round_commit",
                                            "after_round_commit_before_dispatch",
                                            "after_dispatch",
                                            "before_snapshot"};

struct Armed {
  std::string name;
  std::atomic<std::int64_t> left{0};
  std::string problem;

  Armed() {
    const char* text = std::getenv("ULTRAMARINE_CRASH_POINT");
    if (!text || !*text) return;
    const char* colon = std::strchr(text, ':');
    std::int64_t count = 1;
    name = colon ? std::string(text, colon) : std::string(text);
    if (colon) {
      const char* end = colon + std::strlen(colon);
      const auto [stop, error] = std::from_chars(colon + 1, end, count);
      if (error != std::errc() || stop != end || count < 1) problem = "the count must be a whole number from 1";
    }
    bool known = false;
    std::string names;
    for (const char* point : points) {
      known = known || name == point;
      names += (names.empty() ? "" : ", ") + std::string(point);
    }
    if (!known) problem = "\"" + name + "\" is no crash point; known ones: " + names;
    left = count;
  }
};

Armed& armed() {
  static Armed one;
  return one;
}

}  // namespace

void crash_point(const char* name) {
  Armed& one = armed();
  if (one.name.empty() || one.name != name) return;
  if (--one.left == 0) _exit(137);
}

std::string armed_crash_point() {
  const Armed& one = armed();
  if (!one.problem.empty()) throw std::invalid_argument("ULTRAMARINE_CRASH_POINT: " + one.problem);
  if (one.name.empty()) return "";
  return "crash point " + one.name + " is armed: the process will end there at passage " + std::to_string(one.left.load());
}

}  // namespace ultramarine::server
