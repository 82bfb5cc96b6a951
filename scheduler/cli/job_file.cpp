#include "scheduler/cli/job_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/cli/command_error.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/nearest.h"
#include "scheduler/protocol/settings_file.h"

namespace ultramarine::cli {
namespace {

using protocol::Setting;

[[noreturn]] void refuse(const std::string& where, const std::string& word, const std::string& problem,
                         const std::string& remedy) {
  usage_error(where + ": " + word, problem, remedy);
}

/// The words of a job file beside the options.
bool is_what_to_run(const std::string& word) { return word == "command" || word == "script" || word == "arguments"; }

std::vector<std::string> known_words() {
  std::vector<std::string> words{"command", "script", "arguments"};
  for (const batch::OptionRule& rule : batch::option_rules(batch::Dialect::ultra)) {
    if (rule.treatment == batch::Treatment::honoured) words.emplace_back(rule.name);
  }
  return words;
}

bool may_be_list(batch::Meaning meaning) {
  return meaning == batch::Meaning::after || meaning == batch::Meaning::environment || meaning == batch::Meaning::array ||
         meaning == batch::Meaning::constraint || meaning == batch::Meaning::node_list || meaning == batch::Meaning::exclude || meaning == batch::Meaning::mail_type || meaning == batch::Meaning::mail_user;
}

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ",") + item;
  return text;
}

/// nullopt: a flag that is false.
std::optional<batch::Given> given_by(const Setting& setting, const batch::OptionRule& rule) {
  const std::string name(rule.name);
  batch::Given given{&rule, batch::Dialect::ultra, batch::Level::ultra_line, setting.value,
                     setting.where + ": " + name};
  if (rule.takes == batch::Takes::nothing) {
    if (setting.kind != Setting::Kind::truth)
      refuse(setting.where, name, spoken("expected true or false"), spoken("write {0}", name + " = true"));
    if (setting.value == "false") return std::nullopt;
    given.value.clear();
    return given;
  }
  const bool is_length = rule.meaning == batch::Meaning::time || rule.meaning == batch::Meaning::grace;
  if (setting.kind == Setting::Kind::truth)
    refuse(setting.where, name, spoken("expected a value, got {0}", setting.value),
           spoken("leave it out where nothing is to be said"));
  if (setting.kind == Setting::Kind::number && is_length)
    refuse(setting.where, name, spoken("a length of time needs a unit"),
           spoken("write for example {0}", name + " = \"" + setting.value + "m\""));
  if (setting.kind == Setting::Kind::list) {
    if (!may_be_list(rule.meaning))
      refuse(setting.where, name, spoken("expected one value, got a list"), spoken("give one value"));
    given.value = joined(setting.items);
  }
  return given;
}

}  // namespace

std::string read_text(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file || std::filesystem::is_directory(name))
    usage_error(name, spoken("it can't be read") + (errno ? ": " + heard(std::strerror(errno)) : ""),
                spoken("name a file that exists and that you may read"));
  return text.str();
}

JobFile read_job_file(const std::string& name) { return parse_job_file(read_text(name), name); }

JobFile parse_job_file(const std::string& text, const std::string& name) {
  JobFile job;
  std::vector<Setting> settings;
  try {
    settings = protocol::read_settings(text, name);
  } catch (const protocol::ConfigError& error) {
    const std::string field = error.field.empty() ? error.where : error.where + ": " + error.field;
    usage_error(field, error.problem, error.remedy);
  }
  const Setting *command = nullptr, *script = nullptr, *arguments = nullptr;
  for (const Setting& setting : settings) {
    std::string word = setting.key;
    for (char& letter : word) {
      if (letter == '_') letter = '-';
    }
    if (is_what_to_run(word)) {
      (word == "command" ? command : word == "script" ? script : arguments) = &setting;
      continue;
    }
    const batch::OptionRule* rule = batch::find_option(batch::Dialect::ultra, word);
    if (!rule)
      refuse(setting.key_where, setting.key, spoken("unknown word"),
             did_you_mean(word, known_words(), spoken("see '{0}'", "ultra submit --help")));
    if (rule->treatment != batch::Treatment::honoured)
      refuse(setting.key_where, setting.key, spoken("can't be said in a job file"), heard(rule->remedy));
    if (const auto given = given_by(setting, *rule)) job.given.push_back(*given);
  }
  if (command && script)
    refuse(script->key_where, "script", spoken("can't be combined with {0}", "command"), spoken("give one of them"));
  if (arguments && !script)
    refuse(arguments->key_where, "arguments", spoken("they are a script's"),
           spoken("put everything into {0}", "command"));
  if (!command && !script)
    usage_error(name, spoken("nothing to run"), spoken("add for example {0}", "command = [\"python3\", \"train.py\"]"));
  if (command) {
    if (command->kind != Setting::Kind::list || command->items.empty())
      refuse(command->where, "command", spoken("expected a list: the program and its arguments"),
             spoken("write for example {0}", "command = [\"python3\", \"train.py\"]"));
    job.command = command->items;
    return job;
  }
  if (script->kind != Setting::Kind::text)
    refuse(script->where, "script", spoken("expected the path of a file"),
           spoken("write for example {0}", "script = \"job.sh\""));
  if (arguments && arguments->kind != Setting::Kind::list)
    refuse(arguments->where, "arguments", spoken("expected a list"),
           spoken("write for example {0}", "arguments = [\"--epochs\", \"3\"]"));
  const std::filesystem::path path(script->value);
  const std::string found =
      path.is_absolute() ? path.string() : (std::filesystem::path(name).parent_path() / path).string();
  job.script = ScriptFile{found, read_text(found)};
  job.command = {found};
  if (arguments) job.command.insert(job.command.end(), arguments->items.begin(), arguments->items.end());
  return job;
}

}  // namespace ultramarine::cli
