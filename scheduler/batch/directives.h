// The directive lines of a job script (#SBATCH, #ULTRA) as words. Only lines that begin exactly so count, and only those before the first
// line that is neither blank nor a comment: as sbatch reads them. Knows words and lines, not what any option means.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/batch/problem.h"

namespace ultramarine::batch {

struct Word {
  std::string text;
  std::int64_t line = 0;  // from 1
};

struct Directives {
  std::vector<Word> slurm, ultra;            // words of all #SBATCH lines and of all #ULTRA lines, in order
  std::vector<std::int64_t> foreign;         // lines of other schedulers (#PBS, #BSUB)
  std::vector<std::string> foreign_marks;    // which of them: "#PBS"
  std::int64_t first_command = 0;            // the line that ends the directives; 0 = none does
  std::vector<std::int64_t> late;            // directive lines after it, which don't count
};

/// Looks like a job script: begins with #!, or has a directive line.
bool looks_like_script(std::string_view text);

/// `name` is the script's name in messages. Words split at blanks; single and double quotes group; a backslash takes the next character as
/// it is; a # outside quotes, even inside a word, ends the line. Throws Problem: no #! in line 1, DOS line ends, a zero byte, text that isn't
/// UTF-8, an unmatched quote.
Directives read_directives(const std::string& name, std::string_view text);

}  // namespace ultramarine::batch
