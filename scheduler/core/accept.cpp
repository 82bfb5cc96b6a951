// See accept.h. The checks go through the fields in the order in which people write them; the first that fails is the answer.
#include "scheduler/core/accept.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "scheduler/core/arrays.h"
#include "scheduler/core/dependencies.h"
#include "scheduler/core/eligible.h"
#include "scheduler/core/fair_share.h"
#include "scheduler/core/gangs.h"
#include "scheduler/core/impossible.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/names.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/refusals.h"
#include "scheduler/core/shape.h"
#include "scheduler/model/gang_shape.h"
#include "scheduler/model/whole_characters.h"

namespace ultramarine::core {
namespace {

constexpr std::int64_t gpus_asked_max = 1'000'000;        // more is a slip of the keyboard, and keeps products far from overflow
constexpr Duration time_limit_max{3650LL * 86'400'000};   // whatever the partition says: keeps sums of times far from overflow
constexpr Duration stop_grace_max{86'400'000};
constexpr std::size_t name_bytes_max = 200;
constexpr std::size_t pattern_bytes_max = 4096;
constexpr std::int64_t ranks_max = 1'000'000, cpus_max = 1'000'000;
constexpr std::int64_t terminal_side_max = 10'000;
constexpr std::int64_t memory_bytes_max = std::int64_t{1} << 50;
constexpr std::size_t names_max = 65'536;  // as many as a list of nodes may expand to
constexpr std::int64_t signal_max = 64;
constexpr std::int64_t nice_max = 2'147'483'645;  // as Slurm's
constexpr std::size_t dependencies_max = 1000;
constexpr Time latest_date{253'402'300'799'999};  // the end of the year 9999
constexpr std::size_t array_elements_max = 10'000;
constexpr std::int64_t array_index_max = 4'000'000;

using Problem = std::optional<Refusal>;

Problem check_command(const std::vector<std::string>& command) {
  if (command.empty() || command.front().empty()) return refuse("command", "no command", "give the program to run after --");
  for (const std::string& argument : command)
    if (argument.find('\0') != std::string::npos) return refuse("command", "an argument has a zero byte in it", "take it out");
  return std::nullopt;
}

Problem check_working_directory(const std::string& folder) {
  if (folder.empty() || folder.front() != '/') return refuse("working_directory", quoted(folder) + " is not an absolute path", "give a path that starts with /");
  if (folder.find('\0') != std::string::npos) return refuse("working_directory", "it has a zero byte in it", "take it out");
  return std::nullopt;
}

Problem check_script(const JobSpec& spec) {
  if (!spec.script) return std::nullopt;
  const std::string& text = spec.script->text;
  if (text.rfind("#!", 0) != 0) return refuse("script.text", "it does not start with #!", "name its interpreter in the first line, for example #!/bin/bash");
  if (text.find('\0') != std::string::npos) return refuse("script.text", "it has a zero byte in it: it is no text", "submit a program with `ultra submit -- PROGRAM`");
  const std::string_view first_line = std::string_view(text).substr(0, text.find('\n'));
  if (first_line.find('\r') != std::string_view::npos)
    return refuse("script.text", "its lines end as on DOS, and no interpreter is found by such a first line", "convert it: sed -i 's/\\r$//' FILE");
  return std::nullopt;
}

Problem check_range(const char* field, std::int64_t value, std::int64_t most) {
  if (value < 0) return refuse(field, std::to_string(value) + " is negative", "ask for at least 1, or leave it out");
  if (value > most) return refuse(field, std::to_string(value) + " is absurd", "ask for at most " + std::to_string(most));
  return std::nullopt;
}

Problem check_ranks(std::int64_t ranks, std::int64_t ranks_per_node) {
  if (const auto problem = check_range("ranks", ranks, ranks_max)) return problem;
  return check_range("ranks_per_node", ranks_per_node, ranks_max);
}

Problem check_terminal(const TerminalSize& size) {
  if (const auto problem = check_range("terminal.rows", size.rows, terminal_side_max)) return problem;
  return check_range("terminal.columns", size.columns, terminal_side_max);
}

Problem check_pattern(const char* field, const std::string& pattern) {
  if (pattern.size() > pattern_bytes_max)
    return refuse(field, "it has " + counted(static_cast<std::int64_t>(pattern.size()), "byte"), "use at most " + std::to_string(pattern_bytes_max));
  if (has_control_characters(pattern)) return refuse(field, "it has control characters in it", "use printable characters");
  if (!pattern.empty() && pattern.back() == '/') return refuse(field, quoted(pattern) + " names a folder", "name a file in it, for example " + pattern.substr(0, 60) + "%j.out");
  return std::nullopt;
}

Problem check_warning(const JobSpec& spec) {
  if (!spec.warning) return std::nullopt;
  if (spec.warning->signal < 1 || spec.warning->signal > signal_max)
    return refuse("warning.signal", std::to_string(spec.warning->signal) + " is no signal", "use 1 to " + std::to_string(signal_max) + ", for example 10 (USR1)");
  if (spec.warning->before_ms.ms < 0 || spec.warning->before_ms > time_limit_max)
    return refuse("warning.before_ms", in_words(spec.warning->before_ms) + " before the end", "use 0s to " + in_words(time_limit_max));
  return std::nullopt;
}

/// Numbers and texts that the cluster doesn't matter for.
Problem check_values(const JobSpec& spec) {
  if (auto problem = check_ranks(spec.ranks, spec.ranks_per_node)) return problem;
  if (auto problem = check_range("cpus_per_rank", spec.cpus_per_rank, cpus_max)) return problem;
  if (spec.terminal) {
    if (!spec.script) return refuse("terminal", "a terminal is for a script", "use `ultra shell`");
    if (auto problem = check_terminal(*spec.terminal)) return problem;
  }
  if (auto problem = check_pattern("output", spec.output)) return problem;
  if (auto problem = check_pattern("error", spec.error)) return problem;
  if (spec.nice < -nice_max || spec.nice > nice_max)
    return refuse("nice", std::to_string(spec.nice) + " is out of range", "use " + std::to_string(-nice_max) + " to " + std::to_string(nice_max));
  if (spec.max_restarts < 0 || spec.max_restarts > max_restarts_most)
    return refuse("max_restarts", std::to_string(spec.max_restarts) + " is out of range", "use 0 to " + std::to_string(max_restarts_most));
  if (spec.stop_when_cut_off_ms.ms != 0 && (spec.stop_when_cut_off_ms < stop_when_cut_off_least || spec.stop_when_cut_off_ms > time_limit_max))
    return refuse("stop_when_cut_off_ms", "cut off for " + std::to_string(spec.stop_when_cut_off_ms.ms) + " ms",
                  "use " + in_words(stop_when_cut_off_least) + " to " + in_words(time_limit_max) + ", or wait");
  if (spec.hang_after_ms != never_hangs && (spec.hang_after_ms.ms < 0 || spec.hang_after_ms > time_limit_max))
    return refuse("hang_after_ms", "a hang after " + std::to_string(spec.hang_after_ms.ms) + " ms", "use 1s to " + in_words(time_limit_max) + ", or off");
  if (spec.log_bytes_max < 0) return refuse("log_bytes_max", std::to_string(spec.log_bytes_max) + " is negative", "use 0 for the node's default");
  return check_warning(spec);
}

Problem check_dependencies(const State& state, const JobSpec& spec, std::vector<std::string>& warnings) {
  if (spec.dependencies.size() > dependencies_max)
    return refuse("dependencies", std::to_string(spec.dependencies.size()) + " dependencies", "use at most " + std::to_string(dependencies_max) + "; an array counts as one");
  for (std::size_t i = 0; i < spec.dependencies.size(); ++i) {
    const std::int64_t job = spec.dependencies[i].job.value;
    if (!state.jobs.count({job}))
      return refuse("dependencies[" + std::to_string(i) + "].job", "there is no job " + std::to_string(job), "`ultra queue --all` lists all jobs");
  }
  const DependencyView view = look_at_dependencies(state, spec.dependencies);
  if (view.coming == Coming::never)
    warnings.push_back("job " + std::to_string(view.jobs.front().value) + " has ended otherwise than this job asks for: it will never start");
  return std::nullopt;
}

void warn_of_waste(const JobSpec& spec, std::vector<std::string>& warnings) {
  const auto& [gpus, nodes, gpus_per_node] = spec.resources;
  if (spec.ranks > 0 && spec.ranks < nodes)
    warnings.push_back(counted(spec.ranks, "rank") + " on " + counted(nodes, "node") + ": " + std::to_string(nodes - spec.ranks) + " of them will have nothing to do");
  if (spec.warning && spec.warning->before_ms >= spec.time_limit_ms)
    warnings.push_back("the warning signal comes at once: " + in_words(spec.warning->before_ms) + " before the end of " + in_words(spec.time_limit_ms));
}

Problem check_name(JobSpec& spec) {
  if (spec.name.empty()) {
    const std::string& program = spec.command.front();
    spec.name = whole_characters(std::string_view(program).substr(program.find_last_of('/') + 1), name_bytes_max);
    if (spec.name.empty()) spec.name = "job";
    for (char& c : spec.name)
      if (has_control_characters({&c, 1})) c = '?';
  }
  if (spec.name.size() > name_bytes_max)
    return refuse("name", "it has " + counted(static_cast<std::int64_t>(spec.name.size()), "byte"), "use at most " + std::to_string(name_bytes_max));
  if (has_control_characters(spec.name)) return refuse("name", "it has control characters in it", "use printable characters");
  return std::nullopt;
}

bool lists(const AccountConfig& account, std::string_view member) {
  return std::find(account.members.begin(), account.members.end(), member) != account.members.end();
}

bool is_member(const AccountConfig& account, const Actor& actor) { return lists(account, actor.name) || lists(account, "*"); }

/// The first account that lists the user by name, else the first that is open to everybody.
const AccountConfig* default_account(const ClusterConfig& cluster, const Actor& actor) {
  for (const AccountConfig& account : cluster.accounts)
    if (lists(account, actor.name)) return &account;
  for (const AccountConfig& account : cluster.accounts)
    if (lists(account, "*")) return &account;
  return nullptr;
}

Problem check_account(const ClusterConfig& cluster, const PartitionConfig& partition, JobSpec& spec, const Actor& actor) {
  if (spec.account.empty()) {
    const AccountConfig* account = default_account(cluster, actor);
    if (!account) return refuse("account", "no account has " + quoted(actor.name) + " as a member", "ask the cluster's admin to add you to one");
    spec.account = account->name;
  } else {
    const auto account = std::find_if(cluster.accounts.begin(), cluster.accounts.end(),
                                      [&](const AccountConfig& a) { return a.name == spec.account; });
    if (account == cluster.accounts.end())
      return refuse("account", "no account " + quoted(spec.account), name_remedy(spec.account, names_of(cluster.accounts)));
    if (!is_member(*account, actor)) {
      const AccountConfig* own = default_account(cluster, actor);
      return refuse("account", quoted(actor.name) + " is not a member of " + spec.account,
                    own ? "use your account " + own->name + ", or ask the admin to add you" : "ask the cluster's admin to add you");
    }
  }
  const auto& allowed = partition.accounts;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), spec.account) == allowed.end())
    return refuse("account", "partition " + partition.name + " is not open to account " + spec.account,
                  "use another partition, or one of its accounts: " +
                      std::accumulate(std::next(allowed.begin()), allowed.end(), allowed.front(),
                                      [](const std::string& list, const std::string& name) { return list + ", " + name; }));
  return std::nullopt;
}

