// File patterns as Slurm's users write them: %j, %A, %a, %N, %n, %t, %u, %x, %J, %s, %%. Pure text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "scheduler/protocol/agent_messages.h"
#include "worker/launcher/gang_layout.h"

namespace ultramarine::launcher {

/// What the letters stand for.
struct PatternWords {
  std::int64_t job = 0;              // %j, and %A and %J where they are the same
  std::int64_t array = 0;            // %A; 0 = no array
  std::int64_t index = 4294967294;   // %a; the default is Slurm's word for "not an array"
  std::string node;                  // %N, cut at its first dot
  std::int64_t node_rank = 0;        // %n
  std::int64_t rank = 0;             // %t
  std::string step = "batch";        // %s
  std::string user;                  // %u
  std::string job_name;              // %x
};
PatternWords pattern_words(const protocol::LaunchSpec& launch, const RankPlace& place);

/// Digits between % and a letter pad its number with zeros (%4t; at most 10). A letter without a meaning stays as it is, with its %. A
/// backslash anywhere switches replacement off; it then goes itself and keeps what follows it.
std::string expand_pattern(std::string_view pattern, const PatternWords& words);

}  // namespace ultramarine::launcher
