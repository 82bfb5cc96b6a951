// Cluster and policy files: what they mean, and that every mistake is answered with its place and a remedy.
#include "scheduler/protocol/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace ultramarine::protocol {
namespace {

namespace fs = std::filesystem;

const std::string configs = ULTRAMARINE_SOURCE_DIR "/configs/";
const std::string four_nodes = "[[node]]\nname = \"node[1-4]\"\ngpus = 8\n";

TEST(ClusterFile, EveryFileOfTheProjectLoads) {
  int clusters = 0, policies = 0;
  for (const auto& file : fs::directory_iterator(configs + "clusters")) {
    SCOPED_TRACE(file.path());
    EXPECT_NO_THROW(EXPECT_GT(load_cluster_file(file.path()).cluster.nodes.size(), 0u));
    ++clusters;
  }
  for (const auto& file : fs::directory_iterator(configs + "policies")) {
    SCOPED_TRACE(file.path());
    EXPECT_NO_THROW(EXPECT_EQ(load_policy(file.path()).name, file.path().stem()));
    EXPECT_NO_THROW(EXPECT_EQ(load_policy(file.path().stem()), load_policy(file.path())));  // embedded: the same
    ++policies;
  }
  EXPECT_GE(clusters, 4);
  EXPECT_GE(policies, 2);
}

TEST(ClusterFile, TheLocalOneHas64VirtualGpus) {
  std::ostringstream on_disk;
  on_disk << std::ifstream(configs + "clusters/local.toml").rdbuf();
  EXPECT_EQ(local_cluster_text(), on_disk.str());
  const auto file = parse_cluster_file(local_cluster_text(), "/somewhere/cluster.toml");
  EXPECT_EQ(file.cluster.name, "local");
  ASSERT_EQ(file.cluster.nodes.size(), 8u);
  EXPECT_EQ(file.cluster.nodes.front().name, "node01");
  EXPECT_EQ(file.cluster.nodes.back().name, "node08");
  for (const auto& node : file.cluster.nodes) {
    EXPECT_EQ(node.gpus, 8);
    EXPECT_EQ(node.gpu_type, "H100");
    EXPECT_TRUE(node.virtual_devices);
    EXPECT_EQ(node.address, "127.0.0.1");
  }
  EXPECT_EQ(file.scheduler.http, "127.0.0.1:8642");
  EXPECT_EQ(file.agent.scheduler, "127.0.0.1:8643");
}

TEST(ClusterFile, FillsInWhatItLeavesOut) {
  const auto file = parse_cluster_file(four_nodes, "/etc/site/cluster.toml");
  const ClusterConfig& cluster = file.cluster;
  EXPECT_EQ(cluster.name, "local");
  EXPECT_EQ(cluster.time_zone, "UTC");
  ASSERT_EQ(cluster.partitions.size(), 1u);
  EXPECT_EQ(cluster.partitions[0].name, "main");
  EXPECT_EQ(cluster.partitions[0].nodes, (std::vector<std::string>{"node1", "node2", "node3", "node4"}));
  EXPECT_EQ(cluster.partitions[0].default_time_ms, hours(1));
  ASSERT_EQ(cluster.accounts.size(), 1u);
  EXPECT_EQ(cluster.accounts[0].name, "default");
  EXPECT_EQ(cluster.accounts[0].members, std::vector<std::string>{"*"});
  ASSERT_EQ(cluster.qos.size(), 1u);
  EXPECT_EQ(cluster.qos[0].name, "normal");
  EXPECT_EQ(file.scheduler.policy, "default");
  EXPECT_EQ(file.folder, "/etc/site");
  EXPECT_EQ(file.scheduler.state_directory, "/etc/site/scheduler");
  EXPECT_EQ(file.scheduler.socket, "/etc/site/scheduler.sock");
  EXPECT_EQ(file.scheduler.secret_file, "/etc/site/secret");
  EXPECT_EQ(file.agent.secret_file, "/etc/site/secret");
  EXPECT_EQ(agent_state_directory(file, "node3"), "/etc/site/agents/node3");
}

TEST(ClusterFile, UnderstandsEveryWord) {
  const auto file = parse_cluster_file(R"(
name = "all"
time_zone = "Europe/Berlin"
node = [ { name = "b[1-2]", gpus = 4, gpu_type = "A100", cpus = 64, memory = "1.5TiB", features = ["x", "y"], leaf = "l1", address = "10.0.0.[1-2]", virtual = true },
         { name = "c1", gpus = 1, memory = 1024, features = "x", address = "fe80::1" } ]
[[partition]]
name = "p"
nodes = ["b[1-2]", "c1"]
default_time = "1-00:00:00"
max_time = "2d"
accounts = "kid"
[[account]]
name = "top"
shares = 5
[[account]]
name = "kid"
parent = "top"
members = ["someone", "@group"]
[account.limits]
gpus = 1
jobs = 2
gpus_per_job = 3
gpu_hours_per_month = 4
max_time = "5h"
[[qos]]
name = "fast"
priority = -7
usage_factor = 1.25
limits = { jobs = 9 }
[roles]
lead = "@leads"
manager = ["m"]
admin = ["a1", "@a2"]
auditor = []
[names]
partitions = { q = "p" }
accounts = { k = "kid" }
gpu_types = { "nvidia a100" = "A100" }
[fabric]
socket_interface = "eth0"
infiniband = ["mlx5_0"]
environment = { NCCL_DEBUG = "INFO" }
memlock = "unlimited"
[money]
currency = "EUR"
price_per_gpu_hour = 2.357
capital_cost = 1_500_000
lifetime_years = 5
monthly_running_cost = 20_000.5
cloud_price_per_gpu_hour = 3.1
[metrics]
user_label = true
peak_tflops = { A100 = 312 }
[notifications]
webhooks_allowed = "https://hooks.example.com/"
mail = "smtp"
smtp_url = "smtps://mail.example.org:465"
smtp_user = "um"
smtp_password_file = "mail-password"
from = "um@example.org"
mail_domain = "example.org"
language = "ko"
timeout = "3s"
retry_after = "1s"
give_up_after = "2h"
[[notifications.webhook]]
url = "https://hooks.example.com/all"
events = ["fail", "delayed"]
accounts = "kid"
secret_file = "/etc/hook"
[timeouts]
heartbeat = "100ms"
suspect = "500ms"
unreachable = "1s"
self_stop = "1s"
self_stop_margin = "200ms"
launch = "6s"
agents_return = "500ms"
restart_delay = "500ms"
restart_delay_max = "1m"
unkillable = "1s"
line_silence = "800ms"
line_unacknowledged = "501ms"
connect = "300ms"
welcome = "2s"
reconnect_max = "200ms"
progress_patience = "2301ms"
checkpoint_answer = "502ms"
finalize = "503ms"
failure_grace = "504ms"
cut_off_grace = "101ms"
[scheduler]
state_directory = "state"
socket = "/run/s.sock"
http = ""
agents = "[::1]:0"
trusted_network = true
secret_file = "../key"
policy = "mine/own.toml"
[agent]
state_directory = "/var/lib/agent"
scheduler = "head:99"
metrics = "0.0.0.0:65535"
)", "/etc/site/cluster.toml");
  const ClusterConfig& cluster = file.cluster;
  const NodeConfig b2{"b2", 4, "A100", 64, 1'649'267'441'664, {"x", "y"}, "l1", "10.0.0.2", true};
  EXPECT_EQ(cluster.nodes.at(1), b2);
  const NodeConfig c1{"c1", 1, "", 0, 1024, {"x"}, "", "fe80::1", false};
  EXPECT_EQ(cluster.nodes.at(2), c1);
  const PartitionConfig p{"p", {"b1", "b2", "c1"}, hours(24), hours(48), {"kid"}};
  EXPECT_EQ(cluster.partitions, std::vector<PartitionConfig>{p});
  const AccountConfig kid{"kid", "top", 1, {"someone", "@group"}, 0, {.gpus = 1, .jobs = 2, .gpus_per_job = 3, .gpu_hours_per_month = 4, .max_time_ms = hours(5)}, {}};
  EXPECT_EQ(cluster.accounts.at(1), kid);
  const QosConfig fast{"fast", -7, {.jobs = 9}, {}, 1250};
  EXPECT_EQ(cluster.qos.at(0), fast);
  EXPECT_EQ(cluster.qos.at(1).name, "normal");
  EXPECT_EQ(cluster.roles.lead, std::vector<std::string>{"@leads"});
  EXPECT_EQ(cluster.roles.admin, (std::vector<std::string>{"a1", "@a2"}));
  EXPECT_EQ(cluster.names.gpu_types.at("nvidia a100"), "A100");
  EXPECT_EQ(cluster.fabric.environment.at("NCCL_DEBUG"), "INFO");
  EXPECT_EQ(cluster.fabric.memlock_bytes, -1);
  const MoneyConfig money{.currency = "EUR", .price_per_gpu_hour_milli = 2357, .capital_cost_milli = 1'500'000'000, .lifetime_years = 5,
                          .monthly_running_cost_milli = 20'000'500, .cloud_price_per_gpu_hour_milli = 3100};
  EXPECT_EQ(cluster.money, money);
  const MetricsSection metrics{.user_label = true, .peak_tflops = {{"A100", 312}}};
  EXPECT_EQ(file.metrics, metrics);
  const NotificationsSection notifications{
      .webhook = {{"https://hooks.example.com/all", {NotificationEvent::fail, NotificationEvent::delayed}, {"kid"}, "/etc/hook"}},
      .webhooks_allowed = {"https://hooks.example.com/"}, .mail = "smtp", .smtp_url = "smtps://mail.example.org:465", .smtp_user = "um",
      .smtp_password_file = "/etc/site/mail-password", .from = "um@example.org", .mail_domain = "example.org", .language = "ko",
      .timeout_ms = seconds(3), .retry_after_ms = seconds(1), .give_up_after_ms = hours(2)};
  EXPECT_EQ(file.notifications, notifications);
  const TimeoutsConfig tenth{.heartbeat_ms{100}, .suspect_ms{500}, .unreachable_ms = seconds(1), .self_stop_ms = seconds(1), .self_stop_margin_ms{200}, .launch_ms = seconds(6),
                             .agents_return_ms{500}, .restart_delay_ms{500}, .restart_delay_max_ms = seconds(60), .unkillable_ms = seconds(1), .line_silence_ms{800},
                             .line_unacknowledged_ms{501}, .connect_ms{300}, .welcome_ms = seconds(2), .reconnect_max_ms{200}, .progress_patience_ms{2301},
                             .checkpoint_answer_ms{502}, .finalize_ms{503}, .failure_grace_ms{504}, .cut_off_grace_ms{101}};
  EXPECT_EQ(cluster.timeouts, tenth);
  EXPECT_EQ(file.scheduler.state_directory, "/etc/site/state");
  EXPECT_EQ(file.scheduler.socket, "/run/s.sock");
  EXPECT_EQ(file.scheduler.http, "");
  EXPECT_TRUE(file.scheduler.trusted_network);
  EXPECT_EQ(file.scheduler.secret_file, "/etc/key");
  EXPECT_EQ(file.agent.secret_file, "/etc/key");
  EXPECT_EQ(file.scheduler.policy, "/etc/site/mine/own.toml");
  EXPECT_EQ(file.agent.scheduler, "head:99");
  EXPECT_EQ(agent_state_directory(file, "b1"), "/var/lib/agent");
}

TEST(ClusterFile, ALaunchHasTimeForTheScriptsBeforeIt) {
  const auto launch_with = [](const std::string& text) {
    return parse_cluster_file(four_nodes + (text + "\n"), "f.toml").cluster.timeouts.launch_ms;
  };
  EXPECT_EQ(launch_with("[agent]\nscript_deadline = \"40s\""), seconds(60)) << "no script, no time for it";
  EXPECT_EQ(launch_with("[agent]\nprolog = \"/p\""), seconds(60 + 52));
  EXPECT_EQ(launch_with("[agent]\nprolog = \"/p\"\nepilog = \"/e\"\nscript_deadline = \"10s\""), seconds(60 + 24));
  EXPECT_EQ(
      launch_with("[timeouts]\nlaunch = \"29s\"\n[agent]\nprolog = \"/p\"\nepilog = \"/e\"\nscript_deadline = \"10s\""),
      seconds(29))
      << "as it says";
  try {
    launch_with("[timeouts]\nlaunch = \"1m\"\n[agent]\nprolog = \"/p\"\nepilog = \"/e\"");
    FAIL() << "two scripts of 50 s each may take longer than that";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.field, "timeouts.launch");
    EXPECT_EQ(error.problem, "launch 1m is less than what prolog and epilog may take before a job starts (1m 44s)");
    EXPECT_EQ(error.remedy, "write launch = \"110s\" or more, leave it out, or lower [agent] script_deadline");
  }
}

