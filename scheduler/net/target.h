// The request target of HTTP/1.1: "/v1/jobs/7?state=running" and back. Pure text, RFC 3986 percent-encoding; in the query "+" is a space.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace ultramarine::net {

struct Target {
  std::string path;                         // decoded, begins with "/" (or is "*")
  std::map<std::string, std::string> query; // decoded; the last of several equal names wins
};

/// Origin form, absolute form (scheme and host are dropped) and "*". nullopt when malformed: no leading "/", a bad percent sign,
/// an encoded NUL, a control character or a fragment.
std::optional<Target> parse_target(std::string_view text);
/// The text that parse_target turns back into `target`.
std::string encode_target(const Target& target);

}  // namespace ultramarine::net
