// What a job costs: at most, and so far.
#include <map>

#include "scheduler/api/handlers.h"
#include "scheduler/api/views.h"
#include "scheduler/core/prices.h"
#include "scheduler/core/report.h"
#include "scheduler/core/wide.h"
#include "scheduler/protocol/report_messages.h"

namespace ultramarine::api {

void show_price(const ExchangePtr& exchange, const JobName& name) {
  with_jobs(exchange, name, [exchange](const SnapshotPtr& snapshot, const NamedJobs& jobs) {
    std::map<JobId, const PlannedJob*> planned;  // a job that wants its nodes whole holds more GPUs than it names
    for (const PlannedJob& line : snapshot->plan->jobs) planned.emplace(line.job, &line);
    const core::Prices prices = core::prices_of(snapshot->state->cluster);
    protocol::JobPrice price;
    price.ended = true;
    for (const Job* job : jobs) {
      price.ended = price.ended && is_terminal(job->state);
      const auto line = planned.find(job->job);
      const core::Wide at_most = core::Wide{gpus_of(*job, line == planned.end() ? nullptr : line->second)} * job->spec.time_limit_ms.ms;
      price.at_most_gpu_ms = core::saturating_sum(price.at_most_gpu_ms, core::narrowed(at_most));
      for (const Attempt& attempt : job->attempts) price.held_gpu_ms += core::held_gpu_ms(attempt, snapshot->now_ms);
    }
    if (prices != core::Prices{}) price.currency = snapshot->state->cluster.money.currency;
    price.price_per_gpu_hour_milli = prices.per_gpu_hour_milli;
    price.cloud_price_per_gpu_hour_milli = prices.cloud_per_gpu_hour_milli;
    price.at_most_milli = core::cost_milli(price.at_most_gpu_ms, prices.per_gpu_hour_milli);
    price.at_most_cloud_milli = core::cost_milli(price.at_most_gpu_ms, prices.cloud_per_gpu_hour_milli);
    price.cost_milli = core::cost_milli(price.held_gpu_ms, prices.per_gpu_hour_milli);
    price.cloud_milli = core::cost_milli(price.held_gpu_ms, prices.cloud_per_gpu_hour_milli);
    exchange->answer(price);
  });
}

}  // namespace ultramarine::api
