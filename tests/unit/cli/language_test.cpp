// Two languages: which one is spoken, that every text of the option table and every state has its Korean twin, and that
// the scheduler's sentences are understood as patterns.
#include "scheduler/cli/language.h"

#include <gtest/gtest.h>

#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <fstream>
#include <set>

#include "scheduler/cli/command_line.h"
#include "scheduler/cli/korean_particles.h"
#include "scheduler/cli/words.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::Ran;

class Korean : public testing::Test {
 protected:
  void SetUp() override { speak(Language::korean); }
  void TearDown() override { speak(Language::english); }
};

using Environment = std::map<std::string, std::string>;

TEST(Languages, FollowTheLocaleAsOtherProgramsDo) {
  EXPECT_EQ(language_of({}), Language::english);
  EXPECT_EQ(language_of({{"LANG", "ko_KR.UTF-8"}}), Language::korean);
  EXPECT_EQ(language_of({{"LANG", "ko"}}), Language::korean);
  EXPECT_EQ(language_of({{"LANG", "ko_KR.utf8"}}), Language::korean);
  EXPECT_EQ(language_of({{"LANG", "kok_IN.UTF-8"}}), Language::english);  // Konkani
  EXPECT_EQ(language_of({{"LANG", "ko_KR.EUC-KR"}}), Language::english);  // all that we write is UTF-8
  EXPECT_EQ(language_of({{"LANG", "ko_KR.UTF-8"}, {"LC_MESSAGES", "en_US.UTF-8"}}), Language::english);
  EXPECT_EQ(language_of({{"LANG", "en_US.UTF-8"}, {"LC_MESSAGES", "ko_KR.UTF-8"}}), Language::korean);
  EXPECT_EQ(language_of({{"LC_ALL", "C"}, {"LC_MESSAGES", "ko_KR.UTF-8"}}), Language::english);
  EXPECT_EQ(language_of({{"LC_ALL", "C.UTF-8"}, {"LANGUAGE", "ko"}}), Language::english);
  EXPECT_EQ(language_of({{"LANG", "en_US.UTF-8"}, {"LANGUAGE", "fr:ko:en"}}), Language::korean);
  EXPECT_EQ(language_of({{"LANG", "ko_KR.UTF-8"}, {"LANGUAGE", "en:ko"}}), Language::english);
}

TEST(Languages, EveryTextOfTheOptionTableHasATwin) {
  std::set<std::string> alone;
  const auto check = [&](const std::string& text) {
    if (!text.empty() && !has_twin(text, Language::korean)) alone.insert(text);
  };
  for (const Verb& verb : all_verbs()) {
    check(verb.summary);
    for (const Option& option : verb.options) check(option.help);
    for (std::size_t from = 0; from < verb.details.size();) {
      const std::size_t end = std::min(verb.details.find('\n', from), verb.details.size());
      if (verb.details.compare(from, 2, "  ") != 0) check(verb.details.substr(from, end - from));
      from = end + 1;
    }
  }
  for (const Option& option : global_options()) check(option.help);
  std::string list;
  for (const std::string& text : alone) list += text + "\n";
  EXPECT_TRUE(alone.empty()) << "no Korean twin in scheduler/cli/languages/ko.po:\n" << list;
}

template <class Enum>
void expect_twins() {
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<Enum>>([](auto one) {
    speak(Language::english);
    const std::string english = word(one.value);
    EXPECT_TRUE(has_twin(english, Language::korean)) << english;
    speak(Language::korean);
    EXPECT_NE(word(one.value), english);
  });
}

TEST_F(Korean, StatesAndOutcomesHaveWords) {
  expect_twins<JobState>();
  expect_twins<NodeState>();
  expect_twins<Outcome>();
}

TEST_F(Korean, SentencesAreFilledIn) {
  EXPECT_EQ(relative(test::fixed_now + minutes(14), test::fixed_now), "14m 후");
  EXPECT_EQ(spoken_count(1, "{0} GPU", "{0} GPUs"), "GPU 1개");
  EXPECT_EQ(spoken_count(8, "{0} GPU", "{0} GPUs"), "GPU 8개");
  EXPECT_EQ(spoken("no such sentence in any catalogue"), "no such sentence in any catalogue");
  EXPECT_EQ(spoken_lines("Examples:\n  now\nnow"), "예:\n  now\n지금");
}

