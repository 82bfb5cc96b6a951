// Real devices over a library made of a text file, and over the driver's own where this machine has one.
#include "worker/devices/real_inventory.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>

#include "worker/devices/nvml.h"

using namespace ultramarine;
using namespace ultramarine::devices;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

namespace {

const std::vector<std::string> abc{"GPU-a", "GPU-b", "GPU-c"};

/// A machine whose GPUs are lines of a file.
struct Machine : testing::Test {
  std::filesystem::path folder;
  std::map<std::string, std::string> lines{{"devices", "2"}, {"0.uuid", "GPU-a"}, {"1.uuid", "GPU-b"}, {"0.pci", "00000000:3B:00.0"}, {"1.pci", "00000000:1A:00.0"}};
  NodeConfig node{.name = "node01", .gpus = 2};

  void SetUp() override {
    std::array<char, 32> name{"/tmp/um-nvml-XXXXXX"};
    folder = ::mkdtemp(name.data());
    ::setenv("ULTRAMARINE_FAKE_NVML", (folder / "state").c_str(), 1);
    write();
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  void write(const std::string& more = "") {
    {
      std::ofstream file(folder / "next");
      for (const auto& [key, value] : lines) file << key << ' ' << value << '\n';
      file << more;
    }
    std::filesystem::rename(folder / "next", folder / "state");
  }
  std::unique_ptr<RealInventory> inventory(const std::vector<std::string>& known = {}) { return make_real_inventory(node, FAKE_NVML_LIBRARY, known); }
};

/// Collects what comes from the inventory's threads. Outlives the inventory.
struct Witness {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<DeviceLook> looks;
  std::vector<std::pair<std::int64_t, std::int64_t>> xids;

  void listen(RealInventory& inventory) {
    inventory.start(
        [this](const DeviceLook& look) {
          const std::lock_guard lock(mutex);
          looks.push_back(look);
          changed.notify_all();
        },
        [this](std::int64_t device, std::int64_t xid) {
          const std::lock_guard lock(mutex);
          xids.emplace_back(device, xid);
          changed.notify_all();
        });
  }
  bool sees(const std::function<bool()>& condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 20s, condition);
  }
};

}  // namespace

TEST(BindDevices, KeepsTheIndexOfEveryUuid) {
  EXPECT_THAT(bind_devices("n", 3, {}, abc).uuids, ElementsAre("GPU-a", "GPU-b", "GPU-c"));
  const Binding reordered = bind_devices("n", 3, abc, {"GPU-c", "GPU-a", "GPU-b"});
  EXPECT_EQ(reordered.uuids, abc);
  EXPECT_THAT(reordered.problems, IsEmpty());
}

TEST(BindDevices, SaysWhatIsMissingOrNew) {
  const Binding missing = bind_devices("n", 3, abc, {"GPU-c", "GPU-a"});
  EXPECT_EQ(missing.uuids, abc);
  ASSERT_THAT(missing.problems, SizeIs(2));
  EXPECT_THAT(missing.problems[0], testing::AllOf(HasSubstr("device 1 of node n was GPU-b"), HasSubstr("mend or replace it")));
  EXPECT_THAT(missing.problems[1], testing::AllOf(HasSubstr("lists 2 GPUs"), HasSubstr("gpus = 3")));

  const Binding exchanged = bind_devices("n", 3, abc, {"GPU-d", "GPU-c", "GPU-a"});
  EXPECT_THAT(exchanged.uuids, ElementsAre("GPU-a", "GPU-d", "GPU-c"));
  ASSERT_THAT(exchanged.problems, SizeIs(1));
  EXPECT_THAT(exchanged.problems[0], testing::AllOf(HasSubstr("was GPU-b"), HasSubstr("GPU-d has taken its place"), HasSubstr("ultra resume n")));

  const Binding fewer = bind_devices("n", 2, abc, {"GPU-a", "GPU-c"});
  EXPECT_THAT(fewer.uuids, ElementsAre("GPU-a", "GPU-c"));
  const Binding none = bind_devices("n", 2, {}, {});
  EXPECT_THAT(none.uuids, ElementsAre("", ""));
  EXPECT_THAT(none.problems, ElementsAre(HasSubstr("lists 0 GPUs")));
  EXPECT_THAT(bind_devices("n", 1, {}, abc).problems, ElementsAre(HasSubstr("lists 3 GPUs on node n, the cluster file says gpus = 1")));
}

