// The document and the table of routes are one thing: nothing is served that is not described, nothing described that is not served.
#include "scheduler/api/openapi.h"

#include <gtest/gtest.h>

#include "scheduler/api/routes.h"

namespace ultramarine::api {
namespace {

namespace json = protocol::json;

json::object document() { return protocol::parse_json(openapi_document("1.2.3")).as_object(); }

/// Every value of `word` anywhere below.
void collect(const json::value& value, std::string_view word, std::vector<json::value>& found) {
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) {
      if (member.key() == word) found.push_back(member.value());
      collect(member.value(), word, found);
    }
  } else if (const auto* array = value.if_array()) {
    for (const auto& element : *array) collect(element, word, found);
  }
}

TEST(OpenApi, DescribesEveryRouteOnce) {
  const json::object described = document();
  EXPECT_EQ(described.at("openapi"), "3.1.0");
  EXPECT_EQ(described.at("info").at("version"), "1.2.3");
  std::size_t operations = 0;
  for (const auto& path : described.at("paths").as_object()) operations += path.value().as_object().size();
  EXPECT_EQ(operations, routes().size()) << "two routes with the same method and path";
  std::set<std::string> names;
  for (const Route& route : routes()) {
    EXPECT_TRUE(names.insert(route.name).second) << route.name;
    EXPECT_GT(std::string(route.summary).size(), 5u) << route.path;
    EXPECT_EQ(route.request.example != nullptr, *route.request.type != '\0') << route.path << ": what is sent has an example";
  }
}

TEST(OpenApi, RefersOnlyToWhatIsThereAndLeavesNothingUnused) {
  const json::value described = document();
  const json::object& schemas = described.at("components").at("schemas").as_object();
  std::vector<json::value> references;
  collect(described, "$ref", references);
  std::set<std::string> used;
  for (const json::value& reference : references) {
    const std::string text(reference.as_string());
    ASSERT_TRUE(text.starts_with("#/components/schemas/")) << text;
    used.insert(text.substr(text.rfind('/') + 1));
  }
  for (const std::string& name : used) EXPECT_TRUE(schemas.contains(name)) << name;
  for (const auto& schema : schemas) {
    EXPECT_TRUE(used.count(std::string(schema.key()))) << schema.key();
    EXPECT_TRUE(schema.value().is_object()) << schema.key();
  }
}

TEST(OpenApi, NamesOnlyStatusesThatGoWithTheirCode) {
  const std::map<std::string, std::set<int>> statuses{{"bad_request", {400, 413, 421}}, {"impossible", {400}}, {"not_permitted", {403}},
                                                      {"not_found", {404}},            {"conflict", {409}},   {"not_ready", {503}}};
  for (const Route& route : routes()) {
    for (const Refusal& refusal : route.refusals) {
      if (*refusal.code == '\0') continue;
      const auto known = statuses.find(refusal.code);
      ASSERT_NE(known, statuses.end()) << refusal.code;
      EXPECT_TRUE(known->second.count(refusal.status)) << route.path << " " << refusal.status << " " << refusal.code;
    }
  }
}

}  // namespace
}  // namespace ultramarine::api
