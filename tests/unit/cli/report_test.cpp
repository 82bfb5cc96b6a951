// `ultra report` and the prices of jobs: what is asked, how numbers are written, and that nothing is said where there is no money.
#include <gtest/gtest.h>

#include "scheduler/cli/language.h"
#include "scheduler/cli/money.h"
#include "scheduler/protocol/codec.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::Ran;
using test::run;

constexpr std::int64_t hour_ms = 3'600'000;

protocol::ReportView november() {
  protocol::ReportView view{.now_ms = {5}, .month = "2026-11", .time_zone = "Asia/Seoul", .start_ms = {1}, .end_ms = {9}, .currency = "KRW", .price_per_gpu_hour_milli = 4'634'383,
                            .cloud_price_per_gpu_hour_milli = 5'600'000, .accounts = {}, .total = {}};
  AccountReport vision{.account = "vision", .used_gpu_ms = 1'000 * hour_ms, .failed_gpu_ms = 100 * hour_ms, .idle_gpu_ms = 90'000, .cost_milli = 4'634'383'000,
                       .cloud_milli = 5'600'000'000, .jobs_tried = 12, .jobs_completed = 8, .jobs_failed = 3, .jobs_failed_early = 2, .cost_per_completed_milli = 579'297'875,
                       .median_wait_ms = minutes(14) + Duration{250}, .boosts_bought = 1, .boosts_bought_gpu_ms = 41 * hour_ms, .used_share_permille = 1000,
                       .entitled_share_permille = 750};
  AccountReport interns{.account = "interns", .parent = "vision", .depth = 1, .boosts_suffered_gpu_ms = 41 * hour_ms};
  view.accounts = {vision, interns};
  view.total = vision;
  view.total.account.clear();
  view.total.entitled_share_permille.reset();
  view.total.boosts_suffered_gpu_ms = 41 * hour_ms;
  return view;
}

