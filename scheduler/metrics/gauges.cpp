// Families from State, Plan and Liveness. A node counts for the first partition that lists it, so that sums over partitions are
// sums over the cluster.
#include "scheduler/metrics/gauges.h"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

#include <algorithm>
#include <cmath>

#include "scheduler/metrics/seconds.h"

namespace ultramarine::metrics {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

template <class Enum>
std::string word(Enum value) {
  return boost::describe::enum_to_string(value, "");
}

/// One family under construction; sums what is added under equal labels.
class Family {
 public:
  Family(std::string name, std::string help, MetricType type = MetricType::Gauge) {
    family_.name = "ultramarine_" + std::move(name);
    family_.help = std::move(help);
    family_.type = type;
  }
  void add(const Labels& labels, double value) { values_[labels] += value; }
  void at_least(const Labels& labels, double value) { values_[labels] = std::max(values_[labels], value); }
  void into(std::vector<MetricFamily>& families) {
    for (const auto& [labels, value] : values_) {
      ClientMetric metric;
      metric.label = labels;
      (family_.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
      family_.metric.push_back(std::move(metric));
    }
    if (!family_.metric.empty()) families.push_back(std::move(family_));
  }

 private:
  MetricFamily family_;
  std::map<Labels, double> values_;
};

std::string partition_of(const State& state, const std::string& node) {
  for (const PartitionConfig& partition : state.cluster.partitions)
    if (partition.nodes.empty() || std::find(partition.nodes.begin(), partition.nodes.end(), node) != partition.nodes.end())
      return partition.name;
  return "";
}

std::int64_t gpus_of(const Allocation& allocation) {
  std::int64_t count = 0;
  for (const NodeAllocation& part : allocation) count += static_cast<std::int64_t>(part.devices.size());
  return count;
}

bool is_reserved(const State& state, const std::string& node, Time now) {
  return std::any_of(state.reservations.begin(), state.reservations.end(), [&](const auto& entry) {
    const Reservation& one = entry.second;
    return one.start_ms <= now && now < one.end_ms && std::find(one.nodes.begin(), one.nodes.end(), node) != one.nodes.end();
  });
}

const char* kind_of_free(const State& state, const std::string& name, const Node& node, Time now) {
  switch (node.state) {
    case NodeState::up: return is_reserved(state, name, now) ? "reserved" : "idle";
    case NodeState::draining:
    case NodeState::drained: return "draining";
    default: return "down";
  }
}

void gpus(const Scrape& scrape, std::vector<MetricFamily>& families) {
  Family family("gpus", "GPUs by what they do; the states sum to all.");
  std::map<std::string, std::int64_t> held;
  for (const auto& [id, job] : scrape.state.jobs) {
    if (!is_active(job.state) || job.attempts.empty()) continue;
    for (const NodeAllocation& part : job.attempts.back().allocation) held[part.node] += static_cast<std::int64_t>(part.devices.size());
  }
  for (const PartitionConfig& partition : scrape.state.cluster.partitions)
    for (const char* kind : {"allocated", "idle", "reserved", "draining", "down"})
      family.add({{"partition", partition.name}, {"state", kind}}, 0);
  for (const auto& [name, node] : scrape.state.nodes) {
    const std::string partition = partition_of(scrape.state, name);
    family.add({{"partition", partition}, {"state", "allocated"}}, static_cast<double>(held[name]));
    family.add({{"partition", partition}, {"state", kind_of_free(scrape.state, name, node, scrape.now_ms)}}, static_cast<double>(node.config.gpus - held[name]));
  }
  family.into(families);
}

void jobs(const Scrape& scrape, std::vector<MetricFamily>& families) {
  Family jobs("jobs", "Jobs that have not ended, by state.");
  Family queued_jobs("queued_jobs", "Jobs that wait, by reason.");
  Family queued_gpus("queued_gpus", "GPUs that waiting jobs ask for, by reason.");
  Family oldest("oldest_queued_seconds", "Longest current wait.");
  Family held("allocated_gpu_seconds_total", "GPU time held, running jobs included.", MetricType::Counter);
  for (const AccountConfig& account : scrape.state.cluster.accounts) {
    for (const PartitionConfig& partition : scrape.state.cluster.partitions) {
      const Labels both{{"account", account.name}, {"partition", partition.name}};
      const auto with = [&](const char* name, const std::string& value) {
        Labels labels = both;
        labels.push_back({name, value});
        return labels;
      };
      boost::mp11::mp_for_each<boost::describe::describe_enumerators<JobState>>([&](auto one) {
        if (!is_terminal(one.value)) jobs.add(with("state", one.name), 0);
      });
      boost::mp11::mp_for_each<boost::describe::describe_enumerators<ReasonCode>>([&](auto one) {
        queued_jobs.add(with("reason", one.name), 0);
        queued_gpus.add(with("reason", one.name), 0);
      });
      oldest.add(both, 0);
      held.add(both, 0);
    }
  }
  std::map<JobId, ReasonCode> reasons;
  for (const PlannedJob& planned : scrape.plan.jobs) reasons[planned.job] = planned.reason.code;
  for (const auto& [id, job] : scrape.state.jobs) {
    const Labels both{{"account", job.spec.account}, {"partition", job.spec.partition}};
    for (const Attempt& attempt : job.attempts) {
      const Time until = attempt.ended_ms.value_or(std::max(scrape.now_ms, attempt.decided_ms));
      held.add(both, static_cast<double>(gpus_of(attempt.allocation)) * in_seconds(until - attempt.decided_ms));
    }
    if (is_terminal(job.state)) continue;
    Labels labels = both;
    labels.push_back({"state", word(job.state)});
    jobs.add(labels, 1);
    if (is_active(job.state)) continue;
    const auto reason = reasons.find(id);
    labels.back() = {"reason", word(reason != reasons.end()       ? reason->second
                                    : job.state == JobState::held ? ReasonCode::held
                                                                  : ReasonCode::resources)};
    queued_jobs.add(labels, 1);
    queued_gpus.add(labels, static_cast<double>(total_gpus(job.spec.resources)));
    oldest.at_least(both, in_seconds(scrape.now_ms - job.submitted_ms));
  }
  jobs.into(families);
  queued_jobs.into(families);
  queued_gpus.into(families);
  oldest.into(families);
  held.into(families);
}

void nodes(const Scrape& scrape, std::vector<MetricFamily>& families) {
  Family states("node_state", "1 for the state that the node is in, 0 for the others.");
  Family ages("agent_heartbeat_age_seconds", "Silence of a node's agent.");
  Family utilization("gpu_utilization_ratio", "Utilization of a GPU; of a virtual one: CPU time per wall time of its rank.");
  Family sources("agent_source", "1 for where a node's devices come from: virtual or nvml.");
  for (const auto& [name, node] : scrape.state.nodes) {
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<NodeState>>([&, &node_name = name, &now_state = node.state](auto one) {
      states.add({{"node", node_name}, {"state", one.name}}, now_state == one.value ? 1 : 0);
    });
    const auto live = scrape.liveness.nodes.find(name);
    if (live == scrape.liveness.nodes.end()) continue;
    ages.add({{"node", name}}, in_seconds(scrape.now_ms - live->second.last_heard_ms));
    if (!live->second.connected) continue;
    sources.add({{"node", name}, {"source", live->second.source == DeviceSource::nvml ? "nvml" : "virtual"}}, 1);
    for (const DeviceReport& device : live->second.devices)
      if (device.utilization_permille)
        utilization.at_least({{"gpu", std::to_string(device.device)}, {"node", name}}, static_cast<double>(*device.utilization_permille) / 1000);
  }
  states.into(families);
  ages.into(families);
  utilization.into(families);
  sources.into(families);
}

/// Series of running jobs only: they end with the job.
void running_jobs(const Scrape& scrape, std::vector<MetricFamily>& families) {
  Family info("job_info", "Names of a running job, to join with.");
  Family running("job_running", "1 while the job holds GPUs.");
  Family gpus("job_gpus", "GPUs that the job holds.");
  Family starts("job_start_time_seconds", "When the job's ranks started, Unix time.");
  Family steps("train_steps_total", "Training steps of the running attempt.", MetricType::Counter);
  Family tokens("train_tokens_total", "Training tokens of the running attempt, all ranks.", MetricType::Counter);
  Family loss("train_loss", "Newest training loss.");
  for (const auto& [id, job] : scrape.state.jobs) {
    if (!is_active(job.state) || job.attempts.empty()) continue;
    const Attempt& attempt = job.attempts.back();
    const Labels labels{{"job_id", std::to_string(id.value)}};
    info.add({{"account", job.spec.account},
              {"job_id", std::to_string(id.value)},
              {"name", job.spec.name.substr(0, 40)},
              {"partition", job.spec.partition}},
             1);
    running.add(labels, 1);
    gpus.add(labels, static_cast<double>(gpus_of(attempt.allocation)));
    if (attempt.started_ms) starts.add(labels, in_seconds(*attempt.started_ms));
    const core::TrainingProgress* said = core::newest_progress(scrape.liveness, job);
    if (!said) continue;
    const core::TrainingProgress& progress = *said;
    steps.add(labels, static_cast<double>(progress.step));
    tokens.add(labels, static_cast<double>(progress.tokens));
    if (std::isfinite(progress.loss)) loss.add(labels, progress.loss);
  }
  for (Family* family : {&info, &running, &gpus, &starts, &steps, &tokens, &loss}) family->into(families);
}

void daemon(const Scrape& scrape, std::vector<MetricFamily>& families) {
  Family sessions("agent_sessions", "Agents that are connected.");
  Family bytes("store_bytes", "Size of the scheduler's database.");
  Family wal("store_wal_bytes", "Size of the database's write-ahead log.");
  sessions.add({}, static_cast<double>(scrape.agent_sessions));
  bytes.add({}, static_cast<double>(scrape.store_bytes));
  wal.add({}, static_cast<double>(scrape.store_wal_bytes));
  for (Family* family : {&sessions, &bytes, &wal}) family->into(families);
}

}  // namespace

std::vector<MetricFamily> Gauges::Collect() const {
  std::vector<MetricFamily> families;
  gpus(scrape_, families);
  jobs(scrape_, families);
  nodes(scrape_, families);
  running_jobs(scrape_, families);
  daemon(scrape_, families);
  return families;
}

}  // namespace ultramarine::metrics
