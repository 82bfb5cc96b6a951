#include "scheduler/cli/verbs/submission.h"

#include <filesystem>
#include <set>

#include "scheduler/cli/nearest.h"

namespace ultramarine::cli {
namespace {

constexpr std::int64_t count_max = 1'000'000;
/// What a program needs to find itself and its user; sent whatever --export says, if set.
const std::set<std::string>& basic_names() {
  static const std::set<std::string> names{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM"};
  return names;
}

std::map<std::string, std::string> exported(const std::string& choice,
                                            const std::map<std::string, std::string>& environment) {
  std::set<std::string> names;
  bool all = false;
  std::size_t from = 0;
  while (from <= choice.size()) {
    const std::size_t comma = std::min(choice.find(',', from), choice.size());
    const std::string name = choice.substr(from, comma - from);
    from = comma + 1;
    if (name == "ALL")
      all = true;
    else if (name == "NONE")
      continue;
    else if (name.empty())
      throw CommandError(exit_code::usage, error_line("--export", "an empty name in \"" + choice + "\"",
                                                      "give ALL, NONE or names with commas between"));
    else if (name.find('=') != std::string::npos) {
      throw CommandError(
          exit_code::usage,
          error_line("--export", "values don't belong on a command line, where everybody can read them",
                     "set " + name.substr(0, name.find('=')) + " in the environment and give only its name"));
    } else if (!environment.count(name)) {
      std::vector<std::string> known{"ALL", "NONE"};
      for (const auto& [key, value] : environment) known.push_back(key);
      const std::string near = nearest(name, known);
      throw CommandError(exit_code::usage,
                         error_line("--export", name + " is not set in this environment",
                                    near.empty() ? "set it, or leave it out" : "did you mean " + near + "?"));
    } else
      names.insert(name);
  }
  if (all) return environment;
  std::map<std::string, std::string> chosen;
  for (const auto& [name, value] : environment) {
    if (names.count(name) || basic_names().count(name)) chosen[name] = value;
  }
  return chosen;
}

MpiMode mpi_mode(const std::string& text) {
  if (text == "auto") return MpiMode::automatic;
  if (text == "pmix") return MpiMode::pmix;
  if (text == "none") return MpiMode::none;
  const std::string near = nearest(text, {"auto", "pmix", "none"});
  throw CommandError(exit_code::usage,
                     error_line("--mpi", "\"" + text + "\" is not known",
                                near.empty() ? "give auto, pmix or none" : "did you mean " + near + "?"));
}

}  // namespace

protocol::SubmitRequest submission(const Arguments& arguments, const std::map<std::string, std::string>& environment,
                                   const std::string& current_folder, std::string& warning) {
  protocol::SubmitRequest request;
  JobSpec& spec = request.spec;
  spec.command = arguments.positionals;
  spec.name = arguments.text("--name").value_or(std::filesystem::path(spec.command.front()).filename().string());
  spec.account = arguments.text("--account").value_or("");
  spec.partition = arguments.text("--partition").value_or("");
  spec.qos = arguments.text("--qos").value_or("");
  const auto gpus = arguments.whole_number("--gpus", 1, count_max);
  const auto nodes = arguments.whole_number("--nodes", 1, count_max);
  const auto gpus_per_node = arguments.whole_number("--gpus-per-node", 1, count_max);
  if (gpus && (nodes || gpus_per_node)) {
    throw CommandError(
        exit_code::usage,
        error_line("--gpus", std::string("can't be combined with ") + (nodes ? "--nodes" : "--gpus-per-node"),
                   "give either --gpus N, or --nodes N --gpus-per-node K"));
  }
  if (nodes && !gpus_per_node)
    throw CommandError(exit_code::usage,
                       error_line("--gpus-per-node", "missing beside --nodes", "add for example --gpus-per-node 8"));
  if (gpus_per_node && !nodes)
    throw CommandError(exit_code::usage,
                       error_line("--nodes", "missing beside --gpus-per-node", "add for example --nodes 1"));
  spec.resources = nodes ? Resources{0, *nodes, *gpus_per_node} : Resources{gpus.value_or(1), 0, 0};
  if (const auto limit = arguments.duration("--time")) {
    if (limit->ms < 1000)
      throw CommandError(exit_code::usage, error_line("--time", "shorter than a second", "give at least 1s"));
    spec.time_limit_ms = *limit;
  }
  if (const auto grace = arguments.duration("--grace")) spec.stop_grace_ms = *grace;
  spec.mpi = mpi_mode(arguments.text("--mpi").value_or("auto"));
  const std::string folder = arguments.text("--workdir").value_or(current_folder);
  spec.working_directory = std::filesystem::path(folder).is_absolute()
                               ? folder
                               : (std::filesystem::path(current_folder) / folder).lexically_normal().string();
  request.environment = exported(arguments.text("--export").value_or("ALL"), environment);
  std::string left_out;
  for (auto entry = request.environment.begin(); entry != request.environment.end();) {
    if (is_utf8(entry->first) && is_utf8(entry->second)) {
      ++entry;
    } else {
      left_out += (left_out.empty() ? "" : ", ") + printable(entry->first);
      entry = request.environment.erase(entry);
    }
  }
  if (!left_out.empty()) warning = "not sent with the job, because not UTF-8: " + left_out;
  return request;
}

}  // namespace ultramarine::cli
