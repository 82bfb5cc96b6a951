// A job as a TOML file: one line for each option of `ultra submit`, by its name without dashes, and what to run.
//   name = "train"      gpus = 16      time = "2h"      array = "0-15%4"      command = ["python3", "train.py"]
// Strict: an unknown word, a wrong kind of value or a missing command is an error with line and column.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/batch/given.h"

namespace ultramarine::cli {

/// A job script as it was found. `name`: as typed.
struct ScriptFile {
  std::string name, text;
};

struct JobFile {
  std::vector<batch::Given> given;
  std::vector<std::string> command;  // of a script: its path and arguments
  std::optional<ScriptFile> script;
};

/// `name`: as typed; a script's path is relative to its folder. Throws CommandError (usage).
JobFile parse_job_file(const std::string& text, const std::string& name);
/// Throws CommandError: it can't be read.
JobFile read_job_file(const std::string& name);
/// The whole file. Throws CommandError (usage).
std::string read_text(const std::string& name);

}  // namespace ultramarine::cli
