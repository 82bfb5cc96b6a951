// The catalogue: every name with its type and labels, sums that add up, series that end with their job.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include "scheduler/core/scheduler.h"
#include "scheduler/metrics/exporter.h"

namespace ultramarine::metrics {
namespace {

const Time start{1'800'000'000'000};

ClusterConfig two_nodes() {
  ClusterConfig config;
  for (const char* name : {"node01", "node02"}) {
    NodeConfig node;
    node.name = name;
    node.gpus = 8;
    node.gpu_type = "H100";
    node.virtual_devices = true;
    config.nodes.push_back(node);
  }
  PartitionConfig partition;
  partition.name = "main";
  partition.nodes = {"node01", "node02"};
  config.partitions = {partition};
  for (const char* name : {"lab-a", "lab-b"}) {
    AccountConfig account;
    account.name = name;
    account.members = {"*"};
    config.accounts.push_back(account);
  }
  QosConfig qos;
  qos.name = "normal";
  config.qos = {qos};
  return config;
}

/// 3.60 EUR an hour are a tenth of a cent a second.
ClusterConfig priced() {
  ClusterConfig config = two_nodes();
  config.money.currency = "EUR";
  config.money.price_per_gpu_hour_milli = 3600;
  return config;
}

/// The real core and the exporter beside it, fed with the same entries.
struct Site {
  core::Scheduler scheduler;
  core::Liveness liveness;
  Exporter exporter;
  Time now = start;

  explicit Site(ClusterConfig cluster = two_nodes(), Settings settings = {}) : exporter({"1.2.3", "abc", "g++ 12.2"}, start) {
    exporter.obey(std::move(settings));
    exporter.begin(now, scheduler.state());
    exporter.know(cluster);
    record(ClusterConfigured{cluster, {}});
    for (const char* name : {"node01", "node02"}) {
      record(NodeJoined{name, "boot", "1", "127.0.0.1", {}});
      core::NodeLiveness& node = liveness.nodes[name];
      node.connected = true;
      node.last_heard_ms = now;
      node.facts.emplace().clock_ms = now + milliseconds(250);
      node.facts_heard_ms = now;
      for (int i = 0; i < 8; ++i) node.devices.push_back({i, "uuid", "virtual", 500, 0});
    }
  }
  void record(const Entry& entry) {
    scheduler.apply(now, entry);
    exporter.on_entry(now, entry, scheduler.state());
  }
  JobId submit(std::int64_t gpus, const std::string& account = "lab-a") {
    JobSpec spec;
    spec.command = {"x"};
    spec.working_directory = "/";
    spec.account = account;
    spec.name = "train";
    spec.resources.gpus = gpus;
    const JobId job{scheduler.state().next_job};
    record(JobSubmitted{job, std::get<core::Accepted>(scheduler.accept(spec, {1, "u", "socket"})).spec, {}, "", {1, "u", "socket"}});
    return job;
  }
  void decide() {
    const auto decisions = scheduler.decide(now);
    if (!decisions.empty()) record(Round{now, core::planner_version, scheduler.policy_hash(), decisions});
  }
  void run(JobId job) {
    record(GangStarted{job, 1, 1, {}});
    auto& progress = liveness.gangs[{job, 1, 1}].progress.emplace();
    progress.step = 10;
    progress.loss = 2.5;
    progress.tokens = 4096;
    progress.tokens_per_s = 1000;
    progress.flops_per_token = 1.978e12;
  }
  void end(JobId job, Outcome outcome = Outcome::succeeded) {
    record(GangFinished{job, 1, 1, outcome, {}, {}});
    record(AttemptEnded{job, 1, outcome, {}});
    liveness.gangs.erase({job, 1, 1});
  }
  /// As the daemon's follower does it, after something has happened.
  void look() { exporter.on_plan(scheduler.state(), scheduler.plan(now)); }
  /// Samples of all devices once a second, for so long.
  void sample(Duration length, std::int64_t permille) {
    for (const Time end = now + length; now < end; now = now + seconds(1))
      for (auto& [name, node] : liveness.nodes) {
        for (DeviceReport& device : node.devices) device.utilization_permille = permille;
        exporter.on_devices(now, name, node.source, node.devices);
      }
  }
  void save(JobId job, std::int64_t step) { record(CheckpointSaved{job, 1, 1, step, "/c", {}}); }
  std::string text() const {
    const Plan plan = scheduler.plan(now);
    return exporter.text({scheduler.state(), plan, liveness, now, 2, 4096, 512, 3});
  }
};

/// One series' value, or nullopt.
std::optional<double> value(const std::string& text, const std::string& series) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(series + " ", 0) == 0) return std::stod(line.substr(series.size() + 1));
  return std::nullopt;
}

double sum(const std::string& text, const std::string& name) {
  double total = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(name + "{", 0) == 0) total += std::stod(line.substr(line.rfind(' ') + 1));
  return total;
}

