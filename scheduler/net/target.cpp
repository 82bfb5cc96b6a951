#include "scheduler/net/target.h"

namespace ultramarine::net {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      decoded += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

// Unreserved characters of RFC 3986, and "/" in a path.
void encode(std::string& out, std::string_view text, bool keep_slash) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  for (const char c : text) {
    const bool is_letter_or_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (is_letter_or_digit || c == '-' || c == '.' || c == '_' || c == '~' || (keep_slash && c == '/')) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
}

}  // namespace

std::optional<Target> parse_target(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '#') return std::nullopt;
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (text.starts_with(scheme)) {
      text.remove_prefix(scheme.size());
      const auto end_of_host = text.find_first_of("/?");
      text.remove_prefix(end_of_host == std::string_view::npos ? text.size() : end_of_host);
      if (!text.starts_with('/')) return std::nullopt;
      break;
    }
  }
  if (text == "*") return Target{.path = "*", .query = {}};
  if (!text.starts_with('/')) return std::nullopt;

  const auto question_mark = text.find('?');
  auto path = decode(text.substr(0, question_mark), false);
  if (!path) return std::nullopt;
  Target target{.path = std::move(*path), .query = {}};
  if (question_mark == std::string_view::npos) return target;

  std::string_view rest = text.substr(question_mark + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    auto name = decode(pair.substr(0, equals), true);
    auto value = decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!name || !value) return std::nullopt;
    target.query[*name] = std::move(*value);
  }
  return target;
}

std::string encode_target(const Target& target) {
  if (target.path == "*") return "*";
  std::string text;
  encode(text, target.path, true);
  char separator = '?';
  for (const auto& [name, value] : target.query) {
    text += separator;
    encode(text, name, false);
    text += '=';
    encode(text, value, false);
    separator = '&';
  }
  return text;
}

}  // namespace ultramarine::net
