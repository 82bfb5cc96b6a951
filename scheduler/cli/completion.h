// What could come next on a command line: verbs, options and their values from the option table; jobs, nodes, users and
// accounts from the scheduler, which is given 300 ms and never complained about. The scripts for the shells only ask
// and show.
#pragma once

#include <string>
#include <vector>

#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

struct Candidate {
  std::string word;         // ":files" and ":folders": what the shell itself knows best
  std::string description;  // one line
};

/// `words`: after `ultra`; the last one is being typed. Bash's way of cutting --state=run into three words is
/// understood.
std::vector<Candidate> candidates(const std::vector<Verb>& verbs, const std::vector<std::string>& words,
                                  const Context& context);

/// For `bash`, `zsh` or `fish`; "" for others.
std::string completion_script(const std::string& shell);

}  // namespace ultramarine::cli
