// Values of described types in which no member has its default: whatever a codec forgets shows. Deterministic: the n-th leaf gets
// the n-th number.
#pragma once

#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <string>

#include "scheduler/protocol/codec.h"

namespace ultramarine::protocol {

template <class T>
void fill(T& out, std::int64_t& next) {
  using namespace detail;
  if constexpr (is_optional<T>) {
    fill(out.emplace(), next);
  } else if constexpr (is_variant<T>) {
    typename boost::mp11::mp_back<T> last{};
    fill(last, next);
    out = last;
  } else if constexpr (is_vector<T>) {
    out.clear();
    using Element = typename T::value_type;
    if constexpr (is_variant<Element>) {
      boost::mp11::mp_for_each<boost::mp11::mp_transform<boost::mp11::mp_identity, Element>>([&](auto identity) {
        typename decltype(identity)::type alternative{};
        fill(alternative, next);
        out.push_back(alternative);
      });
    } else {
      for (int i = 0; i < 2; ++i) fill(out.emplace_back(), next);
    }
  } else if constexpr (is_map<T>) {
    out.clear();
    for (int i = 0; i < 2; ++i) {
      typename T::key_type key{};
      fill(key, next);
      fill(out[key], next);
    }
  } else if constexpr (StrongInteger<T>) {
    integer_inside(out) = ++next;
  } else if constexpr (boost::describe::has_describe_enumerators<T>::value) {
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>([&](auto enumerator) { out = enumerator.value; });
  } else if constexpr (boost::describe::has_describe_members<T>::value) {
    boost::mp11::mp_for_each<members<T>>([&](auto member) { fill(out.*member.pointer, next); });
  } else if constexpr (std::is_same_v<T, bool>) {
    out = !out;
  } else if constexpr (std::is_same_v<T, std::string>) {
    out = "text " + std::to_string(++next) + " \"\xC3\xA4\"\n";
  } else if constexpr (std::is_floating_point_v<T>) {
    out = static_cast<T>(++next) + 0.5;
  } else {
    out = ++next;
  }
}

template <class T>
T filled() {
  T value{};
  std::int64_t next = 0;
  fill(value, next);
  return value;
}

/// Calls `visit` with a filled value of each alternative, as the variant.
template <class Variant, class Visit>
void for_each_alternative(const Visit& visit) {
  boost::mp11::mp_for_each<boost::mp11::mp_transform<boost::mp11::mp_identity, Variant>>([&](auto identity) {
    using Alternative = typename decltype(identity)::type;
    visit(Variant(filled<Alternative>()), Alternative::type);
  });
}

}  // namespace ultramarine::protocol
