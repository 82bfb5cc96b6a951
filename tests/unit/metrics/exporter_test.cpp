// The catalogue: every name with its type and labels, sums that add up, series that end with their job.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/unit/metrics/site.h"

namespace ultramarine::metrics {
namespace {

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
  for (int number = 1; number <= 8; ++number) config.nodes.push_back(eight_gpus("node0" + std::to_string(number)));
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
