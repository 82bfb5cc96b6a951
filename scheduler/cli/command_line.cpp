#include "scheduler/cli/command_line.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <set>

#include "scheduler/cli/language.h"
#include "scheduler/cli/local_files.h"
#include "scheduler/cli/nearest.h"

namespace ultramarine::cli {
namespace {

CLI::App* sub_command(const CLI::App* app, const std::string& name) {
  for (CLI::App* one :
       const_cast<CLI::App*>(app)->get_subcommands([&](CLI::App* candidate) { return candidate->get_name() == name; }))
    return one;
  return nullptr;
}

std::string see(const std::string& command) { return spoken("see '{0}'", command); }

class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(std::string usage) : usage_(std::move(usage)) { column_width(28); }
  std::string make_usage(const CLI::App*, std::string) const override { return "\n" + spoken("Usage:") + " " + usage_ + "\n"; }
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_size() == 0 ? "" : " " + option->get_type_name();
  }
  std::string make_positionals(const CLI::App*) const override { return ""; }  // the usage line says them
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    std::string text = CLI::Formatter::make_help(app, std::move(name), mode);
    for (std::size_t at = text.find("\n\n\n"); at != std::string::npos; at = text.find("\n\n\n", at)) text.erase(at, 1);
    return text;
  }

 private:
  std::string usage_;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  std::size_t from = 0;
  for (std::size_t space = text.find(' '); space != std::string::npos; from = space + 1, space = text.find(' ', from))
    words.push_back(text.substr(from, space - from));
  words.push_back(text.substr(from));
  return words;
}

void add_options(CLI::App& app, const std::vector<Option>& options, const std::string& group) {
  for (const Option& option : options) {
    const std::string names = option.letter.empty() ? option.name : option.letter + "," + option.name;
    const std::string help = spoken(option.help);
    CLI::Option* added = option.value_name.empty() ? app.add_flag(names, help)
                                                   : app.add_option(names, help)->type_name(option.value_name);
    added->group(group);
  }
}

/// The parser of all verbs. CLI11 tokenises and lays out help; what it says badly (unknown words) is found before it
/// runs.
class Parser {
 public:
  explicit Parser(const std::vector<Verb>& verbs) : app_(spoken("ultra: submit and watch jobs on a GPU cluster"), "ultra") {
    app_.set_help_flag("-h,--help", spoken("Print this help"))->group(spoken("Options"));
    app_.formatter(std::make_shared<HelpFormatter>("ultra VERB [OPTIONS]"));
    app_.fallthrough();
    add_options(app_, global_options(), spoken("Options"));
    app_.footer(spoken("Two commands to begin with:") +
                "\n  ultra cluster up\n  ultra submit --gpus 2 --follow -- sh -c 'echo rank $RANK of $WORLD_SIZE'\n" +
                spoken("'{0}' shows the options of a verb.", "ultra VERB --help"));
    for (const Verb& verb : verbs) {
      CLI::App* at = &app_;
      for (const std::string& word : split(verb.path)) {
        CLI::App* next = sub_command(at, word);
        if (!next) {
          next = at->add_subcommand(word);
          next->group(spoken("Verbs"))->fallthrough();
          next->set_help_flag("-h,--help", spoken("Print this help"))->group(spoken("Options"));
          next->formatter(
              std::make_shared<HelpFormatter>("ultra " + verb.path.substr(0, verb.path.find(' ')) + " VERB [OPTIONS]"));
          next->description(group_summary(word));
          next->footer(spoken("'{0}' shows the options of a verb.", "ultra " + verb.path.substr(0, verb.path.find(' ')) + " VERB --help"));
        }
        at = next;
      }
      at->description(spoken(verb.summary));
      at->formatter(
          std::make_shared<HelpFormatter>("ultra " + verb.path + " [OPTIONS]" + positional_words(verb.positionals)));
      at->footer(spoken_lines(verb.details));
      add_options(*at, verb.options, spoken("Options"));
      add_options(*at, global_options(), spoken("Options of every verb"));
      at->add_option("words", positionals_)->group("");
      by_app_[at] = &verb;
    }
  }

