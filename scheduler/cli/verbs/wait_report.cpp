// ultra wait-report: what a job waited for, to the millisecond; or which account waited for which.
#include <cstdio>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/money.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

/// "41.5": seconds, with as many thousandths as it takes.
std::string exact_seconds(Duration time) {
  char text[32];
  std::snprintf(text, sizeof text, "%lld.%03lld", static_cast<long long>(time.ms / 1000), static_cast<long long>(time.ms % 1000));
  return text;
}

std::string field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char letter : text) quoted += letter == '"' ? std::string("\"\"") : std::string(1, letter);
  return quoted + "\"";
}

void write_csv(const protocol::WaitsOfJob& waits, Context& context) {
  context.out << "job,cause,for_job,for_account,detail,bill,wait_ms\n";
  for (const protocol::WaitLine& line : waits.parts) {
    const WaitPart& part = line.details;
    context.out << field(waits.name) << ',' << boost::describe::enum_to_string(part.cause, "") << ',' << (part.job.value == 0 ? "" : std::to_string(part.job.value)) << ','
                << field(part.account) << ',' << field(part.detail) << ',' << (part.bill == 0 ? "" : std::to_string(part.bill)) << ',' << part.time_ms.ms << '\n';
  }
}

void write_csv(const protocol::WaitRollUp& roll_up, Context& context) {
  context.out << "month,account,for_account,cause,gpu_ms,boost_gpu_ms\n";
  for (const protocol::WaitsOfAccount& account : roll_up.accounts)
    for (const protocol::WaitRow& row : account.rows)
      context.out << roll_up.month << ',' << field(account.account) << ',' << field(row.for_account) << ','
                  << (row.for_account.empty() ? boost::describe::enum_to_string(row.cause, "") : "") << ',' << row.gpu_ms << ',' << row.boost_gpu_ms << '\n';
}

void write(const protocol::WaitsOfJob& waits, Context& context) {
  using Align = Table::Align;
  Table table({{spoken("TIME"), Align::right}, {spoken("SECONDS"), Align::right}, {spoken("WAITED FOR")}});
  for (const protocol::WaitLine& line : waits.parts)
    table.add({protocol::format_duration(line.details.time_ms), exact_seconds(line.details.time_ms), printable(heard(line.text))});
  table.add({protocol::format_duration(waits.wait_ms), exact_seconds(waits.wait_ms), spoken("all of its wait")});
  if (context.terminal.out_is_terminal) {
    const std::string asks = counted(waits.gpus, "GPU", "GPUs");
    const bool still = waits.state == JobState::queued || waits.state == JobState::held;
    context.out << (still ? spoken("Job {0} of {1} asks for {2} and has waited for {3} so far.", waits.name, waits.account, asks, protocol::format_duration(waits.wait_ms))
                          : spoken("Job {0} of {1} asked for {2} and waited for {3}.", waits.name, waits.account, asks, protocol::format_duration(waits.wait_ms)))
                << '\n';
  }
  table.write(context.out, context.terminal);
  for (const std::string& sentence : waits.overtaking) context.err << printable(heard(sentence)) << '\n';
}

void write(const protocol::WaitRollUp& roll_up, Context& context) {
  using Align = Table::Align;
  Table table({{spoken("ACCOUNT")}, {spoken("GPU-HOURS"), Align::right}, {spoken("BY BOOSTS"), Align::right}, {spoken("WAITED FOR")}});
  for (const protocol::WaitsOfAccount& account : roll_up.accounts)
    for (std::size_t i = 0; i < account.rows.size(); ++i) {
      const protocol::WaitRow& row = account.rows[i];
      table.add({account.account, gpu_hours(row.gpu_ms), gpu_hours(row.boost_gpu_ms), printable(heard(account.text.at(i)))});
    }
  if (table.empty()) {
    context.err << spoken("In {0} nobody waited.", roll_up.month) << '\n';
    return;
  }
  table.write(context.out, context.terminal);
  if (context.terminal.out_is_terminal)
    context.err << spoken("{0}: GPU-hours are the GPUs that a job asks for times its wait; a job counts in the month in which its wait was over.", roll_up.month) << '\n';
}

template <class Body>
int answer(const Answer<Body>& said, const Arguments& arguments, Context& context) {
  if (arguments.has("--json")) context.out << said.body << '\n';
  else if (arguments.has("--csv")) write_csv(said.value, context);
  else write(said.value, context);
  return exit_code::ok;
}

int wait_report(const Arguments& arguments, Context& context) {
  Client client(context.socket);
  const auto refuse = [](const std::string& option, const std::string& problem, const std::string& remedy) {
    usage_error(option, problem, remedy);
  };
  if (arguments.has("--json") && arguments.has("--csv")) refuse("--csv", spoken("it is one or the other: --json or --csv"), spoken("leave one of them out"));
  if (arguments.has("--accounts")) {
    if (!arguments.positionals.empty()) refuse("--accounts", spoken("no job is named with it"), spoken("leave one of them out"));
    return answer(client.waits(arguments.text("--account").value_or(""), arguments.text("--month").value_or("")), arguments, context);
  }
  for (const char* option : {"--account", "--month"})
    if (arguments.has(option)) refuse(option, spoken("it is about accounts, not about one job"), spoken("add --accounts"));
  const std::vector<JobName> jobs = arguments.job_names();
  if (jobs.empty()) refuse("JOB", spoken("none given"), spoken("name it by its number: {0} ('ultra queue' lists them)", "ultra wait-report 12") );
  if (jobs.size() > 1) refuse("JOB", spoken("one job at a time"), spoken("give one job number"));
  return answer(client.waits(jobs.front()), arguments, context);
}

}  // namespace

Verb wait_report_verb() {
  return {.path = "wait-report",
          .summary = "show what a job waited for, or which account waited for which",
          .positionals = Positionals::maybe_job,
          .options = {{"--accounts", "", "Account against account instead of one job"},
                      {"--account", "NAME", "Only what this account waited", "-A"},
                      {"--month", "YYYY-MM", "Of this month of the cluster's time zone (default: the current one)"},
                      {"--csv", "", "Print lines of comma-separated values, with exact milliseconds"},
                      json_option("the API's answer")},
          .details =
              "Every millisecond of a job's wait has one cause: a job that held GPUs that it needed, a job that was ahead of it (by a boost, if by that alone), a "
              "limit, a hold, a reservation, nodes that were away, the shape that it asks for, or the scheduler itself. The parts sum to the wait.\n"
              "Several that are waited for at once share the time by their GPUs.\n"
              "Examples:\n  ultra wait-report 12\n  ultra wait-report --accounts --month 2026-11\n  ultra wait-report --accounts --csv > waits.csv",
          .run = wait_report};
}

}  // namespace ultramarine::cli