TEST(ClusterFile, MistakesInNotificationsNameTheFieldAndTheRemedy) {
  const auto said = [](const std::string& text) -> std::string {
    try {
      parse_cluster_file(four_nodes + ("[notifications]\n" + text + "\n"), "f.toml");
    } catch (const ConfigError& error) {
      return error.field + ": " + error.problem + "; " + error.remedy;
    }
    return "";
  };
  EXPECT_EQ(said("mail = \"off\""), "");
  EXPECT_EQ(said("mail = \"sendmail\"\nfrom = \"um@example.org\""), "");
  EXPECT_EQ(said("mail = \"sendmal\""), "notifications.mail: unknown word \"sendmal\"; did you mean \"sendmail\"?");
  EXPECT_EQ(said("mail = \"sendmail\""), "notifications.mail: mail has no sender; add from = \"ultramarine@example.org\"");
  EXPECT_EQ(said("from = \"a@b\\r\\nBcc: c@d\"").substr(0, 20), "notifications.from: ");
  EXPECT_EQ(said("sendmail = \"sendmail\""), "notifications.sendmail: \"sendmail\" is no absolute path; write where the program lies, like \"/usr/sbin/sendmail\"");
  EXPECT_EQ(said("mail = \"smtp\"\nfrom = \"a@b\"\nsmtp_url = \"smtp://h\""),
            "notifications.mail: nobody knows where users read mail; add mail_domain = \"example.org\": mail for ada goes to ada@example.org");
  EXPECT_EQ(said("smtp_url = \"http://h\"").substr(0, 73), "notifications.smtp_url: this is no URL that can be used: it doesn't begin");
  EXPECT_EQ(said("smtp_user = \"um\""), "notifications.smtp_user: a login has a user and a password; add smtp_password_file, a file of mode 0600");
  EXPECT_EQ(said("webhooks_allowed = \"https://hooks.example.com\""),
            "notifications.webhooks_allowed: other hosts begin with \"https://hooks.example.com\", too; end it with a slash: \"https://hooks.example.com/\"");
  EXPECT_EQ(said("[[notifications.webhook]]\nevents = \"fail\""), "notifications.webhook[0]: a URL is missing; write it like url = \"https://hooks.example.com/ultramarine\"");
  EXPECT_EQ(said("[[notifications.webhook]]\nurl = \"https://h/secret x\"").find("secret"), std::string::npos) << "a URL may be a secret";
  EXPECT_EQ(said("[[notifications.webhook]]\nurl = \"https://h/\"\naccounts = \"nobody\"").substr(0, 73), "notifications.webhook[0].accounts: there is no account \"nobody\"; name one");
  EXPECT_EQ(said("[[notifications.webhook]]\nurl = \"https://h/\"\nevents = \"time_limit\"").substr(0, 33), "notifications.webhook[0].events: ");
  EXPECT_EQ(said("timeout = \"2h\""), "notifications.timeout: 2h is out of range; use 100ms to 1m");
  EXPECT_EQ(said("mails = 1").substr(0, 45), "notifications.mails: unknown word \"mails\"; di");
}

