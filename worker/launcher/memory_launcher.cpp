#include "worker/launcher/memory_launcher.h"

#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {

void MemoryShims::say(const protocol::FromShim& message) {
  if (const auto* report = std::get_if<GangReport>(&message)) reports_[report->key] = *report;
  if (listener_) return listener_(message);
  if (const auto* checkpoint = std::get_if<protocol::CheckpointReport>(&message)) unheard_checkpoints_.push_back(*checkpoint);
}

class MemoryLauncher final : public Launcher {
 public:
  MemoryLauncher(net::Loop& loop, std::shared_ptr<MemoryShims> shims, OnShimMessage on_message)
      : loop_(loop), shims_(std::move(shims)), on_message_(std::make_shared<OnShimMessage>(std::move(on_message))) {
    shims_->listener_ = [this](const protocol::FromShim& message) { deliver(message); };
  }
  ~MemoryLauncher() override { shims_->listener_ = nullptr; }

  void prepare(const protocol::LaunchSpec& launch) override {
    shims_->prepared.push_back(launch);
    if (const auto known = shims_->reports_.find(launch.key); known != shims_->reports_.end()) deliver(known->second);
  }

  void send(const GangKey& key, const protocol::ToShim& message) override {
    shims_->sent.push_back({key, message});
    const auto known = shims_->reports_.find(key);
    if (known != shims_->reports_.end() && known->second.phase == GangPhase::finished) deliver(known->second);
  }

  void adopt() override {
    ++shims_->adoptions;
    for (const auto& checkpoint : std::exchange(shims_->unheard_checkpoints_, {})) deliver(checkpoint);
    for (const auto& [key, report] : shims_->reports_) deliver(report);
  }

  void attempt_over(JobId, std::int64_t) override {}
  void forget(const GangKey& key) override {
    shims_->forgotten.push_back(key);
    shims_->reports_.erase(key);
  }

  std::string folder(const GangKey& key) const override { return "/nowhere/jobs/" + text_of(key); }

 private:
  void deliver(const protocol::FromShim& message) {
    loop_.post([weak = std::weak_ptr<OnShimMessage>(on_message_), message] {
      if (const auto handler = weak.lock()) (*handler)(message);
    });
  }

  net::Loop& loop_;
  std::shared_ptr<MemoryShims> shims_;
  std::shared_ptr<OnShimMessage> on_message_;
};

std::unique_ptr<Launcher> make_memory_launcher(net::Loop& loop, std::shared_ptr<MemoryShims> shims, OnShimMessage on_message) {
  return std::make_unique<MemoryLauncher>(loop, std::move(shims), std::move(on_message));
}

}  // namespace ultramarine::launcher
