// why, whatif, boost, extend and what is done to others' jobs: what is sent, and what is said.
#include <gtest/gtest.h>

#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/planning_messages.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::fixed_now;
using test::json_of;
using test::Ran;
using test::run;

std::string why_with_two_ways() {
  protocol::WhyReply reply{.now_ms = fixed_now, .job = {12}, .name = "12", .why = "Waits for 64 GPUs; 32 are free."};
  reply.reasons = {"1 job is ahead of it, and asks for 64 GPUs."};
  reply.ways.push_back({.number = 1, .change = {.time_limit_ms = hours(2)}, .start_ms = fixed_now, .sentence = "It would start now with a time limit of 2h instead of 8h. Nobody else would start later."});
  reply.ways.push_back({.number = 2, .change = {.resources = Resources{.gpus = 32}}, .start_ms = fixed_now, .sentence = "It would start now with 32 GPUs instead of 64 GPUs. Nobody else would start later."});
  return protocol::to_json(reply);
}

protocol::FavourReply bill(bool delays, bool granted = false) {
  protocol::FavourReply reply{.now_ms = fixed_now, .granted = granted, .token = granted ? "" : "1.2.3"};
  reply.bill.bill = granted ? 7 : 0;
  if (delays) reply.bill.delayed.push_back({.job = {9}});
  reply.sentences = {"The bill to put job 12 (train, lab) ahead of all others. It would start now."};
  return reply;
}

