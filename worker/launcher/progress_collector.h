// The shim's ear for its ranks: the datagram socket behind ULTRA_PROGRESS. Steps and phases go to the agent at most once a second;
// collectives are remembered for the final report; checkpoints are repeated until somebody has recorded them, and then their
// senders are told; while nobody records them, that their node keeps them. Datagrams are hints from programs that we don't know: anything that isn't understood is ignored.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/net/loop.h"
#include "scheduler/protocol/agent_messages.h"
#include "scheduler/protocol/progress_messages.h"

namespace ultramarine::launcher {

class ProgressCollector {
 public:
  struct Handlers {
    std::function<void(const protocol::Progress&)> progress;
    std::function<void(const protocol::CheckpointReport&)> checkpoint;  // also at every repetition
    std::function<void(const protocol::ProgressMessage&, std::int64_t sender)> heard = {};  // everything, as it comes; 0: its process isn't known
  };
  struct Collectives {
    std::int64_t count = 0;
    std::int64_t bytes = 0;
  };

  /// How fast its ranks get further, as far as they say.
  struct Pace {
    std::optional<std::chrono::steady_clock::time_point> last;  // when one last did; absent: none has said anything yet
    std::chrono::milliseconds longest_gap{0};                   // between two such words
    std::chrono::milliseconds longest_phase{0};                 // that was declared, by its limit
  };

  /// Binds `socket_path` (which may be longer than a socket address holds). Unrecorded checkpoints are kept in `checkpoints_file`: who waits for
  /// an answer for `patience` hears "kept" if his is there. Throws FolderError.
  ProgressCollector(net::Loop& loop, GangKey key, std::set<std::int64_t> ranks, const std::string& socket_path,
                    std::string checkpoints_file, Handlers handlers, std::chrono::milliseconds patience = std::chrono::milliseconds(5000));
  ~ProgressCollector();
  ProgressCollector(const ProgressCollector&) = delete;
  ProgressCollector& operator=(const ProgressCollector&) = delete;

  /// Reads all that has arrived.
  void drain();
  /// Also hands on what the one-a-second rule still holds back.
  void drain_at_the_end();
  /// The scheduler has this checkpoint: its senders are told "recorded".
  void recorded(std::int64_t step);
  /// The ranks are being asked to stop. A checkpoint that one of them says again from then on tells that there is something to go on with, so it
  /// is handed on even if it was recorded before.
  void asked_to_stop();
  /// A rank has said a checkpoint and heard nothing.
  bool awaits_answer() const;
  /// Says all unrecorded checkpoints again, for example to a new agent.
  void repeat_checkpoints();
  /// What this rank last said of itself, zero if nothing.
  Collectives collectives(std::int64_t rank) const;
  const Pace& pace() const { return pace_; }

 private:
  struct OpenCheckpoint {
    protocol::CheckpointReport report;
    std::vector<std::string> senders;  // raw socket addresses, of those that heard nothing
    bool durable = false;              // it stands in the file
    bool patient = true;               // the time in which the scheduler may answer isn't over
    std::unique_ptr<net::Loop::Timer> patience;
  };

  void receive(std::string_view text, const std::string& sender, std::int64_t process);
  void on(const protocol::StepProgress& step, const std::string& sender);
  void on(const protocol::PhaseProgress& phase, const std::string& sender);
  void on(const protocol::CollectiveProgress& collective, const std::string& sender);
  void on(const protocol::CheckpointProgress& checkpoint, const std::string& sender);
  void got_further();
  void say_soon();
  void say_now();
  void tell(const std::string& sender, std::string_view word);
  void tell_kept(OpenCheckpoint& open);
  void keep_checkpoints();
  void arm_repetition();

  net::Loop& loop_;
  const GangKey key_;
  const std::set<std::int64_t> ranks_;
  const std::string checkpoints_file_;
  const Handlers handlers_;
  bool stopping_ = false;
  const std::chrono::milliseconds patience_;
  int socket_ = -1;
  std::unique_ptr<net::Loop::Watch> watch_;

  Pace pace_;
  protocol::Progress newest_;
  bool unsaid_ = false;
  std::optional<std::chrono::steady_clock::time_point> last_said_;
  std::unique_ptr<net::Loop::Timer> say_timer_;
  std::map<std::int64_t, Collectives> collectives_;
  std::map<std::int64_t, OpenCheckpoint> checkpoints_;   // by step, not recorded yet
  std::map<std::int64_t, std::string> recorded_paths_;   // by step, the newest few: a sender that missed the answer asks again
  std::unique_ptr<net::Loop::Timer> repeat_timer_;
};

}  // namespace ultramarine::launcher