TEST_F(Machine, ListsItsGpusWithoutMakingAnythingUp) {
  lines["0.used"] = "1000000";
  lines["0.util"] = "37";
  lines["1.power"] = lines["1.util"] = lines["1.ecc"] = "none";
  write();
  const auto gpus = inventory();
  EXPECT_EQ(gpus->source(), DeviceSource::nvml);
  EXPECT_THAT(gpus->problems(), IsEmpty());
  EXPECT_EQ(gpus->driver_version(), "570.1");
  ASSERT_THAT(gpus->devices(), SizeIs(2));
  EXPECT_EQ(gpus->devices()[0].uuid, "GPU-a");
  EXPECT_EQ(gpus->devices()[0].bus_position, 1);
  EXPECT_EQ(gpus->devices()[1].bus_position, 0);
  EXPECT_EQ(gpus->devices()[1].minor, 1);
  EXPECT_EQ(device_at(gpus->devices(), "0000:1a:00"), 1);
  EXPECT_EQ(device_at(gpus->devices(), "0000:77:00"), -1);
  const auto reports = gpus->sample(Time{1}, {});
  ASSERT_THAT(reports, SizeIs(2));
  EXPECT_EQ(reports[0].utilization_permille, 370);
  EXPECT_EQ(reports[0].memory_used_bytes, 1'000'000);
  EXPECT_EQ(reports[0].memory_total_bytes, 80LL << 30);
  EXPECT_EQ(reports[0].temperature_celsius, 30);
  EXPECT_EQ(reports[0].model, "NVIDIA FAKE");
  EXPECT_FALSE(reports[1].power_milliwatts);
  EXPECT_FALSE(reports[1].utilization_permille);
  EXPECT_FALSE(reports[1].ecc_corrected);
  EXPECT_EQ(reports[1].temperature_celsius, 30);
}

