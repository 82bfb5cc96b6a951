// The daemon: the only owner of the scheduler, its clock and its store, on a thread of its own. Its loop is the whole idea:
//   work = take(inbox); each may record entries (applied at once); due events; one commit; answer whoever waits;
//   decide; one commit; dispatch to agents; sleep until something arrives or is due.
// An entry is applied before it is committed and told to nobody until then: what breaks an `ensure` never gets into the journal. A write
// that fails ends the process; the journal is replayed by the next one. Knows agents as sessions (a number and a node) and HTTP not at all:
// it answers the API's questions through api::Backend.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "scheduler/api/backend.h"
#include "scheduler/core/progress_history.h"
#include "scheduler/core/scheduler.h"
#include "scheduler/metrics/exporter.h"
#include "scheduler/protocol/config.h"
#include "scheduler/server/clock.h"
#include "scheduler/server/dispatch.h"
#include "scheduler/server/follower.h"
#include "scheduler/server/inbox.h"
#include "scheduler/server/outbox.h"
#include "scheduler/server/output_streams.h"
#include "scheduler/server/sessions.h"
#include "scheduler/server/thinker.h"
#include "scheduler/store/store.h"

namespace ultramarine::server {

struct Configuration {
  ClusterConfig cluster;
  PolicyConfig policy;
  protocol::MetricsSection metrics;
  notifier::Means notifications = {};
};

struct DaemonOptions {
  ClusterConfig cluster;
  PolicyConfig policy;
  std::string cluster_secret;
  std::int64_t uid = -1;  // jobs run as this user only
  std::string user_name;
  std::int64_t records_per_snapshot = 2000;
  bool from_journal = false;      // replay all of the journal, whatever the snapshots say
  std::function<Configuration()> read_configuration = {};  // the files as they are by now; throws api::Problem
  metrics::Build build;
  protocol::MetricsSection metrics = {};
  notifier::Means notifications = {};
};

class Daemon final : public api::Backend {
 public:
  /// Called once, on the daemon's thread, when it ends by itself: 0 after a shutdown was asked for, 1 with one line of what went wrong.
  using Ended = std::function<void(int exit_code, const std::string& message)>;

  Daemon(net::Loop& loop, store::Store& store, DaemonOptions options, Ended ended, Clock clock = {});
  ~Daemon() override;

  /// Replays the journal and starts deciding, on the new thread.
  void start();
  /// Ends the thread after its round, with a snapshot. Jobs run on. Any thread but its own.
  void stop();
  void set_addresses(std::string http, std::string agents);  // before start

  // ---- agents, from the loop's thread
  void agent_said_hello(std::int64_t session, std::shared_ptr<net::Connection> connection, protocol::Hello hello);
  void agent_said(std::int64_t session, protocol::FromAgent message);
  void agent_gone(std::int64_t session);

  OutputStreams& output_streams() { return output_streams_; }
  metrics::Exporter& exporter() { return exporter_; }

  // ---- api::Backend
  net::Loop& loop() override { return loop_; }
  std::int64_t scheduler_uid() const override { return options_.uid; }
  bool alive() const override;
  bool replayed() const override { return replayed_; }
  std::int64_t revision() const override { return revision_; }
  std::string why_not_ready() const override;
  void ask(std::function<void(api::SnapshotPtr)> done) override;
  void think(std::function<void()> work) override { thinker_.think(std::move(work)); }
  void metrics_text(std::function<void(std::string)> done) override;
  void submit(api::Submission submission, Actor actor, std::function<void(Submitted)> done) override;
  void cancel(std::vector<JobId> jobs, Actor actor, Changed done) override;
  void requeue(std::vector<JobId> jobs, Actor actor, Changed done) override;
  void change(Choose choose, Changed done) override;
  void request_gang(JobId job, protocol::GangRequest request, Actor actor, std::function<void(GangAdded)> done) override;
  void stop_gang(GangKey gang, Actor actor, Changed done) override;
  bool send_input(const std::string& node, const protocol::TerminalInput& input) override;
  void reload(bool check, Actor actor, std::function<void(Reloaded)> done) override;
  void shut_down(bool requeue, Actor actor, Changed done) override;
  void ask_follower(Time now, std::function<void(const api::Followed&)> question) override { follower_.ask(now, std::move(question)); }
  void history(std::vector<JobId> jobs, std::vector<std::string> nodes, std::function<void(std::vector<api::PastEntry>)> done) override;
  void newest_entries(std::optional<std::int64_t> before, std::int64_t count,
                      std::function<void(std::vector<api::PastEntry>)> done) override;
  void progress(JobId job, std::function<void(std::vector<ProgressPoint>)> done) override;
  std::shared_ptr<void> watch(JobId job, std::function<bool(const Job&)> until, std::function<void()> then) override;
  void stream_output(api::OutputQuestion question, std::shared_ptr<net::Stream> stream) override;

 private:
  struct Watcher {
    JobId job;
    std::function<bool(const Job&)> until;
    std::function<void()> then;
  };
  struct Agent {
    std::string node;
    protocol::Hello hello;
  };

  // ---- daemon.cpp: the loop
  void run();
  void recover();
  void record_configuration();
  void obey(const protocol::MetricsSection& metrics);
  void one_round(std::vector<Inbox::Work> work);
  void excuse_silence(Time previous);
  void record(const Entry& entry);
  void record_due_events();
  void record_period();
  void commit();
  void decide();
  void dispatch();
  void save_snapshot();
  void save_snapshot_when_due();
  void record_finished_waits();
  void record_open_waits(const std::vector<AccountedWait>& waits);
  void record_all_waits();
  void touch_store();
  void measure_loop_lag();
  /// On the loop's thread, unless the daemon is gone by then: the loop may outlive it.
  void on_loop(std::function<void()> work);
  void forget_arrived_letters();
  bool awaits_agents();
  bool finish_shutdown();
  std::chrono::steady_clock::time_point next_moment();
  void notify_watchers();
  void know_active(JobId id);
  bool is_snapshot_due() const;
  const State& state() const { return scheduler_.state(); }
  Actor scheduler_actor() const { return {options_.uid, options_.user_name, "scheduler"}; }

