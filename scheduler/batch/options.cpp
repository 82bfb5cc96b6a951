#include "scheduler/batch/options.h"

#include <algorithm>

namespace ultramarine::batch {
namespace {

using enum Takes;

constexpr OptionRule honoured(std::string_view name, char letter, Meaning meaning, std::string_view variable = {}, Takes takes = value) {
  return {name, letter, takes, Treatment::honoured, meaning, variable, {}, {}};
}
constexpr OptionRule recorded(std::string_view name, char letter = 0, Meaning meaning = Meaning::text, std::string_view variable = {},
                              Takes takes = value) {
  return {name, letter, takes, Treatment::recorded, meaning, variable, {}, {}};
}
constexpr OptionRule refused(std::string_view name, char letter, std::string_view remedy, Takes takes = value,
                             std::string_view variable = {}) {
  return {name, letter, takes, Treatment::refused, Meaning::none, variable, remedy, {}};
}
constexpr OptionRule other_spelling(std::string_view name, OptionRule rule) {
  rule.same_as = rule.name;
  rule.name = name;
  rule.letter = 0;
  rule.variable = {};
  return rule;
}

constexpr std::string_view no_container = "start the container from the script, for example: apptainer exec --nv IMAGE.sif python3 train.py";
constexpr std::string_view no_buffer = "there is no burst buffer; copy the files in the script";
constexpr std::string_view command_line_only = "it belongs on the command line of 'ultra submit'";

const std::vector<OptionRule>& slurm_rules() {
  using enum Meaning;
  static const std::vector<OptionRule> rules{
      honoured("account", 'A', account, "SBATCH_ACCOUNT"),
      recorded("acctg-freq", 0, text, "SBATCH_ACCTG_FREQ"),
      honoured("array", 'a', array, "SBATCH_ARRAY_INX"),
      recorded("batch", 0, text, "SBATCH_BATCH"),
      refused("bb", 0, no_buffer, value, "SBATCH_BURST_BUFFER"),
      refused("bbf", 0, no_buffer),
      honoured("begin", 'b', begin),
      honoured("chdir", 'D', folder),
      recorded("cluster-constraint", 0, text, "SBATCH_CLUSTER_CONSTRAINT"),
      recorded("clusters", 'M', text, "SBATCH_CLUSTERS"),
      recorded("comment"),
      honoured("constraint", 'C', constraint, "SBATCH_CONSTRAINT"),
      refused("container", 0, no_container, value, "SBATCH_CONTAINER"),
      recorded("contiguous", 0, text, {}, nothing),
      recorded("core-spec", 'S', text, "SBATCH_CORE_SPEC"),
      recorded("cores-per-socket", 0, count),
      recorded("cpu-freq", 0, text, "SBATCH_CPU_FREQ_REQ"),
      honoured("cpus-per-gpu", 0, cpus_per_gpu, "SBATCH_CPUS_PER_GPU"),
      honoured("cpus-per-task", 'c', cpus_per_task),
      honoured("deadline", 0, deadline),
      recorded("delay-boot", 0, text, "SBATCH_DELAY_BOOT"),
      honoured("dependency", 'd', dependency),
      recorded("distribution", 'm', text, "SBATCH_DISTRIBUTION"),
      honoured("error", 'e', error, "SBATCH_ERROR"),
      honoured("exclude", 'x', exclude),
      honoured("exclusive", 0, exclusive, "SBATCH_EXCLUSIVE", maybe_value),
      honoured("export", 0, environment, "SBATCH_EXPORT"),
      refused("export-file", 0, "source the file in the script"),
      recorded("extra-node-info", 'B'),
      recorded("get-user-env", 0, text, "SBATCH_GET_USER_ENV", maybe_value),
      refused("gid", 0, "submit as a member of that group: newgrp GROUP, then ultra submit"),
      recorded("gpu-bind", 0, text, "SBATCH_GPU_BIND"),
      recorded("gpu-freq", 0, text, "SBATCH_GPU_FREQ"),
      honoured("gpus", 'G', gpus, "SBATCH_GPUS"),
      honoured("gpus-per-node", 0, gpus_per_node, "SBATCH_GPUS_PER_NODE"),
      refused("gpus-per-socket", 0, "say how many per node: --gpus-per-node"),
      honoured("gpus-per-task", 0, gpus_per_task, "SBATCH_GPUS_PER_TASK"),
      honoured("gres", 0, gres, "SBATCH_GRES"),
      recorded("gres-flags", 0, text, "SBATCH_GRES_FLAGS"),
      refused("help", 'h', command_line_only, nothing),
      recorded("hint", 0, text, "SBATCH_HINT"),
      honoured("hold", 'H', hold, {}, nothing),
      recorded("ignore-pbs", 0, text, "SBATCH_IGNORE_PBS", nothing),
      refused("input", 'i', "read the file in the script: exec < FILE", value, "SBATCH_INPUT"),
      honoured("job-name", 'J', name, "SBATCH_JOB_NAME"),
      recorded("kill-on-invalid-dep"),
      recorded("licenses", 'L'),
      honoured("mail-type", 0, mail_type),
      honoured("mail-user", 0, mail_user),
      recorded("mcs-label"),
      honoured("mem", 0, memory, "SBATCH_MEM_PER_NODE"),
      recorded("mem-bind", 0, text, "SBATCH_MEM_BIND"),
      honoured("mem-per-cpu", 0, memory_per_cpu, "SBATCH_MEM_PER_CPU"),
      honoured("mem-per-gpu", 0, memory_per_gpu, "SBATCH_MEM_PER_GPU"),
      recorded("mincpus", 0, count),
      recorded("network", 0, text, "SBATCH_NETWORK"),
      honoured("nice", 0, nice, {}, maybe_value),
      recorded("no-kill", 'k', text, "SBATCH_NO_KILL", maybe_value),
      recorded("no-requeue", 0, text, "SBATCH_NO_REQUEUE", nothing),
      honoured("nodefile", 'F', node_file),
      honoured("nodelist", 'w', node_list),
      honoured("nodes", 'N', nodes),
      honoured("ntasks", 'n', tasks),
      recorded("ntasks-per-core", 0, count),
      honoured("ntasks-per-gpu", 0, tasks_per_gpu),
      honoured("ntasks-per-node", 0, tasks_per_node),
      recorded("ntasks-per-socket", 0, count),
      honoured("open-mode", 0, open_mode, "SBATCH_OPEN_MODE"),
      honoured("output", 'o', output, "SBATCH_OUTPUT"),
      recorded("overcommit", 'O', text, "SBATCH_OVERCOMMIT", nothing),
      recorded("oversubscribe", 's', text, {}, nothing),
      honoured("parsable", 0, parsable, {}, nothing),
      honoured("partition", 'p', partition, "SBATCH_PARTITION"),
      recorded("power", 0, text, "SBATCH_POWER"),
      recorded("prefer"),
      recorded("priority"),
      recorded("profile", 0, text, "SBATCH_PROFILE"),
      recorded("propagate", 0, text, {}, maybe_value),
      honoured("qos", 'q', qos, "SBATCH_QOS"),
      recorded("quiet", 'Q', text, {}, nothing),
      refused("reboot", 0, "ask the cluster's admin to restart nodes", nothing),
      recorded("requeue", 0, text, "SBATCH_REQUEUE", nothing),
      honoured("reservation", 0, reservation, "SBATCH_RESERVATION"),
      honoured("signal", 0, signal, "SBATCH_SIGNAL"),
      recorded("sockets-per-node", 0, count),
      recorded("spread-job", 0, text, "SBATCH_SPREAD_JOB", nothing),
      recorded("switches", 0, text, "SBATCH_REQ_SWITCH"),
      refused("test-only", 0, "'ultra submit --dry-run' shows what would be asked for", nothing),
      recorded("thread-spec", 0, text, "SBATCH_THREAD_SPEC"),
      recorded("threads-per-core", 0, count, "SBATCH_THREADS_PER_CORE"),
      honoured("time", 't', time, "SBATCH_TIMELIMIT"),
      recorded("time-min"),
      recorded("tmp", 0, disk),
      refused("uid", 0, "submit as that user"),
      refused("usage", 0, command_line_only, nothing),
      recorded("use-min-nodes", 0, text, "SBATCH_USE_MIN_NODES", nothing),
      recorded("verbose", 'v', text, {}, nothing),
      refused("version", 'V', command_line_only, nothing),
      honoured("wait", 'W', wait, "SBATCH_WAIT", nothing),
      recorded("wait-all-nodes", 0, text, "SBATCH_WAIT_ALL_NODES"),
      recorded("wckey", 0, text, "SBATCH_WCKEY"),
      refused("wrap", 0, command_line_only),
      // Old names. sbatch 22.05 still takes the first three; the other two it refuses, although scripts have them.
      other_spelling("tasks", honoured("ntasks", 0, tasks)),
      other_spelling("tasks-per-node", honoured("ntasks-per-node", 0, tasks_per_node)),
      other_spelling("cluster", recorded("clusters")),
      other_spelling("workdir", honoured("chdir", 0, folder)),
      other_spelling("share", recorded("oversubscribe", 0, text, {}, nothing)),
      // A plug-in of sbatch that is widely installed (pyxis).
      refused("container-image", 0, no_container),
      refused("container-mounts", 0, no_container),
      refused("container-workdir", 0, no_container),
      refused("container-name", 0, no_container),
      refused("container-save", 0, no_container),
      refused("container-env", 0, no_container),
      refused("container-writable", 0, no_container, nothing),
      refused("container-mount-home", 0, no_container, nothing),
      refused("container-remap-root", 0, no_container, nothing),
      refused("no-container-mount-home", 0, no_container, nothing),
      refused("no-container-remap-root", 0, no_container, nothing),
  };
  return rules;
}

const std::vector<OptionRule>& ultra_rules() {
  using enum Meaning;
  static const std::vector<OptionRule> rules{
      honoured("gpus", 0, gpus),
      honoured("nodes", 0, nodes),
      honoured("gpus-per-node", 0, gpus_per_node),
      honoured("gpu-type", 0, gpu_type),
      honoured("cpus-per-gpu", 0, cpus_per_gpu),
      honoured("mem-per-gpu", 0, memory_per_gpu),
      honoured("constraint", 'C', constraint),
      honoured("nodelist", 'w', node_list),
      honoured("exclude", 'x', exclude),
      honoured("exclusive", 0, exclusive, {}, nothing),
      honoured("name", 0, name),
      honoured("time", 0, time),
      honoured("account", 0, account),
      honoured("partition", 0, partition),
      honoured("qos", 0, qos),
      honoured("strict-names", 0, strict_names, {}, nothing),
      honoured("array", 0, array),
      honoured("after", 0, after),
      honoured("begin", 0, begin),
      honoured("deadline", 0, deadline),
      honoured("hold", 0, hold, {}, nothing),
      honoured("nice", 0, nice),
      honoured("reservation", 0, reservation),
      honoured("min-gpus", 0, min_gpus),
      honoured("max-restarts", 0, max_restarts),
      honoured("on-node-loss", 0, node_loss),
      honoured("on-cut-off", 0, cut_off),
      honoured("hang-after", 0, hang_after),
      honoured("no-trial", 0, no_trial, {}, nothing),
      honoured("ranks", 0, tasks),
      honoured("ranks-per-node", 0, tasks_per_node),
      honoured("cpus-per-rank", 0, cpus_per_task),
      honoured("mpi", 0, mpi),
      honoured("bind", 0, bind),
      honoured("output", 0, output),
      honoured("error", 0, error),
      honoured("open-mode", 0, open_mode),
      honoured("log-limit", 0, log_limit),
      honoured("export", 0, environment),
      honoured("workdir", 0, folder),
      other_spelling("chdir", honoured("workdir", 0, folder)),
      honoured("mail-type", 0, mail_type),
      honoured("mail-user", 0, mail_user),
      honoured("webhook", 0, webhook),
      honoured("signal", 0, signal),
      honoured("grace", 0, grace),
      honoured("wait", 0, wait, {}, nothing),
      honoured("parsable", 0, parsable, {}, nothing),
      refused("wrap", 0, command_line_only),
      refused("file", 0, command_line_only),
      refused("follow", 'f', command_line_only, nothing),
      refused("rank", 0, command_line_only),
      refused("json", 0, command_line_only, nothing),
      refused("quiet", 'q', command_line_only, nothing),
      refused("dry-run", 0, command_line_only, nothing),
      refused("help", 'h', command_line_only, nothing),
  };
  return rules;
}

}  // namespace

const std::vector<OptionRule>& option_rules(Dialect dialect) { return dialect == Dialect::slurm ? slurm_rules() : ultra_rules(); }

const OptionRule* find_option(Dialect dialect, std::string_view name) {
  const auto& rules = option_rules(dialect);
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const OptionRule& rule) { return rule.name == name; });
  return found == rules.end() ? nullptr : &*found;
}

std::string variable_of(const OptionRule& rule, Dialect dialect) {
  if (dialect == Dialect::slurm || rule.treatment != Treatment::honoured) return std::string(rule.variable);
  std::string variable = "ULTRA_SUBMIT_";
  for (const char c : rule.name) variable += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return variable;
}

}  // namespace ultramarine::batch
