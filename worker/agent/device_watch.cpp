#include "worker/agent/device_watch.h"

#include <algorithm>
#include <utility>

#include "worker/devices/xid_table.h"

namespace ultramarine::agent {

using devices::XidEffect;

namespace {

constexpr std::size_t blames_max = 3;
constexpr std::int64_t driver_says_lost = 0;

std::string xid_text(std::int64_t xid) {
  const devices::XidRow* const row = devices::find_xid(xid);
  return "Xid " + std::to_string(xid) + " (" + (row ? row->name : "not in the agent's table") + ")";
}

std::string mebibytes(std::int64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

DeviceWatch::DeviceWatch(std::vector<devices::RealDevice> devices, Doors doors)
    : devices_(std::move(devices)), doors_(std::move(doors)), conditions_(devices_.size()) {}

// ---- what the shims say ------------------------------------------------------------------------------------------

void DeviceWatch::on_shim(Time now, const protocol::FromShim& message) {
  const auto* const report = std::get_if<GangReport>(&message);
  if (!report || (report->phase != GangPhase::finished && !report->failure)) return doors_.pass(message);
  const auto devices = devices_of(report->key);
  const bool is_end = report->phase == GangPhase::finished;
  // A gang that goes while another one of its attempt stays frees nothing; one that never ran a rank has touched nothing.
  const bool frees = is_end && !(report->outcome == Outcome::start_failed && report->pids.empty()) && !shares_with_living(report->key, devices);
  if (devices.empty() || (!report->failure && !frees)) return doors_.pass(message);
  const auto known = held_.find(report->key);
  if (known != held_.end() && known->second.report.phase == GangPhase::finished) return;
  held_[report->key] = Held{.report = *report,
                            .look = doors_.look_soon(),
                            .since_ms = now,
                            .until_ms = now + (frees ? doors_.release_ms : failure_patience),
                            .next_look_ms = now + release_interval,
                            .problem = frees ? "the driver does not answer" : ""};
}

void DeviceWatch::release(const GangKey& key) {
  auto node = held_.extract(key);
  GangReport& report = node.mapped().report;
  const auto blamed = blames_.find(key);
  if (blamed != blames_.end() && report.failure && report.outcome != Outcome::cancelled)
    for (const std::string& blame : blamed->second) report.failure->detail += "; before that, " + blame;
  if (report.phase == GangPhase::finished) blames_.erase(key);
  doors_.pass(report);
}

// ---- what the driver says ----------------------------------------------------------------------------------------

void DeviceWatch::on_look(Time now, const devices::DeviceLook& look) {
  for (std::size_t i = 0; i < look.uses.size() && i < devices_.size(); ++i) {
    const auto device = static_cast<std::int64_t>(i);
    if (look.uses[i].lost && !conditions_[i].lost) sight(now, {device, driver_says_lost}, "");
    if (look.uses[i].reset_required && !std::exchange(conditions_[i].needs_reset, true))
      doors_.trouble({.reason = name_of(device) + " does nothing before it is reset; reset it or reboot the node, restart ultra-agent, then run: ultra resume " + doors_.node});
    if (!look.uses[i].reset_required) conditions_[i].needs_reset = false;
    if (!conditions_[i].occupied.empty()) conditions_[i].occupied = in_use({device}, look);
    if (!look.uses[i].lost && !look.uses[i].reset_required && devices_[i].present) {
      // It answers again: after a reset, say.
      conditions_[i].lost = false;
      sightings_.erase({device, driver_says_lost});
    }
  }
  std::vector<GangKey> ready;
  for (auto& [key, held] : held_) {
    if (look.number < held.look) continue;
    const auto devices = devices_of(key);
    // A device about which somebody may still say more is judged first.
    const bool open = std::any_of(sightings_.begin(), sightings_.end(), [&](const auto& one) {
      return !one.second.judged && std::find(devices.begin(), devices.end(), one.first.first) != devices.end();
    });
    const bool frees = held.report.phase == GangPhase::finished && !shares_with_living(key, devices);
    held.problem = frees ? in_use(devices, look) : "";
    if (!open && held.problem.empty()) ready.push_back(key);
  }
  for (const GangKey& key : ready) release(key);
}

void DeviceWatch::on_xid(Time now, std::int64_t device, std::int64_t xid) { sight(now, {device, xid}, ""); }

void DeviceWatch::on_kernel(Time now, const devices::KernelXid& line) { sight(now, {devices::device_at(devices_, line.address), line.xid}, line.line); }

/// The first witness starts the clock, the second one ends the wait.
void DeviceWatch::sight(Time now, What what, const std::string& line) {
  std::erase_if(sightings_, [&](const auto& one) { return one.second.judged && one.first.second != driver_says_lost && now >= one.second.since_ms + xid_repeat; });
  const auto [place, is_new] = sightings_.try_emplace(what, Sighting{.since_ms = now, .until_ms = now + xid_second_witness, .line = {}});
  Sighting& sighting = place->second;
  const bool is_second = !is_new && sighting.line.empty() && !line.empty();
  if (sighting.line.empty()) sighting.line = line;
  if (sighting.judged) {
    if (is_second) doors_.note("device " + std::to_string(what.first) + ": the kernel says so, too: " + line);
    return;
  }
  if (!line.empty() || (!doors_.kernel_log && what.second != driver_says_lost)) judge(now, what, sighting);
}

void DeviceWatch::judge(Time now, What what, Sighting& sighting) {
  sighting.judged = true;
  const auto [device, xid] = what;
  const std::string kernel = sighting.line.empty() ? "" : "; the kernel: " + sighting.line;
  const std::string who = name_of(device);
  if (xid == driver_says_lost) {
    // An Xid that both witnesses may still speak of says more.
    for (auto& [other, unjudged] : sightings_)
      if (other.first == device && !unjudged.judged) judge(now, other, unjudged);
    if (conditions_[static_cast<std::size_t>(device)].lost) return;
  }
  if (xid == driver_says_lost) return declare_lost(now, device, who + " is lost: the driver can't reach it any more" + kernel);
  const std::string said = who + " reported " + xid_text(xid) + kernel;
  doors_.note(said);
  const devices::XidRow* const row = devices::find_xid(xid);
  switch (row ? row->effect : XidEffect::note) {
    case XidEffect::note: return;
    case XidEffect::blame_job:
      for (const auto& [key, gang] : doors_.gangs()) {
        const auto& used = gang.record.devices;
        if (!gang.live() || std::find(used.begin(), used.end(), device) == used.end()) continue;
        std::vector<std::string>& blames = blames_[key];
        if (blames.size() < blames_max) blames.push_back(said);
      }
      return;
    case XidEffect::fail_job: return declare_lost(now, device, said);
    case XidEffect::drain_node: return doors_.trouble({.reason = said + "; reset the GPU or reboot the node, restart ultra-agent, then run: ultra resume " + doors_.node});
  }
}

/// The node's trouble is said first: a gang that failed because of it is then known to be blameless.
void DeviceWatch::declare_lost(Time now, std::int64_t device, const std::string& why) {
  if (device >= 0 && std::exchange(conditions_[static_cast<std::size_t>(device)].lost, true)) return;
  doors_.trouble({.reason = why + "; reset the GPU or reboot the node, restart ultra-agent, then run: ultra resume " + doors_.node});
  if (device >= 0) doors_.lost({device}, Failure{.node = doors_.node, .detail = why, .node_at_fault = true, .at_ms = now});
}

// ---- time --------------------------------------------------------------------------------------------------------

void DeviceWatch::on_time(Time now) {
  for (auto& [what, sighting] : sightings_)
    if (!sighting.judged && now >= sighting.until_ms) judge(now, what, sighting);
  std::erase_if(blames_, [this](const auto& one) {
    const auto gang = doors_.gangs().find(one.first);
    return gang == doors_.gangs().end() || (!gang->second.live() && !held_.contains(one.first));
  });
  std::vector<GangKey> late;
  for (auto& [key, held] : held_) {
    if (now >= held.until_ms) late.push_back(key);
    if (now < held.next_look_ms) continue;
    held.look = std::min(held.look, doors_.look_soon());
    held.next_look_ms = now + release_interval;
  }
  for (const GangKey& key : late) {
    const Held& held = held_.at(key);
    if (!held.problem.empty()) {
      for (const std::int64_t device : devices_of(key)) conditions_.at(static_cast<std::size_t>(device)).occupied = held.problem;
      doors_.trouble({.reason = "GPUs of job " + std::to_string(key.job.value) + " are quarantined: " + std::to_string((now - held.since_ms).ms / 1000) +
                                " s after its end " + held.problem});
    }
    release(key);
  }
}

std::optional<Time> DeviceWatch::next_wakeup() const {
  std::optional<Time> next;
  const auto at = [&next](Time time) { next = next ? std::min(*next, time) : time; };
  for (const auto& [what, sighting] : sightings_)
    if (!sighting.judged) at(sighting.until_ms);
  for (const auto& [key, held] : held_) at(std::min(held.until_ms, held.next_look_ms));
  return next;
}

// ---- parts -------------------------------------------------------------------------------------------------------

std::optional<std::string> DeviceWatch::refusal(std::int64_t device) const {
  if (device < 0 || device >= static_cast<std::int64_t>(devices_.size())) return std::nullopt;
  const auto index = static_cast<std::size_t>(device);
  if (!devices_[index].present) return name_of(device) + " of node " + doors_.node + " isn't there: the driver doesn't list it";
  if (conditions_[index].lost || conditions_[index].needs_reset) return name_of(device) + " of node " + doors_.node + " is out of order until it is reset";
  // Somebody may have resumed the node since.
  if (const std::string& occupied = conditions_[index].occupied; !occupied.empty())
    return name_of(device) + " of node " + doors_.node + " isn't free of the job before: " + occupied;
  return std::nullopt;
}

std::vector<std::int64_t> DeviceWatch::devices_of(const GangKey& key) const {
  const auto& gangs = doors_.gangs();
  const auto known = gangs.find(key);
  return known == gangs.end() || !known->second.live() ? std::vector<std::int64_t>() : known->second.record.devices;
}

bool DeviceWatch::shares_with_living(const GangKey& key, const std::vector<std::int64_t>& devices) const {
  const auto& gangs = doors_.gangs();
  return std::any_of(gangs.begin(), gangs.end(), [&](const auto& other) {
    const auto& used = other.second.record.devices;
    return other.first != key && other.second.live() && !held_.contains(other.first) &&
           std::any_of(used.begin(), used.end(), [&](std::int64_t device) { return std::find(devices.begin(), devices.end(), device) != devices.end(); });
  });
}

/// What the driver still knows on these devices, in words; "" = nothing. Of a device that is out of order there is nothing to wait for.
std::string DeviceWatch::in_use(const std::vector<std::int64_t>& devices, const devices::DeviceLook& look) const {
  for (const std::int64_t device : devices) {
    const auto index = static_cast<std::size_t>(device);
    if (device < 0 || index >= look.uses.size() || conditions_[index].lost) continue;
    const devices::DeviceUse& use = look.uses[index];
    if (!use.pids.empty()) return "the driver lists process " + std::to_string(use.pids.front()) + " on " + name_of(device);
    if (use.memory_used_bytes.value_or(0) > doors_.tolerance_bytes)
      return name_of(device) + " has " + mebibytes(*use.memory_used_bytes) + " in use, more than the " + mebibytes(doors_.tolerance_bytes) +
             " of [agent] device_tolerance";
  }
  return "";
}

std::string DeviceWatch::name_of(std::int64_t device) const {
  if (device < 0) return "a GPU that no device index stands for";
  const std::string& uuid = devices_[static_cast<std::size_t>(device)].uuid;
  return "device " + std::to_string(device) + (uuid.empty() ? "" : " (" + uuid + ")");
}

}  // namespace ultramarine::agent
