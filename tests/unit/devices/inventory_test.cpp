#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>

#include "worker/devices/process_cpu_time.h"
#include "worker/devices/virtual_inventory.h"

namespace ultramarine::devices {
namespace {

const NodeConfig node{.name = "node03", .gpus = 2, .gpu_type = "H100", .virtual_devices = true};

struct VirtualInventory : testing::Test {
  std::map<std::int64_t, Duration> cpu;
  std::unique_ptr<Inventory> inventory = make_virtual_inventory(node, [this](std::int64_t pid) -> std::optional<Duration> {
    const auto found = cpu.find(pid);
    return found == cpu.end() ? std::nullopt : std::optional(found->second);
  });
  std::int64_t utilization(std::int64_t now_ms, const DeviceUsers& users, std::size_t device = 0) {
    return inventory->sample(Time{now_ms}, users).at(device).utilization_permille.value_or(-1);
  }
};

TEST_F(VirtualInventory, NamesItsDevicesTheSameEachTime) {
  const auto devices = inventory->sample(Time{0}, {});
  ASSERT_EQ(devices.size(), 2u);
  EXPECT_EQ(devices[1].device, 1);
  EXPECT_EQ(devices[1].uuid, "VIRTUAL-node03-1");
  EXPECT_EQ(devices[1].model, "H100");
  EXPECT_EQ(devices[1].memory_total_bytes, 80LL << 30);
  EXPECT_EQ(inventory->source(), DeviceSource::virtual_devices);
  EXPECT_EQ(make_virtual_inventory(node, nullptr)->sample(Time{9}, {})[1].uuid, devices[1].uuid);
}

TEST_F(VirtualInventory, UtilizationIsCpuTimePerWallTimeOfEachDevicesOwnRanks) {
  const DeviceUsers users{{0, {100}}, {1, {200}}};
  cpu = {{100, milliseconds(5000)}, {200, milliseconds(0)}};
  EXPECT_EQ(utilization(1000, users), 0);
  cpu = {{100, milliseconds(5250)}, {200, milliseconds(900)}};
  const auto devices = inventory->sample(Time{2000}, users);
  EXPECT_EQ(devices[0].utilization_permille, 250);
  EXPECT_EQ(devices[1].utilization_permille, 900);
}

TEST_F(VirtualInventory, IsNeverBusierThanOneDevice) {
  cpu[100] = milliseconds(0);
  utilization(0, {{0, {100}}});
  cpu[100] = milliseconds(8000);
  EXPECT_EQ(utilization(1000, {{0, {100}}}), 1000);
}

TEST_F(VirtualInventory, NewRankDoesNotBringItsPast) {
  utilization(0, {});
  cpu[100] = milliseconds(60'000);
  EXPECT_EQ(utilization(1000, {{0, {100}}}), 0);
  cpu[100] = milliseconds(60'500);
  EXPECT_EQ(utilization(2000, {{0, {100}}}), 500);
}

TEST_F(VirtualInventory, DeviceIsIdleOnceItsRanksAreGone) {
  cpu[100] = milliseconds(0);
  utilization(0, {{0, {100}}});
  cpu[100] = milliseconds(1000);
  EXPECT_EQ(utilization(1000, {{0, {100}}}), 1000);
  cpu.clear();
  EXPECT_EQ(utilization(2000, {{0, {100}}}), 0);
  EXPECT_EQ(utilization(3000, {}), 0);
}

TEST_F(VirtualInventory, TwoLooksAtOneInstantGiveTheSameAnswer) {
  cpu[100] = milliseconds(0);
  utilization(0, {{0, {100}}});
  cpu[100] = milliseconds(400);
  EXPECT_EQ(utilization(1000, {{0, {100}}}), 400);
  EXPECT_EQ(utilization(1000, {{0, {100}}}), 400);
}

TEST(ProcessCpuTime, ReadsTheTimesBehindAnyName) {
  EXPECT_EQ(cpu_ticks_of_stat("12 (a b) c) S 1 12 12 0 -1 4194560 100 0 0 0 7 8 9 10 20 0 1 0 100"), 7 + 8 + 9 + 10);
  EXPECT_EQ(cpu_ticks_of_stat(""), std::nullopt);
  EXPECT_EQ(cpu_ticks_of_stat("12 (x) S 1 2"), std::nullopt);
}

TEST(ProcessCpuTime, CountsLivingAndEndedDescendants) {
  // A child burns 300 ms of CPU, lets a grandchild burn as much, says so through a pipe and stays.
  const auto burn = [] {
    for (const std::clock_t start = std::clock(); std::clock() - start < 3 * CLOCKS_PER_SEC / 10;) {
    }
  };
  int told[2], hold[2];
  ASSERT_EQ(pipe(told), 0);
  ASSERT_EQ(pipe(hold), 0);
  const pid_t child = fork();
  if (child == 0) {
    burn();
    if (fork() == 0) {
      burn();
      _exit(0);
    }
    wait(nullptr);
    char byte = 'x';
    const bool said = write(told[1], &byte, 1) == 1;
    close(hold[1]);
    _exit(said && read(hold[0], &byte, 1) == 0 ? 0 : 1);
  }
  char byte;
  ASSERT_EQ(read(told[0], &byte, 1), 1);
  const auto child_time = process_cpu_time(child);
  const auto own_time = process_cpu_time(getpid());
  for (const int fd : {told[0], told[1], hold[0], hold[1]}) close(fd);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(child_time && own_time);
  EXPECT_GE(child_time->ms, 550);
  EXPECT_LT(child_time->ms, 5000);
  EXPECT_GE(own_time->ms, child_time->ms);
  EXPECT_EQ(process_cpu_time(child), std::nullopt);
}

}  // namespace
}  // namespace ultramarine::devices
