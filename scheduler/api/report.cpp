// What the accounts got out of a month. Nobody's name is in it: whoever has an identity may see what every account used.
#include <algorithm>

#include "scheduler/api/handlers.h"
#include "scheduler/api/month.h"
#include "scheduler/core/prices.h"
#include "scheduler/core/report.h"
#include "scheduler/protocol/report_messages.h"

namespace ultramarine::api {
namespace {

Month month_asked_for(const Exchange& exchange, const std::string& zone, Time now) {
  if (!exchange.request.query.contains("month")) return month_of(now, zone);
  const std::string name = text_parameter(exchange, "month");
  const auto month = named_month(name, zone);
  if (!month) throw bad_request("month", "\"" + name + "\" is no month", "write it like " + month_name(now, zone));
  if (month->start > now) throw bad_request("month", name + " has not begun", "the newest is " + month_name(now, zone));
  return *month;
}

protocol::ReportView report_view(const Exchange& exchange, const Snapshot& snapshot) {
  const State& state = *snapshot.state;
  const std::string& zone = state.cluster.time_zone;
  const Month month = month_asked_for(exchange, zone, snapshot.now_ms);
  const std::string account = text_parameter(exchange, "account");
  core::Report made = core::report(state, month.start, month.end, snapshot.now_ms, account);
  if (!account.empty() && made.accounts.empty()) throw not_found("there is no account " + account, "'ultra report' lists them");
  const core::Prices prices = core::prices_of(state.cluster);
  const bool has_money = prices != core::Prices{};
  return {.now_ms = snapshot.now_ms,
          .month = month_name(month.start, zone),
          .time_zone = zone,
          .start_ms = month.start,
          .end_ms = month.end,
          .currency = has_money ? state.cluster.money.currency : "",
          .price_per_gpu_hour_milli = prices.per_gpu_hour_milli,
          .cloud_price_per_gpu_hour_milli = prices.cloud_per_gpu_hour_milli,
          .accounts = std::move(made.accounts),
          .total = std::move(made.total)};
}

}  // namespace

void show_report(const ExchangePtr& exchange) {
  exchange->backend.ask([exchange](const SnapshotPtr& snapshot) {
    try {
      exchange->answer(report_view(*exchange, *snapshot));
    } catch (const Problem& problem) {
      exchange->refuse(problem);
    }
  });
}

}  // namespace ultramarine::api
