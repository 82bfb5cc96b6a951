// What the agent makes of looks, Xids and ends of gangs, told step by step with its own clock.
#include "worker/agent/device_watch.h"

#include <gmock/gmock.h>

using namespace ultramarine;
using namespace ultramarine::agent;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

namespace {

const Time t0{1'000'000};
constexpr const char* fallen = "NVRM: Xid (PCI:0000:1a:00): 79, pid=7, name=python3, GPU has fallen off the bus.";

struct Watched : testing::Test {
  std::map<GangKey, worker_core::KnownGang> gangs;
  std::vector<GangReport> passed;
  std::vector<std::pair<std::vector<std::int64_t>, Failure>> lost;
  std::vector<std::string> troubles, notes;
  std::vector<std::string> order;
  std::int64_t looks = 0;
  DeviceWatch watch{{{.uuid = "GPU-a", .pci = "00000000:3B:00.0", .present = true}, {.uuid = "GPU-b", .pci = "00000000:1A:00.0", .present = true}, {.uuid = "GPU-c"}},
                    doors(true)};

  DeviceWatch::Doors doors(bool kernel_log) {
    return {.node = "node01",
            .release_ms = Duration{30'000},
            .tolerance_bytes = 1 << 20,
            .kernel_log = kernel_log,
            .pass =
                [this](const protocol::FromShim& message) {
                  if (const auto* report = std::get_if<GangReport>(&message)) passed.push_back(*report);
                  if (const auto* report = std::get_if<GangReport>(&message); report && report->phase == GangPhase::finished) gangs[report->key].report = *report;
                },
            .lost =
                [this](const std::vector<std::int64_t>& devices, const Failure& failure) {
                  lost.emplace_back(devices, failure);
                  order.push_back("lost");
                },
            .trouble =
                [this](const protocol::NodeTrouble& trouble) {
                  troubles.push_back(trouble.reason);
                  order.push_back("trouble");
                },
            .note = [this](const std::string& text) { notes.push_back(text); },
            .look_soon = [this] { return looks + 1; },
            .gangs = [this]() -> const std::map<GangKey, worker_core::KnownGang>& { return gangs; }};
  }
  GangKey gang(std::int64_t job, std::vector<std::int64_t> devices, std::int64_t number = 1) {
    const GangKey key{JobId{job}, 1, number};
    gangs[key].record.devices = std::move(devices);
    gangs[key].report = {.key = key, .phase = GangPhase::running, .pids = {100}};
    return key;
  }
  void end(Time now, const GangKey& key, Outcome outcome = Outcome::succeeded, GangPhase phase = GangPhase::finished) {
    GangReport report{.key = key, .phase = phase, .pids = {100}, .outcome = outcome};
    if (outcome == Outcome::failed) report.failure = Failure{.rank = 0, .node = "node01", .detail = "rank 0 exited with code 1", .at_ms = now};
    watch.on_shim(now, report);
  }
  void look(Time now, std::vector<devices::DeviceUse> uses = std::vector<devices::DeviceUse>(3)) { watch.on_look(now, {.number = ++looks, .reports = {}, .uses = std::move(uses)}); }
};

std::vector<devices::DeviceUse> used(std::int64_t pid, std::int64_t bytes) {
  std::vector<devices::DeviceUse> uses(3);
  if (pid > 0) uses[1].pids = {pid};
  uses[1].memory_used_bytes = bytes;
  return uses;
}

std::vector<devices::DeviceUse> without(std::size_t device) {
  std::vector<devices::DeviceUse> uses(3);
  uses[device].lost = true;
  return uses;
}

}  // namespace

using DeviceWatchTest = Watched;

TEST_F(DeviceWatchTest, EndIsHeldUntilTheDriverListsNothing) {
  const GangKey key = gang(5, {0, 1});
  look(t0);
  end(t0, key);
  EXPECT_THAT(passed, IsEmpty());
  look(t0 + Duration{10}, used(4711, 0));
  look(t0 + Duration{20}, used(0, 2 << 20));
  EXPECT_THAT(passed, IsEmpty());
  look(t0 + Duration{30}, used(0, 1 << 20));
  ASSERT_THAT(passed, SizeIs(1));
  EXPECT_EQ(passed[0].key, key);
  EXPECT_THAT(troubles, IsEmpty());
  EXPECT_FALSE(watch.next_wakeup());
}

TEST_F(DeviceWatchTest, LookThatBeganBeforeTheEndSaysNothing) {
  const GangKey key = gang(5, {1});
  looks = 3;
  end(t0, key);
  watch.on_look(t0, {.number = 3, .reports = {}, .uses = std::vector<devices::DeviceUse>(3)});
  EXPECT_THAT(passed, IsEmpty());
  watch.on_look(t0, {.number = 4, .reports = {}, .uses = std::vector<devices::DeviceUse>(3)});
  EXPECT_THAT(passed, SizeIs(1));
}

TEST_F(DeviceWatchTest, AfterTheTimeOutTheEndIsSaidAndTheNodeDrained) {
  const GangKey key = gang(5, {1});
  end(t0, key);
  look(t0 + Duration{100}, used(4711, 0));
  Time now = t0;
  for (int wakes = 0; passed.empty(); ++wakes) {
    ASSERT_LT(wakes, 1000);
    now = *watch.next_wakeup();
    watch.on_time(now);
  }
  EXPECT_EQ(now, t0 + Duration{30'000});
  EXPECT_THAT(troubles, ElementsAre(AllOf(HasSubstr("GPUs of job 5 are quarantined"), HasSubstr("process 4711 on device 1 (GPU-b)"), HasSubstr("30 s"))));
  EXPECT_FALSE(watch.next_wakeup());
}

TEST_F(DeviceWatchTest, WhatIsStillInUseIsNotGivenAwayThoughTheNodeWasResumed) {
  const GangKey key = gang(5, {0, 1});
  end(t0, key);
  look(t0 + Duration{100}, used(4711, 0));
  watch.on_time(t0 + Duration{30'000});
  ASSERT_THAT(passed, SizeIs(1));
  look(t0 + Duration{31'000}, used(4711, 0));
  EXPECT_EQ(watch.refusal(0), std::nullopt) << "nobody is there";
  EXPECT_THAT(watch.refusal(1).value_or(""), HasSubstr("device 1 (GPU-b) of node node01 isn't free of the job before: the driver lists process 4711"));
  look(t0 + Duration{32'000});
  EXPECT_EQ(watch.refusal(1), std::nullopt);
}

TEST_F(DeviceWatchTest, GangBesideOthersOfItsAttemptFreesNothing) {
  const GangKey script = gang(5, {0, 1}), run = gang(5, {1}, 2);
  end(t0, run);
  EXPECT_THAT(passed, SizeIs(1));
  end(t0, script);
  EXPECT_THAT(passed, SizeIs(1));
  look(t0);
  EXPECT_THAT(passed, SizeIs(2));
}

TEST_F(DeviceWatchTest, OtherWordsPassAtOnce) {
  const GangKey key = gang(5, {1});
  watch.on_shim(t0, GangReport{.key = key, .phase = GangPhase::running, .pids = {100}});
  watch.on_shim(t0, GangReport{.key = key, .phase = GangPhase::finished, .outcome = Outcome::start_failed});
  EXPECT_THAT(passed, SizeIs(2));
}

TEST_F(DeviceWatchTest, BothWitnessesCountOnce) {
  gang(5, {1});
  watch.on_xid(t0, 1, 79);
  EXPECT_THAT(lost, IsEmpty());
  watch.on_kernel(t0 + Duration{50}, *devices::parse_xid_line(fallen));
  ASSERT_THAT(lost, SizeIs(1));
  EXPECT_THAT(lost[0].first, ElementsAre(1));
  EXPECT_TRUE(lost[0].second.node_at_fault);
  EXPECT_THAT(lost[0].second.detail, AllOf(HasSubstr("device 1 (GPU-b)"), HasSubstr("Xid 79 (the GPU has fallen off the bus)"), HasSubstr(fallen)));
  EXPECT_THAT(troubles, ElementsAre(AllOf(HasSubstr(fallen), HasSubstr("ultra resume node01"))));
  EXPECT_THAT(order, ElementsAre("trouble", "lost"));
  watch.on_xid(t0 + Duration{9'000}, 1, 79);
  watch.on_kernel(t0 + Duration{9'000}, *devices::parse_xid_line(fallen));
  look(t0 + Duration{9'100}, without(1));
  watch.on_time(t0 + Duration{9'500});
  EXPECT_THAT(troubles, SizeIs(1));
  EXPECT_TRUE(watch.refusal(1));
  EXPECT_FALSE(watch.refusal(0));
}

TEST_F(DeviceWatchTest, OneWitnessIsEnough) {
  watch.on_xid(t0, 1, 79);
  ASSERT_EQ(watch.next_wakeup(), t0 + xid_second_witness);
  watch.on_time(t0 + xid_second_witness);
  EXPECT_THAT(troubles, SizeIs(1));
  EXPECT_THAT(lost, SizeIs(1));
}

TEST_F(DeviceWatchTest, LossIsSeenWithoutAnyXidAndNamedByOneThatCame) {
  look(t0, without(0));
  watch.on_time(t0 + xid_second_witness);
  ASSERT_THAT(lost, SizeIs(1));
  EXPECT_THAT(lost[0].second.detail, HasSubstr("device 0 (GPU-a) is lost"));
  look(t0 + Duration{1'000}, without(1));
  watch.on_xid(t0 + Duration{1'010}, 1, 79);
  watch.on_time(t0 + Duration{1'300});
  ASSERT_THAT(lost, SizeIs(2));
  EXPECT_THAT(lost[1].second.detail, HasSubstr("Xid 79"));
  look(t0 + Duration{5'000}, without(1));
  watch.on_time(t0 + Duration{6'000});
  EXPECT_THAT(lost, SizeIs(2));
  EXPECT_THAT(troubles, SizeIs(2));
}

TEST_F(DeviceWatchTest, FailureWaitsForTheDriversWord) {
  const GangKey key = gang(5, {1});
  end(t0, key, Outcome::failed, GangPhase::stopping);
  EXPECT_THAT(passed, IsEmpty());
  look(t0 + Duration{5}, without(1));
  EXPECT_THAT(passed, IsEmpty()) << "the loss is still to be judged";
  watch.on_time(t0 + Duration{305});
  EXPECT_THAT(lost, SizeIs(1));
  look(t0 + Duration{310}, without(1));
  EXPECT_THAT(passed, SizeIs(1));
  const GangKey silent = gang(6, {0});
  end(t0 + Duration{400}, silent, Outcome::failed, GangPhase::stopping);
  watch.on_time(t0 + Duration{400} + failure_patience);
  EXPECT_THAT(passed, SizeIs(2)) << "the driver does not answer";
  EXPECT_THAT(troubles, SizeIs(1));
}

TEST_F(DeviceWatchTest, MistakesOfProgramsAreSaidInTheirFailureAlone) {
  const GangKey fails = gang(5, {1}), lives = gang(6, {0});
  watch.on_kernel(t0, *devices::parse_xid_line("NVRM: Xid (PCI:0000:1a:00): 31, pid=7, name=python3, MMU Fault"));
  EXPECT_THAT(troubles, IsEmpty());
  EXPECT_THAT(lost, IsEmpty());
  EXPECT_THAT(notes, ElementsAre(HasSubstr("Xid 31")));
  end(t0, fails, Outcome::failed);
  end(t0, lives, Outcome::failed);
  look(t0);
  ASSERT_THAT(passed, SizeIs(2));
  EXPECT_THAT(passed[0].failure->detail, AllOf(HasSubstr("rank 0 exited with code 1; before that, device 1 (GPU-b) reported Xid 31"), HasSubstr("MMU Fault")));
  EXPECT_EQ(passed[0].outcome, Outcome::failed);
  EXPECT_EQ(passed[1].failure->detail, "rank 0 exited with code 1");
}

TEST_F(DeviceWatchTest, TroubleOfTheNodeStopsNobody) {
  gang(5, {1});
  watch.on_kernel(t0, *devices::parse_xid_line("NVRM: Xid (PCI:0000:1a:00): 119, pid=7, name=python3, Timeout waiting for RPC"));
  EXPECT_THAT(troubles, ElementsAre(AllOf(HasSubstr("Xid 119"), HasSubstr("Timeout waiting for RPC"))));
  EXPECT_THAT(lost, IsEmpty());
  watch.on_kernel(t0, *devices::parse_xid_line("NVRM: Xid (PCI:0000:1a:00): 12345, unheard of"));
  watch.on_kernel(t0, *devices::parse_xid_line("NVRM: Xid (PCI:0000:77:00): 79, of a GPU that isn't ours"));
  EXPECT_THAT(troubles, SizeIs(2));
  EXPECT_THAT(lost, IsEmpty());
}

TEST_F(DeviceWatchTest, WithoutAKernelLogNobodyWaitsForIt) {
  DeviceWatch alone({{.uuid = "GPU-a", .present = true}}, doors(false));
  alone.on_xid(t0, 0, 48);
  EXPECT_THAT(lost, SizeIs(1));
}

TEST_F(DeviceWatchTest, DeviceThatIsNotThereIsGivenToNobody) {
  EXPECT_THAT(*watch.refusal(2), HasSubstr("device 2 (GPU-c) of node node01 isn't there"));
  std::vector<devices::DeviceUse> uses(3);
  uses[0].reset_required = true;
  look(t0, uses);
  look(t0, uses);
  EXPECT_THAT(troubles, ElementsAre(HasSubstr("does nothing before it is reset")));
  EXPECT_THAT(*watch.refusal(0), HasSubstr("out of order"));
  look(t0);
  EXPECT_FALSE(watch.refusal(0));
}
