#include "worker/metrics/node_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace ultramarine::worker_metrics {
namespace {

using testing::HasSubstr;
using testing::Not;

NodeSnapshot snapshot() {
  return {.node = "node01",
          .devices = {{.device = 0, .uuid = "VIRTUAL-node01-0", .model = "H100", .utilization_permille = 250, .memory_total_bytes = 85'899'345'920},
                      {.device = 1, .uuid = "VIRTUAL-node01-1", .model = "H100", .memory_total_bytes = 85'899'345'920}},
          .jobs = {{0, {JobId{42}, "vision"}}},
          .ranks = 1};
}

NodeMetrics metrics(NodeSnapshot state = snapshot()) {
  NodeMetrics all({.version = "1.2.3", .revision = "abc", .compiler = "gcc"});
  all.update(std::move(state));
  return all;
}

TEST(NodeMetrics, SaysWhoHoldsWhatAndHowBusyItIs) {
  const std::string text = metrics_text(metrics());
  EXPECT_THAT(text, HasSubstr("ultramarine_gpu_info{node=\"node01\",gpu=\"1\",uuid=\"VIRTUAL-node01-1\",model=\"H100\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_gpu_allocated{node=\"node01\",gpu=\"0\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_gpu_allocated{node=\"node01\",gpu=\"1\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_gpu_utilization_ratio{node=\"node01\",gpu=\"0\"} 0.25\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_gpu_memory_total_bytes{node=\"node01\",gpu=\"0\"} 85899345920\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_gpu_job_info{node=\"node01\",gpu=\"0\",job_id=\"42\",account=\"vision\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_agent_ranks{node=\"node01\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_build_info{version=\"1.2.3\",revision=\"abc\",compiler=\"gcc\"} 1\n"));
}

TEST(NodeMetrics, NeverLetsVirtualDevicesPassForRealOnes) {
  EXPECT_THAT(metrics_text(metrics()), HasSubstr("ultramarine_agent_source{node=\"node01\",source=\"virtual\"} 1\n"));
  NodeSnapshot real = snapshot();
  real.source = DeviceSource::nvml;
  EXPECT_THAT(metrics_text(metrics(real)), HasSubstr("source=\"nvml\""));
}

TEST(NodeMetrics, SeriesOfAGangVanishWithIt) {
  NodeMetrics all = metrics();
  NodeSnapshot idle = snapshot();
  idle.jobs.clear();
  all.update(idle);
  EXPECT_THAT(metrics_text(all), Not(HasSubstr("job_id")));
}

TEST(NodeMetrics, PromtoolFindsNothingToSay) {
  const std::string path = testing::TempDir() + "/node_metrics.txt";
  std::ofstream(path) << metrics_text(metrics());
  FILE* promtool = popen(("promtool check metrics < " + path + " 2>&1").c_str(), "r");
  ASSERT_NE(promtool, nullptr);
  std::string said;
  for (int c = std::fgetc(promtool); c != EOF; c = std::fgetc(promtool)) said.push_back(static_cast<char>(c));
  EXPECT_EQ(pclose(promtool), 0) << said;
  EXPECT_EQ(said, "");
}

}  // namespace
}  // namespace ultramarine::worker_metrics
