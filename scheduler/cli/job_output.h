// What a job's ranks print, put together for one reader: pieces become lines with the rank in front, and a stream that
// was cut off goes on where it was.
#pragma once

#include <regex.h>

#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "scheduler/cli/client.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

/// A POSIX extended regular expression that a line may hold. (std::regex overflows the stack on long lines.)
class LinePattern {
 public:
  /// Throws CommandError (usage) that names `option`.
  LinePattern(const std::string& option, const std::string& expression);
  bool is_in(const std::string& line) const;

 private:
  struct Free {
    void operator()(regex_t* compiled) const;
  };
  std::unique_ptr<regex_t, Free> compiled_;
};

/// How output is shown: as it comes; in whole lines, so that those of several ranks don't mix; or as "[rank] line".
enum class OutputForm { bytes, lines, labelled };

/// Ranks' stdout goes to `out`, their stderr to `err`.
class JobOutput {
 public:
  /// `only`: just the lines that hold it are shown; null = all.
  JobOutput(std::ostream& out, std::ostream& err, OutputForm form, bool colour, const LinePattern* only = nullptr)
      : out_(out), err_(err), form_(only && form == OutputForm::bytes ? OutputForm::lines : form), colour_(colour), only_(only) {}
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
  void write_line(const Key& key, const std::string& line, bool newline);

  std::ostream& out_;
  std::ostream& err_;
  const OutputForm form_;
  const bool colour_;
  const LinePattern* const only_;
  std::map<Key, std::size_t> position_, taken_;
  std::map<Key, std::string> unfinished_;
};

/// Follows a job to its end: a line about its place in the queue while it waits, its output while it runs; survives a
/// restart of the scheduler. Returns the job as it ended. Throws Interrupted. `only`: lines to show, null = all.
protocol::JobView follow_job(Client& client, const JobName& job, const OutputChoice& choice, Context& context, const Interrupt& interrupt,
                             const LinePattern* only = nullptr);

/// Until it has left the queue: a line says why it waits and when it is expected to start. The job as it is then. Throws Interrupted.
protocol::JobView wait_for_start(Client& client, const JobName& job, Context& context, const Interrupt& interrupt);

/// Of one rank, and of a script, as it comes; else labelled.
OutputForm form_of(const protocol::JobView* view, const OutputChoice& choice);

/// Waits until the job has ended or `deadline` (of context.now) has passed; survives a restart of the scheduler.
/// nullopt: the time is over.
std::optional<Answer<protocol::JobView>> wait_for_end(Client& client, const JobName& job, std::optional<Time> deadline, Context& context,
                                                      const Interrupt& interrupt, Progress& progress);

/// The end of a job, on stderr: one line, "error: ..." unless it completed; and one for its price, unless that is "".
void say_end(const protocol::JobView& view, Context& context, const std::string& price = "");
/// After Ctrl-C: the job goes on; how to follow and how to stop it.
void say_detached(const JobName& job, Context& context);

}  // namespace ultramarine::cli
