// Hold, release, reorder, drain, resume, reserve, reservations, reload: what is sent, and what is said.
#include <gtest/gtest.h>

#include "scheduler/protocol/codec.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::fixed_now;
using test::json_of;
using test::Ran;
using test::run;

std::string node_list(NodeState state) {
  protocol::NodeList list;
  list.now_ms = fixed_now;
  for (const char* name : {"node01", "node02"}) {
    protocol::NodeView view;
    view.node.config.name = name;
    view.node.state = state;
    view.node.drain = Drain{"new fans", {1, "ada", "socket"}, fixed_now - hours(1)};
    list.nodes.push_back(view);
  }
  return json_of(list);
}

TEST(Hold, SendsTheReasonAndNamesTheJob) {
  FakeApi api;
  api.on("POST /v1/jobs/12/hold", json_of(test::queued_job()));
  api.on("POST /v1/jobs/15_2/hold", json_of(test::queued_job()));
  Ran ran = run(api, {"hold", "12", "15_2", "--reason", "data is late"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "Job 12 is held.\nJob 15_2 is held.\n");
  EXPECT_EQ(api.requests().back().body, R"({"reason":"data is late"})");
  api.refuse("POST /v1/jobs/12/release", 403, "not_permitted", "", "job 12 was held by ada, an admin", "only an admin may release it");
  ran = run(api, {"release", "12"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "error: job 12 was held by ada, an admin; only an admin may release it\n");
  api.on("POST /v1/jobs/12/release", json_of(test::queued_job()));
  EXPECT_EQ(run(api, {"release", "12"}).out, "Job 12 is in the queue again.\n");
  EXPECT_EQ(run(api, {"release", "12", "--json"}).out, json_of(test::queued_job()) + "\n");
  EXPECT_EQ(run(api, {"release"}).code, 2);
}

TEST(Reorder, SendsTheNamesInTheirOrder) {
  FakeApi api;
  protocol::JobList list;
  list.now_ms = fixed_now;
  list.jobs = {test::queued_job()};
  api.on("POST /v1/jobs/reorder", json_of(list));
  const Ran ran = run(api, {"reorder", "14", "12_[1-2]"});
  EXPECT_EQ(ran.out, "JOB\tNAME\tSTATE\tSTART\n12\ttrain\tqueued\tin 14m\n");
  EXPECT_EQ(api.requests().back().body, R"({"jobs":["14","12_1","12_2"]})");
  EXPECT_EQ(run(api, {"reorder", "14", "12", "--json"}).out, json_of(list) + "\n");
}

TEST(Drain, NeedsAReason) {
  FakeApi api;
  Ran ran = run(api, {"drain", "node01"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err, "error: --reason: none given; say why: --reason 'new fans'\n");
  EXPECT_EQ(run(api, {"drain", "--reason", "x"}).err, "error: NODE: none given; write for example ultra drain node[01-04]\n");
  api.on("POST /v1/nodes/drain", node_list(NodeState::draining));
  ran = run(api, {"drain", "node[01-02]", "--reason", "new fans"});
  EXPECT_EQ(ran.out, "node01 takes no new jobs; those that run on it finish.\nnode02 takes no new jobs; those that run on it finish.\n");
  EXPECT_EQ(api.requests().back().body, R"({"nodes":["node[01-02]"],"reason":"new fans"})");
  api.on("POST /v1/nodes/drain", node_list(NodeState::unreachable));
  EXPECT_EQ(run(api, {"drain", "node01", "--reason", "x"}).out.substr(0, 71), "node01 takes no jobs, also when it is back: it is unreachable.\nnode02 t");
  api.on("POST /v1/nodes/resume", node_list(NodeState::up));
  EXPECT_EQ(run(api, {"resume", "node01", "node02"}).out, "node01 takes jobs again.\nnode02 takes jobs again.\n");
  EXPECT_EQ(api.requests().back().body, R"({"nodes":["node01","node02"]})");
}

TEST(Nodes, GiveReasonsAsSinfoDoes) {
  FakeApi api;
  api.on("GET /v1/nodes", node_list(NodeState::drained));
  EXPECT_EQ(run(api, {"nodes", "--reasons"}).out,
            "REASON\tUSER\tTIMESTAMP\tNODELIST\nnew fans\tada\t2023-11-14 21:13:20\tnode[01-02]\n");
  EXPECT_NE(run(api, {"nodes"}).out.find("drained by ada 2023-11-14 21:13:20: new fans"), std::string::npos);
  api.on("GET /v1/nodes", R"({"now_ms":0,"nodes":[]})");
  EXPECT_EQ(run(api, {"nodes", "-R"}).out, "REASON\tUSER\tTIMESTAMP\tNODELIST\n");
}

TEST(Reserve, CountsFromNowAndFromLocalTime) {
  FakeApi api;
  protocol::ReservationReply reply;
  reply.reservation = {"course", {"node01", "node02"}, {"lab-a", "lab-b"}, fixed_now + hours(1), fixed_now + hours(3), "a course", {1, "ada", "socket"}};
  reply.warnings = {"job 3 may run on its nodes beyond its start: it is not stopped for it"};
  api.on("POST /v1/reservations", protocol::to_json(reply));
  const std::vector<std::string> words{"reserve", "course", "--nodes", "node[01-02]", "--accounts", "lab-a,lab-b", "--start", "now+1h", "--duration", "2h", "--reason", "a course"};
  const Ran ran = run(api, words);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "Reservation course: node[01-02] for lab-a, lab-b from 2023-11-14 23:13:20 to 2023-11-15 01:13:20.\n");
  EXPECT_EQ(ran.err, "warning: job 3 may run on its nodes beyond its start: it is not stopped for it\n");
  EXPECT_EQ(api.requests().back().body, R"({"name":"course","nodes":["node[01-02]"],"accounts":["lab-a","lab-b"],"maintenance":false,"start_ms":1700003600000,"end_ms":1700010800000,"reason":"a course"})");
  EXPECT_EQ(run(api, {"reserve", "x", "--nodes", "n", "--maintenance", "--accounts", "a"}).err,
            "error: --accounts: can't be combined with --maintenance; give either the accounts that may use the nodes, or --maintenance\n");
  EXPECT_EQ(run(api, {"reserve", "x", "--nodes", "n", "--maintenance", "--start", "soon", "--duration", "1h", "--reason", "x"}).err,
            "error: --start: expected an instant, got \"soon\"; write for example now+2h, 16:00, tomorrow, 2026-12-24T10:00\n");
  EXPECT_EQ(run(api, {"reserve"}).code, 2);
  EXPECT_EQ(run(api, {"reserve", "--cancel", "x", "--nodes", "n"}).err, "error: --cancel: stands alone; write ultra reserve --cancel x\n");
  reply.warnings.clear();
  api.on("POST /v1/reservations/cancel", protocol::to_json(reply));
  EXPECT_EQ(run(api, {"reserve", "--cancel", "course"}).out, "Reservation course is over.\n");
}

TEST(Reservations, AreATable) {
  FakeApi api;
  protocol::ReservationList list;
  list.now_ms = fixed_now;
  list.reservations = {{"fans", {"node07"}, {}, fixed_now - hours(1), fixed_now + hours(1), "new fans", {1, "ada", "socket"}},
                       {"course", {"node01", "node02"}, {"lab-a", "lab-b"}, fixed_now + hours(1), fixed_now + hours(3), "a course", {1, "ada", "socket"}}};
  api.on("GET /v1/reservations", protocol::to_json(list));
  EXPECT_EQ(run(api, {"reservations"}).out,
            "NAME\tSTATE\tSTART\tEND\tNODES\tACCOUNTS\tUSER\tREASON\n"
            "fans\tactive\t2023-11-14 21:13:20\t2023-11-14 23:13:20\tnode07\tmaintenance\tada\tnew fans\n"
            "course\tplanned\t2023-11-14 23:13:20\t2023-11-15 01:13:20\tnode[01-02]\tlab-a,lab-b\tada\ta course\n");
}

TEST(Reload, SaysWhatChanged) {
  FakeApi api;
  api.on("POST /v1/reload", R"({"changes":["node node09: new","policy: max_age 7d -> 1d"]})");
  Ran ran = run(api, {"reload"});
  EXPECT_EQ(ran.out, "node node09: new\npolicy: max_age 7d -> 1d\n");
  EXPECT_EQ(ran.err, "2 changes took effect.\n");
  EXPECT_EQ(api.requests().back().body, R"({"check":false})");
  ran = run(api, {"reload", "--check"});
  EXPECT_EQ(ran.err, "The files are good. Nothing was changed: 2 changes would take effect with 'ultra reload'.\n");
  EXPECT_EQ(api.requests().back().body, R"({"check":true})");
  api.on("POST /v1/reload", R"({"changes":[]})");
  EXPECT_EQ(run(api, {"reload"}).err, "Nothing differs from what the scheduler runs with.\n");
}

TEST(Submit, SaysWhenAndHowItMayWait) {
  FakeApi api;
  const Ran ran = run(api, {"submit", "--dry-run", "--hold", "--begin", "now+1h", "--deadline", "now+1d", "--nice", "50", "--reservation", "course", "--", "x"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  for (const char* part : {R"("hold":true)", R"("begin_ms":1700003600000)", R"("deadline_ms":1700086400000)", R"("nice":50)", R"("reservation":"course")"})
    EXPECT_NE(ran.out.find(part), std::string::npos) << part << "\n" << ran.out;
  EXPECT_EQ(run(api, {"submit", "--dry-run", "--begin", "whenever", "--", "x"}).err,
            "error: --begin: expected an instant, got \"whenever\"; write for example now+2h, 16:00, tomorrow or 2026-12-24T10:00\n");
}

}  // namespace
}  // namespace ultramarine::cli