TEST(PolicyFile, UnderstandsEveryWord) {
  const auto policy = parse_policy(R"(
name = "mine"
backfill = "conservative"
half_life = "3d"
priority_interval = "5m"
max_age = "1-0"
order = "multifactor"
weights = { fair_share = 1000, age = 10, size = 3, qos = 4, partition = 5, account = 6 }
size_favours = "short"
caps = { lab-a = 16 }
trial = { minutes = 10, gpus_per_job = 8, share = 0.125 }
boost_budgets = { someone = 100 }
)", "mine.toml");
  EXPECT_EQ(policy.backfill, "conservative");
  EXPECT_EQ(policy.half_life_ms, hours(72));
  EXPECT_EQ(policy.priority_interval_ms, minutes(5));
  EXPECT_EQ(policy.max_age_ms, hours(24));
  EXPECT_EQ(policy.weights.at("fair_share"), 1000);
  EXPECT_EQ(policy.caps.at("lab-a"), 16);
  EXPECT_EQ(policy.trial, (std::map<std::string, std::int64_t>{{"minutes", 10}, {"gpus_per_job", 8}, {"share_permille", 125}}));
  EXPECT_EQ(policy.boost_budgets.at("someone"), 100);
}

struct Mistake {
  std::string text;  // after four_nodes, which ends line 3
  std::string said;
};

