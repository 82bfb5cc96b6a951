#include "scheduler/cli/completion.h"

#include <algorithm>
#include <map>
#include <set>

#include "scheduler/cli/job_name.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/words.h"
#include "scheduler/net/http.h"
#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/embedded_configs.h"

namespace ultramarine::cli {
namespace {

constexpr auto completion_patience = std::chrono::milliseconds(300);

/// The scheduler's answer, or an empty one.
template <class T>
T ask(const Context& context, const std::string& path, const std::map<std::string, std::string>& query = {}) {
  try {
    net::Request request;
    request.method = "GET";
    request.path = path;
    request.query = query;
    const net::Response response =
        net::fetch(net::Endpoint{.path = context.socket, .host = "", .port = 0}, request, completion_patience);
    if (response.status == 200) return protocol::from_json<T>(response.body);
  } catch (const std::exception&) {
    // Nobody there, or too slow: there is just nothing to offer.
  }
  return {};
}

std::vector<Candidate> jobs(const Context& context, bool ended_too, bool (*wanted)(JobState)) {
  std::vector<Candidate> found;
  for (const protocol::JobView& view :
       ask<protocol::JobList>(
           context, "/v1/jobs",
           ended_too ? std::map<std::string, std::string>{{"all", "1"}} : std::map<std::string, std::string>{})
           .jobs) {
    if (found.size() < 200 && wanted(view.details.state))
      found.push_back({name_of(view), printable(view.details.spec.name) + ", " + word(view.details.state)});
  }
  return found;
}

std::vector<Candidate> nodes(const Context& context, bool (*wanted)(const Node&) = [](const Node&) { return true; }) {
  std::vector<Candidate> found;
  for (const protocol::NodeView& view : ask<protocol::NodeList>(context, "/v1/nodes").nodes)
    if (wanted(view.node)) found.push_back({view.node.config.name, word(view.node.state)});
  return found;
}

std::vector<Candidate> reservations(const Context& context) {
  std::vector<Candidate> found;
  for (const Reservation& one : ask<protocol::ReservationList>(context, "/v1/reservations").reservations) found.push_back({one.name, printable(one.reason)});
  return found;
}

std::vector<Candidate> plain(const std::vector<std::string>& words) {
  std::vector<Candidate> found;
  for (const std::string& one : words) found.push_back({one, ""});
  return found;
}

std::vector<Candidate> of_jobs(const Context& context, std::string (*part)(const protocol::JobView&)) {
  std::set<std::string> words;
  for (const protocol::JobView& view : ask<protocol::JobList>(context, "/v1/jobs", {{"all", "1"}}).jobs)
    words.insert(part(view));
  words.erase("");
  return plain({words.begin(), words.end()});
}

/// Words that the cluster file says of nodes: each once.
std::vector<Candidate> of_nodes(const Context& context, std::vector<std::string> (*part)(const NodeConfig&)) {
  std::set<std::string> words;
  for (const protocol::NodeView& view : ask<protocol::NodeList>(context, "/v1/nodes").nodes)
    for (std::string& one : part(view.node.config)) words.insert(std::move(one));
  words.erase("");
  return plain({words.begin(), words.end()});
}

std::vector<Candidate> values_of(const Option& option, const Context& context) {
  static const std::map<std::string, std::vector<std::string>> known{
      {"--state", {"queued", "held", "starting", "running", "stopping", "unknown", "completed", "failed", "cancelled"}},
      {"--color", {"auto", "always", "never"}},
      {"--mpi", {"auto", "pmix", "none"}},
      {"--bind", {"auto", "none"}},
      {"--open-mode", {"truncate", "append"}},
      {"--export", {"ALL", "NONE"}},
      {"--policy", {"default", "fifo"}}};
  if (const auto found = known.find(option.name); found != known.end()) return plain(found->second);
  if (option.name == "--after") return jobs(context, true, [](JobState) { return true; });
  if (option.name == "--jobs") return jobs(context, false, [](JobState state) { return state == JobState::queued; });
  if (option.name == "--account")
    return of_jobs(context, [](const protocol::JobView& view) { return view.details.spec.account; });
  if (option.name == "--partition")
    return of_jobs(context, [](const protocol::JobView& view) { return view.details.spec.partition; });
  if (option.name == "--user")
    return of_jobs(context, [](const protocol::JobView& view) { return view.details.owner.name; });
  if (option.name == "--reservation" || option.name == "--cancel") return reservations(context);
  if (option.name == "--gpu-type") return of_nodes(context, [](const NodeConfig& node) { return std::vector{node.gpu_type}; });
  if (option.name == "--constraint") return of_nodes(context, [](const NodeConfig& node) { return node.features; });
  if (option.value_name == "NODES") return nodes(context);
  if (option.value_name == "FILE" || option.value_name == "PATH") return {{":files", ""}};
  if (option.value_name == "FOLDER") return {{":folders", ""}};
  return {};
}

std::vector<Candidate> positionals_of(const Verb& verb, const Context& context) {
  switch (verb.positionals) {
    case Positionals::none:
      return {};
    case Positionals::one_job:
    case Positionals::maybe_job:
    case Positionals::job_and_command:
    case Positionals::jobs:
      if (verb.path == "attach" || verb.path == "exec")
        return jobs(context, false, [](JobState state) { return state == JobState::running || state == JobState::starting; });
      if (verb.path == "cancel") return jobs(context, false, [](JobState state) { return !is_terminal(state); });
      if (verb.path == "release") return jobs(context, false, [](JobState state) { return state == JobState::held; });
      if (verb.path == "requeue") return jobs(context, false, [](JobState state) { return is_active(state); });
      if (verb.path == "hold") return jobs(context, false, [](JobState state) { return state == JobState::queued; });
      if (verb.path == "reorder") return jobs(context, false, [](JobState state) { return state == JobState::queued || state == JobState::held; });
      return jobs(context, true, [](JobState) { return true; });
    case Positionals::nodes:
      return nodes(context);
    case Positionals::some_nodes:
      if (verb.path == "resume") return nodes(context, [](const Node& node) { return node.drain.has_value(); });
      if (verb.path == "lost") return nodes(context, [](const Node& node) { return node.state == NodeState::unreachable; });
      return nodes(context, [](const Node& node) { return !node.drain; });
    case Positionals::reservation:
      return {};  // a new name
    case Positionals::command:
    case Positionals::maybe_command:
    case Positionals::script_or_command:
    case Positionals::file:
      return {{":files", ""}};
    case Positionals::folder:
      return {{":folders", ""}};
    case Positionals::shell:
      return plain({"bash", "zsh", "fish"});
    case Positionals::policy:
    case Positionals::maybe_policy:
    case Positionals::policies: {
      std::vector<Candidate> found = plain(protocol::embedded_policies());
      found.push_back({":files", ""});
      return found;
    }
  }
  return {};
}

/// The verb that the words name so far; null while more has to follow ("cluster") or when there is none.
struct Found {
  const Verb* verb = nullptr;
  std::string path;
};

Found find_verb(const std::vector<Verb>& verbs, const std::vector<std::string>& before) {
  Found found;
  for (const std::string& one : before) {
    const std::string path = found.path.empty() ? one : found.path + " " + one;
    const auto verb =
        std::find_if(verbs.begin(), verbs.end(), [&](const Verb& candidate) { return candidate.path == path; });
    found.path = path;
    if (verb != verbs.end()) {
      found.verb = &*verb;
      return found;
    }
  }
  return found;
}

std::vector<Candidate> verbs_after(const std::vector<Verb>& verbs, const std::string& path) {
  std::vector<Candidate> found;
  std::set<std::string> seen;
  for (const Verb& verb : verbs) {
    if (!path.empty() && !verb.path.starts_with(path + " ")) continue;
    const std::string rest = path.empty() ? verb.path : verb.path.substr(path.size() + 1);
    const std::size_t space = rest.find(' ');
    if (!seen.insert(rest.substr(0, space)).second) continue;
    found.push_back({rest.substr(0, space), space == std::string::npos
                                                ? spoken(verb.summary)
                                                : group_summary(rest.substr(0, space))});
  }
  return found;
}

const Option* option_named(const Verb* verb, const std::string& name) {
  for (const auto* options : {verb ? &verb->options : &global_options(), &global_options()}) {
    for (const Option& option : *options) {
      if (option.name == name || (!option.letter.empty() && option.letter == name)) return &option;
    }
  }
  return nullptr;
}

std::vector<Candidate> options_of(const Verb* verb, const std::vector<std::string>& given) {
  std::vector<Candidate> found;
  const auto add = [&](const std::vector<Option>& options) {
    for (const Option& option : options) {
      const bool is_given = std::any_of(given.begin(), given.end(), [&](const std::string& one) {
        return one == option.name || one == option.letter || one.starts_with(option.name + "=");
      });
      if (!is_given || option.repeatable) found.push_back({option.name, spoken(option.help)});
    }
  };
  if (verb) add(verb->options);
  add(global_options());
  found.push_back({"--help", spoken("Print this help")});
  return found;
}

std::vector<Candidate> beginning_with(std::vector<Candidate> all, const std::string& beginning,
                                      const std::string& put_before = "") {
  std::erase_if(all, [&](const Candidate& one) { return one.word[0] != ':' && !one.word.starts_with(beginning); });
  for (Candidate& one : all) {
    if (one.word[0] != ':') one.word = put_before + one.word;
  }
  return all;
}

}  // namespace

std::vector<Candidate> candidates(const std::vector<Verb>& verbs, const std::vector<std::string>& words,
                                  const Context& context) {
  std::vector<std::string> before(words.begin(), words.empty() ? words.end() : words.end() - 1);
  std::string typed = words.empty() ? "" : words.back();
  std::vector<std::string> names;   // without options and their values
  const Option* waiting = nullptr;  // an option whose value comes next
  std::size_t positionals = 0;
  Found found;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const std::string& one = before[i];
    if (waiting && one == "=") continue;
    if (waiting) {
      waiting = nullptr;
      continue;
    }
    if (one == "--" && found.verb) return {{":files", ""}};
    if (one.size() > 1 && one[0] == '-') {
      const Option* option = option_named(found.verb, one.substr(0, one.find('=')));
      if (option && !option->value_name.empty() && one.find('=') == std::string::npos) waiting = option;
      continue;
    }
    if (found.verb &&
        (found.verb->positionals == Positionals::command || found.verb->positionals == Positionals::script_or_command))
      return {{":files", ""}};  // what is typed now belongs to the command
    if (found.verb) {
      ++positionals;
      continue;
    }
    names.push_back(one);
    found = find_verb(verbs, names);
  }
  if (waiting) return beginning_with(values_of(*waiting, context), typed == "=" ? "" : typed);
  if (typed.size() > 1 && typed[0] == '-' && typed[1] == '-' && typed.find('=') != std::string::npos) {
    const std::size_t equals = typed.find('=');
    const Option* option = option_named(found.verb, typed.substr(0, equals));
    return option ? beginning_with(values_of(*option, context), typed.substr(equals + 1), typed.substr(0, equals + 1))
                  : std::vector<Candidate>{};
  }
  if (!typed.empty() && typed[0] == '-') return beginning_with(options_of(found.verb, before), typed);
  if (!found.verb) return beginning_with(verbs_after(verbs, found.path), typed);
  const Positionals kind = found.verb->positionals;
  const bool only_one = kind == Positionals::one_job || kind == Positionals::maybe_job || kind == Positionals::job_and_command || kind == Positionals::file || kind == Positionals::folder ||
                        kind == Positionals::shell || kind == Positionals::policy || kind == Positionals::maybe_policy;
  if (only_one && positionals > 0) return {};
  return beginning_with(positionals_of(*found.verb, context), typed);
}

