#include "worker/agent/containment_record.h"

#include <boost/describe.hpp>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "scheduler/protocol/codec.h"
#include "worker/agent/options.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::agent {
namespace {

struct ContainmentRecord {
  std::string kind;
  std::vector<std::string> folders;
};
BOOST_DESCRIBE_STRUCT(ContainmentRecord, (), (kind, folders))

/// Of this node's groups: readable, and its own among the agents of one machine. FNV-1a of the state directory.
std::string group_name(const std::string& state_directory, const std::string& node) {
  std::uint32_t hash = 2166136261u;
  for (const char letter : state_directory) hash = (hash ^ static_cast<unsigned char>(letter)) * 16777619u;
  char text[16];
  std::snprintf(text, sizeof text, "-%08x", hash);
  return node + text;
}

}  // namespace

std::string containment_record(const std::string& state_directory) { return state_directory + "/containment.json"; }

std::shared_ptr<launcher::Containment> settle_containment(const std::string& state_directory, const std::string& node, const std::string& wish) {
  std::shared_ptr<launcher::Containment> containment;
  try {
    if (const auto text = launcher::read_whole(containment_record(state_directory))) {
      const auto record = protocol::from_json<ContainmentRecord>(*text);
      containment = launcher::reopen_containment(record.kind, record.folders);
    }
  } catch (const std::exception&) {
    // Of another version, or damaged: its groups are no worse than none.
  }
  try {
    if (!containment) containment = launcher::choose_containment(wish, group_name(state_directory, node));
    launcher::write_durably(containment_record(state_directory), protocol::to_json(ContainmentRecord{containment->kind(), containment->folders()}));
  } catch (const launcher::FolderError& error) {
    throw AgentError(exit_failure, std::string("agent.containment: ") + error.what() + "; \"auto\" takes the best that this node has");
  }
  return containment;
}

}  // namespace ultramarine::agent