TEST_F(Machine, TellsHowItsGpusFeel) {
  lines["0.limit"] = "650000";
  lines["0.energy"] = "123456";
  lines["0.sm"] = "1755";
  lines["0.mem"] = "1593";
  lines["0.slow"] = "68";  // too hot for the hardware (64), at the power limit (4)
  lines["0.rows"] = "3";
  lines["0.bad_rows"] = "1";
  lines["0.pending"] = "1";
  lines["1.slow"] = lines["1.rows"] = lines["1.energy"] = "none";
  write();
  Witness witness;
  const auto gpus = inventory();
  witness.listen(*gpus);
  ASSERT_TRUE(witness.sees([&] { return witness.looks.size() >= 2; }));
  const DeviceLook look = witness.looks[1];
  ASSERT_THAT(look.healths, SizeIs(2));
  const DeviceHealth& first = look.healths[0];
  EXPECT_EQ(first.power_limit_milliwatts, 650'000);
  EXPECT_EQ(first.energy_millijoules, 123'456);
  EXPECT_EQ(first.sm_clock_mhz, 1755);
  EXPECT_EQ(first.memory_clock_mhz, 1593);
  EXPECT_EQ(first.rows_corrected, 3);
  EXPECT_EQ(first.rows_uncorrected, 1);
  EXPECT_EQ(first.row_remap_pending, true);
  EXPECT_EQ(first.row_remap_failed, false);
  ASSERT_TRUE(first.slowed);
  const auto slowed = [&](SlowedBy reason) { return (*first.slowed)[static_cast<std::size_t>(reason)].ms; };
  EXPECT_GT(slowed(SlowedBy::hw_thermal), 0);
  EXPECT_EQ(slowed(SlowedBy::power_cap), slowed(SlowedBy::hw_thermal));
  EXPECT_EQ(slowed(SlowedBy::power_brake), 0);
  EXPECT_FALSE(look.healths[1].slowed);
  EXPECT_FALSE(look.healths[1].rows_corrected);
  EXPECT_FALSE(look.healths[1].energy_millijoules);
  EXPECT_EQ(look.healths[1].sm_clock_mhz, 1980);
}

TEST_F(Machine, KeepsIndicesWhenTheDriverListsInAnotherOrder) {
  lines["order"] = "1,0";
  write();
  EXPECT_EQ(inventory()->devices()[0].uuid, "GPU-b");
  const auto later = inventory({"GPU-a", "GPU-b"});
  EXPECT_EQ(later->devices()[0].uuid, "GPU-a");
  EXPECT_EQ(later->devices()[0].minor, 0);
  EXPECT_EQ(later->devices()[1].uuid, "GPU-b");
  EXPECT_THAT(later->problems(), IsEmpty());
}

TEST_F(Machine, SaysInOneSentenceWhyThereIsNothing) {
  const auto nothing = make_real_inventory(node, "/nowhere/libnvidia-ml.so.1", {"GPU-a"});
  ASSERT_THAT(nothing->problems(), SizeIs(1));
  EXPECT_THAT(nothing->problems()[0], testing::AllOf(HasSubstr("GPUs of node node01 can't be listed"), HasSubstr("/nowhere/libnvidia-ml.so.1"),
                                                     HasSubstr("[agent] nvml_library"), HasSubstr("virtual = true")));
  EXPECT_THAT(nothing->sample(Time{1}, {}), IsEmpty());
  EXPECT_EQ(nothing->devices()[0].uuid, "GPU-a");
  EXPECT_FALSE(nothing->devices()[0].present);
  lines["broken"] = "1";
  write();
  EXPECT_THAT(inventory()->problems(), ElementsAre(HasSubstr("Driver Not Loaded")));
}

TEST_F(Machine, SeesAGpuThatIsLostAtTheNextStart) {
  lines["1.lost"] = "1";
  write();
  const auto gpus = inventory({"GPU-a", "GPU-b"});
  EXPECT_TRUE(gpus->devices()[0].present);
  EXPECT_FALSE(gpus->devices()[1].present);
  EXPECT_EQ(gpus->devices()[1].uuid, "GPU-b");
  EXPECT_THAT(gpus->problems(), testing::Contains(HasSubstr("device 1 of node node01 was GPU-b")));
}

TEST_F(Machine, TellsOfLossesProcessesAndXids) {
  Witness witness;
  const auto gpus = inventory();
  witness.listen(*gpus);
  // A pid that can't be: beyond what the kernel gives.
  write("1.pid " + std::to_string(::getpid()) + "\n1.pid 4194999\n1.used 5000\n1.xid 31\n");
  const std::int64_t wanted = gpus->look_soon();
  ASSERT_TRUE(witness.sees([&] { return !witness.looks.empty() && witness.looks.back().number >= wanted; }));
  EXPECT_THAT(witness.looks.back().uses.at(1).pids, ElementsAre(::getpid()));
  EXPECT_EQ(witness.looks.back().uses.at(1).memory_used_bytes, 5000);
  EXPECT_FALSE(witness.looks.back().uses.at(1).lost);
  ASSERT_TRUE(witness.sees([&] { return !witness.xids.empty(); }));
  EXPECT_EQ(witness.xids.at(0), std::pair(std::int64_t{1}, std::int64_t{31}));
  lines["1.lost"] = "1";
  write("1.xid 31\n");
  ASSERT_TRUE(witness.sees([&] { return witness.looks.back().uses.at(1).lost; }));
  EXPECT_FALSE(witness.looks.back().uses.at(0).lost);
  EXPECT_THAT(witness.xids, SizeIs(1));
}

TEST_F(Machine, AsksForMoreRoomWhenMoreProcessesAreThere) {
  std::string many;
  for (int i = 0; i < 100; ++i) many += "0.pid " + std::to_string(::getpid()) + "\n";
  write(many);
  Nvml nvml(FAKE_NVML_LIBRARY);
  int code = 0;
  EXPECT_THAT(nvml.read(nvml.device(0, code)).processes, SizeIs(100));
  EXPECT_EQ(nvml.device(7, code), nullptr);
  EXPECT_NE(code, nvml_success);
}

TEST(Nvml, RefusesALibraryThatIsAnother) {
  EXPECT_THAT([] { Nvml nvml("libc.so.6"); }, testing::ThrowsMessage<NvmlError>(HasSubstr("lacks functions of NVIDIA's management library")));
}

TEST(RealGpu, IsListedByTheDriver) {
  std::unique_ptr<Nvml> nvml;
  try {
    nvml = std::make_unique<Nvml>("libnvidia-ml.so.1");
  } catch (const NvmlError& error) {
    GTEST_SKIP() << "no NVIDIA driver here: " << error.what();
  }
  if (nvml->device_count() == 0) GTEST_SKIP() << "the driver lists no GPU";
  const auto gpus = make_real_inventory({.name = "here", .gpus = nvml->device_count()}, "", {});
  EXPECT_THAT(gpus->problems(), IsEmpty());
  for (const DeviceReport& report : gpus->sample(Time{1}, {})) {
    EXPECT_THAT(report.uuid, testing::StartsWith("GPU-"));
    EXPECT_GT(report.memory_total_bytes, 1LL << 30);
    EXPECT_LE(report.memory_used_bytes.value_or(0), report.memory_total_bytes);
    EXPECT_LE(report.utilization_permille.value_or(0), 1000);
  }
  for (std::int64_t index = 0; index < nvml->device_count(); ++index) {
    int code = 0;
    const NvmlReading reading = nvml->read(nvml->device(index, code));
    // Watts, not kilowatts; megahertz, not hertz: a field that was read wrongly would be far off.
    EXPECT_GT(reading.power_limit_milliwatts.value_or(300'000), 10'000);
    EXPECT_LT(reading.power_limit_milliwatts.value_or(300'000), 2'000'000);
    EXPECT_GT(reading.sm_clock_mhz.value_or(1'000), 0);
    EXPECT_LT(reading.sm_clock_mhz.value_or(1'000), 10'000);
    EXPECT_LT(reading.memory_clock_mhz.value_or(1'000), 50'000);
    EXPECT_GE(reading.energy_millijoules.value_or(0), 0);
    EXPECT_LT(reading.rows_corrected.value_or(0), 10'000);
  }
}
