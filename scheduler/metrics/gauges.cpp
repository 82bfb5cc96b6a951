// Families from State, Plan and Liveness. A node counts for the first partition that lists it, so that sums over partitions are
// sums over the cluster.
#include "scheduler/metrics/gauges.h"

#include <boost/mp11/algorithm.hpp>

#include "scheduler/metrics/family.h"
#include "scheduler/metrics/gpus_by_use.h"
#include "scheduler/metrics/seconds.h"

namespace ultramarine::metrics {

namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

void gpus(const Scrape& scrape, Families& families) {
  Family family("gpus", "GPUs by what they do; the states sum to all.");
  for (const PartitionConfig& partition : scrape.state.cluster.partitions)
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<GpuUse>>(
        [&](auto use) { family.add({{"partition", partition.name}, {"state", use.name}}, 0); });
  for (const GpusOfNode& node : gpus_by_use(scrape.state, scrape.now_ms)) {
    const std::string partition = node.partitions.empty() ? "" : node.partitions.front();
    family.add({{"partition", partition}, {"state", "allocated"}}, static_cast<double>(node.held));
    family.add({{"partition", partition}, {"state", word(node.rest)}}, static_cast<double>(node.gpus - node.held));
  }
  family.into(families);
}

void jobs(const Scrape& scrape, Families& families) {
  Family jobs("jobs", "Jobs that have not ended, by state.");
  Family queued_jobs("queued_jobs", "Jobs that wait, by reason.");
  Family queued_gpus("queued_gpus", "GPUs that waiting jobs ask for, by reason.");
  Family oldest("oldest_queued_seconds", "Longest current wait.");
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
    }
  }
  std::map<JobId, ReasonCode> reasons;
  for (const PlannedJob& planned : scrape.plan.jobs) reasons[planned.job] = planned.reason.code;
  for (const auto& [id, job] : scrape.state.jobs) {
    if (is_terminal(job.state)) continue;
    const Labels both{{"account", job.spec.account}, {"partition", job.spec.partition}};
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
}

void nodes(const Scrape& scrape, const Books& books, Families& families) {
  Family states("node_state", "1 for the state that the node is in, 0 for the others.");
  Family ages("agent_heartbeat_age_seconds", "Silence of a node's agent.");
  Family changes("node_state_changes_total", "How often a node entered another state.", MetricType::Counter);
  Family offsets("agent_clock_offset_seconds", "How far a node's clock was ahead when its agent connected, the message's way included.");
  Family utilization("gpu_utilization_ratio", "Utilization of a GPU; of a virtual one: CPU time per wall time of its rank.");
  Family sources("agent_source", "1 for where a node's devices come from: virtual or nvml.");
  for (const auto& [name, node] : scrape.state.nodes) {
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<NodeState>>([&, &node_name = name, &now_state = node.state](auto one) {
      states.add({{"node", node_name}, {"state", one.name}}, now_state == one.value ? 1 : 0);
    });
    const auto changed = books.node_changes.find(name);
    changes.add({{"node", name}}, changed == books.node_changes.end() ? 0 : static_cast<double>(changed->second));
    const auto live = scrape.liveness.nodes.find(name);
    if (live == scrape.liveness.nodes.end()) continue;
    ages.add({{"node", name}}, in_seconds(scrape.now_ms - live->second.last_heard_ms));
    if (!live->second.connected) continue;
    if (live->second.facts) offsets.add({{"node", name}}, in_seconds(live->second.facts->clock_ms - live->second.facts_heard_ms));
    const char* const source = source_word(live->second.source);
    sources.add({{"node", name}, {"source", source}}, 1);
    for (const DeviceReport& device : live->second.devices)
      if (device.utilization_permille)
        utilization.at_least({{"gpu", std::to_string(device.device)}, {"node", name}, {"source", source}}, static_cast<double>(*device.utilization_permille) / 1000);
  }
  for (Family* family : {&states, &changes, &ages, &offsets, &utilization, &sources}) family->into(families);
}

void daemon(const Scrape& scrape, Families& families) {
  Family sessions("agent_sessions", "Agents that are connected.");
  Family bytes("store_bytes", "Size of the scheduler's database.");
  Family wal("store_wal_bytes", "Size of the database's write-ahead log.");
  Family clients("event_stream_clients", "Clients that follow the output of a job.");
  Family letters("queued_notifications", "What people are to be told and have not been.");
  Family leader("scheduler_leader", "1: this scheduler decides; whoever doesn't serves no metrics.");
  leader.add({}, 1);
  letters.add({}, static_cast<double>(scrape.queued_notifications));
  clients.add({}, static_cast<double>(scrape.event_stream_clients));
  sessions.add({}, static_cast<double>(scrape.agent_sessions));
  bytes.add({}, static_cast<double>(scrape.store_bytes));
  wal.add({}, static_cast<double>(scrape.store_wal_bytes));
  for (Family* family : {&leader, &sessions, &clients, &bytes, &wal, &letters}) family->into(families);
}

}  // namespace

std::vector<MetricFamily> Gauges::Collect() const {
  Families families;
  gpus(scrape_, families);
  jobs(scrape_, families);
  gpu_time_counters(scrape_, books_, settings_, families);
  account_gauges(scrape_, families);
  nodes(scrape_, books_, families);
  running_job_gauges(scrape_, books_, settings_, families);
  daemon(scrape_, families);
  return families;
}

}  // namespace ultramarine::metrics
