// The one table of what a script may say: every option of sbatch 22.05 (and a few that scripts use all the same), and ours. Each is
// honoured, recorded (kept with the job, changes nothing) or refused by name with what to do instead. A row is all it takes to add one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ultramarine::batch {

enum class Dialect { slurm, ultra };

enum class Treatment { honoured, recorded, refused };

enum class Takes { nothing, value, maybe_value };  // maybe_value: only glued on, --exclusive=user

/// What an honoured option sets, and how a recorded one is checked. Several names may mean the same.
enum class Meaning {
  // honoured
  name, account, partition, qos, nodes, tasks, tasks_per_node, tasks_per_gpu, cpus_per_task, gpus, gpus_per_node, gpus_per_task, gres, gpu_type,
  cpus_per_gpu, memory, memory_per_cpu, memory_per_gpu, constraint, node_list, node_file, exclude, exclusive,
  begin, deadline, hold, nice, reservation, min_gpus, max_restarts, node_loss, cut_off, hang_after, no_trial,
  time, grace, mpi, bind, folder, output, error, open_mode, array, dependency, after, signal, environment, strict_names, log_limit, wait, parsable,
  mail_type, mail_user, webhook,
  // recorded, and checked as ...
  text, count, disk,
  // refused
  none,
};

struct OptionRule {
  std::string_view name;  // long name without dashes
  char letter = 0;
  Takes takes = Takes::value;
  Treatment treatment = Treatment::honoured;
  Meaning meaning = Meaning::text;
  std::string_view variable = {};     // SBATCH_...: the environment variable that stands for it
  std::string_view remedy = {};       // of a refused option
  std::string_view same_as = {};      // of another spelling: the name under which it is known
};

/// In the order of sbatch's manual page; of ours, in the order of `ultra submit --help`.
const std::vector<OptionRule>& option_rules(Dialect dialect);

/// The rule of a long name as it stands in the table; null when there is none.
const OptionRule* find_option(Dialect dialect, std::string_view name);

/// The name under which the option is known: that of another row when this is only another spelling.
inline std::string_view known_name(const OptionRule& rule) { return rule.same_as.empty() ? rule.name : rule.same_as; }

/// ULTRA_SUBMIT_GPUS_PER_NODE: the environment variable of one of our options.
std::string variable_of(const OptionRule& rule, Dialect dialect);

}  // namespace ultramarine::batch
