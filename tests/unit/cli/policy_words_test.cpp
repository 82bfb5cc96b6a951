// Policies in sentences: every one that comes with ultra, in both languages; what its numbers come to; settings that do nothing; who gains by a change.
#include "scheduler/cli/policy_words.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "scheduler/cli/language.h"
#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/config.h"
#include "scheduler/protocol/embedded_configs.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::Ran;
using test::run;
using Sentences = std::vector<std::string>;

/// English again at the end, whatever happened.
struct Speaking {
  explicit Speaking(Language language) { speak(language); }
  ~Speaking() { speak(Language::english); }
};

PolicyConfig named(const std::string& name) { return protocol::load_policy(name); }

bool is_korean(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xEA && static_cast<unsigned char>(c) <= 0xED; });
}

/// Every combination of words that a policy may have, with all that can be said set.
std::vector<PolicyConfig> all_kinds() {
  std::vector<PolicyConfig> all;
  for (const std::string& name : protocol::embedded_policies()) all.push_back(named(name));
  for (const char* order : {"submit_time", "multifactor", "shortest", "least_remaining", "least_remaining_gpu_time", "least_attained"})
    for (const char* backfill : {"conservative", "none", "skip", "easy", "easy_sjf"})
      for (const char* size : {"small", "large", "short", "lanes"})
        for (const std::int64_t age : {0, 1000}) {
          PolicyConfig policy = all.front();
          policy.order = order, policy.backfill = backfill, policy.size_favours = size;
          policy.preemption = policy.backfill == "skip" ? "by_order" : "none";
          policy.weights = {{"age", age}, {"fair_share", 500}, {"size", 200}, {"qos", 100}, {"partition", 50}, {"account", 20}};
          policy.patience_ms = policy.backfill == "conservative" ? hours(24) : Duration{0};
          policy.thresholds_gpu_s = {3600};
          policy.caps = {{"guests", 1}, {"lab-b", 8}};
          policy.trial = {{"minutes", 5}, {"gpus_per_job", 1}, {"share_permille", 50}};
          policy.boost_budgets = {{"*", 20}, {"@leads", 50}, {"kim", 200}};
          all.push_back(policy);
        }
  return all;
}

void expect_sentence(const std::string& sentence, Language language, bool is_title) {
  EXPECT_EQ(sentence.find('_'), std::string::npos) << sentence;
  EXPECT_EQ(sentence.find('{'), std::string::npos) << sentence;
  EXPECT_EQ(sentence.back(), is_title ? '?' : '.') << sentence;
  EXPECT_EQ(is_korean(sentence), language == Language::korean) << sentence;
}

TEST(PolicyWords, SayEveryPolicyInSentencesInBothLanguages) {
  std::size_t count = 0;
  for (const Language language : {Language::english, Language::korean}) {
    const Speaking speaking(language);
    for (const PolicyConfig& policy : all_kinds()) {
      const auto sections = explained(policy);
      ASSERT_EQ(sections.size(), 7u);
      for (const PolicySection& section : sections) {
        expect_sentence(section.title, language, true);
        EXPECT_FALSE(section.sentences.empty()) << section.title;
        for (const std::string& sentence : section.sentences) expect_sentence(sentence, language, false), ++count;
      }
    }
  }
  EXPECT_GT(count, 1000u);
}

TEST(PolicyWords, SayWhoGainsInSentencesInBothLanguages) {
  const auto all = all_kinds();
  std::size_t count = 0;
  for (const Language language : {Language::english, Language::korean}) {
    const Speaking speaking(language);
    for (std::size_t i = 0; i < all.size(); i += 3)
      for (std::size_t k = 0; k < all.size(); k += 7)
        for (const std::string& sentence : gains(all[i], all[k])) expect_sentence(sentence, language, false), ++count;
    for (const PolicyConfig& policy : all) EXPECT_EQ(gains(policy, policy), Sentences{});
  }
  EXPECT_GT(count, 1000u);
}