Problem check_qos(const ClusterConfig& cluster, JobSpec& spec) {
  if (spec.qos.empty()) spec.qos = "normal";
  const std::vector<std::string> known = names_of(cluster.qos);
  if (spec.qos == "normal" || std::find(known.begin(), known.end(), spec.qos) != known.end()) return std::nullopt;
  return refuse("qos", "no QOS " + quoted(spec.qos), name_remedy(spec.qos, known));
}

/// Signs, sizes and which fields go together; says nothing of the cluster.
Problem check_form(const Resources& resources) {
  const auto [gpus, nodes, gpus_per_node] = resources;
  const std::pair<const char*, std::int64_t> fields[] = {{"resources.gpus", gpus}, {"resources.nodes", nodes}, {"resources.gpus_per_node", gpus_per_node}};
  for (const auto& [field, value] : fields) {
    if (value < 0) return refuse(field, std::to_string(value) + " is negative", "ask for at least 1");
    if (value > gpus_asked_max) return refuse(field, std::to_string(value) + " is absurd", "ask for at most " + std::to_string(gpus_asked_max));
  }
  if (gpus > 0 && (nodes > 0 || gpus_per_node > 0))
    return refuse("resources.gpus", "a total and a shape (nodes, gpus_per_node) can't both be given", "give gpus alone, or nodes and gpus_per_node");
  if (gpus > 0) return std::nullopt;
  if (nodes == 0 && gpus_per_node == 0) return refuse("resources.gpus", "0 GPUs asked", "ask for at least 1");
  if (gpus_per_node == 0) return refuse("resources.gpus_per_node", "nodes without gpus_per_node", "say how many GPUs of each node");
  if (nodes == 0) return refuse("resources.nodes", "gpus_per_node without nodes", "say how many nodes");
  return std::nullopt;
}

