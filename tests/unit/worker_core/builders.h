// Short builders for the tests of the agent machine: one node of 8 devices, jobs of uid 1000.
#pragma once

#include <string>
#include <vector>

#include "worker/core/agent_machine.h"

namespace ultramarine::worker_core {

inline AgentIdentity node01() {
  return {.node = "node01", .uid = 1000, .user = "ann", .devices = 8, .boot_id = "boot", .version = "1", .address = "127.0.0.1"};
}

inline GangKey key_of(std::int64_t job, std::int64_t attempt = 1, std::int64_t gang = 1) { return {JobId{job}, attempt, gang}; }

inline protocol::Prepare prepare(GangKey key, std::vector<std::int64_t> devices = {0, 1}) {
  protocol::Prepare message;
  message.launch.key = key;
  message.launch.node = "node01";
  message.launch.spec.account = "vision";
  message.launch.spec.stop_grace_ms = seconds(7);
  message.launch.owner = {.uid = 1000, .name = "ann", .channel = "socket"};
  message.launch.allocation = {{"node00", {0, 1, 2}}, {"node01", std::move(devices)}};
  return message;
}

inline GangReport report(GangKey key, GangPhase phase) {
  GangReport message{.key = key, .phase = phase};
  if (phase == GangPhase::running) message.pids = {100, 101};
  if (phase == GangPhase::finished) message.outcome = Outcome::succeeded;
  return message;
}

inline protocol::Welcome welcome(std::int64_t heartbeat_ms = 1000) { return {.heartbeat_ms = heartbeat_ms}; }

/// The actions of one kind, in order.
template <class T>
std::vector<T> only(const Actions& actions) {
  std::vector<T> found;
  for (const Action& action : actions)
    if (const T* alternative = std::get_if<T>(&action)) found.push_back(*alternative);
  return found;
}
/// The messages of one kind that were sent to the scheduler.
template <class T>
std::vector<T> sent(const Actions& actions) {
  std::vector<T> found;
  for (const Send& send : only<Send>(actions))
    if (const T* alternative = std::get_if<T>(&send.message)) found.push_back(*alternative);
  return found;
}
/// The messages of one kind that were handed to shims.
template <class T>
std::vector<T> told(const Actions& actions) {
  std::vector<T> found;
  for (const TellShim& tell : only<TellShim>(actions))
    if (const T* alternative = std::get_if<T>(&tell.message)) found.push_back(*alternative);
  return found;
}

}  // namespace ultramarine::worker_core