TEST(PolicyWords, TellTheDefaultInHoursOfWaiting) {
  const PolicyConfig policy = named("default");
  const auto sections = explained(policy);
  EXPECT_EQ(sections[0].title, "Who is next?");
  EXPECT_EQ(sections[0].sentences,
            (Sentences{"Every waiting job has points, and the one with most is next. They are counted anew every 10m, and stay as they are in between.",
                       "Waiting: each hour brings 1,000 points, up to 7d. So all else can be said in hours of waiting.",
                       "Who has waited for 7d goes ahead of all who have not, the longest wait first, whatever the points: nobody waits for ever. This costs all others time.",
                       "Fairness: who used least for his share is ahead of who used most by 2d of waiting. What was used counts half after 7d. This costs those time who used much lately.",
                       "Size: there are three lanes. Jobs of at most 4 GPU-hours (GPUs x time limit) are in the express lane, jobs with a time limit over 7d in the long lane, "
                       "all others between them: 11h 33m of waiting behind the express lane, 9h 27m of waiting ahead of the long one. This costs those who ask for much time.",
                       "Service level: the highest is ahead of the lowest by 7d of waiting, as the cluster file ranks them. This costs those time whose level is low.",
                       "Partition: jobs of the highest ranked are ahead of those of the lowest by 1d of waiting, where jobs of several want the same GPUs.",
                       "Account: the highest ranked is ahead of the lowest by 1d of waiting, as the cluster file ranks them. This costs accounts time that it ranks low.",
                       "Equal points: who has waited for longer is next."}));
  EXPECT_EQ(sections[1].sentences[2],
            "Patience: once the first job in the order has waited for 5d, no job behind it that asks for more time than 5d starts on the GPUs that it waits for. This costs long jobs time, "
            "and helps large ones that wait for many GPUs to end.");
}

