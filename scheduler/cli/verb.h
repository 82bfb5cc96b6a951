// A verb of the command line as data: its options, its help and what it does. One file per verb in verbs/; command_line
// turns the list into a parser. A verb doesn't know how arguments are split, and reads no global state: all it may look
// at is in Context.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "scheduler/cli/command_error.h"
#include "scheduler/cli/job_name.h"
#include "scheduler/cli/terminal.h"
#include "scheduler/model/time.h"

namespace ultramarine::cli {

struct Option {
  std::string name;        // "--gpus"
  std::string value_name;  // "N"; "" = a flag
  std::string help;
  std::string letter = {};  // "-f", or none
  bool repeatable = false;  // given several times, its values are joined by commas
};

/// What was typed after the verb, already checked for unknown and repeated options and missing values.
class Arguments {
 public:
  std::map<std::string, std::string> values;  // option -> value ("" for a flag)
  std::vector<std::string> positionals;       // for `command...`: the words after `--` as they are
  bool after_dashes = false;                  // a `--` stood before them

  bool has(const std::string& option) const { return values.count(option) > 0; }
  std::optional<std::string> text(const std::string& option) const;
  /// A whole number from `least` to `most`. Throws CommandError (usage) that names the option.
  std::optional<std::int64_t> whole_number(const std::string& option, std::int64_t least, std::int64_t most) const;
  /// 30s, 2h, 1-12:00 ... Throws CommandError (usage) that names the option.
  std::optional<Duration> duration(const std::string& option) const;
  /// now+2h, 16:00, tomorrow ... in local time. Throws CommandError (usage) that names the option.
  std::optional<Time> instant(const std::string& option, Time now) const;
  /// The option's words, which commas part.
  std::vector<std::string> list(const std::string& option) const;
  /// The positionals as job numbers. Throws CommandError (usage).
  std::vector<JobId> jobs() const;
  /// The positionals as names of jobs: 12, 12_3 (an element of array 12), 12_[1-5,7] (several; taken apart). Throws CommandError (usage).
  std::vector<JobName> job_names() const;
};

/// Everything that a verb may see of the world it runs in.
struct Context {
  std::ostream& out;
  std::ostream& err;
  Terminal terminal;
  std::map<std::string, std::string> environment;
  std::string home;    // $ULTRA_HOME, absolute
  std::string socket;  // of the API
  std::function<Time()> now;

  std::string variable(const std::string& name) const;
};

/// Says each of these on stderr, in the reader's language.
void warn(const std::vector<std::string>& lines, Context& context);

/// `script_or_command`: a command, a script with its arguments, or nothing (the verb says what is missing). `nodes`: any number of names.
/// `shell`: one, or `words` and a whole command line. `some_nodes`: one at least. `reservation`: at most one name.
/// `maybe_job`: at most one. `policy`: a policy's name or file; `maybe_policy`: one or none; `policies`: one or two.
/// `job_and_command`: a job, options, and a command after `--`; `maybe_command`: a command after `--`, or none.
enum class Positionals { none, one_job, maybe_job, jobs, job_and_command, maybe_command, command, script_or_command, nodes, some_nodes, reservation, file, folder, shell, policy, maybe_policy, policies };
/// As usage lines show them: " JOB...", "" for none.
std::string positional_words(Positionals positionals);

struct Verb {
  std::string path;     // "cluster up"
  std::string summary;  // one line, in the list of verbs
  Positionals positionals = Positionals::none;
  std::vector<Option> options;
  std::string details;  // examples and what else help should say
  std::function<int(const Arguments&, Context&)> run;
};

// One per file in verbs/.
Verb cluster_up_verb();
Verb cluster_down_verb();
Verb cluster_status_verb();
Verb submit_verb();
Verb run_verb();
Verb shell_verb();
Verb attach_verb();
Verb exec_verb();
Verb queue_verb();
Verb timeline_verb();
Verb top_verb();
Verb dashboard_verb();
Verb show_verb();
Verb logs_verb();
Verb cancel_verb();
Verb hold_verb();
Verb release_verb();
Verb why_verb();
std::vector<Verb> whatif_verbs();
Verb boost_verb();
Verb extend_verb();
Verb requeue_verb();
Verb reorder_verb();
Verb wait_verb();
Verb wait_report_verb();
Verb nodes_verb();
Verb drain_verb();
Verb lost_verb();
Verb resume_verb();
Verb reservations_verb();
Verb reserve_verb();
Verb reload_verb();
Verb policy_show_verb();
Verb policy_check_verb();
Verb policy_diff_verb();
Verb priority_verb();
Verb shares_verb();
Verb report_verb();
Verb events_verb();
Verb validate_verb();
Verb doctor_verb();
Verb completion_verb();
Verb man_verb();
Verb version_verb();
/// In the order of `ultra --help`.
std::vector<Verb> all_verbs();

/// What the verbs have in common whose first word this is: of those that have two words. As spoken.
std::string group_summary(const std::string& first_word);

/// Those that every verb has.
const std::vector<Option>& global_options();

inline Option json_option(const std::string& what) { return {"--json", "", "Print " + what + " as one JSON object"}; }

}  // namespace ultramarine::cli
