// What only the store on disk can promise: survival of kills, one process at a time, damage that is noticed and named.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "scheduler/store/store.h"
#include "tests/unit/store/temporary_folder.h"

namespace ultramarine::store {
namespace {

namespace fs = std::filesystem;

class SqliteStore : public testing::Test {
 protected:
  TemporaryFolder folder;
  const std::string path = folder / "journal.db";

  void sql(const std::string& text) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(database, text.c_str(), nullptr, nullptr, &error), SQLITE_OK) << text << ": " << (error ? error : "");
    sqlite3_free(error);
    sqlite3_close(database);
  }

  void write(std::int64_t count) const {
    const auto store = open_sqlite(path);
    for (std::int64_t job = 1; job <= count; ++job) {
      Batch batch;
      batch.entries.emplace_back(Time{job}, JobRequeued{JobId{job}, {}});
      store->append(batch);
    }
  }

  std::string read_problem(std::int64_t* read = nullptr) const {
    const auto store = open_sqlite(path);
    try {
      store->read(1, [&](const Record&) { if (read) ++*read; });
      return "";
    } catch (const StoreError& error) {
      return error.what();
    }
  }

  std::string open_problem() const {
    try {
      open_sqlite(path);
      return "";
    } catch (const StoreError& error) {
      return error.what();
    }
  }
};

/// The journal's checksum, written down a second time: files of today must stay readable.
std::int64_t expected_checksum(std::int64_t sequence, std::int64_t at_ms, const std::string& text) {
  std::string bytes;
  for (const auto number : {sequence, at_ms}) bytes.append(reinterpret_cast<const char*>(&number), sizeof number);  // little-endian
  bytes += text;
  std::uint64_t hash = 14695981039346656037U;
  for (const unsigned char byte : bytes) {
    hash ^= byte;
    hash *= 1099511628211U;
  }
  return static_cast<std::int64_t>(hash);
}

TEST_F(SqliteStore, FindsEverythingAgainAfterReopening) {
  {
    const auto store = open_sqlite(path);
    Batch batch;
    batch.entries = {{Time{1}, NodeSuspected{"node01", {}}}, {Time{2}, NodeUnreachable{"node01", {}}}};
    batch.environments = {{JobId{3}, {{"A", "b"}}}};
    store->append(batch);
    store->save_snapshot({.sequence = 2, .at_ms = Time{9}, .state_hash = "h", .state = {}});
  }
  const auto store = open_sqlite(path);
  EXPECT_EQ(store->last_sequence(), 2);
  std::vector<std::size_t> kinds;
  store->read(1, [&](const Record& record) { kinds.push_back(record.entry.index()); });
  EXPECT_EQ(kinds, (std::vector<std::size_t>{Entry(NodeSuspected{}).index(), Entry(NodeUnreachable{}).index()}));
  EXPECT_EQ(store->environment(JobId{3})->at("A"), "b");
  EXPECT_EQ(store->newest_snapshot()->state_hash, "h");
  Batch next;
  next.entries.emplace_back(Time{3}, NodeJoined{});
  EXPECT_EQ(store->append(next), 3);
}

