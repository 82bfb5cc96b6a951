// What NVIDIA's driver reports as Xid, and what the agent does about each: a row per code. The driver's codes mean the same in all its versions.
// Source of every row: NVIDIA, "Analyzing Xid Errors with the Xid Catalog" (docs.nvidia.com/deploy/xid-errors), whose own immediate action the row
// repeats. Codes that the catalogue calls unused, or says nothing about, have no row.
#pragma once

#include <cstdint>
#include <span>

namespace ultramarine::devices {

///   note        said in the agent's log
///   blame_job   most likely the program's own mistake: said in the failure of the job that holds the device, if it then fails
///   fail_job    whoever computes there computes wrong, or not at all: the device's jobs fail, and the node is drained
///   drain_node  running jobs may go on, new ones had better not start: the node is drained
enum class XidEffect { note, blame_job, fail_job, drain_node };

struct XidRow {
  std::int64_t code;
  const char* name;
  XidEffect effect;
  const char* source;  // the row of the catalogue: its code and NVIDIA's immediate action
};

/// Ascending by code.
std::span<const XidRow> xid_rows();
/// nullptr for a code without a row.
const XidRow* find_xid(std::int64_t code);

}  // namespace ultramarine::devices
