#include "scheduler/cli/cluster_text.h"

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <vector>

#include "scheduler/cli/command_error.h"
#include "scheduler/cli/language.h"
#include "scheduler/protocol/config.h"

namespace ultramarine::cli {
namespace {

std::string trimmed(const std::string& text) {
  const std::size_t from = text.find_first_not_of(" \t\r");
  return from == std::string::npos ? "" : text.substr(from, text.find_last_not_of(" \t\r") - from + 1);
}

struct Lines {
  std::vector<std::string> lines;

  explicit Lines(const std::string& text) {
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
  }

  std::string text() const {
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    return all;
  }

  static std::string header_of(const std::string& line) {
    const std::string content = trimmed(line.substr(0, line.find('#')));
    return !content.empty() && content.front() == '[' ? content : "";
  }

  /// [first, last) of the lines below each table with this header.
  std::vector<std::pair<std::size_t, std::size_t>> tables(const std::string& header) const {
    std::vector<std::pair<std::size_t, std::size_t>> found;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (header_of(lines[i]) != header) continue;
      std::size_t end = i + 1;
      while (end < lines.size() && header_of(lines[end]).empty()) ++end;
      found.emplace_back(i + 1, end);
    }
    return found;
  }

  struct Value {
    std::size_t line, from, to;  // of the value in that line
  };

  std::optional<Value> value(std::pair<std::size_t, std::size_t> table, const std::string& key) const {
    for (std::size_t i = table.first; i < table.second; ++i) {
      const std::string& line = lines[i];
      const std::size_t equals = line.find('=');
      if (equals == std::string::npos || trimmed(line.substr(0, equals)) != key) continue;
      const std::size_t from = line.find_first_not_of(" \t", equals + 1);
      if (from == std::string::npos) continue;
      std::size_t to = line[from] == '"' ? line.find('"', from + 1) : line.find('#', from);
      if (line[from] == '"')
        to = to == std::string::npos ? line.size() : to + 1;
      else
        to = from + trimmed(line.substr(from, to == std::string::npos ? to : to - from)).size();
      return Value{i, from, to};
    }
    return std::nullopt;
  }

  std::string get(const Value& at) const { return lines[at.line].substr(at.from, at.to - at.from); }

  void set(std::pair<std::size_t, std::size_t> table, const std::string& key, const std::string& literal) {
    if (const auto at = value(table, key))
      lines[at->line].replace(at->from, at->to - at->from, literal);
    else
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(table.first), key + " = " + literal);
  }

  void set_in_table(const std::string& header, const std::string& key, const std::string& literal) {
    if (tables(header).empty()) {
      lines.emplace_back();
      lines.push_back(header);
    }
    set(tables(header).front(), key, literal);
  }
};

std::string quoted(const std::string& text) {
  std::string literal = "\"";
  for (const char byte : text) {
    if (byte == '"' || byte == '\\') literal += '\\';
    literal += byte;
  }
  return literal + "\"";
}

[[noreturn]] void by_hand(const std::string& field, const std::string& problem, const std::string& file_name) {
  throw CommandError(exit_code::conflict,
                     error_line(field, problem, spoken("edit {0} by hand, or remove it to begin anew", file_name)));
}

protocol::ClusterFile parsed(const std::string& text, const std::string& file_name) {
  try {
    return protocol::parse_cluster_file(text, file_name);
  } catch (const protocol::ConfigError& error) {
    usage_error("", error.what(), "");
  }
}

}  // namespace

std::string node_hostlist(std::int64_t count) {
  const int digits = std::max(2, static_cast<int>(std::to_string(count).size()));
  char text[64];
  if (count == 1) return "node01";
  std::snprintf(text, sizeof text, "node[%0*d-%0*lld]", digits, 1, digits, static_cast<long long>(count));
  return text;
}

std::string changed_cluster_text(const std::string& text, const ClusterChanges& changes, const std::string& file_name) {
  Lines lines(text);
  if (changes.nodes || changes.gpus_per_node) {
    const char* field = changes.nodes ? "--nodes" : "--gpus-per-node";
    const auto tables = lines.tables("[[node]]");
    if (tables.size() != 1)
      by_hand(field, spoken("{0} has {1} [[node]] tables", file_name, tables.size()), file_name);
    if (changes.gpus_per_node) lines.set(tables.front(), "gpus", std::to_string(*changes.gpus_per_node));
    if (changes.nodes) {
      const std::string fresh = quoted(node_hostlist(*changes.nodes));
      const auto table = lines.tables("[[node]]").front();
      const auto name = lines.value(table, "name");
      if (!name) by_hand(field, spoken("the [[node]] table has no name on a line of its own"), file_name);
      const std::string old = lines.get(*name);
      lines.set(table, "name", fresh);
      for (const auto& partition : lines.tables("[[partition]]")) {
        const auto members = lines.value(partition, "nodes");
        if (members && lines.get(*members) == old) lines.set(partition, "nodes", fresh);
      }
    }
  }
  if (changes.http) lines.set_in_table("[scheduler]", "http", quoted(*changes.http));
  if (changes.agents) lines.set_in_table("[scheduler]", "agents", quoted(*changes.agents));
  if (changes.policy) lines.set_in_table("[scheduler]", "policy", quoted(*changes.policy));
  std::string result = lines.text();
  const protocol::ClusterFile after = parsed(result, file_name);
  const auto& nodes = after.cluster.nodes;
  if (changes.nodes && static_cast<std::int64_t>(nodes.size()) != *changes.nodes)
    by_hand("--nodes", spoken("the [[node]] table is laid out in another way"), file_name);
  if (changes.gpus_per_node && !std::all_of(nodes.begin(), nodes.end(), [&](const NodeConfig& node) {
        return node.gpus == *changes.gpus_per_node;
      })) {
    by_hand("--gpus-per-node", spoken("the [[node]] table is laid out in another way"), file_name);
  }
  if ((changes.http && after.scheduler.http != *changes.http) ||
      (changes.agents && after.scheduler.agents != *changes.agents)) {
    by_hand("--http", spoken("the [scheduler] table is laid out in another way"), file_name);
  }
  return result;
}

}  // namespace ultramarine::cli
