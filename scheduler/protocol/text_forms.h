// The forms that people type and read for lengths of time, instants and lists of nodes, and the word that a misspelt one was meant to be.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/model/time.h"

namespace ultramarine::protocol {

/// `30s 10m 2h 1d 1h30m 500ms`, and Slurm's `minutes`, `min:sec`, `h:m:s`, `d-h`, `d-h:m`, `d-h:m:s`. nullopt when it is none of these,
/// is negative or overflows.
std::optional<Duration> parse_duration(std::string_view text);
/// Two units at the most: `1d 4h`, `2h 05m`, `3m 20s`, `42s`, `0s`.
std::string format_duration(Duration length);

/// An instant as people type it, in the time zone of this process. Slurm's forms: `now+1h` (a bare number: seconds), `16:00`, `4:30pm`, `tomorrow`,
/// `noon`, `2026-12-24`, `2026-12-24T10:00:00`, `12/24-10:00`, `122426`; and `@SECONDS` since 1970. A time without a date is the next
/// such time, a date without a time its midnight, a date without a year the next such date. nullopt when it is none of these.
std::optional<Time> parse_instant(std::string_view text, Time now);

/// `node[01-08]`, `a[1-2]b[3-4]`, `x,y[1,3,5-7]`: expanded in order, zero padding kept. nullopt when malformed or over 65,536 names.
std::optional<std::vector<std::string>> expand_hostlist(std::string_view text);
/// The inverse: `node[01-08]`; sorted numerically inside equal padding.
std::string fold_hostlist(const std::vector<std::string>& names);

/// The known word that `word` was probably meant to be; "" when none is near.
std::string nearest_word(std::string_view word, const std::vector<std::string>& known);

}  // namespace ultramarine::protocol
