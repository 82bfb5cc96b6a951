// What the API needs from the daemon, as one small interface: ask for a snapshot, record a change, wait for a job, read output.
// Every `done` runs on the loop's thread, later, and only after what it tells is on disk. The API knows no threads and no store.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "scheduler/api/followed.h"
#include "scheduler/api/problem.h"
#include "scheduler/api/snapshot.h"
#include "scheduler/core/scheduler.h"
#include "scheduler/model/event.h"
#include "scheduler/model/gang_report.h"
#include "scheduler/model/progress.h"
#include "scheduler/net/http.h"
#include "scheduler/net/loop.h"
#include "scheduler/protocol/agent_messages.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

struct Submission {
  JobSpec spec;
  std::map<std::string, std::string> environment;
  std::string request_key;
  std::vector<std::int64_t> array_indices;  // empty: one job
  std::int64_t array_limit = 0;
  /// Whether whoever submits may do so, by the newest state: throws Problem. Runs on the daemon's thread and sees only its arguments.
  std::function<void(const State& state, const JobSpec& spec)> check;
};

/// Whose output to stream: all ranks of one gang, or one.
struct OutputQuestion {
  GangKey key;
  Allocation allocation;            // of the gang; ranks are numbered along it
  std::vector<std::int64_t> ranks;  // how many on each of its nodes
  std::optional<std::int64_t> rank;
  bool follow = false;
  Time since;  // only what was written at or after this moment; 0 = everything
};

/// An entry of the journal with its place in it.
struct PastEntry {
  std::int64_t sequence = 0;
  Time at;
  Entry entry;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual net::Loop& loop() = 0;
  virtual std::int64_t scheduler_uid() const = 0;

  /// False when the daemon's thread has been at one round for more than 15 s.
  virtual bool alive() const = 0;
  /// The journal has been replayed: questions can be answered.
  virtual bool replayed() const = 0;
  /// "" when the journal has been replayed and a commit succeeded within the last 10 s; else one line that says what is amiss.
  virtual std::string why_not_ready() const = 0;

  /// The newest committed record of the journal: it rises whenever something was recorded. From any thread.
  virtual std::int64_t revision() const = 0;

  virtual void ask(std::function<void(SnapshotPtr)> done) = 0;
  /// Runs `work` on a thread for questions that take their time, one after the other; neither the loop nor the daemon waits for it. `work` sees
  /// only what it holds (a snapshot), and posts its answer to the loop.
  virtual void think(std::function<void()> work) = 0;
  virtual void metrics_text(std::function<void(std::string)> done) = 0;

  using Submitted = std::variant<protocol::SubmitReply, Problem>;
  virtual void submit(Submission submission, Actor actor, std::function<void(Submitted)> done) = 0;
  /// nullopt: recorded (or was so already).
  using Changed = std::function<void(std::optional<Problem>)>;
  /// Of several jobs: a problem only when it is one for all of them; then that of the first.
  virtual void cancel(std::vector<JobId> jobs, Actor actor, Changed done) = 0;
  virtual void requeue(std::vector<JobId> jobs, Actor actor, Changed done) = 0;

  /// What a request comes to in the newest state: events to record, all of them or (throws Problem) none. Runs on the daemon's thread and sees
  /// only its arguments.
  using Choose = std::function<std::vector<Event>(const core::Scheduler& scheduler, Time now)>;
  virtual void change(Choose choose, Changed done) = 0;

  using GangAdded = std::variant<GangKey, Problem>;
  virtual void request_gang(JobId job, protocol::GangRequest request, Actor actor, std::function<void(GangAdded)> done) = 0;
  virtual void stop_gang(GangKey gang, Actor actor, Changed done) = 0;
  /// Hands input to the node of a gang. Nothing of it is recorded. False: the node isn't connected.
  virtual bool send_input(const std::string& node, const protocol::TerminalInput& input) = 0;
  /// Reads the cluster file and the policy anew and takes them over, whole or not at all; with `check` it only says what they would change.
  using Reloaded = std::variant<protocol::ReloadReply, Problem>;
  virtual void reload(bool check, Actor actor, std::function<void(Reloaded)> done) = 0;
  virtual void shut_down(bool requeue, Actor actor, Changed done) = 0;

  /// Runs `question` on the thread of the follower, which sees all that was on disk at `now`, and maybe more. Its answer goes by `loop().post`.
  virtual void ask_follower(Time now, std::function<void(const Followed&)> question) = 0;

  /// The entries about these jobs and nodes, in order, each once.
  virtual void history(std::vector<JobId> jobs, std::vector<std::string> nodes, std::function<void(std::vector<PastEntry>)> done) = 0;

  /// The newest `count` entries before the sequence `before` (nullopt: of all), in order.
  virtual void newest_entries(std::optional<std::int64_t> before, std::int64_t count,
                              std::function<void(std::vector<PastEntry>)> done) = 0;

  /// How a job's training went, in the order of time; empty when its ranks said nothing since the scheduler began, or
  /// it has ended long ago.
  virtual void progress(JobId job, std::function<void(std::vector<ProgressPoint>)> done) = 0;

  /// Calls `then` once, as soon as `until` holds for the job (also at once). `until` runs on the daemon's thread and sees only its
  /// argument. Dropping the handle ends the watch.
  virtual std::shared_ptr<void> watch(JobId job, std::function<bool(const Job&)> until, std::function<void()> then) = 0;
  /// Writes protocol::LogLine JSON lines to `stream` and ends it. Loop's thread.
  virtual void stream_output(OutputQuestion question, std::shared_ptr<net::Stream> stream) = 0;
};

}  // namespace ultramarine::api
