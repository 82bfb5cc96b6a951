// The layers of GPU time as counters. What was allocated is a sum over the recorded attempts, so it survives restarts; the other layers count from
// the start of the process.
#include <algorithm>
#include <boost/mp11/algorithm.hpp>
#include <set>

#include "scheduler/core/fair_share.h"
#include "scheduler/core/prices.h"
#include "scheduler/core/report.h"
#include "scheduler/metrics/family.h"
#include "scheduler/metrics/gauges.h"

namespace ultramarine::metrics {

namespace {

double gpu_seconds(std::int64_t gpu_ms) { return static_cast<double>(gpu_ms) / 1000; }

std::set<DeviceSource> sources_of(const State& state) {
  std::set<DeviceSource> sources;
  for (const auto& [name, node] : state.nodes) sources.insert(node.config.virtual_devices ? DeviceSource::virtual_devices : DeviceSource::nvml);
  return sources;
}

/// As `ultra report` charges it: all at the price in force.
void allocated_and_cost(const Scrape& scrape, const Settings& settings, Families& families) {
  using prometheus::MetricType;
  const ClusterConfig& cluster = scrape.state.cluster;
  Family allocated("allocated_gpu_seconds_total", "GPU time held, running jobs included.", MetricType::Counter);
  Family cost("cost_total", "What the GPU time of an account costs at the price in force.", MetricType::Counter);
  Family price("price_per_gpu_hour", "Price in force of one GPU for an hour.");
  const std::int64_t price_milli = core::prices_of(cluster).per_gpu_hour_milli;
  // Sums over jobs that have ended are many: the labels are made once for each sum, not for each job.
  std::map<std::tuple<std::string, std::string, std::string>, std::int64_t> held_ms;  // account, partition, user
  if (!settings.user_label)
    for (const AccountConfig& account : cluster.accounts)
      for (const PartitionConfig& partition : cluster.partitions) held_ms[{account.name, partition.name, ""}] = 0;
  for (const auto& [id, job] : scrape.state.jobs) {
    std::int64_t sum = 0;
    for (const Attempt& attempt : job.attempts) sum += core::held_gpu_ms(attempt, scrape.now_ms);
    if (sum > 0) held_ms[{job.spec.account, job.spec.partition, settings.user_label ? core::user_name(job.owner) : ""}] += sum;
  }
  std::map<std::pair<std::string, std::string>, std::int64_t> of_account;
  for (const auto& [where, gpu_ms] : held_ms) {
    const auto& [account, partition, user] = where;
    Labels labels{{"account", account}, {"partition", partition}};
    if (!user.empty()) labels.push_back({"user", user});
    allocated.add(labels, gpu_seconds(gpu_ms));
    of_account[{account, user}] += gpu_ms;
  }
  if (price_milli > 0) {
    price.add({{"currency", cluster.money.currency}}, static_cast<double>(price_milli) / 1000);
    for (const auto& [who, gpu_ms] : of_account) {
      Labels labels{{"account", who.first}, {"component", "gpu"}, {"currency", cluster.money.currency}};
      if (!who.second.empty()) labels.push_back({"user", who.second});
      cost.add(labels, static_cast<double>(core::cost_milli(gpu_ms, price_milli)) / 1000);
    }
  }
  for (Family* family : {&allocated, &cost, &price}) family->into(families);
}

}  // namespace

void gpu_time_counters(const Scrape& scrape, const Books& books, const Settings& settings, Families& families) {
  using prometheus::MetricType;
  allocated_and_cost(scrape, settings, families);
  Family active("active_gpu_seconds_total", "GPU time held x utilization of the device.", MetricType::Counter);
  Family idle("idle_gpu_seconds_total", "GPU time held while the device was below 5 % for 5 minutes or longer.", MetricType::Counter);
  Family productive("productive_gpu_seconds_total", "GPU time whose work survived: of attempts that ended well, or up to a checkpoint.", MetricType::Counter);
  Family lost("lost_gpu_seconds_total", "GPU time held that came to nothing, by cause.", MetricType::Counter);
  Family unused("unused_gpu_seconds_total", "GPU time that nobody held, by cause.", MetricType::Counter);
  for (const AccountConfig& account : scrape.state.cluster.accounts) {
    for (const PartitionConfig& partition : scrape.state.cluster.partitions) {
      productive.add({{"account", account.name}, {"partition", partition.name}}, 0);
      for (const DeviceSource source : sources_of(scrape.state))
        active.add({{"account", account.name}, {"partition", partition.name}, {"source", source_word(source)}}, 0);
    }
    for (const DeviceSource source : sources_of(scrape.state)) idle.add({{"account", account.name}, {"source", source_word(source)}}, 0);
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<LostTo>>([&](auto cause) { lost.add({{"account", account.name}, {"cause", cause.name}}, 0); });
  }
  for (const auto& [where, gpu_ms] : books.gpu_time.productive()) productive.add({{"account", where.first}, {"partition", where.second}}, gpu_seconds(gpu_ms));
  for (const auto& [where, gpu_us] : books.gpu_time.active())
    active.add({{"account", where.first.first}, {"partition", where.first.second}, {"source", source_word(where.second)}}, gpu_seconds(gpu_us) / 1000);
  for (const auto& [whose, gpu_ms] : books.gpu_time.idle()) idle.add({{"account", whose.first}, {"source", source_word(whose.second)}}, gpu_seconds(gpu_ms));
  for (const auto& [whose, gpu_ms] : books.gpu_time.lost()) lost.add({{"account", whose.first}, {"cause", word(whose.second)}}, gpu_seconds(gpu_ms));
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<UnusedBy>>(
      [&](auto cause) { unused.add({{"cause", cause.name}}, gpu_seconds(books.gpu_time.unused(cause.value))); });
  for (Family* family : {&active, &idle, &productive, &lost, &unused}) family->into(families);
}

}  // namespace ultramarine::metrics
