// A flat TOML file as a list of settings with their places: for files whose words somebody else knows (a job file's are
// the options of `ultra submit`). Knows TOML, no word.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/protocol/config.h"

namespace ultramarine::protocol {

struct Setting {
  enum class Kind { text, number, truth, list };
  std::string key;
  Kind kind = Kind::text;
  std::string value;               // as text: "true" or "false" for a truth, "" for a list
  std::vector<std::string> items;  // of a list of texts and numbers
  std::string where;               // file:line:column of the value
  std::string key_where;           // of the key
  std::int64_t line = 0;
};

/// In the order of the file. Throws ConfigError: not TOML, tables, lists of anything but texts and numbers, dates.
std::vector<Setting> read_settings(std::string_view text, const std::string& file_name);

}  // namespace ultramarine::protocol
