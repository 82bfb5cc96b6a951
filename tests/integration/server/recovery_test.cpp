// What a restarted daemon makes of journal and snapshots.
#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/server/daemon_harness.h"

namespace ultramarine::server::testing {
namespace {

/// A store that can lose its snapshots, as a process that is killed does, and counts them.
class WatchedStore final : public store::Store {
 public:
  std::int64_t append(const store::Batch& batch) override { return inner_->append(batch); }
  void prove_writable() override { inner_->prove_writable(); }
  std::int64_t last_sequence() const override { return inner_->last_sequence(); }
  void read_between(std::int64_t first, std::int64_t last,
                    const std::function<void(const store::Record&)>& visit) const override {
    inner_->read_between(first, last, [&](const store::Record& record) {
      ++records_read;
      visit(record);
    });
  }
  void save_snapshot(const store::Snapshot& snapshot) override {
    if (saves_snapshots) inner_->save_snapshot(snapshot);
    ++snapshots_asked;
  }
  std::optional<store::Snapshot> newest_snapshot() const override { return inner_->newest_snapshot(); }
  void read_about(const std::string& subject, const std::function<void(const store::Record&)>& visit) const override {
    inner_->read_about(subject, visit);
  }
  std::optional<store::Environment> environment(store::EnvironmentKey key) const override { return inner_->environment(key); }
  store::Letters letters() const override { return inner_->letters(); }
  std::optional<Time> looked_until() const override { return inner_->looked_until(); }
  std::int64_t size_bytes() const override { return inner_->size_bytes(); }
  std::int64_t wal_bytes() const override { return inner_->wal_bytes(); }

  std::atomic<bool> saves_snapshots = true;
  std::atomic<int> snapshots_asked = 0;
  mutable std::atomic<int> records_read = 0;

