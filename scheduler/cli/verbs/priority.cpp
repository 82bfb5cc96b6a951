// ultra priority: in which order jobs wait, and what each one's priority is made of. The columns are those of `sprio -l`.
#include <set>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

Table new_table() {
  using Align = Table::Align;
  return Table({{spoken("JOBID"), Align::right},
                {spoken("PARTITION")},
                {spoken("PRIORITY"), Align::right},
                {spoken("SITE"), Align::right},
                {spoken("AGE"), Align::right},
                {spoken("ASSOC"), Align::right},
                {spoken("FAIRSHARE"), Align::right},
                {spoken("JOBSIZE"), Align::right},
                {spoken("PARTITION"), Align::right},
                {spoken("QOS"), Align::right},
                {spoken("NICE"), Align::right},
                {spoken("TRES")}});
}

/// `shown`: how a factor is written.
template <class Shown>
std::vector<Cell> row_of(const std::string& job, const std::string& partition, const std::string& priority, const PriorityFactors& factors,
                         const std::string& nice, Shown shown) {
  std::vector<Cell> row;
  for (const std::string& text : {job, partition, priority, std::string("0"), shown(factors.age), shown(factors.account), shown(factors.fair_share),
                                  shown(factors.size), shown(factors.partition), shown(factors.qos), nice, std::string()})
    row.emplace_back(text);
  return row;
}

/// Leaves only the jobs that are asked for; an array's number means all its elements.
void choose(std::vector<protocol::PriorityView>& jobs, const std::string& list) {
  std::set<std::string> names;
  std::string one;
  bool in_brackets = false;
  for (std::size_t at = 0; at <= list.size(); ++at) {
    const char letter = at < list.size() ? list[at] : ',';
    if (at < list.size() && (letter != ',' || in_brackets)) {
      one += letter;
      in_brackets = (in_brackets || letter == '[') && letter != ']';
      continue;
    }
    const auto these = parse_job_names(one);
    if (these.empty())
      usage_error("--jobs", spoken("\"{0}\" is not a job", one),
                  spoken("give a number, or 12_3 for an element of array 12; 'ultra queue --all' lists them"));
    for (const JobName& name : these) names.insert(name.text);
    one.clear();
  }
  std::erase_if(jobs, [&](const protocol::PriorityView& job) { return !names.contains(job.name) && !names.contains(job.name.substr(0, job.name.find('_'))); });
}

std::string whole(std::int64_t number) { return std::to_string(number); }

int priority(const Arguments& arguments, Context& context) {
  auto answer = Client(context.socket).priorities(arguments.text("--user").value_or(""), arguments.text("--account").value_or(""));
  if (const auto jobs = arguments.text("--jobs")) {
    choose(answer.value.jobs, *jobs);
    answer.body = protocol::to_json(answer.value);
  }
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  const protocol::PriorityList& list = answer.value;
  Table table = new_table();
  std::int64_t waited = 0;
  if (arguments.has("--weights")) table.add(row_of(spoken("Weights"), "", "", list.weights, "1", whole));
  for (const protocol::PriorityView& job : list.jobs) {
    if (arguments.has("--weights")) break;
    const JobPriority& line = job.details;
    waited += line.waited_max_age ? 1 : 0;
    const std::string mark = line.waited_max_age && context.terminal.out_is_terminal ? "*" : "";
    if (arguments.has("--norm")) table.add(row_of(job.name, job.partition, whole(line.priority) + mark, line.factors, whole(line.nice), part_of_one));
    else table.add(row_of(job.name, job.partition, whole(line.priority) + mark, line.weighted, whole(line.nice), whole));
  }
  if (!context.terminal.out_is_terminal || !table.empty()) table.write(context.out, context.terminal);
  if (list.order != "multifactor")
    context.err << spoken("The policy's order is {0}: nobody is ordered by these numbers.", list.order) << '\n';
  if (!context.terminal.out_is_terminal) return exit_code::ok;
  if (table.empty()) context.err << spoken("No such jobs wait.") << '\n';
  if (waited > 0)
    context.err << spoken("* has waited for {0} or longer, and is ahead of all that have not.", protocol::format_duration(list.max_age_ms)) << '\n';
  return exit_code::ok;
}

}  // namespace

Verb priority_verb() {
  return {.path = "priority",
          .summary = "show in which order jobs wait, and what their priority is made of",
          .options = {{"--user", "NAME", "Only this user's", "-u"},
                      {"--account", "NAME", "Only this account's", "-A"},
                      {"--jobs", "LIST", "Only these: 12, 12_3 or an array, with commas between", "-j"},
                      {"--norm", "", "The factors from 0 to 1 instead of the factors times their weights", "-n"},
                      {"--weights", "", "The policy's weights instead of jobs", "-w"},
                      json_option("the API's list")},
          .details =
              "Jobs come in the order in which they are served. PRIORITY is the sum of AGE, ASSOC (the account), FAIRSHARE, JOBSIZE, PARTITION and "
              "QOS less NICE; SITE and TRES are there for scripts that know sprio, and count nothing.\n"
              "The numbers are taken at ticks (the policy's priority_interval) and stay as they are in between.\n"
              "Examples:\n  ultra priority\n  ultra priority -u ada --norm\n  ultra priority --json | jq '.jobs[0].details.weighted'",
          .run = priority};
}

}  // namespace ultramarine::cli
