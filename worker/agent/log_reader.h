// Answers requests for the output of ranks: reads the files of a job folder piece by piece and, when asked to follow, goes on until
// the gang has ended. Sends no faster than the connection takes it. Knows files and the loop, no gangs: it asks whether one is over.
// Where a part of the output is gone (launcher/output_notes.h), a line says how much.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/net/loop.h"
#include "scheduler/protocol/agent_messages.h"

namespace ultramarine::agent {

constexpr std::size_t log_chunk_bytes = 64 << 10;

class LogReader {
 public:
  /// What the reader must be told about the world; called on the loop's thread.
  struct World {
    std::string node;
    std::function<std::string(const GangKey&)> folder;
    std::function<std::vector<std::int64_t>(const GangKey&)> ranks;  // of this node; empty: not known any more
    std::function<bool(const GangKey&)> is_over;                     // nothing will be added to its files
    std::function<void(const protocol::LogChunk&)> send;
    std::function<std::size_t()> queued_bytes;                       // that were sent and not yet taken by the network
  };
  LogReader(net::Loop& loop, World world);
  ~LogReader();

  /// Chunks of each rank and stream come in order. After the last one of a rank comes an empty one with `at_end`. What can't be
  /// read comes as one chunk with `error` and `at_end`: for the rank, or with rank -1 when it is not known which ranks there are.
  void request(const protocol::LogRequest& request);
  void cancel(std::int64_t request);
  void cancel_all();
  /// Somebody has typed: for the next second it looks more often.
  void expect_soon();
  std::size_t open_requests() const { return requests_.size(); }

 private:
  struct Stream;
  struct Request;
  enum class Progress { idle, read_all, has_more };

  void pump();
  Progress read_some(Request& request, Stream& stream, bool over);
  bool open(Request& request, Stream& stream, bool last_look);
  void send(const Request& request, Stream& stream, const std::string& bytes);
  void end_ranks(Request& request);
  void fail(std::int64_t request, std::int64_t rank, const std::string& error);
  void pump_after(std::chrono::milliseconds delay);

  net::Loop& loop_;
  World world_;
  std::map<std::int64_t, std::unique_ptr<Request>> requests_;  // by the scheduler's number
  std::unique_ptr<net::Loop::Timer> timer_;
  std::chrono::steady_clock::time_point soon_until_;
};

}  // namespace ultramarine::agent
