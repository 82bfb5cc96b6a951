// What a script, or a command, asks for: the shortest way to say it in a test.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "scheduler/batch/request.h"

namespace ultramarine::batch::test {

/// A script job.sh of a first line #!/bin/bash and the given lines (line 2 on), submitted in /home/ada.
inline Request ask(const std::vector<std::string>& lines, const std::map<std::string, std::string>& environment = {},
                   const std::vector<Given>& command_line = {}) {
  Submission submission;
  submission.name = "job.sh";
  submission.text = "#!/bin/bash\n";
  for (const std::string& line : lines) submission.text += line + "\n";
  submission.command = {"job.sh"};
  submission.folder = "/home/ada";
  submission.environment = environment;
  submission.command_line = command_line;
  return request_of(submission);
}

/// One #SBATCH line.
inline Request sbatch(const std::string& options) { return ask({"#SBATCH " + options}); }
inline Request ultra(const std::string& options) { return ask({"#ULTRA " + options}); }

/// The error's whole line; "" when there is none.
inline std::string mistake(const std::vector<std::string>& lines) {
  try {
    ask(lines);
    return "";
  } catch (const Problem& problem) {
    return problem.what();
  }
}
inline std::string sbatch_mistake(const std::string& options) { return mistake({"#SBATCH " + options}); }

/// A plain command with options on the command line.
inline Request command(const std::vector<std::pair<std::string, std::string>>& options,
                       const std::map<std::string, std::string>& environment = {}) {
  Submission submission;
  submission.command = {"/usr/bin/python3", "train.py"};
  submission.folder = "/home/ada";
  submission.environment = environment;
  for (const auto& [name, value] : options) submission.command_line.push_back(given_on_command_line(name, value));
  return request_of(submission);
}

}  // namespace ultramarine::batch::test
