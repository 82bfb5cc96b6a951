// One small codec between described values (scheduler/model and the messages beside this file) and JSON.
// Missing members keep their defaults. Unknown members are ignored on wire and journal (`Unknown::ignored`, so that versions may
// differ) and refused in what people write (`Unknown::refused`). A variant is tagged by a member `type`. Errors name the path
// of the wrong field: `spec.resources.gpus: expected a number, got "eight"`. JSON has no word for a number that isn't one (the
// loss of a run that diverged): NaN and the infinities are written as null, and null is read as NaN. JSON is UTF-8: bytes that
// aren't (a rank's last words) are written as U+FFFD. Text is written directly, without a tree of values: states and lists are long.
#pragma once

#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <boost/mp11.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "scheduler/model/time.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::protocol {

namespace json = boost::json;

/// Something in a JSON value is not as declared. `path` is the field ("" for the whole), `problem` what is wrong with it.
struct DecodeError : std::runtime_error {
  DecodeError(std::string path_, std::string problem_)
      : std::runtime_error(path_.empty() ? problem_ : path_ + ": " + problem_), path(std::move(path_)), problem(std::move(problem_)) {}
  std::string path, problem;
};

enum class Unknown { ignored, refused };

/// Which members are written. `filled`: all but those that hold nothing ("", 0, false, no element, no value) where a fresh T holds nothing
/// either, so that reading gives the same value back. Whoever gives such a member another default later changes what was written before.
enum class Members { all, filled };

/// Where in a JSON value the decoder is; becomes text only when something is wrong there.
class Path {
 public:
  Path(const char* root = "") : name_(root) {}
  Path(const Path& parent, std::string_view member) : parent_(&parent), name_(member) {}
  Path(const Path& parent, std::size_t index) : parent_(&parent), index_(index), is_index_(true) {}
  std::string text() const;

 private:
  const Path* parent_ = nullptr;
  std::string_view name_;
  std::size_t index_ = 0;
  bool is_index_ = false;
};

namespace detail {
template <class T>
using members = boost::describe::describe_members<T, boost::describe::mod_public>;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_map = false;
template <class K, class V>
inline constexpr bool is_map<std::map<K, V>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_variant = false;
template <class... T>
inline constexpr bool is_variant<std::variant<T...>> = true;

std::string number_text(double number);  // the shortest that reads back the same
/// The text with every byte that isn't part of UTF-8 replaced by U+FFFD.
json::string utf8_text(std::string_view text);
std::string key_text(const std::string& key);
std::string key_text(JobId key);
void key_from_text(std::string_view text, std::string& key, const Path& path);
void key_from_text(std::string_view text, JobId& key, const Path& path);
[[noreturn]] void fail_expected(const Path& path, const char* expected, const json::value& got);
/// A JSON string, quoted and escaped, UTF-8 as `utf8_text` makes it.
void write_text(std::string& out, std::string_view text);
void write_integer(std::string& out, std::int64_t number);
void write_double(std::string& out, double number);

template <class T>
bool holds_nothing(const T& value) {
  if constexpr (is_optional<T>) {
    return !value;
  } else if constexpr (is_vector<T> || is_map<T> || std::is_same_v<T, std::string>) {
    return value.empty();
  } else if constexpr (StrongInteger<T>) {
    T copy = value;
    return integer_inside(copy) == 0;
  } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::int64_t>) {
    return value == 0;
  } else {
    return false;
  }
}
}  // namespace detail

template <class T>
json::value encode(const T& value) {
  using namespace detail;
  if constexpr (is_optional<T>) {
    return value ? encode(*value) : json::value(nullptr);
  } else if constexpr (is_variant<T>) {
    return std::visit(
        [](const auto& alternative) {
          json::object tagged;
          tagged["type"] = std::decay_t<decltype(alternative)>::type;
          json::value encoded = encode(alternative);
          for (auto& member : encoded.as_object()) tagged[member.key()] = std::move(member.value());
          return json::value(std::move(tagged));
        },
        value);
  } else if constexpr (is_vector<T>) {
    json::array array;
    array.reserve(value.size());
    for (const auto& element : value) array.push_back(encode(element));
    return array;
  } else if constexpr (is_map<T>) {
    json::object object;
    for (const auto& [key, element] : value) object[key_text(key)] = encode(element);
    return object;
  } else if constexpr (StrongInteger<T>) {
    T copy = value;
    return json::value(integer_inside(copy));
  } else if constexpr (boost::describe::has_describe_enumerators<T>::value) {
    return json::value(boost::describe::enum_to_string(value, ""));
  } else if constexpr (boost::describe::has_describe_members<T>::value) {
    json::object object;
    boost::mp11::mp_for_each<members<T>>([&](auto member) { object[member.name] = encode(value.*member.pointer); });
    return object;
  } else if constexpr (std::is_floating_point_v<T>) {
    return std::isfinite(value) ? json::value(value) : json::value(nullptr);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return utf8_text(value);
  } else {
    return json::value(value);
  }
}