TEST(Why, ListsReasonsAndOffersAndTakesOne) {
  FakeApi api;
  api.on("GET /v1/jobs/12/why", why_with_two_ways());
  Ran ran = run(api, {"why", "12"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out,
            "Waits for 64 GPUs; 32 are free.\n\nWhat keeps it, in this order:\n  - 1 job is ahead of it, and asks for 64 GPUs.\n\nWhat would let it start sooner:\n"
            "  1  It would start now with a time limit of 2h instead of 8h. Nobody else would start later.\n"
            "  2  It would start now with 32 GPUs instead of 64 GPUs. Nobody else would start later.\nTo take one of them: ultra why 12 --apply 1\n");
  EXPECT_EQ(run(api, {"why", "12", "--json"}).out, why_with_two_ways() + "\n");
  api.on("POST /v1/jobs/12/edit", json_of(test::queued_job()));
  ran = run(api, {"why", "12", "--apply", "2"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(protocol::from_json<JobChange>(api.requests().back().body), (JobChange{.resources = Resources{.gpus = 32}}));
  EXPECT_NE(ran.out.find("Job 12 is changed so; its age in the queue stays."), std::string::npos);
  ran = run(api, {"why", "12", "--apply", "3"});
  EXPECT_EQ(ran.code, 6);
  EXPECT_EQ(ran.err, "error: --apply: there is no offer 3; see 'ultra why 12'\n");
  EXPECT_EQ(run(api, {"why", "12", "--apply", "9"}).code, 2);
  EXPECT_EQ(run(api, {"why"}).code, 2);
}

TEST(Boost, PrintsTheBillAndGrantsItOnlyWithItsToken) {
  FakeApi api;
  api.on("POST /v1/favours", protocol::to_json(bill(true)));
  Ran ran = run(api, {"boost", "12", "--reason", "it's urgent", "--for", "2h"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out,
            "The bill to put job 12 (train, lab) ahead of all others. It would start now.\nNothing is changed so far. To grant it within 10m:\n"
            "  ultra boost 12 --reason 'it'\\''s urgent' --for 2h --confirm 1.2.3\n");
  EXPECT_EQ(api.requests().size(), 1u) << "nothing was granted";
  api.on("POST /v1/favours", protocol::to_json(bill(true, true)));
  ran = run(api, {"boost", "12", "--reason", "it's urgent", "--for", "2h", "--confirm", "1.2.3"});
  EXPECT_EQ(ran.out, "Granted, as bill 7.\n");
  const auto sent = protocol::from_json<protocol::FavourRequest>(api.requests().back().body);
  EXPECT_EQ(sent.token, "1.2.3");
  EXPECT_EQ(sent.time_ms, hours(2));
  EXPECT_EQ(sent.reason, "it's urgent");
  EXPECT_EQ(run(api, {"boost", "12"}).code, 2) << "no reason";
  api.refuse("POST /v1/favours", 403, "not_permitted", "", "only an admin or a manager may put a job ahead of all others", "ask ada");
  EXPECT_EQ(run(api, {"boost", "12", "--reason", "x"}).code, 4);
}

TEST(Boost, ThatDelaysNobodyIsGrantedAtOnceAndAnyWithYes) {
  for (const bool delays : {false, true}) {
    FakeApi api;
    int asked = 0;
    api.on("POST /v1/favours", [&](const net::Request& request, std::shared_ptr<net::Reply> reply) {
      const bool has_token = !protocol::from_json<protocol::FavourRequest>(request.body).token.empty();
      asked += 1;
      reply->send({200, "application/json", protocol::to_json(bill(delays, has_token)), {}});
    });
    std::vector<std::string> words{"boost", "12", "--reason", "x"};
    if (delays) words.push_back("--yes");
    const Ran ran = run(api, words);
    EXPECT_EQ(ran.code, 0);
    EXPECT_NE(ran.out.find("Granted, as bill 7."), std::string::npos) << ran.out;
    EXPECT_EQ(asked, 2);
  }
}

TEST(Hold, OfSomebodyElsesJobShowsItsBill) {
  FakeApi api;
  api.refuse("POST /v1/jobs/12/hold", 409, "conflict", "token", "this is a favour, and others start later for it: 2 GPU-hours in all", "ask for its bill first, and confirm that (POST /v1/favours)");
  api.on("POST /v1/favours", protocol::to_json(bill(true)));
  const Ran ran = run(api, {"hold", "12", "--reason", "it fills the disk"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.out.find("  ultra hold 12 --reason 'it fills the disk' --confirm 1.2.3\n"), std::string::npos) << ran.out;
  EXPECT_EQ(protocol::from_json<protocol::FavourRequest>(api.requests().back().body).favour, Favour::hold);
  EXPECT_EQ(run(api, {"hold", "12", "13", "--confirm", "1.2.3"}).code, 2);
}

TEST(WhatIf, SendsOneQuestionAndShowsBeforeAndAfter) {
  FakeApi api;
  protocol::WhatIfReply reply{.now_ms = fixed_now, .sentences = {"If 1 more node:", "Nobody else would start later."}};
  reply.helped.push_back({.job = {9}, .user = "ann", .account = "lab", .gpus = 8, .before_ms = fixed_now + hours(2), .after_ms = fixed_now});
  reply.accounts.push_back({.account = "lab", .jobs_helped = 1, .gained_gpu_ms = 8 * hours(2).ms, .share_before_permille = 500, .share_after_permille = 625});
  api.on("POST /v1/whatif", protocol::to_json(reply));
  const Ran ran = run(api, {"whatif", "add-nodes", "--count", "2"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.out.find("9\tann\tlab\t8\tin 2h\tnow\n"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("lab\t0\t0.00\t1\t16.00\t50.0%\t62.5%\n"), std::string::npos) << ran.out;
  EXPECT_EQ(protocol::from_json<protocol::WhatIfRequest>(api.requests().back().body).add_nodes, 2);
  run(api, {"whatif", "boost", "15_3"});
  EXPECT_EQ(protocol::from_json<protocol::WhatIfRequest>(api.requests().back().body).boost, "15_3");
  run(api, {"whatif", "drain", "node01", "node[03-04]"});
  EXPECT_EQ(protocol::from_json<protocol::WhatIfRequest>(api.requests().back().body).drain, "node01,node[03-04]");
  run(api, {"whatif", "policy", "fifo"});
  EXPECT_EQ(protocol::from_json<protocol::WhatIfRequest>(api.requests().back().body).policy->name, "fifo");
  run(api, {"whatif", "submit", "--gpus", "4", "--time", "2h", "--", "true"});
  EXPECT_EQ(protocol::from_json<protocol::WhatIfRequest>(api.requests().back().body).submit->spec.resources.gpus, 4);
  EXPECT_EQ(run(api, {"whatif", "policy", "no such file.toml"}).code, 2);
  EXPECT_EQ(run(api, {"whatif", "cancel"}).code, 2);
}

}  // namespace
}  // namespace ultramarine::cli
