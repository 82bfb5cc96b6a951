// A job that is being launched, for tests of what silence and reports lead to.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "scheduler/core/gangs.h"
#include "scheduler/core/liveness.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {

/// A 16-GPU job just decided on two nodes that have said hello.
class Launch : public testing::Test {
 protected:
  Launch() {
    driver.round();
    for (const char* node : {"node1", "node2"}) hello(node, {});
  }

  void hello(const std::string& node, std::vector<GangKey> gangs) {
    auto& heard = liveness.nodes[node];
    heard.connected = true;
    heard.last_heard_ms = driver.now;
    heard.known_gangs = std::move(gangs);
  }
  GangReport& report(const std::string& node, GangPhase phase) {
    GangReport& report = liveness.gangs[key].nodes[node];
    report.key = key;
    report.phase = phase;
    auto& known = liveness.nodes[node].known_gangs;
    if (std::find(known.begin(), known.end(), key) == known.end()) known.push_back(key);
    liveness.nodes[node].last_heard_ms = driver.now;
    return report;
  }
  void both(GangPhase phase) {
    report("node1", phase);
    report("node2", phase);
  }
  void fail(const std::string& node, GangPhase phase, Outcome outcome, std::int64_t rank, Time at = {}) {
    GangReport& failed = report(node, phase);
    failed.outcome = outcome;
    failed.failure = Failure{.rank = rank, .node = node, .at_ms = at};
  }
  std::vector<Event> due() { return due_events(driver.scheduler.state(), liveness, driver.now); }
  /// Types of the events that are due; applies them.
  std::vector<std::string> step() {
    std::vector<std::string> types;
    for (const Event& event : due()) {
      types.push_back(std::visit([](const auto& e) { return std::string(e.type); }, event));
      driver.apply(to_entry(event));
    }
    return types;
  }
  void run_both() {
    both(GangPhase::running);
    ASSERT_EQ(step(), std::vector<std::string>{"gang_started"});
  }
  LaunchStep told(const std::string& node) { return launch_step(driver.scheduler.state(), liveness, key, node); }
  void later(Duration length) {
    driver.now = driver.now + length;
    for (auto& [name, node] : liveness.nodes) node.last_heard_ms = driver.now;
  }
  JobState state() { return driver.state(id); }

  Driver driver{cluster_of(2, 8)};
  JobId id = driver.submit(16, hours(1));
  GangKey key{id, 1, 1};
  Liveness liveness;
  const std::vector<std::string> nothing{};
  const std::vector<std::string> the_end{"gang_finished", "attempt_ended"};
};

}  // namespace ultramarine::core
