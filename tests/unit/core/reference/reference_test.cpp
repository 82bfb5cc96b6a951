// The scheduler against the simple one (see reference.h) over small random stories: at every moment the same order, the same starts, the
// same nodes and devices. ULTRAMARINE_SCENARIO=FILE plays one story instead, as a failure prints it.
#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/unit/core/builders.h"
#include "tests/unit/core/reference/cases.h"
#include "tests/unit/core/reference/property.h"
#include "tests/unit/core/reference/reference.h"

namespace ultramarine::core::reference {
namespace {

std::string in_words(const Line& line) {
  std::string words = "job " + std::to_string(line.job.value);
  if (!line.start_s) return words + " without a start";
  return words + " at " + std::to_string(*line.start_s) + " s on " + ultramarine::core::in_words(line.allocation);
}

/// As far as the policy plans: with no calendar, who starts now, and nobody else's start.
Line line_of(const PlannedJob& planned, bool keeps_a_calendar, Time now) {
  Line line{planned.job, std::nullopt, {}};
  if (!planned.start_ms || (!keeps_a_calendar && *planned.start_ms > now)) return line;
  line.start_s = planned.start_ms->ms / 1000;
  line.allocation = planned.allocation;
  return line;
}

std::string differences(const std::vector<Line>& expected, const std::vector<Line>& got) {
  std::string words;
  for (std::size_t i = 0; i < std::max(expected.size(), got.size()); ++i) {
    const std::string wanted = i < expected.size() ? in_words(expected[i]) : "nothing", is = i < got.size() ? in_words(got[i]) : "nothing";
    if (wanted != is) words += "\n  place " + std::to_string(i + 1) + ": the simple scheduler has " + wanted + ", the scheduler " + is;
  }
  return words;
}

/// Plays the story with both. "" when they agree to its end. `starts`: how many jobs started.
std::string play(const Scenario& scenario, int& starts) {
  Playback playback(scenario);
  Reference reference(scenario.cluster, scenario.policy);
  const bool keeps_a_calendar = scenario.policy.backfill == "conservative";
  while (playback.advance()) {
    const Time now = playback.now;
    const std::string when = "at " + std::to_string(now.ms / 1000) + " s";
    for (const JobId id : playback.ended) {
      if (is_terminal(playback.scheduler.state().jobs.at(id).state)) reference.end(id);
      else reference.end_trial(id);
    }
    for (const JobId id : playback.came) {
      const Job& job = playback.scheduler.state().jobs.at(id);
      reference.submit(id, job.spec, job.owner.name, now.ms / 1000);
    }
    const std::vector<Line> expected = reference.plan(now.ms / 1000);
    std::vector<Line> planned, to_start, started;
    for (const PlannedJob& line : playback.scheduler.plan(now).jobs) planned.push_back(line_of(line, keeps_a_calendar, now));
    if (const std::string words = differences(expected, planned); !words.empty()) return when + " the plans differ:" + words;
    for (const Line& line : expected) {
      if (line.start_s != now.ms / 1000) continue;
      to_start.push_back(line);
      reference.start(line, now.ms / 1000);
    }
    for (const Decision& decision : playback.round())
      if (const auto* start = std::get_if<StartJob>(&decision)) started.push_back({start->job, now.ms / 1000, start->allocation});
    for (const Line& trial : reference.trials(now.ms / 1000)) {
      to_start.push_back(trial);
      reference.start_trial(trial, now.ms / 1000);
    }
    const auto by_number = [](const Line& a, const Line& b) { return a.job < b.job; };  // a round starts them all at once
    std::sort(to_start.begin(), to_start.end(), by_number);
    std::sort(started.begin(), started.end(), by_number);
    if (const std::string words = differences(to_start, started); !words.empty()) return when + " others start:" + words;
    starts += static_cast<int>(started.size());
    if (!playback.violations.empty()) return playback.violations.front();
  }
  for (const auto& [id, job] : playback.scheduler.state().jobs)
    if (!is_terminal(job.state)) return "job " + std::to_string(id.value) + " never ran";
  return "";
}

void expect_agreement(const PolicyConfig& policy, const CaseOptions& options, int cases) {
  int starts = 0;
  if (const char* path = std::getenv("ULTRAMARINE_SCENARIO")) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_EQ(play(read_scenario(text.str(), path), starts), "");
    return;
  }
  check_property(cases, [&] {
    const Scenario scenario = *any_scenario(policy, options);
    if (const std::string words = play(scenario, starts); !words.empty()) RC_FAIL(words);
  });
  if (!testing::Test::HasFailure()) {
    EXPECT_GT(starts, cases);
  }
}

PolicyConfig policy_of(const std::string& order, const std::string& backfill, const std::string& placement, Duration launch_allowance) {
  PolicyConfig policy;
  policy.order = order, policy.backfill = backfill, policy.placement = placement;
  policy.launch_allowance_ms = launch_allowance;
  return policy;
}

/// What the textbook rules compare: no time for a launch, nobody longer than he may, and what is free now.
constexpr CaseOptions textbook{.shapes = false};

TEST(Reference, ConservativeAgrees) { expect_agreement(policy_of("submit_time", "conservative", "best_fit", seconds(5)), {.needs = true}, 300); }
TEST(Reference, ConservativeAgreesWithoutTimeForLaunches) {
  expect_agreement(policy_of("submit_time", "conservative", "best_fit", seconds(0)), {.needs = true}, 200);
}
TEST(Reference, ConservativeAgreesByLength) { expect_agreement(policy_of("shortest", "conservative", "best_fit", seconds(5)), {.needs = true}, 200); }
TEST(Reference, ConservativeAgreesWhenJobsRunLongerThanTheyMay) {
  expect_agreement(policy_of("submit_time", "conservative", "best_fit", seconds(5)), {.overdue = true}, 200);
}
TEST(Reference, ConservativeAgreesOnCaps) {
  expect_agreement(policy_of("submit_time", "conservative", "best_fit", seconds(5)), {.caps = true}, 300);
}
TEST(Reference, ConservativeAgreesOnTrials) {
  PolicyConfig policy = policy_of("submit_time", "conservative", "best_fit", seconds(5));
  for (const std::int64_t gpus_per_job : {1, 3}) {
    policy.trial = {{"minutes", 1}, {"gpus_per_job", gpus_per_job}, {"share_permille", 400}};
    expect_agreement(policy, {.needs = true}, 150);
    expect_agreement(policy, {.caps = true}, 150);
    policy.order = "shortest";
  }
}
TEST(Reference, FifoAgrees) { expect_agreement(policy_of("submit_time", "none", "pack", seconds(0)), textbook, 200); }
TEST(Reference, FifoSkipAgrees) { expect_agreement(policy_of("submit_time", "skip", "pack", seconds(0)), textbook, 200); }
TEST(Reference, EasyAgrees) { expect_agreement(policy_of("submit_time", "easy", "pack", seconds(0)), textbook, 300); }
TEST(Reference, EasySjfAgrees) { expect_agreement(policy_of("submit_time", "easy_sjf", "pack", seconds(0)), textbook, 300); }
TEST(Reference, SjfAgrees) { expect_agreement(policy_of("shortest", "none", "pack", seconds(0)), textbook, 200); }
TEST(Reference, SjfSkipAgrees) { expect_agreement(policy_of("shortest", "skip", "pack", seconds(0)), textbook, 200); }

TEST(Reference, AStoryIsReadAsItIsPrinted) {
  check_property(50, [] {
    const Scenario scenario = *any_scenario({}, {});
    RC_ASSERT(to_text(read_scenario(to_text(scenario), "story.json")) == to_text(scenario));
  });
}

}  // namespace
}  // namespace ultramarine::core::reference
