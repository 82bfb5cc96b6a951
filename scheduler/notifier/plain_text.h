// Text of users (names of jobs, last words of programs) made harmless for a header, a line, a chat. Pure.
#pragma once

#include <string>
#include <string_view>

namespace ultramarine::notifier {

/// One line of valid UTF-8: control characters, line and paragraph separators and marks that turn the direction of
/// writing become blanks, what isn't UTF-8 becomes "?"; at most `bytes_max`, cut between characters.
std::string one_line(std::string_view text, std::size_t bytes_max = 200);

/// For Slack, Mattermost and the like: nothing in it mentions or links anybody.
std::string for_chat(std::string_view text);

/// 2026-11-23T05:53:20.123Z
std::string rfc3339(std::int64_t time_ms);
/// Mon, 23 Nov 2026 05:53:20 +0000
std::string rfc5322(std::int64_t time_ms);
/// 2026-11-23 05:53 UTC
std::string date_and_time(std::int64_t time_ms);

}  // namespace ultramarine::notifier
