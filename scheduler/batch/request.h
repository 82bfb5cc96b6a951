// From options to a job: what a script, the environment and the command line say together. The strongest word wins for each option;
// numbers of nodes, ranks and GPUs are then put together as sbatch does. Nothing here reads a file, an environment or a cluster.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/batch/given.h"
#include "scheduler/batch/values.h"
#include "scheduler/model/job.h"

namespace ultramarine::batch {

/// What a job script, or a command on the command line, asks for.
struct Request {
  JobSpec spec;                                   // complete but for element_dependencies
  std::vector<std::int64_t> array_indices;        // ascending; empty: no array
  std::int64_t array_limit = 0;
  std::vector<TypedDependency> element_dependencies;  // those on elements of arrays: whoever knows the cluster adds them to spec.dependencies
  std::string environment = "ALL";                // what of the environment goes along: ALL, NONE, names, and NAME=VALUE
  std::string environment_where;                  // "" = nobody said so
  bool environment_values = false;                // NAME=VALUE may stand in it (not on a command line, which everybody can read)
  bool wait = false, parsable = false;
  std::vector<std::string> honoured;              // where each option that counts was given: "job.sh:3: --time"
  std::vector<std::string> warnings;              // one line each
  std::map<std::string, std::string> places;      // field of spec -> where it was given, for refusals that come later
};

/// A job script with all that surrounds it.
struct Submission {
  std::string name;                               // of the script, in messages; "" = no script, `command` is run as it is
  std::string text;
  std::vector<std::string> command;               // the script's path as typed and its arguments
  std::string folder;                             // absolute: the current one
  std::map<std::string, std::string> environment; // for SBATCH_... and ULTRA_SUBMIT_...
  std::vector<Given> file;                        // of a job file: as strong as #ULTRA lines
  std::vector<Given> command_line;
  /// The text of a file that an option names; throws Problem(where, ...) when it can't be read. Empty: no option may name a file.
  std::function<std::string(const std::string& path, const std::string& where)> read_file;
  Time now;                                       // what now+1h and 16:00 count from
};

/// Throws Problem.
Request request_of(const Submission& submission);

}  // namespace ultramarine::batch