TEST(ReportVerb, PrintsTwoTablesUnderASentence) {
  FakeApi api;
  api.on("GET /v1/report", protocol::to_json(november()));
  const Ran ran = run(api, {"report"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.err, "In 2026-11 until now 1,000.0 GPU-hours were used, 100.0 of them for nothing. They cost 4,634,383 KRW at 4,634 KRW each; the cloud would ask 5,600,000 KRW.\n");
  EXPECT_EQ(ran.out,
            "ACCOUNT\tUSED (GPU-h)\tFAILED (GPU-h)\tIDLE (GPU-h)\tCOST (KRW)\tCLOUD (KRW)\tSHARE\tENTITLED\n"
            "vision\t1,000.0\t100.0\t0.03\t4,634,383\t5,600,000\t100.0%\t75.0%\n"
            "interns\t0.00\t0.00\t0.00\t0.00\t0.00\t0.0%\t-\n"
            "total\t1,000.0\t100.0\t0.03\t4,634,383\t5,600,000\t100.0%\t-\n"
            "\n"
            "ACCOUNT\tTRIED\tCOMPLETED\tFAILED\tEARLY\tEACH (KRW)\tMEDIAN WAIT\tBOOSTS\tDELAYED (GPU-h)\tSUFFERED (GPU-h)\n"
            "vision\t12\t8\t3\t2\t579,298\t14m\t1\t41.00\t0.00\n"
            "interns\t0\t0\t0\t0\t-\t-\t0\t0.00\t41.00\n"
            "total\t12\t8\t3\t2\t579,298\t14m\t1\t41.00\t41.00\n");
  EXPECT_TRUE(api.requests().back().query.empty());
}

TEST(ReportVerb, OnATerminalAlignsNumbersToTheRightAndIndentsAccounts) {
  FakeApi api;
  api.on("GET /v1/report", protocol::to_json(november()));
  Terminal terminal;
  terminal.out_is_terminal = true;
  terminal.columns = 100;
  const std::string out = run(api, {"report"}, terminal).out;
  EXPECT_EQ(out.substr(0, out.find("\n\n")),
            "ACCOUNT    USED (GPU-h)  FAILED (GPU-h)  IDLE (GPU-h)  COST (KRW)  CLOUD (KRW)   SHARE  ENTITLED\n"
            "vision          1,000.0           100.0          0.03   4,634,383    5,600,000  100.0%     75.0%\n"
            "  interns          0.00            0.00          0.00        0.00         0.00    0.0%         -\n"
            "total           1,000.0           100.0          0.03   4,634,383    5,600,000  100.0%         -");
}

TEST(ReportVerb, WithoutMoneyShowsNone) {
  FakeApi api;
  protocol::ReportView view = november();
  view.currency.clear();
  view.price_per_gpu_hour_milli = view.cloud_price_per_gpu_hour_milli = 0;
  view.now_ms = view.end_ms;
  api.on("GET /v1/report", protocol::to_json(view));
  const Ran ran = run(api, {"report", "--month", "2026-11", "--account", "vision"});
  EXPECT_EQ(ran.err, "In 2026-11 1,000.0 GPU-hours were used, 100.0 of them for nothing.\n");
  EXPECT_EQ(ran.out.find("COST"), std::string::npos);
  EXPECT_EQ(ran.out.find("EACH"), std::string::npos);
  EXPECT_EQ(api.requests().back().query, (std::map<std::string, std::string>{{"month", "2026-11"}, {"account", "vision"}}));
}

TEST(ReportVerb, CsvHasStableColumnsAndExactNumbers) {
  FakeApi api;
  api.on("GET /v1/report", protocol::to_json(november()));
  const Ran ran = run(api, {"report", "--csv"});
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.out,
            "kind,account,month,used_gpu_hours,failed_gpu_hours,idle_gpu_hours,currency,cost,cloud_cost,jobs_tried,jobs_completed,jobs_failed,jobs_failed_early,"
            "cost_per_completed,median_wait_s,boosts_bought,boosts_bought_gpu_hours,boosts_suffered_gpu_hours,used_share,entitled_share\n"
            "account,vision,2026-11,1000.000000,100.000000,0.025000,KRW,4634383.000,5600000.000,12,8,3,2,579297.875,840.250,1,41.000000,0.000000,1.000,0.750\n"
            "account,interns,2026-11,0.000000,0.000000,0.000000,KRW,0.000,0.000,0,0,0,0,,,0,0.000000,41.000000,0.000,\n"
            "total,,2026-11,1000.000000,100.000000,0.025000,KRW,4634383.000,5600000.000,12,8,3,2,579297.875,840.250,1,41.000000,41.000000,1.000,\n");
  EXPECT_EQ(run(api, {"report", "--json"}).out, protocol::to_json(november()) + "\n");
  const Ran both = run(api, {"report", "--csv", "--json"});
  EXPECT_EQ(both.code, 2);
  EXPECT_EQ(both.err, "error: --csv: can't be combined with --json; give one of them\n");
}

