// The launcher over real shims: one client per gang, found again from the jobs folder.
#include <filesystem>
#include <map>
#include <set>

#include "worker/launcher/attempt_scripts.h"
#include "worker/launcher/job_folder.h"
#include "worker/launcher/launcher.h"
#include "worker/launcher/privileged/as_owner.h"
#include "worker/launcher/scratch_folders.h"
#include "worker/launcher/shim_client.h"
#include "worker/launcher/wall_clock.h"

namespace ultramarine::launcher {
namespace {

namespace fs = std::filesystem;

constexpr auto remove_interval = std::chrono::milliseconds(50);

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

  ~ShimLauncher() override { remove_groups(); }

  void prepare(const protocol::LaunchSpec& launch) override {
    if (const auto known = clients_.find(launch.key); known != clients_.end()) return known->second->repeat();
    if (!scripts_.is_waiting(launch.key)) scripts_.launch(launch);
  }

  void launch(const protocol::LaunchSpec& launch) {
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
    scripts_.forget(key);
    say(GangReport{.key = key, .phase = GangPhase::finished, .outcome = Outcome::cancelled});
  }

  void adopt() override {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(options_.jobs_folder, error)) {
      const auto key = parse_gang_key(entry.path().filename().string());
      if (!key || clients_.contains(*key) || !holds_more_than_logs(entry.path().string())) continue;
      add(*key)->adopt();
    }
    scratch_.sweep(wall_clock_now());
    if (options_.containment) loop_.post([containment = options_.containment] { remove_empty_groups(*containment); });
  }

  void forget(const GangKey& key) override {
    clients_.erase(key);
    if (key.gang == 1) attempt_over(key.job, key.attempt);
    scratch_.gang_gone({key.job, key.attempt});
    end_attempts();
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
    {
      const AsOwner as_owner(path);
      for (const fs::path& file : unwanted) remove_folder(file.string());
    }
    if (!has_logs) remove_folder(path);
  }

  void attempt_over(JobId job, std::int64_t attempt) override {
    scratch_.over({job, attempt});
    over_.insert({job, attempt});
    scripts_.over_soon({job, attempt});
    end_attempts();
  }

  std::vector<protocol::AttemptKey> begun() const override { return scripts_.begun(); }

  const Containment* containment() const override { return options_.containment.get(); }

  std::string folder(const GangKey& key) const override { return options_.jobs_folder + "/" + text_of(key); }

 private:
  void say(const GangReport& report) {
    loop_.post([weak = std::weak_ptr<OnShimMessage>(on_message_), report] {
      if (const auto handler = weak.lock()) (*handler)(report);
    });
  }

  /// Prolog or epilog failed: the node is drained, and what waited for it goes elsewhere.
  void on_script_failure(const std::string& reason, const std::vector<protocol::LaunchSpec>& waiting) {
    protocol::NodeTrouble trouble{.reason = reason};
    for (const protocol::LaunchSpec& launch : waiting) trouble.requeue.push_back(launch.key);
    if (options_.on_trouble) options_.on_trouble(trouble);
    for (const protocol::LaunchSpec& launch : waiting) {
      say(GangReport{.key = launch.key,
                     .phase = GangPhase::finished,
                     .outcome = Outcome::start_failed,
                     .failure = Failure{.node = launch.node, .detail = "node " + launch.node + " could not be made ready: " + reason, .at_ms = wall_clock_now()}});
    }
  }

  void end_attempts() {
    std::erase_if(over_, [this](const ScratchFolders::Attempt& attempt) {
      if (has_gangs(attempt)) return false;
      scripts_.over(attempt);
      return true;
    });
  }

  bool has_gangs(const ScratchFolders::Attempt& attempt) const {
    const auto first = clients_.lower_bound(GangKey{attempt.first, attempt.second, 0});
    return first != clients_.end() && first->first.job == attempt.first && first->first.attempt == attempt.second;
  }

  std::shared_ptr<ShimClient> add(const GangKey& key) {
    const std::string scratch = scratch_.path_of({key.job, key.attempt});
    const auto retire = [this](std::unique_ptr<GangGroup> group) {
      retired_.push_back(std::move(group));
      if (!remove_timer_) remove_groups();
    };
    return clients_.emplace(key, std::make_shared<ShimClient>(loop_, key, options_, scratch, on_message_, retire)).first->second;
  }

  /// A group can go when its shim has gone, too; that may take until the gang's other nodes have finished.
  void remove_groups() {
    std::erase_if(retired_, [](const std::unique_ptr<GangGroup>& group) { return group->remove(); });
    remove_timer_ = retired_.empty() ? nullptr : loop_.after(remove_interval, [this] { remove_groups(); });
  }

  net::Loop& loop_;
  const LauncherOptions options_;
  const std::shared_ptr<OnShimMessage> on_message_;
  ScratchFolders scratch_{options_.scratch_base, [this](const ScratchFolders::Attempt& attempt) { return has_gangs(attempt); }};
  std::set<ScratchFolders::Attempt> over_;  // and still with gangs
  AttemptScripts scripts_{loop_,
                          {.prolog = options_.prolog,
                           .epilog = options_.epilog,
                           .deadline = options_.script_deadline,
                           .notes_folder = options_.jobs_folder,
                           .launch = [this](const protocol::LaunchSpec& one) { launch(one); },
                           .failed = [this](const std::string& reason, const auto& waiting) { on_script_failure(reason, waiting); }}};
  std::map<GangKey, std::shared_ptr<ShimClient>> clients_;
  std::vector<std::unique_ptr<GangGroup>> retired_;
  std::unique_ptr<net::Loop::Timer> remove_timer_;
};

}  // namespace

std::unique_ptr<Launcher> make_shim_launcher(net::Loop& loop, LauncherOptions options, OnShimMessage on_message) {
  return std::make_unique<ShimLauncher>(loop, std::move(options), std::move(on_message));
}

}  // namespace ultramarine::launcher
