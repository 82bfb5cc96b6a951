#include "scheduler/batch/request.h"

#include <algorithm>
#include <filesystem>

#include "scheduler/batch/notify.h"
#include "scheduler/batch/shape.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::batch {
namespace {

constexpr const char* script_output = "slurm-%j.out";
constexpr const char* array_output = "slurm-%A_%a.out";

std::string join(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

std::string join(const std::vector<std::int64_t>& numbers) {
  std::vector<std::string> words;
  for (const std::int64_t number : numbers) words.push_back(std::to_string(number));
  return join(words, ", ");
}

/// What a person who meets a refused or doubtful option calls it.
std::string option_name(const Given& given) { return "--" + std::string(known_name(*given.rule)); }

class Reader {
 public:
  explicit Reader(const Submission& submission) : submission_(submission) {}

  Request read() {
    collect();
    for (const Given& given : given_) {
      if (given.rule->treatment == Treatment::refused) throw Problem(given.where, "it can't be kept", std::string(given.rule->remedy));
    }
    read_names();
    read_sizes();
    read_features();
    read_shares();
    read_run();
    read_waiting();
    read_files();
    read_order();
    read_notify();
    read_recorded();
    return std::move(request_);
  }

 private:
  bool is_script() const { return !submission_.name.empty(); }

  /// Fills given_, weak before strong.
  void collect() {
    if (is_script()) {
      const Directives directives = read_directives(submission_.name, submission_.text);
      given_ = given_in_lines(submission_.name, directives.slurm, Dialect::slurm);
      const auto ours = given_in_lines(submission_.name, directives.ultra, Dialect::ultra);
      given_.insert(given_.end(), ours.begin(), ours.end());
      if (!directives.foreign.empty())
        warn(submission_.name + ":" + join(directives.foreign) + ": " + join(directives.foreign_marks, " and ") + " lines are not read");
      if (!directives.late.empty())
        warn(submission_.name + ":" + join(directives.late) + ": not read, because line " + std::to_string(directives.first_command) +
             " is a command already; move directives above it");
    }
    given_.insert(given_.end(), submission_.file.begin(), submission_.file.end());
    const auto variables = given_in_environment(submission_.environment, is_script());
    given_.insert(given_.end(), variables.begin(), variables.end());
    given_.insert(given_.end(), submission_.command_line.begin(), submission_.command_line.end());
  }

  void warn(std::string line) { request_.warnings.push_back(std::move(line)); }

  /// The strongest and last word on this; null when nobody said anything or only "". `field`: of spec, for refusals that come later.
  const Given* take(Meaning meaning, const char* field = nullptr) {
    const auto found = std::find_if(given_.rbegin(), given_.rend(), [&](const Given& given) { return given.rule->meaning == meaning; });
    if (found == given_.rend() || (found->value.empty() && found->rule->takes == Takes::value && may_be_empty(meaning))) return nullptr;
    request_.honoured.push_back(found->where);
    if (field) request_.places[field] = found->where;
    return &*found;
  }
  static bool may_be_empty(Meaning meaning) {
    switch (meaning) {
      case Meaning::name:
      case Meaning::account:
      case Meaning::partition:
      case Meaning::qos:
      case Meaning::output:
      case Meaning::error:
      case Meaning::folder:
      case Meaning::reservation:
      case Meaning::mail_type:
      case Meaning::mail_user:
        return true;
      default:
        return false;
    }
  }

  void read_names() {
    JobSpec& spec = request_.spec;
    spec.command = submission_.command;
    if (is_script()) spec.script = Script{submission_.text};
    const Given* given = take(Meaning::name, "name");
    spec.name = given ? given->value : std::filesystem::path(spec.command.front()).filename().string();
    if ((given = take(Meaning::account, "account"))) spec.account = given->value;
    if ((given = take(Meaning::qos, "qos"))) spec.qos = given->value;
    if ((given = take(Meaning::strict_names))) spec.strict_names = true;
    if (!(given = take(Meaning::partition, "partition"))) return;
    spec.partition = given->value.substr(0, given->value.find(','));
    if (spec.partition.size() < given->value.size() && given->dialect == Dialect::slurm)
      warn(given->where + ": of several partitions the first is taken, " + spec.partition);
    else
      spec.partition = given->value;
  }

  // --- sizes ---

  static std::optional<Asked> asked(const Given* given, std::int64_t least = 1) {
    if (!given) return std::nullopt;
    return Asked{count_value(given->value, given->where, least), given->where};
  }

  /// Options that say the same thing in several ways: a stronger level puts away all of them that weaker levels gave.
  void put_away_weaker(const std::vector<Meaning>& meanings) {
    const auto says = [&](const Given& given) {
      return std::find(meanings.begin(), meanings.end(), given.rule->meaning) != meanings.end() &&
             (given.rule->meaning != Meaning::gres || gres_value(given.value, given.where).gpus);
    };
    const auto strongest = std::find_if(given_.rbegin(), given_.rend(), says);
    if (strongest == given_.rend()) return;
    const Level level = strongest->level;
    given_.erase(std::remove_if(given_.begin(), given_.end(), [&](const Given& given) { return says(given) && given.level < level; }),
                 given_.end());
  }

  std::optional<Asked> asked_gpus(Meaning meaning, const char* field) {
    const Given* given = take(meaning, field);
    if (!given) return std::nullopt;
    return named(gpus_value(given->value, given->where, given->dialect == Dialect::ultra ? 1 : 0), given->where);
  }

  /// The number, once the type is noted.
  Asked named(const GpuCount& gpus, const std::string& where) {
    std::string& type = request_.spec.gpu_type;
    if (!gpus.type.empty()) {
      if (!type.empty() && lower_case(type) != lower_case(gpus.type))
        throw Problem(where, "GPUs of type " + gpus.type + " asked, but " + request_.places["gpu_type"] + " says " + type, "give one type");
      type = gpus.type;
      request_.places["gpu_type"] = where;
    }
    return {gpus.count, where};
  }

  void read_sizes() {
    put_away_weaker({Meaning::gpus, Meaning::gpus_per_node, Meaning::gpus_per_task, Meaning::gres});
    put_away_weaker({Meaning::tasks, Meaning::tasks_per_node, Meaning::tasks_per_gpu});
    Sizes sizes;
    if (const Given* given = take(Meaning::nodes, "resources.nodes")) {
      const Range nodes = range_value(given->value, given->where);
      sizes.nodes = Asked{nodes.min, given->where};
      if (nodes.max > nodes.min) warn(given->where + ": the smallest number is asked for, " + std::to_string(nodes.min));
    }
    sizes.tasks = asked(take(Meaning::tasks, "ranks"));
    sizes.tasks_per_node = asked(take(Meaning::tasks_per_node, "ranks_per_node"));
    sizes.tasks_per_gpu = asked(take(Meaning::tasks_per_gpu, "ranks"));
    if (const auto cpus = asked(take(Meaning::cpus_per_task, "cpus_per_rank"))) request_.spec.cpus_per_rank = cpus->count;
    sizes.gpus = asked_gpus(Meaning::gpus, "resources.gpus");
    sizes.gpus_per_node = asked_gpus(Meaning::gpus_per_node, "resources.gpus_per_node");
    sizes.gpus_per_task = asked_gpus(Meaning::gpus_per_task, "resources.gpus");
    read_gres(sizes);
    if (const Given* given = take(Meaning::gpu_type, "gpu_type")) request_.spec.gpu_type = given->value;
    read_exclusive();
    sizes.exclusive = request_.spec.exclusive;
    read_hosts(sizes);
    const Shape shape = shape_of(sizes);
    request_.spec.resources = shape.resources;
    request_.spec.ranks = shape.ranks;
    request_.spec.ranks_per_node = shape.ranks_per_node;
    for (const std::string& line : shape.warnings) warn(line);
    if (shape.gpus_by_default && is_script())
      warn(submission_.name + ": no GPUs asked for, so it gets " +
           (sizes.exclusive             ? "all of each node (--exclusive)"
            : shape.resources.nodes > 1 ? "1 on each node"
                                        : "1") +
           "; say how many with --gpus-per-node");
  }

  void read_gres(Sizes& sizes) {
    const Given* given = take(Meaning::gres, "resources.gpus_per_node");
    if (!given) return;
    const Gres gres = gres_value(given->value, given->where);
    if (!gres.others.empty()) {
      request_.spec.recorded["gres"] = gres.others;
      warn(given->where + ": kept with the job but without effect: " + gres.others);
    }
    if (!gres.gpus) return;
    const Asked per_node = named(*gres.gpus, given->where);
    if (sizes.gpus_per_node && sizes.gpus_per_node->count != per_node.count)
      throw Problem(per_node.where,
                    std::to_string(per_node.count) + " GPUs per node asked, but " + sizes.gpus_per_node->where + " says " +
                        std::to_string(sizes.gpus_per_node->count),
                    "leave out one of the two");
    sizes.gpus_per_node = per_node;
  }

  // --- which nodes, and what of them beside GPUs ---

  void read_exclusive() {
    const Given* given = take(Meaning::exclusive, "exclusive");
    if (!given) return;
    request_.spec.exclusive = true;
    if (given->value.empty() || given->rule->takes == Takes::nothing || given->level == Level::slurm_variable) return;
    if (given->value != "user" && given->value != "mcs")
      throw Problem(given->where, "\"" + given->value + "\" is not known", "write --exclusive, --exclusive=user or --exclusive=mcs");
    warn(given->where + ": it gets its nodes whole, and shares them with no other job");
  }

  std::vector<std::string> hosts(const Given& given) const {
    const bool is_file = given.rule->meaning == Meaning::node_file || given.value.find('/') != std::string::npos;
    if (!is_file) return hosts_value(given.value, given.where);
    if (!submission_.read_file) throw Problem(given.where, "no file can be read here", "write the nodes' names");
    return hosts_in_file(submission_.read_file(given.value, given.where), given.where);
  }

  /// Slurm uses all nodes that are named; of ours the job may be on fewer.
  void read_hosts(Sizes& sizes) {
    put_away_weaker({Meaning::node_list, Meaning::node_file});
    for (const Meaning meaning : {Meaning::node_file, Meaning::node_list}) {
      const Given* given = take(meaning, "only_nodes");
      if (!given) continue;
      std::vector<std::string>& names = request_.spec.only_nodes;
      for (std::string& name : hosts(*given))
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
      if (given->dialect == Dialect::slurm) sizes.hosts = Asked{static_cast<std::int64_t>(names.size()), given->where};
    }
    if (const Given* given = take(Meaning::exclude, "without_nodes")) request_.spec.without_nodes = hosts(*given);
  }

  void read_features() {
    const Given* given = take(Meaning::constraint, "features");
    if (!given) return;
    if (auto features = features_value(given->value, given->where)) {
      request_.spec.features = std::move(*features);
      return;
    }
    const std::string problem = "\"" + given->value + "\" asks for one of several features, or counts them";
    if (given->dialect == Dialect::ultra) throw Problem(given->where, problem, "name features that each node must have: nvlink&infiniband");
    request_.spec.recorded["constraint"] = given->value;
    warn(given->where + ": " + problem + ", which can't be kept: any node will do");
  }

  /// `parts` things on a node, or on all of them, for so many GPUs there.
  struct Share {
    std::int64_t parts = 0, gpus = 1;
  };

  /// Ranks as far as CPUs and memory are concerned. Nobody said how many: sbatch starts one on each node, `ultra run` one for each GPU.
  Share ranks_share(Dialect dialect) const {
    const auto& [gpus, nodes, gpus_per_node] = request_.spec.resources;
    const std::int64_t ranks = request_.spec.ranks, per_node = request_.spec.ranks_per_node;
    const std::int64_t each = nodes > 0 ? gpus_per_node : gpus;
    if (per_node > 0) return {per_node, each};
    if (ranks > 0) return {nodes > 0 ? (ranks + nodes - 1) / nodes : ranks, each};
    return {dialect == Dialect::slurm ? 1 : each, each};
  }

  /// CPUs and memory are counted per GPU, whatever they were said for.
  void read_shares() {
    JobSpec& spec = request_.spec;
    const Given* per_rank = last(Meaning::cpus_per_task);
    Share cpus = ranks_share(per_rank ? per_rank->dialect : Dialect::slurm);
    cpus.parts *= std::max<std::int64_t>(spec.cpus_per_rank, 1);
    if (const Given* given = take(Meaning::cpus_per_gpu, "cpus_per_gpu")) {
      cpus = {count_value(given->value, given->where), 1};
      if (per_rank) warn(given->where + ": CPUs are counted by it, not by " + per_rank->where);
      spec.cpus_per_gpu = cpus.parts;
    } else if (per_rank) {
      spec.cpus_per_gpu = (cpus.parts + cpus.gpus - 1) / cpus.gpus;
      request_.places["cpus_per_gpu"] = per_rank->where;
      if (cpus.parts % cpus.gpus != 0)
        warn(per_rank->where + ": " + std::to_string(cpus.parts) + " CPUs for " + std::to_string(cpus.gpus) + " GPUs are counted as " +
             std::to_string(spec.cpus_per_gpu) + " for each GPU");
    }
    read_memory(cpus);
  }

  void read_memory(const Share& cpus) {
    put_away_weaker({Meaning::memory, Meaning::memory_per_cpu, Meaning::memory_per_gpu});
    const Given* said = nullptr;
    for (const Meaning meaning : {Meaning::memory, Meaning::memory_per_cpu, Meaning::memory_per_gpu}) {
      const Given* given = last(meaning);
      if (given && said)
        throw Problem(given->where, "memory is said by " + said->where + " already", "leave out one of the two");
      if (given) said = given;
    }
    if (!said) return;
    take(said->rule->meaning, "memory_per_gpu_bytes");
    const std::int64_t bytes = memory_value(said->value, said->where);
    if (bytes == 0) {
      if (!request_.spec.exclusive) warn(said->where + ": 0 is all memory of a node: it is not counted, and --exclusive keeps others off the node");
      return;
    }
    const auto& [gpus, nodes, gpus_per_node] = request_.spec.resources;
    Share times{1, 1};
    if (said->rule->meaning == Meaning::memory_per_cpu) times = cpus;
    if (said->rule->meaning == Meaning::memory) times.gpus = nodes > 0 ? gpus_per_node : gpus;
    std::int64_t all = 0;
    if (__builtin_mul_overflow(bytes, times.parts, &all)) throw Problem(said->where, said->value + " is absurd", "ask for less");
    request_.spec.memory_per_gpu_bytes = std::max<std::int64_t>(all / times.gpus, 1);  // a byte less is better than one more than a node has
    if (said->rule->meaning == Meaning::memory && nodes == 0 && gpus > 1)
      warn(said->where + ": counted as if all " + std::to_string(gpus) + " GPUs were on one node; say --nodes, or --mem-per-gpu");
  }

  // --- how it runs ---

  void read_run() {
    JobSpec& spec = request_.spec;
    if (const Given* given = take(Meaning::time, "time_limit_ms"))
      spec.time_limit_ms = given->dialect == Dialect::slurm ? slurm_time_value(given->value, given->where)
                                                            : time_value(given->value, given->where, seconds(1));
    if (const Given* given = take(Meaning::grace, "stop_grace_ms")) spec.stop_grace_ms = time_value(given->value, given->where, {0});
    if (const Given* given = take(Meaning::mpi, "mpi"))
      spec.mpi = choice<MpiMode>(*given, {{"auto", MpiMode::automatic}, {"pmix", MpiMode::pmix}, {"none", MpiMode::none}});
    if (const Given* given = take(Meaning::bind, "bind")) spec.bind = choice<BindMode>(*given, {{"auto", BindMode::automatic}, {"none", BindMode::none}});
    if (const Given* given = take(Meaning::signal, "warning")) spec.warning = signal_value(given->value, given->where);
    if (const Given* given = take(Meaning::environment)) {
      request_.environment = given->value;
      request_.environment_where = given->where;
      request_.environment_values = given->level != Level::command_line;
    }
    request_.wait = take(Meaning::wait) != nullptr;
    request_.parsable = take(Meaning::parsable) != nullptr;
  }

  /// When it may run, and what it lets others do first.
  void read_waiting() {
    JobSpec& spec = request_.spec;
    if (const Given* given = take(Meaning::begin, "begin_ms")) spec.begin_ms = instant_value(given->value, given->where, submission_.now);
    if (const Given* given = take(Meaning::deadline, "deadline_ms")) spec.deadline_ms = instant_value(given->value, given->where, submission_.now);
    spec.hold = take(Meaning::hold, "hold") != nullptr;
    if (const Given* given = take(Meaning::nice, "nice")) spec.nice = nice_value(given->value, given->where);
    if (const Given* given = take(Meaning::reservation, "reservation")) spec.reservation = given->value;
    if (const auto least = asked(take(Meaning::min_gpus, "min_gpus"))) spec.min_gpus = least->count;
    if (const Given* given = take(Meaning::max_restarts, "max_restarts")) spec.max_restarts = restarts_value(given->value, given->where);
    if (const Given* given = take(Meaning::node_loss, "on_node_loss"))
      spec.on_node_loss = choice<NodeLossRule>(*given, {{"strict", NodeLossRule::strict}, {"fast", NodeLossRule::fast}, {"wait", NodeLossRule::wait}});
    if (const Given* given = take(Meaning::cut_off, "stop_when_cut_off_ms")) spec.stop_when_cut_off_ms = cut_off_value(given->value, given->where);
    spec.trial = take(Meaning::no_trial, "trial") == nullptr;
    if (const Given* given = take(Meaning::hang_after, "hang_after_ms")) spec.hang_after_ms = hang_value(given->value, given->where);
  }

  template <class T>
  static T choice(const Given& given, const std::vector<std::pair<std::string, T>>& known) {
    std::string words;
    for (const auto& [word, value] : known) {
      if (given.value == word) return value;
      words += words.empty() ? word : word == known.back().first ? " or " + word : ", " + word;
    }
    std::vector<std::string> names;
    for (const auto& [word, value] : known) names.push_back(word);
    const std::string near = protocol::nearest_word(given.value, names);
    throw Problem(given.where, "\"" + given.value + "\" is not known", near.empty() ? "give " + words : "did you mean " + near + "?");
  }

  void read_files() {
    JobSpec& spec = request_.spec;
    const Given* folder = take(Meaning::folder, "working_directory");
    const std::filesystem::path path = folder ? folder->value : submission_.folder;
    spec.working_directory =
        path.is_absolute() ? path.string() : (std::filesystem::path(submission_.folder) / path).lexically_normal().string();
    if (const Given* given = take(Meaning::output, "output")) spec.output = given->value;
    if (const Given* given = take(Meaning::error, "error")) spec.error = given->value;
    if (const Given* given = take(Meaning::open_mode, "append_output"))
      spec.append_output = choice<bool>(*given, {{"append", true}, {"a", true}, {"truncate", false}, {"t", false}});
    if (const Given* given = take(Meaning::log_limit, "log_bytes_max")) spec.log_bytes_max = size_value(given->value, given->where);
  }

  /// Arrays, and which jobs must come before.
  void read_order() {
    if (const Given* given = take(Meaning::array, "array_indices")) {
      ArrayIndices array = array_value(given->value, given->where);
      request_.array_indices = std::move(array.indices);
      request_.array_limit = array.limit;
    }
    if (is_script() && request_.spec.output.empty()) request_.spec.output = request_.array_indices.empty() ? script_output : array_output;
    put_away_weaker({Meaning::dependency, Meaning::after});
    for (const Given& given : given_) {
      const bool is_last = &given == last(Meaning::dependency);
      if (given.rule->meaning == Meaning::after)
        add(after_value(given.value, given.where), given.where);
      else if (is_last && !given.value.empty())
        add(slurm_dependency_value(given.value, given.where), given.where);
    }
  }

  const Given* last(Meaning meaning) const {
    const auto found = std::find_if(given_.rbegin(), given_.rend(), [&](const Given& given) { return given.rule->meaning == meaning; });
    return found == given_.rend() ? nullptr : &*found;
  }

  void add(const std::vector<TypedDependency>& dependencies, const std::string& where) {
    request_.honoured.push_back(where);
    request_.places["dependencies"] = where;
    for (const TypedDependency& typed : dependencies) {
      if (typed.element)
        request_.element_dependencies.push_back(typed);
      else
        request_.spec.dependencies.push_back({typed.job, typed.condition});
    }
  }

  // --- what is told ---

  /// A webhook alone gets what ALL stands for.
  void read_notify() {
    NotificationWish& wish = request_.spec.notify;
    const Given* type = take(Meaning::mail_type, "notify.events");
    if (type) {
      MailTypes types = mail_types_value(type->value, type->where);
      wish.events = std::move(types.events);
      wish.each_element = types.each_element;
      wish.mail = !wish.events.empty();
      if (!types.untold.empty()) {
        request_.spec.recorded["mail-type"] = type->value;
        warn(type->where + ": nothing is told of " + join(types.untold, ", "));
      }
    }
    if (const Given* given = take(Meaning::mail_user, "notify.mail_to")) read_mail_user(*given);
    if (const Given* given = take(Meaning::webhook, "notify.webhook")) {
      wish.webhook = webhook_value(given->value, given->where);
      if (!type) wish.events = all_mail_types();
    }
  }

  /// Slurm takes whatever is written there: a script is not refused for it.
  void read_mail_user(const Given& given) {
    try {
      request_.spec.notify.mail_to = mail_users_value(given.value, given.where);
    } catch (const Problem& problem) {
      if (given.dialect == Dialect::ultra) throw;
      request_.spec.recorded["mail-user"] = given.value;
      warn(given.where + ": " + problem.problem + "; it goes to the owner");
    }
  }

  // --- what changes nothing ---

  void read_recorded() {
    std::vector<std::string> names;
    for (const Given& given : given_) {
      if (given.rule->treatment != Treatment::recorded) continue;
      check_recorded(given);
      request_.spec.recorded[std::string(known_name(*given.rule))] = given.value;
      if (std::find(names.begin(), names.end(), option_name(given)) == names.end()) names.push_back(option_name(given));
    }
    if (names.empty()) return;
    warn((is_script() ? submission_.name + ": " : "") + "kept with the job but without effect: " + join(names, ", "));
  }

  static void check_recorded(const Given& given) {
    if (given.rule->meaning == Meaning::count) count_value(given.value, given.where);
    if (given.rule->meaning == Meaning::disk) memory_value(given.value, given.where);
  }

  const Submission& submission_;
  std::vector<Given> given_;  // weak before strong
  Request request_;
};

}  // namespace

Request request_of(const Submission& submission) { return Reader(submission).read(); }

}  // namespace ultramarine::batch