Problem check_least(const JobSpec& spec) {
  if (spec.min_gpus < 0) return refuse("min_gpus", std::to_string(spec.min_gpus) + " is negative", "give at least 1, or leave it out");
  if (spec.min_gpus > total_gpus(spec.resources))
    return refuse("min_gpus", counted(spec.min_gpus, "GPU") + " at least, " + std::to_string(total_gpus(spec.resources)) + " asked", "give no more than it asks for");
  return std::nullopt;
}

Problem check_shares(const JobSpec& spec) {
  if (auto problem = check_range("cpus_per_gpu", spec.cpus_per_gpu, cpus_max)) return problem;
  if (auto problem = check_range("memory_per_gpu_bytes", spec.memory_per_gpu_bytes, memory_bytes_max)) return problem;
  const std::pair<const char*, const std::vector<std::string>*> lists[] = {
      {"features", &spec.features}, {"only_nodes", &spec.only_nodes}, {"without_nodes", &spec.without_nodes}};
  for (const auto& [field, names] : lists)
    if (names->size() > names_max) return refuse(field, counted(static_cast<std::int64_t>(names->size()), "name"), "use at most " + std::to_string(names_max));
  return std::nullopt;
}

/// Each wish once and in one order, so that jobs which wish the same are of one class.
void sort_wishes(JobSpec& spec) {
  for (std::vector<std::string>* names : {&spec.features, &spec.only_nodes, &spec.without_nodes}) {
    std::sort(names->begin(), names->end(), comes_before);
    names->erase(std::unique(names->begin(), names->end()), names->end());
  }
}