TEST(Metrics, SlipsAreCountedUnderTheirCausesAndHarmApart) {
  Site site;
  site.exporter.on_slips({{JobId{1}, seconds(90), core::SlipCause::node_loss}, {JobId{2}, milliseconds(500), core::SlipCause::node_loss}});
  EXPECT_EQ(value(site.text(), "ultramarine_plan_slip_seconds_total{cause=\"node_loss\"}"), 90.5);
  EXPECT_EQ(value(site.text(), "ultramarine_plan_harm_seconds_total"), 0);
  site.exporter.on_slips({{JobId{3}, seconds(7), core::SlipCause::overtaken}});
  EXPECT_EQ(value(site.text(), "ultramarine_plan_harm_seconds_total"), 7);
  EXPECT_EQ(sum(site.text(), "ultramarine_plan_slip_seconds_total"), 90.5);
}

/// A scrape that has every family.
std::string everything() {
  ClusterConfig config = priced();
  config.accounts[0].limits.gpu_hours_per_month = 100;
  Site site(config, {.user_label = false, .peak_tflops = {{"H100", 989}}});
  site.record(PeriodStarted{start, start + hours(24 * 30), {}});
  const JobId running = site.submit(16);
  site.decide();
  site.run(running);
  site.submit(8);
  site.save(running, 5);
  site.now = site.now + seconds(10);
  site.save(running, 9);
  site.exporter.on_steps(running, 2, seconds(1));
  site.exporter.on_loop_lag(0.001);
  site.exporter.on_commit(0.001, 2);
  site.exporter.on_round_phase("decide", 0.001);
  site.exporter.on_request("/v1/jobs", "GET", 200, 0.01);
  return site.text();
}

TEST(Metrics, HaveEveryNameOfTheCatalogueWithItsType) {
  const std::string text = everything();
  const std::map<std::string, std::string> catalogue{{"build_info", "gauge"},
                                                     {"scheduler_start_time_seconds", "gauge"},
                                                     {"gpus", "gauge"},
                                                     {"jobs", "gauge"},
                                                     {"queued_jobs", "gauge"},
                                                     {"queued_gpus", "gauge"},
                                                     {"oldest_queued_seconds", "gauge"},
                                                     {"job_submissions_total", "counter"},
                                                     {"job_completions_total", "counter"},
                                                     {"job_wait_seconds", "histogram"},
                                                     {"job_runtime_seconds", "histogram"},
                                                     {"backfilled_jobs_total", "counter"},
                                                     {"allocated_gpu_seconds_total", "counter"},
                                                     {"node_state", "gauge"},
                                                     {"agent_heartbeat_age_seconds", "gauge"},
                                                     {"round_seconds", "histogram"},
                                                     {"decisions_total", "counter"},
                                                     {"plan_slip_seconds_total", "counter"},
                                                     {"plan_harm_seconds_total", "counter"},
                                                     {"store_commit_seconds", "histogram"},
                                                     {"store_batch_rows", "histogram"},
                                                     {"store_wal_bytes", "gauge"},
                                                     {"store_bytes", "gauge"},
                                                     {"http_requests_total", "counter"},
                                                     {"http_request_seconds", "histogram"},
                                                     {"agent_sessions", "gauge"},
                                                     {"auth_failures_total", "counter"},
                                                     {"notifications_total", "counter"},
                                                     {"queued_notifications", "gauge"},
                                                     {"job_info", "gauge"},
                                                     {"job_running", "gauge"},
                                                     {"job_gpus", "gauge"},
                                                     {"job_start_time_seconds", "gauge"},
                                                     {"train_steps_total", "counter"},
                                                     {"train_tokens_total", "counter"},
                                                     {"train_loss", "gauge"},
                                                     {"gpu_utilization_ratio", "gauge"},
                                                     {"agent_source", "gauge"},
                                                     {"scheduler_leader", "gauge"},
                                                     {"job_slowdown_ratio", "histogram"},
                                                     {"start_estimate_error_seconds", "histogram"},
                                                     {"job_restarts_total", "counter"},
                                                     {"active_gpu_seconds_total", "counter"},
                                                     {"productive_gpu_seconds_total", "counter"},
                                                     {"idle_gpu_seconds_total", "counter"},
                                                     {"lost_gpu_seconds_total", "counter"},
                                                     {"unused_gpu_seconds_total", "counter"},
                                                     {"cost_total", "counter"},
                                                     {"price_per_gpu_hour", "gauge"},
                                                     {"account_budget_used_ratio", "gauge"},
                                                     {"account_share_ratio", "gauge"},
                                                     {"account_usage_ratio", "gauge"},
                                                     {"account_guaranteed_gpus", "gauge"},
                                                     {"account_allocated_gpus", "gauge"},
                                                     {"account_borrowed_gpus", "gauge"},
                                                     {"account_priority_factor", "gauge"},
                                                     {"fairness_jain_ratio", "gauge"},
                                                     {"node_state_changes_total", "counter"},
                                                     {"agent_clock_offset_seconds", "gauge"},
                                                     {"event_loop_lag_seconds", "histogram"},
                                                     {"event_stream_clients", "gauge"},
                                                     {"job_time_limit_seconds", "gauge"},
                                                     {"job_active_ratio", "gauge"},
                                                     {"job_productive_ratio", "gauge"},
                                                     {"job_checkpoint_age_seconds", "gauge"},
                                                     {"job_checkpoint_interval_seconds", "gauge"},
                                                     {"train_step_seconds", "histogram"},
                                                     {"train_mfu_ratio", "gauge"}};
  for (const auto& [name, type] : catalogue)
    EXPECT_NE(text.find("# TYPE ultramarine_" + name + " " + type + "\n"), std::string::npos) << name;
  // And no name that the catalogue doesn't have.
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind("# TYPE ultramarine_", 0) == 0) {
      EXPECT_EQ(catalogue.count(line.substr(19, line.rfind(' ') - 19)), 1u) << line;
    }
  EXPECT_EQ(text.find("user="), std::string::npos) << "no names of users";
}

