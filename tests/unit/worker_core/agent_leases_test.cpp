// How an agent passes on that the scheduler still hears its node.
#include "connected.h"

namespace ultramarine::worker_core {
namespace {

using namespace protocol;

/// Two gangs that run, of which the second ends itself when it is alone for 10 s.
struct Leased : Connected {
  Leased() {
    for (const std::int64_t job : {1, 2}) {
      command(prepare(key_of(job), {job}));
      machine.on_shim(t0, report(key_of(job), GangPhase::prepared));
      machine.on_shim(t0, running(job, job == 2 ? seconds(10) : Duration{}));
    }
  }
  GangReport running(std::int64_t job, Duration promise) const {
    GangReport running = report(key_of(job), GangPhase::running);
    running.self_stop_ms = promise;
    return running;
  }
  std::int64_t heartbeat(Time now) { return sent<Heartbeat>(machine.on_time(now)).at(0).sequence; }
};
using AgentLeases = Leased;

TEST_F(AgentLeases, GoToThePartsThatWouldEndThemselves) {
  const std::int64_t first = heartbeat(t0 + seconds(1));
  const auto leases = told<Lease>(command(Heard{first}, t0 + seconds(1)));
  ASSERT_EQ(leases.size(), 1U);
  EXPECT_EQ(leases[0].key, key_of(2));
  machine.on_shim(t0, report(key_of(2), GangPhase::finished));
  EXPECT_TRUE(told<Lease>(command(Heard{heartbeat(t0 + seconds(2))}, t0 + seconds(2))).empty());
}

TEST_F(AgentLeases, CountFromWhenTheHeartbeatWasSentHoweverLateItsAnswerComes) {
  // The scheduler may have heard nothing since: it counts the node's silence from that heartbeat, and waits for no longer.
  const std::int64_t first = heartbeat(t0 + seconds(1));
  const std::int64_t second = heartbeat(t0 + seconds(2));
  EXPECT_EQ(told<Lease>(command(Heard{first}, t0 + seconds(31))).at(0).age_ms, seconds(30));
  EXPECT_EQ(told<Lease>(command(Heard{second}, t0 + seconds(31))).at(0).age_ms, seconds(29));
}

TEST_F(AgentLeases, AreNotRenewedByWhatIsDoubledOvertakenOrWasNeverAsked) {
  const std::int64_t first = heartbeat(t0 + seconds(1));
  const std::int64_t second = heartbeat(t0 + seconds(2));
  EXPECT_EQ(told<Lease>(command(Heard{second}, t0 + seconds(2))).size(), 1U);
  EXPECT_TRUE(told<Lease>(command(Heard{second}, t0 + seconds(3))).empty());
  EXPECT_TRUE(told<Lease>(command(Heard{first}, t0 + seconds(3))).empty());
  EXPECT_TRUE(told<Lease>(command(Heard{second + 1}, t0 + seconds(3))).empty());
}

TEST_F(AgentLeases, SayWhichPromiseTheSchedulerHasHeard) {
  const std::int64_t first = heartbeat(t0 + seconds(1));
  machine.on_shim(t0 + seconds(1), running(2, seconds(40)));
  EXPECT_EQ(told<Lease>(command(Heard{first}, t0 + seconds(1))).at(0).self_stop_ms, Duration{}) << "that heartbeat went before the promise";
  EXPECT_EQ(told<Lease>(command(Heard{heartbeat(t0 + seconds(2))}, t0 + seconds(2))).at(0).self_stop_ms, seconds(40));
  machine.on_disconnected();
  machine.on_shim(t0 + seconds(3), running(2, seconds(90)));
  machine.on_connected();
  machine.on_scheduler(t0 + seconds(4), welcome());
  EXPECT_EQ(told<Lease>(command(Heard{heartbeat(t0 + seconds(5))}, t0 + seconds(5))).at(0).self_stop_ms, seconds(90)) << "said again after the welcome";
}

}  // namespace
}  // namespace ultramarine::worker_core
