// How stores write what they keep: JSON text beside a checksum. Shared, so that every store reads and refuses the same things.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "scheduler/store/store.h"

namespace ultramarine::store {

/// Without members that hold nothing: most of a job's do.
std::string entry_text(const Entry& entry);
/// Throws StoreError that names the sequence. Unknown members are ignored, missing ones keep their defaults.
Entry entry_from_text(std::int64_t sequence, std::string_view text);

std::string state_text(const State& state);
State state_from_text(std::int64_t sequence, std::string_view text);

std::string environment_text(const Environment& environment);
Environment environment_from_text(JobId job, std::string_view text);

/// Detects flipped bits and records that were moved; proves nothing against somebody who writes on purpose. 64-bit FNV-1a (Fowler,
/// Noll & Vo) over both numbers and the text.
std::int64_t checksum(std::int64_t sequence, std::int64_t at_ms, std::string_view text);

/// Throws StoreError for a snapshot of what the journal doesn't hold.
void check_snapshot(const Snapshot& snapshot, std::int64_t last_sequence);

}  // namespace ultramarine::store