TEST(Metrics, AreAllInTheReadme) {
  std::ifstream file(ULTRAMARINE_SOURCE_DIR "/scheduler/metrics/README.md");
  std::stringstream readme;
  readme << file.rdbuf();
  const std::string text = readme.str().substr(readme.str().find("## Names\n"));
  std::istringstream lines(everything());
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# TYPE ultramarine_", 0) != 0) continue;
    const std::string name = line.substr(19, line.rfind(' ') - 19);
    EXPECT_NE(text.find("`" + name + "`"), std::string::npos) << name;
  }
}

TEST(Metrics, TellDrainedAndReservedGpusApart) {
  Site site;
  site.record(NodeDrained{"node01", "new fans", {}});
  site.record(ReservationMade{{"course", {"node02"}, {"lab-a"}, start, start + hours(1), "a course", {}}, {}});
  const auto gpus = [&](const char* state) { return value(site.text(), "ultramarine_gpus{partition=\"main\",state=\"" + std::string(state) + "\"}"); };
  EXPECT_EQ(gpus("draining"), 8);
  EXPECT_EQ(gpus("reserved"), 8);
  EXPECT_EQ(gpus("idle"), 0);
  EXPECT_EQ(value(site.text(), "ultramarine_node_state{node=\"node01\",state=\"drained\"}"), 1);
  site.now = start + hours(1);
  EXPECT_EQ(gpus("reserved"), 0);
  EXPECT_EQ(gpus("idle"), 8);
  const JobId job = site.submit(8);
  site.record(JobHeld{job, HoldKind::user, "", {}});
  EXPECT_EQ(value(site.text(), "ultramarine_jobs{account=\"lab-a\",partition=\"main\",state=\"held\"}"), 1);
}

TEST(Metrics, StartAtZeroForEveryKnownLabel) {
  // A counter that first appears with 1 is invisible to increase().
  const std::string text = Site().text();
  for (const char* series :
       {"ultramarine_job_completions_total{account=\"lab-b\",outcome=\"node_lost\",partition=\"main\"}",
        "ultramarine_job_submissions_total{account=\"lab-a\",kind=\"sweep\",partition=\"main\"}",
        "ultramarine_job_restarts_total{account=\"lab-b\",cause=\"gpu\"}", "ultramarine_lost_gpu_seconds_total{account=\"lab-a\",cause=\"teardown\"}",
        "ultramarine_productive_gpu_seconds_total{account=\"lab-b\",partition=\"main\"}",
        "ultramarine_active_gpu_seconds_total{account=\"lab-b\",partition=\"main\",source=\"virtual\"}",
        "ultramarine_idle_gpu_seconds_total{account=\"lab-a\",source=\"virtual\"}", "ultramarine_unused_gpu_seconds_total{cause=\"fragmentation\"}",
        "ultramarine_job_slowdown_ratio_count{partition=\"main\"}", "ultramarine_start_estimate_error_seconds_count{partition=\"main\"}",
        "ultramarine_event_loop_lag_seconds_count", "ultramarine_decisions_total{result=\"rejected\"}",
        "ultramarine_backfilled_jobs_total{partition=\"main\"}", "ultramarine_auth_failures_total{method=\"secret\"}",
        "ultramarine_plan_slip_seconds_total{cause=\"reservation\"}", "ultramarine_plan_harm_seconds_total",
        "ultramarine_queued_gpus{account=\"lab-a\",partition=\"main\",reason=\"fragmentation\"}",
        "ultramarine_jobs{account=\"lab-b\",partition=\"main\",state=\"unknown\"}",
        "ultramarine_allocated_gpu_seconds_total{account=\"lab-a\",partition=\"main\"}",
        "ultramarine_job_wait_seconds_count{partition=\"main\",size=\"8\"}"})
    EXPECT_EQ(value(text, series), 0) << series;
}

