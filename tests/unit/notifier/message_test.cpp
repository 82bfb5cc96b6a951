// How notices read, and that nothing that users name gets out of its place.
#include <gmock/gmock.h>

#include <regex>
#include <set>

#include "scheduler/net/base64.h"
#include "scheduler/notifier/message.h"
#include "scheduler/notifier/plain_text.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::notifier {
namespace {

using testing::HasSubstr;
using testing::Not;

Notice failed_notice() {
  Notice notice;
  notice.id = "lab.17.fail.1.1795413200123";
  notice.event = NotificationEvent::fail;
  notice.cluster = "lab";
  notice.time_ms = {1'795'413'200'123};
  notice.job = {.id = 17,
                .number = "17",
                .name = "train",
                .account = "lab-a",
                .partition = "main",
                .owner = "ada",
                .state = JobState::failed,
                .outcome = Outcome::failed,
                .exit_code = 1,
                .attempt = 1,
                .gpus = 4,
                .nodes = "node[04-05]",
                .submitted_ms = {1'795'400'000'000},
                .started_ms = Time{1'795'410'000'000},
                .ended_ms = Time{1'795'413'200'123},
                .time_limit_ms = hours(2),
                .held_gpu_ms = 9'000'000,
                .cost_milli = 6250,
                .currency = "EUR"};
  notice.failure = Failure{
      .rank = 3, .node = "node05", .exit_code = 1, .detail = "rank 3 exited with code 1", .last_lines = {"no luck"}};
  return notice;
}

/// The headers of a message: name -> value, unfolded.
std::map<std::string, std::string> headers_of(const std::string& message) {
  std::map<std::string, std::string> headers;
  const std::string head = message.substr(0, message.find("\r\n\r\n") + 2);
  std::string name;
  for (std::size_t from = 0; from < head.size();) {
    const std::size_t end = head.find("\r\n", from);
    const std::string line = head.substr(from, end - from);
    from = end + 2;
    EXPECT_LE(line.size(), 998U);
    EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7f; })) << line;
    if (line.starts_with(' ')) {
      headers[name] += line;
      continue;
    }
    const std::size_t colon = line.find(": ");
    EXPECT_NE(colon, std::string::npos) << line;
    name = line.substr(0, colon);
    EXPECT_EQ(headers.count(name), 0U) << name;
    headers[name] = line.substr(colon + 2);
  }
  return headers;
}

std::string body_of(const std::string& message) {
  std::string text = message.substr(message.find("\r\n\r\n") + 4);
  std::erase_if(text, [](char c) { return c == '\r' || c == '\n'; });
  return net::from_base64(text);
}

std::string decoded_header(const std::string& value) {
  std::string text;
  const std::regex words("=\\?UTF-8\\?B\\?([^?]*)\\?=");
  for (std::sregex_iterator word(value.begin(), value.end(), words), end; word != end; ++word) {
    EXPECT_LE(word->str().size(), 75U);
    text += net::from_base64((*word)[1].str());
  }
  return text;
}

