#include "worker/launcher/attempt_scripts.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "worker/launcher/job_folder.h"
#include "worker/launcher/local_devices.h"
#include "worker/launcher/message_text.h"
#include "worker/launcher/rank_environment.h"

namespace ultramarine::launcher {
namespace {

constexpr std::string_view note_ending = ".begun";

AttemptScripts::Attempt attempt_of(const protocol::LaunchSpec& launch) { return {launch.key.job, launch.key.attempt}; }

std::map<std::string, std::string> variables_of(const AttemptScripts::Attempt& attempt) {
  return {{"ULTRA_JOB_ID", std::to_string(attempt.first.value)}, {"ULTRA_ATTEMPT", std::to_string(attempt.second)}};
}

/// Numbers and names that the site gives: nothing that the job's owner wrote. The list is in configs/README.md.
std::map<std::string, std::string> variables_of(const protocol::LaunchSpec& launch) {
  auto variables = variables_of(attempt_of(launch));
  variables["ULTRA_CLUSTER"] = launch.cluster;
  variables["ULTRA_NODE"] = launch.node;
  variables["ULTRA_UID"] = std::to_string(launch.owner.uid);
  variables["ULTRA_USER"] = launch.owner.name;
  variables["ULTRA_ACCOUNT"] = launch.spec.account;
  variables["ULTRA_PARTITION"] = launch.spec.partition;
  for (const NodeAllocation& part : job_allocation(launch)) {
    if (part.node != launch.node) continue;
    variables["ULTRA_DEVICES"] = list_of(part.devices);
    variables["CUDA_VISIBLE_DEVICES"] = launch.virtual_devices ? "" : visible_devices(launch, part.devices);
  }
  return variables;
}

/// "12.1.begun"
std::optional<AttemptScripts::Attempt> attempt_of_note(const std::string& name) {
  if (!name.ends_with(note_ending)) return std::nullopt;
  const auto key = parse_gang_key(name.substr(0, name.size() - note_ending.size()) + ".1");
  return key ? std::optional(AttemptScripts::Attempt{key->job, key->attempt}) : std::nullopt;
}

/// One of before notes had text says only that it has begun.
BegunNote read_note(const std::string& path, const AttemptScripts::Attempt& attempt) {
  try {
    if (const auto text = read_whole(path); text && !text->empty()) return from_text<BegunNote>(*text);
  } catch (const std::exception& error) {
    spdlog::warn("{}: {}", path, error.what());
  }
  return {.variables = variables_of(attempt)};
}

}  // namespace

AttemptScripts::AttemptScripts(net::Loop& loop, World world) : loop_(loop), world_(std::move(world)) { read_notes(); }

void AttemptScripts::read_notes() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(world_.notes_folder, error))
    if (const auto attempt = attempt_of_note(entry.path().filename().string()))
      begun_[*attempt] = read_note(entry.path().string(), *attempt);
}

std::string AttemptScripts::note_of(const Attempt& attempt) const {
  return world_.notes_folder + "/" + std::to_string(attempt.first.value) + "." + std::to_string(attempt.second) +
         std::string(note_ending);
}

void AttemptScripts::note(const Attempt& attempt, BegunNote begun) {
  const BegunNote& noted = begun_[attempt] = std::move(begun);
  try {
    make_private_folder(world_.notes_folder);
    write_durably(note_of(attempt), to_text(noted));
  } catch (const FolderError& error) {
    spdlog::warn("{}: should the agent be restarted, the prolog runs again, or the epilog doesn't run", error.what());
  }
}

bool AttemptScripts::is_ready(const Attempt& attempt) const {
  const auto begun = begun_.find(attempt);
  return begun != begun_.end() && begun->second.ready;
}

std::vector<protocol::AttemptKey> AttemptScripts::begun() const {
  std::vector<protocol::AttemptKey> attempts;
  for (const auto& [attempt, note] : begun_) attempts.push_back({attempt.first, attempt.second});
  return attempts;
}

std::set<AttemptScripts::Attempt> AttemptScripts::ending() const {
  std::set<Attempt> attempts = over_;
  attempts.insert(over_soon_.begin(), over_soon_.end());
  for (const auto& [attempt, script] : epilogs_) attempts.insert(attempt);
  return attempts;
}

void AttemptScripts::launch(const protocol::LaunchSpec& launch) {
  if (has_none()) return world_.launch(launch);
  waiting_.push_back({launch, ending()});
  go_on();
}

