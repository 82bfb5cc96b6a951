// The end of a rank's output, as clean text: what a person sees first when a gang fails.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ultramarine::launcher {

inline constexpr std::size_t last_lines_max = 50;
inline constexpr std::size_t line_bytes_max = 500;

/// Valid UTF-8 without control characters (tabs stay; terminal escape sequences go), at most `bytes_max` bytes and then "...".
std::string clean_text(std::string_view raw, std::size_t bytes_max = line_bytes_max);

/// The last `count` lines of a file, oldest first; reads no more than its last 64 KiB, and never waits. Empty when the file can't be read or is no ordinary one.
std::vector<std::string> last_lines_of(const std::string& path, std::size_t count);

/// At most 50 lines of both streams: standard output first, then standard error, where the reason usually is. Standard error comes first
/// in the sharing out, but a fifth is left to standard output.
std::vector<std::string> last_output(const std::string& output_file, const std::string& error_file);

}  // namespace ultramarine::launcher
