#include "worker/agent/agent.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include "scheduler/protocol/codec.h"
#include "worker/agent/node_facts.h"
#include "worker/agent/user_name.h"

namespace ultramarine::agent {

using namespace std::chrono_literals;
using namespace protocol;
using namespace worker_core;

namespace {

constexpr auto sample_interval = 1s;
/// A scheduler that proved the secret but doesn't answer Hello is given up after this.
constexpr auto welcome_patience = 10s;

Time wall_clock() {
  return Time{std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count()};
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id;
}

std::string text_of(const GangKey& key) {
  return "job=" + std::to_string(key.job.value) + " attempt=" + std::to_string(key.attempt) + " gang=" + std::to_string(key.gang);
}

template <class Enum>
std::string word(Enum value) {
  return boost::describe::enum_to_string(value, "?");
}

AgentIdentity identity(const AgentOptions& options, const devices::Inventory& inventory) {
  return {.node = options.node.name,
          .uid = static_cast<std::int64_t>(geteuid()),
          .user = user_name(geteuid()),
          .devices = options.node.gpus,
          .source = inventory.source(),
          .boot_id = boot_id(),
          .version = agent_version(),
          .address = options.address};
}

}  // namespace

std::string agent_version() { return ULTRAMARINE_VERSION; }

Agent::Agent(net::Loop& loop, AgentOptions options, std::unique_ptr<devices::Inventory> inventory, const MakeLauncher& make_launcher,
             OnFatal on_fatal, Backoff backoff)
    : loop_(loop),
      options_(std::move(options)),
      on_fatal_(std::move(on_fatal)),
      started_ms_(wall_clock()),
      started_(std::chrono::steady_clock::now()),
      state_(options_.state_directory),
      machine_(identity(options_, *inventory), state_.load()),
      inventory_(std::move(inventory)),
      metrics_({.version = agent_version(), .revision = ULTRAMARINE_REVISION, .compiler = ULTRAMARINE_COMPILER}),
      launcher_(make_launcher(loop_, state_.jobs_folder(),
                              [this](const FromShim& message) { handle([this, message] { return machine_.on_shim(now(), message); }); })),
      link_(loop_, options_.scheduler, options_.secret,
            {.on_open =
                 [this] {
                   welcome_timer_ = loop_.after(welcome_patience, [this] { link_.drop("no answer to hello"); });
                   handle([this] { return machine_.on_connected(); });
                 },
             .on_message = [this](std::string_view text) { on_message(text); },
             .on_lost =
                 [this](const std::string& why) {
                   welcome_timer_.reset();
                   logs_.cancel_all();
                   is_welcome_ = false;
                   relay_.on_lost();
                   spdlog::warn("event=disconnected scheduler={} why=\"{}\"", options_.scheduler.text(), why);
                   handle([this] {
                     machine_.on_disconnected();
                     return Actions{};
                   });
                 },
             .on_failed =
                 [this](const std::string& why) {
                   if (std::exchange(last_problem_, why) != why)
                     spdlog::warn("event=scheduler_unreachable scheduler={} why=\"{}\" ranks=unharmed", options_.scheduler.text(), why);
                 }},
            backoff),
      logs_(loop_, {.node = options_.node.name,
                    .folder = [this](const GangKey& key) { return launcher_->folder(key); },
                    .ranks =
                        [this](const GangKey& key) {
                          std::vector<std::int64_t> ranks;
                          const auto known = machine_.gangs().find(key);
                          if (known == machine_.gangs().end()) return ranks;
                          const GangRecord& record = known->second.record;
                          for (std::int64_t i = 0; i < rank_count(record); ++i) ranks.push_back(record.first_rank + i);
                          return ranks;
                        },
                    .is_over = [this](const GangKey& key) { return machine_.is_over(key); },
                    .send = [this](const LogChunk& chunk) { link_.send(to_json(FromAgent{chunk})); },
                    .queued_bytes = [this] { return link_.queued_bytes(); }}),
      relay_(loop_, {.is_connected = [this] { return is_welcome_; },
                     .send = [this](const FromAgent& message) { link_.send(to_json(message)); }}) {}

Agent::~Agent() = default;

void Agent::start() {
  sample_devices();
  listen_for_api();
  listen_for_metrics();
  spdlog::info("event=started node={} version={} source={} devices={} state_directory={} gangs={}", options_.node.name, agent_version(),
               inventory_->source() == DeviceSource::nvml ? "nvml" : "virtual", options_.node.gpus, options_.state_directory,
               machine_.gangs().size());
  adopt();
  link_.start();
}

std::optional<net::Endpoint> Agent::metrics_endpoint() const {
  return metrics_server_ ? std::optional(metrics_server_->endpoint()) : std::nullopt;
}

/// Ahead of Hello: what it lists is all that the scheduler believes this node to have.
void Agent::adopt() {
  launcher_->adopt();
  for (const GangRecord& record : machine_.memory().gangs) {
    std::error_code missing;
    const std::filesystem::path folder = launcher_->folder(record.key);
    const bool traces = std::filesystem::is_directory(folder, missing) && !std::filesystem::is_empty(folder, missing);
    if (!traces && !record.finished) handle([this, key = record.key] { return machine_.on_lost_gang(now(), key); });
  }
}

void Agent::listen_for_api() {
  try {
    relay_.listen(api_socket(options_.state_directory));
  } catch (const net::NetError& error) {
    throw AgentError(exit_failure, std::string("state_directory: ") + error.what() + "; choose a folder of a local file system");
  }
}

void Agent::listen_for_metrics() {
  if (!options_.metrics) return;
  const auto answer = [this](const net::Request& request, const std::shared_ptr<net::Reply>& reply) {
    if (request.path != "/metrics") return reply->send({.status = 404, .content_type = "text/plain", .body = "only /metrics is here\n"});
    if (request.method != "GET") return reply->send({.status = 405, .content_type = "text/plain", .body = "GET only\n"});
    reply->send({.content_type = worker_metrics::metrics_content_type, .body = worker_metrics::metrics_text(metrics_)});
  };
  try {
    metrics_server_ = net::listen(loop_, *options_.metrics, answer);
  } catch (const net::NetError& error) {
    throw AgentError(error.error_number == EADDRINUSE ? exit_conflict : exit_failure,
                     std::string("metrics: ") + error.what() + "; choose another address with --metrics or [agent].metrics");
  }
  spdlog::info("event=metrics address={}", metrics_server_->endpoint().text());
}

// ---- inputs ------------------------------------------------------------------------------------------------------

void Agent::on_message(std::string_view text) {
  ToAgent message;
  try {
    message = from_json<ToAgent>(text);
  } catch (const std::exception& error) {
    // Most likely a newer scheduler's word for something that this agent can't do.
    spdlog::warn("event=message_ignored why=\"{}\"", error.what());
    return;
  }
  if (const auto* welcome = std::get_if<Welcome>(&message)) on_welcome(*welcome);
  if (const auto* request = std::get_if<LogRequest>(&message)) logs_.request(*request);
  if (const auto* cancel = std::get_if<LogCancel>(&message)) logs_.cancel(cancel->request);
  if (const auto* over = std::get_if<AttemptOver>(&message)) return launcher_->attempt_over(over->job, over->attempt);
  if (const auto* reply = std::get_if<ApiReply>(&message)) return relay_.on_reply(*reply);
  if (!failed_) handle([this, message = std::move(message)] { return machine_.on_scheduler(now(), message); });
}

void Agent::on_welcome(const Welcome& welcome) {
  welcome_timer_.reset();
  if (!welcome.accepted)
    return fail(AgentError(exit_failure, "the scheduler at " + options_.scheduler.text() + " refuses node " + options_.node.name + ": " +
                                             welcome.error));
  link_.settled();
  is_welcome_ = true;
  last_problem_.clear();
  spdlog::info("event=connected scheduler={} heartbeat_ms={}", options_.scheduler.text(), welcome.heartbeat_ms);
  if (!welcome.node.name.empty() && welcome.node.gpus != options_.node.gpus)
    spdlog::warn("event=configurations_differ field=node.gpus scheduler={} agent={} remedy=\"restart both with the same cluster file\"",
                 welcome.node.gpus, options_.node.gpus);
}

/// One input at a time: what comes in while actions are carried out waits its turn.
void Agent::handle(Input input) {
  inputs_.push_back(std::move(input));
  if (handling_) return;
  handling_ = true;
  try {
    for (; !inputs_.empty() && !failed_; inputs_.pop_front())
      for (Action& action : inputs_.front()()) carry_out(std::move(action));
  } catch (const AgentError& error) {
    fail(error);
  }
  handling_ = false;
  if (failed_) return inputs_.clear();
  refresh_metrics();
  arm_wakeup();
}

// ---- actions -----------------------------------------------------------------------------------------------------

void Agent::carry_out(Action action) {
  std::visit([this](auto& alternative) { act(alternative); }, action);
}

void Agent::act(Remember&) { state_.save(machine_.memory()); }

void Agent::act(Send& action) {
  if (auto* hello = std::get_if<Hello>(&action.message)) {
    hello->devices = samples_;
    hello->facts = node_facts(options_.state_directory, agent_version());
  }
  if (auto* heartbeat = std::get_if<Heartbeat>(&action.message)) heartbeat->devices = samples_;
  if (const auto* report = std::get_if<GangReport>(&action.message))
    spdlog::info("event=gang_report {} phase={} outcome={} detail=\"{}\"", text_of(report->key), word(report->phase),
                 report->outcome ? word(*report->outcome) : "none", report->failure ? report->failure->detail : "");
  link_.send(to_json(action.message));
}

void Agent::act(LaunchPrepare& action) {
  spdlog::info("event=launch {} owner={}", text_of(action.launch.key), action.launch.owner.name);
  launcher_->prepare(action.launch);
}

void Agent::act(TellShim& action) {
  if (std::holds_alternative<Stop>(action.message)) spdlog::info("event=stop {}", text_of(action.key));
  launcher_->send(action.key, action.message);
}

void Agent::act(ForgetGang& action) {
  spdlog::info("event=forget {}", text_of(action.key));
  launcher_->forget(action.key);
}

// ---- time --------------------------------------------------------------------------------------------------------

Time Agent::now() const {
  const auto passed = std::chrono::steady_clock::now() - started_;
  return started_ms_ + milliseconds(std::chrono::duration_cast<std::chrono::milliseconds>(passed).count());
}

void Agent::arm_wakeup() {
  const std::optional<Time> next = machine_.next_wakeup();
  if (!next) return wakeup_.reset();
  const std::chrono::milliseconds delay(std::max<std::int64_t>(0, (*next - now()).ms));
  wakeup_ = loop_.after(delay, [this] { handle([this] { return machine_.on_time(now()); }); });
}

void Agent::sample_devices() {
  devices::DeviceUsers users;
  for (const auto& [key, gang] : machine_.gangs()) {
    if (!gang.live()) continue;
    const std::vector<std::int64_t>& devices = gang.record.devices;
    const std::vector<std::int64_t>& pids = gang.report.pids;
    const bool one_each = rank_count(gang.record) == static_cast<std::int64_t>(devices.size());
    for (std::size_t i = 0; i < devices.size(); ++i) {
      // Ranks that see several devices may use any of them.
      if (!one_each) users[devices[i]].insert(users[devices[i]].end(), pids.begin(), pids.end());
      else if (i < pids.size()) users[devices[i]].push_back(pids[i]);
    }
  }
  samples_ = inventory_->sample(now(), users);
  refresh_metrics();
  sample_timer_ = loop_.after(sample_interval, [this] { sample_devices(); });
}

void Agent::refresh_metrics() {
  worker_metrics::NodeSnapshot snapshot{.node = options_.node.name, .source = inventory_->source(), .devices = samples_};
  for (const auto& [key, gang] : machine_.gangs()) {
    if (!gang.live()) continue;
    for (const std::int64_t device : gang.record.devices) snapshot.jobs[device] = {key.job, gang.record.account};
    snapshot.ranks += static_cast<std::int64_t>(gang.report.pids.size());
  }
  metrics_.update(std::move(snapshot));
}

void Agent::fail(const AgentError& error) {
  if (std::exchange(failed_, true)) return;
  wakeup_.reset();
  on_fatal_(error);
}

}  // namespace ultramarine::agent
