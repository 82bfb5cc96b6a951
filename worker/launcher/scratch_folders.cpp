#include "worker/launcher/scratch_folders.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <vector>

#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {
namespace {

constexpr Duration patience = hours(1);

/// The folder's name, or that of the note beside it.
std::optional<ScratchFolders::Attempt> parse_attempt(std::string_view name) {
  const auto key = parse_gang_key(std::string(name.substr(0, name.rfind(".until"))) + ".1");
  return key ? std::optional(ScratchFolders::Attempt{key->job, key->attempt}) : std::nullopt;
}

}  // namespace

std::string ScratchFolders::path_of(const Attempt& attempt) const {
  return base_.empty() ? "" : base_ + "/" + std::to_string(attempt.first.value) + "." + std::to_string(attempt.second);
}

void ScratchFolders::expect(const protocol::LaunchSpec& launch, Time now) const {
  if (base_.empty()) return;
  const Duration left = launch.time_left_ms.ms > 0 ? launch.time_left_ms : launch.spec.time_limit_ms;
  try {
    make_private_folder(base_);
    const std::string note = until_file({launch.key.job, launch.key.attempt});
    if (left.ms <= 0) return remove_file(note);  // without a limit only a word ends it
    write_durably(note, std::to_string((now + left + launch.spec.stop_grace_ms + patience).ms));
  } catch (const FolderError&) {
    // The shim says so when it can't make the folder.
  }
}

void ScratchFolders::over(const Attempt& attempt) {
  if (has_gangs_(attempt)) over_.insert(attempt);
  else remove(attempt);
}

void ScratchFolders::gang_gone(const Attempt& attempt) {
  if (!over_.contains(attempt) || has_gangs_(attempt)) return;
  over_.erase(attempt);
  remove(attempt);
}

void ScratchFolders::sweep(Time now) const {
  if (base_.empty()) return;
  std::error_code gone;
  std::set<Attempt> attempts;
  for (const auto& entry : std::filesystem::directory_iterator(base_, gone)) {
    if (const auto attempt = parse_attempt(entry.path().filename().string())) attempts.insert(*attempt);
  }
  for (const Attempt& attempt : attempts) {
    if (has_gangs_(attempt)) continue;
    std::string text;
    try {
      text = read_whole(until_file(attempt)).value_or("");
    } catch (const FolderError&) {
    }
    Time until;
    const bool has_end = std::from_chars(text.data(), text.data() + text.size(), until.ms).ec == std::errc();
    if (has_end && until < now) remove(attempt);
  }
}

void ScratchFolders::remove(const Attempt& attempt) const {
  if (base_.empty()) return;
  remove_folder(path_of(attempt));
  remove_file(until_file(attempt));
}

}  // namespace ultramarine::launcher
