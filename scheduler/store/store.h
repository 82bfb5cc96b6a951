// The scheduler's memory: the journal (ordered, durable entries), the newest snapshots, and the side table of job environments
// (secrets: never in the journal). One conformance suite runs on every implementation. A failed write throws StoreError and the
// daemon ends: restarting from the journal is the tested path, retrying an fsync is not.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "scheduler/model/event.h"
#include "scheduler/model/state.h"

namespace ultramarine::store {

struct StoreError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Record {
  std::int64_t sequence = 0;  // from 1, without gaps
  Time at_ms;
  Entry entry;
};

/// Whose environment: a job's (gang 1), or that of a gang which `ultra run` asked for.
struct EnvironmentKey {
  EnvironmentKey(JobId job_, std::int64_t gang_ = 1) : job(job_), gang(gang_) {}
  JobId job;
  std::int64_t gang;
  friend auto operator<=>(const EnvironmentKey&, const EnvironmentKey&) = default;
};
using Environment = std::map<std::string, std::string>;

/// What an entry is about, for `read_about`: "job 7", "node node01". An array's submission is about its first job alone.
std::vector<std::string> subjects_of(const Entry& entry);
std::string subject_of(JobId job);
std::string subject_of_node(const std::string& node);

/// What is to be sent to people, as text, until it has been: number -> text. The numbers are whoever's who keeps them.
using Letters = std::map<std::int64_t, std::string>;

/// What becomes durable together.
struct Batch {
  std::vector<std::pair<Time, Entry>> entries;
  std::map<EnvironmentKey, Environment> environments;  // to keep
  std::vector<EnvironmentKey> forget_environments;
  Letters letters;                                     // to keep
  std::vector<std::int64_t> forget_letters;
  std::optional<Time> looked_until_ms;                 // until when what falls due by itself has been made letters
  bool empty() const { return entries.empty() && environments.empty() && forget_environments.empty() && letters.empty() && forget_letters.empty() && !looked_until_ms; }
};

struct Snapshot {
  std::int64_t sequence = 0;  // state after this record
  Time at_ms;
  std::string state_hash;  // as its writer made it; it says itself which program can check it
  State state;
};

class Store {
 public:
  virtual ~Store() = default;
  /// Returns the sequence of the last entry once everything is on disk, all or nothing.
  virtual std::int64_t append(const Batch& batch) = 0;
  /// Writes something that means nothing, durably: an idle scheduler proves that its journal can be written. Throws StoreError.
  virtual void prove_writable() = 0;
  virtual std::int64_t last_sequence() const = 0;
  /// In order, from `first_sequence` on. Throws StoreError for a record that can't be read, naming it; nothing is skipped.
  void read(std::int64_t first_sequence, const std::function<void(const Record&)>& visit) const {
    read_between(first_sequence, last_sequence(), visit);
  }
  /// The same up to and with `last_sequence`, or to the end when there are fewer.
  virtual void read_between(std::int64_t first_sequence, std::int64_t last_sequence,
                            const std::function<void(const Record&)>& visit) const = 0;
  /// Those about one subject, in order; finds them without reading the others.
  virtual void read_about(const std::string& subject, const std::function<void(const Record&)>& visit) const = 0;
  virtual void save_snapshot(const Snapshot& snapshot) = 0;  // keeps the newest two
  virtual std::optional<Snapshot> newest_snapshot() const = 0;
  virtual std::optional<Environment> environment(EnvironmentKey key) const = 0;
  virtual Letters letters() const = 0;
  virtual std::optional<Time> looked_until() const = 0;  // as last written
  virtual std::int64_t size_bytes() const = 0;  // 0 in memory
  virtual std::int64_t wal_bytes() const = 0;
};

/// SQLite in WAL mode with synchronous=FULL: a power cut loses nothing that `append` returned for. One process at a time:
/// a second one gets StoreError "in use". The folder must exist; files are 0600.
std::unique_ptr<Store> open_sqlite(const std::string& path);
/// The in-memory twin, for tests and simulations. With `power_cut_after` appends it throws from then on.
std::unique_ptr<Store> open_memory(std::optional<std::int64_t> power_cut_after = std::nullopt);

}  // namespace ultramarine::store
