// Scripts at the daemon, with agents that say what the test tells them to say: the gangs inside them, arrays, dependencies, history.
#include <gtest/gtest.h>

#include "scheduler/store/store.h"
#include "tests/unit/server/daemon_harness.h"

namespace ultramarine::server::testing {
namespace {

class ScriptTest : public TwoNodes {
 protected:
  void SetUp() override {
    TwoNodes::SetUp();
    both_join();
  }

  static constexpr const char* script = R"(,"name":"study","script":{"text":"#!/bin/bash\nultra run -- train\n"},"output":"out-%j.txt")";

  net::Response post(const std::string& path, const std::string& body = "{}") { return scheduler_->ask("POST", path, body); }
  template <class T>
  T asked(const std::string& method, const std::string& path, const std::string& body = "") {
    const net::Response response = scheduler_->ask(method, path, body);
    EXPECT_EQ(response.status, 200) << path << ": " << response.body;
    return response.status == 200 ? protocol::from_json<T>(response.body) : T{};
  }
  protocol::ErrorReply refused(int status, const net::Response& response) {
    EXPECT_EQ(response.status, status) << response.body;
    return scheduler_->problem(response);
  }
  /// A script over both nodes, running on the first.
  GangKey running_script() {
    const JobId job = scheduler_->submit(R"({"gpus":16})", script, R"({"WHO":"script"})");
    const GangKey key{job, 1, 1};
    one_.expect<protocol::Prepare>();
    one_.say(one_.report(key, GangPhase::prepared));
    one_.expect<protocol::Start>();
    one_.say(one_.report(key, GangPhase::running));
    scheduler_->until_state(job, JobState::running);
    return key;
  }
  GangKey ask_for_gang(const GangKey& job, const std::string& more = "") {
    const auto reply = asked<protocol::GangReply>("POST", "/v1/jobs/" + std::to_string(job.job.value) + "/gangs",
                                                  R"({"spec":{"command":["train","--fast"],"mpi":"none")" + more + R"(},"environment":{"WHO":"gang"}})");
    return {job.job, reply.attempt, reply.gang};
  }
  void run_gang(const GangKey& key) {
    for (Agent* agent : {&one_, &two_}) {
      EXPECT_EQ(agent->expect<protocol::Prepare>().launch.key, key);
      agent->say(agent->report(key, GangPhase::prepared));
    }
    for (Agent* agent : {&one_, &two_}) {
      agent->expect<protocol::Start>();
      agent->say(agent->report(key, GangPhase::running));
    }
  }
  static std::string path(const GangKey& key, const std::string& rest) {
    return "/v1/jobs/" + std::to_string(key.job.value) + "/gangs/" + std::to_string(key.gang) + rest;
  }
  std::vector<std::string> sentences(const std::string& job) {
    std::vector<std::string> all;
    for (const auto& event : asked<protocol::EventList>("GET", "/v1/jobs/" + job + "/events").events) all.push_back(event.sentence);
    return all;
  }
  JobId submit_array(const std::string& indices, const std::string& more = "", const std::string& environment = "{}") {
    const auto reply = asked<protocol::SubmitReply>("POST", "/v1/jobs", R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":8})" + more +
                                                                           R"(},"array_indices":)" + indices + R"(,"environment":)" + environment + "}");
    return reply.job;
  }
  /// By its own number, also where that names an array.
  Job details(JobId job) {
    for (const auto& view : asked<protocol::JobList>("GET", "/v1/jobs?all=1").jobs)
      if (view.details.job == job) return view.details;
    return {};
  }
  /// The element's one node starts it, runs it and lets it end.
  void run_to_the_end(JobId job, Outcome outcome = Outcome::succeeded) {
    scheduler_->until([&] { return !details(job).attempts.empty(); }, "job to start");
    const std::string node = details(job).attempts.back().allocation.front().node;
    Agent& agent = node == "node01" ? one_ : two_;
    const GangKey key{job, 1, 1};
    agent.say(agent.report(key, GangPhase::running));
    GangReport last = agent.report(key, GangPhase::finished);
    last.outcome = outcome;
    if (outcome != Outcome::succeeded) last.failure = Failure{.rank = 0, .node = node, .exit_code = 4};
    agent.say(last);
    scheduler_->until([&] { return is_terminal(details(job).state); }, "job to end");
  }
};

TEST_F(ScriptTest, StartsOnItsFirstNodeWithTheWholeAllocationBesideIt) {
  const JobId job = scheduler_->submit(R"({"gpus":16})", script, R"({"WHO":"script"})");
  const protocol::LaunchSpec launch = one_.expect<protocol::Prepare>().launch;
  EXPECT_EQ(launch.kind, protocol::LaunchKind::script);
  EXPECT_EQ(launch.key, (GangKey{job, 1, 1}));
  ASSERT_EQ(launch.allocation.size(), 1u);
  EXPECT_EQ(launch.allocation[0].node, "node01");
  EXPECT_EQ(launch.allocation[0].devices.size(), 8u);
  EXPECT_EQ(launch.job_allocation.size(), 2u);
  EXPECT_EQ(launch.spec.script->text, "#!/bin/bash\nultra run -- train\n");
  EXPECT_EQ(launch.spec.output, "out-%j.txt");
  EXPECT_EQ(launch.environment.at("WHO"), "script");
  EXPECT_EQ(launch.submitted_ms.ms, hand_.ms->load());
  settle();
  EXPECT_EQ(two_.count<protocol::Prepare>(), 0u);
}

TEST_F(ScriptTest, AGangInsideItSpansAllNodesAndEndsForItself) {
  const GangKey job = running_script();
  *hand_.ms += 60'000;
  one_.say(protocol::Heartbeat{1, {}});
  two_.say(protocol::Heartbeat{1, {}});
  const GangKey key = ask_for_gang(job, R"(,"working_directory":"/data","ranks_per_node":2)");
  EXPECT_EQ(key, (GangKey{job.job, 1, 2}));
  const protocol::LaunchSpec launch = two_.expect<protocol::Prepare>().launch;
  EXPECT_EQ(launch.key, key);
  EXPECT_EQ(launch.kind, protocol::LaunchKind::ranks);
  EXPECT_EQ(launch.allocation.size(), 2u);
  EXPECT_EQ(launch.spec.command, (std::vector<std::string>{"train", "--fast"}));
  EXPECT_EQ(launch.spec.working_directory, "/data");
  EXPECT_EQ(launch.spec.mpi, MpiMode::none);
  EXPECT_EQ(launch.spec.ranks_per_node, 2);
  EXPECT_EQ(launch.spec.output, "") << "the script's file is the script's";
  EXPECT_EQ(launch.spec.script->text, "");
  EXPECT_EQ(launch.environment.at("WHO"), "gang");
  EXPECT_EQ(launch.time_left_ms, minutes(59));
  EXPECT_NE(launch.gang_secret, gang_secret(secret, job));

  const auto wait = scheduler_->send(api::Door::socket, caller(runner_uid, "runner"), "GET", path(key, "/wait?timeout_ms=60000"));
  for (Agent* agent : {&one_, &two_}) agent->say(agent->report(key, GangPhase::prepared));
  for (Agent* agent : {&one_, &two_}) {
    EXPECT_EQ(agent->expect<protocol::Start>().peers.size(), 2u);
    agent->say(agent->report(key, GangPhase::running));
  }
  protocol::Progress progress;
  progress.key = key;
  progress.step = 5;
  two_.say(progress);
  settle();
  EXPECT_EQ(scheduler_->job(job.job).progress->step, 5) << "a script is shown by what it runs";
  EXPECT_FALSE(wait->response);
  GangReport failed = two_.report(key, GangPhase::finished);
  failed.outcome = Outcome::failed;
  failed.failure = Failure{.rank = 3, .node = "node02", .exit_code = 7};
  failed.ranks = {{.rank = 2, .signal = 15}, {.rank = 3, .exit_code = 7}};
  two_.say(failed);
  EXPECT_EQ(one_.expect<protocol::Stop>().key, key);
  one_.say(one_.report(key, GangPhase::finished));
  scheduler_->until([&] { return wait->response.has_value(); }, "the wait to be answered");
  const auto view = protocol::from_json<protocol::GangView>(wait->response->body);
  EXPECT_EQ(view.exit_code, 7);
  EXPECT_EQ(view.details.outcome, Outcome::failed);
  EXPECT_EQ(view.attempt, 1);
  EXPECT_EQ(one_.expect<protocol::Forget>().key, key);
  EXPECT_EQ(scheduler_->job(job.job).details.state, JobState::running);
  EXPECT_FALSE(scheduler_->job(job.job).details.attempts[0].failure);
  scheduler_->daemon.stop();
  EXPECT_EQ(store_->environment({job.job, 2}), std::nullopt) << "it goes with the gang";
  EXPECT_TRUE(store_->environment(job.job));
}

TEST_F(ScriptTest, GangsRunSideBySideAndOneOfThemIsStopped) {
  const GangKey job = running_script();
  const GangKey second = ask_for_gang(job);
  run_gang(second);
  const GangKey third = ask_for_gang(job);
  run_gang(third);
  const auto view = asked<protocol::GangView>("POST", path(second, "/stop"));
  EXPECT_TRUE(view.details.stop_requested);
  EXPECT_FALSE(view.exit_code);
  EXPECT_EQ(one_.expect<protocol::Stop>().key, second);
  EXPECT_EQ(two_.expect<protocol::Stop>().key, second);
  for (Agent* agent : {&one_, &two_}) {
    GangReport report = agent->report(second, GangPhase::finished);
    report.outcome = Outcome::cancelled;
    report.ranks = {{.rank = agent == &one_ ? 0 : 8, .node = "n", .signal = 15}};
    agent->say(report);
  }
  scheduler_->until([&] { return asked<protocol::GangView>("GET", path(second, "/wait?timeout_ms=0")).exit_code == 143; }, "gang 2 to end");
  asked<protocol::GangView>("POST", path(second, "/stop"));  // again: nothing
  EXPECT_FALSE(asked<protocol::GangView>("GET", path(third, "/wait?timeout_ms=0")).exit_code);
  EXPECT_EQ(scheduler_->job(job.job).details.state, JobState::running);
}

TEST_F(ScriptTest, ItsEndTakesItsGangsWithIt) {
  const GangKey job = running_script();
  const GangKey key = ask_for_gang(job);
  run_gang(key);
  one_.say(one_.report(job, GangPhase::finished));
  EXPECT_EQ(one_.expect<protocol::Stop>().key, key);
  EXPECT_EQ(two_.expect<protocol::Stop>().key, key);
  EXPECT_EQ(scheduler_->job(job.job).details.state, JobState::running);
  EXPECT_EQ(refused(409, post("/v1/jobs/" + std::to_string(job.job.value) + "/gangs", R"({"spec":{"command":["x"]}})")).code, "conflict");
  for (Agent* agent : {&one_, &two_}) agent->say(agent->report(key, GangPhase::finished));
  scheduler_->until_state(job.job, JobState::completed);
}

TEST_F(ScriptTest, WhenItHasEndedEveryNodeOfItMayClearUp) {
  // The second node never had a gang of it, but may have made its scratch folder all the same.
  const GangKey job = running_script();
  settle();
  EXPECT_EQ(two_.count<protocol::AttemptOver>(), 0u);
  one_.say(one_.report(job, GangPhase::finished));
  for (Agent* agent : {&one_, &two_}) {
    const auto over = agent->expect<protocol::AttemptOver>();
    EXPECT_EQ(over.job, job.job);
    EXPECT_EQ(over.attempt, 1);
  }
  settle();
  EXPECT_EQ(two_.count<protocol::AttemptOver>(), 0u) << "once";
}

TEST_F(ScriptTest, AScheduledGangIsLaunchedByTheNextSchedulerToo) {
  const GangKey job = running_script();
  const GangKey key = ask_for_gang(job);
  one_.expect<protocol::Prepare>();
  const protocol::LaunchSpec before = two_.expect<protocol::Prepare>().launch;
  scheduler_->daemon.stop();
  Scheduler again(loop_, *store_, small_cluster(), hand_.clock());
  again.start_and_wait();
  Agent one(again, loop_, "node01"), two(again, loop_, "node02");
  one.join({job});
  one.say(one.report(job, GangPhase::running));
  two.join();
  EXPECT_EQ(one.expect<protocol::Prepare>().launch.key, key);
  const protocol::LaunchSpec after = two.expect<protocol::Prepare>().launch;
  EXPECT_EQ(after.environment, before.environment);
  EXPECT_EQ(after.gang_secret, before.gang_secret);
  EXPECT_EQ(after.time_left_ms, before.time_left_ms);
  again.daemon.stop();
}

TEST_F(ScriptTest, OnlyItsOwnerStartsGangsAndOnlyWhileItRuns) {
  const GangKey job = running_script();
  const std::string gangs = "/v1/jobs/" + std::to_string(job.job.value) + "/gangs";
  const std::string body = R"({"spec":{"command":["x"]}})";
  EXPECT_EQ(scheduler_->ask(api::Door::socket, caller(2000, "stan"), "POST", gangs, body).status, 403);
  EXPECT_EQ(scheduler_->ask(api::Door::socket, caller(0, "root"), "POST", gangs, body).status, 403) << "it would run as somebody else";
  EXPECT_EQ(scheduler_->ask(api::Door::loopback, {}, "POST", gangs, body).status, 403);
  EXPECT_EQ(refused(400, post(gangs, R"({"spec":{"command":[]}})")).field, "spec.command");
  EXPECT_EQ(refused(400, post(gangs, R"({"spec":{"command":["x"],"working_directory":"here"}})")).field, "spec.working_directory");
  EXPECT_EQ(refused(400, post(gangs, R"({"spec":{"command":["x"],"ranks":-1}})")).field, "spec.ranks");
  EXPECT_EQ(refused(400, post(gangs, R"({"spec":{"command":["x"]},"environment":{"A=":""}})")).field, "environment");
  EXPECT_EQ(refused(404, post(gangs + "/9/stop")).code, "not_found");
  EXPECT_EQ(refused(409, post(gangs + "/1/stop")).code, "conflict");
  EXPECT_EQ(refused(400, scheduler_->ask("GET", gangs + "/first/wait")).field, "gang");
  const JobId plain = scheduler_->submit(R"({"gpus":1})");
  EXPECT_NE(refused(409, post("/v1/jobs/" + std::to_string(plain.value) + "/gangs", body)).message.find("no script"), std::string::npos);
}

TEST_F(ScriptTest, TheOutputOfAGangIsAskedOfTheNodesThatHaveItsRanks) {
  const GangKey job = running_script();
  const GangKey key = ask_for_gang(job, R"(,"ranks":3)");
  auto followed = scheduler_->send(api::Door::socket, caller(runner_uid, "runner"), "GET", path(key, "/logs?follow=1"));
  run_gang(key);
  const protocol::LogRequest first = one_.expect<protocol::LogRequest>(), second = two_.expect<protocol::LogRequest>();
  EXPECT_EQ(first.key, key);
  EXPECT_TRUE(second.follow);
  for (const std::int64_t rank : {0, 1}) one_.say(protocol::LogChunk{first.request, rank, "out", 0, "aGk=", true, ""});
  settle();
  EXPECT_FALSE(followed->stream->ended);
  two_.say(protocol::LogChunk{second.request, 2, "out", 0, "", true, ""});
  scheduler_->until([&] { return followed->stream->ended; }, "the output to end");
  EXPECT_EQ(refused(400, scheduler_->ask("GET", path(key, "/logs?rank=3"))).message, "job 1 gang 2 has ranks 0 to 2");
  // The job's own output is the script's, of one rank on one node.
  EXPECT_EQ(refused(400, scheduler_->ask("GET", "/v1/jobs/1/logs?rank=1")).message, "job 1 has rank 0 alone");
  auto own = scheduler_->send(api::Door::socket, caller(runner_uid, "runner"), "GET", "/v1/jobs/1/logs");
  EXPECT_EQ(one_.expect<protocol::LogRequest>().key, job);
  settle();
  EXPECT_EQ(two_.count<protocol::LogRequest>(), 0u);
}

TEST_F(ScriptTest, TheTextIsShownWithTheJobAndBlankInLists) {
  const GangKey job = running_script();
  EXPECT_EQ(scheduler_->job(job.job).details.spec.script->text, "#!/bin/bash\nultra run -- train\n");
  const auto list = asked<protocol::JobList>("GET", "/v1/jobs");
  ASSERT_EQ(list.jobs.size(), 1u);
  EXPECT_EQ(list.jobs[0].details.spec.script->text, "");
  const auto seen = scheduler_->ask(api::Door::socket, caller(2000, "stan"), "GET", "/v1/jobs/1");
  EXPECT_EQ(seen.body.find("ultra run"), std::string::npos);
  EXPECT_EQ(seen.body.find("out-%j"), std::string::npos);
}

TEST_F(ScriptTest, AnArrayIsNamedWaitedForAndCancelledAsOne) {
  const JobId array = submit_array("[0,1,4]", R"(,"script":{"text":"#!/bin/sh\n"})", R"({"A":"1"})");
  EXPECT_EQ(asked<protocol::JobView>("GET", "/v1/jobs/1_4").details.job, JobId{3});
  EXPECT_EQ(asked<protocol::JobView>("GET", "/v1/jobs/1_4").details.spec.script->text, "#!/bin/sh\n") << "kept once, shown with each";
  EXPECT_EQ(asked<protocol::JobView>("GET", "/v1/jobs/3").details.environment_names, std::vector<std::string>{"A"});
  EXPECT_EQ(refused(404, scheduler_->ask("GET", "/v1/jobs/1_2")).message, "there is no job 1_2");
  EXPECT_EQ(refused(400, scheduler_->ask("GET", "/v1/jobs/1_x")).field, "job");
  EXPECT_EQ(refused(400, scheduler_->ask("GET", "/v1/jobs/1/logs")).remedy, "name one of its elements: 1_0");
  auto overview = asked<protocol::JobView>("GET", "/v1/jobs/1");
  ASSERT_TRUE(overview.array);
  EXPECT_FALSE(asked<protocol::JobView>("GET", "/v1/jobs/1_0").array) << "the first element is not the array";
  EXPECT_EQ(asked<protocol::JobView>("GET", "/v1/jobs/1_0").details.attempts.size(), 1u);
  EXPECT_EQ(overview.array->count, 3);
  EXPECT_EQ(overview.array->states.at("queued"), std::vector<std::int64_t>{4});

  const protocol::LaunchSpec launch = two_.expect<protocol::Prepare>().launch;
  EXPECT_EQ(launch.array->array, array);
  EXPECT_EQ(launch.array->count, 3);
  EXPECT_EQ(launch.spec.script->text, "#!/bin/sh\n");
  EXPECT_EQ(launch.environment.at("A"), "1") << "the first element's is everybody's";
  const auto wait = scheduler_->send(api::Door::socket, caller(runner_uid, "runner"), "GET", "/v1/jobs/1/wait?timeout_ms=60000");
  run_to_the_end({1}, Outcome::failed);
  run_to_the_end({2});
  EXPECT_FALSE(wait->response);
  run_to_the_end({3});
  scheduler_->until([&] { return wait->response.has_value(); }, "the wait for the array");
  overview = protocol::from_json<protocol::JobView>(wait->response->body);
  EXPECT_EQ(overview.exit_code, 4) << "the highest";
  EXPECT_EQ(overview.details.state, JobState::failed);
  scheduler_->daemon.stop();
  EXPECT_EQ(store_->environment(array), std::nullopt);
}

TEST_F(ScriptTest, TheEnvironmentOfAnArrayStaysUntilItsLastElementHasEnded) {
  const JobId array = submit_array("[0,1]", "", R"({"A":"1"})");
  run_to_the_end(array);
  settle();
  EXPECT_TRUE(store_->environment(array));
  EXPECT_EQ(post("/v1/jobs/1_1/cancel").status, 200);
  const auto overview = asked<protocol::JobView>("GET", "/v1/jobs/1");
  EXPECT_EQ(overview.array->states.at("completed"), std::vector<std::int64_t>{0});
}

TEST_F(ScriptTest, CancellingAnArrayCancelsWhatHasNotEnded) {
  submit_array("[0,1,2,3]");
  run_to_the_end({1});
  EXPECT_EQ(post("/v1/jobs/1/cancel").status, 200);
  const auto overview = asked<protocol::JobView>("GET", "/v1/jobs/1");
  EXPECT_EQ(overview.array->states.at("completed").size(), 1u);
  EXPECT_EQ(overview.array->states.count("queued"), 0u);
  run_to_the_end({2}, Outcome::cancelled);
  run_to_the_end({3}, Outcome::cancelled);
  EXPECT_EQ(refused(409, post("/v1/jobs/1_0/cancel")).message, "job 1_0 has already ended (completed)");
  EXPECT_EQ(asked<protocol::JobView>("GET", "/v1/jobs/1").details.state, JobState::cancelled);
}

TEST_F(ScriptTest, TheSameKeyIsTheSameArray) {
  const std::string body = R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":8}},"array_indices":[1,2],"request_key":"k"})";
  const auto first = asked<protocol::SubmitReply>("POST", "/v1/jobs", body), second = asked<protocol::SubmitReply>("POST", "/v1/jobs", body);
  EXPECT_EQ(first.job, second.job);
  EXPECT_EQ(second.count, 2);
  EXPECT_EQ(asked<protocol::JobList>("GET", "/v1/jobs").jobs.size(), 2u);
  EXPECT_EQ(refused(400, post("/v1/jobs", R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":8}},"array_indices":[2,1]})")).field, "array_indices");
}

TEST_F(ScriptTest, ADependentJobWaitsAndSaysForWhom) {
  const JobId first = scheduler_->submit(R"({"gpus":16})");
  const JobId second = scheduler_->submit(R"({"gpus":8})", R"(,"dependencies":[{"job":1,"condition":"ok"}])");
  EXPECT_EQ(scheduler_->job(second).why.rfind("Waits for job 1, on which it depends. Expected to start ", 0), 0u) << scheduler_->job(second).why;
  EXPECT_EQ(refused(400, post("/v1/jobs", R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":8},"dependencies":[{"job":77}]}})")).field,
            "spec.dependencies[0].job");
  EXPECT_EQ(post("/v1/jobs/1/cancel").status, 200);
  for (Agent* agent : {&one_, &two_}) agent->say(agent->report({first, 1, 1}, GangPhase::finished));
  scheduler_->until_state(first, JobState::cancelled);
  EXPECT_NE(scheduler_->job(second).why.find("ended otherwise"), std::string::npos);
  EXPECT_EQ(scheduler_->job(second).details.state, JobState::queued);
}

TEST_F(ScriptTest, WarningsOfMappedNamesComeBack) {
  ClusterConfig cluster = small_cluster();
  cluster.names.partitions = {{"*", "main"}};
  const auto store = store::open_memory();
  Scheduler other(loop_, *store, cluster, hand_.clock());
  other.start_and_wait();
  const auto response = other.ask("POST", "/v1/jobs", R"({"spec":{"command":["x"],"working_directory":"/","resources":{"gpus":1},"partition":"a100"}})");
  EXPECT_EQ(protocol::from_json<protocol::SubmitReply>(response.body).warnings,
            std::vector<std::string>{"partition \"a100\" is not known here: \"main\" is used instead"});
  other.daemon.stop();
}

TEST_F(ScriptTest, ItsHistoryIsToldInSentences) {
  const GangKey job = running_script();
  const GangKey key = ask_for_gang(job, R"(,"ranks":4)");
  run_gang(key);
  scheduler_->until([&] { return sentences("1").size() == 5; }, "the gang to run");
  two_.say(protocol::CheckpointReport{key, 500, "/data/step500"});
  two_.expect<protocol::CheckpointRecorded>();
  GangReport failed = two_.report(key, GangPhase::finished);
  failed.outcome = Outcome::failed;
  failed.failure = Failure{.rank = 3, .node = "node02", .exit_code = 1};
  two_.say(failed);
  one_.expect<protocol::Stop>();
  one_.say(one_.report(key, GangPhase::finished));
  scheduler_->until([&] { return asked<protocol::GangView>("GET", path(key, "/wait?timeout_ms=0")).exit_code.has_value(); }, "the gang's end");
  one_.say(one_.report(job, GangPhase::finished));
  scheduler_->until_state(job.job, JobState::completed);
  EXPECT_EQ(sentences("1"), (std::vector<std::string>{
                                "runner submitted it: 16 GPUs for 1h, account lab-a",
                                "started on node[01-02]",
                                "its script runs on node01",
                                "runner asked for gang 2 inside it: 4 ranks of train",
                                "gang 2 runs: 4 ranks on node[01-02]",
                                "checkpoint of step 500 saved at /data/step500",
                                "gang 2: rank 3 on node02 failed with exit code 1",
                                "gang 2 has ended: failed",
                                "its script has ended: succeeded",
                                "it has completed; 16 GPUs are free again",
                            }));
  const auto events = asked<protocol::EventList>("GET", "/v1/jobs/1/events").events;
  EXPECT_EQ(events[0].actor, "runner");
  EXPECT_EQ(events[0].type, "job_submitted");
  EXPECT_EQ(events[1].type, "start_job");
  EXPECT_EQ(events[1].actor, "");
  EXPECT_GT(events[0].at_ms.ms, 0);
  for (std::size_t i = 1; i < events.size(); ++i) EXPECT_LT(events[i - 1].sequence, events[i].sequence);
  const std::string seen = scheduler_->ask(api::Door::socket, caller(2000, "stan"), "GET", "/v1/jobs/1/events").body;
  EXPECT_EQ(seen.find("/data/step500"), std::string::npos);
  EXPECT_EQ(seen.find("of train"), std::string::npos);
}

TEST_F(ScriptTest, TheHistoryOfOthersAndOfArraysIsToldApart) {
  scheduler_->submit(R"({"gpus":16})");
  scheduler_->submit(R"({"gpus":16})");
  const JobId array = submit_array("[2,5]");
  EXPECT_EQ(array, JobId{3});
  post("/v1/jobs/3_5/cancel");
  post("/v1/jobs/1/requeue");
  EXPECT_EQ(sentences("3"), (std::vector<std::string>{"runner submitted it: 8 GPUs for 1h, account lab-a, as an array of 2", "3_5: runner cancelled it"}));
  EXPECT_EQ(sentences("3_2"), std::vector<std::string>{"runner submitted it: 8 GPUs for 1h, account lab-a, as an array of 2"});
  EXPECT_EQ(sentences("4").back(), "runner cancelled it");
  two_.leave();
  scheduler_->until(
      [&] {
        *hand_.ms += 1'000;
        one_.say(protocol::Heartbeat{1, {}});
        return sentences("1").back() == "node02 does not answer: what the job does there can't be seen";
      },
      "the silence to be told");
  two_.join();
  scheduler_->until([&] { return sentences("1").back() == "node02 answers again"; }, "the return to be told");
  EXPECT_EQ(sentences("2").size(), 1u) << "what happens to nodes that it doesn't hold is not its history";
}

TEST_F(ScriptTest, WhoIsOvertakenIsCountedInTheHistory) {
  const JobId first = scheduler_->submit(R"({"gpus":8})", R"(,"time_limit_ms":3600000)");
  const JobId second = scheduler_->submit(R"({"gpus":16})");
  scheduler_->until([&] { return scheduler_->job(first).details.state == JobState::starting; }, "the first to start");
  const JobId third = scheduler_->submit(R"({"gpus":4})", R"(,"time_limit_ms":60000)");
  scheduler_->until([&] { return sentences(std::to_string(third.value)).size() == 2; }, "the third to start");
  EXPECT_EQ(sentences(std::to_string(third.value))[1], "started on node02 ahead of 1 job without delaying it");
  EXPECT_EQ(scheduler_->job(second).details.state, JobState::queued);
}

}  // namespace
}  // namespace ultramarine::server::testing
