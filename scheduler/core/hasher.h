// A 128-bit hash of described values: members in the order of their declaration, every value with its length, so that two values
// hash alike only if they are alike. The same on every compiler and machine: integers only, no addresses, no hash tables.
// The mixing is MurmurHash3_x64_128 (Austin Appleby, public domain) fed with 64-bit words. It guards against mistakes, not attackers.
#pragma once

#include <boost/describe.hpp>
#include <boost/mp11/algorithm.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "scheduler/model/time.h"

namespace ultramarine::core {

class Hasher {
 public:
  template <class T>
  void add(const T& value) {
    if constexpr (StrongInteger<T>) {
      T copy = value;
      word(static_cast<std::uint64_t>(integer_inside(copy)));
    } else if constexpr (std::is_enum_v<T>) {
      word(static_cast<std::uint64_t>(static_cast<std::underlying_type_t<T>>(value)));
    } else if constexpr (std::is_integral_v<T>) {
      word(static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
    } else {
      static_assert(!std::is_floating_point_v<T>, "floating point has no place in the state");
      boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>(
          [&](auto member) { add(value.*member.pointer); });
    }
  }
  void add(const std::string& text);
  template <class T>
  void add(const std::optional<T>& value) {
    word(value ? 1 : 0);
    if (value) add(*value);
  }
  template <class T>
  void add(const std::vector<T>& values) {
    word(values.size());
    for (const T& value : values) add(value);
  }
  template <class Key, class Value>
  void add(const std::map<Key, Value>& values) {
    word(values.size());
    for (const auto& [key, value] : values) {
      add(key);
      add(value);
    }
  }

  /// 32 hex digits. The hasher can go on afterwards.
  std::string hex() const;

 private:
  void word(std::uint64_t value);

  std::uint64_t first_ = 0, second_ = 0;
  std::uint64_t waiting_ = 0;  // the first half of the next pair of words
  std::uint64_t words_ = 0;
};

/// Adds what a T is made of, not a value: names of members and kinds of numbers, all the way down. Two programs whose T differ in that
/// hash the same content differently.
template <class T>
void add_shape(Hasher& hasher);

namespace detail {
template <class T>
struct Inside {
  static void add(Hasher& hasher) {
    if constexpr (StrongInteger<T> || std::is_enum_v<T> || std::is_integral_v<T> || std::is_same_v<T, std::string>) {
      hasher.add(std::string(std::is_same_v<T, std::string> ? "text" : "number"));
    } else {
      boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>([&](auto member) {
        hasher.add(std::string(member.name));
        add_shape<std::remove_cvref_t<decltype(std::declval<T&>().*member.pointer)>>(hasher);
      });
      hasher.add(std::string("end"));
    }
  }
};
template <class T>
struct Inside<std::optional<T>> {
  static void add(Hasher& hasher) { hasher.add(std::string("optional")), add_shape<T>(hasher); }
};
template <class T>
struct Inside<std::vector<T>> {
  static void add(Hasher& hasher) { hasher.add(std::string("list")), add_shape<T>(hasher); }
};
template <class Key, class Value>
struct Inside<std::map<Key, Value>> {
  static void add(Hasher& hasher) { hasher.add(std::string("map")), add_shape<Key>(hasher), add_shape<Value>(hasher); }
};
}  // namespace detail

template <class T>
void add_shape(Hasher& hasher) {
  detail::Inside<T>::add(hasher);
}

template <class T>
std::string hash_of(const T& value) {
  Hasher hasher;
  hasher.add(value);
  return hasher.hex();
}

}  // namespace ultramarine::core
