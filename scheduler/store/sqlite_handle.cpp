// Error texts and parameter binding of the SQLite handles.
#include "scheduler/store/sqlite_handle.h"

#include <cstring>

namespace ultramarine::store {
namespace {

const char* remedy(int code) {
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "in use by another process; stop that one first";
    case SQLITE_FULL:
      return "the disk is full; free some space and start again";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
      return "check that the folder exists, is yours and is not on a read-only file system";
    case SQLITE_IOERR:
      return "the disk reports an error or is full; look at the system's log";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "the file is damaged or no journal of ours; restore it from a copy";
    default:
      return "";
  }
}

}  // namespace

void fail(sqlite3* database, const std::string& doing) {
  const int code = sqlite3_extended_errcode(database);
  const int system_error = sqlite3_system_errno(database);
  std::string text = doing + ": " + sqlite3_errmsg(database);
  // The system's number is only fresh for these.
  const bool is_fresh = (code & 0xFF) == SQLITE_IOERR || (code & 0xFF) == SQLITE_CANTOPEN;
  if (system_error != 0 && is_fresh) text += std::string(" (") + std::strerror(system_error) + ")";
  if (*remedy(code) != '\0') text += std::string("; ") + remedy(code);
  throw StoreError(text);
}

void execute(sqlite3* database, const char* sql, const std::string& doing) {
  if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail(database, doing);
}

Statement::Statement(sqlite3* database, const char* sql) : database_(database) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    fail(database, "can't ask the journal");
  }
  statement_.reset(statement);
}

Statement& Statement::bind(int index, std::int64_t value) {
  if (sqlite3_bind_int64(statement_.get(), index, value) != SQLITE_OK) fail(database_, "can't hand a number to the journal");
  return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
  if (sqlite3_bind_text64(statement_.get(), index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8) != SQLITE_OK) {
    fail(database_, "can't hand a text to the journal");
  }
  return *this;
}

bool Statement::step(const std::string& doing) {
  switch (sqlite3_step(statement_.get())) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      fail(database_, doing);
  }
}

void Statement::run(const std::string& doing) {
  step(doing);
  reset();
}

void Statement::reset() {
  sqlite3_reset(statement_.get());  // repeats the error of the last step, which was thrown then
  sqlite3_clear_bindings(statement_.get());
}

std::string_view Statement::text(int column) const {
  const auto* characters = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (!characters) return {};
  return {characters, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

}  // namespace ultramarine::store
