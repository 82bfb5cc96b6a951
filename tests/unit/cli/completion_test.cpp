// What Tab offers, without a shell: verbs, options, values, jobs and nodes as the scheduler has them, and nothing but
// silence without one.
#include "scheduler/cli/completion.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "scheduler/cli/manual.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using Words = std::vector<std::string>;

Words offered(const Words& typed, const std::string& socket = "/nowhere/at/all.sock") {
  std::ostringstream out;
  const Context context{out, out, {}, {}, "/nowhere", socket, [] { return test::fixed_now; }};
  Words words;
  for (const Candidate& one : candidates(all_verbs(), typed, context)) words.push_back(one.word);
  return words;
}

bool holds(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

TEST(Completion, OffersVerbsByTheirBeginning) {
  EXPECT_EQ(offered({"sub"}), (Words{"submit"}));
  EXPECT_EQ(offered({"cluster", ""}), (Words{"up", "down", "status"}));
  EXPECT_TRUE(holds(offered({""}), "cluster"));
  EXPECT_EQ(offered({"nosuchverb", "x"}), Words{});
}

TEST(Completion, OffersEveryOptionOfEveryVerbOnce) {
  for (const Verb& verb : all_verbs()) {
    Words typed;
    std::istringstream path(verb.path);
    for (std::string word; path >> word;) typed.push_back(word);
    typed.emplace_back("--");
    const Words words = offered(typed);
    for (const Option& option : verb.options)
      EXPECT_EQ(std::count(words.begin(), words.end(), option.name), 1) << verb.path << ' ' << option.name;
    for (const Option& option : global_options())
      EXPECT_TRUE(holds(words, option.name)) << verb.path << ' ' << option.name;
  }
  EXPECT_FALSE(holds(offered({"queue", "--me", "--"}), "--me"));             // given once is enough
  EXPECT_TRUE(holds(offered({"submit", "--after", "3", "--"}), "--after"));  // unless it may be repeated
}

TEST(Completion, OffersValuesHoweverTheShellCutsThem) {
  EXPECT_EQ(offered({"queue", "--state", "ru"}), (Words{"running"}));
  EXPECT_EQ(offered({"queue", "--state", "=", "ru"}), (Words{"running"}));  // bash
  EXPECT_EQ(offered({"queue", "--state", "="}).size(), 9U);
  EXPECT_EQ(offered({"queue", "--state=ru"}), (Words{"--state=running"}));  // zsh, fish
  EXPECT_EQ(offered({"submit", "--output", ""}), (Words{":files"}));
  EXPECT_EQ(offered({"submit", "--workdir", ""}), (Words{":folders"}));
  EXPECT_EQ(offered({"submit", "--", ""}), (Words{":files"}));
  EXPECT_EQ(offered({"submit", "job.sh", "--gp"}), (Words{":files"}));  // the script's own
  EXPECT_EQ(offered({"completion", ""}), (Words{"bash", "zsh", "fish"}));
}

TEST(Completion, OffersJobsAndNodesOfTheCluster) {
  test::FakeApi api;
  protocol::JobList list;
  list.jobs = {test::running_job(), test::queued_job(), test::failed_job()};
  api.on("GET /v1/jobs", test::json_of(list));
  protocol::NodeList nodes;
  nodes.nodes.resize(2);
  nodes.nodes[0].node.config.name = "node01";
  nodes.nodes[1].node.config.name = "other";
  nodes.nodes[1].node.config.gpu_type = "H100";
  nodes.nodes[1].node.config.features = {"ib", "nvlink"};
  api.on("GET /v1/nodes", test::json_of(nodes));
  EXPECT_EQ(offered({"show", ""}, api.socket()), (Words{"9", "12", "7"}));
  EXPECT_EQ(offered({"cancel", ""}, api.socket()), (Words{"9", "12"}));  // what has ended can't be cancelled
  EXPECT_EQ(offered({"cancel", "9", "1"}, api.socket()), (Words{"12"}));
  EXPECT_EQ(offered({"show", "9", ""}, api.socket()), Words{});  // one job at a time
  EXPECT_EQ(offered({"nodes", "no"}, api.socket()), (Words{"node01"}));
  EXPECT_EQ(offered({"submit", "--nodelist", "no"}, api.socket()), (Words{"node01"}));
  EXPECT_EQ(offered({"submit", "--gpu-type", ""}, api.socket()), (Words{"H100"}));
  EXPECT_EQ(offered({"submit", "-C", "nv"}, api.socket()), (Words{"nvlink"}));
  EXPECT_EQ(offered({"queue", "--account", ""}, api.socket()), (Words{"vision"}));
}

TEST(Completion, NeverWaitsLongForAScheduler) {
  test::FakeApi api;
  std::vector<std::shared_ptr<net::Reply>> owed;  // an answer that never comes
  api.on("GET /v1/jobs",
         [&](const net::Request&, std::shared_ptr<net::Reply> reply) { owed.push_back(std::move(reply)); });
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(offered({"show", ""}, api.socket()), Words{});
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));  // 300 ms on a machine that isn't busy
  EXPECT_EQ(offered({"show", ""}), Words{});
}

TEST(Manual, HasAPageForEachVerbWithEveryOption) {
  const auto verbs = all_verbs();
  const auto pages = manual_of_verbs(verbs, "2026-11-22");
  ASSERT_EQ(pages.size(), verbs.size() + 1);
  for (std::size_t i = 0; i < verbs.size(); ++i) {
    for (const Option& option : verbs[i].options) {
      std::string name;
      for (const char byte : option.name) name += byte == '-' ? std::string("\\-") : std::string(1, byte);
      EXPECT_NE(pages[i + 1].text.find("\\fB" + name + "\\fR"), std::string::npos)
          << verbs[i].path << ' ' << option.name;
    }
  }
  EXPECT_EQ(pages[1].file, "man1/ultra-cluster-up.1");
}

TEST(Manual, OfAProgramTakesItsOptionsFromItsHelp) {
  const ManualPage page = manual_of_program(
      "ultra-x", 8,
      "Does x.\nUsage: ultra-x [OPTIONS]\n\nOptions:\n  -h,--help                   Print this help message and exit\n"
      "  --config FILE REQUIRED      The cluster file\n                              and more of it\n",
      "2026-11-22");
  EXPECT_EQ(page.file, "man8/ultra-x.8");
  EXPECT_NE(page.text.find("ultra\\-x \\- Does x."), std::string::npos);
  EXPECT_NE(page.text.find("\\fB\\-\\-config FILE REQUIRED\\fR\nThe cluster file\nand more of it\n"), std::string::npos)
      << page.text;
}

}  // namespace
}  // namespace ultramarine::cli