std::string completion_script(const std::string& shell) {
  if (shell == "bash")
    return R"sh(# bash completion of ultra: source <(ultra completion bash), or save it in ~/.local/share/bash-completion/completions/ultra
_ultra() {
  local word rest
  COMPREPLY=()
  while IFS=$'\t' read -r word rest; do
    case $word in
      :files) compopt -o filenames; COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")) ;;
      :folders) compopt -o filenames; COMPREPLY+=($(compgen -d -- "${COMP_WORDS[COMP_CWORD]}")) ;;
      *) COMPREPLY+=("$word") ;;
    esac
  done < <(ultra completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _ultra ultra
)sh";
  if (shell == "zsh")
    return R"sh(#compdef ultra
# zsh completion of ultra: source <(ultra completion zsh), or save it as _ultra in a folder of $fpath
_ultra() {
  local line
  local -a found
  for line in "${(@f)$(ultra completion words "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      '') ;;
      :files*) _files ;;
      :folders*) _files -/ ;;
      *$'\t'*) found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
      *) found+=("${line//:/\\:}") ;;
    esac
  done
  (( $#found )) && _describe ultra found
}
if [[ $funcstack[1] = _ultra ]]; then _ultra "$@"; else compdef _ultra ultra; fi
)sh";
  if (shell == "fish")
    return R"sh(# fish completion of ultra: ultra completion fish | source, or save it as ~/.config/fish/completions/ultra.fish
function __ultra_words
  set -l words (commandline -opc) (commandline -ct)
  for line in (ultra completion words $words[2..-1] 2>/dev/null)
    switch $line
      case ':files*'
        __fish_complete_path (commandline -ct)
      case ':folders*'
        __fish_complete_directories (commandline -ct)
      case '*'
        echo $line
    end
  end
end
complete -c ultra -f -a '(__ultra_words)'
)sh";
  return "";
}

}  // namespace ultramarine::cli