TEST(Metrics, SumToTheTotals) {
  Site site;
  const JobId first = site.submit(4);
  site.submit(16, "lab-b");
  site.submit(2);  // fits beside the first one, and ends before it would be in the way
  site.decide();
  site.run(first);
  site.now = site.now + seconds(30);
  const std::string text = site.text();
  EXPECT_EQ(sum(text, "ultramarine_gpus"), 16);
  EXPECT_EQ(value(text, "ultramarine_gpus{partition=\"main\",state=\"allocated\"}"), 6);
  EXPECT_EQ(sum(text, "ultramarine_jobs"), 3);
  EXPECT_EQ(sum(text, "ultramarine_queued_jobs"), 1);
  EXPECT_EQ(value(text, "ultramarine_queued_gpus{account=\"lab-b\",partition=\"main\",reason=\"resources\"}"), 16);
  EXPECT_EQ(value(text, "ultramarine_oldest_queued_seconds{account=\"lab-b\",partition=\"main\"}"), 30);
  EXPECT_EQ(sum(text, "ultramarine_job_submissions_total"), 3);
  EXPECT_EQ(value(text, "ultramarine_decisions_total{result=\"started\"}"), 2);
  EXPECT_EQ(value(text, "ultramarine_backfilled_jobs_total{partition=\"main\"}"), 1);
  EXPECT_EQ(value(text, "ultramarine_allocated_gpu_seconds_total{account=\"lab-a\",partition=\"main\"}"), 6 * 30);
  // One state of a node at a time.
  EXPECT_EQ(sum(text, "ultramarine_node_state"), 2);
  EXPECT_EQ(sum(text, "ultramarine_agent_source"), 2);
  EXPECT_EQ(sum(text, "ultramarine_gpu_utilization_ratio"), 8);
  EXPECT_EQ(value(text, "ultramarine_agent_heartbeat_age_seconds{node=\"node01\"}"), 30);
}

TEST(Metrics, CountTheGpusOfNodesThatAreAwayAsDown) {
  Site site;
  site.record(NodeSuspected{"node02", {}});
  EXPECT_EQ(value(site.text(), "ultramarine_gpus{partition=\"main\",state=\"down\"}"), 8);
  EXPECT_EQ(sum(site.text(), "ultramarine_gpus"), 16);
}

TEST(Metrics, EndTheSeriesOfAJobWithTheJob) {
  Site site;
  const JobId job = site.submit(4);
  site.decide();
  site.run(job);
  std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_train_loss{job_id=\"1\"}"), 2.5);
  EXPECT_EQ(value(text, "ultramarine_train_steps_total{job_id=\"1\"}"), 10);
  EXPECT_EQ(value(text, "ultramarine_job_gpus{job_id=\"1\"}"), 4);
  EXPECT_EQ(value(text, "ultramarine_job_info{account=\"lab-a\",job_id=\"1\",name=\"train\",partition=\"main\"}"), 1);
  site.now = site.now + seconds(60);
  site.end(job, Outcome::failed);
  text = site.text();
  EXPECT_EQ(text.find("job_id="), std::string::npos);
  EXPECT_EQ(value(text, "ultramarine_job_completions_total{account=\"lab-a\",outcome=\"failed\",partition=\"main\"}"), 1);
  EXPECT_EQ(value(text, "ultramarine_job_runtime_seconds_sum{outcome=\"failed\",partition=\"main\"}"), 60);
  EXPECT_EQ(value(text, "ultramarine_job_wait_seconds_count{partition=\"main\",size=\"4\"}"), 1);
}

TEST(Metrics, CutLongNamesOfJobsBetweenCharacters) {
  Site site;
  JobSpec spec;
  spec.command = {"x"};
  spec.working_directory = "/";
  spec.account = "lab-a";
  spec.name = "대규모 언어 모델 사전 학습 실험 열두번째";  // its 40th byte is inside a character: Prometheus refuses a scrape for that
  spec.resources.gpus = 1;
  const JobId job{site.scheduler.state().next_job};
  site.record(JobSubmitted{job, std::get<core::Accepted>(site.scheduler.accept(spec, {1, "u", "socket"})).spec, {}, "", {1, "u", "socket"}});
  site.decide();
  site.run(job);
  EXPECT_EQ(value(site.text(), "ultramarine_job_info{account=\"lab-a\",job_id=\"1\",name=\"대규모 언어 모델 사전 학습 \",partition=\"main\"}"), 1);
}

TEST(Metrics, NeverCountHeldTimeBackwards) {
  Site site;
  const JobId job = site.submit(4);
  site.decide();
  site.run(job);
  const char* held = "ultramarine_allocated_gpu_seconds_total{account=\"lab-a\",partition=\"main\"}";
  double before = 0;
  for (int i = 0; i < 5; ++i) {
    site.now = site.now + seconds(7);
    if (i == 3) site.end(job);
    const double now = value(site.text(), held).value_or(-1);
    EXPECT_GE(now, before);
    before = now;
  }
  EXPECT_EQ(before, 4 * 28);
}

