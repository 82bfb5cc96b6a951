// From described values to JSON Schema (draft 2020-12, what OpenAPI 3.1 speaks): the same types that the codec writes, so a new field
// is described as soon as it exists. Structs and enums become named schemas that refer to each other; descriptions are the comments of
// the headers (`descriptions.py` reads them at build time). Knows nothing of routes.
//
// What clients send is decoded strictly and may leave members out; what they receive has every member, and a newer scheduler may add
// some. So a struct that travels both ways has two schemas: `JobSpec` as received, `JobSpecInput` as sent.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "scheduler/protocol/codec.h"

namespace ultramarine::protocol {

enum class Travel { sent, received };

namespace detail {
/// The comment above a type ("" for `member`) or beside a member, in one line; "" when there is none.
std::string_view description(std::string_view type, std::string_view member);

/// The type's name without its namespaces.
template <class T>
std::string type_name() {
  std::string_view text = __PRETTY_FUNCTION__;  // "... [with T = ultramarine::Job; ...]" (g++) or "... [T = ultramarine::Job]" (clang)
  text.remove_prefix(text.find("T = ") + 4);
  text = text.substr(0, text.find_first_of(";]"));
  return std::string(text.substr(text.rfind(':') + 1));  // npos + 1 is 0
}

/// What is added to a member's schema: its description, and the unit that its name ends in.
void annotate(json::object& schema, std::string_view type, std::string_view member);
/// `{"type":"integer","format":"int64"}` with the description of the type `name`.
json::object integer_schema(std::string_view name);
}  // namespace detail

/// The named schemas of a document, made as they are asked for.
class SchemaBook {
 public:
  /// References are `prefix` and the name.
  explicit SchemaBook(std::string prefix = "#/components/schemas/") : prefix_(std::move(prefix)) {}

  /// The schema of a T: for structs, enums and the numbers of model/time.h a reference to a named one.
  template <class T>
  json::object schema(Travel travel);

  /// Members that a sender may not leave out; all other members have their defaults. Before the schema is made.
  void require(std::string name, std::vector<std::string> members) { required_[std::move(name)] = std::move(members); }

  const json::object& schemas() const { return schemas_; }

 private:
  json::object reference(const std::string& name) const { return {{"$ref", prefix_ + name}}; }
  template <class T>
  json::object struct_schema(const std::string& name, Travel travel);

  std::string prefix_;
  json::object schemas_;
  std::map<std::string, std::vector<std::string>> required_;
};

/// The name of the schema of a struct: `JobSpec`, or `JobSpecInput` when it is sent; what is only ever sent (`...Request`) keeps its name.
template <class T>
std::string schema_name(Travel travel) {
  const std::string name = detail::type_name<T>();
  return travel == Travel::sent && !name.ends_with("Request") ? name + "Input" : name;
}

template <class T>
json::object SchemaBook::schema(Travel travel) {
  using namespace detail;
  if constexpr (is_optional<T>) {
    json::object inner = schema<typename T::value_type>(travel);
    return {{"anyOf", {std::move(inner), {{"type", "null"}}}}};
  } else if constexpr (is_variant<T>) {
    json::array alternatives;
    boost::mp11::mp_for_each<boost::mp11::mp_transform<boost::mp11::mp_identity, T>>([&](auto identity) {
      using Alternative = typename decltype(identity)::type;
      const std::string name = schema_name<Alternative>(travel);
      if (!schemas_.contains(name)) {
        schemas_[name] = nullptr;
        json::object described = struct_schema<Alternative>(name, travel);
        described["properties"].as_object()["type"] = {{"const", Alternative::type}};
        json::array required{"type"};
        if (const auto* others = described.if_contains("required"))
          for (const auto& other : others->as_array()) required.push_back(other);
        described["required"] = std::move(required);
        schemas_[name] = std::move(described);
      }
      alternatives.push_back(reference(name));
    });
    return {{"oneOf", std::move(alternatives)}, {"discriminator", {{"propertyName", "type"}}}};
  } else if constexpr (is_vector<T>) {
    return {{"type", "array"}, {"items", schema<typename T::value_type>(travel)}};
  } else if constexpr (is_map<T>) {
    json::object map{{"type", "object"}, {"additionalProperties", schema<typename T::mapped_type>(travel)}};
    if constexpr (!std::is_same_v<typename T::key_type, std::string>) map["propertyNames"] = {{"pattern", "^-?(0|[1-9][0-9]*)$"}};
    return map;
  } else if constexpr (StrongInteger<T>) {
    const std::string name = type_name<T>();
    if (!schemas_.contains(name)) schemas_[name] = integer_schema(name);
    return reference(name);
  } else if constexpr (boost::describe::has_describe_enumerators<T>::value) {
    const std::string name = type_name<T>();
    if (!schemas_.contains(name)) {
      json::array words;
      boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>([&](auto word) { words.emplace_back(word.name); });
      json::object described{{"type", "string"}, {"enum", std::move(words)}};
      annotate(described, name, "");
      schemas_[name] = std::move(described);
    }
    return reference(name);
  } else if constexpr (boost::describe::has_describe_members<T>::value) {
    const std::string name = schema_name<T>(travel);
    if (!schemas_.contains(name)) {
      schemas_[name] = nullptr;  // a type may hold others of its kind
      json::object described = struct_schema<T>(name, travel);
      schemas_[name] = std::move(described);
    }
    return reference(name);
  } else if constexpr (std::is_same_v<T, bool>) {
    return {{"type", "boolean"}};
  } else if constexpr (std::is_same_v<T, std::string>) {
    return {{"type", "string"}};
  } else if constexpr (std::is_floating_point_v<T>) {
    return {{"type", {"number", "null"}}, {"description", "null: not a number"}};
  } else {
    static_assert(std::is_same_v<T, std::int64_t>, "as in the codec");
    return {{"type", "integer"}, {"format", "int64"}};
  }
}

template <class T>
json::object SchemaBook::struct_schema(const std::string& name, Travel travel) {
  const T defaults{};
  json::object properties;
  json::array required;
  const auto demanded = required_.find(name);
  boost::mp11::mp_for_each<detail::members<T>>([&](auto member) {
    using Member = std::decay_t<decltype(defaults.*member.pointer)>;
    json::object property = schema<Member>(travel);
    detail::annotate(property, detail::type_name<T>(), member.name);
    bool must = travel == Travel::received;
    if (demanded != required_.end())
      for (const std::string& one : demanded->second) must = must || one == member.name;
    if (must) required.emplace_back(member.name);
    else property["default"] = encode(defaults.*member.pointer);
    properties[member.name] = std::move(property);
  });
  json::object described{{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) described["required"] = std::move(required);
  if (travel == Travel::sent) described["additionalProperties"] = false;
  detail::annotate(described, detail::type_name<T>(), "");
  return described;
}

}  // namespace ultramarine::protocol