TEST(Wording, SaysWhatHappened) {
  Notice notice = failed_notice();
  EXPECT_EQ(subject_in_words(notice, Language::english), "Job 17 train failed: rank 3 on node05, exit code 1");
  EXPECT_EQ(subject_in_words(notice, Language::korean), "작업 17 train: 실패했습니다: 랭크 3 (node05), 종료 코드 1");
  EXPECT_EQ(text_in_words(notice, Language::english),
            "Job 17 train failed: rank 3 on node05, exit code 1 (lab-a, ada)");
  notice.failure->signal = 9;
  EXPECT_EQ(subject_in_words(notice, Language::english), "Job 17 train failed: rank 3 on node05, signal 9 (SIGKILL)");
  notice.job.outcome = Outcome::timed_out;
  EXPECT_EQ(subject_in_words(notice, Language::english), "Job 17 train failed: it reached its time limit of 2h");
  notice.event = NotificationEvent::requeue;
  notice.job.state = JobState::queued;
  notice.job.outcome = Outcome::node_lost;
  EXPECT_EQ(subject_in_words(notice, Language::english), "Job 17 train waits in the queue again: node node05 was lost");
  notice.event = NotificationEvent::begin;
  EXPECT_EQ(subject_in_words(notice, Language::english), "Job 17 train started on node[04-05]");
  notice.event = NotificationEvent::time_limit_80;
  EXPECT_EQ(subject_in_words(notice, Language::english), "Job 17 train has used 80% of its time limit of 2h");
  notice.event = NotificationEvent::end;
  notice.job.state = JobState::completed;
  EXPECT_EQ(subject_in_words(notice, Language::english), "Job 17 train completed after 53m 20s");
  notice.job.state = JobState::cancelled;
  EXPECT_EQ(subject_in_words(notice, Language::english), "Job 17 train was cancelled");
  notice.array = NoticeArray{.count = 16, .completed = 13, .failed = 2, .cancelled = 1};
  EXPECT_EQ(subject_in_words(notice, Language::english),
            "Array 17 train (16 jobs) ended: 13 completed, 2 failed, 1 cancelled");
}

TEST(Wording, SaysWhoDelayedIt) {
  Notice notice = failed_notice();
  notice.event = NotificationEvent::delayed;
  notice.failure.reset();
  notice.job.outcome.reset();
  notice.delay = NoticeDelay{.bill = 1,
                             .favour = Favour::boost,
                             .job = "9",
                             .actor = "mia",
                             .reason = "visitors tomorrow",
                             .before_ms = Time{1'795'413'200'000},
                             .after_ms = Time{1'795'442'000'000}};
  EXPECT_EQ(text_in_words(notice, Language::english),
            "Job 17 train starts 8h later than planned, on 2026-11-23 13:53 UTC: mia put job 9 ahead of it: visitors "
            "tomorrow (lab-a, ada)");
  EXPECT_THAT(text_in_words(notice, Language::korean),
              HasSubstr("mia 님이 작업 9의 순서를 앞당겼습니다: visitors tomorrow"));
  notice.delay->after_ms.reset();
  EXPECT_EQ(subject_in_words(notice, Language::english), "Job 17 train has no planned start any more");
}

TEST(Wording, HasBothLanguagesWithTheSamePlaces) {
  const std::regex place("\\{[0-9]\\}");
  for (const auto& [english, korean] : all_wordings()) {
    std::multiset<std::string> places[2];
    int which = 0;
    for (const std::string& text : {std::string(english), std::string(korean)}) {
      for (std::sregex_iterator found(text.begin(), text.end(), place), end; found != end; ++found)
        places[which].insert(found->str());
      ++which;
    }
    EXPECT_EQ(places[0], places[1]) << english;
  }
}

TEST(WebhookBody, IsJsonWithASentence) {
  const std::string body = webhook_body(failed_notice(), Language::english);
  const auto json = protocol::parse_json(body).as_object();
  EXPECT_EQ(json.at("id").as_string(), "lab.17.fail.1.1795413200123");
  EXPECT_EQ(json.at("event").as_string(), "fail");
  EXPECT_EQ(json.at("cluster").as_string(), "lab");
  EXPECT_EQ(json.at("time").as_string(), "2026-11-23T05:53:20.123Z");
  EXPECT_EQ(json.at("text").as_string(), "Job 17 train failed: rank 3 on node05, exit code 1 (lab-a, ada)");
  const auto job = json.at("job").as_object();
  EXPECT_EQ(job.at("id").as_int64(), 17);
  EXPECT_EQ(job.at("state").as_string(), "failed");
  EXPECT_EQ(job.at("exit_code").as_int64(), 1);
  EXPECT_EQ(job.at("reason").as_string(), "rank 3 on node05, exit code 1");
}