Problem check_times(const State& state, const PartitionConfig& partition, JobSpec& spec, const Actor& actor) {
  const Duration longest = std::min(partition.max_time_ms, time_limit_max);
  Duration without_refusal = longest;  // what a time limit that isn't said may be at most
  LimitTable limits(state);
  for (const std::size_t subject : limits.of(spec, user_name(actor)))
    without_refusal = std::min(without_refusal, limits.subject(subject).limits.max_time_ms.value_or(longest));
  if (spec.time_limit_ms.ms == 0) spec.time_limit_ms = std::min(partition.default_time_ms, without_refusal);
  if (spec.time_limit_ms == longest_time_limit) spec.time_limit_ms = without_refusal;
  if (spec.time_limit_ms.ms <= 0) return refuse("time_limit_ms", in_words(spec.time_limit_ms) + " is not a length of time", "ask for at least 1s");
  if (spec.time_limit_ms > longest)
    return refuse("time_limit_ms", in_words(spec.time_limit_ms) + " asked, partition " + partition.name + " allows " + in_words(longest),
                  "ask for at most " + in_words(longest));
  if (spec.stop_grace_ms.ms < 0 || spec.stop_grace_ms > stop_grace_max)
    return refuse("stop_grace_ms", in_words(spec.stop_grace_ms) + " is out of range", "use 0s to " + in_words(stop_grace_max));
  return std::nullopt;
}

