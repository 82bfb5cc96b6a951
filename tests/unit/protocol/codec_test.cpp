// The codec: what is written is what is read, versions may differ, and errors name the field.
#include "scheduler/protocol/codec.h"

#include <gtest/gtest.h>

#include <set>

#include "scheduler/model/event.h"
#include "scheduler/model/state.h"
#include "scheduler/protocol/agent_messages.h"
#include "scheduler/protocol/api_messages.h"
#include "tests/unit/protocol/filled.h"

namespace ultramarine::protocol {
namespace {

/// What decoding `text` as a T says; "" when it accepts.
template <class T>
std::string problem(std::string_view text, Unknown unknown = Unknown::ignored) {
  try {
    from_json<T>(text, unknown);
    return "";
  } catch (const DecodeError& error) {
    return error.what();
  }
}

/// Every member of every alternative comes back: text -> value -> text is the same, and text differs from that of the default.
template <class Variant>
void expect_round_trip() {
  std::set<std::string> types;
  for_each_alternative<Variant>([&](const Variant& value, const std::string& type) {
    EXPECT_TRUE(types.insert(type).second) << type << " is the tag of two";
    const std::string text = to_json(value);
    const auto back = from_json<Variant>(text, Unknown::refused);
    EXPECT_EQ(back.index(), value.index()) << type;
    EXPECT_EQ(to_json(back), text) << type;
    EXPECT_EQ(json::serialize(encode(value)), text) << type;
    EXPECT_EQ(to_json(from_json<Variant>(to_json(value, Members::filled), Unknown::refused)), text) << type;
  });
}

TEST(Codec, BringsBackEveryEventWithEveryMember) {
  expect_round_trip<Entry>();
  expect_round_trip<Event>();
  expect_round_trip<Decision>();
}

TEST(Codec, BringsBackEveryMessageBetweenAgentAndScheduler) {
  expect_round_trip<FromAgent>();
  expect_round_trip<ToAgent>();
}

TEST(Codec, BringsBackAWholeState) {
  const auto state = filled<State>();
  EXPECT_EQ(from_json<State>(to_json(state), Unknown::refused), state);
  EXPECT_NE(state, State{});
}

TEST(Codec, LeavesOutOnlyWhatHoldsNothingAndIsReadBackSo) {
  EXPECT_EQ(to_json(Resources{.gpus = 8}, Members::filled), R"({"gpus":8})");
  EXPECT_EQ(to_json(WarningSignal{}, Members::filled), R"({"before_ms":60000})");
  EXPECT_EQ(to_json(WarningSignal{.before_ms = {}}, Members::filled), R"({"before_ms":0})") << "a fresh one holds something else";
  EXPECT_EQ(to_json(std::optional<Resources>(Resources{}), Members::filled), "{}");
  State state;
  state.jobs[JobId{1}].hold = Hold{};
  state.jobs[JobId{1}].spec.stop_grace_ms = {};
  state.jobs[JobId{2}].attempts.resize(2);
  const std::string text = to_json(state, Members::filled);
  EXPECT_EQ(from_json<State>(text, Unknown::refused), state);
  EXPECT_LT(to_json(state.jobs, Members::filled).size(), to_json(state.jobs).size() / 4);
}

TEST(Codec, WritesTextAsTheTreeOfValuesWould) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  for (const std::string& text : {all, std::string("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), std::string("\xF0\x9F"), std::string("a\xC3"), std::string()})
    EXPECT_EQ(to_json(text), json::serialize(encode(text)));
  for (const double number : {0.1, 3.0, -1e300, 0.0}) EXPECT_EQ(to_json(number), json::serialize(encode(number)));
  EXPECT_EQ(to_json(INT64_MIN), json::serialize(json::value(INT64_MIN)));
}

TEST(Codec, KeepsDefaultsOfMissingMembers) {
  const auto spec = from_json<JobSpec>(R"({"name":"a"})");
  EXPECT_EQ(spec.name, "a");
  EXPECT_EQ(spec.stop_grace_ms, seconds(30));
  const auto entry = from_json<Entry>(R"({"type":"gang_started"})");
  EXPECT_EQ(std::get<GangStarted>(entry).attempt, 1);
}

TEST(Codec, IgnoresUnknownMembersOnTheWireAndRefusesThemFromPeople) {
  const char* text = R"({"spec":{"resources":{"gpu":8}}})";
  EXPECT_EQ(problem<SubmitRequest>(text), "");
  EXPECT_EQ(problem<SubmitRequest>(text, Unknown::refused), "spec.resources.gpu: unknown field; did you mean \"gpus\"?");
  EXPECT_EQ(problem<SubmitRequest>(R"({"banana":1})", Unknown::refused), "banana: unknown field");
}

TEST(Codec, AVariantIgnoresUnknownMembersButNotUnknownTypes) {
  EXPECT_EQ(problem<Entry>(R"({"type":"gang_started","later":1})"), "");
  EXPECT_EQ(problem<Entry>(R"({"type":"gang_begun"})"), "type: unknown type \"gang_begun\"");
  EXPECT_EQ(problem<Entry>(R"({"job":1})"), "expected an object with a member \"type\", got an object");
  EXPECT_EQ(problem<Entry>(R"([])"), "expected an object with a member \"type\", got an array");
  EXPECT_EQ(problem<Entry>(R"({"type":3})"), "expected an object with a member \"type\", got an object");
  EXPECT_EQ(problem<Round>(R"({"decisions":[{"type":"reject_job","job":1},{"type":"start_job","job":"x"}]})"),
            "decisions[1].job: expected a whole number, got \"x\"");
}

TEST(Codec, NamesTheWrongField) {
  struct Case {
    const char *text, *problem;
  };
  const Case cases[] = {
      {R"({"spec":{"resources":{"gpus":"eight"}}})", "spec.resources.gpus: expected a whole number, got \"eight\""},
      {R"({"spec":{"resources":{"gpus":1.5}}})", "spec.resources.gpus: expected a whole number, got 1.5"},
      {R"({"spec":{"resources":{"gpus":9223372036854775808}}})", "spec.resources.gpus: expected a whole number, got 9223372036854775808"},
      {R"({"spec":{"resources":{"gpus":1e300}}})", "spec.resources.gpus: expected a whole number, got 1e+300"},
      {R"({"spec":{"resources":{"gpus":true}}})", "spec.resources.gpus: expected a whole number, got true"},
      {R"({"spec":{"resources":[]}})", "spec.resources: expected an object, got an array"},
      {R"({"spec":{"command":"ls"}})", "spec.command: expected an array, got \"ls\""},
      {R"({"spec":{"command":["ls",7]}})", "spec.command[1]: expected text, got 7"},
      {R"({"spec":{"mpi":"openmpi"}})", "spec.mpi: expected one of: automatic, pmix, none, got \"openmpi\""},
      {R"({"spec":{"mpi":null}})", "spec.mpi: expected one of: automatic, pmix, none, got null"},
      {R"({"environment":{"A":1}})", "environment.A: expected text, got 1"},
      {R"({"environment":[]})", "environment: expected an object, got an array"},
      {R"(7)", "expected an object, got 7"},
      {R"({"spec":{"name":{}}})", "spec.name: expected text, got an object"},
  };
  for (const auto& one : cases) EXPECT_EQ(problem<SubmitRequest>(one.text), one.problem) << one.text;
  EXPECT_EQ(problem<ShutdownRequest>(R"({"requeue":"yes"})"), "requeue: expected true or false, got \"yes\"");
  EXPECT_EQ(problem<ProgressView>(R"({"loss":"low"})"), "loss: expected a number, got \"low\"");
}

TEST(Codec, RepeatsOnlyTheStartOfALongWrongValue) {
  std::string long_text;
  for (int i = 0; i < 100; ++i) long_text += "\xC3\xA4";
  const std::string said = problem<JobSpec>("{\"time_limit_ms\":\"" + long_text + "\"}");
  EXPECT_LT(said.size(), 130u);
  EXPECT_TRUE(said.ends_with("\xC3\xA4...")) << said;  // not cut inside a character
}

TEST(Codec, JobNumbersAreMapKeysInOneFormOnly) {
  const auto jobs = from_json<std::map<JobId, std::string>>(R"({"7":"a","-3":"b"})");
  EXPECT_EQ(jobs.at(JobId{7}), "a");
  EXPECT_EQ(jobs.at(JobId{-3}), "b");
  EXPECT_EQ(to_json(jobs), R"({"-3":"b","7":"a"})");
  for (const char* key : {"07", "+7", " 7", "7 ", "x", "", "9223372036854775808", "-0"}) {
    EXPECT_NE((problem<std::map<JobId, std::string>>(std::string("{\"") + key + "\":\"\"}")), "") << key;
  }
  EXPECT_EQ((problem<std::map<JobId, std::string>>(R"({"x":""})")), "x: expected a job number as the member's name, got \"x\"");
}

TEST(Codec, OptionalsAreNullWhenAbsent) {
  EXPECT_EQ(to_json(std::optional<Time>()), "null");
  auto gang = from_json<Gang>(R"({"started_ms":5,"outcome":"node_lost"})");
  EXPECT_EQ(gang.started_ms, Time{5});
  EXPECT_EQ(gang.outcome, Outcome::node_lost);
  EXPECT_EQ(gang.finished_ms, std::nullopt);
  decode(parse_json(R"({"started_ms":null})"), gang, "", Unknown::refused);
  EXPECT_EQ(gang.started_ms, std::nullopt);
}

TEST(Codec, HoldsTheExtremesOfEveryNumber) {
  for (const std::int64_t value : {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(), std::int64_t{0}}) {
    EXPECT_EQ(from_json<JobId>(to_json(JobId{value})), JobId{value});
  }
  for (const double value : {0.1, -1e300, 5e-324, 1.7976931348623157e308, 3.0}) EXPECT_EQ(from_json<double>(to_json(value)), value);
  EXPECT_EQ(from_json<double>("7"), 7.0);
  EXPECT_EQ(from_json<std::int64_t>("2.0"), 2);
}

TEST(Codec, ALossThatIsNoNumberStillTravels) {
  Progress progress;
  progress.loss = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(std::isnan(from_json<Progress>(to_json(progress)).loss));
  progress.loss = std::nan("");
  EXPECT_TRUE(std::isnan(from_json<Progress>(to_json(progress)).loss));
}

TEST(Codec, BytesThatAreNoTextAreReplacedSoThatTheRestTravels) {
  Failure failure;
  failure.last_lines = {"ok \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80", "cut \xE2\x82", "latin1 \xE4!", "long \xC0\xAF", "half \xED\xA0\x80", std::string("nul \0.", 6)};
  const auto back = from_json<Failure>(to_json(failure));
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(back.last_lines[0], failure.last_lines[0]);
  EXPECT_EQ(back.last_lines[1], "cut " + bad + bad);
  EXPECT_EQ(back.last_lines[2], "latin1 " + bad + "!");
  EXPECT_EQ(back.last_lines[3], "long " + bad + bad);
  EXPECT_EQ(back.last_lines[4], "half " + bad + bad + bad);
  EXPECT_EQ(back.last_lines[5], failure.last_lines[5]);
  const std::map<std::string, std::string> environment{{"A\xFF", "b"}};
  EXPECT_EQ((from_json<std::map<std::string, std::string>>(to_json(environment))), (std::map<std::string, std::string>{{"A" + bad, "b"}}));
}

TEST(ParseJson, SaysWhereMalformedTextIsWrong) {
  struct Case {
    const char *text, *start;
  };
  const Case cases[] = {
      {"", "malformed JSON at line 1, column 1: "},
      {"{\n  \"a\": 1,\n  b\n}", "malformed JSON at line 3, column 3: "},
      {"{} {}", "malformed JSON at line 1, column 4: "},
      {"{\"a\":\"\xFF\"}", "malformed JSON at line 1, column 7: "},
      {"[1,2", "malformed JSON at line 1, column 5: "},
      {"nul", "malformed JSON at line 1, column 4: "},
  };
  for (const auto& one : cases) {
    try {
      parse_json(one.text);
      ADD_FAILURE() << "accepted: " << one.text;
    } catch (const DecodeError& error) {
      EXPECT_TRUE(std::string_view(error.what()).starts_with(one.start)) << error.what();
      EXPECT_EQ(error.path, "");
    }
  }
}

TEST(ParseJson, RefusesDeepNesting) {
  EXPECT_NO_THROW(parse_json(std::string(32, '[') + std::string(32, ']')));
  try {
    parse_json(std::string(100'000, '['));
    ADD_FAILURE() << "accepted";
  } catch (const DecodeError& error) {
    EXPECT_STREQ(error.what(), "malformed JSON at line 1, column 33: nested deeper than 32 levels");
  }
}

TEST(Nearest, SuggestsOneOrTwoChangesAndCutWords) {
  const std::vector<std::string> known{"gpus", "nodes", "memory", "gpu_type", "name"};
  EXPECT_EQ(nearest_word("gpu", known), "gpus");
  EXPECT_EQ(nearest_word("ndoes", known), "nodes");
  EXPECT_EQ(nearest_word("mem", known), "memory");
  EXPECT_EQ(nearest_word("gputype", known), "gpu_type");
  EXPECT_EQ(nearest_word("x", known), "");
  EXPECT_EQ(nearest_word("bananas", known), "");
  EXPECT_EQ(nearest_word("", known), "");
  EXPECT_EQ(nearest_word(std::string(100'000, 'g'), known), "");
}

}  // namespace
}  // namespace ultramarine::protocol
