// The parts of the codec that don't depend on the type: map keys, the words of an error, and the JSON parser's limits.
#include "scheduler/protocol/codec.h"

#include <algorithm>
#include <charconv>

#include "scheduler/model/whole_characters.h"

namespace ultramarine::protocol {
namespace {

constexpr std::size_t depth_max = 32;
constexpr std::size_t shown_max = 60;  // characters of a wrong value that an error repeats

/// Line and column (in bytes), both from 1, of an offset.
std::string position_text(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return "line " + std::to_string(line) + ", column " + std::to_string(before.size() - line_start + 1);
}

/// Bytes of the UTF-8 character that the text starts with (Unicode 15, table 3-7); 0 when it starts with none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned least = first == 0xE0 ? 0xA0 : 0x80, most = first == 0xED ? 0x9F : 0xBF;
    return second >= least && second <= most && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned least = first == 0xF0 ? 0x90 : 0x80, most = first == 0xF4 ? 0x8F : 0xBF;
    return second >= least && second <= most && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string Path::text() const {
  std::string before = parent_ ? parent_->text() : "";
  if (is_index_) return before + "[" + std::to_string(index_) + "]";
  return before.empty() ? std::string(name_) : before + "." + std::string(name_);
}

namespace detail {

std::string number_text(double number) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, number).ptr};
}

json::string utf8_text(std::string_view text) {
  json::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) out.append("\xEF\xBF\xBD");
    else out.append(text.data(), text.data() + length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

// Runs of characters that stand for themselves are copied whole.
void write_text(std::string& out, std::string_view text) {
  constexpr const char* digits = "0123456789abcdef";
  out += '"';
  std::size_t from = 0;
  const auto copy_to = [&](std::size_t end) { out.append(text, from, end - from); };
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\') {
      ++at;
      continue;
    }
    if (byte >= 0x80) {
      if (const std::size_t length = utf8_length(text.substr(at))) {
        at += length;
        continue;
      }
    }
    copy_to(at);
    from = ++at;
    switch (byte) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (byte >= 0x80) out += "\xEF\xBF\xBD";
        else (out += "\\u00") += {digits[byte >> 4], digits[byte & 15]};
    }
  }
  copy_to(text.size());
  out += '"';
}

void write_integer(std::string& out, std::int64_t number) {
  char text[24];
  out.append(text, std::to_chars(text, text + sizeof text, number).ptr);
}

void write_double(std::string& out, double number) { out += std::isfinite(number) ? json::serialize(json::value(number)) : "null"; }

std::string key_text(const std::string& key) { return std::string(utf8_text(key)); }
std::string key_text(JobId key) { return std::to_string(key.value); }

void key_from_text(std::string_view text, std::string& key, const Path&) { key.assign(text); }

void key_from_text(std::string_view text, JobId& key, const Path& path) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), key.value);
  // Only the canonical form: "7" and "07" would be one key written twice.
  if (error != std::errc() || end != text.data() + text.size() || key_text(key) != text) {
    throw DecodeError(path.text(), "expected a job number as the member's name, got \"" + std::string(text.substr(0, shown_max)) + "\"");
  }
}

void fail_expected(const Path& path, const char* expected, const json::value& got) {
  std::string shown = got.is_object()   ? "an object"
                      : got.is_array()  ? "an array"
                      : got.is_double() ? number_text(got.get_double())
                                        : json::serialize(got);
  if (shown.size() > shown_max) shown = std::string(whole_characters(shown, shown_max)) + "...";
  throw DecodeError(path.text(), std::string("expected ") + expected + ", got " + shown);
}

}  // namespace detail

json::value parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = depth_max;
  // The value is read and dropped as a whole: its pieces needn't be freed one by one.
  json::parser parser(json::make_shared_resource<json::monotonic_resource>(), options);
  json::error_code error;
  const std::size_t offset = parser.write_some(text.data(), text.size(), error);
  if (!error && offset < text.size()) error = json::error::extra_data;
  if (error) {
    const std::string what = error == json::error::too_deep ? "nested deeper than " + std::to_string(depth_max) + " levels" : error.message();
    throw DecodeError("", "malformed JSON at " + position_text(text, offset) + ": " + what);
  }
  return parser.release();
}

}  // namespace ultramarine::protocol