/// Each waiting launch as far as it can go.
void AttemptScripts::go_on() {
  const std::set<Attempt> still_ending = ending();
  std::vector<protocol::LaunchSpec> to_begin;
  for (Waiting& one : waiting_) {
    std::erase_if(one.before, [&](const Attempt& attempt) { return !still_ending.contains(attempt); });
    const Attempt attempt = attempt_of(one.launch);
    if (!one.before.empty() || is_ready(attempt) || prologs_.contains(attempt)) continue;
    if (world_.prolog.empty())
      note(attempt, {.variables = variables_of(one.launch)});
    else
      start_prolog(one.launch);
  }
  std::erase_if(waiting_, [&](const Waiting& one) {
    const bool goes = one.before.empty() && is_ready(attempt_of(one.launch));
    if (goes) to_begin.push_back(one.launch);
    return goes;
  });
  for (const protocol::LaunchSpec& launch : to_begin) world_.launch(launch);
}

/// Noted before it runs: what it does is the epilog's to undo, however far it comes.
void AttemptScripts::start_prolog(const protocol::LaunchSpec& launch) {
  const Attempt attempt = attempt_of(launch);
  note(attempt, {.ready = false, .variables = variables_of(launch)});
  prologs_[attempt] =
      std::make_unique<NodeScript>(loop_, world_.prolog, begun_.at(attempt).variables, world_.deadline,
                                   [this, attempt](const std::string& problem) { prolog_ended(attempt, problem); });
}

void AttemptScripts::prolog_ended(const Attempt& attempt, const std::string& problem) {
  const auto script = prologs_.extract(attempt);
  const std::string reason = "prolog " + world_.prolog + " " + problem;
  if (over_.erase(attempt) > 0) {
    if (!problem.empty()) world_.failed(reason, {});
    return end(attempt);
  }
  if (!problem.empty())
    return world_.failed(
        reason, take_waiting([&](const protocol::LaunchSpec& launch) { return attempt_of(launch) == attempt; }));
  note(attempt, {.variables = begun_.at(attempt).variables});
  go_on();
}

void AttemptScripts::over_soon(const Attempt& attempt) {
  if (begun_.contains(attempt)) over_soon_.insert(attempt);
}

void AttemptScripts::over(const Attempt& attempt) {
  over_soon_.erase(attempt);
  if (epilogs_.contains(attempt) || over_.contains(attempt) || !begun_.contains(attempt)) return;
  take_waiting([&](const protocol::LaunchSpec& launch) { return attempt_of(launch) == attempt; });
  const auto prolog = prologs_.find(attempt);
  if (prolog == prologs_.end()) return end(attempt);
  over_.insert(attempt);
  prolog->second->stop();
}

/// The note goes when this is done: an agent that doesn't live to see that leaves it to the next one.
void AttemptScripts::end(const Attempt& attempt) {
  if (world_.epilog.empty()) return epilog_ended(attempt, "");
  epilogs_[attempt] =
      std::make_unique<NodeScript>(loop_, world_.epilog, begun_.at(attempt).variables, world_.deadline,
                                   [this, attempt](const std::string& problem) { epilog_ended(attempt, problem); });
}

void AttemptScripts::epilog_ended(const Attempt& attempt, const std::string& problem) {
  const auto script = epilogs_.extract(attempt);
  begun_.erase(attempt);
  remove_file(note_of(attempt));
  if (!problem.empty())
    world_.failed("epilog " + world_.epilog + " " + problem,
                  take_waiting([](const protocol::LaunchSpec&) { return true; }));
  go_on();
}

std::vector<protocol::LaunchSpec> AttemptScripts::take_waiting(
    const std::function<bool(const protocol::LaunchSpec&)>& which) {
  std::vector<protocol::LaunchSpec> taken;
  std::erase_if(waiting_, [&](const Waiting& one) {
    const bool is_taken = which(one.launch);
    if (is_taken) taken.push_back(one.launch);
    return is_taken;
  });
  return taken;
}

bool AttemptScripts::is_waiting(const GangKey& key) const {
  return std::any_of(waiting_.begin(), waiting_.end(), [&](const Waiting& one) { return one.launch.key == key; });
}

bool AttemptScripts::forget(const GangKey& key) {
  return !take_waiting([&](const protocol::LaunchSpec& launch) { return launch.key == key; }).empty();
}

}  // namespace ultramarine::launcher
