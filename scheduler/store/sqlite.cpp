// The journal on disk: one SQLite file in WAL mode. A batch is one transaction, and with synchronous=FULL its commit returns after
// the fsync. The exclusive lock, held from opening to closing, keeps every second process out. Not for use by two threads at once.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "scheduler/store/record_text.h"
#include "scheduler/store/sqlite_handle.h"
#include "scheduler/store/sqlite_schema.h"

namespace ultramarine::store {
namespace {

/// Files beside a database get its mode from SQLite, so only the database itself has to be made private. An existing file is never
/// opened here: closing it again would drop the locks that this process holds on it (fcntl(2)).
void create_private(const std::string& path) {
  const int file = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) {
    if (errno == EEXIST && ::chmod(path.c_str(), 0600) == 0) return;
    throw StoreError("can't open the journal " + path + ": " + std::strerror(errno) + "; check that the folder exists and is yours");
  }
  ::close(file);
  // The file's name must survive a power cut too.
  const std::string folder = std::filesystem::absolute(path).parent_path().string();
  const int folder_file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_file >= 0) {
    ::fsync(folder_file);
    ::close(folder_file);
  }
}

Database open_database(const std::string& path) {
  create_private(path);
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, nullptr);
  Database database(handle);
  const std::string doing = "can't open the journal " + path;
  if (code != SQLITE_OK) fail(handle, doing);
  // First the lock: in this mode the first access takes it and keeps it. Environments are secrets: deleted ones are overwritten.
  execute(handle, "PRAGMA locking_mode=EXCLUSIVE", doing);
  execute(handle, "PRAGMA journal_mode=WAL", doing);
  execute(handle, "PRAGMA synchronous=FULL", doing);
  execute(handle, "PRAGMA secure_delete=ON", doing);
  execute(handle, "PRAGMA journal_size_limit=67108864", doing);
  execute(handle, "PRAGMA cell_size_check=ON", doing);
  prepare_schema(handle, path);
  return database;
}

class SqliteStore final : public Store {
 public:
  explicit SqliteStore(std::string path)
      : path_(std::move(path)),
        database_(open_database(path_)),
        insert_entry_(database_.get(), "INSERT INTO journal VALUES (?, ?, ?, ?)"),
        insert_subject_(database_.get(), insert_subject_sql),
        put_environment_(database_.get(), "INSERT OR REPLACE INTO environments VALUES (?, ?, ?, ?)"),
        forget_environment_(database_.get(), "DELETE FROM environments WHERE job = ? AND gang = ?"),
        put_letter_(database_.get(), "INSERT OR REPLACE INTO letters VALUES (?, ?, ?)"),
        forget_letter_(database_.get(), "DELETE FROM letters WHERE number = ?"),
        put_looked_until_(database_.get(), "INSERT INTO about VALUES ('looked_until_ms', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value") {
    Statement last(database_.get(), "SELECT max(sequence) FROM journal");
    last.step("can't read the journal " + path_);
    last_sequence_ = last.integer(0);  // NULL of an empty journal reads as 0
  }

  std::int64_t append(const Batch& batch) override {
    std::vector<std::string> texts;
    texts.reserve(batch.entries.size());
    for (const auto& [at, entry] : batch.entries) texts.push_back(entry_text(entry));
    std::int64_t sequence = last_sequence_;
    transaction("can't write to the journal " + path_, [&](const std::string& doing) {
      for (std::size_t i = 0; i < texts.size(); ++i) {
        const std::int64_t at_ms = batch.entries[i].first.ms;
        ++sequence;
        insert_entry_.bind(1, sequence).bind(2, at_ms).bind(3, texts[i]).bind(4, checksum(sequence, at_ms, texts[i])).run(doing);
        for (const std::string& subject : subjects_of(batch.entries[i].second)) insert_subject_.bind(1, subject).bind(2, sequence).run(doing);
      }
      for (const auto& [key, environment] : batch.environments) {
        const std::string text = environment_text(environment);
        put_environment_.bind(1, key.job.value).bind(2, key.gang).bind(3, text).bind(4, environment_checksum(key, text)).run(doing);
      }
      for (const EnvironmentKey& key : batch.forget_environments) forget_environment_.bind(1, key.job.value).bind(2, key.gang).run(doing);
      for (const auto& [number, text] : batch.letters) put_letter_.bind(1, number).bind(2, text).bind(3, checksum(number, 0, text)).run(doing);
      for (const std::int64_t number : batch.forget_letters) forget_letter_.bind(1, number).run(doing);
      if (batch.looked_until_ms) put_looked_until_.bind(1, batch.looked_until_ms->ms).run(doing);
    });
    last_sequence_ = sequence;
    return last_sequence_;
  }

  void prove_writable() override {
    transaction("can't write to the journal " + path_, [&](const std::string& doing) {
      execute(database_.get(), "INSERT INTO about VALUES ('touches', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1", doing);
    });
  }

  std::int64_t last_sequence() const override { return last_sequence_; }

  void read_between(std::int64_t first_sequence, std::int64_t last_sequence,
                    const std::function<void(const Record&)>& visit) const override {
    const std::string doing = "can't read the journal " + path_;
    std::int64_t expected = std::max<std::int64_t>(first_sequence, 1);
    const std::int64_t end = std::min(last_sequence, last_sequence_);
    Statement rows(database_.get(), "SELECT sequence, at_ms, entry, checksum FROM journal WHERE sequence >= ? ORDER BY sequence");
    rows.bind(1, expected);
    for (; expected <= end; ++expected) {
      const bool found = rows.step(doing + " (at record " + std::to_string(expected) + ")");
      if (!found || rows.integer(0) != expected) throw StoreError(record_name(expected) + " is missing; restore the file from a copy");
      visit(checked_record(rows));
    }
  }