/// What the request exceeds by itself: then no wait would help.
Problem check_limits(const State& state, const PartitionConfig& partition, const JobSpec& spec, const Actor& actor) {
  std::int64_t most_of_a_node = 0, largest_node = 0;
  for (const auto& [node, gpus] : eligible_nodes(state.cluster, partition, spec)) {
    most_of_a_node = std::max(most_of_a_node, gpus);
    largest_node = std::max(largest_node, node->gpus);
  }
  const std::int64_t gpus = gpus_at_most(spec, shape_of(spec.resources, most_of_a_node), largest_node);
  const auto exceeded = LimitTable(state).exceeded(spec, user_name(actor), gpus, longest_stay(spec, state.policy));
  if (!exceeded) return std::nullopt;
  const char* const field = spec.resources.gpus > 0 ? "resources.gpus" : "resources.nodes";
  const std::string who = subject_in_words(*exceeded), most = std::to_string(exceeded->limit);
  const std::string asked = counted(exceeded->used, "GPU") + " asked, " + who;
  switch (exceeded->kind) {
    case LimitKind::gpus: return can_never(field, asked + " may use " + most + " at once", "ask for at most " + most);
    case LimitKind::gpus_per_job: return can_never(field, asked + " allows " + most + " per job", "ask for at most " + most);
    case LimitKind::jobs:
      return can_never(exceeded->scope == LimitScope::user ? "account" : boost::describe::enum_to_string(exceeded->scope, ""), who + " may run no jobs",
                       "ask the cluster's admin, or use another");
    case LimitKind::gpu_hours:
      return can_never("time_limit_ms", "it may hold " + counted(exceeded->used, "GPU-hour") + ", " + who + " has " + most + " a month", "ask for fewer GPUs or less time");
    case LimitKind::max_time_ms:
      return refuse("time_limit_ms", in_words(Duration{exceeded->used}) + " asked, " + who + " allows " + in_words(Duration{exceeded->limit}),
                    "ask for at most " + in_words(Duration{exceeded->limit}));
  }
  return std::nullopt;
}

/// Without what nobody wants to read: whole minutes, or seconds if there are few.
Duration about(Duration length) {
  const std::int64_t unit_ms = length >= minutes(10) ? 60'000 : 1000;
  return {length.ms / unit_ms * unit_ms};
}

Problem check_dates(const JobSpec& spec, Time now) {
  for (const auto& [field, date] : {std::pair{"begin_ms", spec.begin_ms}, std::pair{"deadline_ms", spec.deadline_ms}})
    if (date && (*date < Time{0} || *date > latest_date)) return refuse(field, "it is no date of this age", "give one from 1970 to 9999");
  if (!spec.deadline_ms) return std::nullopt;
  const Time earliest = std::max(now, spec.begin_ms.value_or(now));
  if (earliest + spec.time_limit_ms <= *spec.deadline_ms) return std::nullopt;
  if (*spec.deadline_ms <= earliest) return refuse("deadline_ms", earliest > now ? "it comes before the begin time" : "it is in the past", "give a later deadline");
  return refuse("deadline_ms", in_words(about(*spec.deadline_ms - earliest)) + " are left for it until then, its time limit is " + in_words(spec.time_limit_ms),
                "ask for less time or a later deadline");
}