TEST(Metrics, KeepTheLabelsOfRequestsFew) {
  Site site;
  site.exporter.on_request("other", "BREW", 404, 0.01);
  EXPECT_EQ(value(site.text(), "ultramarine_http_requests_total{code=\"404\",method=\"other\",route=\"other\"}"), 1);
}

TEST(Metrics, KeepALayerOfGpuTimeInsideTheOneBefore) {
  Site site;
  const JobId job = site.submit(4);
  site.decide();
  site.sample(seconds(10), 500);  // the first second only says where the next begins
  site.run(job);                  // 10 s after the decision
  site.now = site.now + seconds(20);
  site.save(job, 50);
  site.now = site.now + seconds(40);
  site.save(job, 100);
  site.now = site.now + seconds(25);
  std::string text = site.text();
  const std::string where = "{account=\"lab-a\",partition=\"main\"";
  EXPECT_EQ(value(text, "ultramarine_allocated_gpu_seconds_total" + where + "}"), 4 * 95);
  EXPECT_EQ(value(text, "ultramarine_active_gpu_seconds_total" + where + ",source=\"virtual\"}"), 4 * 9 * 0.5);
  EXPECT_EQ(value(text, "ultramarine_productive_gpu_seconds_total" + where + "}"), 4 * 60);
  EXPECT_EQ(value(text, "ultramarine_job_active_ratio{job_id=\"1\",source=\"virtual\"}"), 0.5);
  EXPECT_NEAR(value(text, "ultramarine_job_productive_ratio{job_id=\"1\"}").value_or(-1), 60.0 / 95, 1e-6);
  EXPECT_EQ(value(text, "ultramarine_job_checkpoint_age_seconds{job_id=\"1\"}"), 25);
  EXPECT_EQ(value(text, "ultramarine_job_time_limit_seconds{job_id=\"1\"}"), 3600);
  site.end(job, Outcome::failed);
  text = site.text();
  const auto lost = [&](const char* cause) { return value(text, "ultramarine_lost_gpu_seconds_total{account=\"lab-a\",cause=\"" + std::string(cause) + "\"}"); };
  EXPECT_EQ(lost("startup"), 4 * 10);
  EXPECT_EQ(lost("job_failure"), 4 * 25) << "what the checkpoint had not saved";
  EXPECT_EQ(sum(text, "ultramarine_lost_gpu_seconds_total") + sum(text, "ultramarine_productive_gpu_seconds_total"),
            sum(text, "ultramarine_allocated_gpu_seconds_total"));
}

TEST(Metrics, CountAllOfAnAttemptThatEndsWellAsProductiveButItsEnds) {
  Site site;
  const JobId job = site.submit(2);
  site.decide();
  site.now = site.now + seconds(5);
  site.run(job);
  site.save(job, 1);
  site.now = site.now + seconds(40);
  site.record(GangFinished{job, 1, 1, Outcome::succeeded, {}, {}});
  site.now = site.now + seconds(3);
  site.record(AttemptEnded{job, 1, Outcome::succeeded, {}});
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_productive_gpu_seconds_total{account=\"lab-a\",partition=\"main\"}"), 2 * 40);
  EXPECT_EQ(value(text, "ultramarine_lost_gpu_seconds_total{account=\"lab-a\",cause=\"teardown\"}"), 2 * 3);
  EXPECT_EQ(sum(text, "ultramarine_lost_gpu_seconds_total"), 2 * 8);
}

TEST(Metrics, GoOnBesideARunningAttemptAfterARestart) {
  Site site;
  const JobId job = site.submit(4);
  site.decide();
  site.run(job);
  site.now = site.now + seconds(60);
  site.save(job, 1);
  site.now = site.now + seconds(10);
  Exporter later({"1.2.3", "abc", "g++ 12.2"}, site.now);
  later.begin(site.now, site.scheduler.state());
  site.now = site.now + seconds(20);
  site.end(job);
  later.on_entry(site.now, AttemptEnded{job, 1, Outcome::succeeded, {}}, site.scheduler.state());
  const std::string text = later.text({site.scheduler.state(), site.scheduler.plan(site.now), site.liveness, site.now});
  EXPECT_EQ(value(text, "ultramarine_productive_gpu_seconds_total{account=\"lab-a\",partition=\"main\"}"), 4 * 30) << "since the checkpoint";
  EXPECT_EQ(value(text, "ultramarine_node_state_changes_total{node=\"node01\"}"), 0) << "it was up when this began";
}

TEST(Metrics, BlameTheNodeForWhatItLost) {
  Site site;
  const JobId job = site.submit(1);
  site.decide();
  site.run(job);
  site.now = site.now + seconds(7);
  site.record(GangFailed{job, 1, 1, Outcome::node_lost, {.node = "node01", .node_at_fault = true}, {}});
  site.record(GangFinished{job, 1, 1, Outcome::node_lost, {}, {}});
  site.record(AttemptEnded{job, 1, Outcome::node_lost, {}});
  ASSERT_FALSE(is_terminal(site.scheduler.state().jobs.at(job).state));
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_lost_gpu_seconds_total{account=\"lab-a\",cause=\"node_failure\"}"), 7);
  EXPECT_EQ(value(text, "ultramarine_job_restarts_total{account=\"lab-a\",cause=\"node\"}"), 1);
  EXPECT_EQ(sum(text, "ultramarine_job_restarts_total"), 1);
}