TEST_F(Korean, TheSchedulersSentencesAreUnderstood) {
  const std::vector<std::pair<std::string, std::string>> sentences{
      {"Waits for 16 GPUs; 8 are free. Expected to start at 22:27 UTC (in 14m) when job 9 (big, vision) ends.",
       "GPU 16개를 기다립니다. 8개가 비어 있습니다. 작업 9 (big, vision)가 끝나면 22:27 UTC(14m 후)에 시작할 "
       "예정입니다."},
      {"Waits for 1 GPU; none is free. Expected to start on Nov 24 at 09:00 UTC (in 1d 2h) when jobs 3 (a, b) and 4 "
       "(c, d) end.",
       "GPU 1개를 기다립니다. 빈 GPU가 없습니다. 작업 3 (a, b) 그리고 4 (c, d)가 끝나면 Nov 24 09:00 UTC(1d 2h 후)에 "
       "시작할 예정입니다."},
      {"Waits for 8 GPUs; 8 are free, but spread over nodes in another shape than it asks for. Expected to start at "
       "any moment.",
       "GPU 8개를 기다립니다. 8개가 비어 있습니다만, 요청한 모양과 다르게 여러 노드에 흩어져 있습니다. 곧 시작할 "
       "예정입니다."},
      {"Waits for 16 GPUs on nodes that don't answer: node[03-04] (down) and node07 (suspect). Its start can be "
       "planned once they are back.",
       "응답하지 않는 노드의 GPU 16개를 기다립니다: node[03-04](꺼짐) 그리고 node07(의심). 노드가 돌아오면 시작을 "
       "계획할 수 있습니다."},
      {"Lets jobs ahead of it go first: it asks for 2 GPUs and 4 are free, but to start it now would delay them.",
       "앞선 작업이 먼저입니다: GPU 2개를 요청했고 4개가 비어 있습니다만, 지금 시작하면 앞선 작업이 늦어집니다."},
      {"Waits for 4 GPUs: account lab-a may use 32 GPUs at once, and 30 of them are used or promised.",
       "GPU 4개를 기다립니다: 계정 lab-a은(는) 동시에 GPU 32개까지 쓸 수 있고, 그중 30개가 사용 중이거나 약속되어 있습니다."},
      {"Waits for 8 GPUs: nodes that it would fit on are kept for maintenance night, which ends at 05:52 UTC (in 2h).",
       "GPU 8개를 기다립니다: 들어갈 수 있는 노드가 05:52 UTC(2h 후)에 끝나는 점검 night을(를) 위해 비워져 있습니다."},
      {"65 GPUs asked, partition main has 64", "GPU 65개를 요청했지만 파티션 main에는 64개가 있습니다"},
      {"2 nodes of 9 GPUs asked, partition main has 0",
       "GPU 9개짜리 노드 2개를 요청했지만 파티션 main에는 0개가 있습니다"},
      {"job 7 has already ended (completed)", "작업 7은 이미 끝났습니다(completed)"},
      {"did you mean main?", "혹시 main입니까?"},
      {"rank 2 on node01 exited with code 3", "node01의 랭크 2가 코드 3으로 끝났습니다"},
      {"only an admin or a manager may put a job ahead of others by a nice value below 0",
       "0보다 작은 nice 값으로 작업을 다른 작업보다 앞세우는 것은 관리자나 매니저만 할 수 있습니다"},
      {"use 0 or more, or ask root or the user who runs the scheduler (uid 1000), ada, @wheel",
       "0 이상을 쓰거나, root, 스케줄러를 실행하는 사용자(uid 1000), 또는 ada, @wheel에게 요청하십시오"},
      {"It would start at 14:47 UTC (in 8h), 4h sooner, with a time limit of 5m instead of 8h. This delays 1 other job, by 5m at most: 6 GPU-hours in all (lab-b 6 GPU-hours).",
       "시간 제한을 8h 대신 5m(으)로 하면 14:47 UTC(8h 후)에 시작합니다. 4h 더 이릅니다. 이 때문에 다른 작업 1개가 최대 5m 늦어집니다: 모두 6 GPU-시간(lab-b 6 GPU-시간)."},
      {"Later: job 2 (pretrain, lab-a) of ann (64 GPUs) would start 8h later, at 22:47 UTC (in 16h) instead of at 14:47 UTC (in 8h).",
       "늦어짐: ann의 작업 2(pretrain, lab-a, GPU 64개)가 8h 늦어집니다. 새 시작: 22:47 UTC(16h 후)에, 전: 14:47 UTC(8h 후)에."},
      {"a sentence of a newer scheduler", "a sentence of a newer scheduler"},
  };
  for (const auto& [english, korean] : sentences) EXPECT_EQ(heard(english), korean);
  speak(Language::english);
  for (const auto& [english, korean] : sentences) EXPECT_EQ(heard(english), english);
}

