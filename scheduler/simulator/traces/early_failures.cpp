// Jobs that fail within their first minute: no trace says which, so they are drawn.
#include <algorithm>

#include "scheduler/simulator/traces/trace.h"

namespace ultramarine::simulator {
namespace {

constexpr std::uint64_t shortest_s = 5, longest_s = 60;

/// splitmix64 (Steele, Lea & Flood 2014)
std::uint64_t mixed(std::uint64_t value) {
  std::uint64_t z = value + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

void fail_early(Trace& trace, std::int64_t share_permille, std::uint64_t seed) {
  for (std::size_t place = 0; place < trace.jobs.size(); ++place) {
    const std::uint64_t draw = mixed(mixed(seed) + place);
    if (static_cast<std::int64_t>(draw % 1000) >= share_permille) continue;
    TraceJob& job = trace.jobs[place];
    job.fails_after_s = std::min(job.runtime_s, static_cast<std::int64_t>(shortest_s + mixed(draw) % (longest_s - shortest_s + 1)));
  }
}

}  // namespace ultramarine::simulator