  CommandLine parse(const std::vector<std::string>& words) {
    CommandLine result;
    const std::vector<std::string> checked = check(words, result);
    if (result.verb == nullptr) return result;
    try {
      std::vector<std::string> reversed(checked.rbegin(), checked.rend());  // CLI11 takes them from the back
      app_.parse(reversed);
    } catch (const CLI::ParseError& error) {
      usage_error("", error.what(), see("ultra " + result.verb->path + " --help"));
    }
    CLI::App* leaf = &app_;
    std::vector<CLI::App*> levels{leaf};
    while (!leaf->get_subcommands().empty()) levels.push_back(leaf = leaf->get_subcommands().front());
    const auto collect = [&](const std::vector<Option>& options) {
      for (const Option& option : options) {
        for (CLI::App* level : levels) {
          const CLI::Option* found = level->get_option_no_throw(option.name);
          if (found && found->count() > 0)
            result.arguments.values[option.name] = option.value_name.empty() ? "" : found->results().back();
        }
      }
    };
    collect(result.verb->options);
    collect(global_options());
    if (!takes_command(*result.verb)) result.arguments.positionals = positionals_;
    take_globals(result);
    return result;
  }

 private:
  /// Finds the verb and every unknown, repeated or value-less option, with better words than CLI11 has; takes the
  /// command off the end. Returns the words that are left for CLI11.
  std::vector<std::string> check(const std::vector<std::string>& words, CommandLine& result) {
    CLI::App* at = &app_;
    std::vector<std::string> kept;
    std::set<std::string> seen;
    bool only_positionals = false;
    std::size_t positionals = 0;
    std::string job;  // of `job_and_command`
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string& word = words[i];
      const auto verb = by_app_.find(at);
      const bool command_follows = verb != by_app_.end() && takes_command(*verb->second);
      if (word == "--" && !only_positionals) {
        result.arguments.after_dashes = true;
        if (command_follows) {
          take_command(words, i + 1, at, result, kept);
          if (!job.empty()) result.arguments.positionals.insert(result.arguments.positionals.begin(), job);
          return kept;
        }
        only_positionals = true;
        kept.push_back(word);
        continue;
      }
      if (!only_positionals && word.size() > 1 && word[0] == '-') {
        if (word == "--help" || word == "-h") {
          result.text = at->help("ultra");
          return {};
        }
        const std::size_t equals = word.rfind("--", 0) == 0 ? word.find('=') : std::string::npos;
        const std::string name = word.substr(0, equals);
        const Option& option = known_option(name, verb == by_app_.end() ? nullptr : verb->second);
        const bool again = !seen.insert(option.name).second;
        if (again && !option.repeatable) usage_error(option.name, spoken("given twice"), spoken("give it once"));
        kept.push_back(equals == std::string::npos ? option.name : option.name + word.substr(equals));
        if (option.value_name.empty()) {
          if (equals != std::string::npos)
            usage_error(option.name, spoken("takes no value"), spoken("write {0}", option.name));
        } else if (equals == std::string::npos) {
          if (i + 1 == words.size() || words[i + 1] == "--" ||
              is_option(words[i + 1], verb == by_app_.end() ? nullptr : verb->second)) {
            usage_error(option.name, spoken("needs a value"),
                        spoken("write {0}", option.name + " " + option.value_name));
          }
          kept.back() += "=" + words[++i];  // as one word, so that a value may begin with '-'
        }
        if (!option.value_name.empty() && kept.back().size() == option.name.size() + 1)
          usage_error(option.name, spoken("its value is empty"),
                      spoken("write {0}", option.name + " " + option.value_name));
        if (again) join_with_earlier(kept, option.name);
        continue;
      }
      if (verb == by_app_.end()) {
        at = next_level(at, word);
        kept.push_back(word);
        continue;
      }
      if (command_follows && verb->second->positionals == Positionals::job_and_command) {
        if (!job.empty())
          usage_error("command", spoken("unexpected word \"{0}\"", word),
                      spoken("give it after --, for example: {0}", "ultra exec 12 -- nvidia-smi"));
        job = word;
        continue;
      }
      if (command_follows && verb->second->positionals == Positionals::maybe_command)
        usage_error("command", spoken("unexpected word \"{0}\"", word),
                    spoken("give it after --, for example: {0}", "ultra " + verb->second->path + " -- python3"));
      if (command_follows)
        return take_command(words, i, at, result, kept);  // the first word that is no option begins the command
      if (verb->second->positionals == Positionals::none)
        usage_error("", spoken("unexpected word \"{0}\"", word), see("ultra " + verb->second->path + " --help"));
      if (++positionals > 1) check_may_be_several(*verb->second, word, positionals);
      kept.push_back(word);
    }
    const auto verb = by_app_.find(at);
    if (verb == by_app_.end()) {
      result.text = at->help("ultra");
      result.text_is_error = true;
      return {};
    }
    if (takes_command(*verb->second)) {
      take_command(words, words.size(), at, result, kept);
      if (!job.empty()) result.arguments.positionals = {job};
      return kept;
    }
    if (positionals == 0) check_may_be_none(*verb->second);
    result.verb = verb->second;
    return kept;
  }

  std::vector<std::string> take_command(const std::vector<std::string>& words, std::size_t from, CLI::App* at,
                                        CommandLine& result, std::vector<std::string> kept) {
    result.verb = by_app_.at(at);
    result.arguments.positionals.assign(words.begin() + static_cast<std::ptrdiff_t>(from), words.end());
    if (result.arguments.positionals.empty() && result.verb->positionals == Positionals::command) {
      usage_error("command", spoken("nothing to run"),
                  spoken("give it after --, for example: {0}", "ultra " + result.verb->path + " -- python3 train.py"));
    }
    return kept;
  }

  static bool takes_command(const Verb& verb) {
    return verb.positionals == Positionals::command || verb.positionals == Positionals::script_or_command || verb.positionals == Positionals::shell ||
           verb.positionals == Positionals::job_and_command || verb.positionals == Positionals::maybe_command;
  }

  /// `count`: with this word.
  static void check_may_be_several(const Verb& verb, const std::string& word, std::size_t count) {
    if (verb.positionals == Positionals::one_job || verb.positionals == Positionals::maybe_job)
      usage_error("JOB", spoken("one job at a time"), spoken("give one job number"));
    const bool one_at_most = verb.positionals == Positionals::file || verb.positionals == Positionals::folder || verb.positionals == Positionals::reservation ||
                             verb.positionals == Positionals::policy || verb.positionals == Positionals::maybe_policy;
    if (one_at_most || (verb.positionals == Positionals::policies && count > 2))
      usage_error("", spoken("unexpected word \"{0}\"", word), see("ultra " + verb.path + " --help"));
  }

  static void check_may_be_none(const Verb& verb) {
    const std::string command = "ultra " + verb.path;
    if (verb.positionals == Positionals::one_job || verb.positionals == Positionals::jobs)
      usage_error("JOB", spoken("none given"),
                  spoken("name it by its number: {0} ('ultra queue' lists them)", command + " 12"));
    if (verb.positionals == Positionals::some_nodes)
      usage_error("NODE", spoken("none given"), spoken("write for example {0}", command + " node[01-04]"));
    if (verb.positionals == Positionals::file)
      usage_error("FILE", spoken("none given"), spoken("write for example {0}", command + " job.toml"));
    if (verb.positionals == Positionals::policy || verb.positionals == Positionals::policies)
      usage_error("FILE", spoken("none given"), spoken("write for example {0}", command + " ./proposal.toml"));
    if (verb.positionals == Positionals::folder)
      usage_error("FOLDER", spoken("none given"), spoken("write for example {0}", command + " ~/.local/share/man"));
  }

  /// The last word repeats an option of an earlier one: one word with both values is left.
  static void join_with_earlier(std::vector<std::string>& kept, const std::string& name) {
    const std::string value = kept.back().substr(name.size() + 1);
    kept.pop_back();
    *std::find_if(kept.begin(), kept.end(), [&](const std::string& word) { return word.starts_with(name + "="); }) += "," + value;
  }

  static bool matches(const Option& option, const std::string& name) {
    return option.name == name || (!option.letter.empty() && option.letter == name);
  }

  static std::vector<Option> options_of(const Verb* verb) {
    std::vector<Option> options = global_options();
    if (verb) options.insert(options.begin(), verb->options.begin(), verb->options.end());
    return options;
  }

  bool is_option(const std::string& word, const Verb* verb) const {
    const std::string name = word.substr(0, word.find('='));
    const auto options = options_of(verb);
    return name == "--help" || name == "-h" ||
           std::any_of(options.begin(), options.end(), [&](const Option& option) { return matches(option, name); });
  }

  const Option& known_option(const std::string& name, const Verb* verb) const {
    std::vector<std::string> names{"--help"};
    for (const auto* options : {verb ? &verb->options : &global_options(), &global_options()}) {
      for (const Option& option : *options) {
        if (matches(option, name)) return option;
        if (std::find(names.begin(), names.end(), option.name) == names.end()) names.push_back(option.name);
      }
    }
    const std::string help = verb ? "ultra " + verb->path + " --help" : "ultra --help";
    usage_error(name, spoken("unknown option"), did_you_mean(name, names, see(help)));
  }

  CLI::App* next_level(CLI::App* at, const std::string& word) {
    if (CLI::App* next = sub_command(at, word)) return next;
    std::vector<std::string> names;
    for (const CLI::App* verb : at->get_subcommands({})) names.push_back(verb->get_name());
    std::string near = nearest(word, names);
    const std::string before = at == &app_ ? "ultra " : "ultra " + at->get_name() + " ";
    if (near.empty() && at == &app_ && (word == "up" || word == "down" || word == "status")) near = "cluster " + word;
    usage_error(word, spoken("unknown verb"),
                near.empty() ? see(before + "--help") : spoken("did you mean {0}?", "'" + before + near + "'"));
  }

  void take_globals(CommandLine& result) {
    result.socket = result.arguments.text("--socket");
    const auto colour = result.arguments.text("--color");
    if (!colour || *colour == "auto")
      result.colour = ColourMode::automatic;
    else if (*colour == "always")
      result.colour = ColourMode::always;
    else if (*colour == "never")
      result.colour = ColourMode::never;
    else
      usage_error("--color", spoken("\"{0}\" is not known", *colour),
                  did_you_mean(*colour, {"auto", "always", "never"}, spoken("give one of {0}", "auto, always, never")));
  }

  CLI::App app_;
  std::map<const CLI::App*, const Verb*> by_app_;
  std::vector<std::string> positionals_;
};

}  // namespace

