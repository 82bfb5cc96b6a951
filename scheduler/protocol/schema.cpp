// The parts of a schema that don't depend on the type: descriptions and units.
#include "scheduler/protocol/schema.h"

namespace ultramarine::protocol::detail {

void annotate(json::object& schema, std::string_view type, std::string_view member) {
  std::string text(description(type, member));
  if (const auto* own = schema.if_contains("description")) text += (text.empty() ? "" : "; ") + std::string(own->as_string());
  if (!text.empty()) schema["description"] = text;
  // `_ms` is said by the types Time and Duration.
  if (member.ends_with("_bytes") || member.ends_with("_bytes_max")) schema["x-unit"] = "bytes";
  if (member.ends_with("_permille")) schema["x-unit"] = "thousandths";
}

json::object integer_schema(std::string_view name) {
  json::object schema{{"type", "integer"}, {"format", "int64"}};
  if (name == "Time" || name == "Duration") schema["x-unit"] = "milliseconds";
  if (name == "Duration") schema["description"] = "A length of time in milliseconds.";
  else if (name == "JobId") schema["description"] = "The number of a job, from 1.";
  else annotate(schema, name, "");
  return schema;
}

}  // namespace ultramarine::protocol::detail