TEST_F(SqliteStore, RefusesASecondOpenerInThisAndInAnotherProcess) {
  const auto first = open_sqlite(path);
  EXPECT_NE(open_problem().find("in use"), std::string::npos) << open_problem();
  const auto refused_in_child = [&] {
    const pid_t child = fork();
    if (child == 0) _exit(open_problem().find("in use") != std::string::npos ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  };
  // Twice: a refused opener must not take the lock away from the first.
  EXPECT_TRUE(refused_in_child());
  EXPECT_TRUE(refused_in_child());
  Batch batch;
  batch.entries.emplace_back(Time{}, NodeJoined{});
  EXPECT_EQ(first->append(batch), 1);
}

TEST_F(SqliteStore, ItsFilesAreForItsOwnerOnly) {
  const mode_t before = umask(0);
  const auto store = open_sqlite(path);
  umask(before);
  Batch batch;
  batch.entries.emplace_back(Time{}, NodeJoined{});
  store->append(batch);
  int files = 0;
  for (const auto& file : fs::directory_iterator(folder.path())) {
    EXPECT_EQ(file.status().permissions(), fs::perms::owner_read | fs::perms::owner_write) << file.path();
    ++files;
  }
  EXPECT_EQ(files, 2);  // the database and its WAL
  EXPECT_GT(store->size_bytes(), 0);
  EXPECT_GT(store->wal_bytes(), 0);
}

TEST_F(SqliteStore, MakesAnExistingFilePrivate) {
  write(1);
  fs::permissions(path, fs::perms::others_read, fs::perm_options::add);
  open_sqlite(path);
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(SqliteStore, OpensInAFolderBehindALink) {
  fs::create_directory(folder / "real");
  fs::create_symlink(folder / "real", folder / "link");
  EXPECT_EQ(open_sqlite(folder / "link/journal.db")->last_sequence(), 0);
  EXPECT_TRUE(fs::exists(folder / "real/journal.db"));
}

TEST_F(SqliteStore, NamesADamagedRecordAndSkipsNothing) {
  write(5);
  sql("UPDATE journal SET entry = replace(entry, '\"job\":3', '\"job\":4') WHERE sequence = 3");
  std::int64_t read = 0;
  const std::string problem = read_problem(&read);
  EXPECT_EQ(problem, "journal record 3 of " + path + " can't be read: its checksum is wrong; restore the file from a copy");
  EXPECT_EQ(read, 2);
}

TEST_F(SqliteStore, NamesAMissingRecord) {
  write(5);
  sql("DELETE FROM journal WHERE sequence = 2");
  EXPECT_EQ(read_problem(), "journal record 2 of " + path + " is missing; restore the file from a copy");
}

TEST_F(SqliteStore, NamesARecordOfAKindThatItDoesNotKnow) {
  write(2);
  const std::string text = R"({"type":"from_the_future"})";
  sql("UPDATE journal SET entry = '" + text + "', checksum = " + std::to_string(expected_checksum(2, 2, text)) + " WHERE sequence = 2");
  EXPECT_EQ(read_problem(), "journal record 2 can't be read: type: unknown type \"from_the_future\"");
}

TEST_F(SqliteStore, ReadsRecordsOfOtherVersions) {
  write(1);
  const std::string text = R"({"type":"job_requeued","job":8,"reason_of_tomorrow":{"a":[1]}})";  // one member more, one less
  sql("UPDATE journal SET entry = '" + text + "', checksum = " + std::to_string(expected_checksum(1, 1, text)) + " WHERE sequence = 1");
  const auto store = open_sqlite(path);
  store->read(1, [&](const Record& record) {
    EXPECT_EQ(std::get<JobRequeued>(record.entry).job, JobId{8});
    EXPECT_EQ(std::get<JobRequeued>(record.entry).actor, Actor{});
  });
}

TEST_F(SqliteStore, PassesOverADamagedSnapshot) {
  write(3);
  {
    const auto store = open_sqlite(path);
    store->save_snapshot({.sequence = 1, .state_hash = "one"});
    store->save_snapshot({.sequence = 3, .state_hash = "three"});
  }
  sql("UPDATE snapshots SET state = state || ' ' WHERE sequence = 3");
  EXPECT_EQ(open_sqlite(path)->newest_snapshot()->state_hash, "one");
}

TEST_F(SqliteStore, AnEnvironmentThatIsDamagedIsNotHandedOut) {
  {
    Batch batch;
    batch.environments = {{JobId{1}, {{"TOKEN", "s3cret"}}}};
    open_sqlite(path)->append(batch);
  }
  sql("UPDATE environments SET variables = '{\"TOKEN\":\"s3creT\"}'");
  try {
    open_sqlite(path)->environment(JobId{1});
    FAIL() << "handed out";
  } catch (const StoreError& error) {
    EXPECT_EQ(std::string(error.what()).find("s3cre"), std::string::npos);
  }
}

TEST_F(SqliteStore, AForgottenEnvironmentLeavesNoBytesBehindOnceClosed) {
  {
    const auto store = open_sqlite(path);
    Batch batch;
    batch.environments = {{JobId{1}, {{"TOKEN", "correct-horse-battery"}}}};
    store->append(batch);
    Batch forget;
    forget.forget_environments = {JobId{1}};
    store->append(forget);
  }
  for (const auto& file : fs::directory_iterator(folder.path())) {
    std::ostringstream bytes;
    bytes << std::ifstream(file.path(), std::ios::binary).rdbuf();
    EXPECT_EQ(bytes.str().find("correct-horse"), std::string::npos) << file.path();
  }
}

TEST_F(SqliteStore, RefusesAnUnknownSchema) {
  write(1);
  sql("UPDATE about SET value = 99");
  EXPECT_EQ(open_problem(), "can't open the journal " + path + ": it has version 99 and this program reads versions 1 to 3; use the program that wrote it");
}

TEST_F(SqliteStore, BringsAFileOfTheFirstVersionUpToDate) {
  write(3);
  {
    const auto store = open_sqlite(path);
    Batch batch;
    batch.environments = {{JobId{2}, {{"TOKEN", "kept"}}}};
    store->append(batch);
  }
  // As the first version wrote it: environments by job alone, no subjects and no letters.
  sql("DROP TABLE letters; DROP TABLE subjects; CREATE TABLE old (job INTEGER PRIMARY KEY, variables TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT;"
      "INSERT INTO old SELECT job, variables, checksum FROM environments; DROP TABLE environments; ALTER TABLE old RENAME TO environments;"
      "UPDATE about SET value = 1 WHERE name = 'schema_version'");
  for (int times = 0; times < 2; ++times) {
    const auto store = open_sqlite(path);
    EXPECT_EQ(store->last_sequence(), 3);
    EXPECT_EQ(store->environment(JobId{2})->at("TOKEN"), "kept");
    std::vector<std::int64_t> found;
    store->read_about("job 3", [&](const Record& record) { found.push_back(record.sequence); });
    EXPECT_EQ(found, std::vector<std::int64_t>{3});
  }
}

TEST_F(SqliteStore, RefusesADatabaseOfSomethingElse) {
  sql("CREATE TABLE recipes (name TEXT)");
  EXPECT_EQ(open_problem(), "can't open the journal " + path + ": it is a database of something else; name another file");
}

TEST_F(SqliteStore, RefusesWhatIsNoDatabase) {
  std::ofstream(path) << std::string(4096, 'x');
  EXPECT_NE(open_problem().find("file is not a database; the file is damaged or no journal of ours"), std::string::npos) << open_problem();
}

TEST_F(SqliteStore, SaysWhatIsWrongWithTheFolder) {
  const auto problem_of = [](const std::string& where) -> std::string {
    try {
      open_sqlite(where);
      return "";
    } catch (const StoreError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(problem_of(folder / "missing/journal.db"),
            "can't open the journal " + (folder / "missing/journal.db") + ": No such file or directory; check that the folder exists and is yours");
}

TEST_F(SqliteStore, AFullDiskIsNamedAndNothingIsHalfWritten) {
  write(1);
  const auto store = open_sqlite(path);
  struct rlimit_guard {
    // Files of this process may not grow beyond what the WAL needs for a little: the disk as a full one looks to SQLite.
    rlimit before{};
    explicit rlimit_guard(rlim_t bytes) {
      getrlimit(RLIMIT_FSIZE, &before);
      rlimit tight = before;
      tight.rlim_cur = bytes;
      setrlimit(RLIMIT_FSIZE, &tight);
      signal(SIGXFSZ, SIG_IGN);
    }
    ~rlimit_guard() { setrlimit(RLIMIT_FSIZE, &before); }
  };
  Batch large;
  for (int i = 0; i < 50; ++i) large.entries.emplace_back(Time{}, CheckpointSaved{.path = std::string(10'000, 'p')});
  std::string problem;
  {
    const rlimit_guard limit(100'000);
    try {
      store->append(large);
    } catch (const StoreError& error) {
      problem = error.what();
    }
  }
  EXPECT_NE(problem.find("can't write to the journal"), std::string::npos) << problem;
  EXPECT_NE(problem.find("full"), std::string::npos) << problem;
  EXPECT_EQ(store->last_sequence(), 1);
  EXPECT_THROW(store->prove_writable(), StoreError);
  EXPECT_THROW(store->append(large), StoreError);  // even though there would be room again: start anew
  std::int64_t read = 0;
  store->read(1, [&](const Record&) { ++read; });
  EXPECT_EQ(read, 1);
}

/// Runs in a child until it is killed: appends batches of 1 to 4 entries and says each returned sequence.
[[noreturn]] void append_and_report(const std::string& path, int pipe_end, std::int64_t first_n) {
  const auto store = open_sqlite(path);
  for (std::int64_t n = first_n;; ++n) {
    Batch batch;
    for (std::int64_t i = 0; i <= n % 4; ++i) batch.entries.emplace_back(Time{n}, JobRequeued{JobId{n}, {}});
    batch.environments = {{JobId{n}, {{"N", std::to_string(n)}}}};
    const std::int64_t sequence = store->append(batch);
    if (::write(pipe_end, &sequence, sizeof sequence) != sizeof sequence) _exit(1);
  }
}

TEST_F(SqliteStore, LosesNothingThatItReportedWhenKilled) {
  const unsigned seed = 20'240'611;
  std::mt19937 random(seed);
  std::int64_t reported = 0;
  for (int round = 0; round < 10; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", round " + std::to_string(round));
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) append_and_report(path, ends[1], round * 1'000'000);
    close(ends[1]);
    // The moment: after some reports, and then somewhere inside the next appends.
    const int wanted = std::uniform_int_distribution(1, 12)(random);
    std::int64_t sequence = 0;
    for (int i = 0; i < wanted && ::read(ends[0], &sequence, sizeof sequence) == sizeof sequence; ++i) reported = sequence;
    pollfd never{-1, 0, 0};
    const timespec inside{0, std::uniform_int_distribution(0, 3'000'000)(random)};
    ppoll(&never, 1, &inside, nullptr);
    kill(child, SIGKILL);
    while (::read(ends[0], &sequence, sizeof sequence) == sizeof sequence) reported = sequence;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));

    const auto store = open_sqlite(path);
    ASSERT_GT(reported, 0);
    EXPECT_GE(store->last_sequence(), reported);
    // Whole batches only: those of number n hold n % 4 + 1 records.
    std::int64_t count = 0;
    std::map<std::int64_t, std::int64_t> records_of_n;
    std::int64_t last_n = -1, batches = 0;
    store->read(1, [&](const Record& record) {
      EXPECT_EQ(record.sequence, ++count);
      const std::int64_t n = std::get<JobRequeued>(record.entry).job.value;
      if (n != last_n) {
        if (last_n >= 0) {
          EXPECT_EQ(records_of_n[batches], last_n % 4 + 1);
        }
        ++batches;
      }
      last_n = n;
      ++records_of_n[batches];
    });
    EXPECT_EQ(records_of_n[batches], last_n % 4 + 1);
    EXPECT_EQ(store->environment(JobId{last_n})->at("N"), std::to_string(last_n));
    EXPECT_EQ(count, store->last_sequence());
  }
}

}  // namespace
}  // namespace ultramarine::store