TEST(Metrics, CallAHeldGpuIdleFromTheBeginningOfFiveQuietMinutes) {
  Site site;
  const JobId job = site.submit(1);
  site.decide();
  site.run(job);
  const char* const idle = "ultramarine_idle_gpu_seconds_total{account=\"lab-a\",source=\"virtual\"}";
  site.sample(seconds(300), 49);
  EXPECT_EQ(value(site.text(), idle), 0);
  site.sample(seconds(10), 49);
  EXPECT_EQ(value(site.text(), idle), 309);
  site.sample(seconds(100), 50);
  EXPECT_EQ(value(site.text(), idle), 309);
}

TEST(Metrics, SayWhyNobodyHoldsAGpu) {
  Site site;
  site.record(NodeDrained{"node02", "new fans", {}});
  site.look();
  site.now = site.now + seconds(10);
  const JobId job = site.submit(6);
  site.decide();
  site.run(job);
  site.submit(4);  // two are free
  site.look();
  site.now = site.now + seconds(10);
  const std::string text = site.text();
  const auto unused = [&](const char* cause) { return value(text, "ultramarine_unused_gpu_seconds_total{cause=\"" + std::string(cause) + "\"}"); };
  EXPECT_EQ(unused("draining"), 8 * 20);
  EXPECT_EQ(unused("no_demand"), 8 * 10);
  EXPECT_EQ(unused("fragmentation"), 2 * 10);
  EXPECT_EQ(sum(text, "ultramarine_unused_gpu_seconds_total") + sum(text, "ultramarine_allocated_gpu_seconds_total"), 16 * 20);
}

TEST(Metrics, CompareTheFirstPlannedStartWithTheTruth) {
  Site site;
  const JobId first = site.submit(16);
  site.decide();
  site.run(first);
  const JobId second = site.submit(16);
  site.look();
  const Time promised = site.scheduler.plan(site.now).jobs.front().start_ms.value();
  site.now = site.now + seconds(100);
  site.end(first);
  site.look();
  site.decide();
  ASSERT_EQ(site.scheduler.state().jobs.at(second).state, JobState::starting);
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_start_estimate_error_seconds_count{partition=\"main\"}"), 1);
  EXPECT_EQ(value(text, "ultramarine_start_estimate_error_seconds_sum{partition=\"main\"}"), static_cast<double>((promised - site.now).ms) / 1000);
}

TEST(Metrics, MeasureSlowdownByRunsOfTenSecondsAtLeast) {
  Site site;
  const JobId first = site.submit(16);
  const JobId second = site.submit(16);
  site.decide();
  site.run(first);
  site.now = site.now + seconds(40);
  site.end(first);
  site.decide();
  site.record(GangStarted{second, 1, 1, {}});
  site.now = site.now + seconds(2);
  site.end(second);
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_job_slowdown_ratio_count{partition=\"main\"}"), 2);
  EXPECT_NEAR(value(text, "ultramarine_job_slowdown_ratio_sum{partition=\"main\"}").value_or(-1), 1 + 42.0 / 10, 1e-6);
}

TEST(Metrics, PriceWhatAnAccountHeld) {
  Site site(priced());
  const JobId job = site.submit(4);
  site.decide();
  site.run(job);
  site.now = site.now + seconds(250);
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_price_per_gpu_hour{currency=\"EUR\"}"), 3.6);
  EXPECT_EQ(value(text, "ultramarine_cost_total{account=\"lab-a\",component=\"gpu\",currency=\"EUR\"}"), 1);
  EXPECT_EQ(value(text, "ultramarine_cost_total{account=\"lab-b\",component=\"gpu\",currency=\"EUR\"}"), 0);
  EXPECT_EQ(Site().text().find("currency"), std::string::npos) << "no prices where the cluster file says none";
}

TEST(Metrics, NameUsersOnlyWhereTheClusterFileWantsIt) {
  Site site(priced(), {.user_label = true, .peak_tflops = {}});
  const JobId job = site.submit(4);
  site.decide();
  site.run(job);
  site.now = site.now + seconds(250);
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_allocated_gpu_seconds_total{account=\"lab-a\",partition=\"main\",user=\"u\"}"), 1000);
  EXPECT_EQ(value(text, "ultramarine_cost_total{account=\"lab-a\",component=\"gpu\",currency=\"EUR\",user=\"u\"}"), 1);
}

