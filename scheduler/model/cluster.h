// What people say about the cluster and the policy, as plain values. The cluster and policy files (TOML) are decoded
// straight into these; protocol/config does that and checks what a single field can't tell.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/time.h"

namespace ultramarine {

struct NodeConfig {
  std::string name;  // in a file a hostlist: node[01-08]
  std::int64_t gpus = 0;
  std::string gpu_type;
  std::int64_t cpus = 0;          // 0 = not said
  std::int64_t memory_bytes = 0;  // 0 = not said
  std::vector<std::string> features;
  std::string leaf;               // leaf switch
  std::string address;            // where other nodes reach it; "" = its name
  bool virtual_devices = false;   // devices exist only in the configuration
  bool operator==(const NodeConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(NodeConfig, (), (name, gpus, gpu_type, cpus, memory_bytes, features, leaf, address, virtual_devices))

/// What an account, a user, a QOS or a partition may have. Absent = unlimited (or, for the floor, nothing guaranteed).
struct Limits {
  std::optional<std::int64_t> gpus;           // in use at once: a hard cap
  std::optional<std::int64_t> gpus_soft;      // beyond it only what nobody within his limits wants; given back at the job's end
  std::optional<std::int64_t> gpus_floor;     // its jobs within this come before all others
  std::optional<std::int64_t> jobs;           // running at once
  std::optional<std::int64_t> gpus_per_job;
  std::optional<std::int64_t> gpu_hours_per_month;  // held in a calendar month of the cluster's time zone
  std::optional<Duration> max_time_ms;
  bool operator==(const Limits&) const = default;
};
BOOST_DESCRIBE_STRUCT(Limits, (), (gpus, gpus_soft, gpus_floor, jobs, gpus_per_job, gpu_hours_per_month, max_time_ms))

struct PartitionConfig {
  std::string name;
  std::vector<std::string> nodes;  // names; in a file hostlists; empty = all
  Duration default_time_ms{3'600'000};
  Duration max_time_ms{7 * 86'400'000LL};
  std::vector<std::string> accounts;  // empty = all
  std::int64_t priority = 0;          // of its jobs, against those of other partitions
  Limits limits;                      // of all its jobs together
  Limits user_limits;                 // of each user's jobs in it
  bool operator==(const PartitionConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(PartitionConfig, (), (name, nodes, default_time_ms, max_time_ms, accounts, priority, limits, user_limits))

struct AccountConfig {
  std::string name;
  std::string parent;
  std::int64_t shares = 1;
  std::vector<std::string> members;  // user names, @group, or * for everybody
  std::int64_t priority = 0;         // of its jobs, against those of other accounts
  Limits limits;                     // of it and all accounts under it together
  Limits user_limits;                // of each of its users
  bool operator==(const AccountConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(AccountConfig, (), (name, parent, shares, members, priority, limits, user_limits))

struct QosConfig {
  std::string name;
  std::int64_t priority = 0;
  Limits limits;
  Limits user_limits;  // of each user's jobs in it
  std::int64_t usage_factor_permille = 1000;
  bool operator==(const QosConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(QosConfig, (), (name, priority, limits, user_limits, usage_factor_permille))

/// role -> users and @groups
/// (user: who may submit; empty = everybody)
struct RolesConfig {
  std::vector<std::string> user, lead, manager, admin, auditor;
  bool operator==(const RolesConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(RolesConfig, (), (user, lead, manager, admin, auditor))

/// Another site's word -> ours, whatever its case; the word * stands for every name that is not known. A feature or node of "" is left out.
struct NamesConfig {
  std::map<std::string, std::string> partitions, accounts, qos, gpu_types, features, nodes;
  bool operator==(const NamesConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(NamesConfig, (), (partitions, accounts, qos, gpu_types, features, nodes))

struct FabricConfig {
  std::string socket_interface;         // NCCL_SOCKET_IFNAME, and Open MPI's btl_tcp_if_include
  std::vector<std::string> infiniband;  // NCCL_IB_HCA
  std::map<std::string, std::string> environment;  // NCCL_*, UCX_* and others by name
  std::int64_t memlock_bytes = 0;       // memory that a rank may pin for RDMA; -1 = unlimited, 0 = as the agent has it
  bool operator==(const FabricConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(FabricConfig, (), (socket_interface, infiniband, environment, memlock_bytes))

/// When a gang that reports its steps counts as hanging, and what follows. Programs that report none are never judged.
struct HangConfig {
  bool detect = true;
  Duration after_ms{15'000};  // without a step, at least
  std::int64_t steps = 5;     // and at least so many times what a step took lately
  bool stop = true;           // its job; false: it is said, and nothing is done
  bool operator==(const HangConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(HangConfig, (), (detect, after_ms, steps, stop))

/// Amounts are thousandths of the currency; 0 = not said. The price of a GPU-hour is said itself, or follows from what the cluster costs.
struct MoneyConfig {
  std::string currency;
  std::int64_t price_per_gpu_hour_milli = 0;
  std::int64_t capital_cost_milli = 0;         // of the whole cluster, spread evenly over its lifetime
  std::int64_t lifetime_years = 0;
  std::int64_t monthly_running_cost_milli = 0;
  std::int64_t cloud_price_per_gpu_hour_milli = 0;  // what the same would cost elsewhere
  bool operator==(const MoneyConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(MoneyConfig, (), (currency, price_per_gpu_hour_milli, capital_cost_milli, lifetime_years, monthly_running_cost_milli,
                                        cloud_price_per_gpu_hour_milli))

constexpr Duration suspect_after{5'000};
constexpr Duration unreachable_after{10'000};
/// A launch that not every node has prepared within this time, or not every node runs within twice this time, fails (outcome start_failed,
/// naming the silent node). Counts from when it was first asked for; a gang that was not asked for in this life of the scheduler is not judged.
constexpr Duration launch_deadline{60'000};

/// How long who is waited for.
struct TimeoutsConfig {
  Duration heartbeat_ms{1'000};                   // between two words of an agent that has nothing to say
  Duration suspect_ms = suspect_after;            // a node silent for so long gets no new jobs
  Duration unreachable_ms = unreachable_after;    // ... and what runs there is unknown
  Duration self_stop_ms{10'000};                  // ranks of several nodes that get no further for so long, on a node that has lost the scheduler, are ended there
  Duration self_stop_margin_ms{2'000};            // ... and so much later the job may run again elsewhere
  Duration launch_ms = launch_deadline;
  Duration agents_return_ms{5'000};               // after a restart of the scheduler nothing new is placed until the nodes that were up are back, at most this long
  Duration restart_delay_ms{5'000};               // before a failed job is tried again; twice as long after each failure that follows
  Duration restart_delay_max_ms{10 * 60'000};
  Duration unkillable_ms{10'000};                 // what lives on so long after SIGKILL can't be killed: its node is drained
  Duration line_silence_ms{8'000};                // agent and scheduler give up a line over which nothing came for so long; pinged after half of it
  Duration line_unacknowledged_ms{5'000};         // ... and one over which the other machine confirms nothing
  Duration connect_ms{4'000};                     // for an agent to open a line to the scheduler
  Duration welcome_ms{10'000};                    // ... and to be answered then
  Duration reconnect_max_ms{1'500};               // longest pause of an agent between two tries
  Duration progress_patience_ms{3'000};           // while a node can't be reached, ranks that say nothing for less still get further
  Duration checkpoint_answer_ms{5'000};           // a program that saved a checkpoint waits no longer for a scheduler that is away: its node keeps it
  Duration finalize_ms{5'000};                    // for a rank that has ended to be heard of MPI_Finalize
  Duration failure_grace_ms{5'000};               // between SIGTERM and SIGKILL for the others once a rank has failed, if their job's grace is longer
  Duration cut_off_grace_ms{1'000};               // ... for ranks that end because they are cut off
  bool operator==(const TimeoutsConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(TimeoutsConfig, (), (heartbeat_ms, suspect_ms, unreachable_ms, self_stop_ms, self_stop_margin_ms, launch_ms, agents_return_ms, restart_delay_ms, restart_delay_max_ms, unkillable_ms,
                                         line_silence_ms, line_unacknowledged_ms, connect_ms, welcome_ms, reconnect_max_ms, progress_patience_ms,
                                         checkpoint_answer_ms, finalize_ms, failure_grace_ms, cut_off_grace_ms))

/// All that planning depends on. Journaled when it changes, so that a replay sees what the scheduler saw.
struct ClusterConfig {
  std::string name = "local";
  std::string time_zone = "UTC";
  std::vector<NodeConfig> nodes;
  std::vector<PartitionConfig> partitions;
  std::vector<AccountConfig> accounts;
  std::vector<QosConfig> qos;
  RolesConfig roles;
  NamesConfig names;
  FabricConfig fabric;
  HangConfig hang;
  MoneyConfig money;
  TimeoutsConfig timeouts;
  bool operator==(const ClusterConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(ClusterConfig, (), (name, time_zone, nodes, partitions, accounts, qos, roles, names, fabric, hang, money, timeouts))

/// A policy answers: who is next (order), how the rest is filled in (backfill), where (placement), who yields (preemption).
struct PolicyConfig {
  std::string name = "default";
  std::string order = "submit_time";
  std::string backfill = "conservative";
  std::string placement = "best_fit";
  std::string preemption = "none";
  std::map<std::string, std::int64_t> weights;  // of multifactor's factors: age, fair_share, size, qos, partition, account
  std::string size_favours = "small";           // which jobs the size factor lifts: small (few GPUs), large, short (few GPU-hours), lanes
  std::int64_t express_gpu_hours = 4;           // of lanes: jobs that ask for no more are in the first
  Duration long_limit_ms{7 * 86'400'000LL};     // of lanes: jobs whose time limit is longer are in the last
  std::int64_t middle_lane_permille = 500;      // of lanes: the factor of all others
  bool first_after_max_age = true;              // a job that has waited max_age is ahead of all that have not
  std::vector<std::int64_t> thresholds_gpu_s;   // of the order `las`: GPU-seconds attained at which a job goes down one level, ascending
  Duration launch_allowance_ms{5'000};          // kept free in the calendar between the decision and the ranks' start
  Duration half_life_ms{7 * 86'400'000LL};
  Duration priority_interval_ms{60'000};
  Duration max_age_ms{7 * 86'400'000LL};
  Duration patience_ms{0};  // of conservative: behind the first that has waited so long nobody starts for longer on what it waits for; 0: never so
  std::map<std::string, std::int64_t> caps;              // account -> GPUs
  std::map<std::string, std::int64_t> trial;             // minutes, gpus_per_job, share_permille
  std::map<std::string, std::int64_t> boost_budgets;     // manager -> displaced GPU-hours per month
  bool operator==(const PolicyConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(PolicyConfig, (), (name, order, backfill, placement, preemption, weights, size_favours, express_gpu_hours, long_limit_ms,
                                         middle_lane_permille, first_after_max_age, thresholds_gpu_s, launch_allowance_ms, half_life_ms, priority_interval_ms,
                                         max_age_ms, patience_ms, caps, trial, boost_budgets))

}  // namespace ultramarine