TEST(ClusterFile, AnswersEveryMistakeWithPlaceFieldAndRemedy) {
  const Mistake mistakes[] = {
      {"gpu = 8", "f.toml:4:1: node[0].gpu: unknown word \"gpu\"; did you mean \"gpus\"?"},
      {"banana = 8", "f.toml:4:1: node[0].banana: unknown word \"banana\"; known here: name, gpus, gpu_type, cpus, memory, features, leaf, address, virtual"},
      {"memory_bytes = 8", "f.toml:4:1: node[0].memory_bytes: unknown word \"memory_bytes\"; known here: name, gpus, gpu_type, cpus, memory, features, leaf, address, virtual"},
      {"cpus = \"8\"", "f.toml:4:8: node[0].cpus: expected a whole number, got \"8\""},
      {"cpus = 1.5", "f.toml:4:8: node[0].cpus: expected a whole number, got 1.5"},
      {"cpus = nan", "f.toml:4:8: node[0].cpus: expected a number, got nan"},
      {"cpus = -1", "f.toml:4:8: node[0].cpus: -1 is negative; use 0 or more"},
      {"leaf = 2020-01-01", "f.toml:4:8: node[0].leaf: expected text, a number, true or false, got 2020-01-01; put dates and times in quotes"},
      {"virtual = 1", "f.toml:4:11: node[0].virtual: expected true or false, got 1"},
      {"features = [\"a\", 1]", "f.toml:4:18: node[0].features[1]: expected text, got 1"},
      {"memory = \"2 parsecs\"", "f.toml:4:10: node[0].memory: expected a size, got \"2 parsecs\"; write it like \"512GiB\" or as a number of bytes"},
      {"memory = -1", "f.toml:4:10: node[0].memory: expected a size, got -1; write it like \"512GiB\" or as a number of bytes"},
      {"address = \"10.0.0.[1-3]\"", "f.toml:4:11: node[0].address: 3 addresses for 4 nodes; give one for all or one for each"},
      {"[[node]]\ngpus = 1", "f.toml:4:1: node[1]: a name is missing; add name = \"node[01-08]\""},
      {"[[node]]\nname = \"a\"", "f.toml:4:1: node[1]: 0 is out of range; use 1 to 1024"},
      {"[[node]]\nname = \"a\"\ngpus = 1025", "f.toml:6:8: node[1].gpus: 1025 is out of range; use 1 to 1024"},
      {"[[node]]\nname = \"node[3-5]\"\ngpus = 1", "f.toml:5:8: node[1].name: node \"node3\" is declared twice; the first is on line 2"},
      {"[[node]]\nname = \"n[5\"\ngpus = 1", "f.toml:5:8: node[1].name: \"n[5\" is no hostlist; write it like \"node[01-08]\" or \"a,b\""},
      {"[[node]]\nname = \"x[1-4093]\"\ngpus = 1", "f.toml:5:8: node[1].name: the cluster has more than 4096 nodes; declare fewer"},
      {"[partition]\nname = \"p\"", "f.toml:4:1: partition: expected a list of tables, got a table; write [[partition]] above each"},
      {"[[partition]]\nnodes = \"node1\"", "f.toml:4:1: partition[0]: a name is missing; add name = \"...\""},
      {"[[partition]]\nname = \"a b\"", "f.toml:5:8: partition[0].name: \"a b\" is no name; use at most 64 letters, digits, '.', '_' and '-', a letter, a digit or '_' first"},
      {"[[partition]]\nname = \"p\"\n[[partition]]\nname = \"p\"", "f.toml:7:8: partition[1].name: \"p\" is declared twice; the first is on line 5"},
      {"[[partition]]\nname = \"p\"\nnodes = \"node[4-5]\"", "f.toml:6:9: partition[0].nodes: there is no node \"node5\"; did you mean \"node1\"?"},
      {"[[partition]]\nname = \"p\"\nnodes = [\"node1\", \"node[1-2]\"]", "f.toml:6:19: partition[0].nodes[1]: node \"node1\" is named twice; name it once"},
      {"[[partition]]\nname = \"p\"\nnodes = \"node[\"", "f.toml:6:9: partition[0].nodes: \"node[\" is no hostlist; write it like \"node[01-08]\"; left out, all nodes"},
      {"[[partition]]\nname = \"p\"\naccounts = [\"defualt\"]", "f.toml:6:13: partition[0].accounts[0]: there is no account \"defualt\"; did you mean \"default\"?"},
      {"[[partition]]\nname = \"p\"\nmax_time = 60", "f.toml:6:12: partition[0].max_time: expected a length of time, got 60; say the unit: \"60m\" are minutes"},
      {"[[partition]]\nname = \"p\"\nmax_time = \"long\"", "f.toml:6:12: partition[0].max_time: expected a length of time, got \"long\"; write it like \"1h30m\""},
      {"[[partition]]\nname = \"p\"\nmax_time = \"0\"", "f.toml:6:12: partition[0].max_time: must be longer than nothing; write it like \"1h\""},
      {"[[partition]]\nname = \"p\"\nmax_time = \"30m\"", "f.toml:4:1: partition[0]: default_time 1h is longer than max_time 30m; lower default_time or raise max_time"},
      {"[[account]]\nname = \"a\"\nparent = \"b\"", "f.toml:6:10: account[0].parent: there is no account \"b\"; known: a"},
      {"[[account]]\nname = \"a\"\nparent = \"b\"\n[[account]]\nname = \"b\"\nparent = \"a\"",
       "f.toml:6:10: account[0].parent: accounts are their own ancestors: a -> b -> a; break the circle"},
      {"[[account]]\nname = \"a\"\nparent = \"a\"", "f.toml:6:10: account[0].parent: accounts are their own ancestors: a -> a; break the circle"},
      {"[[account]]\nname = \"a\"\nshares = 0", "f.toml:6:10: account[0].shares: 0 is out of range; use 1 to 1000000"},
      {"[[account]]\nname = \"a\"\nmembers = [\"@\"]", "f.toml:6:12: account[0].members[0]: a member has no name; write a user, \"@group\" or \"*\""},
      {"[[account]]\nname = \"a\"\nlimits = { gpu = 1 }", "f.toml:6:12: account[0].limits.gpu: unknown word \"gpu\"; did you mean \"gpus\"?"},
      {"[[account]]\nname = \"a\"\nlimits = { gpus = -1 }", "f.toml:6:19: account[0].limits.gpus: -1 is negative; use 0 or more"},
      {"[[qos]]\nname = \"a\"\nuser_limits = { jobs = -1 }", "f.toml:6:24: qos[0].user_limits.jobs: -1 is negative; use 0 or more"},
      {"[[partition]]\nname = \"a\"\nlimits = { gpus = 4, gpus_soft = 5 }",
       "f.toml:6:34: partition[0].limits.gpus_soft: 5 is more than the 4 of gpus, beyond which nothing runs; lower it, or raise gpus"},
      {"[[qos]]\nname = \"a\"\nusage_factor = \"x\"", "f.toml:6:16: qos[0].usage_factor: expected a number, got \"x\"; write it like 1.5"},
      {"[[qos]]\nname = \"a\"\nusage_factor = 1.00001", "f.toml:6:16: qos[0].usage_factor: expected at most three decimals, got 1.00001; round it"},
      {"[[qos]]\nname = \"a\"\nusage_factor = -1", "f.toml:6:16: qos[0].usage_factor: -1000 is negative; use 0 or more"},
      {"[roles]\nadmins = []", "f.toml:5:1: roles.admins: unknown word \"admins\"; did you mean \"admin\"?"},
      {"[roles]\nadmin = [\"\"]", "f.toml:5:10: roles.admin[0]: somebody has no name; write a user or \"@group\""},
      {"[names]\npartitions = { a = \"b\" }", "f.toml:5:20: names.partitions.a: there is no partition \"b\"; known: main"},
      {"[fabric]\nenvironment = { \"1A\" = \"b\" }", "f.toml:5:24: fabric.environment.1A: \"1A\" can't be a variable of the environment; use letters, digits and '_'"},
      {"[fabric]\nenvironment = { A = 1 }", "f.toml:5:21: fabric.environment.A: expected text, got 1"},
      {"[fabric]\nenvironment = 1", "f.toml:5:15: fabric.environment: expected a table, got 1; write fabric.environment = { name = value }"},
      {"[money]\nprice_per_gpu_hour = -1", "f.toml:5:22: money.price_per_gpu_hour: -1 is negative; use 0 or more"},
      {"[money]\ncloud_price_per_gpu_hour = -0.25", "f.toml:5:28: money.cloud_price_per_gpu_hour: -0.25 is negative; use 0 or more"},
      {"[money]\ncapital_cost = 1.2345", "f.toml:5:16: money.capital_cost: expected at most three decimals, got 1.2345; round it"},
      {"[money]\nprice_per_gpu_hour = 2.5", "f.toml:4:1: money: amounts without a currency; add currency = \"EUR\""},
      {"[money]\ncurrency = \"a,b\"", "f.toml:5:12: money.currency: \"a,b\" is no currency; write it like \"EUR\""},
      {"[money]\ncurrency = \"KRW\"\ncapital_cost = 8_000_000_000",
       "f.toml:6:16: money.capital_cost: over how many years 8000000000 is spread isn't said; add lifetime_years = 4"},
      {"[money]\nlifetime_years = 4", "f.toml:5:18: money.lifetime_years: there is no capital_cost that is spread over it; add capital_cost, or leave lifetime_years out"},
      {"[metrics]\npeak_tflops = { H100 = 0 }", "f.toml:5:24: metrics.peak_tflops.H100: 0 is out of range; use 1 to 1000000"},
      {"[money]\nlifetime_years = 1000", "f.toml:5:18: money.lifetime_years: 1000 is out of range; use 0 to 100"},
      {"[money]\nlifetime_years = 2.5", "f.toml:5:18: money.lifetime_years: expected a whole number, got 2.5"},
      {"[timeouts]\nsuspect = \"50ms\"", "f.toml:5:11: timeouts.suspect: 50ms is out of range; use 100ms to 1d"},
      {"[timeouts]\nheartbeat = \"5s\"", "f.toml:4:1: timeouts: suspect 5s is not longer than heartbeat (5s); give agents time for several words, such as five times heartbeat"},
      {"[timeouts]\nunreachable = \"3s\"", "f.toml:5:15: timeouts.unreachable: unreachable 3s is not longer than suspect (5s); raise it, or lower suspect"},
      {"[timeouts]\nline_silence = \"1s\"", "f.toml:5:16: timeouts.line_silence: line_silence 1s is not longer than heartbeat (1s); raise it: a healthy line is never cut"},
      {"[timeouts]\nprogress_patience = \"1s\"",
       "f.toml:5:21: timeouts.progress_patience: progress_patience 1s is too short: agents say once a second how far ranks are; use 2s or more"},
      {"[timeouts]\nrestart_delay_max = \"1s\"", "f.toml:5:21: timeouts.restart_delay_max: restart_delay_max 1s is shorter than restart_delay (5s); raise it, or lower restart_delay"},
      {"[scheduler]\nagents = \"8643\"", "f.toml:5:10: scheduler.agents: \"8643\" is no address; write host:port, like \"127.0.0.1:8642\""},
      {"[scheduler]\nagents = \"\"", "f.toml:5:10: scheduler.agents: \"\" is no address; write host:port, like \"127.0.0.1:8642\""},
      {"[scheduler]\nagents = \"0.0.0.0:8643\"", "f.toml:5:10: scheduler.agents: \"0.0.0.0:8643\" is every address of the scheduler's machine, and agents need one of them; "
                                                "add it to [agent], like scheduler = \"10.0.0.1:8643\""},
      {"[scheduler]\nhttp = \"h:65536\"", "f.toml:5:8: scheduler.http: \"h:65536\" is no address; write host:port, like \"127.0.0.1:8642\""},
      {"[scheduler]\nhttp = \"::1:80\"", "f.toml:5:8: scheduler.http: \"::1:80\" is no address; write host:port, like \"127.0.0.1:8642\""},
      {"[scheduler]\npolicy = \"fi-fo\"", "f.toml:5:10: scheduler.policy: there is no policy \"fi-fo\"; did you mean \"fifo\"?"},
      {"[shceduler]", "f.toml:4:2: shceduler: unknown word \"shceduler\"; did you mean \"scheduler\"?"},
      {"scheduler = 1", "f.toml:4:1: node[0].scheduler: unknown word \"scheduler\"; known here: name, gpus, gpu_type, cpus, memory, features, leaf, address, virtual"},
  };
  for (const auto& mistake : mistakes) {
    try {
      parse_cluster_file(four_nodes + mistake.text + "\n", "f.toml");
      ADD_FAILURE() << "accepted: " << mistake.text;
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.what(), mistake.said) << mistake.text;
    }
  }
}

