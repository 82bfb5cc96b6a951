// One agent against a world that doubles, delays, reorders and loses messages, cuts the connection and restarts the agent
// with what it had on disk. Whatever happens: no two attempts of a job live side by side, and no two of any jobs on one device (gangs
// of one attempt do both), no launch of an attempt older than one that was heard of, nothing launched twice, nothing launched
// ahead of the disk; and once the world calms down every gang that was
// launched has its end told to the scheduler.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <random>
#include <set>

#include "builders.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::worker_core {
namespace {

using namespace protocol;

class World {
 public:
  explicit World(unsigned seed) : random_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) step();
    heal();
  }
  std::size_t launches() const { return launched_.size(); }
  std::size_t shared_launches() const { return shared_launches_; }

 private:
  struct Shim {
    GangPhase phase = GangPhase::preparing;
    bool forgotten = false;
  };

  bool chance(int percent) { return std::uniform_int_distribution<int>(1, 100)(random_) <= percent; }
  std::int64_t pick(std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random_); }

  void step() {
    now_ = now_ + milliseconds(pick(0, 400));
    switch (pick(0, 9)) {
      case 0: case 1: command(); break;
      case 2: case 3: deliver_command(); break;
      case 4: case 5: case 6: shim_moves(); break;
      case 7: deliver_shim(); break;
      case 8: carry_out(machine_.on_time(now_)); break;
      case 9:
        if (connected_ && chance(10)) disconnect();
        else if (!connected_) connect();
        else if (chance(5)) restart();
        break;
    }
  }

  // The scheduler of this world asks for almost anything, new and stale.
  void command() {
    const std::int64_t job = pick(1, 4);
    std::int64_t& newest = newest_asked_[job];
    if (newest == 0 || chance(15)) ++newest;
    const GangKey key = key_of(job, chance(80) ? newest : pick(1, newest), chance(50) ? 1 : pick(2, 4));
    switch (pick(0, 5)) {
      case 0: case 1: case 2: to_agent_.push_back(prepare(key, {2 * (job - 1), 2 * (job - 1) + (chance(90) ? 1 : 2)})); break;
      case 3: to_agent_.push_back(Start{key, {}}); break;
      case 4: to_agent_.push_back(Stop{key, seconds(1)}); break;
      case 5: if (ends_told_.contains(key)) to_agent_.push_back(Forget{key}); break;
    }
  }

  void deliver_command() {
    if (to_agent_.empty() || !connected_) return;
    const auto at = to_agent_.begin() + pick(0, static_cast<std::int64_t>(to_agent_.size()) - 1);
    const ToAgent message = *at;
    if (!chance(25)) to_agent_.erase(at);  // else: it will come once more
    if (chance(10)) return;                // lost
    carry_out_command(message);
  }

  void carry_out_command(const ToAgent& message) {
    std::visit(
        [&](const auto& command) {
          if constexpr (requires { command.launch; }) heard(command.launch.key);
          else if constexpr (requires { command.key; command.grace_ms; }) heard(command.key);
          else if constexpr (requires { command.key; command.peers; }) heard(command.key);
        },
        message);
    carry_out(machine_.on_scheduler(now_, message));
  }
  void heard(GangKey key) { newest_heard_[key.job.value] = std::max(newest_heard_[key.job.value], key.attempt); }

  void shim_moves() {
    if (shims_.empty()) return;
    auto it = std::next(shims_.begin(), pick(0, static_cast<std::int64_t>(shims_.size()) - 1));
    Shim& shim = it->second;
    if (shim.phase == GangPhase::preparing) shim.phase = chance(90) ? GangPhase::prepared : GangPhase::finished;
    else if (shim.phase == GangPhase::running && chance(40)) shim.phase = GangPhase::finished;
    else if (shim.phase == GangPhase::stopping) shim.phase = GangPhase::finished;
    else if (shim.phase == GangPhase::running && chance(30)) { from_shims_.push_back(CheckpointReport{it->first, pick(1, 1000), "/c"}); return; }
    else return;
    from_shims_.push_back(report(it->first, shim.phase));
  }

  void deliver_shim() {
    if (from_shims_.empty()) return;
    const FromShim message = from_shims_.front();
    if (!chance(20)) from_shims_.pop_front();
    carry_out(machine_.on_shim(now_, message));
  }

  void connect() {
    connected_ = true;
    carry_out(machine_.on_connected());
    carry_out(machine_.on_scheduler(now_, welcome()));
  }
  void disconnect() {
    connected_ = false;
    machine_.on_disconnected();
  }
  void restart() {
    disconnect();
    from_shims_.clear();
    machine_ = AgentMachine(node01(), disk_);
    for (const auto& [key, shim] : shims_)
      if (!shim.forgotten) from_shims_.push_back(report(key, shim.phase));
    const std::vector<GangRecord> remembered = disk_.gangs;  // what is carried out writes the disk
    for (const GangRecord& record : remembered)
      if (!shims_.contains(record.key) && !record.finished) carry_out(machine_.on_lost_gang(now_, record.key));
  }

  void carry_out(const Actions& actions) {
    for (const Action& action : actions) std::visit([&](const auto& alternative) { act(alternative); }, action);
    if (chance(5)) {
      ASSERT_EQ(protocol::to_json(disk_), protocol::to_json(machine_.memory())) << "a change was not remembered";
    }
  }
  void act(const Remember& remember) {
    apply(disk_, remember.change);
    changes_.push_back(remember.change);
    // The same again is no different, also from the middle on: a disk may have some changes twice.
    if (chance(3)) {
      AgentMemory again = disk_;
      for (const MemoryChange& change : changes_) apply(again, change);
      ASSERT_EQ(protocol::to_json(again), protocol::to_json(disk_));
      changes_.erase(changes_.begin(), changes_.begin() + static_cast<std::ptrdiff_t>(changes_.size() / 2));
    }
  }
  void act(const Send& send) {
    ASSERT_TRUE(connected_) << "sent without a connection";
    if (const auto* told = std::get_if<GangReport>(&send.message))
      if (told->phase == GangPhase::finished) ends_told_.insert(told->key);
  }
  void act(const LaunchPrepare& prepare) {
    const GangKey key = prepare.launch.key;
    ASSERT_TRUE(launched_.insert(key).second) << "job " << key.job.value << " attempt " << key.attempt << " launched twice";
    ASSERT_GE(key.attempt, newest_heard_[key.job.value]) << "an older attempt was launched";
    ASSERT_EQ(disk_.seen.at(key.job).attempt, key.attempt) << "launched before it was on disk";
    for (const auto& [other, shim] : shims_) {
      if (other.job != key.job || shim.phase == GangPhase::finished) continue;
      ASSERT_EQ(other.attempt, key.attempt) << "two live attempts of job " << key.job.value;
      ++shared_launches_;
    }
    std::map<std::int64_t, std::pair<JobId, std::int64_t>> held;
    shims_[key] = {};
    for (const auto& [other, gang] : machine_.gangs()) {
      const auto shim = shims_.find(other);
      if (shim == shims_.end() || shim->second.phase == GangPhase::finished) continue;
      for (const std::int64_t device : gang.record.devices) {
        const auto [holder, is_free] = held.try_emplace(device, other.job, other.attempt);
        ASSERT_TRUE(is_free || holder->second == std::pair(other.job, other.attempt)) << "device " << device << " is held by two attempts";
      }
    }
  }
  void act(const TellShim& tell) {
    auto found = shims_.find(tell.key);
    ASSERT_TRUE(found != shims_.end()) << "a word to a shim that was never started";
    Shim& shim = found->second;
    if (std::holds_alternative<Start>(tell.message) && shim.phase == GangPhase::prepared) {
      ASSERT_GE(tell.key.attempt, newest_heard_[tell.key.job.value]) << "an older attempt was started";
      shim.phase = GangPhase::running;
      from_shims_.push_back(report(tell.key, shim.phase));
    }
    if (std::holds_alternative<Stop>(tell.message) && (shim.phase == GangPhase::prepared || shim.phase == GangPhase::running)) {
      shim.phase = GangPhase::stopping;
      from_shims_.push_back(report(tell.key, shim.phase));
    }
  }
  void act(const ForgetGang& forget) {
    const auto found = shims_.find(forget.key);
    if (found != shims_.end()) {
      ASSERT_EQ(found->second.phase, GangPhase::finished) << "forgot a gang that lives";
      found->second.forgotten = true;
    }
    forgotten_.insert(forget.key);
  }

  // No more faults: stop everything, let it end, and look at what the scheduler was told.
  void heal() {
    if (!connected_) connect();
    for (const auto& command : std::exchange(to_agent_, {})) carry_out_command(command);
    for (int i = 0; i < 5; ++i) {
      for (auto& [key, shim] : shims_) {
        if (shim.phase == GangPhase::finished) continue;
        if (shim.phase == GangPhase::preparing) from_shims_.push_back(report(key, shim.phase = GangPhase::prepared));
        carry_out_command(Stop{key, {}});
        if (shim.phase == GangPhase::stopping) from_shims_.push_back(report(key, shim.phase = GangPhase::finished));
      }
      for (; !from_shims_.empty(); from_shims_.pop_front()) carry_out(machine_.on_shim(now_, from_shims_.front()));
    }
    for (const GangKey& key : launched_) {
      EXPECT_EQ(shims_[key].phase, GangPhase::finished) << "job " << key.job.value << " attempt " << key.attempt << " runs for ever";
      EXPECT_TRUE(ends_told_.contains(key) || forgotten_.contains(key)) << "the end of job " << key.job.value << " was never told";
    }
    for (const auto& [key, gang] : machine_.gangs()) {
      EXPECT_FALSE(gang.live());
      EXPECT_TRUE(ends_told_.contains(key));
    }
    std::vector<GangKey> known;
    for (const auto& [key, gang] : machine_.gangs()) known.push_back(key);
    for (const GangKey& key : known) carry_out_command(Forget{key});
    EXPECT_TRUE(machine_.gangs().empty());
    EXPECT_TRUE(disk_.gangs.empty());
  }

  std::mt19937 random_;
  Time now_{1'000'000};
  AgentMachine machine_{node01(), AgentMemory{}};
  AgentMemory disk_;
  std::vector<MemoryChange> changes_;  // the newest
  bool connected_ = false;
  std::map<std::int64_t, std::int64_t> newest_asked_, newest_heard_;
  std::deque<ToAgent> to_agent_;
  std::deque<FromShim> from_shims_;
  std::map<GangKey, Shim> shims_;
  std::set<GangKey> launched_, ends_told_, forgotten_;
  std::size_t shared_launches_ = 0;
};

TEST(RandomAgent, KeepsItsPromisesWhateverTheWorldDoes) {
  const char* one = std::getenv("ULTRA_SEED");
  const unsigned first = one ? static_cast<unsigned>(std::atoi(one)) : 1;
  const unsigned last = one ? first : 300;
  std::size_t launches = 0, shared = 0;
  for (unsigned seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("replay with ULTRA_SEED=" + std::to_string(seed) + " tests/worker_core_test --gtest_filter='RandomAgent.*'");
    World world(seed);
    world.run(400);
    launches += world.launches();
    shared += world.shared_launches();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(launches, last - first) << "the world was too harsh: hardly anything was launched";
  if (!one) {
    EXPECT_GT(shared, last - first) << "gangs of one attempt hardly ever lived side by side";
  }
}

}  // namespace
}  // namespace ultramarine::worker_core