  void read_about(const std::string& subject, const std::function<void(const Record&)>& visit) const override {
    const std::string doing = "can't read the journal " + path_;
    Statement rows(database_.get(),
                   "SELECT sequence, at_ms, entry, checksum FROM journal WHERE sequence IN (SELECT sequence FROM subjects WHERE subject = ?) "
                   "ORDER BY sequence");
    rows.bind(1, subject);
    while (rows.step(doing)) visit(checked_record(rows));
  }

  void save_snapshot(const Snapshot& snapshot) override {
    check_snapshot(snapshot, last_sequence_);
    const std::string text = state_text(snapshot.state);
    transaction("can't save a snapshot to " + path_, [&](const std::string& doing) {
      Statement insert(database_.get(), "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)");
      insert.bind(1, snapshot.sequence).bind(2, snapshot.at_ms.ms).bind(3, snapshot.state_hash).bind(4, text);
      insert.bind(5, checksum(snapshot.sequence, snapshot.at_ms.ms, text)).run(doing);
      constexpr const char* keep_two =
          "DELETE FROM snapshots WHERE sequence NOT IN (SELECT sequence FROM snapshots ORDER BY sequence DESC LIMIT 2)";
      Statement(database_.get(), keep_two).run(doing);
    });
  }

  /// A damaged one is passed over: the older one, or none, only means a longer replay.
  std::optional<Snapshot> newest_snapshot() const override {
    const std::string doing = "can't read the snapshots of " + path_;
    Statement rows(database_.get(), "SELECT sequence, at_ms, state_hash, state, checksum FROM snapshots ORDER BY sequence DESC");
    while (rows.step(doing)) {
      const std::int64_t sequence = rows.integer(0);
      const std::string_view text = rows.text(3);
      if (sequence > last_sequence_ || rows.integer(4) != checksum(sequence, rows.integer(1), text)) continue;
      try {
        return Snapshot{sequence, Time{rows.integer(1)}, std::string(rows.text(2)), state_from_text(sequence, text)};
      } catch (const StoreError&) {
        continue;
      }
    }
    return std::nullopt;
  }

  std::optional<Environment> environment(EnvironmentKey key) const override {
    Statement rows(database_.get(), "SELECT variables, checksum FROM environments WHERE job = ? AND gang = ?");
    rows.bind(1, key.job.value).bind(2, key.gang);
    if (!rows.step("can't read the journal " + path_)) return std::nullopt;
    if (rows.integer(1) != environment_checksum(key, rows.text(0))) {
      throw StoreError("the environment of job " + std::to_string(key.job.value) + " can't be read: its checksum is wrong");
    }
    return environment_from_text(key.job, rows.text(0));
  }

  /// A damaged one is passed over: a message less is better than no scheduler.
  Letters letters() const override {
    Letters found;
    Statement rows(database_.get(), "SELECT number, letter, checksum FROM letters ORDER BY number");
    while (rows.step("can't read the letters of " + path_))
      if (rows.integer(2) == checksum(rows.integer(0), 0, rows.text(1))) found.emplace(rows.integer(0), rows.text(1));
    return found;
  }

  std::optional<Time> looked_until() const override {
    Statement row(database_.get(), "SELECT value FROM about WHERE name = 'looked_until_ms'");
    if (!row.step("can't read the journal " + path_)) return std::nullopt;
    return Time{row.integer(0)};
  }

  std::int64_t size_bytes() const override { return file_bytes(path_); }
  std::int64_t wal_bytes() const override { return file_bytes(path_ + "-wal"); }

 private:
  std::string record_name(std::int64_t sequence) const { return "journal record " + std::to_string(sequence) + " of " + path_; }

  /// From a row of sequence, at_ms, entry, checksum.
  Record checked_record(const Statement& row) const {
    const std::int64_t sequence = row.integer(0);
    const std::string_view text = row.text(2);
    if (row.integer(3) != checksum(sequence, row.integer(1), text))
      throw StoreError(record_name(sequence) + " can't be read: its checksum is wrong; restore the file from a copy");
    return {sequence, Time{row.integer(1)}, entry_from_text(sequence, text)};
  }

  static std::int64_t environment_checksum(const EnvironmentKey& key, std::string_view text) { return checksum(key.job.value, key.gang - 1, text); }

  /// All or nothing. After a failure nothing more is written: what SQLite and the disk agree on is only known after a restart.
  template <class Body>
  void transaction(const std::string& doing, const Body& body) {
    if (is_broken_) throw StoreError(doing + ": an earlier write failed; start again");
    is_broken_ = true;
    try {
      execute(database_.get(), "BEGIN IMMEDIATE", doing);
      body(doing);
      execute(database_.get(), "COMMIT", doing);
    } catch (...) {
      for (Statement* statement : {&insert_entry_, &insert_subject_, &put_environment_, &forget_environment_, &put_letter_, &forget_letter_, &put_looked_until_}) statement->reset();
      sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
    is_broken_ = false;
  }

  static std::int64_t file_bytes(const std::string& path) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    return error ? 0 : static_cast<std::int64_t>(size);
  }

  std::string path_;
  Database database_;
  Statement insert_entry_, insert_subject_, put_environment_, forget_environment_, put_letter_, forget_letter_, put_looked_until_;
  std::int64_t last_sequence_ = 0;
  bool is_broken_ = false;
};

}  // namespace

std::unique_ptr<Store> open_sqlite(const std::string& path) { return std::make_unique<SqliteStore>(path); }

}  // namespace ultramarine::store
