// The launcher over real shims: one client per gang, found again from the jobs folder.
#include <algorithm>
#include <filesystem>
#include <map>

#include "worker/launcher/job_folder.h"
#include "worker/launcher/launcher.h"
#include "worker/launcher/shim_client.h"

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
    remove_scratch_of_ended_attempts();
  }

  void forget(const GangKey& key) override {
    clients_.erase(key);
    if (!has_gangs(scratch_folder(options_.scratch_base, key))) remove_folder(scratch_folder(options_.scratch_base, key));
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

  std::string folder(const GangKey& key) const override { return options_.jobs_folder + "/" + text_of(key); }

 private:
  bool has_gangs(const std::string& scratch) const {
    return std::any_of(clients_.begin(), clients_.end(),
                       [&](const auto& client) { return scratch_folder(options_.scratch_base, client.first) == scratch; });
  }

  /// They ended while no agent was there to be told so.
  void remove_scratch_of_ended_attempts() {
    if (options_.scratch_base.empty()) return;
    std::error_code error;
    std::vector<std::string> ended;
    for (const auto& entry : fs::directory_iterator(options_.scratch_base, error)) {
      if (!has_gangs(entry.path().string())) ended.push_back(entry.path().string());
    }
    for (const std::string& folder : ended) remove_folder(folder);
  }

  std::shared_ptr<ShimClient> add(const GangKey& key) {
    return clients_.emplace(key, std::make_shared<ShimClient>(loop_, key, options_, on_message_)).first->second;
  }

  net::Loop& loop_;
  const LauncherOptions options_;
  const std::shared_ptr<OnShimMessage> on_message_;
  std::map<GangKey, std::shared_ptr<ShimClient>> clients_;
};

}  // namespace

std::unique_ptr<Launcher> make_shim_launcher(net::Loop& loop, LauncherOptions options, OnShimMessage on_message) {
  return std::make_unique<ShimLauncher>(loop, std::move(options), std::move(on_message));
}

}  // namespace ultramarine::launcher