TEST(Metrics, ShowSharesLoansAndBudgetsOfAccounts) {
  ClusterConfig config = two_nodes();
  config.accounts[0].shares = 3;
  config.accounts[0].limits.gpus_floor = 2;
  config.accounts[0].limits.gpus_soft = 3;
  config.accounts[0].limits.gpu_hours_per_month = 10;
  AccountConfig child;
  child.name = "lab-a-students";
  child.parent = "lab-a";
  child.members = {"*"};
  config.accounts.push_back(child);
  Site site(config);
  site.record(PeriodStarted{start, start + hours(24 * 30), {}});
  const JobId job = site.submit(5, "lab-a-students");
  site.decide();
  site.run(job);
  site.now = site.now + minutes(30);
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_account_share_ratio{account=\"lab-a\"}"), 0.75);
  EXPECT_EQ(value(text, "ultramarine_account_share_ratio{account=\"lab-b\"}"), 0.25);
  EXPECT_EQ(value(text, "ultramarine_account_share_ratio{account=\"lab-a-students\"}"), 0.75) << "all of what is above it";
  EXPECT_EQ(value(text, "ultramarine_account_usage_ratio{account=\"lab-a\"}"), 1) << "what is under it counts";
  EXPECT_EQ(value(text, "ultramarine_account_usage_ratio{account=\"lab-b\"}"), 0);
  EXPECT_EQ(value(text, "ultramarine_account_guaranteed_gpus{account=\"lab-a\"}"), 2);
  EXPECT_EQ(value(text, "ultramarine_account_allocated_gpus{account=\"lab-a\"}"), 5);
  EXPECT_EQ(value(text, "ultramarine_account_borrowed_gpus{account=\"lab-a\"}"), 2);
  EXPECT_EQ(value(text, "ultramarine_account_borrowed_gpus{account=\"lab-a-students\"}"), 0);
  EXPECT_EQ(value(text, "ultramarine_account_budget_used_ratio{account=\"lab-a\",period=\"month\"}"), 0.25);
  EXPECT_EQ(value(text, "ultramarine_account_priority_factor{account=\"lab-a-students\"}"), 1) << "the only user";
}

TEST(Metrics, CallEvenUsageFairAndOneSidedUsageNot) {
  Site site;
  const JobId first = site.submit(4, "lab-a"), second = site.submit(4, "lab-b");
  site.decide();
  site.run(first);
  site.run(second);
  site.now = site.now + minutes(10);
  EXPECT_NEAR(value(site.text(), "ultramarine_fairness_jain_ratio").value_or(-1), 1, 1e-6);
  site.end(second);
  site.now = site.now + hours(24 * 3);
  EXPECT_NEAR(value(site.text(), "ultramarine_fairness_jain_ratio").value_or(-1), 0.5, 0.01);
}

TEST(Metrics, CountHowOftenANodeChanges) {
  Site site;
  site.record(NodeSuspected{"node02", {}});
  site.record(NodeJoined{"node02", "boot", "1", "127.0.0.1", {}});
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_node_state_changes_total{node=\"node01\"}"), 1) << "down, up";
  EXPECT_EQ(value(text, "ultramarine_node_state_changes_total{node=\"node02\"}"), 3);
  EXPECT_EQ(value(text, "ultramarine_agent_clock_offset_seconds{node=\"node02\"}"), 0.25);
}

TEST(Metrics, ComputeMfuOnlyAgainstAPeak) {
  const char* const mfu = "ultramarine_train_mfu_ratio{job_id=\"1\",source=\"virtual\"}";
  const auto run_on = [&](Settings settings) {
    Site site(two_nodes(), std::move(settings));
    const JobId job = site.submit(4);
    site.decide();
    site.run(job);
    return value(site.text(), mfu);
  };
  // 1,000 tokens a second of 1.978 TFLOP each on four GPUs of 989 TFLOP/s.
  EXPECT_NEAR(run_on({.user_label = false, .peak_tflops = {{"H100", 989}}}).value_or(-1), 0.5, 1e-6);
  EXPECT_EQ(run_on({.user_label = false, .peak_tflops = {{"A100", 312}}}), std::nullopt);
  EXPECT_EQ(run_on({}), std::nullopt);
}

TEST(Metrics, ObserveEveryStepOfARunningJob) {
  Site site;
  const JobId job = site.submit(4);
  site.decide();
  site.run(job);
  site.exporter.on_steps(job, 10, seconds(2));
  site.exporter.on_steps(job, 1, seconds(5));
  std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_train_step_seconds_count{job_id=\"1\"}"), 11);
  EXPECT_EQ(value(text, "ultramarine_train_step_seconds_sum{job_id=\"1\"}"), 7);
  EXPECT_EQ(value(text, "ultramarine_train_step_seconds_bucket{job_id=\"1\",le=\"0.3\"}"), 10);
  site.end(job);
  EXPECT_EQ(site.text().find("job_id="), std::string::npos);
}

TEST(Metrics, MeasureTimeBetweenCheckpoints) {
  Site site;
  const JobId job = site.submit(4);
  site.decide();
  site.run(job);
  site.save(job, 1);
  site.now = site.now + seconds(90);
  site.save(job, 2);
  EXPECT_EQ(value(site.text(), "ultramarine_job_checkpoint_interval_seconds{job_id=\"1\"}"), 90);
}

