// See sqlite_schema.h. One step per version; a new file walks through none of them.
#include "scheduler/store/sqlite_schema.h"

#include "scheduler/store/record_text.h"

namespace ultramarine::store {
namespace {

constexpr std::int64_t schema_version = 3;

constexpr const char* schema = R"(
  CREATE TABLE about (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
  CREATE TABLE journal (sequence INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, entry TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT;
  CREATE TABLE subjects (subject TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (subject, sequence)) STRICT, WITHOUT ROWID;
  CREATE TABLE snapshots (sequence INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, state_hash TEXT NOT NULL, state TEXT NOT NULL,
                          checksum INTEGER NOT NULL) STRICT;
  CREATE TABLE environments (job INTEGER NOT NULL, gang INTEGER NOT NULL, variables TEXT NOT NULL, checksum INTEGER NOT NULL,
                             PRIMARY KEY (job, gang)) STRICT;
  CREATE TABLE letters (number INTEGER PRIMARY KEY, letter TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT;
  INSERT INTO about VALUES ('schema_version', 3);
)";

/// 1 -> 2: environments belong to gangs, and entries are found by what they are about.
constexpr const char* to_version_2 = R"(
  CREATE TABLE subjects (subject TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (subject, sequence)) STRICT, WITHOUT ROWID;
  ALTER TABLE environments RENAME TO environments_1;
  CREATE TABLE environments (job INTEGER NOT NULL, gang INTEGER NOT NULL, variables TEXT NOT NULL, checksum INTEGER NOT NULL,
                             PRIMARY KEY (job, gang)) STRICT;
  INSERT INTO environments SELECT job, 1, variables, checksum FROM environments_1;
  DROP TABLE environments_1;
  UPDATE about SET value = 2 WHERE name = 'schema_version';
)";

/// 2 -> 3: what is to be sent to people.
constexpr const char* to_version_3 = R"(
  CREATE TABLE letters (number INTEGER PRIMARY KEY, letter TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT;
  UPDATE about SET value = 3 WHERE name = 'schema_version';
)";

void fill_subjects(sqlite3* database, const std::string& doing) {
  Statement rows(database, "SELECT sequence, entry FROM journal ORDER BY sequence");
  Statement insert(database, insert_subject_sql);
  while (rows.step(doing)) {
    const std::int64_t sequence = rows.integer(0);
    for (const std::string& subject : subjects_of(entry_from_text(sequence, rows.text(1)))) insert.bind(1, subject).bind(2, sequence).run(doing);
  }
}

}  // namespace

void prepare_schema(sqlite3* database, const std::string& path) {
  const std::string doing = "can't open the journal " + path, setting_up = "can't set up the journal " + path;
  execute(database, "BEGIN EXCLUSIVE", doing);
  Statement tables(database, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'");
  tables.step(doing);
  const bool is_new = tables.integer(0) == 0;
  tables.reset();
  if (is_new) execute(database, schema, setting_up);
  if (sqlite3_table_column_metadata(database, "main", "about", "value", nullptr, nullptr, nullptr, nullptr, nullptr) != SQLITE_OK)
    throw StoreError(doing + ": it is a database of something else; name another file");
  Statement version(database, "SELECT value FROM about WHERE name = 'schema_version'");
  const std::int64_t found = version.step(doing) ? version.integer(0) : 0;
  version.reset();
  if (found < 1 || found > schema_version)
    throw StoreError(doing + ": it has version " + std::to_string(found) + " and this program reads versions 1 to " +
                     std::to_string(schema_version) + "; use the program that wrote it");
  if (found < 2) {
    execute(database, to_version_2, setting_up);
    fill_subjects(database, setting_up);
  }
  if (found < 3) execute(database, to_version_3, setting_up);
  execute(database, "COMMIT", setting_up);
}

}  // namespace ultramarine::store
