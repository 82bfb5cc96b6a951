// The files that people write: one cluster file for all daemons, and policy files. TOML goes through the same codec as
// everything else, strictly; every error names file, line and column, the field, what is wrong and the nearest right word.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "scheduler/model/cluster.h"
#include "scheduler/model/notification.h"

namespace ultramarine::protocol {

/// [scheduler] of the cluster file. Paths may be relative to the file; "" takes the default that is named.
struct SchedulerSection {
  std::string state_directory;                     // scheduler/ beside the file: journal, 0700
  std::string socket;                              // scheduler.sock beside the file: the API, identity from SO_PEERCRED
  std::string http = "127.0.0.1:8642";             // the API without identity: cluster, queue, metrics; loopback only; "" = none; port 0 = any
  std::string agents = "127.0.0.1:8643";           // agents connect here
  bool trusted_network = false;                    // must be true for an address of `agents` that is not loopback
  std::string secret_file;                         // secret beside the file; 0600
  std::string policy = "default";                  // a policy's name or file
};
BOOST_DESCRIBE_STRUCT(SchedulerSection, (), (state_directory, socket, http, agents, trusted_network, secret_file, policy))

/// [agent] of the cluster file.
struct AgentSection {
  std::string state_directory;     // agents/NODE beside the file: job folders and logs, 0700
  std::string scheduler;           // host:port of the scheduler's `agents`; "" = [scheduler].agents
  std::string metrics;             // host:port of the agent's own /metrics; "" = none
  bool dcgm_names = false;         // there, real GPUs also under the names of NVIDIA's dcgm-exporter, for dashboards that know those
  std::string secret_file;         // as the scheduler's
  std::int64_t log_bytes_max = 0;  // of the output that is kept of a job that doesn't say itself; 0 = 1 GiB
  std::string containment = "auto";  // what holds a gang together: auto, cgroup_v2, cgroup_v1 or process_groups
  std::int64_t processes_max = 0;  // of a job on one node, threads included; 0 = half of what the kernel allows, at most 32768
  std::int64_t minimum_uid = 1000;   // jobs of users with a smaller uid are refused where the agent is root
  bool root_jobs = false;            // jobs of root run where the agent is root; for machines of one's own
  bool private_tmp = false;          // each attempt has a /tmp and /dev/shm of its own on each node, gone when it is over; the agent must be root
  std::string prolog;                // program that runs on each node of an attempt before its first gang; "" = none
  std::string epilog;                // program that runs there after its last gang; "" = none
  Duration script_deadline_ms{50'000};   // of prolog, epilog and health check, at most 50 s; beyond it they have failed
  std::string health_check;          // program that runs now and then; when it fails, the node is drained with its last line; "" = none
  Duration health_interval_ms{60'000};   // between the end of one health check and the next
  std::string nvml_library;          // NVIDIA's management library, where nodes have real GPUs; "" = libnvidia-ml.so.1 of the driver
  std::string kernel_log = "/dev/kmsg";  // where the kernel says what happens to GPUs; "" = nobody listens
  Duration device_release_ms{30'000};    // how long a job's end waits for the driver to let go of its GPUs; then the node is drained
  std::int64_t device_tolerance_bytes = std::int64_t{1} << 30;  // of a GPU's memory that may be in use while nobody has it
};
BOOST_DESCRIBE_STRUCT(AgentSection, (), (state_directory, scheduler, metrics, dcgm_names, secret_file, log_bytes_max, containment, processes_max, minimum_uid,
                                         root_jobs, private_tmp, prolog, epilog, script_deadline_ms, health_check, health_interval_ms, nvml_library, kernel_log,
                                         device_release_ms, device_tolerance_bytes))

/// [metrics] of the cluster file: what the scheduler's /metrics says beyond what it always does. Nothing is decided by it.
struct MetricsSection {
  bool user_label = false;  // sums of GPU time and cost also by user; whoever reads /metrics then sees who uses how much
  std::map<std::string, std::int64_t> peak_tflops;  // type of GPU -> what one can do in the precision that jobs train in, dense, 10^12 FLOP/s
  bool operator==(const MetricsSection&) const = default;
};
BOOST_DESCRIBE_STRUCT(MetricsSection, (), (user_label, peak_tflops))

/// [[notifications.webhook]] of the cluster file: one receiver for all jobs, or those of some accounts.
struct WebhookSection {
  std::string url;
  std::vector<NotificationEvent> events;  // empty = begin, end, fail, requeue and delayed
  std::vector<std::string> accounts;      // and those under them; empty = all
  std::string secret_file;                // what is sent is signed with the text in it (HMAC-SHA256); "" = not signed
  bool operator==(const WebhookSection&) const = default;
};
BOOST_DESCRIBE_STRUCT(WebhookSection, (), (url, events, accounts, secret_file))

/// [notifications] of the cluster file: what is told to people, and how. Nothing, unless it says so. Not journaled: addresses may be secrets.
struct NotificationsSection {
  std::vector<WebhookSection> webhook;
  std::vector<std::string> webhooks_allowed;  // what a job's --webhook may begin with: "https://hooks.example.com/"; none = users name no webhooks
  std::string mail = "off";                   // off, sendmail or smtp
  std::string sendmail = "/usr/sbin/sendmail";  // the program that takes a message, with sendmail's options
  std::string smtp_url;                       // smtp://host:25, smtps://host:465
  std::string smtp_user;                      // "" = no login
  std::string smtp_password_file;             // 0600
  std::string from;                           // sender's address
  std::string mail_domain;                    // user -> user@mail_domain; "" = the bare name
  std::string language = "en";                // of what is told: en or ko
  Duration timeout_ms{10'000};                // of one try
  Duration retry_after_ms{5'000};             // before the second try; twice as long after each that follows, up to ten minutes
  Duration give_up_after_ms{86'400'000};      // what can't be delivered for so long is dropped
  bool operator==(const NotificationsSection&) const = default;
};
BOOST_DESCRIBE_STRUCT(NotificationsSection, (), (webhook, webhooks_allowed, mail, sendmail, smtp_url, smtp_user, smtp_password_file, from, mail_domain, language,
                                                 timeout_ms, retry_after_ms, give_up_after_ms))

struct ClusterFile {
  ClusterConfig cluster;  // hostlists expanded, defaults (partition main, account default, QOS normal) filled in
  SchedulerSection scheduler;
  AgentSection agent;
  MetricsSection metrics;
  NotificationsSection notifications;
  std::string folder;     // absolute; where the defaults of both sections lie
};

/// `where` is file:line:column; any part may be "". what() is all of it in one line.
struct ConfigError : std::runtime_error {
  ConfigError(std::string where_, std::string field_, std::string problem_, std::string remedy_);
  std::string where, field, problem, remedy;
};

/// Reads and checks everything; paths come back absolute, filled in where the file says none, except the agent's state_directory:
/// agent_state_directory knows that one. Throws ConfigError (also when the file can't be read).
ClusterFile load_cluster_file(const std::string& path);
/// `file_name` is for messages and for the folder that relative paths start from.
ClusterFile parse_cluster_file(std::string_view text, const std::string& file_name);

/// Of one node's agent: what [agent] says, or agents/NODE beside the file.
std::string agent_state_directory(const ClusterFile& file, const std::string& node);

/// By name (default, fifo ...: those in configs/policies, embedded) or by path (contains '/' or ends in .toml).
PolicyConfig load_policy(const std::string& name_or_path);
/// The same for a daemon: refuses policies that let running jobs yield, which only simulations run.
PolicyConfig load_daemon_policy(const std::string& name_or_path);
PolicyConfig parse_policy(std::string_view text, const std::string& file_name);

/// The cluster file that `ultra cluster up` starts from: 8 nodes of 8 virtual H100s (configs/clusters/local.toml, embedded).
std::string_view local_cluster_text();

}  // namespace ultramarine::protocol
