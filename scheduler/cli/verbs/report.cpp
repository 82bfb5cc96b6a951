// ultra report: what each account got out of the cluster in a month, and what it cost.
#include <array>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/money.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/report_plots.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

using protocol::ReportView;

std::string share(std::int64_t permille) { return percent(permille); }
std::string length(Duration time) { return protocol::format_duration({time.ms / 1000 * 1000}); }

/// The words that a row begins with.
std::string name_of(const AccountReport& row, const Terminal& terminal) {
  if (row.account.empty()) return spoken("total");
  const std::size_t indent = terminal.out_is_terminal ? static_cast<std::size_t>(row.depth) * 2 : 0;
  return std::string(indent, ' ') + row.account;
}

void write_time_and_money(const ReportView& report, Context& context) {
  using Align = Table::Align;
  const bool has_price = report.price_per_gpu_hour_milli > 0, has_cloud = report.cloud_price_per_gpu_hour_milli > 0;
  std::vector<Table::Column> columns{{spoken("ACCOUNT")},
                                     {spoken("USED (GPU-h)"), Align::right},
                                     {spoken("FAILED (GPU-h)"), Align::right},
                                     {spoken("IDLE (GPU-h)"), Align::right}};
  if (has_price) columns.push_back({spoken("COST ({0})", report.currency), Align::right});
  if (has_cloud) columns.push_back({spoken("CLOUD ({0})", report.currency), Align::right});
  columns.push_back({spoken("SHARE"), Align::right});
  columns.push_back({spoken("ENTITLED"), Align::right});
  Table table(columns);
  const auto add = [&](const AccountReport& row) {
    std::vector<Cell> cells{name_of(row, context.terminal), gpu_hours(row.used_gpu_ms), gpu_hours(row.failed_gpu_ms), gpu_hours(row.idle_gpu_ms)};
    if (has_price) cells.emplace_back(amount(row.cost_milli));
    if (has_cloud) cells.emplace_back(amount(row.cloud_milli));
    cells.emplace_back(share(row.used_share_permille));
    cells.emplace_back(row.entitled_share_permille ? share(*row.entitled_share_permille) : "-");
    table.add(std::move(cells));
  };
  for (const AccountReport& row : report.accounts) add(row);
  add(report.total);
  table.write(context.out, context.terminal);
}

void write_experiments(const ReportView& report, Context& context) {
  using Align = Table::Align;
  const bool has_price = report.price_per_gpu_hour_milli > 0;
  std::vector<Table::Column> columns{{spoken("ACCOUNT")},
                                     {spoken("TRIED"), Align::right},
                                     {spoken("COMPLETED"), Align::right},
                                     {spoken("FAILED"), Align::right},
                                     {spoken("EARLY"), Align::right}};
  if (has_price) columns.push_back({spoken("EACH ({0})", report.currency), Align::right});
  for (const std::string& title : {spoken("MEDIAN WAIT"), spoken("BOOSTS"), spoken("DELAYED (GPU-h)"), spoken("SUFFERED (GPU-h)")})
    columns.push_back({title, Align::right});
  Table table(columns);
  const auto add = [&](const AccountReport& row) {
    std::vector<Cell> cells{name_of(row, context.terminal)};
    for (const std::int64_t count : {row.jobs_tried, row.jobs_completed, row.jobs_failed, row.jobs_failed_early}) cells.emplace_back(std::to_string(count));
    if (has_price) cells.emplace_back(row.cost_per_completed_milli ? amount(*row.cost_per_completed_milli) : "-");
    cells.emplace_back(row.median_wait_ms ? length(*row.median_wait_ms) : "-");
    cells.emplace_back(std::to_string(row.boosts_bought));
    cells.emplace_back(gpu_hours(row.boosts_bought_gpu_ms));
    cells.emplace_back(gpu_hours(row.boosts_suffered_gpu_ms));
    table.add(std::move(cells));
  };
  for (const AccountReport& row : report.accounts) add(row);
  add(report.total);
  table.write(context.out, context.terminal);
}

/// What the month came to, for whoever reads no tables.
std::string summary(const ReportView& report) {
  const AccountReport& all = report.total;
  const std::string used = gpu_hours(all.used_gpu_ms), wasted = gpu_hours(all.failed_gpu_ms + all.idle_gpu_ms);
  std::string text = report.now_ms < report.end_ms ? spoken("In {0} until now {1} GPU-hours were used, {2} of them for nothing.", report.month, used, wasted)
                                                   : spoken("In {0} {1} GPU-hours were used, {2} of them for nothing.", report.month, used, wasted);
  const bool has_price = report.price_per_gpu_hour_milli > 0, has_cloud = report.cloud_price_per_gpu_hour_milli > 0;
  const std::string cost = amount(all.cost_milli, report.currency), cloud = amount(all.cloud_milli, report.currency);
  if (has_price && has_cloud)
    text += " " + spoken("They cost {0} at {1} each; the cloud would ask {2}.", cost, amount(report.price_per_gpu_hour_milli, report.currency), cloud);
  else if (has_price)
    text += " " + spoken("They cost {0} at {1} each.", cost, amount(report.price_per_gpu_hour_milli, report.currency));
  else if (has_cloud)
    text += " " + spoken("The cloud would ask {0}.", cloud);
  return text;
}

// ---- for programs

