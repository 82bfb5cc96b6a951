#include "scheduler/batch/given.h"

#include <algorithm>
#include <array>

#include "scheduler/protocol/text_forms.h"

namespace ultramarine::batch {
namespace {

class LineReader {
 public:
  LineReader(const std::string& script, const std::vector<Word>& words, Dialect dialect)
      : script_(script), words_(words), dialect_(dialect) {}

  std::vector<Given> read() {
    bool only_words = false;  // after --
    for (; at_ < words_.size(); ++at_) {
      const std::string& word = words_[at_].text;
      if (only_words || word.size() < 2 || word[0] != '-')
        stray(word);
      else if (word == "--")
        only_words = true;
      else if (word[1] == '-')
        long_option(word.substr(2));
      else
        short_options(word.substr(1));
    }
    return std::move(given_);
  }

 private:
  std::string mark() const { return dialect_ == Dialect::slurm ? "#SBATCH" : "#ULTRA"; }
  std::string place() const { return script_ + ":" + std::to_string(words_[at_].line); }

  [[noreturn]] void stray(const std::string& word) const {
    if (word == "hetjob" || word == "packjob")
      throw Problem(place() + ": " + mark() + " " + word, "jobs of several different parts can't be run",
                    "submit each part as a job of its own");
    throw Problem(place() + ": " + mark(), "\"" + word + "\" is not an option",
                  "options begin with -; quote a value that has blanks, and put # before a comment");
  }

  /// The rule that `name` stands for: itself, or the only one that begins so.
  const OptionRule& long_rule(const std::string& name) const {
    if (const OptionRule* exact = find_option(dialect_, name)) return *exact;
    std::vector<const OptionRule*> longer;
    std::vector<std::string> names;
    for (const OptionRule& rule : option_rules(dialect_)) {
      names.emplace_back(rule.name);
      if (!name.empty() && rule.name.starts_with(name)) longer.push_back(&rule);
    }
    const auto same = [&](const OptionRule* rule) { return known_name(*rule) == known_name(*longer.front()); };
    if (!longer.empty() && std::all_of(longer.begin(), longer.end(), same)) return *longer.front();
    const std::string where = place() + ": --" + name;
    if (longer.empty()) {
      const std::string near = protocol::nearest_word(name, names);
      const std::string whose = dialect_ == Dialect::slurm ? "sbatch has no such option" : "no such option";
      throw Problem(where, whose,
                    !near.empty()                ? "did you mean --" + near + "?"
                    : dialect_ == Dialect::slurm ? "take it out, or write it as a comment: ##SBATCH"
                                                 : "see 'ultra submit --help'");
    }
    std::string list;
    for (const OptionRule* rule : longer) list += (list.empty() ? "--" : ", --") + std::string(rule->name);
    throw Problem(where, "it could be one of " + list, "write it out");
  }

  void add(const OptionRule& rule, std::string value, std::int64_t line) {
    const Level level = dialect_ == Dialect::slurm ? Level::slurm_line : Level::ultra_line;
    given_.push_back({&rule, dialect_, level, std::move(value), script_ + ":" + std::to_string(line) + ": --" + std::string(rule.name)});
  }

  std::string next_word(const std::string& option) {
    if (at_ + 1 == words_.size())
      throw Problem(place() + ": " + option, "its value is missing", "write " + option + (option[1] == '-' ? "=" : " ") + "VALUE");
    return words_[++at_].text;
  }

  void long_option(const std::string& text) {
    const std::size_t equals = text.find('=');
    const OptionRule& rule = long_rule(text.substr(0, equals));
    const std::string option = "--" + std::string(rule.name);
    const std::int64_t line = words_[at_].line;
    if (rule.takes == Takes::nothing && equals != std::string::npos)
      throw Problem(place() + ": " + option, "it takes no value", "write " + option);
    std::string value;
    if (equals != std::string::npos)
      value = text.substr(equals + 1);
    else if (rule.takes == Takes::value)
      value = next_word(option);
    add(rule, std::move(value), line);
  }

  void short_options(const std::string& letters) {
    const std::int64_t line = words_[at_].line;
    for (std::size_t i = 0; i < letters.size(); ++i) {
      const auto& rules = option_rules(dialect_);
      const auto rule = std::find_if(rules.begin(), rules.end(), [&](const OptionRule& one) { return one.letter == letters[i]; });
      const std::string option = std::string("-") + letters[i];
      if (rule == rules.end()) throw Problem(place() + ": " + option, "unknown option", "a long name begins with two dashes: --" + letters);
      if (rule->takes == Takes::nothing) {
        add(*rule, "", line);
        continue;
      }
      std::string value = letters.substr(i + 1);
      if (value.starts_with('='))
        throw Problem(place() + ": " + option, "the = would be part of the value",
                      "write " + option + " " + value.substr(1) + " or --" + std::string(rule->name) + value);
      if (value.empty() && rule->takes == Takes::value) value = next_word(option);
      add(*rule, std::move(value), line);
      return;
    }
  }

  const std::string& script_;
  const std::vector<Word>& words_;
  const Dialect dialect_;
  std::size_t at_ = 0;
  std::vector<Given> given_;
};

}  // namespace

std::vector<Given> given_in_lines(const std::string& script, const std::vector<Word>& words, Dialect dialect) {
  return LineReader(script, words, dialect).read();
}

std::vector<Given> given_in_environment(const std::map<std::string, std::string>& environment, bool slurm_too) {
  std::vector<Given> given;
  const auto collect = [&](Dialect dialect, Level level) {
    for (const OptionRule& rule : option_rules(dialect)) {
      const std::string variable = variable_of(rule, dialect);
      const auto found = variable.empty() ? environment.end() : environment.find(variable);
      if (found == environment.end() || found->second.empty()) continue;
      const bool flag = rule.takes == Takes::nothing;
      if (flag && (found->second == "0" || found->second == "no" || found->second == "false")) continue;
      given.push_back({&rule, dialect, level, flag ? "" : found->second, variable});
    }
  };
  if (slurm_too) collect(Dialect::slurm, Level::slurm_variable);
  collect(Dialect::ultra, Level::ultra_variable);
  return given;
}

Given given_on_command_line(const std::string& name, const std::string& value) {
  const OptionRule* rule = find_option(Dialect::ultra, name);
  if (!rule) throw std::logic_error("no option --" + name + " in the table");
  return {rule, Dialect::ultra, Level::command_line, value, "--" + name};
}

}  // namespace ultramarine::batch