CommandLine parse_command_line(const std::vector<Verb>& verbs, const std::vector<std::string>& words) {
  return Parser(verbs).parse(words);
}

int run_command_line(const std::vector<std::string>& words, std::map<std::string, std::string> environment,
                     std::ostream& out, std::ostream& err, const std::function<Terminal(ColourMode)>& terminal,
                     std::function<Time()> now) {
  speak(language_of(environment));
  bool colour = terminal(ColourMode::automatic).error_colour;
  const auto fail = [&](const std::string& line) { err << tinted(spoken("error:"), Tint::red, colour) << ' ' << line << '\n'; };
  try {
    const std::vector<Verb> verbs = all_verbs();
    const CommandLine line = parse_command_line(verbs, words);
    if (line.verb == nullptr) {
      (line.text_is_error ? err : out) << line.text;
      return line.text_is_error ? exit_code::usage : exit_code::ok;
    }
    Context context{out, err, terminal(line.colour), std::move(environment), "", "", std::move(now)};
    colour = context.terminal.error_colour;
    context.home = home_folder(context.environment);
    context.socket = socket_path(line.socket, context.environment, context.home);
    return line.verb->run(line.arguments, context);
  } catch (const CommandError& error) {
    fail(error.what());
    return error.code;
  } catch (const Interrupted&) {
    return exit_code::interrupted;
  } catch (const std::exception& error) {
    fail(error_line("", error.what(), ""));
    return exit_code::failure;
  }
}

}  // namespace ultramarine::cli