/// Appends the compact JSON text of a described value.
template <class T>
void append_json(std::string& out, const T& value, Members which = Members::all);

namespace detail {
/// `,"name":` of every member, in order.
template <class T>
std::vector<std::string> make_member_heads() {
  std::vector<std::string> heads;
  boost::mp11::mp_for_each<members<T>>([&](auto member) { heads.push_back(std::string(",\"") + member.name + "\":"); });
  return heads;
}

/// The members of a struct without the braces; `is_first`: nothing stands before them.
template <class T>
void append_members(std::string& out, const T& value, Members which, bool is_first) {
  [[maybe_unused]] static const T fresh{};
  static const std::vector<std::string> heads = make_member_heads<T>();
  auto head = heads.begin();
  boost::mp11::mp_for_each<members<T>>([&](auto member) {
    const std::string& here = *head++;
    const auto& held = value.*member.pointer;
    if (which == Members::filled && holds_nothing(held) && holds_nothing(fresh.*member.pointer)) return;
    out.append(here, is_first ? 1 : 0);
    append_json(out, held, which);
    is_first = false;
  });
}
}  // namespace detail

template <class T>
void append_json(std::string& out, const T& value, Members which) {
  using namespace detail;
  if constexpr (is_optional<T>) {
    if (value) append_json(out, *value, which);
    else out += "null";
  } else if constexpr (is_variant<T>) {
    std::visit(
        [&](const auto& alternative) {
          out += "{\"type\":";
          write_text(out, std::decay_t<decltype(alternative)>::type);
          append_members(out, alternative, which, false);
          out += '}';
        },
        value);
  } else if constexpr (is_vector<T>) {
    char before = '[';
    for (const auto& element : value) {
      out += before;
      append_json(out, element, which);
      before = ',';
    }
    out += value.empty() ? "[]" : "]";
  } else if constexpr (is_map<T>) {
    char before = '{';
    for (const auto& [key, element] : value) {
      out += before;
      write_text(out, key_text(key));
      out += ':';
      append_json(out, element, which);
      before = ',';
    }
    out += value.empty() ? "{}" : "}";
  } else if constexpr (StrongInteger<T>) {
    T copy = value;
    write_integer(out, integer_inside(copy));
  } else if constexpr (boost::describe::has_describe_enumerators<T>::value) {
    write_text(out, boost::describe::enum_to_string(value, ""));
  } else if constexpr (boost::describe::has_describe_members<T>::value) {
    out += '{';
    append_members(out, value, which, true);
    out += '}';
  } else if constexpr (std::is_floating_point_v<T>) {
    write_double(out, value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    write_text(out, value);
  } else if constexpr (std::is_same_v<T, bool>) {
    out += value ? "true" : "false";
  } else {
    static_assert(std::is_same_v<T, std::int64_t>, "described values hold std::int64_t, bool, double, text, enums and containers of them");
    write_integer(out, value);
  }
}

template <class T>
void decode(const json::value& value, T& out, const Path& path, Unknown unknown);

namespace detail {
/// `is_tagged`: it is a variant's alternative, whose member `type` has been read.
template <class T>
void decode_struct(const json::object& object, T& out, const Path& path, Unknown unknown, bool is_tagged) {
  std::size_t read = is_tagged ? 1 : 0;
  boost::mp11::mp_for_each<members<T>>([&](auto member) {
    if (read == object.size()) return;
    if (const auto* field = object.if_contains(member.name)) {
      decode(*field, out.*member.pointer, Path(path, member.name), unknown);
      ++read;
    }
  });
  if (unknown == Unknown::ignored || read == object.size()) return;
  std::vector<std::string> known;
  boost::mp11::mp_for_each<members<T>>([&](auto member) { known.emplace_back(member.name); });
  for (const auto& member : object) {
    if (is_tagged && member.key() == "type") continue;
    bool is_known = false;
    for (const auto& name : known) is_known = is_known || name == member.key();
    if (is_known) continue;
    const std::string near = nearest_word(member.key(), known);
    throw DecodeError(Path(path, member.key()).text(), "unknown field" + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
}
}  // namespace detail

template <class T>
void decode(const json::value& value, T& out, const Path& path, Unknown unknown) {
  using namespace detail;
  if constexpr (is_optional<T>) {
    if (value.is_null()) out.reset();
    else decode(value, out.emplace(), path, unknown);
  } else if constexpr (is_variant<T>) {
    const auto* object = value.if_object();
    const auto* tag = object ? object->if_contains("type") : nullptr;
    if (!tag || !tag->is_string()) fail_expected(path, "an object with a member \"type\"", value);
    bool found = false;
    boost::mp11::mp_for_each<boost::mp11::mp_transform<boost::mp11::mp_identity, T>>([&](auto identity) {
      using Alternative = typename decltype(identity)::type;
      if (found || tag->get_string() != Alternative::type) return;
      found = true;
      Alternative alternative{};
      decode_struct(*object, alternative, path, unknown, true);
      out = std::move(alternative);
    });
    if (!found) throw DecodeError(Path(path, "type").text(), "unknown type \"" + std::string(tag->get_string()) + "\"");
  } else if constexpr (is_vector<T>) {
    const auto* array = value.if_array();
    if (!array) fail_expected(path, "an array", value);
    out.clear();
    out.reserve(array->size());
    for (std::size_t i = 0; i < array->size(); ++i) decode((*array)[i], out.emplace_back(), Path(path, i), unknown);
  } else if constexpr (is_map<T>) {
    const auto* object = value.if_object();
    if (!object) fail_expected(path, "an object", value);
    out.clear();
    for (const auto& member : *object) {
      typename T::key_type key;
      const Path child(path, member.key());
      key_from_text(member.key(), key, child);
      decode(member.value(), out.try_emplace(out.end(), std::move(key))->second, child, unknown);
    }
  } else if constexpr (StrongInteger<T>) {
    decode(value, integer_inside(out), path, unknown);
  } else if constexpr (boost::describe::has_describe_enumerators<T>::value) {
    const auto* text = value.if_string();
    if (!text || !boost::describe::enum_from_string(text->c_str(), out)) {
      std::string words;
      boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>(
          [&](auto word) { words += std::string(words.empty() ? "" : ", ") + word.name; });
      fail_expected(path, ("one of: " + words).c_str(), value);
    }
  } else if constexpr (boost::describe::has_describe_members<T>::value) {
    const auto* object = value.if_object();
    if (!object) fail_expected(path, "an object", value);
    decode_struct(*object, out, path, unknown, false);
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_bool()) fail_expected(path, "true or false", value);
    out = value.get_bool();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!value.is_string()) fail_expected(path, "text", value);
    out.assign(value.get_string().data(), value.get_string().size());
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!value.is_number() && !value.is_null()) fail_expected(path, "a number", value);
    out = value.is_null() ? std::numeric_limits<T>::quiet_NaN() : value.to_number<T>();
  } else {
    static_assert(std::is_same_v<T, std::int64_t>, "described values hold std::int64_t, bool, double, text, enums and containers of them");
    json::error_code error;
    if (!value.is_number()) fail_expected(path, "a whole number", value);
    out = value.to_number<std::int64_t>(error);
    if (error) fail_expected(path, "a whole number", value);
  }
}

/// Compact JSON text of a described value; members in the order of their declaration.
template <class T>
std::string to_json(const T& value, Members which = Members::all) {
  std::string out;
  append_json(out, value, which);
  return out;
}

/// Parses at most `depth` 32 levels. Throws DecodeError with line and column for malformed JSON, or with the field's path.
json::value parse_json(std::string_view text);

template <class T>
T from_json(std::string_view text, Unknown unknown = Unknown::ignored) {
  T out{};
  decode(parse_json(text), out, "", unknown);
  return out;
}

}  // namespace ultramarine::protocol
