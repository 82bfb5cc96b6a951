// ultra nodes: the machines, their devices and who holds them.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/nearest.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

std::string jobs_on(const protocol::NodeView& view) {
  std::set<std::int64_t> jobs;
  for (const auto& job : view.device_jobs) {
    if (job) jobs.insert(job->value);
  }
  std::string text;
  for (const std::int64_t job : jobs) text += (text.empty() ? "" : ",") + std::to_string(job);
  return text.empty() ? "-" : text;
}

std::string mean_utilization(const protocol::NodeView& view) {
  if (view.device_utilization_permille.empty()) return "-";
  std::int64_t sum = 0;
  for (const std::int64_t one : view.device_utilization_permille) sum += one;
  return percent(sum / static_cast<std::int64_t>(view.device_utilization_permille.size()));
}

std::string note(const protocol::NodeView& view, Time now) {
  std::string text;
  if (view.node.config.virtual_devices) text = spoken("virtual");
  if (view.node.state == NodeState::unreachable && now - view.heartbeat_age_ms > view.node.since_ms) {
    text += (text.empty() ? "" : ", ") + spoken("answers again, and takes jobs once what was given up there has ended");
  } else if (view.node.state != NodeState::up && view.node.state != NodeState::down && view.heartbeat_age_ms.ms > 0) {
    text += (text.empty() ? "" : ", ") +
            spoken("silent for {0}", protocol::format_duration({view.heartbeat_age_ms.ms / 1000 * 1000}));
  }
  if (const auto& lost = view.node.lost)
    text += (text.empty() ? "" : ", ") + spoken("lost, says {0} {1}: {2}", lost->actor.name.empty() ? std::string("?") : lost->actor.name, local_time(lost->since_ms), printable(lost->reason));
  if (view.node.state == NodeState::down) text += (text.empty() ? "" : ", ") + spoken("no agent has joined");
  if (const auto& drain = view.node.drain)
    text += (text.empty() ? "" : ", ") + spoken("drained by {0} {1}: {2}", drain->actor.name.empty() ? std::string("?") : drain->actor.name, local_time(drain->since_ms), printable(drain->reason));
  return text.empty() ? "-" : text;
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

/// What only real GPUs tell, each over all of the node's: memory in use, power, the hottest one. "-" = none tells it.
struct Measured {
  std::optional<std::int64_t> memory_bytes, memory_total_bytes, power_milliwatts, hottest_celsius;
};

Measured measured(const protocol::NodeView& view) {
  Measured sum;
  const auto add = [](std::optional<std::int64_t>& to, std::int64_t value) { to = to.value_or(0) + value; };
  for (const DeviceReport& device : view.devices) {
    if (device.memory_used_bytes) {
      add(sum.memory_bytes, *device.memory_used_bytes);
      add(sum.memory_total_bytes, device.memory_total_bytes);
    }
    if (device.power_milliwatts) add(sum.power_milliwatts, *device.power_milliwatts);
    if (device.temperature_celsius) sum.hottest_celsius = std::max(sum.hottest_celsius.value_or(*device.temperature_celsius), *device.temperature_celsius);
  }
  return sum;
}

std::vector<std::string> measured_texts(const protocol::NodeView& view) {
  const Measured sum = measured(view);
  return {sum.memory_bytes ? bytes_text(*sum.memory_bytes) + "/" + bytes_text(*sum.memory_total_bytes) : "-",
          sum.power_milliwatts ? std::to_string((*sum.power_milliwatts + 500) / 1000) + " W" : "-",
          sum.hottest_celsius ? std::to_string(*sum.hottest_celsius) + " °C" : "-"};
}

/// What the cluster file says of it beside GPUs: CPUs, memory, features, leaf switch.
std::vector<std::string> configured(const NodeConfig& config) {
  std::string features;
  for (const std::string& feature : config.features) features += (features.empty() ? "" : ",") + feature;
  return {config.cpus > 0 ? std::to_string(config.cpus) : "-", config.memory_bytes > 0 ? bytes_text(config.memory_bytes) : "-", or_dash(features),
          or_dash(config.leaf)};
}

/// Leaves only the nodes that are asked for: names, or hostlists such as node[01-04].
void choose(std::vector<protocol::NodeView>& nodes, const std::vector<std::string>& asked_for) {
  std::vector<std::string> known;
  for (const protocol::NodeView& view : nodes) known.push_back(view.node.config.name);
  std::set<std::string> chosen;
  for (const std::string& text : asked_for) {
    const auto names = protocol::expand_hostlist(text);
    if (!names)
      usage_error("NODE", spoken("\"{0}\" is no list of nodes", text), spoken("write for example {0}", "node[01-04]"));
    for (const std::string& name : *names) {
      if (std::find(known.begin(), known.end(), name) == known.end())
        throw CommandError(exit_code::not_found,
                           error_line("NODE", spoken("there is no node {0}", name),
                                      did_you_mean(name, known, spoken("'{0}' lists them", "ultra nodes"))));
      chosen.insert(name);
    }
  }
  std::erase_if(nodes, [&](const protocol::NodeView& view) { return chosen.count(view.node.config.name) == 0; });
}

/// Drained nodes by reason, as `sinfo -R` shows them: those that somebody drained together are one line.
void write_reasons(const protocol::NodeList& list, Context& context) {
  std::map<std::tuple<Time, std::string, std::string>, std::vector<std::string>> drains;
  for (const protocol::NodeView& view : list.nodes) {
    const Drain& drain = *view.node.drain;
    drains[{drain.since_ms, drain.actor.name, drain.reason}].push_back(view.node.config.name);
  }
  Table table({{spoken("REASON")}, {spoken("USER")}, {spoken("TIMESTAMP")}, {spoken("NODELIST")}});
  for (const auto& [drain, names] : drains) {
    const auto& [since, user, reason] = drain;
    table.add({printable(reason), user.empty() ? "-" : user, local_time(since), protocol::fold_hostlist(names)});
  }
  if (context.terminal.out_is_terminal && table.empty()) context.err << spoken("No node is drained.") << '\n';
  else table.write(context.out, context.terminal);
}

int nodes(const Arguments& arguments, Context& context) {
  auto answer = Client(context.socket).nodes();
  if (!arguments.positionals.empty()) choose(answer.value.nodes, arguments.positionals);
  if (arguments.has("--reasons")) std::erase_if(answer.value.nodes, [](const protocol::NodeView& view) { return !view.node.drain; });
  if (!arguments.positionals.empty() || arguments.has("--reasons")) answer.body = protocol::to_json(answer.value);
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  if (arguments.has("--reasons")) {
    write_reasons(answer.value, context);
    return exit_code::ok;
  }
  using Align = Table::Align;
  const bool bars = context.terminal.out_is_terminal, wide = arguments.has("--wide");
  std::vector<Table::Column> columns{
      {spoken("NODE")}, {spoken("STATE")}, {spoken("GPUS"), Align::right}, {spoken("USED"), Align::right}};
  if (bars) columns.push_back({""});
  columns.push_back({spoken("UTILIZATION"), Align::right});
  columns.push_back({spoken("TYPE")});
  if (wide) {
    columns.push_back({spoken("CPUS"), Align::right});
    columns.push_back({spoken("MEMORY"), Align::right});
    for (const std::string& title : {spoken("FEATURES"), spoken("LEAF"), spoken("CONTAINMENT"), spoken("JOBS RUN AS")}) columns.push_back({title});
  }
  const bool measures = wide && std::any_of(answer.value.nodes.begin(), answer.value.nodes.end(), [](const protocol::NodeView& view) {
                          const auto texts = measured_texts(view);
                          return std::any_of(texts.begin(), texts.end(), [](const std::string& text) { return text != "-"; });
                        });
  if (measures)
    for (const std::string& title : {spoken("GPU MEMORY"), spoken("POWER"), spoken("HOTTEST")}) columns.push_back({title, Align::right});
  for (const std::string& title : {spoken("JOBS"), spoken("NOTE")}) columns.push_back({title});
  Table table(std::move(columns));
  for (const protocol::NodeView& view : answer.value.nodes) {
    const NodeConfig& config = view.node.config;
    std::vector<Cell> row{config.name, Cell(word(view.node.state), tint_of(view.node.state)),
                          std::to_string(config.gpus), std::to_string(view.allocated)};
    if (bars) {
      std::string devices;
      for (std::int64_t device = 0; device < config.gpus; ++device) {
        const auto index = static_cast<std::size_t>(device);
        devices += index < view.device_jobs.size() && view.device_jobs[index] ? "█" : "░";
      }
      row.emplace_back(devices, view.allocated > 0 ? Tint::green : Tint::dim);
    }
    for (const std::string& text : {mean_utilization(view), or_dash(config.gpu_type)}) row.emplace_back(text);
    if (wide)
      for (const std::string& text : configured(config)) row.emplace_back(text);
    if (wide) {
      row.emplace_back(view.facts ? or_dash(view.facts->containment) : "-");
      row.emplace_back(view.node.state == NodeState::down ? "-" : view.node.launches_as_owner ? spoken("owner") : spoken("agent"));
    }
    if (measures)
      for (const std::string& text : measured_texts(view)) row.emplace_back(text);
    for (const std::string& text : {jobs_on(view), note(view, answer.value.now_ms)}) row.emplace_back(text);
    table.add(std::move(row));
  }
  table.write(context.out, context.terminal);
  return exit_code::ok;
}

}  // namespace

Verb nodes_verb() {
  return {.path = "nodes",
          .summary = "show the nodes, their GPUs and who holds them",
          .positionals = Positionals::nodes,
          .options = {{"--wide", "", "Show CPUs, memory, features, leaf switch, what holds a job's processes together and as whom they run, of real GPUs also memory in use, power and the hottest, too"}, {"--reasons", "", "Only drained nodes: why, by whom and since when", "-R"}, json_option("the API's list")},
          .details =
              "On a terminal each block is one GPU, full when a job holds it. `virtual` GPUs exist only in the "
              "configuration.\nExamples:\n  ultra nodes\n  ultra nodes node07\n  ultra nodes --wide\n  ultra nodes --reasons\n  ultra nodes node[01-04] --json",
          .run = nodes};
}

}  // namespace ultramarine::cli
