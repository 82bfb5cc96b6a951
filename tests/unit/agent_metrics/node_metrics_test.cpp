#include "worker/metrics/node_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>

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

NodeSnapshot real_snapshot() {
  DeviceDetails details{.pci = "00000000:3B:00.0", .minor = 3, .is_healthy = false, .xids = {{79, 2}}, .newest_xid = 79, .health = {}};
  details.health = {.power_limit_milliwatts = 700'000,
                    .energy_millijoules = 123'456,
                    .sm_clock_mhz = 1755,
                    .memory_clock_mhz = 1593,
                    .slowed = std::array<Duration, devices::slowdown_reasons>{},
                    .rows_corrected = 3,
                    .rows_uncorrected = 1,
                    .row_remap_pending = true,
                    .row_remap_failed = false};
  (*details.health.slowed)[static_cast<std::size_t>(devices::SlowedBy::sw_thermal)] = milliseconds(2'500);
  return {.node = "node01",
          .source = DeviceSource::nvml,
          .devices = {{.device = 0, .uuid = "GPU-a", .model = "NVIDIA H100", .utilization_permille = 370, .memory_total_bytes = std::int64_t{80} << 30,
                       .memory_used_bytes = 1 << 30, .power_milliwatts = 300'500, .temperature_celsius = 61, .ecc_corrected = 3, .ecc_uncorrected = 0}},
          .jobs = {{0, {JobId{42}, "vision"}}},
          .ranks = 1,
          .details = {{0, details}},
          .driver = "570.1"};
}

NodeMetrics metrics(NodeSnapshot state = snapshot()) {
  NodeMetrics all({.version = "1.2.3", .revision = "abc", .compiler = "gcc"});
  all.update(std::move(state));
  return all;
}

TEST(NodeMetrics, SaysWhoHoldsWhatAndHowBusyItIs) {
  const std::string text = metrics_text(metrics());
  EXPECT_THAT(text, HasSubstr("ultramarine_gpu_info{node=\"node01\",gpu=\"1\",uuid=\"VIRTUAL-node01-1\",model=\"H100\",driver=\"\",pci=\"\",source=\"virtual\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_gpu_allocated{node=\"node01\",gpu=\"0\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_gpu_allocated{node=\"node01\",gpu=\"1\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_gpu_utilization_ratio{node=\"node01\",gpu=\"0\",source=\"virtual\"} 0.25\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_gpu_memory_total_bytes{node=\"node01\",gpu=\"0\",source=\"virtual\"} 85899345920\n"));
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

TEST(NodeMetrics, SaysHowARealGpuFeels) {
  const std::string text = metrics_text(metrics(real_snapshot()));
  const auto says = [&](const std::string& name, const std::string& more, const std::string& value) {
    EXPECT_THAT(text, HasSubstr("\nultramarine_" + name + "{node=\"node01\",gpu=\"0\"" + more + "} " + value + "\n"));
  };
  says("gpu_info", ",uuid=\"GPU-a\",model=\"NVIDIA H100\",driver=\"570.1\",pci=\"00000000:3B:00.0\",source=\"nvml\"", "1");
  says("gpu_utilization_ratio", ",source=\"nvml\"", "0.37");
  says("gpu_memory_used_bytes", "", "1073741824");
  says("gpu_power_watts", "", "300.5");
  says("gpu_power_limit_watts", "", "700");
  says("gpu_temperature_celsius", "", "61");
  says("gpu_energy_joules_total", "", "123.456");
  says("gpu_sm_clock_hertz", "", "1755000000");
  says("gpu_memory_clock_hertz", "", "1593000000");
  says("gpu_ecc_errors_total", ",kind=\"corrected\"", "3");
  says("gpu_ecc_errors_total", ",kind=\"uncorrected\"", "0");
  says("gpu_throttle_seconds_total", ",reason=\"sw_thermal\"", "2.5");
  says("gpu_throttle_seconds_total", ",reason=\"power_cap\"", "0");
  says("gpu_xid_errors_total", ",xid=\"79\"", "2");
  says("gpu_xid_errors_total", ",xid=\"48\"", "0");  // known, and not seen so far
  says("gpu_remapped_rows_total", ",kind=\"corrected\"", "3");
  says("gpu_remapped_rows_total", ",kind=\"uncorrected\"", "1");
  says("gpu_row_remap_pending", "", "1");
  says("gpu_row_remap_failed", "", "0");
  says("gpu_healthy", "", "0");
  EXPECT_THAT(text, Not(HasSubstr("DCGM_"))) << "only where somebody asked for these names";
}

TEST(NodeMetrics, MakesUpNothingThatADriverDoesNotSay) {
  NodeSnapshot snapshot = real_snapshot();
  snapshot.details[0].health = {};
  const std::string text = metrics_text(metrics(snapshot));
  for (const char* name : {"gpu_power_limit", "gpu_energy", "gpu_sm_clock", "gpu_throttle", "gpu_remapped", "gpu_row_remap"})
    EXPECT_THAT(text, Not(HasSubstr(name))) << name;
}

TEST(NodeMetrics, SpeaksAsDcgmExporterDoesWhereItIsAskedTo) {
  NodeSnapshot snapshot = real_snapshot();
  snapshot.with_dcgm_names = true;
  const std::string text = metrics_text(metrics(snapshot));
  const std::string labels = R"({gpu="0",UUID="GPU-a",pci_bus_id="00000000:3B:00.0",device="nvidia3",modelName="NVIDIA H100",Hostname="node01"} )";
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{{"GPU_UTIL", "37"},
                                                                                    {"FB_USED", "1024"},
                                                                                    {"FB_FREE", "80896"},
                                                                                    {"POWER_USAGE", "300.5"},
                                                                                    {"GPU_TEMP", "61"},
                                                                                    {"SM_CLOCK", "1755"},
                                                                                    {"MEM_CLOCK", "1593"},
                                                                                    {"TOTAL_ENERGY_CONSUMPTION", "123456"},
                                                                                    {"XID_ERRORS", "79"},
                                                                                    {"UNCORRECTABLE_REMAPPED_ROWS", "1"},
                                                                                    {"CORRECTABLE_REMAPPED_ROWS", "3"},
                                                                                    {"ROW_REMAP_FAILURE", "0"}})
    EXPECT_THAT(text, HasSubstr("\nDCGM_FI_DEV_" + name + labels + value + "\n"));
  snapshot.source = DeviceSource::virtual_devices;
  EXPECT_THAT(metrics_text(metrics(snapshot)), Not(HasSubstr("DCGM_"))) << "these names say real";
}

TEST(NodeMetrics, AreAllInTheReadme) {
  NodeSnapshot snapshot = real_snapshot();
  snapshot.with_dcgm_names = true;
  std::ifstream file(ULTRAMARINE_SOURCE_DIR "/worker/metrics/README.md");
  const std::string readme{std::istreambuf_iterator<char>(file), {}};
  std::istringstream lines(metrics_text(metrics(snapshot)));
  int families = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# TYPE ", 0) != 0) continue;
    std::string name = line.substr(7, line.rfind(' ') - 7);
    if (name.rfind("ultramarine_", 0) == 0) name = name.substr(12);
    EXPECT_THAT(readme, HasSubstr("`" + name + "`"));
    ++families;
  }
  EXPECT_EQ(families, 35);
}

TEST(NodeMetrics, MeasuresHowLongTheSchedulerTakesToAnswer) {
  NodeMetrics all = metrics();
  all.on_heartbeat_answered(0.02);
  const std::string text = metrics_text(all);
  EXPECT_THAT(text, HasSubstr("ultramarine_agent_heartbeat_rtt_seconds_count{node=\"node01\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_agent_heartbeat_rtt_seconds_bucket{node=\"node01\",le=\"0.01\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("ultramarine_agent_heartbeat_rtt_seconds_bucket{node=\"node01\",le=\"0.025\"} 1\n"));
}

TEST(NodeMetrics, SeriesOfAGangVanishWithIt) {
  NodeMetrics all = metrics();
  NodeSnapshot idle = snapshot();
  idle.jobs.clear();
  all.update(idle);
  EXPECT_THAT(metrics_text(all), Not(HasSubstr("job_id")));
}

/// What promtool says of it, and how it ends.
std::pair<int, std::string> promtool_on(const std::string& text) {
  const std::string path = testing::TempDir() + "/node_metrics.txt";
  std::ofstream(path) << text;
  FILE* promtool = popen(("promtool check metrics < " + path + " 2>&1").c_str(), "r");
  if (!promtool) return {-1, "it can't be started"};
  std::string said;
  for (int c = std::fgetc(promtool); c != EOF; c = std::fgetc(promtool)) said.push_back(static_cast<char>(c));
  return {pclose(promtool), said};
}

TEST(NodeMetrics, PromtoolFindsNothingToSay) {
  EXPECT_EQ(promtool_on(metrics_text(metrics())), std::pair(0, std::string()));
  EXPECT_EQ(promtool_on(metrics_text(metrics(real_snapshot()))), std::pair(0, std::string()));
}

TEST(NodeMetrics, PromtoolDislikesOnlyALabelOfDcgmExporter) {
  NodeSnapshot snapshot = real_snapshot();
  snapshot.with_dcgm_names = true;
  std::istringstream lines(promtool_on(metrics_text(metrics(snapshot))).second);
  int remarks = 0;
  for (std::string line; std::getline(lines, line); ++remarks)
    EXPECT_THAT(line, testing::AllOf(testing::StartsWith("DCGM_FI_DEV_"), testing::EndsWith("label names should be written in 'snake_case' not 'camelCase'")));
  EXPECT_EQ(remarks, 12) << "modelName, of each name";
}

}  // namespace
}  // namespace ultramarine::worker_metrics
