#include "scheduler/cli/verbs/submission.h"

#include <filesystem>
#include <set>

#include "scheduler/cli/language.h"
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
      throw CommandError(exit_code::usage, error_line("--export", spoken("an empty name in \"{0}\"", choice),
                                                      spoken("give ALL, NONE or names with commas between")));
    else if (name.find('=') != std::string::npos) {
      throw CommandError(
          exit_code::usage,
          error_line("--export", spoken("values don't belong on a command line, where everybody can read them"),
                     spoken("set {0} in the environment and give only its name", name.substr(0, name.find('=')))));
    } else if (!environment.count(name)) {
      std::vector<std::string> known{"ALL", "NONE"};
      for (const auto& [key, value] : environment) known.push_back(key);
      throw CommandError(exit_code::usage, error_line("--export", spoken("{0} is not set in this environment", name),
                                                      did_you_mean(name, known, spoken("set it, or leave it out"))));
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
  throw CommandError(exit_code::usage, error_line("--mpi", spoken("\"{0}\" is not known", text),
                                                  did_you_mean(text, {"auto", "pmix", "none"}, spoken("give one of {0}", "auto, pmix, none"))));
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
        error_line("--gpus", spoken("can't be combined with {0}", nodes ? "--nodes" : "--gpus-per-node"),
                   spoken("give either --gpus N, or --nodes N --gpus-per-node K")));
  }
  if (nodes && !gpus_per_node)
    throw CommandError(exit_code::usage,
                       error_line("--gpus-per-node", spoken("missing beside {0}", "--nodes"), spoken("add for example {0}", "--gpus-per-node 8")));
  if (gpus_per_node && !nodes)
    throw CommandError(exit_code::usage,
                       error_line("--nodes", spoken("missing beside {0}", "--gpus-per-node"), spoken("add for example {0}", "--nodes 1")));
  spec.resources = nodes ? Resources{0, *nodes, *gpus_per_node} : Resources{gpus.value_or(1), 0, 0};
  if (const auto limit = arguments.duration("--time")) {
    if (limit->ms < 1000)
      throw CommandError(exit_code::usage, error_line("--time", spoken("shorter than a second"), spoken("give at least {0}", "1s")));
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
  if (!left_out.empty()) warning = spoken("not sent with the job, because not UTF-8: {0}", left_out);
  return request;
}

}  // namespace ultramarine::cli
