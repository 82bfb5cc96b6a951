// The layers of GPU time: allocated, active, productive; what was lost, idle, unused.
#include <gtest/gtest.h>

#include "tests/unit/metrics/site.h"

namespace ultramarine::metrics {
namespace {

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
  const JobId job = site.have_run(seconds(60), 4);
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
  const JobId job = site.have_run(seconds(7), 1);
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

}  // namespace
}  // namespace ultramarine::metrics
