#include "worker/agent/agent.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include "scheduler/protocol/codec.h"
#include "worker/agent/device_record.h"
#include "worker/agent/node_facts.h"
#include "worker/agent/user_name.h"
#include "worker/launcher/process_look.h"

namespace ultramarine::agent {

using namespace std::chrono_literals;
using namespace protocol;
using namespace worker_core;

namespace {

constexpr auto sample_interval = 1s;

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
          .address = options.address,
          .minimum_uid = options.minimum_uid,
          .root_jobs = options.root_jobs};
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
                              [this](const FromShim& message) {
                                if (device_watch_) tell_watch([&](DeviceWatch& watch) { watch.on_shim(now(), message); });
                                else handle([this, message] { return machine_.on_shim(now(), message); });
                              },
                              [this](const NodeTrouble& trouble) { on_trouble(trouble); })),
      link_(loop_, options_.scheduler, options_.secret,
            {.on_open =
                 [this] {
                   welcome_timer_ = loop_.after(options_.welcome_patience, [this] { link_.drop("no answer to hello"); });
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
            backoff, options_.line),
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
  watch_devices();
  sample_devices();
  listen_for_api();
  listen_for_metrics();
  spdlog::info("event=started node={} version={} source={} devices={} state_directory={} gangs={} containment={}", options_.node.name,
               agent_version(), inventory_->source() == DeviceSource::nvml ? "nvml" : "virtual", options_.node.gpus, options_.state_directory,
               machine_.gangs().size(), launcher_->containment() ? launcher_->containment()->kind() : "process_groups");
  adopt();
  link_.start();
  check_health();
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
  if (std::holds_alternative<TerminalInput>(message)) logs_.expect_soon();
  if (const auto* reply = std::get_if<ApiReply>(&message)) return relay_.on_reply(*reply);
  if (failed_) return;
  if (const auto* prepare = std::get_if<Prepare>(&message)) {
    if (const std::string why = state_.why_no_room(); !why.empty())
      return handle([this, launch = prepare->launch.key, why] { return machine_.on_unlaunchable(now(), launch, why); });
  }
  if (const auto* const heard = std::get_if<protocol::Heard>(&message); heard && heard->sequence == heartbeat_sent_.first)
    metrics_.on_heartbeat_answered(std::chrono::duration<double>(std::chrono::steady_clock::now() - heartbeat_sent_.second).count());
  handle([this, message = std::move(message)] { return machine_.on_scheduler(now(), message); });
}

void Agent::on_welcome(const Welcome& welcome) {
  welcome_timer_.reset();
  if (!welcome.accepted)
    return fail(AgentError(exit_failure, "the scheduler at " + options_.scheduler.text() + " refuses node " + options_.node.name + ": " +
                                             welcome.error));
  link_.settled();
  is_welcome_ = true;
  last_problem_.clear();
  // Not before the scheduler listens: what was wrong with an earlier record is told to it now.
  try {
    if (devices::RealInventory* const real = inventory_->real()) write_device_record(options_.state_directory, real->devices());
  } catch (const AgentError& error) {
    return fail(error);
  }
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

void Agent::act(Remember& action) { state_.save(action.change); }

void Agent::act(Send& action) {
  if (auto* hello = std::get_if<Hello>(&action.message)) {
    hello->devices = samples_;
    hello->attempts = launcher_->begun();
    hello->metrics = metrics_for_others(metrics_endpoint(), options_.address);
    hello->facts = node_facts(options_.state_directory, agent_version());
    const launcher::Containment* const containment = launcher_->containment();
    hello->facts->containment = containment ? containment->kind() : "process_groups";
    if (containment) hello->facts->limits = containment->limits();
    if (devices::RealInventory* const real = inventory_->real(); real && !real->driver_version().empty())
      hello->facts->driver = "NVIDIA " + real->driver_version();
  }
  if (auto* heartbeat = std::get_if<Heartbeat>(&action.message)) {
    heartbeat->devices = samples_;
    heartbeat->clock_ms = wall_clock();
    heartbeat_sent_ = {heartbeat->sequence, std::chrono::steady_clock::now()};
  }
  if (const auto* report = std::get_if<GangReport>(&action.message))
    spdlog::info("event=gang_report {} phase={} outcome={} detail=\"{}\"", text_of(report->key), word(report->phase),
                 report->outcome ? word(*report->outcome) : "none", report->failure ? report->failure->detail : "");
  link_.send(to_json(action.message));
}

void Agent::act(LaunchPrepare& action) {
  spdlog::info("event=launch {} owner={}", text_of(action.launch.key), action.launch.owner.name);
  if (const std::string problem = fill_in_devices(action.launch); !problem.empty()) {
    const GangKey key = action.launch.key;
    on_trouble({.reason = problem + "; mend it, restart ultra-agent, then run: ultra resume " + options_.node.name, .requeue = {key}});
    const Failure failure{.node = options_.node.name, .detail = "job " + std::to_string(key.job.value) + " can't start: " + problem, .at_ms = now()};
    const GangReport report{.key = key, .phase = GangPhase::finished, .outcome = Outcome::start_failed, .failure = failure};
    return handle([this, report] { return machine_.on_shim(now(), report); });
  }
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

/// The site's own program says whether this node may take jobs.
void Agent::check_health() {
  if (options_.health_check.empty()) return;
  const auto next = [this] { health_timer_ = loop_.after(options_.health_interval, [this] { check_health(); }); };
  std::erase_if(stuck_checks_, [](const launcher::ProcessIdentity& process) { return !launcher::is_running(process); });
  if (!stuck_checks_.empty()) {  // more of them would be stuck, too
    on_trouble(
        {.reason = "health check of before: " + launcher::described(stuck_checks_.front().pid) + " can't be killed"});
    return next();
  }
  health_check_ = std::make_unique<launcher::NodeScript>(
      loop_, options_.health_check, std::map<std::string, std::string>{{"ULTRA_NODE", options_.node.name}},
      options_.script_deadline, [this, next](const std::string& problem) {
        const auto ended = std::move(health_check_);
        stuck_checks_ = ended->survivors();
        if (!problem.empty()) on_trouble({.reason = "health check " + problem});
        next();
      });
}

void Agent::on_trouble(const NodeTrouble& trouble) {
  spdlog::error("event=node_trouble reason=\"{}\"", trouble.reason);
  handle([this, trouble] { return machine_.on_trouble(trouble); });
}

// ---- real devices ------------------------------------------------------------------------------------------------

/// Whatever it is told, its timer is set anew afterwards.
void Agent::tell_watch(const std::function<void(DeviceWatch&)>& work) {
  work(*device_watch_);
  const std::optional<Time> next = device_watch_->next_wakeup();
  if (!next) return device_timer_.reset();
  const std::chrono::milliseconds delay(std::max<std::int64_t>(0, (*next - now()).ms));
  device_timer_ = loop_.after(delay, [this] { tell_watch([this](DeviceWatch& watch) { watch.on_time(now()); }); });
}

void Agent::watch_devices() {
  devices::RealInventory* const real = inventory_->real();
  if (!real) return;
  follow_kernel_log();
  device_watch_ = std::make_unique<DeviceWatch>(
      real->devices(), DeviceWatch::Doors{.node = options_.node.name,
                                          .release_ms = options_.device_release_ms,
                                          .tolerance_bytes = options_.device_tolerance_bytes,
                                          .kernel_log = kernel_log_ != nullptr,
                                          .pass = [this](const FromShim& message) { handle([this, message] { return machine_.on_shim(now(), message); }); },
                                          .lost =
                                              [this](const std::vector<std::int64_t>& devices, const Failure& failure) {
                                                handle([this, devices, failure] { return machine_.on_device_lost(devices, failure); });
                                              },
                                          .trouble = [this](const NodeTrouble& trouble) { on_trouble(trouble); },
                                          .note = [](const std::string& text) { spdlog::warn("event=device_note text=\"{}\"", text); },
                                          .look_soon = [real] { return real->look_soon(); },
                                          .gangs = [this]() -> const std::map<GangKey, KnownGang>& { return machine_.gangs(); }});
  std::string problems;
  for (const std::string& problem : real->problems()) problems += (problems.empty() ? "" : "; ") + problem;
  if (!problems.empty()) on_trouble({.reason = problems});
  const auto post = [this, alive = std::weak_ptr<bool>(alive_)](auto work) {
    loop_.post([this, alive, work] {
      if (alive.lock()) tell_watch(work);
    });
  };
  real->start(
      [this, post](const devices::DeviceLook& look) {
        post([this, look](DeviceWatch& watch) {
          for (std::size_t i = 0; i < look.healths.size(); ++i) details_[static_cast<std::int64_t>(i)].health = look.healths[i];
          watch.on_look(now(), look);
        });
      },
      [this, post](std::int64_t device, std::int64_t xid) {
        post([this, device, xid](DeviceWatch& watch) {
          ++details_[device].xids[xid];
          details_[device].newest_xid = xid;
          watch.on_xid(now(), device, xid);
        });
      });
}

void Agent::follow_kernel_log() {
  if (options_.kernel_log.empty()) return;
  try {
    kernel_log_ = std::make_unique<devices::KernelLog>(options_.kernel_log);
    kernel_watch_ = loop_.on_readable(kernel_log_->descriptor(), [this] {
      for (const devices::KernelXid& line : kernel_log_->read()) tell_watch([&](DeviceWatch& watch) { watch.on_kernel(now(), line); });
    });
  } catch (const std::exception& error) {
    kernel_log_.reset();
    spdlog::warn("event=kernel_log_unreadable why=\"{}\" remedy=\"run the agent as root, or name another file in [agent] kernel_log\" xids=from_the_driver_only",
                 error.what());
  }
}

/// What the launch's device indices stand for here; otherwise why it can't have them.
std::string Agent::fill_in_devices(LaunchSpec& launch) const {
  devices::RealInventory* const real = inventory_->real();
  if (!real) return "";
  launch.local_devices.clear();
  for (const Allocation* const allocation : {&launch.allocation, &launch.job_allocation})
    for (const NodeAllocation& part : *allocation)
      for (const std::int64_t device : part.devices) {
        const auto known = [device](const LocalDevice& local) { return local.device == device; };
        if (part.node != launch.node || std::any_of(launch.local_devices.begin(), launch.local_devices.end(), known)) continue;
        if (const auto problem = device_watch_->refusal(device)) return *problem;
        const devices::RealDevice& one = real->devices().at(static_cast<std::size_t>(device));
        launch.local_devices.push_back({.device = device, .uuid = one.uuid, .minor = one.minor, .bus_position = one.bus_position});
      }
  return "";
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
  if (devices::RealInventory* const real = inventory_->real()) {
    snapshot.driver = real->driver_version();
    snapshot.with_dcgm_names = options_.dcgm_names;
    snapshot.details = details_;
    for (std::size_t i = 0; i < real->devices().size(); ++i) {
      worker_metrics::DeviceDetails& details = snapshot.details[static_cast<std::int64_t>(i)];
      details.pci = real->devices()[i].pci;
      details.minor = real->devices()[i].minor;
      details.is_healthy = real->devices()[i].present && (!device_watch_ || !device_watch_->refusal(static_cast<std::int64_t>(i)));
    }
  }
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