 private:
  std::unique_ptr<store::Store> inner_ = store::open_memory();
};

TEST(DaemonRecovery, RefusesASnapshotThatIsNotWhatItSays) {
  net::Loop loop;
  const auto store = store::open_memory();
  {
    Scheduler scheduler(loop, *store);
    scheduler.start_and_wait();
    scheduler.submit();
    scheduler.daemon.stop();
  }
  auto saved = *store->newest_snapshot();
  saved.state.next_job += 1;
  store->save_snapshot(saved);
  Scheduler again(loop, *store);
  again.daemon.start();
  again.until([&] { return again.exit_code.has_value(); }, "the refusal");
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_NE(again.exit_message.find("--from-journal"), std::string::npos) << again.exit_message;
}

TEST(DaemonRecovery, ReadsTheJournalWhereTheSnapshotIsOfAnotherVersion) {
  net::Loop loop;
  WatchedStore store;
  {
    Scheduler scheduler(loop, store);
    scheduler.start_and_wait();
    scheduler.submit();
    scheduler.daemon.stop();
  }
  auto saved = *store.newest_snapshot();
  EXPECT_NE(saved.state_hash.find("-"), std::string::npos);
  const std::string content = saved.state_hash.substr(saved.state_hash.find('-') + 1);
  for (const std::string& other : {content, "0123-" + content}) {
    saved.state_hash = other;
    saved.state.next_job = 77;  // whatever it says
    store.saves_snapshots = true;
    store.save_snapshot(saved);
    store.saves_snapshots = false;
    store.records_read = 0;
    const auto records = store.last_sequence();
    Scheduler again(loop, store);
    again.start_and_wait();
    EXPECT_EQ(store.records_read, records);
    EXPECT_EQ(again.job({1}).details.state, JobState::queued);
    EXPECT_EQ(protocol::from_json<protocol::JobList>(again.ask("GET", "/v1/jobs").body).jobs.size(), 1u);
  }
}

TEST(DaemonRecovery, MeetsTheSameStateFromSnapshotAndTailAsFromTheWholeJournal) {
  net::Loop loop;
  WatchedStore store;
  const auto hash = [](Scheduler& scheduler) {
    return protocol::from_json<protocol::ClusterView>(scheduler.ask("GET", "/v1/cluster").body).state_hash;
  };
  {
    Scheduler scheduler(loop, store);
    scheduler.start_and_wait();
    for (int i = 0; i < 9; ++i) scheduler.submit();
  }  // ends with a snapshot
  const int in_snapshot = static_cast<int>(store.newest_snapshot()->sequence);
  store.saves_snapshots = false;
  {
    Scheduler scheduler(loop, store);
    scheduler.start_and_wait();
    scheduler.ask("POST", "/v1/jobs/3/cancel");
    scheduler.submit();
  }  // ends without one, and with what the jobs waited for as its last record
  core::Scheduler replayed;
  store.read(1, [&](const store::Record& record) { replayed.apply(record.at_ms, record.entry); });
  store.records_read = 0;
  {
    Scheduler scheduler(loop, store);
    scheduler.start_and_wait();
    EXPECT_EQ(hash(scheduler), replayed.state_hash());
    EXPECT_EQ(store.records_read, store.last_sequence() - in_snapshot) << "only the tail was replayed";
  }
}

TEST(DaemonRecovery, RecordsTheClusterFileOnlyWhenItChanged) {
  net::Loop loop;
  const auto store = store::open_memory();
  const auto run = [&](ClusterConfig cluster) {
    Scheduler scheduler(loop, *store, std::move(cluster));
    scheduler.start_and_wait();
    scheduler.daemon.stop();
    return store->last_sequence();
  };
  const auto first = run(small_cluster());
  EXPECT_EQ(run(small_cluster()), first);
  EXPECT_EQ(run(small_cluster(3)), first + 1);
}

TEST(DaemonRecovery, KeepsTimeFromGoingBackOverARestart) {
  net::Loop loop;
  const auto store = store::open_memory();
  HandClock hand;
  {
    Scheduler scheduler(loop, *store, small_cluster(), hand.clock());
    scheduler.start_and_wait();
    scheduler.submit();
    scheduler.daemon.stop();
  }
  *hand.ms -= 3'600'000;
  Scheduler scheduler(loop, *store, small_cluster(), hand.clock());
  scheduler.start_and_wait();
  const JobId second = scheduler.submit();
  EXPECT_GE(scheduler.job(second).details.submitted_ms, scheduler.job(JobId{1}).details.submitted_ms);
}

TEST(DaemonSnapshot, IsTakenEveryManyRecords) {
  net::Loop loop;
  WatchedStore store;
  DaemonOptions options = Scheduler::options(small_cluster());
  options.records_per_snapshot = 3;
  Daemon daemon(loop, store, options, {});
  daemon.start();
  std::size_t answered = 0;
  for (std::size_t i = 1; i <= 7; ++i) {
    api::Submission submission;
    submission.spec.command = {"x"};
    submission.spec.working_directory = "/";
    submission.spec.resources.gpus = 1;
    daemon.submit(submission, {runner_uid, "runner", "socket"}, [&](const api::Backend::Submitted&) { ++answered; });
    while (answered < i) loop.run_for(std::chrono::milliseconds(5));
  }
  // The answer to a question comes a round after the last submission: what that round saved is saved.
  daemon.ask([&](const api::SnapshotPtr&) { ++answered; });
  while (answered < 8) loop.run_for(std::chrono::milliseconds(5));
  // 9 records (cluster file, month and jobs), and what the jobs waited for before each snapshot: a snapshot is due when 3 are new, and is made once that is known.
  EXPECT_GE(store.snapshots_asked, 2);
  EXPECT_LE(store.snapshots_asked, 4);
  daemon.stop();
  EXPECT_EQ(store.newest_snapshot()->sequence, store.last_sequence());
}

}  // namespace
}  // namespace ultramarine::server::testing
