// One TOML file on its way to described values: file words become member names, lengths of time, sizes and factors become
// integers, and each value's place in the file is remembered, so that whoever finds fault with a field later can say where it is.
// The words follow from the members: `max_time_ms` is written `max_time = "2h"`, `memory_bytes` `memory = "2TiB"`,
// `usage_factor_permille` `usage_factor = 1.5`, `price_per_gpu_hour_milli` `price_per_gpu_hour = 2.5`. Knows no section by name.
#pragma once

#include <toml++/toml.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/config.h"

namespace ultramarine::protocol {

/// How a member is written in a file.
enum class Form { as_it_is, duration, permille, milli, bytes };
struct FileWord {
  std::string word;
  Form form = Form::as_it_is;
};
FileWord file_word(std::string_view member);

class TomlReader {
 public:
  /// Throws ConfigError when the text isn't TOML.
  TomlReader(std::string_view text, std::string file_name);

  /// The whole file as a T. Throws ConfigError for unknown words and wrong types.
  template <class T>
  T read() {
    const json::value value = translate<T>(root_, "", "", Form::as_it_is);
    T out{};
    try {
      decode(value, out, "", Unknown::refused);
    } catch (const DecodeError& error) {
      fail(error.path, error.problem, "");
    }
    return out;
  }

  /// Throws ConfigError for the member at `path` (as the codec writes paths: `node[0].gpus`), or its nearest parent that the file has.
  [[noreturn]] void fail(const std::string& path, const std::string& problem, const std::string& remedy) const;
  /// The file has a member at `path` (as the codec writes paths) itself.
  bool has(const std::string& path) const { return origins_.contains(path); }
  /// "line 12" of the member at `path`, to point at a second place.
  std::string line_text(const std::string& path) const;

 private:
  struct Origin {
    std::string field;  // in the file's words
    toml::source_position position;
  };

  template <class T>
  json::value translate(const toml::node& node, const std::string& path, const std::string& field, Form form);
  const Origin& origin(const std::string& path) const;
  [[noreturn]] void fail_at(toml::source_position position, const std::string& field, const std::string& problem,
                            const std::string& remedy) const;
  [[noreturn]] void fail_expected_here(const toml::node& node, const std::string& field, const std::string& expected,
                                       const std::string& remedy) const;
  [[noreturn]] void fail_unknown(const toml::key& key, const std::string& field, const std::vector<std::string>& known) const;
  json::value scalar(const toml::node& node, const std::string& field, Form form) const;

  std::string file_name_;
  toml::table root_;
  std::map<std::string, Origin> origins_;
};

/// The node as a table or an array, or null. Out of line: Debian's toml++ 3.3 library leaves out symbols that an optimizing compiler
/// calls once it knows that a node is its root table.
const toml::table* table_in(const toml::node& node);
const toml::array* array_in(const toml::node& node);

template <class T>
json::value TomlReader::translate(const toml::node& node, const std::string& path, const std::string& field, Form form) {
  using namespace detail;
  const auto child = [](const std::string& parent, std::string_view name) {
    return parent.empty() ? std::string(name) : parent + "." + std::string(name);
  };
  origins_[path] = {field, node.source().begin};
  if constexpr (is_optional<T>) {
    return translate<typename T::value_type>(node, path, field, form);
  } else if constexpr (is_vector<T>) {
    using Element = typename T::value_type;
    json::array out;
    if (const auto* array = array_in(node)) {
      for (std::size_t i = 0; i < array->size(); ++i) {
        const std::string index = "[" + std::to_string(i) + "]";
        out.push_back(translate<Element>((*array)[i], path + index, field + index, form));
      }
    } else if constexpr (boost::describe::has_describe_members<Element>::value) {
      fail_expected_here(node, field, "a list of tables", "write [[" + field + "]] above each");
    } else {
      out.push_back(translate<Element>(node, path + "[0]", field, form));  // one text stands for a list of one
    }
    return out;
  } else if constexpr (is_map<T>) {
    const auto* table = table_in(node);
    if (!table) fail_expected_here(node, field, "a table", "write " + field + " = { name = value }");
    json::object out;
    for (const auto& [key, value] : *table) {
      // A share of something is a factor wherever it is written.
      const bool is_factor = std::is_same_v<typename T::mapped_type, std::int64_t> && key.str() == "share";
      const std::string member = std::string(key.str()) + (is_factor ? "_permille" : "");
      out[member] = translate<typename T::mapped_type>(value, child(path, member), child(field, key.str()), is_factor ? Form::permille : form);
    }
    return out;
  } else if constexpr (boost::describe::has_describe_members<T>::value && !StrongInteger<T>) {
    const auto* table = table_in(node);
    if (!table) fail_expected_here(node, field, "a table", "write it as [" + field + "] with one setting per line");
    json::object out;
    std::vector<std::string> known;
    boost::mp11::mp_for_each<members<T>>([&](auto member) {
      using Member = std::decay_t<decltype(std::declval<T>().*member.pointer)>;
      const FileWord here = file_word(member.name);
      known.push_back(here.word);
      if (const auto* value = table->get(here.word)) {
        out[member.name] = translate<Member>(*value, child(path, member.name), child(field, here.word), here.form);
      }
    });
    for (const auto& [key, value] : *table) {
      if (std::find(known.begin(), known.end(), key.str()) == known.end()) fail_unknown(key, child(field, key.str()), known);
    }
    return out;
  } else {
    return scalar(node, field, form);
  }
}

}  // namespace ultramarine::protocol
