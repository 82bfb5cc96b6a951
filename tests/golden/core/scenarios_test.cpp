// Every story of this folder (NAME.toml) played to the time at which it asks: what was decided until then, the plan of that moment, and what
// is decided then, as JSON lines (NAME.jsonl, written anew by ULTRAMARINE_REGENERATE=1, reviewed as code). There is one story for
// each reason why a job does not run now, and one for each backfill.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/core/policy/policies.h"
#include "tests/unit/core/reference/scenario.h"

namespace ultramarine::core::reference {
namespace {

const std::filesystem::path folder = ULTRAMARINE_SOURCE_DIR "/tests/golden/core";

Scenario story(const std::string& name) {
  const std::filesystem::path path = folder / (name + ".toml");
  std::ifstream file(path);
  EXPECT_TRUE(file) << path << " is missing";
  std::ostringstream text;
  text << file.rdbuf();
  return read_scenario(text.str(), path.string());
}

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".toml") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenScenario : public testing::TestWithParam<std::string> {};

TEST_P(GoldenScenario, IsPlayedAsWritten) {
  const Scenario scenario = story(GetParam());
  Playback playback(scenario);
  std::vector<std::string> lines;
  const auto decided = [&](const Decision& decision) { lines.push_back("{\"at_ms\":" + std::to_string(playback.now.ms) + ",\"decision\":" + to_text(decision) + "}"); };
  playback.advance_to(scenario.ask_ms, decided);
  for (const PlannedJob& line : playback.scheduler.plan(playback.now).jobs) lines.push_back("{\"plan\":" + to_text(line) + "}");
  for (const Decision& decision : playback.round()) decided(decision);
  EXPECT_TRUE(playback.violations.empty()) << playback.violations.front();

  const std::filesystem::path path = folder / (GetParam() + ".jsonl");
  if (std::getenv("ULTRAMARINE_REGENERATE")) {
    std::ofstream file(path);
    for (const std::string& line : lines) file << line << '\n';
  }
  std::ifstream file(path);
  ASSERT_TRUE(file) << path << " is missing; ULTRAMARINE_REGENERATE=1 writes it";
  std::vector<std::string> golden;
  for (std::string line; std::getline(file, line);) golden.push_back(line);
  EXPECT_EQ(lines, golden) << path;
}

INSTANTIATE_TEST_SUITE_P(Core, GoldenScenario, testing::ValuesIn(names()), [](const auto& name) { return name.param; });

TEST(GoldenScenarios, HaveOneForEachReason) {
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<ReasonCode>>([](auto code) {
    const Scenario scenario = story(std::string("reason_") + code.name);
    Playback playback(scenario);
    playback.advance_to(scenario.ask_ms, [](const Decision&) {});
    const Plan plan = playback.scheduler.plan(playback.now);
    EXPECT_TRUE(std::any_of(plan.jobs.begin(), plan.jobs.end(), [&](const PlannedJob& line) { return line.reason.code == code.value; })) << code.name;
  });
}

TEST(GoldenScenarios, HaveOneForEachBackfill) {
  // The names are those that the sentence for an unknown one lists.
  PolicyConfig policy;
  policy.backfill = "";
  const std::vector<std::string> sentences = policy::unknown_names(policy);
  ASSERT_EQ(sentences.size(), 1u);
  std::istringstream listed(sentences[0].substr(sentences[0].find("there is ") + 9));
  int pages = 0;
  for (std::string name; listed >> name; ++pages) {
    if (name.ends_with(',')) name.pop_back();
    EXPECT_EQ(story("page_" + name).policy.backfill, name);
  }
  EXPECT_GE(pages, 2);
}

}  // namespace
}  // namespace ultramarine::core::reference