Problem check_reservation(const State& state, const PartitionConfig& partition, const JobSpec& spec, Time now) {
  if (spec.reservation.empty()) return std::nullopt;
  const auto found = state.reservations.find(spec.reservation);
  if (found == state.reservations.end()) {
    std::vector<std::string> names;
    for (const auto& [name, reservation] : state.reservations) names.push_back(name);
    return refuse("reservation", "no reservation " + quoted(spec.reservation), name_remedy(spec.reservation, names));
  }
  const Reservation& reservation = found->second;
  const std::string which = "reservation " + reservation.name;
  if (reservation.accounts.empty()) return refuse("reservation", which + " is for maintenance", "leave it out");
  if (std::find(reservation.accounts.begin(), reservation.accounts.end(), spec.account) == reservation.accounts.end())
    return refuse("reservation", which + " is not open to account " + spec.account, "use one of its accounts: " + listed(reservation.accounts));
  std::vector<std::int64_t> devices;
  std::int64_t largest = 0;
  for (const auto& [node, gpus] : eligible_nodes(state.cluster, partition, spec)) {
    largest = std::max(largest, gpus);
    if (std::find(reservation.nodes.begin(), reservation.nodes.end(), node->name) != reservation.nodes.end()) devices.push_back(gpus);
  }
  if (!fits(shape_of(spec.resources, largest), devices))
    return refuse("reservation", counted(total_gpus(spec.resources), "GPU") + " asked, the nodes of " + which + " can't hold them", "ask for less, or leave it out");
  const Duration window = reservation.end_ms - std::max({now, reservation.start_ms, spec.begin_ms.value_or(now)});
  if (longest_stay(spec, state.policy) > window)
    return refuse("reservation", in_words(about(std::max(window, Duration{0}))) + " are left for it in " + which + ", with its launch and its stop it may take " +
                                     in_words(longest_stay(spec, state.policy)),
                  "ask for less time, or leave it out");
  return std::nullopt;
}

}  // namespace

std::variant<Accepted, Refusal> accept_request(const State& state, JobSpec spec, const Actor& actor, Time now) {
  const ClusterConfig& cluster = state.cluster;
  std::vector<std::string> warnings;
  if (const auto problem = check_command(spec.command)) return *problem;
  if (const auto problem = check_working_directory(spec.working_directory)) return *problem;
  if (const auto problem = check_script(spec)) return *problem;
  if (const auto problem = check_name(spec)) return *problem;
  if (const auto problem = check_values(spec)) return *problem;
  map_names(cluster, spec, warnings);
  if (spec.partition.empty() && !cluster.partitions.empty()) spec.partition = cluster.partitions.front().name;
  const PartitionConfig* partition = find_partition(cluster, spec.partition);
  if (!partition) return refuse("partition", "no partition " + quoted(spec.partition), name_remedy(spec.partition, names_of(cluster.partitions)));
  if (const auto problem = check_account(cluster, *partition, spec, actor)) return *problem;
  if (const auto problem = check_qos(cluster, spec)) return *problem;
  if (const auto problem = check_form(spec.resources)) return *problem;
  if (const auto problem = check_least(spec)) return *problem;
  if (const auto problem = check_shares(spec)) return *problem;
  if (const auto problem = check_gpu_type(cluster, spec)) return *problem;
  if (const auto problem = unknown_nodes(cluster, *partition, spec)) return *problem;
  sort_wishes(spec);
  if (const auto problem = impossible_request(cluster, *partition, spec)) return *problem;
  if (const auto problem = check_times(state, *partition, spec, actor)) return *problem;
  if (const auto problem = check_limits(state, *partition, spec, actor)) return *problem;
  if (const auto problem = check_dates(spec, now)) return *problem;
  if (const auto problem = check_reservation(state, *partition, spec, now)) return *problem;
  if (const auto problem = check_dependencies(state, spec, warnings)) return *problem;
  warn_of_waste(spec, warnings);
  return Accepted{std::move(spec), std::move(warnings)};
}

