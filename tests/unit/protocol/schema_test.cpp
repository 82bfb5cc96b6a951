// From described types to JSON Schema: every kind of member, both ways of travel, and the comments as descriptions.
#include "scheduler/protocol/schema.h"

#include <gtest/gtest.h>

#include "scheduler/model/job.h"
#include "scheduler/model/plan.h"
#include "scheduler/protocol/agent_messages.h"

namespace ultramarine::protocol {
namespace {

enum class Colour { red, green };
BOOST_DESCRIBE_ENUM(Colour, red, green)

struct Leaf {
  static constexpr const char* type = "leaf";
  std::int64_t size_bytes = 7;
};
BOOST_DESCRIBE_STRUCT(Leaf, (), (size_bytes))

struct Twig {
  static constexpr const char* type = "twig";
  std::vector<Twig> twigs;  // a type may hold others of its kind
  Colour colour = Colour::green;
};
BOOST_DESCRIBE_STRUCT(Twig, (), (twigs, colour))

struct Tree {
  bool tall = true;
  double height = 0;
  std::string name = "oak";
  std::optional<std::int64_t> age;
  std::map<std::string, std::int64_t> rings;
  std::map<JobId, bool> by_job;
  std::variant<Leaf, Twig> top;
  Time planted_ms;
  Duration grows_ms{5};
};
BOOST_DESCRIBE_STRUCT(Tree, (), (tall, height, name, age, rings, by_job, top, planted_ms, grows_ms))

json::value parsed(std::string_view text) { return json::parse(text); }

TEST(Schema, DescribesEveryKindOfMember) {
  SchemaBook book("#/");
  EXPECT_EQ(json::value(book.schema<Tree>(Travel::received)), parsed(R"({"$ref":"#/Tree"})"));
  const json::object& tree = book.schemas().at("Tree").as_object();
  EXPECT_EQ(tree.at("type"), "object");
  EXPECT_EQ(tree.at("required"), parsed(R"(["tall","height","name","age","rings","by_job","top","planted_ms","grows_ms"])"));
  EXPECT_FALSE(tree.contains("additionalProperties")) << "a newer scheduler may say more";
  const json::object& members = tree.at("properties").as_object();
  EXPECT_EQ(members.at("tall"), parsed(R"({"type":"boolean"})"));
  EXPECT_EQ(members.at("height").at("type"), parsed(R"(["number","null"])"));
  EXPECT_EQ(members.at("age"), parsed(R"({"anyOf":[{"type":"integer","format":"int64"},{"type":"null"}]})"));
  EXPECT_EQ(members.at("rings"), parsed(R"({"type":"object","additionalProperties":{"type":"integer","format":"int64"}})"));
  EXPECT_EQ(members.at("by_job").at("propertyNames").at("pattern"), "^-?(0|[1-9][0-9]*)$");
  EXPECT_EQ(members.at("planted_ms"), parsed(R"({"$ref":"#/Time"})"));
  EXPECT_EQ(book.schemas().at("Duration").at("x-unit"), "milliseconds");
  EXPECT_EQ(book.schemas().at("Colour").at("enum"), parsed(R"(["red","green"])"));
  EXPECT_EQ(book.schemas().at("Twig").at("properties").at("twigs").at("items"), parsed(R"({"$ref":"#/Twig"})"));
}

TEST(Schema, TagsTheAlternativesOfAVariant) {
  SchemaBook book("#/");
  const json::object top = book.schema<std::variant<Leaf, Twig>>(Travel::received);
  EXPECT_EQ(top.at("oneOf"), parsed(R"([{"$ref":"#/Leaf"},{"$ref":"#/Twig"}])"));
  EXPECT_EQ(top.at("discriminator").at("propertyName"), "type");
  const json::object& leaf = book.schemas().at("Leaf").as_object();
  EXPECT_EQ(leaf.at("properties").at("type").at("const"), "leaf");
  EXPECT_EQ(leaf.at("properties").at("size_bytes").at("x-unit"), "bytes");
  EXPECT_EQ(leaf.at("required"), parsed(R"(["type","size_bytes"])"));
  // The messages between scheduler and agents are variants too.
  EXPECT_EQ(book.schema<FromAgent>(Travel::received).at("oneOf").as_array().size(), std::variant_size_v<FromAgent>);
}

TEST(Schema, LetsASenderLeaveOutWhatHasADefault) {
  SchemaBook book("#/");
  book.require("TreeInput", {"name"});
  EXPECT_EQ(json::value(book.schema<Tree>(Travel::sent)), parsed(R"({"$ref":"#/TreeInput"})"));
  const json::object& tree = book.schemas().at("TreeInput").as_object();
  EXPECT_EQ(tree.at("required"), parsed(R"(["name"])"));
  EXPECT_EQ(tree.at("additionalProperties"), false);
  const json::object& members = tree.at("properties").as_object();
  EXPECT_FALSE(members.at("name").as_object().contains("default"));
  EXPECT_EQ(members.at("tall").at("default"), true);
  EXPECT_EQ(members.at("age").at("default"), nullptr);
  EXPECT_EQ(members.at("grows_ms"), parsed(R"({"$ref":"#/Duration","default":5})"));
}

TEST(Schema, TakesDescriptionsFromTheComments) {
  using detail::description;
  EXPECT_EQ(description("JobSpec", "command"), "argument vector, never a shell string");
  EXPECT_EQ(description("JobSpec", "output"), description("JobSpec", "error")) << "two members of one declaration";
  EXPECT_NE(description("JobSpec", "output").find("an empty `error` follows `output`"), std::string_view::npos) << "a second line";
  EXPECT_NE(description("Resources", "").find("or `nodes` x `gpus_per_node`"), std::string_view::npos);
  EXPECT_EQ(description("Outcome", ""), "How an attempt ended.");
  EXPECT_EQ(description("JobSpec", "no_such_member"), "");
  SchemaBook book;
  book.schema<PlannedJob>(Travel::received);
  EXPECT_EQ(book.schemas().at("PlannedJob").at("properties").at("end_ms").at("description"), "start + time limit");
  EXPECT_NE(book.schemas().at("ReasonCode").at("description").as_string().find("too few GPUs are free"), json::string::npos);
}

TEST(Schema, FitsWhatTheCodecWrites) {
  // Member by member: what is declared is written, under the same name, and nothing else.
  SchemaBook book;
  book.schema<Job>(Travel::received);
  const json::object written = encode(Job{}).as_object();
  const json::object& declared = book.schemas().at("Job").at("properties").as_object();
  EXPECT_EQ(written.size(), declared.size());
  for (const auto& member : written) EXPECT_TRUE(declared.contains(member.key())) << member.key();
}

}  // namespace
}  // namespace ultramarine::protocol
