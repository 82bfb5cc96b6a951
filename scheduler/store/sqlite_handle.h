// SQLite's C handles as values that clean up, and its errors as StoreError with a remedy. Knows no table.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>

#include "scheduler/store/store.h"

namespace ultramarine::store {

struct DatabaseCloser {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct StatementCloser {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, DatabaseCloser>;

/// Throws StoreError: what was being done, SQLite's words, the system's, and what to do about it.
[[noreturn]] void fail(sqlite3* database, const std::string& doing);
void execute(sqlite3* database, const char* sql, const std::string& doing);

/// A prepared statement. `bind` numbers its values from 1; texts must live until the next `reset`.
class Statement {
 public:
  Statement(sqlite3* database, const char* sql);
  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, std::string_view text);
  /// Runs to the next row; false at the end.
  bool step(const std::string& doing);
  /// Runs a statement that gives no rows, and makes it ready for the next time.
  void run(const std::string& doing);
  void reset();
  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  /// Valid until the next step.
  std::string_view text(int column) const;

 private:
  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, StatementCloser> statement_;
};

}  // namespace ultramarine::store