TEST(Metrics, TellSweepsFromSingleJobs) {
  Site site;
  JobSpec spec;
  spec.command = {"x"};
  spec.working_directory = "/";
  spec.account = "lab-a";
  spec.resources.gpus = 1;
  const JobSpec accepted = std::get<core::Accepted>(site.scheduler.accept(spec, {1, "u", "socket"})).spec;
  site.record(JobSubmitted{JobId{site.scheduler.state().next_job}, accepted, {}, "", {1, "u", "socket"}, {0, 1, 2}});
  site.submit(1);
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_job_submissions_total{account=\"lab-a\",kind=\"sweep\",partition=\"main\"}"), 3);
  EXPECT_EQ(value(text, "ultramarine_job_submissions_total{account=\"lab-a\",kind=\"batch\",partition=\"main\"}"), 1);
}

TEST(Metrics, SayWhatTheDaemonDoes) {
  Site site;
  site.exporter.on_loop_lag(0.002);
  site.exporter.on_notification("mail", "delivered");
  const std::string text = site.text();
  EXPECT_EQ(value(text, "ultramarine_scheduler_leader"), 1);
  EXPECT_EQ(value(text, "ultramarine_notifications_total{channel=\"mail\",result=\"delivered\"}"), 1);
  EXPECT_EQ(value(text, "ultramarine_notifications_total{channel=\"webhook\",result=\"given_up\"}"), 0);
  EXPECT_EQ(value(text, "ultramarine_queued_notifications"), 0);
  EXPECT_EQ(value(text, "ultramarine_event_stream_clients"), 3);
  EXPECT_EQ(value(text, "ultramarine_event_loop_lag_seconds_count"), 1);
  EXPECT_EQ(value(text, "ultramarine_event_loop_lag_seconds_bucket{le=\"0.001\"}"), 0);
}

TEST(Metrics, StaySmallWithTenThousandJobs) {
  ClusterConfig config = priced();
  config.nodes.clear();
  config.partitions[0].nodes.clear();
  for (const char* name : {"node01", "node02", "node03", "node04", "node05", "node06", "node07", "node08"}) {
    NodeConfig node;
    node.name = name;
    node.gpus = 8;
    node.gpu_type = "H100";
    node.virtual_devices = true;
    config.nodes.push_back(node);
  }
  Site site(config, {.user_label = true, .peak_tflops = {{"H100", 989}}});
  for (const NodeConfig& node : config.nodes) site.record(NodeJoined{node.name, "boot", "1", "127.0.0.1", {}});
  for (int i = 0; i < 10'000; ++i) {
    const JobId job = site.submit(1, i % 2 == 0 ? "lab-a" : "lab-b");
    if (i >= 5000) continue;
    // Half of them have been, 64 run, all others wait.
    site.decide();
    site.run(job);
    site.now = site.now + seconds(1);
    site.end(job);
  }
  site.decide();
  std::int64_t running = 0;
  for (const auto& [id, job] : site.scheduler.state().jobs) {
    if (job.state != JobState::starting) continue;
    ++running;
    site.run(id);
    site.save(id, 1);
    site.save(id, 2);
    site.exporter.on_steps(id, 1, seconds(1));
  }
  EXPECT_EQ(running, 64);
  const std::string text = site.text();
  const auto series = static_cast<std::int64_t>(std::count(text.begin(), text.end(), '\n')) - 2 * [&] {
    std::int64_t families = 0;
    for (std::size_t at = text.find("# TYPE"); at != std::string::npos; at = text.find("# TYPE", at + 1)) ++families;
    return families;
  }();
  std::printf("10,000 jobs, 64 of them running: %zu bytes, %lld series\n", text.size(), static_cast<long long>(series));
  EXPECT_LE(text.size(), 1u << 20);
  EXPECT_LE(series, 6000);
  // Only running jobs have series of their own.
  EXPECT_EQ(text.find("job_id=\"1\""), std::string::npos);
}

TEST(Metrics, PleasePromtool) {
  ClusterConfig config = priced();
  config.accounts[0].limits.gpu_hours_per_month = 100;
  Site site(config, {.user_label = true, .peak_tflops = {{"H100", 989}}});
  site.record(PeriodStarted{start, start + hours(24 * 30), {}});
  const JobId job = site.submit(4);
  site.decide();
  site.run(job);
  site.save(job, 1);
  site.save(job, 2);
  site.exporter.on_steps(job, 1, seconds(1));
  FILE* promtool = ::popen("promtool check metrics 2>&1 >/dev/null", "w");
  ASSERT_NE(promtool, nullptr);
  const std::string text = site.text();
  ASSERT_EQ(std::fwrite(text.data(), 1, text.size(), promtool), text.size());
  EXPECT_EQ(::pclose(promtool), 0) << "promtool (of the package prometheus) must be there and find nothing";
}

}  // namespace
}  // namespace ultramarine::metrics
