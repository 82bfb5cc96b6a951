// Cluster and policy files from disk or text to checked values: reading, decoding (toml_reader) and checking (config_checks) in a
// row, and the paths that the daemons use.
#include "scheduler/protocol/config.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/protocol/config_checks.h"
#include "scheduler/protocol/embedded_configs.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::protocol {
namespace {

namespace fs = std::filesystem;

std::string error_text(const std::string& where, const std::string& field, const std::string& problem, const std::string& remedy) {
  std::string text = where;
  for (const auto* part : {&field, &problem}) {
    if (!part->empty()) text += (text.empty() ? "" : ": ") + *part;
  }
  return remedy.empty() ? text : text + "; " + remedy;
}

std::string read_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || fs::is_directory(path) || !(text << file.rdbuf())) {
    const std::string why = fs::is_directory(path) ? "is a folder" : errno != 0 ? std::strerror(errno) : file ? "is empty" : "no reason given";
    throw ConfigError(path, "", "can't be read: " + why, "check the path and its permissions");
  }
  return text.str();
}

bool is_path(const std::string& name_or_path) { return name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".toml"); }

}  // namespace

ConfigError::ConfigError(std::string where_, std::string field_, std::string problem_, std::string remedy_)
    : std::runtime_error(error_text(where_, field_, problem_, remedy_)),
      where(std::move(where_)),
      field(std::move(field_)),
      problem(std::move(problem_)),
      remedy(std::move(remedy_)) {}

ClusterFile parse_cluster_file(std::string_view text, const std::string& file_name) {
  TomlReader reader(text, file_name);
  const ClusterLayout layout = reader.read<ClusterLayout>();
  ClusterFile file;
  file.cluster = checked_cluster(layout, reader);
  check_daemon_sections(layout, reader);
  std::vector<std::string> accounts;
  for (const AccountConfig& account : file.cluster.accounts) accounts.push_back(account.name);
  check_notifications(layout.notifications, accounts, reader);
  file.scheduler = layout.scheduler;
  file.agent = layout.agent;
  file.metrics = layout.metrics;
  file.notifications = layout.notifications;

  const fs::path folder = fs::absolute(file_name).lexically_normal().parent_path();
  file.folder = folder.string();
  const auto settle = [&](std::string& path, const char* otherwise) {
    path = (folder / (path.empty() ? otherwise : path)).lexically_normal().string();
  };
  settle(file.scheduler.state_directory, "scheduler");
  settle(file.scheduler.socket, "scheduler.sock");
  settle(file.scheduler.secret_file, "secret");
  settle(file.agent.secret_file, file.scheduler.secret_file.c_str());
  if (!file.agent.state_directory.empty()) settle(file.agent.state_directory, "");
  if (file.agent.scheduler.empty()) file.agent.scheduler = file.scheduler.agents;
  if (is_path(file.scheduler.policy)) settle(file.scheduler.policy, "");
  for (WebhookSection& webhook : file.notifications.webhook)
    if (!webhook.secret_file.empty()) settle(webhook.secret_file, "");
  if (!file.notifications.smtp_password_file.empty()) settle(file.notifications.smtp_password_file, "");
  return file;
}

ClusterFile load_cluster_file(const std::string& path) { return parse_cluster_file(read_file(path), path); }

std::string agent_state_directory(const ClusterFile& file, const std::string& node) {
  return file.agent.state_directory.empty() ? (fs::path(file.folder) / "agents" / node).string() : file.agent.state_directory;
}

PolicyConfig parse_policy(std::string_view text, const std::string& file_name) {
  TomlReader reader(text, file_name);
  PolicyConfig policy = reader.read<PolicyConfig>();
  check_policy(policy, reader);
  return policy;
}

PolicyConfig load_policy(const std::string& name_or_path) {
  if (is_path(name_or_path)) return parse_policy(read_file(name_or_path), name_or_path);
  const std::string path = "policies/" + name_or_path + ".toml";
  for (const auto& config : embedded_configs()) {
    if (config.path == path) return parse_policy(config.text, path);
  }
  std::string known;
  for (const auto& name : embedded_policies()) known += (known.empty() ? "" : ", ") + name;
  const std::string near = nearest_word(name_or_path, embedded_policies());
  throw ConfigError("", "policy", "there is no policy \"" + name_or_path + "\"",
                    near.empty() ? "known: " + known + "; a file's name ends in .toml" : "did you mean \"" + near + "\"?");
}

PolicyConfig load_daemon_policy(const std::string& name_or_path) {
  PolicyConfig policy = load_policy(name_or_path);
  if (policy.preemption != "none")
    throw ConfigError(is_path(name_or_path) ? name_or_path : "", "policy", "\"" + policy.name + "\" makes running jobs yield, and only a simulation can do that for nothing",
                      "choose a policy with preemption = \"none\", or replay a trace with ultra-simulate");
  return policy;
}

std::string_view local_cluster_text() {
  for (const auto& config : embedded_configs()) {
    if (config.path == "clusters/local.toml") return config.text;
  }
  throw std::logic_error("the local cluster's file was left out of this build");
}

std::vector<std::string> embedded_policies() {
  std::vector<std::string> names;
  constexpr std::string_view before = "policies/", after = ".toml";
  for (const auto& config : embedded_configs()) {
    if (!config.path.starts_with(before)) continue;
    names.emplace_back(config.path.substr(before.size(), config.path.size() - before.size() - after.size()));
  }
  return names;
}

}  // namespace ultramarine::protocol
