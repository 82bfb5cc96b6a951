#include "scheduler/protocol/settings_file.h"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

namespace ultramarine::protocol {
namespace {

std::string place(const std::string& file_name, toml::source_position position) {
  return file_name + ":" + std::to_string(std::max<toml::source_index>(position.line, 1)) + ":" +
         std::to_string(std::max<toml::source_index>(position.column, 1));
}

bool is_plain(const toml::node& node) { return node.is_string() || node.is_integer() || node.is_floating_point(); }

std::string text_of(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto truth = node.value_exact<bool>()) return *truth ? "true" : "false";
  if (const auto whole = node.value_exact<std::int64_t>()) return std::to_string(*whole);
  std::ostringstream stream;
  if (const auto number = node.value_exact<double>()) stream << *number;
  return stream.str();
}

Setting setting_of(const toml::key& key, const toml::node& node, const std::string& file_name) {
  Setting setting;
  setting.key = std::string(key.str());
  setting.where = place(file_name, node.source().begin);
  setting.key_where = place(file_name, key.source().begin);
  setting.line = key.source().begin.line;
  if (node.is_table() || node.is_array_of_tables())
    throw ConfigError(setting.key_where, setting.key, "expected a value, got a table",
                      "write " + setting.key + " = VALUE on a line of its own");
  if (const auto* list = node.as_array()) {
    setting.kind = Setting::Kind::list;
    for (std::size_t i = 0; i < list->size(); ++i) {
      const toml::node& item = *list->get(i);
      if (!is_plain(item))
        throw ConfigError(place(file_name, item.source().begin), setting.key, "expected texts in the list",
                          "write for example [\"a\", \"b\"]");
      setting.items.push_back(text_of(item));
    }
    return setting;
  }
  if (!is_plain(node) && !node.is_boolean())
    throw ConfigError(setting.where, setting.key, "a date or time is no value here", "write it between quotes");
  setting.kind = node.is_string()    ? Setting::Kind::text
                 : node.is_boolean() ? Setting::Kind::truth
                                     : Setting::Kind::number;
  setting.value = text_of(node);
  return setting;
}

}  // namespace

std::vector<Setting> read_settings(std::string_view text, const std::string& file_name) {
  toml::table root;
  try {
    root = toml::parse(text, std::string_view(file_name));
  } catch (const toml::parse_error& error) {
    throw ConfigError(place(file_name, error.source().begin), "", std::string(error.description()), "");
  }
  std::vector<Setting> settings;
  for (const auto& [key, value] : root) settings.push_back(setting_of(key, value, file_name));
  std::stable_sort(settings.begin(), settings.end(),
                   [](const Setting& a, const Setting& b) { return a.line < b.line; });
  return settings;
}

}  // namespace ultramarine::protocol
