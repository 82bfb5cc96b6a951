// The part of the TOML reader that doesn't depend on the type: words, single values, and the sentences of its errors.
#include "scheduler/protocol/toml_reader.h"

#include <array>
#include <charconv>
#include <cmath>
#include <sstream>

#include "scheduler/protocol/text_forms.h"

namespace ultramarine::protocol {
namespace {

struct Suffix {
  std::string_view text;
  Form form;
};
constexpr std::array<Suffix, 4> suffixes{{{"_ms", Form::duration}, {"_permille", Form::permille}, {"_milli", Form::milli}, {"_bytes", Form::bytes}}};

/// A value as the file has it, for messages.
std::string shown(const toml::node& node) {
  if (node.is_table()) return "a table";
  if (node.is_array()) return "a list";
  std::ostringstream text;
  node.visit([&](const auto& value) {
    if constexpr (toml::is_string<decltype(value)>) text << json::serialize(json::value(json::string_view(value.get().data(), value.get().size())));
    else if constexpr (toml::is_floating_point<decltype(value)>) text << detail::number_text(value.get());
    else if constexpr (toml::is_value<decltype(value)>) text << value;
  });
  return text.str().size() > 60 ? text.str().substr(0, 57) + "..." : text.str();
}

/// `1.5TiB`, `512GiB`, `80GB`, `1024B`; nullopt when it is none, negative or over 2^63.
std::optional<std::int64_t> parse_bytes(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  struct Size {
    std::string_view word;
    double bytes;
  };
  constexpr std::array<Size, 10> sizes{{{"B", 1}, {"kB", 1e3}, {"KiB", 0x1p10}, {"MB", 1e6}, {"MiB", 0x1p20}, {"GB", 1e9}, {"GiB", 0x1p30},
                                        {"TB", 1e12}, {"TiB", 0x1p40}, {"PiB", 0x1p50}}};
  for (const auto& size : sizes) {
    const double bytes = number * size.bytes;
    if (size.word == unit && bytes >= 0 && bytes < 0x1p63) return static_cast<std::int64_t>(bytes);
  }
  return std::nullopt;
}

}  // namespace

FileWord file_word(std::string_view member) {
  if (member == "virtual_devices") return {"virtual", Form::as_it_is};
  for (const auto& suffix : suffixes) {
    if (member.ends_with(suffix.text)) return {std::string(member.substr(0, member.size() - suffix.text.size())), suffix.form};
  }
  return {std::string(member), Form::as_it_is};
}

TomlReader::TomlReader(std::string_view text, std::string file_name) : file_name_(std::move(file_name)) {
  try {
    root_ = toml::parse(text, std::string_view(file_name_));
  } catch (const toml::parse_error& error) {
    fail_at(error.source().begin, "", std::string(error.description()), "");
  }
}

void TomlReader::fail_at(toml::source_position position, const std::string& field, const std::string& problem, const std::string& remedy) const {
  // A table that only exists because others are inside it has no place of its own.
  const auto line = std::max<toml::source_index>(position.line, 1), column = std::max<toml::source_index>(position.column, 1);
  throw ConfigError(file_name_ + ":" + std::to_string(line) + ":" + std::to_string(column), field, problem, remedy);
}

const TomlReader::Origin& TomlReader::origin(const std::string& path) const {
  std::string nearest_path = path;
  while (true) {
    if (const auto found = origins_.find(nearest_path); found != origins_.end()) return found->second;
    const std::size_t cut = nearest_path.find_last_of(".[");
    nearest_path.resize(cut == std::string::npos ? 0 : cut);  // "" is the whole file and always there
  }
}

void TomlReader::fail(const std::string& path, const std::string& problem, const std::string& remedy) const {
  const Origin& place = origin(path);
  fail_at(place.position, place.field, problem, remedy);
}

std::string TomlReader::line_text(const std::string& path) const { return "line " + std::to_string(origin(path).position.line); }

void TomlReader::fail_expected_here(const toml::node& node, const std::string& field, const std::string& expected,
                                    const std::string& remedy) const {
  fail_at(node.source().begin, field, "expected " + expected + ", got " + shown(node), remedy);
}

void TomlReader::fail_unknown(const toml::key& key, const std::string& field, const std::vector<std::string>& known) const {
  const std::string near = nearest_word(key.str(), known);
  std::string words;
  for (const auto& word : known) words += (words.empty() ? "" : ", ") + word;
  fail_at(key.source().begin, field, "unknown word \"" + std::string(key.str()) + "\"",
          near.empty() ? "known here: " + words : "did you mean \"" + near + "\"?");
}

json::value TomlReader::scalar(const toml::node& node, const std::string& field, Form form) const {
  const auto text = node.value_exact<std::string_view>();
  const auto whole = node.value_exact<std::int64_t>();
  const auto number = node.value<double>();
  switch (form) {
    case Form::duration: {
      const auto length = text ? parse_duration(*text) : std::nullopt;
      if (!length) {
        fail_expected_here(node, field, "a length of time",
                           whole ? "say the unit: \"" + std::to_string(*whole) + "m\" are minutes" : "write it like \"1h30m\"");
      }
      return length->ms;
    }
    case Form::bytes: {
      if (text && *text == "unlimited" && field.find("memlock") != std::string::npos) return -1;
      const auto bytes = text ? parse_bytes(*text) : whole;
      if (!bytes || *bytes < 0) fail_expected_here(node, field, "a size", "write it like \"512GiB\" or as a number of bytes");
      return *bytes;
    }
    case Form::permille:
    case Form::milli: {
      if (!number || !std::isfinite(*number) || std::fabs(*number) > 1e12) fail_expected_here(node, field, "a number", "write it like 1.5");
      const double thousandths = std::round(*number * 1000);
      if (std::fabs(*number * 1000 - thousandths) > 1e-3) fail_expected_here(node, field, "at most three decimals", "round it");
      return static_cast<std::int64_t>(thousandths);
    }
    case Form::as_it_is:
      break;
  }
  if (text) return json::value(json::string_view(text->data(), text->size()));
  if (whole) return *whole;
  if (node.is_boolean()) return *node.value<bool>();
  if (node.is_floating_point()) {
    if (!std::isfinite(*number)) fail_expected_here(node, field, "a number", "");
    return *number;
  }
  fail_expected_here(node, field, "text, a number, true or false", node.is_table() || node.is_array() ? "" : "put dates and times in quotes");
}

const toml::table* table_in(const toml::node& node) { return node.as_table(); }
const toml::array* array_in(const toml::node& node) { return node.as_array(); }

}  // namespace ultramarine::protocol
