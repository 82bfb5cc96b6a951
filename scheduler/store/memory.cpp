// The store's twin in memory. It keeps text, as the one on disk does, so that whatever can't be written can't hide in a test.
#include <algorithm>
#include <deque>

#include "scheduler/store/record_text.h"

namespace ultramarine::store {
namespace {

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(std::optional<std::int64_t> power_cut_after) : appends_left_(power_cut_after) {}

  std::int64_t append(const Batch& batch) override {
    check_power();
    if (appends_left_ && (*appends_left_)-- == 0) {
      power_is_cut_ = true;
      check_power();
    }
    // Everything that can throw comes first: all or nothing.
    std::vector<Line> lines;
    for (const auto& [at, entry] : batch.entries) lines.push_back({at, entry_text(entry)});
    std::map<EnvironmentKey, std::string> environments;
    for (const auto& [key, environment] : batch.environments) environments[key] = environment_text(environment);
    std::int64_t sequence = last_sequence();
    for (const auto& [at, entry] : batch.entries) {
      ++sequence;
      for (const std::string& subject : subjects_of(entry)) about_[subject].push_back(sequence);
    }
    lines_.insert(lines_.end(), std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()));
    for (auto& [key, text] : environments) environments_[key] = std::move(text);
    for (const EnvironmentKey key : batch.forget_environments) environments_.erase(key);
    for (const auto& [number, text] : batch.letters) letters_[number] = text;
    for (const std::int64_t number : batch.forget_letters) letters_.erase(number);
    if (batch.looked_until_ms) looked_until_ = batch.looked_until_ms;
    return last_sequence();
  }

  void prove_writable() override { check_power(); }

  std::int64_t last_sequence() const override { return static_cast<std::int64_t>(lines_.size()); }

  void read_between(std::int64_t first, std::int64_t last,
                    const std::function<void(const Record&)>& visit) const override {
    for (std::int64_t sequence = std::max<std::int64_t>(first, 1); sequence <= std::min(last, last_sequence());
         ++sequence)
      visit(record(sequence));
  }

  void read_about(const std::string& subject, const std::function<void(const Record&)>& visit) const override {
    const auto found = about_.find(subject);
    if (found == about_.end()) return;
    for (const std::int64_t sequence : found->second) visit(record(sequence));
  }

  void save_snapshot(const Snapshot& snapshot) override {
    check_power();
    check_snapshot(snapshot, last_sequence());
    snapshots_[snapshot.sequence] = {snapshot.at_ms, snapshot.state_hash, state_text(snapshot.state)};
    while (snapshots_.size() > 2) snapshots_.erase(snapshots_.begin());
  }

  std::optional<Snapshot> newest_snapshot() const override {
    if (snapshots_.empty()) return std::nullopt;
    const auto& [sequence, saved] = *snapshots_.rbegin();
    return Snapshot{sequence, saved.at, saved.state_hash, state_from_text(sequence, saved.text)};
  }

  std::optional<Environment> environment(EnvironmentKey key) const override {
    const auto found = environments_.find(key);
    if (found == environments_.end()) return std::nullopt;
    return environment_from_text(key.job, found->second);
  }

  Letters letters() const override { return letters_; }
  std::optional<Time> looked_until() const override { return looked_until_; }

  std::int64_t size_bytes() const override { return 0; }
  std::int64_t wal_bytes() const override { return 0; }

 private:
  struct Line {
    Time at;
    std::string text;
  };
  struct SavedState {
    Time at;
    std::string state_hash, text;
  };

  Record record(std::int64_t sequence) const {
    const Line& line = lines_[static_cast<std::size_t>(sequence - 1)];
    return {sequence, line.at, entry_from_text(sequence, line.text)};
  }

  void check_power() const {
    if (power_is_cut_) throw StoreError("the power is cut: nothing more can be written");
  }

  std::optional<std::int64_t> appends_left_;
  bool power_is_cut_ = false;
  std::deque<Line> lines_;
  std::map<std::string, std::vector<std::int64_t>> about_;
  std::map<EnvironmentKey, std::string> environments_;
  Letters letters_;
  std::optional<Time> looked_until_;
  std::map<std::int64_t, SavedState> snapshots_;
};

}  // namespace

std::unique_ptr<Store> open_memory(std::optional<std::int64_t> power_cut_after) { return std::make_unique<MemoryStore>(power_cut_after); }

}  // namespace ultramarine::store
