// Every event, message and body as JSON text, compared with the files beside this test: they are what other versions and other
// programs read. A change of a line that is already there is a change of the protocol. Written anew by ULTRAMARINE_REGENERATE=1.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "scheduler/model/event.h"
#include "scheduler/model/state.h"
#include "scheduler/protocol/agent_messages.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/progress_messages.h"
#include "scheduler/protocol/shim_messages.h"
#include "tests/unit/protocol/filled.h"

namespace ultramarine::protocol {
namespace {

using Lines = std::vector<std::string>;

void compare_with_file(const std::string& name, const Lines& lines) {
  const std::string path = std::string(ULTRAMARINE_SOURCE_DIR "/tests/golden/protocol/") + name;
  if (std::getenv("ULTRAMARINE_REGENERATE")) {
    std::ofstream file(path);
    for (const auto& line : lines) file << line << '\n';
  }
  std::ifstream file(path);
  ASSERT_TRUE(file) << path << " is missing; ULTRAMARINE_REGENERATE=1 writes it";
  Lines golden;
  for (std::string line; std::getline(file, line);) golden.push_back(line);
  ASSERT_EQ(golden.size(), lines.size()) << path;
  for (std::size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i], golden[i]) << path << ":" << i + 1;
}

/// The golden text of each alternative is read strictly and written the same.
template <class Variant>
void check_list(const std::string& name) {
  Lines lines;
  for_each_alternative<Variant>([&](const Variant& value, const std::string& type) {
    lines.push_back(to_json(value));
    EXPECT_TRUE(lines.back().starts_with("{\"type\":\"" + type + "\",")) << lines.back();
    EXPECT_EQ(to_json(from_json<Variant>(lines.back(), Unknown::refused)), lines.back());
  });
  compare_with_file(name, lines);
}

TEST(GoldenMessages, Journal) { check_list<Entry>("journal.jsonl"); }
TEST(GoldenMessages, FromAgent) { check_list<FromAgent>("from_agent.jsonl"); }
TEST(GoldenMessages, ToAgent) { check_list<ToAgent>("to_agent.jsonl"); }
TEST(GoldenMessages, FromShim) { check_list<FromShim>("from_shim.jsonl"); }
TEST(GoldenMessages, ToShim) { check_list<ToShim>("to_shim.jsonl"); }
TEST(GoldenMessages, Gang) { check_list<GangMessage>("gang.jsonl"); }
TEST(GoldenMessages, Progress) { check_list<ProgressMessage>("progress.jsonl"); }

TEST(GoldenMessages, BodiesOfTheApiAndFilesOnDisk) {
  Lines lines;
  const auto add = [&]<class T>(const char* name, const T& value) {
    const std::string text = to_json(value);
    EXPECT_EQ(to_json(from_json<T>(text, Unknown::refused)), text) << name;
    lines.push_back("{\"body\":\"" + std::string(name) + "\",\"value\":" + text + "}");
  };
  add("ErrorReply", filled<ErrorReply>());
  add("SubmitRequest", filled<SubmitRequest>());
  add("SubmitReply", filled<SubmitReply>());
  add("GangRequest", filled<GangRequest>());
  add("GangReply", filled<GangReply>());
  add("GangView", filled<GangView>());
  add("EventList", filled<EventList>());
  add("ShutdownRequest", filled<ShutdownRequest>());
  add("JobView", filled<JobView>());
  add("JobList", filled<JobList>());
  add("NodeList", filled<NodeList>());
  add("ClusterView", filled<ClusterView>());
  add("LogLine", filled<LogLine>());
  add("LaunchSpec", filled<LaunchSpec>());
  add("State", filled<State>());
  compare_with_file("bodies.jsonl", lines);
}

}  // namespace
}  // namespace ultramarine::protocol