  void forget_environment_of(JobId job);
  void forget_old_progress(JobId ended);

  // ---- requests.cpp: questions and changes of the API
  api::SnapshotPtr snapshot();
  std::shared_ptr<const State> shared_state();
  void tell_by(const notifier::Means& means);
  void keep_for_shared_state(std::vector<std::pair<Time, Entry>> entries);
  /// Runs `answer` after the next commit (this round's), on the loop's thread.
  void answer_after_commit(std::function<void()> answer);
  void change_each(std::vector<JobId> jobs, Changed done, std::function<std::optional<api::Problem>(const Job&)> work);

  // ---- reports.cpp: what agents say
  void take_hello(std::int64_t session, std::shared_ptr<net::Connection> connection, protocol::Hello hello);
  std::string why_refused(const protocol::Hello& hello) const;
  void heard(const Agent& agent);
  void join(const Agent& agent);
  bool owes_an_end(const Agent& agent) const;
  void take(const Agent& agent, const protocol::Hello&) { heard(agent); }
  void take(const Agent& agent, const protocol::Heartbeat& heartbeat);
  void take(const Agent& agent, const GangReport& report);
  void take(const Agent& agent, const protocol::Progress& progress);
  void take(const Agent& agent, const protocol::CheckpointReport& report);
  void take(const Agent& agent, const GangStillness& stillness);
  void take(const Agent& agent, const protocol::LogChunk&) { heard(agent); }
  void take(const Agent& agent, const protocol::ApiRequest&) { heard(agent); }
  void take(const Agent& agent, const protocol::ApiCancel&) { heard(agent); }
  void take(const Agent& agent, const protocol::ApiDrained&) { heard(agent); }
  void take(const Agent& agent, const protocol::NodeTrouble& trouble);

  net::Loop& loop_;
  store::Store& store_;
  const DaemonOptions options_;
  const Ended ended_;
  std::string http_, agents_;
  std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  AgentSessions sessions_;
  OutputStreams output_streams_{sessions_};
  metrics::Exporter exporter_;
  Thinker thinker_{loop_};
  Follower follower_{[this](const std::vector<core::Slip>& slips) { exporter_.on_slips(slips); },
                     [this](const State& state, const Plan& plan) { exporter_.on_plan(state, plan); }};
  Outbox outbox_{[this](notifier::Channel channel, notifier::Result result) { 
    exporter_.on_notification(boost::describe::enum_to_string(channel, ""), boost::describe::enum_to_string(result, ""));
  }};
  std::thread thread_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<bool>(true);

  // ---- the daemon's thread only
  Clock clock_;
  Time now_, started_ms_;
  core::Scheduler scheduler_;
  std::set<JobId> active_;  // the jobs that hold devices
  core::Liveness liveness_;
  std::map<JobId, core::ProgressHistory> progress_;
  std::deque<JobId> ended_progress_;  // of those, the ones that have ended, in that order
  Dispatch dispatch_;
  std::map<std::int64_t, Agent> agents_by_session_;
  std::int64_t sequence_ = 0;           // of the newest committed record
  std::int64_t snapshot_sequence_ = 0;  // of the newest snapshot
  std::future<std::vector<AccountedWait>> open_waits_;  // asked for, because a snapshot is due
  std::chrono::steady_clock::time_point open_waits_asked_;
  store::Batch pending_;
  std::vector<std::function<void()>> after_commit_;
  std::set<JobId> touched_;
  std::map<std::int64_t, Watcher> watchers_;
  std::int64_t last_watcher_ = 0;
  std::optional<Time> wake_at_;  // when `decide` may choose otherwise although nothing happened
  std::int64_t decided_sequence_ = -1;
  bool decides_again_ = false;
  std::optional<Time> awaits_agents_until_;
  std::optional<Time> shutdown_deadline_;
  std::int64_t liveness_version_ = 0;
  Time lag_measured_ms_;  // how far behind the loop is
  protocol::MetricsSection metrics_;
  std::chrono::steady_clock::time_point last_write_;
  /// A second fold over the same entries, for questions: brought up to date when somebody asks and nobody reads it, copied afresh when somebody
  /// still does. A copy of everything after each change would hold up the next.
  struct SharedState {
    State state;
    std::int64_t sequence = 0;
    std::atomic<int> readers = 0;
  };
  std::shared_ptr<SharedState> shared_state_;
  std::vector<std::pair<Time, Entry>> since_shared_;  // what it lacks
  // Other parts of snapshots for questions, kept until they have changed.
  std::shared_ptr<const Plan> shared_plan_, former_plan_;
  std::shared_ptr<const core::Liveness> shared_liveness_;
  std::shared_ptr<api::StateHash> shared_hash_;
  std::shared_ptr<const protocol::NotificationsSection> notifications_;
  std::int64_t shared_hash_sequence_ = -1, shared_plan_sequence_ = -1, shared_liveness_version_ = -1;

  // ---- read by other threads
  std::atomic<bool> replayed_ = false;
  std::atomic<std::int64_t> revision_ = 0;  // sequence_
  std::atomic<bool> stop_asked_ = false;
  std::atomic<std::int64_t> busy_since_ms_ = 0;  // steady; 0: asleep
  std::atomic<std::int64_t> last_write_ms_ = 0;  // steady
};

}  // namespace ultramarine::server
