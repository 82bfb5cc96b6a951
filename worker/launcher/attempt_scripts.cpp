#include "worker/launcher/attempt_scripts.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

#include "worker/launcher/job_folder.h"
#include "worker/launcher/rank_environment.h"

namespace ultramarine::launcher {
namespace {

AttemptScripts::Attempt attempt_of(const protocol::LaunchSpec& launch) { return {launch.key.job, launch.key.attempt}; }

std::map<std::string, std::string> variables_of(const AttemptScripts::Attempt& attempt) {
  return {{"ULTRA_JOB_ID", std::to_string(attempt.first.value)}, {"ULTRA_ATTEMPT", std::to_string(attempt.second)}};
}

/// Numbers and names of the site alone: nothing that a user wrote.
std::map<std::string, std::string> variables_of(const protocol::LaunchSpec& launch) {
  auto variables = variables_of(attempt_of(launch));
  variables["ULTRA_CLUSTER"] = launch.cluster;
  variables["ULTRA_NODE"] = launch.node;
  variables["ULTRA_UID"] = std::to_string(launch.owner.uid);
  for (const NodeAllocation& part : job_allocation(launch))
    if (part.node == launch.node) variables["ULTRA_DEVICES"] = list_of(part.devices);
  return variables;
}

}  // namespace

std::string AttemptScripts::note_of(const Attempt& attempt) const {
  return world_.notes_folder + "/" + std::to_string(attempt.first.value) + "." + std::to_string(attempt.second) + ".begun";
}

bool AttemptScripts::has_begun(const Attempt& attempt) const { return begun_.contains(attempt) || ::access(note_of(attempt).c_str(), F_OK) == 0; }

void AttemptScripts::note_begun(const Attempt& attempt) {
  begun_.insert(attempt);
  try {
    make_private_folder(world_.notes_folder);
    write_durably(note_of(attempt), "");
  } catch (const FolderError& error) {
    spdlog::warn("{}: should the agent be restarted, the prolog runs again", error.what());
  }
}

void AttemptScripts::launch(const protocol::LaunchSpec& launch) {
  if (has_none()) return world_.launch(launch);
  waiting_.push_back(launch);
  go_on();
}

/// Each waiting launch as far as it can go.
void AttemptScripts::go_on() {
  if (!epilogs_.empty() || !over_.empty()) return;
  std::vector<protocol::LaunchSpec> ready;
  std::erase_if(waiting_, [&](const protocol::LaunchSpec& launch) {
    const Attempt attempt = attempt_of(launch);
    if (prologs_.contains(attempt)) return false;
    if (!has_begun(attempt)) {
      if (!world_.prolog.empty()) {
        prologs_[attempt] = std::make_unique<NodeScript>(loop_, world_.prolog, variables_of(launch), world_.deadline,
                                                         [this, attempt](const std::string& problem) { prolog_ended(attempt, problem); });
        return false;
      }
      note_begun(attempt);
    }
    ready.push_back(launch);
    return true;
  });
  for (const protocol::LaunchSpec& launch : ready) world_.launch(launch);
}

void AttemptScripts::prolog_ended(const Attempt& attempt, const std::string& problem) {
  const auto script = prologs_.extract(attempt);
  const bool is_over = over_.erase(attempt) > 0;
  // Also when it failed: what it began, the epilog ends.
  note_begun(attempt);
  if (is_over) {
    if (!problem.empty()) world_.failed("prolog " + world_.prolog + " " + problem, {});
    return end(attempt);
  }
  if (problem.empty()) return go_on();
  std::vector<protocol::LaunchSpec> stopped;
  std::erase_if(waiting_, [&](const protocol::LaunchSpec& launch) {
    if (attempt_of(launch) == attempt) stopped.push_back(launch);
    return attempt_of(launch) == attempt;
  });
  world_.failed("prolog " + world_.prolog + " " + problem, stopped);
}

void AttemptScripts::over(const Attempt& attempt) {
  if (epilogs_.contains(attempt)) return;
  if (const auto prolog = prologs_.find(attempt); prolog != prologs_.end()) {
    over_.insert(attempt);
    std::erase_if(waiting_, [&](const protocol::LaunchSpec& launch) { return attempt_of(launch) == attempt; });
    return prolog->second->stop();
  }
  if (has_begun(attempt)) end(attempt);
}

/// Its prolog has ended.
void AttemptScripts::end(const Attempt& attempt) {
  begun_.erase(attempt);
  if (world_.epilog.empty()) {
    remove_file(note_of(attempt));
    return go_on();
  }
  epilogs_[attempt] = std::make_unique<NodeScript>(loop_, world_.epilog, variables_of(attempt), world_.deadline,
                                                   [this, attempt](const std::string& problem) { epilog_ended(attempt, problem); });
}

void AttemptScripts::epilog_ended(const Attempt& attempt, const std::string& problem) {
  const auto script = epilogs_.extract(attempt);
  remove_file(note_of(attempt));
  if (!problem.empty()) world_.failed("epilog " + world_.epilog + " " + problem, std::exchange(waiting_, {}));
  go_on();
}

bool AttemptScripts::is_waiting(const GangKey& key) const {
  return std::any_of(waiting_.begin(), waiting_.end(), [&](const protocol::LaunchSpec& launch) { return launch.key == key; });
}

bool AttemptScripts::forget(const GangKey& key) {
  return std::erase_if(waiting_, [&](const protocol::LaunchSpec& launch) { return launch.key == key; }) > 0;
}

}  // namespace ultramarine::launcher
