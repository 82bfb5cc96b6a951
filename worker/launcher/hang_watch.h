// The shim's eye for ranks that don't get on: watches what they report, looks at their processes in time, and says GangStillness when a hang
// may be coming, when nothing here speaks against one any more, and when somebody asks. Who hangs is decided where all nodes are heard. Costs a
// timer once a second while ranks report steps, and nothing before.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "scheduler/net/loop.h"
#include "worker/launcher/process_look.h"
#include "worker/launcher/step_watch.h"

namespace ultramarine::launcher {

class HangWatch {
 public:
  struct RankProcess {
    std::int64_t rank = 0;
    std::int64_t pid = 0;
  };
  struct Handlers {
    std::function<std::vector<RankProcess>()> ranks;       // that run; empty: nobody is to be judged (any more)
    std::function<void()> drain;                           // has everything said that ranks have said
    std::function<void(const GangStillness&)> say;
    std::function<bool()> awaits_answer = [] { return false; };  // a rank has saved a checkpoint and waits for somebody's word
  };

  HangWatch(net::Loop& loop, GangKey key, HangConfig settings, std::set<std::int64_t> ranks, Handlers handlers);

  /// A rank said something; `sender`: its process, 0 when not known.
  void take(const protocol::ProgressMessage& message, std::int64_t sender);
  /// Looks and says what it sees, whatever there is.
  void examine();
  /// For a new agent: what holds now.
  void repeat();

 private:
  using Clock = std::chrono::steady_clock;
  using milliseconds = std::chrono::milliseconds;

  void arm();
  void withdraw(const char* why);
  void tick();
  void begin_look(milliseconds length);
  void end_look();
  void drop_ended_senders();
  milliseconds tick_interval() const;
  milliseconds look_interval() const;
  Clock::time_point next_look() const;

  net::Loop& loop_;
  const GangKey key_;
  const HangConfig settings_;
  const Handlers handlers_;
  StepWatch watch_;
  std::unique_ptr<net::Loop::Timer> timer_;
  Clock::time_point tick_due_;
  struct Look {
    Clock::time_point at;
    std::vector<RankProcess> ranks;
    std::vector<TreeLook> trees;
  };
  std::optional<Look> look_;  // the first of two
  std::unique_ptr<net::Loop::Timer> look_timer_;
  std::optional<GangStillness> said_;
  Clock::time_point said_at_;
};

}  // namespace ultramarine::launcher