TEST(WebhookBody, IsSignedAsOthersDo) {
  // RFC 4231, test case 2.
  EXPECT_EQ(signature_of("what do ya want for nothing?", "Jefe"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Mail, HasItsHeadersAndFacts) {
  const std::string message =
      mail_message(failed_notice(), Language::english, "ultramarine@example.org", "ada@example.org");
  const auto headers = headers_of(message);
  EXPECT_EQ(headers.at("From"), "Ultramarine <ultramarine@example.org>");
  EXPECT_EQ(headers.at("To"), "ada@example.org");
  EXPECT_EQ(headers.at("Subject"), "[lab] Job 17 train failed: rank 3 on node05, exit code 1");
  EXPECT_EQ(headers.at("Date"), "Mon, 23 Nov 2026 05:53:20 +0000");
  EXPECT_EQ(headers.at("Message-ID"), "<lab.17.fail.1.1795413200123@example.org>");
  EXPECT_EQ(headers.at("Auto-Submitted"), "auto-generated");
  const std::string body = body_of(message);
  for (const char* line : {"Owner: ada\r\n", "State: failed\r\n", "Nodes: node[04-05]\r\n", "GPU-hours: 2.50\r\n",
                           "Cost: 6.25 EUR\r\n", "  no luck\r\n", "ultra show 17\r\n"})
    EXPECT_THAT(body, HasSubstr(line));
  EXPECT_THAT(message, Not(HasSubstr("\n\n"))) << "every line ends with CR LF";
}

TEST(Mail, SpeaksKorean) {
  const std::string message =
      mail_message(failed_notice(), Language::korean, "ultramarine@example.org", "ada@example.org");
  EXPECT_EQ(decoded_header(headers_of(message).at("Subject")),
            "[lab] 작업 17 train: 실패했습니다: 랭크 3 (node05), 종료 코드 1");
  EXPECT_THAT(body_of(message), HasSubstr("비용: 6.25 EUR"));
}

TEST(Mail, NoNameOfAJobAddsAHeader) {
  const std::vector<std::string> names{
      "x\r\nBcc: eve@example.org", "x\nBcc: eve@example.org",   "x\r\n\r\nbody",  "=?UTF-8?B?QmNjOg==?=",
      std::string("x\0y", 3),      std::string("\xff\xfe\r\n"), "\u2028Bcc: eve", "\x1b[31mred"};
  for (const std::string& name : names) {
    Notice notice = failed_notice();
    notice.job.name = name;
    notice.failure->node = name;
    notice.failure->detail = name;
    const auto headers =
        headers_of(mail_message(notice, Language::english, "ultramarine@example.org", "ada@example.org"));
    EXPECT_EQ(headers.size(), 10U) << name;
    EXPECT_EQ(headers.count("Bcc"), 0U);
    const std::string subject =
        headers.at("Subject").starts_with("=?") ? decoded_header(headers.at("Subject")) : headers.at("Subject");
    EXPECT_THAT(subject, Not(HasSubstr("\n")));
    EXPECT_THAT(subject, Not(HasSubstr("\x1b")));
  }
}

TEST(Mail, ALongSubjectIsFoldedBetweenCharacters) {
  std::string korean;
  for (int i = 0; i < 60; ++i) korean += "훈련";
  const std::string value = encoded_header(korean);
  EXPECT_EQ(decoded_header(value), korean);
  for (std::size_t from = 0; from < value.size();) {
    const std::size_t end = std::min(value.find("\r\n", from), value.size());
    EXPECT_LE(end - from, 76U);
    from = end + 2;
  }
}

TEST(PlainText, IsOneHarmlessLine) {
  EXPECT_EQ(one_line("a\r\nb\tc\x7f"), "a  b c ");
  EXPECT_EQ(one_line("\xff ok \xc0\x80"), "? ok ??");
  EXPECT_EQ(one_line("\u202eevil\u0085"), " evil ");
  EXPECT_EQ(one_line("훈련", 4), "훈") << "cut between characters";
  EXPECT_EQ(for_chat("<!channel> @here <http://x|y>"), "\u2039!channel\u203a @\u200bhere \u2039http://x|y\u203a");
}

}  // namespace
}  // namespace ultramarine::notifier
