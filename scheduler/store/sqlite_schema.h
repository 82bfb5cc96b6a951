// The tables of the journal's file, and how a file that an older program wrote becomes one of today.
#pragma once

#include <string>

#include "scheduler/store/sqlite_handle.h"

namespace ultramarine::store {

constexpr const char* insert_subject_sql = "INSERT OR IGNORE INTO subjects VALUES (?, ?)";

/// Makes the tables of a new file, or brings older ones up to date, in one transaction. Throws StoreError for a file of something else and
/// for one that a newer program wrote.
void prepare_schema(sqlite3* database, const std::string& path);

}  // namespace ultramarine::store
