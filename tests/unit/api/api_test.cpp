// Requests against a real daemon with a memory store: decoding, who may do what, what is shown to whom.
#include <gtest/gtest.h>

#include "scheduler/protocol/page_messages.h"
#include "tests/unit/server/daemon_harness.h"

namespace ultramarine::server::testing {
namespace {

const api::Caller nobody;

class Api : public ::testing::Test {
 protected:
  net::Loop loop_;
  std::unique_ptr<store::Store> store_ = store::open_memory();
  Scheduler scheduler_{loop_, *store_};

  void SetUp() override { scheduler_.start_and_wait(); }

  protocol::ErrorReply refused(int status, const net::Response& response) {
    EXPECT_EQ(response.status, status) << response.body;
    const auto problem = scheduler_.problem(response);
    EXPECT_FALSE(problem.message.empty());
    EXPECT_EQ(problem.request.size(), 12u);
    return problem;
  }
  protocol::ErrorReply refused_spec(const std::string& spec, const std::string& more = "", int status = 400) {
    return refused(status, scheduler_.ask("POST", "/v1/jobs", R"({"spec":)" + spec + more + "}"));
  }
};

TEST_F(Api, KeepsWhatWasSubmitted) {
  const JobId job = scheduler_.submit(R"({"gpus":4})", R"(,"name":"train")", R"({"B":"2","A":"1"})");
  const auto view = scheduler_.job(job);
  EXPECT_EQ(view.details.spec.name, "train");
  EXPECT_EQ(view.details.spec.account, "lab-a");
  EXPECT_EQ(view.details.owner.uid, runner_uid);
  EXPECT_EQ(view.details.environment_names, (std::vector<std::string>{"A", "B"}));
  EXPECT_EQ(view.gpus, 4);
  ASSERT_TRUE(view.planned);
  EXPECT_NE(view.why.find("don't answer"), std::string::npos) << view.why;  // no agent has joined
  scheduler_.daemon.stop();
  EXPECT_EQ(store_->environment(job)->at("A"), "1");
}

TEST_F(Api, ListsTheSameWithAndWithoutMembersThatHoldNothing) {
  for (int gpus = 1; gpus <= 3; ++gpus) scheduler_.submit(R"({"gpus":)" + std::to_string(gpus) + "}", R"(,"name":"train")", R"({"A":"1"})");
  const auto list = [&](std::map<std::string, std::string> headers) {
    net::Request request{.method = "GET", .path = "/v1/jobs", .query = {}, .headers = std::move(headers), .body = ""};
    const auto reply = std::make_shared<RecordedReply>();
    scheduler_.api.handle(api::Door::socket, runner, std::move(request), reply);
    scheduler_.until([&] { return reply->response.has_value(); }, "a list");
    return reply->response.value_or(net::Response{}).body;
  };
  const std::string whole = list({}), brief = list({{"prefer", "return=minimal"}});
  const auto jobs = protocol::from_json<protocol::JobList>(whole, protocol::Unknown::refused).jobs;
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_EQ(jobs[2].gpus, 3);
  protocol::JobView shown = scheduler_.job({3});
  EXPECT_EQ(shown.details.environment_names, std::vector<std::string>{"A"});
  shown.details.environment_names.clear();
  EXPECT_EQ(protocol::to_json(jobs[2]), protocol::to_json(shown)) << "a list has all but those";
  EXPECT_EQ(whole, protocol::to_json(protocol::from_json<protocol::JobList>(whole))) << "in the order of declaration";
  EXPECT_EQ(protocol::to_json(protocol::from_json<protocol::JobList>(brief, protocol::Unknown::refused).jobs), protocol::to_json(jobs));
  EXPECT_LT(brief.size(), whole.size() / 2);
}

TEST_F(Api, ShowsEachChangeWhoeverStillReadsWhatWasBefore) {
  std::vector<api::SnapshotPtr> held;
  for (std::int64_t job = 1; job <= 6; ++job) {
    scheduler_.submit();
    bool answered = false;
    scheduler_.daemon.ask([&](const api::SnapshotPtr& snapshot) {
      if (job % 2 == 0) held.push_back(snapshot);
      EXPECT_EQ(snapshot->state->jobs.size(), static_cast<std::size_t>(job));
      EXPECT_EQ(snapshot->plan->jobs.size(), static_cast<std::size_t>(job));
      EXPECT_EQ(snapshot->state_hash->of(*snapshot->state), core::Scheduler(*snapshot->state).state_hash());
      answered = true;
    });
    scheduler_.until([&] { return answered; }, "a snapshot");
  }
  ASSERT_EQ(held.size(), 3u);
  for (std::size_t place = 0; place < held.size(); ++place) EXPECT_EQ(held[place]->state->jobs.size(), 2 * place + 2) << "it is as it was";
  scheduler_.daemon.stop();
  State saved = store_->newest_snapshot()->state;
  for (auto& [id, job] : saved.jobs) {  // what they waited for was recorded at the end
    job.waited.clear();
    job.waited_until_ms.reset();
  }
  EXPECT_EQ(saved, *held.back()->state);
}

TEST_F(Api, DecodesStrictlyAndNamesTheField) {
  auto problem = refused_spec(R"({"command":["x"],"working_directory":"/","resources":{"gpuz":1}})");
  EXPECT_EQ(problem.field, "spec.resources.gpuz");
  EXPECT_EQ(problem.code, "bad_request");
  EXPECT_EQ(refused_spec(R"({"command":["x"],"working_directory":"/","resources":{"gpus":"eight"}})").field, "spec.resources.gpus");
  EXPECT_EQ(refused_spec(R"({"command":["x"],"working_directory":"relative","resources":{"gpus":1}})").field, "spec.working_directory");
  EXPECT_EQ(refused_spec(R"({"command":[],"working_directory":"/","resources":{"gpus":1}})").field, "spec.command");
  EXPECT_EQ(refused_spec(R"({"command":["a\u0000b"],"working_directory":"/","resources":{"gpus":1}})").field, "spec.command[0]");
  EXPECT_EQ(refused_spec("{}", R"(,"environment":{"A=B":"1"})").field, "environment");
  EXPECT_EQ(refused_spec("{}", R"(,"polite":true)").field, "polite");
  EXPECT_NE(refused(400, scheduler_.ask("POST", "/v1/jobs", "{\"spec\":{")).message, "");
}

TEST_F(Api, ShowsWhatOrdersTheQueue) {
  const JobId first = scheduler_.submit(R"({"gpus":4})"), second = scheduler_.submit(R"({"gpus":1})", R"(,"name":"small")");
  const auto list = [&](const std::string& query) { return protocol::from_json<protocol::PriorityList>(scheduler_.ask("GET", "/v1/priorities" + query).body); };
  const auto all = list("");
  ASSERT_EQ(all.jobs.size(), 2u);
  EXPECT_EQ(all.order, "submit_time");
  EXPECT_EQ(all.jobs[0].name, std::to_string(first.value));
  EXPECT_EQ(all.jobs[0].position, 1);
  EXPECT_EQ(all.jobs[0].user, "runner");
  EXPECT_EQ(all.jobs[0].account, "lab-a");
  EXPECT_EQ(all.jobs[0].details.factors.fair_share, factor_one);
  EXPECT_EQ(all.jobs[0].details.factors.size, factor_one / 4 * 3);
  EXPECT_EQ(all.jobs[1].details.job, second);
  EXPECT_EQ(list("?user=runner&account=lab-a").jobs.size(), 2u);
  EXPECT_EQ(list("?user=" + std::to_string(runner_uid)).jobs.size(), 2u);
  EXPECT_TRUE(list("?user=stan").jobs.empty());
  EXPECT_EQ(refused(404, scheduler_.ask("GET", "/v1/priorities?account=lab-z")).code, "not_found");
  EXPECT_EQ(refused(404, scheduler_.ask("GET", "/v1/shares?account=lab-z")).code, "not_found");
  refused(403, scheduler_.ask(api::Door::loopback, nobody, "GET", "/v1/priorities"));

  const auto shares = [&](const std::string& query) { return protocol::from_json<protocol::ShareList>(scheduler_.ask("GET", "/v1/shares" + query).body).shares; };
  ASSERT_EQ(shares("").size(), 3u);
  EXPECT_EQ(shares("")[2].user, "runner");
  EXPECT_EQ(shares("")[2].fair_share, factor_one);
  EXPECT_EQ(shares("?account=lab-a").size(), 2u);
  EXPECT_EQ(shares("?user=runner").size(), 2u);
  EXPECT_TRUE(shares("?user=stan").empty());
  refused(403, scheduler_.ask(api::Door::loopback, nobody, "GET", "/v1/shares"));
}

TEST_F(Api, LimitsTheSizeOfASubmission) {
  EXPECT_EQ(
      refused_spec(R"({"command":[")" + std::string(300 << 10, 'x') + R"("],"working_directory":"/","resources":{"gpus":1}})", "", 413)
          .field,
      "spec");
  EXPECT_EQ(refused_spec(R"({"command":["x"],"working_directory":"/","resources":{"gpus":1}})",
                         R"(,"environment":{"A":")" + std::string(1 << 20, 'x') + R"("})", 413)
                .field,
            "environment");
  EXPECT_EQ(refused_spec(R"({"command":["x"],"working_directory":"/","resources":{"gpus":1}})",
                         R"(,"request_key":")" + std::string(129, 'k') + "\"")
                .field,
            "request_key");
}

TEST_F(Api, SaysWhatTheClusterCanNeverRun) {
  auto problem = refused_spec(R"({"command":["x"],"working_directory":"/","resources":{"gpus":65}})");
  EXPECT_EQ(problem.code, "impossible");
  EXPECT_EQ(problem.field, "spec.resources.gpus");
  EXPECT_FALSE(problem.remedy.empty());
  EXPECT_EQ(refused_spec(R"({"command":["x"],"working_directory":"/","resources":{"nodes":1,"gpus_per_node":9}})").code, "impossible");
}

TEST_F(Api, GivesTheSameJobForTheSameKey) {
  const std::string body = R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":1}},"request_key":"retry-1"})";
  // Both may be in one batch of the daemon: the second must see the first.
  const auto first = scheduler_.send(api::Door::socket, runner, "POST", "/v1/jobs", body);
  const auto second = scheduler_.send(api::Door::socket, runner, "POST", "/v1/jobs", body);
  scheduler_.until([&] { return first->response && second->response; }, "both answers");
  EXPECT_EQ(first->response->body, second->response->body);
  EXPECT_EQ(scheduler_.submit(), JobId{2});
}

TEST_F(TwoNodes, TellsPrometheusWhereMetricsAre) {
  const auto targets = [&] {
    const net::Response answer = scheduler_->ask(api::Door::loopback, nobody, "GET", "/v1/prometheus/targets");
    EXPECT_EQ(answer.content_type, "application/json") << "http_sd takes no other";
    return answer.body;
  };
  const std::string scheduler = R"({"targets":["127.0.0.1:8642"],"labels":{"job":"ultramarine-scheduler"}})";
  EXPECT_EQ(targets(), "[" + scheduler + "]");
  one_.join();  // serves no metrics
  two_.connect();
  protocol::Hello hello = two_.hello();
  hello.metrics = "10.0.0.2:8644";
  two_.say(hello);
  EXPECT_TRUE(two_.expect<protocol::Welcome>().accepted);
  const std::string both = "[" + scheduler + R"(,{"targets":["10.0.0.2:8644"],"labels":{"instance":"node02","job":"ultramarine-agent"}}])";
  EXPECT_EQ(targets(), both);
  two_.leave();
  EXPECT_EQ(targets(), both) << "a silent agent stays a target: that it doesn't answer is what is to be seen";
}

TEST_F(TwoNodes, OtherUsersMaySubmitWhereTheAgentsAreRoot) {
  const std::string body = R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":1}}})";
  const auto answer = [&](const char* target) {
    const net::Response response = scheduler_->ask(api::Door::socket, stranger, "POST", target, body);
    if (response.status == 200) return std::string("200");
    EXPECT_EQ(response.status, 403) << response.body;
    const auto problem = scheduler_->problem(response);
    EXPECT_EQ(problem.code, "not_permitted");
    return problem.message + "; " + problem.remedy;
  };
  const auto expect = [&](const std::string& wanted) {
    EXPECT_EQ(answer("/v1/jobs"), wanted);
    EXPECT_EQ(answer("/v1/jobs/check"), wanted);
  };
  const auto join = [](Agent& agent, bool is_root) {
    agent.connect();
    protocol::Hello hello = agent.hello();
    hello.launches_as_owner = is_root;
    agent.say(hello);
    EXPECT_TRUE(agent.expect<protocol::Welcome>().accepted);
  };
  expect("no agent has joined yet, and until then only the user who runs the scheduler (uid 1000) may submit; try again when `ultra nodes` shows nodes that are up");
  EXPECT_EQ(scheduler_->submit(), JobId{1}) << "that user's jobs wait for the agents";
  join(one_, false);
  expect("this cluster starts jobs only as the user who runs it (uid 1000): its agents are not root; submit as that user, have the agents run as root, or start "
         "a cluster of your own with `ultra cluster up`");
  join(two_, true);
  expect("the agent of node01 is not root and can't start jobs of other users than its own; have it run as root, or drain its node: ultra drain node01 "
         "--reason TEXT");
  EXPECT_EQ(scheduler_->ask("POST", "/v1/nodes/drain", R"({"nodes":["node01"],"reason":"an old agent"})").status, 200);
  expect("200");
  EXPECT_EQ(scheduler_->ask("POST", "/v1/nodes/resume", R"({"nodes":["node01"]})").status, 200);
  EXPECT_NE(answer("/v1/jobs"), "200");
  one_.leave();
  join(one_, true);  // restarted as root: known without a new boot or version
  expect("200");
  const auto last = scheduler_->job({3});
  EXPECT_EQ(last.details.owner.uid, 2000);
  EXPECT_EQ(last.details.owner.name, "stan");
  EXPECT_EQ(scheduler_->ask(api::Door::socket, nobody, "POST", "/v1/jobs", body).status, 403) << "whoever he is";
}

TEST_F(Api, ShowsOthersASizeAndAStateButNoCommand) {
  const JobId job = scheduler_.submit(R"({"gpus":4})", R"(,"name":"train")", R"({"TOKEN":"hush"})");
  const std::string mine = scheduler_.ask(api::Door::socket, runner, "GET", "/v1/jobs").body;
  EXPECT_NE(mine.find("secret-program"), std::string::npos);
  EXPECT_EQ(mine.find("hush"), std::string::npos) << "values of variables are never shown";
  for (const std::string target : {"/v1/jobs", "/v1/jobs/1"}) {
    const std::string theirs = scheduler_.ask(api::Door::socket, stranger, "GET", target).body;
    EXPECT_NE(theirs.find("\"train\""), std::string::npos);
    EXPECT_NE(theirs.find("runner"), std::string::npos);
    for (const char* secret_word : {"secret-program", "/data/x", "TOKEN"})
      EXPECT_EQ(theirs.find(secret_word), std::string::npos) << target << secret_word;
  }
  const std::string nobodys = scheduler_.ask(api::Door::loopback, nobody, "GET", "/v1/jobs").body;
  EXPECT_NE(nobodys.find("lab-a"), std::string::npos);
  for (const char* secret_word : {"secret-program", "/data/x", "TOKEN", "runner", "1000"})
    EXPECT_EQ(nobodys.find(secret_word), std::string::npos) << secret_word;
  EXPECT_EQ(refused(403, scheduler_.ask(api::Door::socket, stranger, "GET", "/v1/jobs/" + std::to_string(job.value) + "/logs")).code,
            "not_permitted");
}

TEST_F(Api, LetsOwnerRootAndAdministratorsCancel) {
  for (int i = 0; i < 4; ++i) scheduler_.submit();
  EXPECT_EQ(refused(403, scheduler_.ask(api::Door::socket, stranger, "POST", "/v1/jobs/1/cancel")).code, "not_permitted");
  EXPECT_EQ(scheduler_.ask(api::Door::socket, runner, "POST", "/v1/jobs/1/cancel", "{}").status, 200);
  EXPECT_EQ(scheduler_.ask(api::Door::socket, caller(0, "root"), "POST", "/v1/jobs/2/cancel").status, 200);
  EXPECT_EQ(scheduler_.ask(api::Door::socket, caller(2001, "ada"), "POST", "/v1/jobs/3/cancel").status, 200);
  const auto last = scheduler_.ask(api::Door::socket, caller(2002, "wil", {"users", "wheel"}), "POST", "/v1/jobs/4/cancel");
  EXPECT_EQ(last.status, 200);
  const auto view = protocol::from_json<protocol::JobView>(last.body);
  EXPECT_EQ(view.details.state, JobState::cancelled);
  EXPECT_EQ(view.exit_code, 143);
  // Again is no mistake; a queued job that is not there to stop can't be requeued.
  EXPECT_EQ(scheduler_.ask("POST", "/v1/jobs/1/cancel").status, 200);
  EXPECT_EQ(refused(409, scheduler_.ask("POST", "/v1/jobs/1/requeue")).code, "conflict");
  scheduler_.submit();
  EXPECT_EQ(refused(409, scheduler_.ask("POST", "/v1/jobs/5/requeue")).code, "conflict");
  EXPECT_EQ(refused(400, scheduler_.ask("POST", "/v1/jobs/5/cancel", R"({"now":true})")).field, "now");
}

TEST_F(Api, FiltersTheList) {
  scheduler_.submit();
  scheduler_.submit();
  scheduler_.ask("POST", "/v1/jobs/1/cancel");
  const auto ids = [&](const std::string& target) {
    std::vector<std::int64_t> found;
    for (const auto& view : protocol::from_json<protocol::JobList>(scheduler_.ask("GET", target).body).jobs)
      found.push_back(view.details.job.value);
    return found;
  };
  using Ids = std::vector<std::int64_t>;
  EXPECT_EQ(ids("/v1/jobs"), Ids{2});
  EXPECT_EQ(ids("/v1/jobs?all=1"), (Ids{2, 1}));
  EXPECT_EQ(ids("/v1/jobs?state=cancelled,failed"), Ids{1});
  EXPECT_EQ(ids("/v1/jobs?user=runner"), Ids{2});
  EXPECT_EQ(ids("/v1/jobs?user=1000"), Ids{2});
  EXPECT_EQ(ids("/v1/jobs?user=stan"), Ids{});
  EXPECT_EQ(ids("/v1/jobs?account=lab-b"), Ids{});
  EXPECT_EQ(refused(400, scheduler_.ask("GET", "/v1/jobs?state=pending")).field, "state");
  EXPECT_EQ(refused(400, scheduler_.ask("GET", "/v1/jobs?colour=red")).field, "colour");
  EXPECT_EQ(refused(403, scheduler_.ask(api::Door::loopback, nobody, "GET", "/v1/jobs?user=runner")).code, "not_permitted");
}

TEST_F(Api, AnswersAWaitWhenTheJobEndsOrTheTimeIsUp) {
  scheduler_.submit();
  const auto early = scheduler_.ask("GET", "/v1/jobs/1/wait?timeout_ms=20");
  EXPECT_EQ(protocol::from_json<protocol::JobView>(early.body).details.state, JobState::queued);
  const auto waiting = scheduler_.send(api::Door::socket, runner, "GET", "/v1/jobs/1/wait");
  EXPECT_EQ(scheduler_.ask("POST", "/v1/jobs/1/cancel").status, 200);
  scheduler_.until([&] { return waiting->response.has_value(); }, "the wait to end");
  EXPECT_EQ(protocol::from_json<protocol::JobView>(waiting->response->body).exit_code, 143);
  EXPECT_EQ(refused(400, scheduler_.ask("GET", "/v1/jobs/1/wait?timeout_ms=soon")).field, "timeout_ms");
}

TEST_F(Api, SaysWhatIsWrongWithTheRequestItself) {
  EXPECT_EQ(refused(404, scheduler_.ask("GET", "/v1/jobs/7")).code, "not_found");
  EXPECT_EQ(refused(400, scheduler_.ask("GET", "/v1/jobs/seven")).field, "job");
  EXPECT_EQ(refused(404, scheduler_.ask("GET", "/v2/jobs")).code, "not_found");
  EXPECT_EQ(refused(400, scheduler_.ask("DELETE", "/v1/jobs")).remedy, "use GET or POST");
  EXPECT_EQ(refused(400, scheduler_.ask("GET", "/v1/nodes?x=1")).field, "x");
}

TEST_F(Api, ServesOnlyClusterQueueAndMetricsWithoutIdentity) {
  scheduler_.submit();
  for (const std::string target : {"/", "/v1/cluster", "/v1/jobs", "/v1/nodes", "/livez", "/readyz", "/metrics", "/v1/prometheus/targets"})
    EXPECT_EQ(scheduler_.ask(api::Door::loopback, nobody, "GET", target).status, 200) << target;
  for (const std::string target : {"/v1/jobs/1", "/v1/jobs/1/wait", "/v1/jobs/1/logs"})
    EXPECT_EQ(refused(403, scheduler_.ask(api::Door::loopback, nobody, "GET", target)).code, "not_permitted") << target;
  for (const std::string target : {"/v1/jobs", "/v1/jobs/1/cancel", "/v1/jobs/1/requeue", "/v1/shutdown"})
    EXPECT_EQ(refused(403, scheduler_.ask(api::Door::loopback, nobody, "POST", target, "{}")).code, "not_permitted") << target;
}

TEST_F(Api, TellsWhoAsks) {
  const auto unknown = protocol::from_json<protocol::CallerView>(scheduler_.ask(api::Door::loopback, nobody, "GET", "/v1/caller").body);
  EXPECT_FALSE(unknown.identified);
  EXPECT_EQ(unknown.user, "");
  EXPECT_TRUE(unknown.roles.empty());
  const auto known = protocol::from_json<protocol::CallerView>(scheduler_.ask("GET", "/v1/caller").body);
  EXPECT_TRUE(known.identified);
  EXPECT_EQ(known.user, "runner");
  EXPECT_EQ(known.roles, (std::vector<std::string>{"user", "admin"}));
}

TEST_F(Api, TellsPagesWhenSomethingWasRecorded) {
  const auto reply = scheduler_.send(api::Door::loopback, nobody, "GET", "/v1/events");
  ASSERT_TRUE(reply->stream);
  EXPECT_TRUE(reply->stream->text.starts_with("event: changed\n")) << reply->stream->text;
  const std::size_t before = reply->stream->text.size();
  scheduler_.submit();
  scheduler_.until([&] { return reply->stream->text.size() > before; }, "the next notice");
  const std::string notice = reply->stream->text.substr(before);
  EXPECT_TRUE(notice.starts_with("event: changed\n") && notice.ends_with("\n\n")) << notice;
  reply->stream->closed();
}

TEST_F(Api, TellsWhatHappenedInTheClusterNewestFirst) {
  const auto past = [&](const std::string& query, const api::Caller& who = runner) {
    return protocol::from_json<protocol::PastList>(
        scheduler_.ask(api::Door::socket, who, "GET", "/v1/history" + query).body, protocol::Unknown::refused);
  };
  const JobId job = scheduler_.submit(R"({"gpus":4})", R"(,"name":"train")");
  EXPECT_EQ(scheduler_.ask("POST", "/v1/jobs/1/hold", R"({"reason":"data is missing"})").status, 200);
  EXPECT_EQ(scheduler_.ask("POST", "/v1/nodes/drain", R"({"nodes":["node02"],"reason":"a new fan"})").status, 200);
  EXPECT_EQ(scheduler_.ask("POST", "/v1/nodes/resume", R"({"nodes":["node02"]})").status, 200);
  EXPECT_EQ(scheduler_.ask("POST", "/v1/jobs/1/cancel").status, 200);
  const auto whole = past("");
  std::vector<std::string> told;
  for (const protocol::PastView& one : whole.events)
    told.push_back(one.job_name + "|" + one.label + "|" + one.node + "|" + one.actor + "|" + one.sentence);
  ASSERT_GE(told.size(), 5u);
  told.resize(5);
  EXPECT_EQ(told,
            (std::vector<std::string>{"1|train||runner|runner cancelled it", "||node02|runner|runner resumed node02",
                                      "||node02|runner|runner drained node02: a new fan",
                                      "1|train||runner|runner held it: data is missing",
                                      "1|train||runner|runner submitted it: 4 GPUs for 1h, account lab-a"}));
  EXPECT_EQ(whole.events[0].job, job);
  EXPECT_EQ(whole.before, std::nullopt) << "the journal begins in this page";
  // Page by page it is the same.
  std::vector<protocol::PastView> pieced;
  std::string query = "?limit=2";
  for (int page = 0; page < 20; ++page) {
    const auto piece = past(query);
    pieced.insert(pieced.end(), piece.events.begin(), piece.events.end());
    if (!piece.before) break;
    query = "?limit=2&before=" + std::to_string(*piece.before);
  }
  EXPECT_EQ(protocol::to_json(pieced), protocol::to_json(whole.events));
  refused(400, scheduler_.ask("GET", "/v1/history?limit=0"));
  refused(403, scheduler_.ask(api::Door::loopback, nobody, "GET", "/v1/history"));
}

TEST_F(Api, AnswersToNoOtherHostOnLoopback) {
  for (const std::string host : {"localhost", "localhost:8642", "127.0.0.1:1", "[::1]:8642", "[::1]"})
    EXPECT_EQ(scheduler_.ask(api::Door::loopback, nobody, "GET", "/v1/jobs", "", host).status, 200) << host;
  for (const std::string host : {"evil.example", "evil.example:8642", "localhost.evil.example", "", "localhost:x", "[::1].evil"})
    EXPECT_EQ(scheduler_.ask(api::Door::loopback, nobody, "GET", "/v1/jobs", "", host).status, 421) << host;
}

TEST_F(Api, TellsThatAQueuedJobHasNoOutput) {
  scheduler_.submit();
  const auto reply = scheduler_.send(api::Door::socket, runner, "GET", "/v1/jobs/1/logs");
  scheduler_.until([&] { return reply->stream && reply->stream->ended; }, "the stream to end");
  EXPECT_NE(reply->stream->text.find("has not started"), std::string::npos);
  EXPECT_EQ(refused(400, scheduler_.ask("GET", "/v1/jobs/1/logs?rank=1")).field, "rank");
  // Following waits; the job's end without a start ends it.
  const auto following = scheduler_.send(api::Door::socket, runner, "GET", "/v1/jobs/1/logs?follow=1");
  scheduler_.ask("POST", "/v1/jobs/1/cancel");
  scheduler_.until([&] { return following->stream && following->stream->ended; }, "the stream to end");
  EXPECT_NE(following->stream->text.find("ended before it started"), std::string::npos);
}

TEST_F(Api, ShutsDownForAdministratorsOnly) {
  EXPECT_EQ(refused(403, scheduler_.ask(api::Door::socket, stranger, "POST", "/v1/shutdown", "{}")).code, "not_permitted");
  EXPECT_EQ(scheduler_.ask("POST", "/v1/shutdown", "{}").status, 200);
  scheduler_.until([&] { return scheduler_.exit_code.has_value(); }, "the daemon to end");
  EXPECT_EQ(scheduler_.exit_code, 0);
}

TEST_F(Api, TellsWhatBecameOfEveryRequest) {
  scheduler_.ask("GET", "/v1/jobs/7");
  scheduler_.ask("GET", "/v1/cluster");
  ASSERT_EQ(scheduler_.answers.size(), 2u);
  EXPECT_EQ(scheduler_.answers[0].route, "/v1/jobs/ID");
  EXPECT_EQ(scheduler_.answers[0].status, 404);
  EXPECT_EQ(scheduler_.answers[0].problem, "not_found");
  EXPECT_EQ(scheduler_.answers[1].status, 200);
  EXPECT_NE(scheduler_.answers[0].request, scheduler_.answers[1].request);
}

TEST(ApiAtTheEnd, ARequestThatADaemonDropsOnItsWayOutIsToBeAskedAgain) {
  net::Loop loop;
  const auto store = store::open_memory();
  Scheduler scheduler(loop, *store);
  const auto dropped = std::make_shared<RecordedReply>(), answered = std::make_shared<RecordedReply>();
  {
    const api::Exchange never(scheduler.daemon, api::Door::socket, {}, {}, dropped, {});
    api::Exchange once(scheduler.daemon, api::Door::socket, {}, {}, answered, {});
    once.answer(204, "", "text/plain");
  }
  ASSERT_TRUE(dropped->response);
  EXPECT_EQ(dropped->response->status, 503);
  const auto problem = scheduler.problem(*dropped->response);
  EXPECT_EQ(problem.code, "not_ready");
  EXPECT_NE(problem.remedy, "");
  EXPECT_EQ(answered->response->status, 204);
}

TEST(ApiAtStart, IsNotReadyUntilTheJournalIsRead) {
  net::Loop loop;
  const auto store = store::open_memory();
  Scheduler scheduler(loop, *store);
  EXPECT_EQ(scheduler.ask("GET", "/readyz").status, 503);
  EXPECT_EQ(scheduler.problem(scheduler.ask("GET", "/v1/jobs")).code, "not_ready");
  EXPECT_EQ(scheduler.ask("GET", "/livez").status, 200);
  scheduler.start_and_wait();
  EXPECT_EQ(scheduler.ask("GET", "/readyz").status, 200);
}

}  // namespace
}  // namespace ultramarine::server::testing