TEST(ClusterFile, AnswersMistakesOfTheWholeFile) {
  const Mistake mistakes[] = {
      {"", "f.toml:1:1: the cluster has no nodes; add [[node]] with name = \"node[01-08]\" and gpus = 8"},
      {"node = []", "f.toml:1:8: node: the cluster has no nodes; add [[node]] with name = \"node[01-08]\" and gpus = 8"},
      {"name = \"\"\n", "f.toml:1:8: name: a name is missing; add name = \"...\""},
      {"time_zone = \"Mars Base\"\n", "f.toml:1:13: time_zone: \"Mars Base\" is no time zone; write it like \"UTC\" or \"Europe/Berlin\""},
  };
  for (const auto& mistake : mistakes) {
    try {
      parse_cluster_file(mistake.text, "f.toml");
      ADD_FAILURE() << "accepted: " << mistake.text;
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.what(), mistake.said) << mistake.text;
    }
  }
}

TEST(ClusterFile, AnswersWhatIsNoTomlWithItsPlace) {
  try {
    parse_cluster_file("name = \"a\"\ngpus = = 3\n", "f.toml");
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_TRUE(error.where.starts_with("f.toml:2:")) << error.what();
    EXPECT_FALSE(error.problem.empty());
  }
  EXPECT_THROW(parse_cluster_file("a = \"\xFF\"", "f.toml"), ConfigError);
  EXPECT_THROW(parse_cluster_file("[[node]]\n[[node", "f.toml"), ConfigError);
}

