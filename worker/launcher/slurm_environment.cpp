#include "worker/launcher/slurm_environment.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>

#include "scheduler/model/gang_shape.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::launcher {
namespace {

using Value = std::optional<std::string>;

/// What a row may ask.
struct Facts {
  const protocol::LaunchSpec& launch;
  const GangLayout& gang;
  const RankPlace& place;
  const GangSurroundings& surroundings;
  const Environment& environment;
  const GangLayout job;  // the ranks that `ultra run` starts when it isn't told how many

  const JobSpec& spec() const { return launch.spec; }
  bool is_script() const { return launch.kind == protocol::LaunchKind::script; }
  /// The gang in which Slurm's step variables are meant: of a script, the whole attempt.
  const GangLayout& layout() const { return is_script() ? job : gang; }
};

Value number(std::int64_t value) { return std::to_string(value); }
Value unless_empty(const std::string& text) { return text.empty() ? Value() : Value(text); }
Value if_positive(std::int64_t value) { return value > 0 ? number(value) : std::nullopt; }

std::vector<std::string> job_nodes(const Facts& facts) {
  std::vector<std::string> names;
  for (const NodeAllocation& part : job_allocation(facts.launch)) names.push_back(part.node);
  return names;
}

/// CPUs of a node of the job where it has so many devices and so many ranks: what is kept for it there, else all that this one has (the others'
/// are not known here).
std::int64_t cpus_of_node(const Facts& facts, std::int64_t devices, std::int64_t ranks) {
  const JobSpec& spec = facts.spec();
  const bool ranks_are_said = spec.ranks > 0 || spec.ranks_per_node > 0;
  if (spec.exclusive) return facts.surroundings.cpus;
  if (spec.cpus_per_gpu > 0 && !(ranks_are_said && spec.cpus_per_rank > 0)) return spec.cpus_per_gpu * devices;
  return spec.cpus_per_rank > 0 ? spec.cpus_per_rank * std::max<std::int64_t>(1, ranks) : facts.surroundings.cpus;
}

Value cpus_per_node(const Facts& facts) {
  const Allocation& allocation = job_allocation(facts.launch);
  std::vector<std::int64_t> counts = ranks_on_nodes(allocation, facts.spec().ranks, facts.spec().ranks_per_node);
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = cpus_of_node(facts, static_cast<std::int64_t>(allocation[i].devices.size()), counts[i]);
  return fold_counts(counts);
}

/// Devices of the job on this node.
std::int64_t devices_here(const Facts& facts) {
  for (const NodeAllocation& part : job_allocation(facts.launch))
    if (part.node == facts.place.node) return static_cast<std::int64_t>(part.devices.size());
  return 0;
}

/// Memory that is kept for so many shares of a GPU, in MiB; a share was rounded down to whole bytes.
Value mebibytes(const Facts& facts, std::int64_t shares, std::int64_t parts = 1) {
  constexpr std::int64_t mebi = 1024 * 1024;
  const std::int64_t bytes = facts.spec().memory_per_gpu_bytes;
  return bytes > 0 && parts > 0 ? if_positive((bytes * shares / parts + mebi / 2) / mebi) : std::nullopt;
}

std::int64_t ranks_here(const Facts& facts) {
  const auto places = facts.layout().on_node(facts.place.node);
  return static_cast<std::int64_t>(places.size());
}

/// A script has it only when somebody said how many; a step always has it.
Value task_count(const Facts& facts) {
  const bool asked = facts.spec().ranks > 0 || facts.spec().ranks_per_node > 0;
  return asked || !facts.is_script() ? number(facts.layout().world_size()) : std::nullopt;
}

/// "a100:4" as it is typed for Slurm, or "4".
Value typed(const Facts& facts, std::int64_t count) {
  if (count <= 0) return std::nullopt;
  return (facts.spec().gpu_type.empty() ? "" : facts.spec().gpu_type + ":") + std::to_string(count);
}

/// An option of the script that we only keep, as it was typed.
Value recorded(const Facts& facts, const std::string& option) {
  for (const std::string& name : {option, "--" + option}) {
    const auto found = facts.spec().recorded.find(name);
    if (found != facts.spec().recorded.end() && !found->second.empty()) return found->second;
  }
  return std::nullopt;
}

Value captured(const Facts& facts, std::initializer_list<const char*> names) {
  for (const char* const name : names) {
    const auto found = facts.environment.find(name);
    if (found != facts.environment.end() && !found->second.empty()) return found->second;
  }
  return std::nullopt;
}

Value dependencies(const Facts& facts) {
  std::string text;
  for (const Dependency& dependency : facts.spec().dependencies) {
    constexpr std::array<const char*, 4> words = {"afterok", "afterany", "afternotok", "after"};
    const char* const word = words[static_cast<std::size_t>(dependency.condition)];
    text += (text.empty() ? "" : ",") + std::string(word) + ":" + std::to_string(dependency.job.value);
  }
  return unless_empty(text);
}

/// Seconds since the epoch at which the attempt has used up its time; nullopt without a limit.
std::optional<std::int64_t> end_time(const Facts& facts) {
  const std::int64_t limit = facts.spec().time_limit_ms.ms;
  if (limit <= 0 && facts.launch.time_left_ms.ms <= 0) return std::nullopt;
  const std::int64_t left = facts.launch.time_left_ms.ms > 0 ? facts.launch.time_left_ms.ms : limit;
  return (facts.surroundings.now_ms.ms + left) / 1000;
}

Value start_time(const Facts& facts) {
  if (facts.is_script()) return number(facts.surroundings.now_ms.ms / 1000);
  const auto end = end_time(facts);
  return end && facts.spec().time_limit_ms.ms > 0 ? number(*end - facts.spec().time_limit_ms.ms / 1000) : std::nullopt;
}

Value of_array(const Facts& facts, std::int64_t ArrayElement::*member) {
  return facts.launch.array ? number((*facts.launch.array).*member) : std::nullopt;
}

std::string global_ranks_here(const Facts& facts) {
  std::vector<std::int64_t> ranks;
  for (const RankPlace& place : facts.gang.on_node(facts.place.node)) ranks.push_back(place.rank);
  return list_of(ranks);
}

/// Who gets a row.
enum class For {
  all,     // the script and every rank of a gang
  job,     // of the job as a whole: the script, and ranks whose caller has no such variable
  script,  // the script alone
  gang,    // ranks of gangs alone
};

struct Row {
  std::vector<const char*> names;
  For whom;
  std::function<Value(const Facts&)> value;
};

const std::vector<Row>& table() {
  static const std::vector<Row> rows = {
      // The job.
      {{"SLURM_JOB_ID", "SLURM_JOBID"}, For::all, [](const Facts& f) { return number(f.launch.key.job.value); }},
      {{"SLURM_JOB_NAME"}, For::job, [](const Facts& f) { return unless_empty(f.spec().name); }},
      {{"SLURM_JOB_USER"}, For::all, [](const Facts& f) { return unless_empty(f.launch.owner.name); }},
      {{"SLURM_JOB_UID"}, For::all, [](const Facts& f) { return number(f.launch.owner.uid); }},
      {{"SLURM_JOB_ACCOUNT"}, For::job, [](const Facts& f) { return unless_empty(f.spec().account); }},
      {{"SLURM_JOB_PARTITION"}, For::job, [](const Facts& f) { return unless_empty(f.spec().partition); }},
      {{"SLURM_JOB_QOS"}, For::job, [](const Facts& f) { return unless_empty(f.spec().qos); }},
      {{"SLURM_JOB_RESERVATION"}, For::job, [](const Facts& f) { return recorded(f, "reservation"); }},
      {{"SLURM_JOB_DEPENDENCY"}, For::job, dependencies},
      {{"SLURM_JOB_START_TIME"}, For::job, start_time},
      {{"SLURM_JOB_END_TIME"}, For::job, [](const Facts& f) { const auto end = end_time(f); return end ? number(*end) : Value(); }},
      {{"SLURM_RESTART_COUNT"}, For::job, [](const Facts& f) { return if_positive(f.launch.key.attempt - 1); }},
      {{"SLURM_CLUSTER_NAME"}, For::all, [](const Facts& f) { return unless_empty(f.launch.cluster); }},
      {{"SLURM_SUBMIT_DIR"}, For::job, [](const Facts& f) { return captured(f, {"ULTRA_SUBMIT_DIR"}); }},
      {{"SLURM_SUBMIT_HOST"}, For::job, [](const Facts& f) { return captured(f, {"ULTRA_SUBMIT_HOST", "HOSTNAME", "HOST"}); }},
      {{"SLURM_ARRAY_JOB_ID"}, For::job, [](const Facts& f) { return f.launch.array ? number(f.launch.array->array.value) : Value(); }},
      {{"SLURM_ARRAY_TASK_ID"}, For::job, [](const Facts& f) { return of_array(f, &ArrayElement::index); }},
      {{"SLURM_ARRAY_TASK_COUNT"}, For::job, [](const Facts& f) { return of_array(f, &ArrayElement::count); }},
      {{"SLURM_ARRAY_TASK_MIN"}, For::job, [](const Facts& f) { return of_array(f, &ArrayElement::min); }},
      {{"SLURM_ARRAY_TASK_MAX"}, For::job, [](const Facts& f) { return of_array(f, &ArrayElement::max); }},
      {{"SLURM_ARRAY_TASK_STEP"}, For::job, [](const Facts& f) { return of_array(f, &ArrayElement::step); }},
      // Its nodes.
      {{"SLURM_JOB_NODELIST"}, For::all, [](const Facts& f) { return fold_in_order(job_nodes(f)); }},
      {{"SLURM_JOB_NUM_NODES"}, For::all, [](const Facts& f) { return number(static_cast<std::int64_t>(job_nodes(f).size())); }},
      {{"SLURM_NODELIST"}, For::all, [](const Facts& f) { return fold_in_order(f.is_script() ? job_nodes(f) : f.gang.nodes()); }},
      {{"SLURM_NNODES"}, For::all, [](const Facts& f) {
         return number(static_cast<std::int64_t>(f.is_script() ? job_nodes(f).size() : f.gang.nodes().size()));
       }},
      {{"SLURM_JOB_CPUS_PER_NODE"}, For::job, cpus_per_node},
      {{"SLURMD_NODENAME", "SLURM_TOPOLOGY_ADDR"}, For::all, [](const Facts& f) { return unless_empty(f.place.node); }},
      {{"SLURM_TOPOLOGY_ADDR_PATTERN"}, For::all, [](const Facts&) { return Value("node"); }},
      {{"SLURM_CPUS_ON_NODE"}, For::all, [](const Facts& f) { return number(cpus_of_node(f, devices_here(f), ranks_here(f))); }},
      {{"SLURM_PRIO_PROCESS"}, For::all, [](const Facts&) { return Value("0"); }},
      {{"SLURM_TMPDIR", "SLURMTMPDIR", "SLURM_JOBTMP"}, For::all, [](const Facts& f) { return unless_empty(f.surroundings.scratch_folder); }},
      // What was asked for.
      {{"SLURM_NTASKS", "SLURM_NPROCS"}, For::all, task_count},
      {{"SLURM_NTASKS_PER_NODE"}, For::job, [](const Facts& f) { return if_positive(f.spec().ranks_per_node); }},
      {{"SLURM_TASKS_PER_NODE"}, For::all, [](const Facts& f) { return fold_counts(f.layout().ranks_per_node()); }},
      {{"SLURM_CPUS_PER_TASK"}, For::all, [](const Facts& f) { return if_positive(f.spec().cpus_per_rank); }},
      {{"SLURM_GPUS"}, For::job, [](const Facts& f) { return typed(f, f.spec().resources.gpus); }},
      {{"SLURM_GPUS_PER_NODE"}, For::job, [](const Facts& f) { return typed(f, f.spec().resources.gpus_per_node); }},
      {{"SLURM_GPUS_PER_TASK"}, For::job, [](const Facts& f) { return recorded(f, "gpus-per-task"); }},
      {{"SLURM_CPUS_PER_GPU"}, For::job, [](const Facts& f) { return f.spec().cpus_per_rank > 0 ? Value() : if_positive(f.spec().cpus_per_gpu); }},
      {{"SLURM_MEM_PER_NODE"}, For::job, [](const Facts& f) { return mebibytes(f, devices_here(f)); }},
      {{"SLURM_MEM_PER_CPU"}, For::job, [](const Facts& f) { return mebibytes(f, 1, f.spec().cpus_per_gpu); }},
      {{"SLURM_MEM_PER_GPU"}, For::job, [](const Facts& f) { return mebibytes(f, 1); }},
      {{"SLURM_GPUS_ON_NODE"}, For::all, [](const Facts& f) { return number(static_cast<std::int64_t>(f.gang.devices_on(f.place.node).size())); }},
      {{"SLURM_JOB_GPUS"}, For::script, [](const Facts& f) { return unless_empty(list_of(f.gang.devices_on(f.place.node))); }},
      // The process.
      {{"SLURM_PROCID"}, For::all, [](const Facts& f) { return number(f.place.rank); }},
      {{"SLURM_LOCALID"}, For::all, [](const Facts& f) { return number(f.place.local_rank); }},
      {{"SLURM_NODEID"}, For::all, [](const Facts& f) { return number(f.place.node_rank); }},
      {{"SLURM_GTIDS"}, For::all, [](const Facts& f) { return Value(global_ranks_here(f)); }},
      // Its step: gang 2 is step 0.
      {{"SLURM_STEP_ID", "SLURM_STEPID"}, For::gang, [](const Facts& f) { return number(f.launch.key.gang - 2); }},
      {{"SLURM_STEP_NODELIST"}, For::gang, [](const Facts& f) { return fold_in_order(f.gang.nodes()); }},
      {{"SLURM_STEP_NUM_NODES"}, For::gang, [](const Facts& f) { return number(static_cast<std::int64_t>(f.gang.nodes().size())); }},
      {{"SLURM_STEP_NUM_TASKS"}, For::gang, [](const Facts& f) { return number(f.gang.world_size()); }},
      {{"SLURM_STEP_TASKS_PER_NODE"}, For::gang, [](const Facts& f) { return fold_counts(f.gang.ranks_per_node()); }},
      {{"SLURM_STEP_GPUS"}, For::gang, [](const Facts& f) { return unless_empty(list_of(f.gang.devices_on(f.place.node))); }},
      {{"SLURM_LAUNCH_NODE_IPADDR"}, For::gang, [](const Facts& f) { return unless_empty(f.surroundings.master_address); }},
  };
  return rows;
}

}  // namespace

