// An agent in a folder of its own, with its scheduler at the other end of a real socket.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>

#include "scripted_scheduler.h"
#include "tests/unit/agent/temporary_folder.h"
#include "worker/agent/node_facts.h"
#include "worker/agent/user_name.h"
#include "worker/devices/virtual_inventory.h"

namespace ultramarine::agent {

struct AgentRoom : testing::Test {
  TemporaryFolder temporary;
  net::Loop loop;
  std::shared_ptr<launcher::MemoryShims> shims = std::make_shared<launcher::MemoryShims>();
  std::unique_ptr<ScriptedScheduler> scheduler = std::make_unique<ScriptedScheduler>(loop);
  AgentOptions options{.node = {.name = "node01", .gpus = 8, .gpu_type = "H100", .virtual_devices = true},
                       .address = "127.0.0.1",
                       .scheduler = scheduler->endpoint(),
                       .secret = "s3cret",
                       .state_directory = temporary.path + "/node01",
                       .root_jobs = true};
  std::optional<AgentError> fatal;
  std::unique_ptr<Agent> agent;

  void start() {
    agent = std::make_unique<Agent>(
        loop, options, devices::make_virtual_inventory(options.node, [](std::int64_t) { return std::optional<Duration>(); }),
        [this](net::Loop& the_loop, const std::string& jobs_folder, launcher::OnShimMessage on_message, launcher::OnTrouble) {
          return std::make_unique<FolderLauncher>(the_loop, jobs_folder, shims, std::move(on_message));
        },
        [this](const AgentError& error) { fatal = error; }, Backoff{std::chrono::milliseconds(5), std::chrono::milliseconds(20)});
    agent->start();
  }
  bool wait_until(const std::function<bool()>& condition) {
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30); std::chrono::steady_clock::now() < end;) {
      if (condition()) return true;
      loop.run_for(std::chrono::milliseconds(2));
    }
    return condition();
  }
  template <class T>
  bool receives(std::size_t count = 1) {
    return wait_until([&] { return scheduler->received<T>().size() >= count; });
  }
  bool connects() {
    start();
    return receives<protocol::Hello>();
  }
  void say(GangPhase phase, const GangKey& key) {
    GangReport report{.key = key, .phase = phase};
    if (phase == GangPhase::running) report.pids = {101, 102};
    if (phase == GangPhase::finished) report.outcome = Outcome::succeeded;
    shims->say(report);
  }
  /// A gang that runs on this node, seen by the scheduler.
  void run_gang(const GangKey& key) {
    scheduler->send(prepare_of(key));
    ASSERT_TRUE(wait_until([&] { return !shims->prepared.empty(); }));
    say(GangPhase::prepared, key);
    ASSERT_TRUE(wait_until([&] { return scheduler->reported(key, GangPhase::prepared); }));
    scheduler->send(protocol::Start{key, {}});
    ASSERT_TRUE(wait_until([&] { return !shims->sent.empty(); }));
    say(GangPhase::running, key);
    ASSERT_TRUE(wait_until([&] { return scheduler->reported(key, GangPhase::running); }));
  }
};

}  // namespace ultramarine::agent
