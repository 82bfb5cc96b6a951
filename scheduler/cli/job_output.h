// What a job's ranks print, put together for one reader: pieces become lines with the rank in front, and a stream that
// was cut off goes on where it was.
#pragma once

#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "scheduler/cli/client.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

/// Ranks' stdout goes to `out`, their stderr to `err`. With `prefix`, lines are written whole, as "[rank] line";
/// without, byte for byte.
class JobOutput {
 public:
  JobOutput(std::ostream& out, std::ostream& err, bool prefix, bool colour)
      : out_(out), err_(err), prefix_(prefix), colour_(colour) {}
  void take(const protocol::LogLine& piece);
  /// The stream starts again from its beginning: what was already taken is skipped.
  void rewind() { position_.clear(); }
  /// Another attempt: nothing of it was seen.
  void begin_attempt();
  /// Writes the unfinished last lines.
  void finish();

 private:
  using Key = std::pair<std::int64_t, std::string>;
  void write(const Key& key, std::string_view line, bool newline);

  std::ostream& out_;
  std::ostream& err_;
  const bool prefix_, colour_;
  std::map<Key, std::size_t> position_, taken_;
  std::map<Key, std::string> unfinished_;
};

/// Follows a job to its end: a line about its place in the queue while it waits, its output while it runs; survives a
/// restart of the scheduler. Returns the job as it ended. Throws Interrupted.
protocol::JobView follow_job(Client& client, JobId job, std::optional<std::int64_t> rank, Context& context,
                             const Interrupt& interrupt);

/// Waits until the job has ended or `deadline` (of context.now) has passed; survives a restart of the scheduler.
/// nullopt: the time is over.
std::optional<Answer<protocol::JobView>> wait_for_end(Client& client, JobId job, std::optional<Time> deadline,
                                                      Context& context, const Interrupt& interrupt, Progress& progress);

/// The end of a job, on stderr: one line, "error: ..." unless it completed.
void say_end(const protocol::JobView& view, Context& context);
/// After Ctrl-C: the job goes on; how to follow and how to stop it.
void say_detached(JobId job, Context& context);

}  // namespace ultramarine::cli
