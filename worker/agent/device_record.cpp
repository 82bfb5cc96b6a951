#include "worker/agent/device_record.h"

#include <boost/describe.hpp>

#include "scheduler/protocol/codec.h"
#include "worker/agent/options.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::agent {
namespace {

struct DeviceRecord {
  std::vector<std::string> uuids;
};
BOOST_DESCRIBE_STRUCT(DeviceRecord, (), (uuids))

}  // namespace

std::string device_record(const std::string& state_directory) { return state_directory + "/devices.json"; }

std::vector<std::string> read_device_record(const std::string& state_directory) {
  try {
    if (const auto text = launcher::read_whole(device_record(state_directory))) return protocol::from_json<DeviceRecord>(*text).uuids;
  } catch (const std::exception&) {
    // Damaged: the driver's order is no worse than none.
  }
  return {};
}

void write_device_record(const std::string& state_directory, const std::vector<devices::RealDevice>& devices) {
  DeviceRecord record;
  for (const devices::RealDevice& device : devices) record.uuids.push_back(device.uuid);
  if (record.uuids == read_device_record(state_directory)) return;
  try {
    launcher::write_durably(device_record(state_directory), protocol::to_json(record));
  } catch (const launcher::FolderError& error) {
    throw AgentError(exit_failure, std::string("state_directory: ") + error.what());
  }
}

}  // namespace ultramarine::agent