TEST(PolicyFile, ADaemonTakesNoPolicyThatMakesRunningJobsYield) {
  EXPECT_EQ(load_daemon_policy("easy"), load_policy("easy"));
  try {
    load_daemon_policy("srtf");
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "policy: \"srtf\" makes running jobs yield, and only a simulation can do that for nothing; choose a policy with preemption = "
                               "\"none\", or replay a trace with ultra-simulate");
  }
}

TEST(PolicyFile, AnswersEveryMistakeWithPlaceFieldAndRemedy) {
  const Mistake mistakes[] = {
      {"order = \"fair\"", "p.toml:1:9: order: unknown word \"fair\"; known: submit_time, multifactor, shortest, least_remaining, least_remaining_gpu_time, least_attained"},
      {"backfill = \"conservativ\"", "p.toml:1:12: backfill: unknown word \"conservativ\"; did you mean \"conservative\"?"},
      {"placement = \"first\"", "p.toml:1:13: placement: unknown word \"first\"; known: best_fit, pack"},
      {"preemption = \"all\"", "p.toml:1:14: preemption: unknown word \"all\"; known: none, by_order"},
      {"thresholds_gpu_s = [5, 5]", "p.toml:1:24: thresholds_gpu_s[1]: 5 is not more than the one before it; write the thresholds in ascending order"},
      {"half_life = \"0s\"", "p.toml:1:13: half_life: must be longer than nothing; write it like \"1h\""},
      {"weights = { age = -1 }", "p.toml:1:19: weights.age: -1 is negative; use 0 or more"},
      {"weights = { fairshare = 5 }", "p.toml:1:25: weights.fairshare: unknown word \"fairshare\"; did you mean \"fair_share\"?"},
      {"size_favours = \"tiny\"", "p.toml:1:16: size_favours: unknown word \"tiny\"; known: small, large, short, lanes"},
      {"patience = \"-5d\"", "p.toml:1:12: patience: expected a length of time, got \"-5d\"; write it like \"1h30m\""},
      {"long_limit = \"0s\"", "p.toml:1:14: long_limit: must be longer than nothing; write it like \"1h\""},
      {"express_gpu_hours = -1", "p.toml:1:21: express_gpu_hours: -1 is negative; use 0 or more"},
      {"middle_lane = 1.5", "p.toml:1:15: middle_lane: must be a part of one; use 0 to 1, such as 0.45"},
      {"backfill = \"easy\"\npatience = \"5d\"", "p.toml:2:12: patience: backfill \"easy\" plans no starts that could be kept clear; leave patience out, or write backfill = \"conservative\""},
      {"weights = { age = 0.5 }", "p.toml:1:19: weights.age: expected a whole number, got 0.5"},
      {"trial = { minuts = 1 }", "p.toml:1:20: trial.minuts: unknown word \"minuts\"; did you mean \"minutes\"?"},
      {"trial = { share = 1.5 }", "p.toml:1:19: trial.share: 1500 is out of range; use 0 to 1000"},
      {"backfill = \"easy\"\ntrial = { minutes = 5 }",
       "p.toml:2:9: trial: backfill \"easy\" plans no starts that a trial could leave alone; leave trial out, or write backfill = \"conservative\""},
      {"preemption = \"by_order\"\ntrial = { minutes = 5 }",
       "p.toml:2:9: trial: with preemption \"by_order\" nobody's place is kept; leave trial out, or write preemption = \"none\""},
      {"backfil = \"none\"", "p.toml:1:1: backfil: unknown word \"backfil\"; did you mean \"backfill\"?"},
  };
  for (const auto& mistake : mistakes) {
    try {
      parse_policy(mistake.text, "p.toml");
      ADD_FAILURE() << "accepted: " << mistake.text;
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.what(), mistake.said) << mistake.text;
    }
  }
}

TEST(LoadPolicy, AnswersUnknownNamesAndUnreadableFiles) {
  const auto said = [](const std::string& name) -> std::string {
    try {
      load_policy(name);
      return "";
    } catch (const ConfigError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(said("fif"), "policy: there is no policy \"fif\"; did you mean \"fifo\"?");
  EXPECT_EQ(said("banana"), "policy: there is no policy \"banana\"; known: conservative, default, easy-sjf, easy, fifo-skip, fifo, las, sjf-skip, sjf, srsf, srtf; a file's name ends in .toml");
  EXPECT_EQ(said("/no/such.toml"), "/no/such.toml: can't be read: No such file or directory; check the path and its permissions");
  EXPECT_EQ(said("/tmp/"), "/tmp/: can't be read: is a folder; check the path and its permissions");
}

}  // namespace
}  // namespace ultramarine::protocol