TEST(ReportVerb, NamesTheOptionThatIsWrong) {
  FakeApi api;
  api.refuse("GET /v1/report", 400, "bad_request", "month", "\"soon\" is no month", "write it like 2026-11");
  const Ran ran = run(api, {"report", "--month", "soon"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err, "error: --month: \"soon\" is no month; write it like 2026-11\n");
}

TEST(Money, IsWrittenAsPeopleReadIt) {
  EXPECT_EQ(amount(0), "0.00");
  EXPECT_EQ(amount(2), "0.002");
  EXPECT_EQ(amount(10), "0.01");
  EXPECT_EQ(amount(2'355), "2.36");
  EXPECT_EQ(amount(999'994), "999.99");
  EXPECT_EQ(amount(1'000'499), "1,000");
  EXPECT_EQ(amount(8'000'000'000'000), "8,000,000,000");
  EXPECT_EQ(gpu_hours(0), "0.00");
  EXPECT_EQ(gpu_hours(hour_ms / 8), "0.13");
  EXPECT_EQ(gpu_hours(100 * hour_ms), "100.0");
  EXPECT_EQ(gpu_hours(12'345 * hour_ms + hour_ms / 4), "12,345.3");
  EXPECT_EQ(decimal(-25, 3), "-0.025");
}

protocol::JobPrice price(bool ended) {
  return {.currency = "KRW", .price_per_gpu_hour_milli = 4'000'000, .cloud_price_per_gpu_hour_milli = 6'000'000, .at_most_gpu_ms = 32 * hour_ms, .at_most_milli = 128'000'000,
          .at_most_cloud_milli = 192'000'000, .held_gpu_ms = hour_ms / 10, .cost_milli = 400'000, .cloud_milli = 600'000, .ended = ended};
}

TEST(Money, AJobsPriceIsSaidAtMostAndAtTheEnd) {
  EXPECT_EQ(price_sentence(price(false)), "It costs at most 128,000 KRW, for 32.00 GPU-hours; the cloud would ask 192,000 KRW.");
  EXPECT_EQ(price_sentence(price(true)), "It held 0.10 GPU-hours, which cost 400.00 KRW; the cloud would ask 600.00 KRW.");
  protocol::JobPrice one = price(false);
  one.cloud_price_per_gpu_hour_milli = 0;
  EXPECT_EQ(price_sentence(one), "It costs at most 128,000 KRW, for 32.00 GPU-hours.");
  one = price(true);
  one.price_per_gpu_hour_milli = 0;
  EXPECT_EQ(price_sentence(one), "It held 0.10 GPU-hours; the cloud would ask 600.00 KRW.");
  one.currency.clear();
  EXPECT_EQ(price_sentence(one), "");
}

TEST(Money, IsShownAtSubmitAndAtTheEndWhereThereIsSome) {
  FakeApi api;
  api.on("POST /v1/jobs", R"({"job":5,"count":1,"warnings":[]})");
  api.on("GET /v1/jobs/5", test::json_of(test::completed_job()));
  api.on("GET /v1/jobs/5/price", protocol::to_json(price(false)));
  const std::string at_most = "It costs at most 128,000 KRW, for 32.00 GPU-hours; the cloud would ask 192,000 KRW.\n";
  Ran ran = run(api, {"submit", "--", "true"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find(at_most), std::string::npos) << ran.out;
  EXPECT_EQ(run(api, {"submit", "--quiet", "--", "true"}).out, "5\n");
  EXPECT_EQ(run(api, {"submit", "--json", "--", "true"}).out.find("KRW"), std::string::npos);
  api.on("GET /v1/jobs/5/price", protocol::to_json(price(true)));
  const std::string end = "It held 0.10 GPU-hours, which cost 400.00 KRW; the cloud would ask 600.00 KRW.";
  ran = run(api, {"wait", "5"});
  EXPECT_EQ(ran.err, end + "\n");
  EXPECT_EQ(ran.out.find("KRW"), std::string::npos) << "stdout stays as scripts know it";
  EXPECT_NE(run(api, {"show", "5"}).out.find("price\t" + end + "\n"), std::string::npos);
  EXPECT_NE(run(api, {"submit", "--wait", "--", "true"}).err.find(end), std::string::npos);
  api.refuse("GET /v1/jobs/5/price", 503, "not_ready", "", "the journal is being read", "");
  EXPECT_EQ(run(api, {"wait", "5"}).code, 0) << "a price is never worth an error";
  api.on("GET /v1/jobs/5/price", protocol::to_json(protocol::JobPrice{}));
  EXPECT_EQ(run(api, {"show", "5"}).out.find("price"), std::string::npos);
}

TEST(Money, IsSaidInKoreanToo) {
  speak(Language::korean);
  EXPECT_EQ(price_sentence(price(false)), "비용은 최대 128,000 KRW(32.00 GPU시간)이며, 클라우드라면 192,000 KRW입니다.");
  speak(Language::english);
}

}  // namespace
}  // namespace ultramarine::cli
