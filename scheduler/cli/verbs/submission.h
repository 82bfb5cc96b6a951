// What `ultra submit` sends, made from its arguments, a script and the shell's environment. Pure, so that tests can read the request.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/batch/request.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/job_file.h"
#include "scheduler/cli/verb.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli {

struct Submission {
  protocol::SubmitRequest request;                           // but for request_key, and what follows
  std::vector<batch::TypedDependency> element_dependencies;  // on elements of arrays, whose job numbers the scheduler knows
  bool wait = false, parsable = false;
  std::vector<std::string> honoured, warnings;
  std::map<std::string, std::string> places;  // field of the job -> where it was said: "job.sh:3: --partition"
};

/// `script`: with it, the arguments' positionals are the script's name and its arguments. `file`: what a job file says. `current_folder` is the default working
/// directory; times of day and now+1h count from `now`. Throws CommandError (usage) that names the option, and the line of the script.
Submission submission(const Arguments& arguments, const std::map<std::string, std::string>& environment, const std::string& current_folder,
                      const std::optional<ScriptFile>& script = std::nullopt, const std::vector<batch::Given>& file = {}, Time now = {});

/// What only the scheduler knows: job numbers of elements.
void complete(Submission& made, Client& client);
/// A refusal of something that a script or a job file says names its line.
[[noreturn]] void refuse_at_its_place(const Refused& refused, const Submission& made);

/// The submitter's variables without those that this system gave to a job that `ultra` runs in.
std::map<std::string, std::string> without_job_variables(std::map<std::string, std::string> environment);
/// Takes out what can't travel, because it isn't UTF-8; returns the names with commas between.
std::string leave_out_other_than_utf8(std::map<std::string, std::string>& environment);

}  // namespace ultramarine::cli
