// The launcher over real shims: one client per gang, found again from the jobs folder.
#include <filesystem>
#include <map>

#include "worker/launcher/job_folder.h"
#include "worker/launcher/launcher.h"
#include "worker/launcher/scratch_folders.h"
#include "worker/launcher/shim_client.h"
#include "worker/launcher/wall_clock.h"

namespace ultramarine::launcher {
namespace {

namespace fs = std::filesystem;

/// rank_R.out, rank_R.err, and what is noted beside them.
bool is_log(const std::string& name) { return name.starts_with("rank_"); }

bool holds_more_than_logs(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!is_log(entry.path().filename().string())) return true;
  }
  return false;
}

class ShimLauncher final : public Launcher {
 public:
  ShimLauncher(net::Loop& loop, LauncherOptions options, OnShimMessage on_message)
      : loop_(loop), options_(std::move(options)), on_message_(std::make_shared<OnShimMessage>(std::move(on_message))) {}

  void prepare(const protocol::LaunchSpec& launch) override {
    if (const auto known = clients_.find(launch.key); known != clients_.end()) return known->second->repeat();
    scratch_.expect(launch, wall_clock_now());
    const bool had_shim = holds_more_than_logs(folder(launch.key));
    const auto client = add(launch.key);
    if (had_shim) {
      client->adopt();
    } else {
      client->launch(launch);
    }
  }

  void send(const GangKey& key, const protocol::ToShim& message) override {
    if (const auto known = clients_.find(key); known != clients_.end()) return known->second->send(message);
    // Nothing of it is here, so it is at its end as far as this node goes. Only a stop asks for that answer.
    if (!std::holds_alternative<protocol::Stop>(message)) return;
    loop_.post([weak = std::weak_ptr<OnShimMessage>(on_message_), key] {
      const auto handler = weak.lock();
      if (handler) (*handler)(GangReport{.key = key, .phase = GangPhase::finished, .outcome = Outcome::cancelled});
    });
  }

  void adopt() override {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(options_.jobs_folder, error)) {
      const auto key = parse_gang_key(entry.path().filename().string());
      if (!key || clients_.contains(*key) || !holds_more_than_logs(entry.path().string())) continue;
      add(*key)->adopt();
    }
    scratch_.sweep(wall_clock_now());
  }

  void forget(const GangKey& key) override {
    clients_.erase(key);
    if (key.gang == 1) scratch_.over({key.job, key.attempt});
    scratch_.gang_gone({key.job, key.attempt});
    scratch_.sweep(wall_clock_now());
    const std::string path = folder(key);
    std::error_code error;
    std::vector<fs::path> unwanted;
    bool has_logs = false;
    for (const auto& entry : fs::directory_iterator(path, error)) {
      if (is_log(entry.path().filename().string())) {
        has_logs = true;
      } else {
        unwanted.push_back(entry.path());
      }
    }
    for (const fs::path& file : unwanted) remove_folder(file.string());
    if (!has_logs) remove_folder(path);
  }

  void attempt_over(JobId job, std::int64_t attempt) override { scratch_.over({job, attempt}); }

  std::string folder(const GangKey& key) const override { return options_.jobs_folder + "/" + text_of(key); }

 private:
  bool has_gangs(const ScratchFolders::Attempt& attempt) const {
    const auto first = clients_.lower_bound(GangKey{attempt.first, attempt.second, 0});
    return first != clients_.end() && first->first.job == attempt.first && first->first.attempt == attempt.second;
  }

  std::shared_ptr<ShimClient> add(const GangKey& key) {
    const std::string scratch = scratch_.path_of({key.job, key.attempt});
    return clients_.emplace(key, std::make_shared<ShimClient>(loop_, key, options_, scratch, on_message_)).first->second;
  }

  net::Loop& loop_;
  const LauncherOptions options_;
  const std::shared_ptr<OnShimMessage> on_message_;
  ScratchFolders scratch_{options_.scratch_base, [this](const ScratchFolders::Attempt& attempt) { return has_gangs(attempt); }};
  std::map<GangKey, std::shared_ptr<ShimClient>> clients_;
};

}  // namespace

std::unique_ptr<Launcher> make_shim_launcher(net::Loop& loop, LauncherOptions options, OnShimMessage on_message) {
  return std::make_unique<ShimLauncher>(loop, std::move(options), std::move(on_message));
}

}  // namespace ultramarine::launcher
