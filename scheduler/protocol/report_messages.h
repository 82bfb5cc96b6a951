// Bodies of the HTTP API about money and policy. What a client receives is decoded leniently, as all bodies (api_messages.h).
//
//   GET  /v1/report?account=&month=YYYY-MM    ReportView      (socket only)
//   GET  /v1/jobs/ID/price                    JobPrice        (socket only) of an array: all its elements together
//   GET  /v1/policy                           PolicyConfig    (socket only)
#pragma once

#include <boost/describe.hpp>
#include <string>
#include <vector>

#include "scheduler/model/cluster.h"
#include "scheduler/model/report.h"

namespace ultramarine::protocol {

/// What the accounts got out of the cluster in one month of its time zone, as far as it has passed. Amounts are thousandths of the currency, by
/// the prices of now.
struct ReportView {
  Time now_ms;
  std::string month;        // 2026-11
  std::string time_zone;
  Time start_ms, end_ms;    // of the month
  std::string currency;     // "": the cluster file says nothing of money, and all amounts are 0
  std::int64_t price_per_gpu_hour_milli = 0;
  std::int64_t cloud_price_per_gpu_hour_milli = 0;
  std::vector<AccountReport> accounts;  // each before those under it; then those that left the cluster file, by name
  AccountReport total;                  // of these
};
BOOST_DESCRIBE_STRUCT(ReportView, (), (now_ms, month, time_zone, start_ms, end_ms, currency, price_per_gpu_hour_milli, cloud_price_per_gpu_hour_milli,
                                       accounts, total))

/// What a job costs, in thousandths of the currency, by the prices of now.
struct JobPrice {
  std::string currency;           // "": the cluster file says nothing of money, and all amounts are 0
  std::int64_t price_per_gpu_hour_milli = 0;
  std::int64_t cloud_price_per_gpu_hour_milli = 0;
  std::int64_t at_most_gpu_ms = 0;  // GPUs x time limit, of one attempt
  std::int64_t at_most_milli = 0, at_most_cloud_milli = 0;
  std::int64_t held_gpu_ms = 0;     // GPUs x time for which its attempts held them so far, the failed ones too
  std::int64_t cost_milli = 0, cloud_milli = 0;  // of that
  bool ended = false;
};
BOOST_DESCRIBE_STRUCT(JobPrice, (), (currency, price_per_gpu_hour_milli, cloud_price_per_gpu_hour_milli, at_most_gpu_ms, at_most_milli, at_most_cloud_milli,
                                     held_gpu_ms, cost_milli, cloud_milli, ended))

}  // namespace ultramarine::protocol