constexpr std::array csv_columns{"kind", "account", "month", "used_gpu_hours", "failed_gpu_hours", "idle_gpu_hours", "currency", "cost", "cloud_cost", "jobs_tried",
                                 "jobs_completed", "jobs_failed", "jobs_failed_early", "cost_per_completed", "median_wait_s", "boosts_bought",
                                 "boosts_bought_gpu_hours", "boosts_suffered_gpu_hours", "used_share", "entitled_share"};

/// To a millionth: then sums in a spreadsheet are right, too.
std::string csv_hours(std::int64_t gpu_ms) {
  constexpr std::int64_t ms_per_hour = 3'600'000, parts = 1'000'000;
  const std::int64_t rest = gpu_ms % ms_per_hour;
  return decimal(gpu_ms / ms_per_hour * parts + (rest * parts + ms_per_hour / 2) / ms_per_hour, 6);
}

void write_csv_row(const AccountReport& row, const ReportView& report, std::ostream& out) {
  const auto optional = [](const auto& value, auto written) { return value ? written(*value) : std::string(); };
  const auto thousandths = [](std::int64_t parts) { return decimal(parts, 3); };
  const auto money = [&](std::int64_t milli) { return report.currency.empty() ? std::string() : decimal(milli, 3); };
  const std::array<std::string, csv_columns.size()> cells{row.account.empty() ? "total" : "account",
                                                          row.account,
                                                          report.month,
                                                          csv_hours(row.used_gpu_ms),
                                                          csv_hours(row.failed_gpu_ms),
                                                          csv_hours(row.idle_gpu_ms),
                                                          report.currency,
                                                          money(row.cost_milli),
                                                          money(row.cloud_milli),
                                                          std::to_string(row.jobs_tried),
                                                          std::to_string(row.jobs_completed),
                                                          std::to_string(row.jobs_failed),
                                                          std::to_string(row.jobs_failed_early),
                                                          optional(row.cost_per_completed_milli, money),
                                                          optional(row.median_wait_ms, [&](Duration wait) { return thousandths(wait.ms); }),
                                                          std::to_string(row.boosts_bought),
                                                          csv_hours(row.boosts_bought_gpu_ms),
                                                          csv_hours(row.boosts_suffered_gpu_ms),
                                                          thousandths(row.used_share_permille),
                                                          optional(row.entitled_share_permille, thousandths)};
  for (std::size_t i = 0; i < cells.size(); ++i) out << (i ? "," : "") << cells[i];
  out << '\n';
}

void write_csv(const ReportView& report, std::ostream& out) {
  for (std::size_t i = 0; i < csv_columns.size(); ++i) out << (i ? "," : "") << csv_columns[i];
  out << '\n';
  for (const AccountReport& row : report.accounts) write_csv_row(row, report, out);
  write_csv_row(report.total, report, out);
}

int report(const Arguments& arguments, Context& context) {
  if (arguments.has("--csv") && arguments.has("--json"))
    usage_error("--csv", spoken("can't be combined with {0}", "--json"), spoken("give one of them"));
  for (const char* other : {"--csv", "--json"})
    if (arguments.has("--plots") && arguments.has(other))
      usage_error("--plots", spoken("can't be combined with {0}", other), spoken("give one of them"));
  const auto answer = Client(context.socket).report(arguments.text("--account").value_or(""), arguments.text("--month"));
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  if (arguments.has("--csv")) {
    write_csv(answer.value, context.out);
    return exit_code::ok;
  }
  if (const auto path = arguments.text("--plots")) {
    for (const std::string& file : draw_report(answer.value, *path)) context.out << printable(file) << '\n';
    return exit_code::ok;
  }
  context.err << printable(summary(answer.value)) << '\n';
  context.err.flush();
  write_time_and_money(answer.value, context);
  context.out << '\n';
  write_experiments(answer.value, context);
  return exit_code::ok;
}

}  // namespace

Verb report_verb() {
  return {.path = "report",
          .summary = "show what each account used, wasted, tried and finished in a month, and what it cost",
          .options = {{"--account", "NAME", "Only this account and those under it", "-A"},
                      {"--month", "YYYY-MM", "This month of the cluster's time zone (default: the current one, until now)", "-m"},
                      {"--csv", "", "Print comma-separated values with a line of column names"},
                      {"--plots", "FOLDER|FILE",
                       "Draw charts for each account: into a FILE.png or FILE.svg, or each as PNG and SVG into a "
                       "folder; prints the names of the files"},
                      json_option("the API's report")},
          .details =
              "USED is GPUs x time from the decision to start a job until its GPUs are free again; only what lies in the month counts.\n"
              "FAILED is the part of it that went to attempts that failed, whole; IDLE the part of all others before their ranks ran and after they had ended.\n"
              "SHARE is the part of all that was used, ENTITLED the part by the shares in the cluster file; both with the accounts underneath.\n"
              "TRIED are jobs that first started in the month; COMPLETED and FAILED ended in it; EARLY failed after ten minutes of running at most; "
              "EACH is the cost for each completed job.\n"
              "BOOSTS are favours to the account's jobs, DELAYED is what these cost others (GPUs x delay), SUFFERED what favours cost the account's own jobs.\n"
              "--plots draws shares used and entitled, GPU-hours used and wasted, cost and cloud (if the cluster file "
              "has prices) and median waits (if jobs started). "
              "It needs gnuplot (Debian: gnuplot-nox); files that are there are replaced.\n"
              "Examples:\n  ultra report\n  ultra report -A vision --month 2026-10\n  ultra report --csv > 2026-11.csv\n  ultra report --plots 2026-11.png",
          .run = report};
}

}  // namespace ultramarine::cli