void add_slurm_layer(Environment& environment, const protocol::LaunchSpec& launch, const GangLayout& layout, const RankPlace& place,
                     const GangSurroundings& surroundings) {
  const Environment before = environment;
  const GangLayout job(job_allocation(launch), launch.spec.ranks, launch.spec.ranks_per_node);
  const Facts facts{launch, layout, place, surroundings, before, job};
  for (const Row& row : table()) {
    if (row.whom == (facts.is_script() ? For::gang : For::script)) continue;
    const Value value = row.value(facts);
    if (!value) continue;
    for (const char* const name : row.names) {
      if (row.whom == For::job && !facts.is_script()) environment.emplace(name, *value);
      else environment[name] = *value;
    }
  }
}

std::string fold_counts(const std::vector<std::int64_t>& counts) {
  std::string text;
  for (std::size_t i = 0; i < counts.size();) {
    std::size_t end = i;
    while (end < counts.size() && counts[end] == counts[i]) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(counts[i]);
    if (end - i > 1) text += "(x" + std::to_string(end - i) + ")";
    i = end;
  }
  return text;
}

std::string fold_in_order(const std::vector<std::string>& names) {
  const auto keeps_order = [](const std::vector<std::string>& some) {
    return protocol::expand_hostlist(protocol::fold_hostlist(some)) == some;
  };
  if (keeps_order(names)) return protocol::fold_hostlist(names);
  // Rising runs, one after the other.
  std::string text;
  for (std::size_t i = 0; i < names.size();) {
    std::vector<std::string> run = {names[i++]};
    while (i < names.size()) {
      run.push_back(names[i]);
      if (keeps_order(run)) {
        ++i;
        continue;
      }
      run.pop_back();
      break;
    }
    text += (text.empty() ? "" : ",") + protocol::fold_hostlist(run);
  }
  return text;
}

}  // namespace ultramarine::launcher