TEST_F(Korean, ParticlesFollowTheSound) {
  EXPECT_EQ(with_particles("작업 9이(가)"), "작업 9가");
  EXPECT_EQ(with_particles("작업 10이(가)"), "작업 10이");
  EXPECT_EQ(with_particles("노드은(는), 작업은(는)"), "노드는, 작업은");
  EXPECT_EQ(with_particles("\"학습\"을(를)"), "\"학습\"을");
  EXPECT_EQ(with_particles("코드 1(으)로, 3(으)로, 4(으)로"), "코드 1로, 3으로, 4로");
  EXPECT_EQ(with_particles("node01을(를) train을(를)"), "node01을 train을(를)");
  EXPECT_EQ(with_particles("이(가)"), "이(가)");
}

TEST_F(Korean, NamesOfPeopleAreNotTakenForSentences) {
  EXPECT_EQ(heard("no partition \"down\""), "파티션 \"down\"이(가) 없습니다");
  EXPECT_EQ(heard("job 4 belongs to queued"), "작업 4는 queued의 것입니다");
}

TEST(KoreanRuns, TablesErrorsAndHelpAreKoreanAndJsonIsNot) {
  FakeApi api;
  protocol::JobList list;
  list.now_ms = test::fixed_now;
  list.jobs = {test::running_job(), test::queued_job()};
  api.on("GET /v1/jobs", test::json_of(list));
  const Environment korean{{"ULTRA_HOME", api.home()}, {"LANG", "ko_KR.UTF-8"}};
  EXPECT_EQ(test::run({"queue"}, korean).out,
            "작업\t이름\t사용자\t계정\tGPU\t상태\t시간\t시작\t위치/이유\n"
            "9\ttrain\tada\tvision\t16\t실행 중\t5m / 2h\t-\tnode[01-02]\n"
            "12\ttrain\tada\tvision\t16\t대기\t- / 2h\t14m 후\tGPU 16개를 기다립니다. 8개가 비어 있습니다. "
            "작업 9 (big, vision)가 끝나면 22:27 UTC(14m 후)에 시작할 예정입니다.\n");
  EXPECT_EQ(test::run({"queue", "--json"}, korean).out, test::json_of(list) + "\n");
  const Ran wrong = test::run({"qeue"}, korean);
  EXPECT_EQ(wrong.code, 2);
  EXPECT_EQ(wrong.err, "오류: qeue: 알 수 없는 명령입니다; 혹시 'ultra queue'입니까?\n");
  EXPECT_NE(test::run({"queue", "--help"}, korean).out.find("사용법: ultra queue [OPTIONS]"), std::string::npos);
  EXPECT_EQ(
      test::run({"queue", "--state", "runing"}, {{"ULTRA_HOME", api.home()}}).err,
      "error: --state: \"runing\" is not a state; did you mean running?\n");  // and the next run speaks as it is told
}

}  // namespace
}  // namespace ultramarine::cli
