// ultra policy show|check|diff: what a policy means, for those who decide on it.
#include <algorithm>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/policy_words.h"
#include "scheduler/cli/verb.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::cli {
namespace {

void write_title(const std::string& title, Context& context) { context.out << tinted(title, Tint::bold, context.terminal.out_colour) << '\n'; }

int show(const Arguments& arguments, Context& context) {
  const PolicyConfig policy = arguments.positionals.empty() ? Client(context.socket).policy().value : read_policy(arguments.positionals.front());
  if (arguments.has("--json")) {
    context.out << protocol::to_json(policy) << '\n';
    return exit_code::ok;
  }
  write_title(arguments.positionals.empty() ? spoken("The policy \"{0}\", by which the cluster runs now", printable(policy.name)) : spoken("The policy \"{0}\"", printable(policy.name)), context);
  for (const PolicySection& section : explained(policy)) {
    context.out << '\n';
    write_title(section.title, context);
    for (const std::string& sentence : section.sentences) context.out << "  " << sentence << '\n';
  }
  return exit_code::ok;
}

int check(const Arguments& arguments, Context& context) {
  const std::string& file = arguments.positionals.front();
  const PolicyConfig policy = read_policy(file);
  const std::vector<std::string> idle = idle_settings(policy);
  for (const std::string& line : idle) context.err << tinted(spoken("warning:"), Tint::yellow, context.terminal.error_colour) << ' ' << printable(line) << '\n';
  context.err.flush();
  const std::string first = explained(policy).front().sentences.front();
  context.out << spoken("{0} is a valid policy: \"{1}\". {2}", printable(file), printable(policy.name), first) << '\n';
  return exit_code::ok;
}

/// The sentences of `these` that `others` has not.
std::vector<std::string> missing(const std::vector<std::string>& these, const std::vector<std::string>& others) {
  std::vector<std::string> left;
  for (const std::string& one : these)
    if (std::find(others.begin(), others.end(), one) == others.end()) left.push_back(one);
  return left;
}

int diff(const Arguments& arguments, Context& context) {
  const bool with_running = arguments.positionals.size() == 1;
  const PolicyConfig given = read_policy(arguments.positionals.front());
  const PolicyConfig before = with_running ? Client(context.socket).policy().value : given;
  const PolicyConfig after = with_running ? given : read_policy(arguments.positionals.back());
  const auto was = explained(before), is = explained(after);
  bool differs = false;
  for (std::size_t i = 0; i < is.size(); ++i) {
    if (was[i] == is[i]) continue;
    if (differs) context.out << '\n';
    differs = true;
    write_title(is[i].title, context);
    for (const std::string& sentence : missing(was[i].sentences, is[i].sentences)) context.out << tinted("- " + sentence, Tint::red, context.terminal.out_colour) << '\n';
    for (const std::string& sentence : missing(is[i].sentences, was[i].sentences)) context.out << tinted("+ " + sentence, Tint::green, context.terminal.out_colour) << '\n';
  }
  if (!differs) {
    context.out << (with_running ? spoken("It says the same as the policy by which the cluster runs now.") : spoken("Both policies say the same.")) << '\n';
    return exit_code::ok;
  }
  const std::vector<std::string> changes = gains(before, after);
  if (changes.empty()) return exit_code::ok;
  context.out << '\n';
  write_title(spoken("Who gains, who loses?"), context);
  for (const std::string& sentence : changes) context.out << "  " << sentence << '\n';
  return exit_code::ok;
}

}  // namespace

Verb policy_show_verb() {
  return {.path = "policy show",
          .summary = "explain a policy in plain sentences",
          .positionals = Positionals::maybe_policy,
          .options = {json_option("the policy")},
          .details =
              "Without a name or a file: the policy by which the cluster runs now. Names: those that come with ultra; a file's name ends in .toml.\n"
              "Where waiting brings points, all other points are told in hours of waiting.\n"
              "Examples:\n  ultra policy show\n  ultra policy show easy\n  ultra policy show ./proposal.toml",
          .run = show};
}

Verb policy_check_verb() {
  return {.path = "policy check",
          .summary = "check a policy file, and warn of settings that do nothing",
          .positionals = Positionals::policy,
          .details =
              "Mistakes are named with line and column (exit code 2); settings that do nothing beside the others are warnings.\n"
              "Examples:\n  ultra policy check ./proposal.toml",
          .run = check};
}

Verb policy_diff_verb() {
  return {.path = "policy diff",
          .summary = "say what changes from one policy to another, and who gains by it",
          .positionals = Positionals::policies,
          .details =
              "One name or file: what would change from the policy by which the cluster runs now. Two: from the first to the second.\n"
              "Examples:\n  ultra policy diff ./proposal.toml\n  ultra policy diff default easy",
          .run = diff};
}

}  // namespace ultramarine::cli
