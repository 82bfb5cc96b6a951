#include "scheduler/cli/verbs/submission.h"

#include <unistd.h>

#include <filesystem>
#include <set>

#include "scheduler/cli/language.h"
#include "scheduler/cli/nearest.h"
#include "scheduler/cli/terminal.h"

namespace ultramarine::cli {
namespace {

/// What a program needs to find itself and its user; sent whatever --export says, if set.
const std::set<std::string>& basic_names() {
  static const std::set<std::string> names{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM"};
  return names;
}

/// The part of the environment that goes along. A name that isn't set is an error on the command line, and left out in a script.
class Export {
 public:
  Export(const batch::Request& asked, const std::map<std::string, std::string>& environment)
      : choice_(asked.environment),
        where_(asked.environment_where.empty() ? "--export" : asked.environment_where),
        values_allowed_(asked.environment_values),
        environment_(environment) {}

  std::map<std::string, std::string> chosen() {
    for (std::size_t from = 0; from <= choice_.size();) {
      const std::size_t comma = std::min(choice_.find(',', from), choice_.size());
      take(choice_.substr(from, comma - from));
      from = comma + 1;
    }
    std::map<std::string, std::string> chosen;
    for (const auto& [name, value] : environment_) {
      if (all_ || names_.count(name) || basic_names().count(name)) chosen[name] = value;
    }
    for (const auto& [name, value] : values_) chosen[name] = value;
    return chosen;
  }

 private:
  void take(const std::string& word) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (word == "ALL") {
      all_ = true;
    } else if (word == "NONE" || (word == "NIL" && values_allowed_)) {
      return;
    } else if (name.empty()) {
      usage_error(where_, spoken("an empty name in \"{0}\"", choice_), spoken("give ALL, NONE or names with commas between"));
    } else if (equals != std::string::npos && values_allowed_) {
      values_[name] = word.substr(equals + 1);
    } else if (equals != std::string::npos) {
      usage_error(where_, spoken("values don't belong on a command line, where everybody can read them"),
                  spoken("set {0} in the environment and give only its name", name));
    } else if (environment_.count(name) || values_allowed_) {
      names_.insert(name);
    } else {
      std::vector<std::string> known{"ALL", "NONE"};
      for (const auto& [key, value] : environment_) known.push_back(key);
      usage_error(where_, spoken("{0} is not set in this environment", name), did_you_mean(name, known, spoken("set it, or leave it out")));
    }
  }

  const std::string choice_, where_;
  const bool values_allowed_;
  const std::map<std::string, std::string>& environment_;
  bool all_ = false;
  std::set<std::string> names_;
  std::map<std::string, std::string> values_;
};

/// A command, unlike a script, says its shape in one of two ways.
void check_shape_of_command(const Arguments& arguments) {
  const bool nodes = arguments.has("--nodes"), gpus_per_node = arguments.has("--gpus-per-node");
  if (arguments.has("--gpus") && (nodes || gpus_per_node)) {
    usage_error("--gpus", spoken("can't be combined with {0}", nodes ? "--nodes" : "--gpus-per-node"),
                spoken("give either --gpus N, or --nodes N --gpus-per-node K"));
  }
  if (nodes && !gpus_per_node && !arguments.has("--exclusive"))
    usage_error("--gpus-per-node", spoken("missing beside {0}", "--nodes"), spoken("add for example {0}", "--gpus-per-node 8"));
  if (gpus_per_node && !nodes)
    usage_error("--nodes", spoken("missing beside {0}", "--gpus-per-node"), spoken("add for example {0}", "--nodes 1"));
}

batch::Submission all_that_was_said(const Arguments& arguments, const std::map<std::string, std::string>& environment,
                                    const std::string& folder, const std::optional<ScriptFile>& script,
                                    const std::vector<batch::Given>& file, Time now) {
  batch::Submission said;
  said.now = now;
  if (script) {
    said.name = script->name;
    said.text = script->text;
  }
  said.command = arguments.positionals;
  said.folder = folder;
  said.environment = environment;
  said.file = file;
  said.read_file = [folder](const std::string& path, const std::string& where) {
    try {
      return read_text((std::filesystem::path(folder) / path).string());
    } catch (const CommandError&) {
      throw batch::Problem(where, path + " can't be read", "name a file that exists and that you may read");
    }
  };
  for (const auto& [option, value] : arguments.values) {
    const std::string name = option.substr(2);
    const batch::OptionRule* rule = batch::find_option(batch::Dialect::ultra, name);
    if (rule && rule->treatment == batch::Treatment::honoured) said.command_line.push_back(batch::given_on_command_line(name, value));
  }
  return said;
}

bool starts_with_any(const std::string& name, std::initializer_list<const char*> beginnings) {
  for (const char* beginning : beginnings) {
    if (name.starts_with(beginning)) return true;
  }
  return false;
}

}  // namespace

std::map<std::string, std::string> without_job_variables(std::map<std::string, std::string> environment) {
  if (!environment.count("ULTRA_JOB_ID")) return environment;
  static const std::set<std::string> ours{"RANK",        "LOCAL_RANK",  "WORLD_SIZE",          "LOCAL_WORLD_SIZE",
                                          "MASTER_ADDR", "MASTER_PORT", "CUDA_VISIBLE_DEVICES"};
  std::erase_if(environment, [&](const auto& entry) {
    const std::string& name = entry.first;
    if (name == "ULTRA_SUBMIT_DIR" || name == "ULTRA_SUBMIT_HOST") return true;  // where this job was submitted; the others are options
    if (name == "ULTRA_HOME" || name.starts_with("ULTRA_SUBMIT_")) return false;
    return ours.count(name) > 0 || starts_with_any(name, {"ULTRA_", "SLURM_", "SLURMD_", "PMIX_", "GROUP_", "ROLE_", "TORCHELASTIC_"});
  });
  return environment;
}

std::string leave_out_other_than_utf8(std::map<std::string, std::string>& environment) {
  std::string left_out;
  std::erase_if(environment, [&](const auto& entry) {
    if (is_utf8(entry.first) && is_utf8(entry.second)) return false;
    left_out += (left_out.empty() ? "" : ", ") + printable(entry.first);
    return true;
  });
  return left_out;
}

Submission submission(const Arguments& arguments, const std::map<std::string, std::string>& environment, const std::string& current_folder,
                      const std::optional<ScriptFile>& script, const std::vector<batch::Given>& file, Time now) {
  if (!script && file.empty()) check_shape_of_command(arguments);
  batch::Request asked;
  try {
    asked = batch::request_of(all_that_was_said(arguments, environment, current_folder, script, file, now));
  } catch (const batch::Problem& problem) {
    usage_error(problem.where, heard(problem.problem), heard(problem.remedy));
  }
  Submission made;
  made.request.environment = Export(asked, without_job_variables(environment)).chosen();
  made.request.spec = std::move(asked.spec);
  made.request.array_indices = std::move(asked.array_indices);
  made.request.array_limit = asked.array_limit;
  made.element_dependencies = std::move(asked.element_dependencies);
  made.wait = asked.wait;
  made.parsable = asked.parsable;
  made.honoured = std::move(asked.honoured);
  made.warnings = std::move(asked.warnings);
  made.places = std::move(asked.places);
  if (script) {
    // What the script's shell is told as SLURM_SUBMIT_DIR and SLURM_SUBMIT_HOST.
    made.request.environment["ULTRA_SUBMIT_DIR"] = current_folder;
    char host[256] = {};
    if (gethostname(host, sizeof host - 1) == 0) made.request.environment["ULTRA_SUBMIT_HOST"] = host;
  }
  const std::string left_out = leave_out_other_than_utf8(made.request.environment);
  if (!left_out.empty()) made.warnings.push_back(spoken("not sent with the job, because not UTF-8: {0}", left_out));
  return made;
}

void complete(Submission& made, Client& client) {
  JobSpec& spec = made.request.spec;
  for (const batch::TypedDependency& typed : made.element_dependencies) {
    const JobName name(std::to_string(typed.job.value) + "_" + std::to_string(*typed.element));
    const Job element = client.job(name).value.details;
    // The first element's number is the name of the whole array.
    if (element.array && element.array->array == element.job && element.array->count > 1)
      usage_error("--after", spoken("the first element of an array can't be waited for alone"), spoken("name the whole array: {0}", element.job.value));
    spec.dependencies.push_back({element.job, typed.condition});
  }
}

void refuse_at_its_place(const Refused& refused, const Submission& made) {
  const std::string field = refused.reply.field.starts_with("spec.") ? refused.reply.field.substr(5) : refused.reply.field;
  auto place = made.places.find(field.substr(0, field.find('[')));
  if (place == made.places.end() && field.starts_with("resources")) {
    for (const char* other : {"resources.gpus", "resources.gpus_per_node", "resources.nodes"}) {
      if (place == made.places.end()) place = made.places.find(other);
    }
  }
  if (place == made.places.end()) throw refused;
  throw Refused(refused.code, error_line(place->second, heard(refused.reply.message), heard(refused.reply.remedy)), refused.reply);
}

}  // namespace ultramarine::cli
