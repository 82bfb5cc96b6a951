// ultra whatif ...: the plan with one input changed, beside the plan as it is. Nothing is changed.
#include <algorithm>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/money.h"
#include "scheduler/cli/policy_words.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/submission.h"
#include "scheduler/cli/verbs/submit.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

constexpr std::size_t rows_max = 20;

std::string instant(const std::optional<Time>& time, Time now) { return time ? (*time <= now ? spoken("now") : relative(*time, now)) : "-"; }

void print_moves(const protocol::WhatIfReply& reply, Context& context) {
  using Align = Table::Align;
  Table table({{spoken("JOB"), Align::right}, {spoken("USER")}, {spoken("ACCOUNT")}, {spoken("GPUS"), Align::right}, {spoken("BEFORE"), Align::right}, {spoken("AFTER"), Align::right}});
  std::size_t rows = 0;
  for (const auto* moves : {&reply.delayed, &reply.helped})
    for (const MovedStart& moved : *moves)
      if (++rows <= rows_max)
        table.add({std::to_string(moved.job.value), moved.user, moved.account, std::to_string(moved.gpus), instant(moved.before_ms, reply.now_ms), instant(moved.after_ms, reply.now_ms)});
  if (table.empty()) return;
  context.out << '\n';
  table.write(context.out, context.terminal);
  if (rows > rows_max) context.out << spoken_count(static_cast<std::int64_t>(rows - rows_max), "and {0} more job", "and {0} more jobs") << '\n';
}

void print_accounts(const protocol::WhatIfReply& reply, Context& context) {
  using Align = Table::Align;
  Table table({{spoken("ACCOUNT")}, {spoken("LATER"), Align::right}, {spoken("GPU-HOURS"), Align::right}, {spoken("SOONER"), Align::right}, {spoken("GPU-HOURS"), Align::right},
               {spoken("WEEK BEFORE"), Align::right}, {spoken("WEEK AFTER"), Align::right}});
  for (const protocol::AccountChange& change : reply.accounts)
    table.add({change.account, std::to_string(change.jobs_delayed), gpu_hours(change.displaced_gpu_ms), std::to_string(change.jobs_helped), gpu_hours(change.gained_gpu_ms),
               percent(change.share_before_permille), percent(change.share_after_permille)});
  if (table.empty()) return;
  context.out << '\n';
  table.write(context.out, context.terminal);
}

int ask(const protocol::WhatIfRequest& request, const Arguments& arguments, Context& context) {
  const auto answer = Client(context.socket).what_if(request);
  for (const std::string& line : answer.value.warnings)
    context.err << tinted(spoken("warning:"), Tint::yellow, context.terminal.error_colour) << ' ' << printable(heard(line)) << '\n';
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  for (const std::string& sentence : answer.value.sentences) context.out << printable(heard(sentence)) << '\n';
  print_moves(answer.value, context);
  print_accounts(answer.value, context);
  return exit_code::ok;
}

std::string only_word(const Arguments& arguments, const char* what) {
  if (arguments.positionals.size() == 1) return arguments.positionals.front();
  usage_error(what, arguments.positionals.empty() ? spoken("none given") : spoken("more than one given"),
              spoken("give one"));
}

int boost(const Arguments& arguments, Context& context) {
  protocol::WhatIfRequest request;
  request.boost = arguments.job_names().front().text;
  return ask(request, arguments, context);
}

int cancel(const Arguments& arguments, Context& context) {
  protocol::WhatIfRequest request;
  request.cancel = arguments.job_names().front().text;
  return ask(request, arguments, context);
}

int drain(const Arguments& arguments, Context& context) {
  protocol::WhatIfRequest request;
  for (const std::string& node : arguments.positionals) request.drain += (request.drain.empty() ? "" : ",") + node;
  return ask(request, arguments, context);
}

int add_nodes(const Arguments& arguments, Context& context) {
  protocol::WhatIfRequest request;
  request.add_nodes = arguments.whole_number("--count", 1, 1000).value_or(1);
  return ask(request, arguments, context);
}

int policy(const Arguments& arguments, Context& context) {
  protocol::WhatIfRequest request;
  request.policy = read_policy(only_word(arguments, "FILE"));
  return ask(request, arguments, context);
}

int submit(const Arguments& arguments, Context& context) {
  const Submission made = submission_of(arguments, context);
  protocol::WhatIfRequest request;
  request.submit = made.request;
  return ask(request, arguments, context);
}

std::vector<Option> submit_options() {
  std::vector<Option> options = submit_verb().options;
  const std::vector<std::string> left_out{"--dry-run", "--wait", "--follow", "--rank", "--json", "--quiet", "--parsable"};
  std::erase_if(options, [&](const Option& option) { return std::find(left_out.begin(), left_out.end(), option.name) != left_out.end(); });
  options.push_back(json_option("the API's answer"));
  return options;
}

}  // namespace

std::vector<Verb> whatif_verbs() {
  const std::string nothing = "Nothing is changed. The answer compares planned starts, on the plan of now.\n";
  return {{.path = "whatif submit", .summary = "when a job would start, and who would start later for it, without submitting it", .positionals = Positionals::script_or_command,
           .options = submit_options(), .details = nothing + "Examples:\n  ultra whatif submit --gpus 64 --time 8h -- python3 train.py", .run = submit},
          {.path = "whatif boost", .summary = "what it would cost the others if a job were put ahead of all", .positionals = Positionals::one_job,
           .options = {json_option("the API's answer")}, .details = nothing + "Examples:\n  ultra whatif boost 12", .run = boost},
          {.path = "whatif cancel", .summary = "who would start sooner if a job were cancelled", .positionals = Positionals::one_job,
           .options = {json_option("the API's answer")}, .details = nothing + "Examples:\n  ultra whatif cancel 12", .run = cancel},
          {.path = "whatif drain", .summary = "who would start later if nodes took no new jobs", .positionals = Positionals::some_nodes,
           .options = {json_option("the API's answer")}, .details = nothing + "Examples:\n  ultra whatif drain node[07-08]", .run = drain},
          {.path = "whatif add-nodes", .summary = "who would start sooner if there were more nodes", .positionals = Positionals::none,
           .options = {{"--count", "N", "How many, like the cluster's last one (default 1)"}, json_option("the API's answer")},
           .details = nothing + "Examples:\n  ultra whatif add-nodes --count 2", .run = add_nodes},
          {.path = "whatif policy", .summary = "whose planned starts would move under another policy", .positionals = Positionals::file,
           .options = {json_option("the API's answer")}, .details = nothing + "A policy's name or file.\nExamples:\n  ultra whatif policy fifo\n  ultra whatif policy new.toml", .run = policy}};
}

}  // namespace ultramarine::cli
