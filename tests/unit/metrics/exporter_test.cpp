// The catalogue: every name with its type and labels, sums that add up, series that end with their job.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <sstream>

#include "scheduler/core/scheduler.h"
#include "scheduler/metrics/exporter.h"

namespace ultramarine::metrics {
namespace {

const Time start{1'800'000'000'000};

ClusterConfig cluster() {
  ClusterConfig config;
  for (const char* name : {"node01", "node02"}) {
    NodeConfig node;
    node.name = name;
    node.gpus = 8;
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

/// The real core and the exporter beside it, fed with the same entries.
struct Site {
  core::Scheduler scheduler;
  core::Liveness liveness;
  Exporter exporter{{"1.2.3", "abc", "g++ 12.2"}, start};
  Time now = start;

  Site() {
    exporter.know(cluster());
    record(ClusterConfigured{cluster(), {}});
    for (const char* name : {"node01", "node02"}) {
      record(NodeJoined{name, "boot", "1", "127.0.0.1", {}});
      core::NodeLiveness& node = liveness.nodes[name];
      node.connected = true;
      node.last_heard_ms = now;
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
  }
  void end(JobId job, Outcome outcome = Outcome::succeeded) {
    record(GangFinished{job, 1, 1, outcome, {}, {}});
    record(AttemptEnded{job, 1, outcome, {}});
    liveness.gangs.erase({job, 1, 1});
  }
  std::string text() const {
    const Plan plan = scheduler.plan(now);
    return exporter.text({scheduler.state(), plan, liveness, now, 2, 4096, 512});
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

TEST(Metrics, HaveEveryNameOfTheCatalogueWithItsType) {
  Site site;
  const JobId running = site.submit(16);
  site.decide();
  site.run(running);
  site.submit(8);
  site.exporter.on_commit(0.001, 2);
  site.exporter.on_round_phase("decide", 0.001);
  site.exporter.on_request("/v1/jobs", "GET", 200, 0.01);
  const std::string text = site.text();
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
                                                     {"job_info", "gauge"},
                                                     {"job_running", "gauge"},
                                                     {"job_gpus", "gauge"},
                                                     {"job_start_time_seconds", "gauge"},
                                                     {"train_steps_total", "counter"},
                                                     {"train_tokens_total", "counter"},
                                                     {"train_loss", "gauge"},
                                                     {"gpu_utilization_ratio", "gauge"},
                                                     {"agent_source", "gauge"}};
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
        "ultramarine_job_submissions_total{account=\"lab-a\",partition=\"main\"}", "ultramarine_decisions_total{result=\"rejected\"}",
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

TEST(Metrics, PleasePromtool) {
  Site site;
  const JobId job = site.submit(4);
  site.decide();
  site.run(job);
  FILE* promtool = ::popen("promtool check metrics 2>&1 >/dev/null", "w");
  ASSERT_NE(promtool, nullptr);
  const std::string text = site.text();
  ASSERT_EQ(std::fwrite(text.data(), 1, text.size(), promtool), text.size());
  EXPECT_EQ(::pclose(promtool), 0) << "promtool (of the package prometheus) must be there and find nothing";
}

}  // namespace
}  // namespace ultramarine::metrics
