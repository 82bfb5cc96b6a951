// Each verb against an API that answers as told: what is sent, what is printed on a pipe, on a terminal and as JSON,
// and the exit codes.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>

#include "scheduler/cli/client.h"
#include "scheduler/protocol/codec.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::fixed_now;
using test::json_of;
using test::Ran;
using test::run;

Terminal wide_terminal() {
  Terminal terminal;
  terminal.out_is_terminal = true;
  terminal.columns = 200;
  return terminal;
}

std::string job_list() {
  protocol::JobList list;
  list.now_ms = fixed_now;
  list.jobs = {test::running_job(), test::queued_job(), test::failed_job()};
  return json_of(list);
}

TEST(Queue, OnAPipeIsTabSeparatedWithoutColour) {
  FakeApi api;
  api.on("GET /v1/jobs", job_list());
  const Ran ran = run(api, {"queue"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out,
            "JOB\tNAME\tUSER\tACCOUNT\tGPUS\tSTATE\tTIME\tSTART\tWHERE/WHY\n"
            "9\ttrain\tada\tvision\t16\trunning\t5m / 2h\t-\tnode[01-02]\n"
            "12\ttrain\tada\tvision\t16\tqueued\t- / 2h\tin 14m\tWaits for 16 GPUs; 8 are free. Expected to start at "
            "22:27 UTC (in 14m) when job 9 (big, vision) ends.\n"
            "7\ttrain\tada\tvision\t16\tfailed\t4m / 2h\t-\tnode[01-02]\n");
  EXPECT_EQ(ran.err, "");
}

TEST(Queue, OnATerminalIsAlignedWithASummaryOnStderr) {
  FakeApi api;
  api.on("GET /v1/jobs", job_list());
  const Ran ran = run(api, {"queue"}, wide_terminal());
  EXPECT_EQ(ran.out.substr(0, ran.out.find('\n')),
            "JOB  NAME   USER  ACCOUNT  GPUS  STATE    TIME     START   WHERE/WHY");
  EXPECT_EQ(ran.err, "1 job runs on 16 GPUs, 1 waits.\n");
}

TEST(Queue, FiltersTravelAsTheApiNamesThem) {
  FakeApi api;
  api.on("GET /v1/jobs", R"({"now_ms":0,"jobs":[]})");
  EXPECT_EQ(run(api, {"queue", "--user", "ada", "--account", "vision", "--state", "failed"}).code, 0);
  const auto query = api.requests().back().query;
  EXPECT_EQ(query, (std::map<std::string, std::string>{
                       {"user", "ada"}, {"account", "vision"}, {"state", "failed"}, {"all", "1"}}));
  const Ran wrong = run(api, {"queue", "--state", "runing"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_EQ(wrong.err, "error: --state: \"runing\" is not a state; did you mean running?\n");
  EXPECT_EQ(run(api, {"queue"}, wide_terminal()).err, "The queue is empty. Ended jobs: 'ultra queue --all'.\n");
}

TEST(Json, IsTheApisBodyToTheByte) {
  FakeApi api;
  api.on("GET /v1/jobs", job_list());
  api.on("GET /v1/nodes", R"({"now_ms":5,"nodes":[],"something_newer":1})");
  api.on("GET /v1/jobs/9", json_of(test::running_job()));
  api.on("POST /v1/jobs/9/cancel", json_of(test::running_job()));
  api.on("GET /v1/jobs/5", json_of(test::completed_job()));
  EXPECT_EQ(run(api, {"queue", "--json"}).out, job_list() + "\n");
  EXPECT_EQ(run(api, {"nodes", "--json"}).out, "{\"now_ms\":5,\"nodes\":[],\"something_newer\":1}\n");
  EXPECT_EQ(run(api, {"show", "9", "--json"}).out, json_of(test::running_job()) + "\n");
  EXPECT_EQ(run(api, {"cancel", "9", "--json"}).out, json_of(test::running_job()) + "\n");
  EXPECT_EQ(run(api, {"wait", "5", "--json"}).out, json_of(test::completed_job()) + "\n");
}

TEST(Show, TellsEverythingAboutAFailure) {
  FakeApi api;
  api.on("GET /v1/jobs/7", json_of(test::failed_job()));
  const Ran ran = run(api, {"show", "7"});
  EXPECT_EQ(ran.code, 0);
  for (const char* part :
       {"Job 7 train: failed\n", "command\tpython3 train.py --note 'it'\\''s fine'\n", "exit code\t137\n",
        "\nAttempt 1\n", "devices\tnode01:0,1,2,3,4,5,6,7, node02:0,1", "outcome\tfailed\n",
        "failure\trank 3 on node01 ended with signal 9 (SIGKILL)\n", "  |\tstep 41\n  |\tKilled?[2J\n",
        "3\tnode01\tsignal 9 (SIGKILL)\t3.0 MiB\t42s\t37.5%\t120\t4.0 KiB\n", "exported\tPATH SECRET_TOKEN\n"}) {
    EXPECT_NE(ran.out.find(part), std::string::npos) << part << "\nin\n" << ran.out;
  }
}

TEST(Show, TellsWhenAndWhyAQueuedJobStarts) {
  FakeApi api;
  api.on("GET /v1/jobs/12", json_of(test::queued_job()));
  const std::string out = run(api, {"show", "12"}).out;
  EXPECT_NE(out.find("\nWaiting\nplace\t1 in the queue\nplanned start\t2023-11-14 22:27:20 (in 14m)\n"),
            std::string::npos)
      << out;
  EXPECT_NE(out.find("why\tWaits for 16 GPUs; 8 are free."), std::string::npos) << out;
}

TEST(Nodes, ShowDevicesInUse) {
  FakeApi api;
  protocol::NodeList list;
  list.now_ms = fixed_now;
  protocol::NodeView node;
  node.node.config.name = "node01";
  node.node.config.gpus = 4;
  node.node.config.gpu_type = "H100";
  node.node.config.virtual_devices = true;
  node.node.state = NodeState::up;
  node.allocated = 2;
  node.device_jobs = {JobId{9}, JobId{9}, std::nullopt, std::nullopt};
  node.device_utilization_permille = {500, 250, 0, 0};
  list.nodes = {node};
  node.node.config.name = "node02";
  node.node.state = NodeState::down;
  node.allocated = 0;
  node.device_jobs.clear();
  list.nodes.push_back(node);
  api.on("GET /v1/nodes", json_of(list));
  EXPECT_EQ(run(api, {"nodes"}).out,
            "NODE\tSTATE\tGPUS\tUSED\tUTILIZATION\tTYPE\tJOBS\tNOTE\nnode01\tup\t4\t2\t18.7%"
            "\tH100\t9\tvirtual\nnode02\tdown\t4\t0\t18.7%\tH100\t-\tvirtual, no agent has joined\n");
  const std::string drawn = run(api, {"nodes"}, wide_terminal()).out;
  EXPECT_NE(drawn.find("node01  up        4     2  ██░░"), std::string::npos) << drawn;
}

TEST(Nodes, WideShowsWhatElseTheyHave) {
  FakeApi api;
  protocol::NodeList list;
  list.now_ms = fixed_now;
  protocol::NodeView node;
  node.node.config = {.name = "node01", .gpus = 4, .gpu_type = "H100", .cpus = 96, .memory_bytes = std::int64_t{512} << 30, .features = {"nvlink", "ib"}, .leaf = "leaf1"};
  node.node.state = NodeState::up;
  node.node.launches_as_owner = true;
  node.facts = NodeFacts{.containment = "cgroup_v2"};
  list.nodes = {node};
  node.node.config = {.name = "node02", .gpus = 4};
  node.node.launches_as_owner = false;
  node.facts.reset();
  list.nodes.push_back(node);
  api.on("GET /v1/nodes", json_of(list));
  EXPECT_EQ(run(api, {"nodes", "--wide"}).out,
            "NODE\tSTATE\tGPUS\tUSED\tUTILIZATION\tTYPE\tCPUS\tMEMORY\tFEATURES\tLEAF\tCONTAINMENT\tJOBS RUN AS\tJOBS\tNOTE\n"
            "node01\tup\t4\t0\t-\tH100\t96\t512.0 GiB\tnvlink,ib\tleaf1\tcgroup_v2\towner\t-\t-\n"
            "node02\tup\t4\t0\t-\t-\t-\t-\t-\t-\t-\tagent\t-\t-\n");
}

TEST(Nodes, WideShowsWhatRealGpusMeasure) {
  FakeApi api;
  protocol::NodeList list;
  list.now_ms = fixed_now;
  protocol::NodeView node;
  node.node.config = {.name = "node01", .gpus = 2, .gpu_type = "H100"};
  node.node.state = NodeState::up;
  DeviceReport first{.device = 0, .memory_total_bytes = std::int64_t{80} << 30};
  first.memory_used_bytes = std::int64_t{3} << 29;
  first.power_milliwatts = 300'400;
  first.temperature_celsius = 41;
  DeviceReport second{.device = 1, .memory_total_bytes = std::int64_t{80} << 30};
  second.temperature_celsius = 63;
  node.devices = {first, second};
  list.nodes = {node};
  node.node.config = {.name = "node02", .gpus = 2};
  node.devices = {DeviceReport{.device = 0, .memory_total_bytes = std::int64_t{80} << 30}};
  list.nodes.push_back(node);
  api.on("GET /v1/nodes", json_of(list));
  EXPECT_EQ(run(api, {"nodes", "--wide"}).out,
            "NODE\tSTATE\tGPUS\tUSED\tUTILIZATION\tTYPE\tCPUS\tMEMORY\tFEATURES\tLEAF\tCONTAINMENT\tJOBS RUN AS\tGPU MEMORY\tPOWER\tHOTTEST\tJOBS\tNOTE\n"
            "node01\tup\t2\t0\t-\tH100\t-\t-\t-\t-\t-\tagent\t1.5 GiB/80.0 GiB\t300 W\t63 °C\t-\t-\n"
            "node02\tup\t2\t0\t-\t-\t-\t-\t-\t-\t-\tagent\t-\t-\t-\t-\t-\n");
}

TEST(Cancel, SaysWhatHappensAndGoesOnAfterARefusal) {
  FakeApi api;
  protocol::JobView stopping = test::running_job();
  stopping.details.state = JobState::stopping;
  protocol::JobView cancelled = test::queued_job();
  cancelled.details.state = JobState::cancelled;
  api.on("POST /v1/jobs/9/cancel", json_of(stopping));
  api.on("POST /v1/jobs/12/cancel", json_of(cancelled));
  api.refuse("POST /v1/jobs/7/cancel", 409, "conflict", "job", "job 7 has ended", "nothing is left to cancel");
  EXPECT_EQ(run(api, {"cancel", "9"}).out, "Job 9 is being stopped.\n");
  const Ran ran = run(api, {"cancel", "7", "12"});
  EXPECT_EQ(ran.code, 6);
  EXPECT_EQ(ran.out, "Job 12 is cancelled.\n");
  EXPECT_EQ(ran.err, "error: job 7: JOB: job 7 has ended; nothing is left to cancel\n");
  EXPECT_EQ(run(api, {"cancel", "7"}).err, "error: JOB: job 7 has ended; nothing is left to cancel\n");
}

TEST(Refusals, NameTheOptionAndTheRemedyOnOneLine) {
  FakeApi api;
  api.refuse("POST /v1/jobs", 400, "impossible", "spec.resources.gpus", "65 GPUs asked, partition main has 64",
             "ask for at most 64");
  Ran ran = run(api, {"submit", "--gpus", "65", "--", "x"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err, "error: --gpus: 65 GPUs asked, partition main has 64; ask for at most 64\n");
  EXPECT_EQ(ran.out, "");
  api.refuse("GET /v1/jobs/99", 404, "not_found", "job", "there is no job 99", "'ultra queue --all' lists them");
  EXPECT_EQ(run(api, {"show", "99"}).code, 3);
  api.refuse("POST /v1/jobs/9/cancel", 403, "not_permitted", "", "job 9 is ada's", "ask ada");
  ran = run(api, {"cancel", "9"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "error: job 9 is ada's; ask ada\n");
  api.on("GET /v1/nodes", "<html>", 502);
  ran = run(api, {"nodes"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err, "error: the scheduler answered with status 502\n");
  api.on("GET /v1/nodes", "{\"nodes\":7}");
  EXPECT_EQ(run(api, {"nodes"}).code, 1);
}

TEST(Unreachable, SaysWhereItLookedAndWhatToDo) {
  const test::TemporaryFolder folder;
  const Ran none = run({"queue"}, {{"ULTRA_HOME", folder.path()}});
  EXPECT_EQ(none.code, 5);
  EXPECT_EQ(none.err, "error: no scheduler answers at " + folder.path() +
                          "/scheduler.sock (no such socket): start one with 'ultra cluster up'\n");
  const Ran wrong = run({"queue"}, {{"ULTRA_HOME", folder.path() + "/mistyped"}});
  EXPECT_EQ(wrong.code, 5);
  EXPECT_EQ(wrong.err, "error: no scheduler answers at " + folder.path() +
                           "/mistyped/scheduler.sock (there is no folder " + folder.path() +
                           "/mistyped): start one with 'ultra cluster up'\n");
  EXPECT_EQ(run({"submit", "--", "x"}, {{"ULTRA_HOME", folder.path()}}).code, 5);
}

TEST(Submit, SendsTheCommandAndTheEnvironmentAndSaysThePlannedStart) {
  FakeApi api;
  api.on("POST /v1/jobs", R"({"job":12})");
  api.on("GET /v1/jobs/12", json_of(test::queued_job()));
  const Ran ran = run(api, {"submit", "--gpus", "16", "--name", "train", "--time", "2h", "--", "python3", "train.py"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out,
            "Submitted job 12 (train, 16 GPUs, 2h limit).\nPlanned start: in 14m (2023-11-14 22:27:20) on node[01-02]: "
            "Waits for 16 GPUs; 8 are free.\n");
  EXPECT_EQ(ran.err, "");
  const auto sent =
      protocol::from_json<protocol::SubmitRequest>(api.requests().front().body, protocol::Unknown::refused);
  EXPECT_EQ(sent.spec.command, (std::vector<std::string>{"python3", "train.py"}));
  EXPECT_EQ(sent.spec.resources.gpus, 16);
  EXPECT_EQ(sent.environment.at("SECRET_TOKEN"), "hush");
  EXPECT_EQ(sent.request_key.size(), 32U);
  EXPECT_EQ(run(api, {"submit", "--quiet", "--", "x"}).out, "12\n");
  EXPECT_EQ(run(api, {"submit", "--json", "--", "x"}).out,
            "{\"job\":12,\"view\":" + json_of(test::queued_job()) + "}\n");
}

/// Speaks HTTP by hand, so that it can fail in the middle: the first request gets no answer, later ones do.
class ForgetfulServer {
 public:
  explicit ForgetfulServer(const std::string& path) : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener_, 8) != 0)
      throw std::runtime_error("can't listen");
    thread_ = std::thread([this] { serve(); });
  }
  ~ForgetfulServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  std::vector<std::string> bodies;

 private:
  void serve() {
    for (int client; (client = accept(listener_, nullptr, nullptr)) >= 0; close(client)) {
      std::string text;
      char buffer[4096];
      std::size_t whole = std::string::npos;
      while (text.size() < whole) {
        const ssize_t got = read(client, buffer, sizeof buffer);
        if (got <= 0) break;
        text.append(buffer, static_cast<std::size_t>(got));
        const std::size_t end = text.find("\r\n\r\n"), length = text.find("Content-Length: ");
        if (end != std::string::npos && length != std::string::npos)
          whole = end + 4 + std::stoul(text.substr(length + 16));
      }
      bodies.push_back(text.substr(text.find("\r\n\r\n") + 4));
      if (bodies.size() == 1) continue;
      const std::string reply =
          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\nConnection: "
          "close\r\n\r\n{\"job\":12}";
      if (write(client, reply.data(), reply.size()) < 0) continue;
    }
  }
  int listener_;
  std::thread thread_;
};

TEST(Submit, ALostReplyIsAskedForAgainAsTheSameJob) {
  const test::TemporaryFolder folder;
  ForgetfulServer server(folder.path() + "/scheduler.sock");
  protocol::SubmitRequest request;
  request.request_key = "k";
  request.spec.command = {"x"};
  EXPECT_EQ(Client(folder.path() + "/scheduler.sock").submit(request).value.job, JobId{12});
  ASSERT_EQ(server.bodies.size(), 2U);
  EXPECT_EQ(server.bodies[0], server.bodies[1]);
  EXPECT_NE(server.bodies[0].find("\"request_key\":\"k\""), std::string::npos);
}

TEST(Submit, WaitEndsWithTheJobsCode) {
  FakeApi api;
  api.on("POST /v1/jobs", R"({"job":7})");
  api.on("GET /v1/jobs/7", json_of(test::failed_job()));
  const Ran ran = run(api, {"submit", "--wait", "--quiet", "--", "x"});
  EXPECT_EQ(ran.code, 137);
  EXPECT_EQ(ran.out, "7\n");
  EXPECT_EQ(ran.err, "error: job 7 failed: rank 3 on node01 ended with signal 9 (SIGKILL) (see 'ultra show 7')\n");
  EXPECT_EQ(run(api, {"submit", "--wait", "--json", "--", "x"}).out,
            "{\"job\":7,\"view\":" + json_of(test::failed_job()) + "}\n");
}

TEST(Wait, IsTheFirstCodeThatIsNotZero) {
  FakeApi api;
  api.on("GET /v1/jobs/5", json_of(test::completed_job()));
  api.on("GET /v1/jobs/7", json_of(test::failed_job()));
  EXPECT_EQ(run(api, {"wait", "5"}).code, 0);
  const Ran ran = run(api, {"wait", "5", "7"});
  EXPECT_EQ(ran.code, 137);
  EXPECT_EQ(
      ran.out,
      "Job 5 completed in 4m.\nJob 7 failed: rank 3 on node01 ended with signal 9 (SIGKILL) (see 'ultra show 7').\n");
}

TEST(Wait, AsksAgainUntilTheEnd) {
  FakeApi api;
  std::atomic<int> asked{0};
  api.on("GET /v1/jobs/9", json_of(test::running_job()));
  api.on("GET /v1/jobs/9/wait", [&](const net::Request&, std::shared_ptr<net::Reply> reply) {
    protocol::JobView view = ++asked < 3 ? test::running_job() : test::completed_job();
    reply->send({.status = 200, .content_type = "application/json", .body = json_of(view), .headers = {}});
  });
  EXPECT_EQ(run(api, {"wait", "9"}).code, 0);
  EXPECT_EQ(asked, 3);
}

TEST(Wait, GivesUpAfterItsTimeoutWithSeven) {
  FakeApi api;
  api.on("GET /v1/jobs/9", json_of(test::running_job()));
  const Ran ran = run(api, {"wait", "9", "--timeout", "0s"});
  EXPECT_EQ(ran.code, 7);
  EXPECT_EQ(
      ran.err,
      "error: --timeout: job 9 has not ended within 0s; it goes on; wait longer or stop it with 'ultra cancel 9'\n");
}

TEST(Logs, PutTheRankInFrontOfWholeLines) {
  FakeApi api;
  api.on("GET /v1/jobs/9/logs", test::log_line(0, "out", "step 1\nst") + test::log_line(1, "out", "hello\n") +
                                    test::log_line(1, "err", "oops\n") + test::log_line(0, "out", "ep 2\nlast"));
  const Ran all = run(api, {"logs", "9"});
  EXPECT_EQ(all.code, 0);
  EXPECT_EQ(all.out, "[0] step 1\n[1] hello\n[0] step 2\n[0] last\n");
  EXPECT_EQ(all.err, "[1] oops\n");
  const Ran one = run(api, {"logs", "9", "--rank", "0"});
  EXPECT_EQ(one.out.substr(0, 9), "step 1\nst");
  EXPECT_EQ(api.requests().back().query.at("rank"), "0");
}

TEST(Version, IsOneLine) {
  EXPECT_TRUE(run({"version"}, {{"HOME", "/tmp"}}).out.starts_with("ultra "));
  EXPECT_TRUE(run({"version", "--json"}, {{"HOME", "/tmp"}}).out.starts_with("{\"version\":\""));
}

}  // namespace
}  // namespace ultramarine::cli
