// What a single field of a cluster or policy file can't tell: names that must exist or be unique, ranges, cycles. Also fills in what
// a file may leave out. Reports through the reader, which knows where each field is written.
#pragma once

#include "scheduler/protocol/toml_reader.h"

namespace ultramarine::protocol {

/// A cluster file as it is written: its members are the file's sections.
struct ClusterLayout {
  std::string name = "local";
  std::string time_zone = "UTC";
  std::vector<NodeConfig> node;
  std::vector<PartitionConfig> partition;
  std::vector<AccountConfig> account;
  std::vector<QosConfig> qos;
  RolesConfig roles;
  NamesConfig names;
  FabricConfig fabric;
  HangConfig hang;
  MoneyConfig money;
  TimeoutsConfig timeouts;
  SchedulerSection scheduler;
  AgentSection agent;
  MetricsSection metrics;
  NotificationsSection notifications;
};
BOOST_DESCRIBE_STRUCT(ClusterLayout, (), (name, time_zone, node, partition, account, qos, roles, names, fabric, hang, money, timeouts, scheduler, agent, metrics, notifications))

/// Hostlists expanded, defaults filled in, everything checked. Throws ConfigError.
ClusterConfig checked_cluster(const ClusterLayout& layout, const TomlReader& reader);
/// Forms of addresses, names of policies. Throws ConfigError.
void check_daemon_sections(const ClusterLayout& layout, const TomlReader& reader);
/// Addresses, programs, files, and what one needs of the others. `accounts`: all that there are. Throws ConfigError.
void check_notifications(const NotificationsSection& section, const std::vector<std::string>& accounts, const TomlReader& reader);
void check_policy(const PolicyConfig& policy, const TomlReader& reader);

}  // namespace ultramarine::protocol
