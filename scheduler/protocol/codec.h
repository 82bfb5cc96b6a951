// One small codec between described values (scheduler/model and the messages beside this file) and JSON.
// Missing members keep their defaults. Unknown members are ignored on wire and journal (`Unknown::ignored`, so that versions may
// differ) and refused in what people write (`Unknown::refused`). A variant is tagged by a member `type`. Errors name the path
// of the wrong field: `spec.resources.gpus: expected a number, got "eight"`. JSON has no word for a number that isn't one (the
// loss of a run that diverged): NaN and the infinities are written as null, and null is read as NaN. JSON is UTF-8: bytes that
// aren't (a rank's last words) are written as U+FFFD.
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
void key_from_text(std::string_view text, std::string& key, const std::string& path);
void key_from_text(std::string_view text, JobId& key, const std::string& path);
[[noreturn]] void fail_expected(const std::string& path, const char* expected, const json::value& got);
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

template <class T>
void decode(const json::value& value, T& out, const std::string& path, Unknown unknown) {
  using namespace detail;
  const auto child = [&](std::string_view name) { return path.empty() ? std::string(name) : path + "." + std::string(name); };
  if constexpr (is_optional<T>) {
    if (value.is_null()) out.reset();
    else decode(value, out.emplace(), path, unknown);
  } else if constexpr (is_variant<T>) {
    const auto* object = value.if_object();
    const auto* tag = object ? object->if_contains("type") : nullptr;
    if (!tag || !tag->is_string()) fail_expected(path, "an object with a member \"type\"", value);
    json::object rest = *object;
    rest.erase("type");
    bool found = false;
    boost::mp11::mp_for_each<boost::mp11::mp_transform<boost::mp11::mp_identity, T>>([&](auto identity) {
      using Alternative = typename decltype(identity)::type;
      if (found || tag->get_string() != Alternative::type) return;
      found = true;
      Alternative alternative{};
      decode(json::value(rest), alternative, path, unknown);
      out = std::move(alternative);
    });
    if (!found) throw DecodeError(child("type"), "unknown type \"" + std::string(tag->get_string()) + "\"");
  } else if constexpr (is_vector<T>) {
    const auto* array = value.if_array();
    if (!array) fail_expected(path, "an array", value);
    out.clear();
    for (std::size_t i = 0; i < array->size(); ++i) decode((*array)[i], out.emplace_back(), path + "[" + std::to_string(i) + "]", unknown);
  } else if constexpr (is_map<T>) {
    const auto* object = value.if_object();
    if (!object) fail_expected(path, "an object", value);
    out.clear();
    for (const auto& member : *object) {
      typename T::key_type key;
      key_from_text(member.key(), key, child(member.key()));
      decode(member.value(), out[key], child(member.key()), unknown);
    }
  } else if constexpr (StrongInteger<T>) {
    decode(value, integer_inside(out), path, unknown);
  } else if constexpr (boost::describe::has_describe_enumerators<T>::value) {
    const auto* text = value.if_string();
    if (!text || !boost::describe::enum_from_string(std::string(*text).c_str(), out)) {
      std::string words;
      boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>(
          [&](auto word) { words += std::string(words.empty() ? "" : ", ") + word.name; });
      fail_expected(path, ("one of: " + words).c_str(), value);
    }
  } else if constexpr (boost::describe::has_describe_members<T>::value) {
    const auto* object = value.if_object();
    if (!object) fail_expected(path, "an object", value);
    boost::mp11::mp_for_each<members<T>>([&](auto member) {
      if (const auto* field = object->if_contains(member.name)) decode(*field, out.*member.pointer, child(member.name), unknown);
    });
    if (unknown == Unknown::refused) {
      std::vector<std::string> known;
      boost::mp11::mp_for_each<members<T>>([&](auto member) { known.emplace_back(member.name); });
      for (const auto& member : *object) {
        bool is_known = false;
        for (const auto& name : known) is_known = is_known || name == member.key();
        if (is_known) continue;
        const std::string near = nearest_word(member.key(), known);
        throw DecodeError(child(member.key()), "unknown field" + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
      }
    }
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
std::string to_json(const T& value) {
  return json::serialize(encode(value));
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