TEST(PolicyWords, TellPointsWhereWaitingBringsNone) {
  PolicyConfig policy = named("default");
  policy.weights = {{"fair_share", 48'000}};
  policy.first_after_max_age = false;
  const Sentences said = explained(policy)[0].sentences;
  EXPECT_EQ(said[1], "Fairness: who used least for his share is ahead of who used most by 48,000 points. What was used counts half after 7d. This costs those time who used much lately.");
  EXPECT_EQ(idle_settings(policy),
            (Sentences{"weights: waiting counts nothing in this policy, so a job with few points may wait for ever",
                       "size_favours: it does nothing, because the weight of size is 0", "middle_lane: it does nothing, because there are no lanes"}));
}

TEST(PolicyWords, NameWhoIsCappedWhoTriesAndWhoGrants) {
  PolicyConfig policy = named("default");
  policy.caps = {{"guests", 1}, {"lab-b", 16}};
  policy.trial = {{"minutes", 5}, {"gpus_per_job", 2}, {"share_permille", 125}};
  policy.boost_budgets = {{"*", 10}, {"@leads", 20}, {"kim", 1'200}};
  const auto sections = explained(policy);
  EXPECT_EQ(sections[4].sentences, (Sentences{"guests and the accounts under it hold at most 1 GPU at once, even while others stand idle. This costs that account time, and nobody else.",
                                              "lab-b and the accounts under it hold at most 16 GPUs at once, even while others stand idle. This costs that account time, and nobody else."}));
  EXPECT_EQ(sections[5].sentences[0], "A new job that has to wait runs its first 5m at once, on at most 2 GPUs; all trials together hold at most 12.5% of the GPUs.");
  const std::string rest = " GPU-hours in a month (GPUs x delay).";
  EXPECT_EQ(sections[6].sentences[0], "Every manager without a budget of his own may put jobs ahead of others until they are delayed by 10" + rest);
  EXPECT_EQ(sections[6].sentences[1], "Every manager of the group leads may put jobs ahead of others until they are delayed by 20" + rest);
  EXPECT_EQ(sections[6].sentences[2], "kim may put jobs ahead of others until they are delayed by 1,200" + rest);
}

TEST(PolicyWords, FindSettingsThatDoNothing) {
  for (const char* name : {"default", "conservative", "easy", "easy-sjf", "fifo", "fifo-skip", "sjf", "sjf-skip"}) EXPECT_EQ(idle_settings(named(name)), Sentences{}) << name;
  for (const char* name : {"srtf", "srsf", "las"})
    EXPECT_EQ(idle_settings(named(name)), (Sentences{"preemption: a real scheduler refuses this policy; only simulations run it"})) << name;
  PolicyConfig policy = named("fifo");
  policy.weights = {{"age", 1}};
  policy.max_age_ms = hours(1);
  policy.express_gpu_hours = 9;
  policy.thresholds_gpu_s = {5};
  policy.trial = {{"minutes", 5}};
  policy.caps = {{"guests", 0}};
  EXPECT_EQ(idle_settings(policy),
            (Sentences{"weights: it does nothing, because only the order \"multifactor\" counts points", "max_age: it does nothing, because only the order \"multifactor\" counts points",
                       "express_gpu_hours: it does nothing, because there are no lanes", "thresholds_gpu_s: it does nothing, because only the order \"least_attained\" has levels",
                       "trial: there are no trials, because not everybody has a planned start that is kept", "caps.guests: jobs of this account never start"}));
}

TEST(PolicyWords, KnowWhoGainsByAChange) {
  const PolicyConfig before = named("default");
  const auto by = [&](auto change) {
    PolicyConfig after = before;
    change(after);
    return gains(before, after);
  };
  EXPECT_EQ(by([](PolicyConfig& p) { p.weights["fair_share"] *= 2; }), (Sentences{"Who used little for his share gains, and who used much loses."}));
  EXPECT_EQ(by([](PolicyConfig& p) { p.weights["fair_share"] = 0; }), (Sentences{"Who used much for his share gains, and who used little loses."}));
  EXPECT_EQ(by([](PolicyConfig& p) { p.half_life_ms = hours(24); }), (Sentences{"Who used much some time ago gains: it is forgotten sooner."}));
  EXPECT_EQ(by([](PolicyConfig& p) { p.size_favours = "large"; }),
            (Sentences{"Jobs in the express lane lose some of their head start, and those in the long lane gain.", "Large jobs gain, and small ones lose."}));
  EXPECT_EQ(by([](PolicyConfig& p) { p.express_gpu_hours = 8; }),
            (Sentences{"Jobs of 4 to 8 GPU-hours gain: they are in the express lane now. Smaller ones lose some of their head start."}));
  EXPECT_EQ(by([](PolicyConfig& p) { p.patience_ms = {0}; }),
            (Sentences{"Long jobs gain: they are kept away from what the first job waits for later, or never. Large jobs that have waited for long lose."}));
  EXPECT_EQ(by([](PolicyConfig& p) { p.first_after_max_age = false; }), (Sentences{"Jobs that have waited for long lose: no time brings them ahead of all others."}));
  EXPECT_EQ(by([](PolicyConfig& p) { p.caps["guests"] = 8; }), (Sentences{"guests loses: it holds at most 8 GPUs now. All others gain."}));
  EXPECT_EQ(by([](PolicyConfig& p) { p.boost_budgets["kim"] = 200; }), (Sentences{"Those gain whom kim favours; all others may be delayed by 200 GPU-hours more in a month."}));
  EXPECT_EQ(by([](PolicyConfig& p) { p.trial = {{"minutes", 5}}; }), (Sentences{"All who submit new jobs gain: they see slips within minutes. Nobody's planned start moves."}));
  EXPECT_EQ(gains(named("conservative"), named("fifo")), (Sentences{"Large jobs gain: fewer start ahead of them. Small and short ones lose: they fill fewer gaps.",
                                                                    "Those behind the first that waits lose their planned starts."}));
  EXPECT_EQ(gains(named("fifo"), named("sjf")), (Sentences{"Short jobs gain, and long ones lose."}));
}

// ---- the verbs

TEST(PolicyVerb, ShowsTheRunningPolicyOrOneByNameOrFile) {
  FakeApi api;
  api.on("GET /v1/policy", protocol::to_json(named("fifo")));
  const Ran ran = run(api, {"policy", "show"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out.substr(0, ran.out.find("\n\nWhere")),
            "The policy \"fifo\", by which the cluster runs now\n\n"
            "Who is next?\n  First come, first served: the job that was submitted first is next.\n"
            "  Nobody is favoured for the size of his job or for how little he used; who asks for little waits behind who asks for much.\n\n"
            "How are gaps filled?\n  Not at all: nobody starts ahead of the first job that has to wait.\n"
            "  This costs everybody: free GPUs stand idle until that job can start.");
  EXPECT_EQ(run(api, {"policy", "show", "--json"}).out, protocol::to_json(named("fifo")) + "\n");
  EXPECT_EQ(run(api, {"policy", "show", "easy"}).out.find("The policy \"easy\"\n"), 0u);
  const Ran unknown = run(api, {"policy", "show", "esay"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_EQ(unknown.err, "error: policy: there is no policy \"esay\"; did you mean \"easy\"?\n");
  EXPECT_EQ(run(api, {"policy", "show", "easy", "fifo"}).err, "error: unexpected word \"fifo\"; see 'ultra policy show --help'\n");
}

TEST(PolicyVerb, ChecksAFile) {
  FakeApi api;
  const std::string file = api.home() + "/proposal.toml";
  const auto write = [&](const std::string& text) { std::ofstream(file) << text; };
  write("name = \"mine\"\norder = \"shortest\"\n");
  Ran ran = run(api, {"policy", "check", file});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, file + " is a valid policy: \"mine\". The job with the shortest time limit is next.\n");
  EXPECT_EQ(ran.err, "");
  write("name = \"mine\"\norder = \"shortest\"\nweights = { age = 5 }\n");
  ran = run(api, {"policy", "check", file});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.err, "warning: weights: it does nothing, because only the order \"multifactor\" counts points\n");
  write("name = \"mine\"\nbackfill = \"easy\"\npatience = \"5d\"\n");
  ran = run(api, {"policy", "check", file});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "error: " + file + ":3:12: patience: backfill \"easy\" plans no starts that could be kept clear; leave patience out, or write backfill = \"conservative\"\n");
  ran = run(api, {"policy", "check", api.home() + "/none.toml"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("none.toml: can't be read: No such file or directory; check the path and its permissions"), std::string::npos) << ran.err;
  EXPECT_EQ(run(api, {"policy", "check"}).err, "error: FILE: none given; write for example ultra policy check ./proposal.toml\n");
}

TEST(PolicyVerb, SaysWhatChangesAndWhoGains) {
  FakeApi api;
  api.on("GET /v1/policy", protocol::to_json(named("conservative")));
  const std::string between =
      "How are gaps filled?\n"
      "- Every waiting job has a planned start. A later job goes ahead only if no planned start of those ahead of it moves.\n"
      "- This costs nobody ahead anything. Who asks for a longer time than he needs fills fewer gaps.\n"
      "+ The first job that has to wait is promised a start. Any other may go ahead of it that doesn't delay that start.\n"
      "+ This costs all who wait behind the first one: they are promised nothing, and may be overtaken again and again.\n"
      "\nWho gains, who loses?\n"
      "  Small and short jobs gain: they fill more gaps. Large ones lose: more may start ahead of them.\n"
      "  Those behind the first that waits lose their planned starts.\n";
  EXPECT_EQ(run(api, {"policy", "diff", "easy"}).out, between) << "against the running one";
  EXPECT_EQ(run(api, {"policy", "diff", "conservative", "easy"}).out, between);
  EXPECT_EQ(run(api, {"policy", "diff", "easy", "easy"}).out, "Both policies say the same.\n");
  EXPECT_EQ(run(api, {"policy", "diff", "conservative"}).out, "It says the same as the policy by which the cluster runs now.\n");
  EXPECT_EQ(run(api, {"policy", "diff"}).code, 2);
  EXPECT_EQ(run(api, {"policy", "diff", "easy", "fifo", "sjf"}).code, 2);
}

}  // namespace
}  // namespace ultramarine::cli
