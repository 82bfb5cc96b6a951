// Whether this node may start its part of a launch at all: right node, right user, devices that exist. Questions about one
// launch and this node only; what other gangs hold is the agent machine's business.
#pragma once

#include <optional>
#include <string>

#include "scheduler/protocol/agent_messages.h"
#include "worker/core/agent_memory.h"

namespace ultramarine::worker_core {

/// Who this agent is; fixed for its life.
struct AgentIdentity {
  std::string node;
  std::int64_t uid = -1;  // the user that the agent runs as, and every rank, too, unless that is root
  std::string user;
  std::int64_t devices = 0;  // this node has the indices 0 .. devices - 1
  DeviceSource source = DeviceSource::virtual_devices;
  std::string boot_id;
  std::string version;
  std::string address;  // where the ranks of other nodes reach this node
  // Of an agent that is root: its ranks run as the owners of their jobs.
  std::int64_t minimum_uid = 1000;  // owners with a smaller uid are refused
  bool root_jobs = false;           // but root's own jobs run, as root
};

/// Why this node can't start the launch, in one sentence with the remedy; nullopt when it can.
std::optional<std::string> refusal(const AgentIdentity& identity, const protocol::LaunchSpec& launch);

/// What is to be remembered of a launch. The launch must have passed `refusal`.
GangRecord record_of(const AgentIdentity& identity, const protocol::LaunchSpec& launch);

}  // namespace ultramarine::worker_core
