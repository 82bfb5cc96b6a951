// Options as somebody gave them, whatever the way: on a directive line, in an environment variable, on the command line. Words become
// options by getopt_long's rules, because sbatch uses it: --opt=v, --opt v, -x v, -xv, and unambiguous beginnings of long names.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "scheduler/batch/directives.h"
#include "scheduler/batch/options.h"

namespace ultramarine::batch {

/// From weak to strong: the same option at a stronger level wins; at the same level, the last one.
enum class Level { slurm_line, ultra_line, slurm_variable, ultra_variable, command_line };

struct Given {
  const OptionRule* rule = nullptr;
  Dialect dialect = Dialect::slurm;
  Level level = Level::slurm_line;
  std::string value;  // "" for an option without one
  std::string where;  // for messages: "job.sh:7: --time", "SBATCH_TIMELIMIT", "--time"
};

/// The options in the words of all #SBATCH or all #ULTRA lines. A value may stand on the next line, as in sbatch, which joins the lines.
/// Throws Problem: an unknown or ambiguous option, a word that is no option, a missing value, -x=v.
std::vector<Given> given_in_lines(const std::string& script, const std::vector<Word>& words, Dialect dialect);

/// ULTRA_SUBMIT_... of our options, and with `slurm_too` SBATCH_... of sbatch's, in that order of strength.
std::vector<Given> given_in_environment(const std::map<std::string, std::string>& environment, bool slurm_too);

/// One of our options, as typed after `ultra submit`. Throws std::logic_error for a name that is not in the table.
Given given_on_command_line(const std::string& name, const std::string& value);

}  // namespace ultramarine::batch