std::variant<GangSpec, Refusal> accept_gang(GangSpec spec, const Job& job) {
  const Allocation& allocation = job.attempts.back().allocation;
  if (const auto problem = check_command(spec.command)) return *problem;
  if (!spec.working_directory.empty())
    if (const auto problem = check_working_directory(spec.working_directory)) return *problem;
  if (const auto problem = check_ranks(spec.ranks, spec.ranks_per_node)) return *problem;
  if (const auto problem = check_range("cpus_per_rank", spec.cpus_per_rank, cpus_max)) return *problem;
  if (spec.terminal)
    if (const auto problem = check_terminal(*spec.terminal)) return *problem;
  if (spec.beside_rank) {
    std::vector<std::string> node_of_rank;
    const std::vector<std::int64_t> ranks = ranks_on_nodes(allocation, job.spec.ranks, job.spec.ranks_per_node);
    for (std::size_t i = 0; i < ranks.size(); ++i) node_of_rank.insert(node_of_rank.end(), static_cast<std::size_t>(ranks[i]), allocation[i].node);
    const auto count = static_cast<std::int64_t>(node_of_rank.size());
    if (*spec.beside_rank < 0 || *spec.beside_rank >= count)
      return refuse("beside_rank", "there is no rank " + std::to_string(*spec.beside_rank), "use 0 to " + std::to_string(count - 1));
    spec.only_nodes = {node_of_rank[static_cast<std::size_t>(*spec.beside_rank)]};
    spec.ranks = 1;
    spec.ranks_per_node = spec.nodes = 0;
    spec.mpi = MpiMode::none;
    spec.bind = BindMode::none;
  }
  if (spec.terminal && spec.ranks != 1) return refuse("terminal", "a terminal is for one process", "ask for one rank");
  std::vector<std::string> names;
  for (const NodeAllocation& part : allocation) names.push_back(part.node);
  for (const std::string& name : spec.only_nodes)
    if (std::find(names.begin(), names.end(), name) == names.end())
      return refuse("only_nodes", quoted(name) + " is not a node of this job", name_remedy(name, names));
  const auto there = static_cast<std::int64_t>(nodes_of_gang(spec, allocation).size());
  if (spec.nodes < 0 || spec.nodes > there)
    return refuse("nodes", std::to_string(spec.nodes) + " nodes, where the job has " + std::to_string(there), "use 1 to " + std::to_string(there) + ", or 0 for all");
  return spec;
}

std::optional<Refusal> refused_array(const std::vector<std::int64_t>& indices, std::int64_t limit) {
  if (limit < 0) return refuse("array_limit", std::to_string(limit) + " is negative", "use 0 for no limit");
  if (indices.empty() && limit > 0) return refuse("array_limit", "a limit without an array", "give array_indices");
  if (indices.size() > array_elements_max)
    return refuse("array_indices", counted(static_cast<std::int64_t>(indices.size()), "element"), "use at most " + std::to_string(array_elements_max));
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] < 0 || indices[i] > array_index_max)
      return refuse("array_indices", std::to_string(indices[i]) + " is out of range", "use 0 to " + std::to_string(array_index_max));
    if (i > 0 && indices[i] <= indices[i - 1]) return refuse("array_indices", "they do not ascend at " + std::to_string(indices[i]), "sort them, each once");
  }
  return std::nullopt;
}

}  // namespace ultramarine::core
