#include "scheduler/protocol/addresses.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace ultramarine::protocol {
namespace {

constexpr std::size_t mail_address_max = 254, url_max = 2000;

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool all_of(std::string_view text, std::string_view signs) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_letter_or_digit(c) || signs.find(c) != std::string_view::npos; });
}

bool is_host(std::string_view host) {
  if (host.starts_with('['))
    return host.ends_with(']') && host.size() > 2 &&
           host.find_first_not_of("0123456789abcdefABCDEF:.", 1) == host.size() - 1;
  return !host.empty() && host.front() != '-' && host.front() != '.' && host.size() <= 253 &&
         host.find("..") == std::string_view::npos && all_of(host, ".-");
}

bool is_port(std::string_view text) {
  std::int64_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65'535;
}

/// "." and "..", also as %2e: what comes before them isn't what the server takes.
bool has_dot_segment(std::string_view path) {
  std::string plain;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool is_dot = path[i] == '%' && i + 2 < path.size() && path[i + 1] == '2' && (path[i + 2] | 0x20) == 'e';
    plain += is_dot ? '.' : path[i];
    if (is_dot) i += 2;
  }
  plain += '/';
  return plain.find("/./") != std::string::npos || plain.find("/../") != std::string::npos;
}

struct UrlParts {
  std::string_view scheme, authority, rest;
};
UrlParts parts_of(std::string_view url) {
  const std::size_t colon = url.find("://");
  if (colon == std::string_view::npos) return {};
  const std::string_view after = url.substr(colon + 3);
  const std::size_t end = std::min(after.find_first_of("/?#"), after.size());
  return {url.substr(0, colon), after.substr(0, end), after.substr(end)};
}

}  // namespace

std::string why_no_mail_name(std::string_view text) {
  if (text.empty()) return "it is empty";
  if (text.size() > 64) return "it is longer than 64 characters";
  if (text.front() == '-' || !all_of(text, "._+=-"))
    return "it has other signs in it than letters, digits and . _ + = -, or begins with a dash";
  if (text.front() == '.' || text.back() == '.' || text.find("..") != std::string_view::npos)
    return "its full stops don't stand between other signs";
  return "";
}

std::string why_no_mail_address(std::string_view text) {
  const std::size_t at = text.rfind('@');
  if (at == std::string_view::npos) return "it has no @";
  if (text.size() > mail_address_max) return "it is longer than " + std::to_string(mail_address_max) + " characters";
  if (const std::string why = why_no_mail_name(text.substr(0, at)); !why.empty()) return "before the @, " + why;
  const std::string_view domain = text.substr(at + 1);
  if (!is_host(domain) || domain.starts_with('[') || domain.back() == '.')
    return "what follows the @ is no name of a host";
  return "";
}

std::string why_no_url(std::string_view text, const std::vector<std::string>& schemes) {
  if (text.size() > url_max) return "it is longer than " + std::to_string(url_max) + " characters";
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) {
        return c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>';
      }))
    return "it has blanks, control characters, quotes or others in it that no URL has";
  const UrlParts parts = parts_of(text);
  if (std::find(schemes.begin(), schemes.end(), parts.scheme) == schemes.end()) {
    std::string known;
    for (const std::string& scheme : schemes) known += (known.empty() ? "" : " or ") + scheme + "://";
    return "it doesn't begin with " + known;
  }
  if (parts.authority.find('@') != std::string_view::npos) return "it has a user name or password in it";
  const std::size_t colon = parts.authority.ends_with(']') ? std::string_view::npos : parts.authority.rfind(':');
  if (!is_host(parts.authority.substr(0, colon))) return "it names no host";
  if (colon != std::string_view::npos && !is_port(parts.authority.substr(colon + 1)))
    return "what follows the host is no port";
  if (parts.rest.find('#') != std::string_view::npos) return "it has a # in it";
  if (has_dot_segment(parts.rest.substr(0, parts.rest.find('?')))) return "it has . or .. in its path";
  return "";
}

std::string origin_of(std::string_view url) {
  const UrlParts parts = parts_of(url);
  return std::string(parts.scheme) + "://" + std::string(parts.authority);
}

bool is_allowed(std::string_view url, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return url.starts_with(prefix); });
}

}  // namespace ultramarine::protocol
