#include "worker/launcher/shim_client.h"

#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fstream>
#include <set>

#include "scheduler/net/listening_socket.h"
#include "worker/launcher/command_check.h"
#include "worker/launcher/local_devices.h"
#include "worker/launcher/locked_memory.h"
#include "worker/launcher/log_tail.h"
#include "worker/launcher/message_text.h"
#include "worker/launcher/privileged/as_owner.h"
#include "worker/launcher/privileged/start_as_user.h"
#include "worker/launcher/process_look.h"
#include "worker/launcher/process_start.h"
#include "worker/launcher/rank_environment.h"
#include "worker/launcher/scratch_folders.h"
#include "worker/launcher/wall_clock.h"

namespace ultramarine::launcher {
namespace {

/// A fresh shim that hasn't opened its socket by then never will.
constexpr auto first_word_max = std::chrono::seconds(20);
constexpr auto quick_retry = std::chrono::milliseconds(20);
constexpr auto slow_retry = std::chrono::milliseconds(500);
constexpr auto quick_phase = std::chrono::seconds(2);
constexpr auto kill_interval = std::chrono::milliseconds(20);
constexpr std::size_t waiting_max = 1000;
/// Beyond the grace, a shim has this long to stop its gang.
constexpr auto shim_patience = std::chrono::milliseconds(1000);
constexpr auto enforce_interval = std::chrono::milliseconds(200);

/// A file that is missing, unreadable or half written has no value for us.
template <class T>
std::optional<T> value_in(const std::string& path, std::size_t bytes_max = message_bytes_max) {
  try {
    if (const auto text = read_whole(path, bytes_max)) return from_text<T>(*text);
  } catch (const std::exception&) {
  }
  return std::nullopt;
}

AttemptLimits limits_of(const protocol::LaunchSpec& launch, const LauncherOptions& options) {
  const Allocation& allocation = job_allocation(launch);
  const auto share = std::find_if(allocation.begin(), allocation.end(), [&](const NodeAllocation& part) { return part.node == launch.node; });
  const std::vector<std::int64_t> devices = share == allocation.end() ? std::vector<std::int64_t>() : share->devices;
  const auto count = static_cast<std::int64_t>(devices.size());
  AttemptLimits limits{.memory_bytes = launch.spec.memory_per_gpu_bytes * count,
                       .processes = options.processes_max,
                       .cpus = launch.spec.cpus_per_gpu * count};
  if (!launch.virtual_devices) limits.denied_devices = other_gpus(options.devices_folder, device_minors(launch, devices));
  return limits;
}

}  // namespace

template <class Work>
auto ShimClient::while_alive(Work work) {
  return [weak = weak_from_this(), work = std::move(work)](auto&&... arguments) mutable {
    if (const auto self = weak.lock()) work(std::forward<decltype(arguments)>(arguments)...);
  };
}

ShimClient::ShimClient(net::Loop& loop, GangKey key, LauncherOptions options, std::string scratch_folder, std::shared_ptr<OnShimMessage> on_message,
                       std::function<void(std::unique_ptr<GangGroup>)> retire)
    : loop_(loop),
      key_(key),
      options_(std::move(options)),
      scratch_folder_(std::move(scratch_folder)),
      folder_{options_.jobs_folder + "/" + text_of(key)},
      on_message_(std::move(on_message)),
      retire_(std::move(retire)) {}

ShimClient::~ShimClient() {
  if (connection_) connection_->close();
  shim_watch_.reset();
  if (shim_descriptor_ >= 0) ::close(shim_descriptor_);
}

// ---- beginnings ----------------------------------------------------------------------------------------------------

void ShimClient::launch(const protocol::LaunchSpec& launch) {
  node_ = launch.node;
  stop_grace_ = std::chrono::milliseconds(launch.spec.stop_grace_ms.ms);
  loop_.post(while_alive([this, launch] { launch_now(launch); }));
}

void ShimClient::adopt() {
  loop_.post(while_alive([this] { adopt_now(); }));
}

void ShimClient::launch_now(const protocol::LaunchSpec& launch) {
  try {
    if (const std::string problem = find_user(launch.owner.uid); !problem.empty()) return refuse(problem);
    make_private_folder(options_.jobs_folder);
    if (user_) {
      make_owned_folder(folder_.path, user_->uid, user_->gid);
      if (!scratch_folder_.empty()) make_owned_folder(scratch_folder_, user_->uid, user_->gid);
    } else {
      make_private_folder(folder_.path);
    }
    if (options_.containment) group_ = options_.containment->make(key_, limits_of(launch, options_));
    const AsOwner as_owner(folder_.path);
    // It doesn't outlive the power: what has not begun then begins nowhere, and the scheduler knows of the reboot.
    write_whole(folder_.launch(), to_text(LaunchOrder{.settings = settings(), .launch = launch}));
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
  start_shim(launch);
}

/// What stands against running a gang of this user here; "" = nothing. Only an agent that is root can be anybody but itself.
std::string ShimClient::find_user(std::int64_t uid) {
  if (::geteuid() != 0 || (uid == 0 && options_.root_jobs)) return "";
  UserLookup found = look_up_user(uid, options_.minimum_uid);
  user_ = std::move(found.user);
  return user_ ? "" : "job " + std::to_string(key_.job.value) + " can't run on " + node_ + ": " + found.problem;
}

ShimSettings ShimClient::settings() const {
  return {.peer_host = options_.peer_host,
          .api_socket = options_.api_socket,
          .scratch_folder = scratch_folder_,
          .log_bytes_max = options_.log_bytes_max,
          .contained = group_ != nullptr,
          .private_tmp = options_.private_tmp,
          .boot_id = boot_id(),
          .spared = ::getuid() == 0};  // the effective one is the owner's just now
}

void ShimClient::adopt_now() {
  if (options_.containment) group_ = options_.containment->find(key_);
  const auto report = report_on_disk();
  if (report) {
    newest_ = report;
    node_ = report->peer.node;
  }
  if (report && report->phase == GangPhase::finished) {
    for (const auto& checkpoint : checkpoints_on_disk()) deliver(checkpoint);
    // It may still be there for the gang's other nodes.
    const auto pid = shim_on_disk();
    if (pid && pid->boot_id == boot_id() && is_running(pid->process)) shim_ = pid->process;
    return finish_when_empty(*report);
  }
  if (find_living_shim()) return;
  // Without pid and report the earlier agent ended before its shim began: begin it now. Should one be on its way after all, then the
  // lock in the folder lets only one of the two go on, and `resolve` finds that one.
  if (!report && !shim_on_disk()) {
    if (auto order = order_on_disk()) {
      node_ = order->launch.node;
      stop_grace_ = std::chrono::milliseconds(order->launch.spec.stop_grace_ms.ms);
      order->launch.memlock_bytes = 0;  // by now it is its owner's word, and good for nothing that takes root
      // A gang that has lost its group (its agent made that before the folder's files) is not begun outside of one.
      if (order->settings.boot_id == boot_id() && (group_ || !options_.containment)) return start_shim(order->launch);
    }
  }
  resolve();
}

void ShimClient::start_shim(const protocol::LaunchSpec& launch) {
  if (const std::string problem = find_user(owner_of(folder_.path)); !problem.empty()) return refuse(problem);
  const std::vector<std::string> entrances = group_ ? group_->entrances() : std::vector<std::string>();
  const std::vector<std::string> arguments = {"--folder", folder_.path};
  OwnMounts mounts;
  try {
    if (options_.private_tmp) mounts = make_private_folders(scratch_folder_);
  } catch (const FolderError& error) {
    return refuse(error.what());
  }
  const std::string program = options_.shim_program + (needs_full_shim(launch) ? "-full" : "");
  const net::FileDescriptor socket = listening_socket();
  std::int64_t pid = -1;
  std::string why;
  if (user_) {
    const UserStartResult result = start_as_user({.user = *user_,
                                                  .program = program,
                                                  .arguments = {program, arguments[0], arguments[1]},
                                                  .log_file = folder_.log(),
                                                  .entrances = entrances,
                                                  .limits = locked_memory_limits(launch.memlock_bytes),
                                                  .mounts = mounts,
                                                  .input = socket.get()});
    pid = result.pid;
    if (result.step != PrivilegedStep::none)
      why = std::string(name_of(result.step)) + " as user " + user_->name + ": " + std::strerror(result.error_number);
  } else {
    const StartResult result = start_detached(program, arguments, folder_.log(), entrances, mounts, socket.get());
    pid = result.pid;
    if (result.step == StartStep::program) why = refused_program(program, result.error_number, node_);
    else if (result.step == StartStep::containment) why = std::string("it can't enter its control group: ") + std::strerror(result.error_number);
    else if (result.step == StartStep::mounts) why = std::string("it can't have a /tmp and /dev/shm of its own: ") + std::strerror(result.error_number);
    else if (result.step != StartStep::none) why = std::string("can't start a process: ") + std::strerror(result.error_number);
  }
  if (!why.empty()) return refuse("the supervisor can't be started: " + why);
  const auto process = identify(pid);
  if (!process) return resolve();
  watch(*process);
  may_spare_ = ::geteuid() == 0;
  connecting_since_ = std::chrono::steady_clock::now();
  if (shim_) try_connect();
}

/// The shim's socket, made before it: then nobody has to ask again and again whether it is there. None where another shim may have made one.
net::FileDescriptor ShimClient::listening_socket() const {
  const AsOwner as_owner(folder_.path);
  try {
    if (::access(folder_.socket().c_str(), F_OK) != 0) return net::listening_socket(ShortName(folder_.socket()).text(), 0600);
  } catch (const net::NetError& error) {
    spdlog::warn("gang {}: its supervisor makes its socket itself: {}", text_of(key_), error.what());
  }
  return net::FileDescriptor();
}

/// When memory runs out on the node, the kernel is to choose ranks, not who says how they ended. Not before they run: they would inherit it, and
/// could take it back whenever they like. Only of a shim that we started ourselves; a pid in its folder is the user's word.
void ShimClient::spare_shim() {
  if (!std::exchange(may_spare_, false) || !shim_) return;
  std::ofstream file("/proc/" + std::to_string(shim_->pid) + "/oom_score_adj");
  if (is_running(*shim_)) file << "-900" << std::flush;  // opened before we looked: it can't be another's by now
}

/// True when shim.pid names a process that lives: it is then watched and connected to.
bool ShimClient::find_living_shim() {
  const auto pid = shim_on_disk();
  if (!pid || pid->boot_id != boot_id() || !is_running(pid->process)) return false;
  if (pid->stop_grace_ms.ms > 0) stop_grace_ = std::chrono::milliseconds(pid->stop_grace_ms.ms);
  watch(pid->process);
  if (!shim_) return false;
  connecting_since_ = std::chrono::steady_clock::now();
  try_connect();
  return true;
}

void ShimClient::watch(const ProcessIdentity& process) {
  shim_descriptor_ = open_process(process);
  if (shim_descriptor_ < 0) return loop_.post(while_alive([this] { resolve(); }));
  shim_ = process;
  shim_watch_ = loop_.on_readable(shim_descriptor_, while_alive([this] { shim_gone(); }));
}

void ShimClient::shim_gone() {
  if (!shim_) return;
  shim_watch_.reset();
  ::close(std::exchange(shim_descriptor_, -1));
  ::waitpid(static_cast<pid_t>(shim_->pid), nullptr, WNOHANG);  // ours to reap only where we are its subreaper
  shim_.reset();
  // With a connection its last words are still to be read; its end brings us to `resolve`.
  if (!connection_ && !connecting_) resolve();
}

// ---- the connection ------------------------------------------------------------------------------------------------

void ShimClient::try_connect() {
  if (finished_ || connecting_ || connection_) return;
  connecting_ = true;
  socket_name_ = std::make_unique<ShortName>(folder_.socket());
  net::connect(loop_, net::Endpoint{.path = socket_name_->text()}, "/v1/shim",
               while_alive([this](std::shared_ptr<net::Connection> connection) {
                 connecting_ = false;
                 connected(std::move(connection));
               }),
               while_alive([this](const net::NetError&) {
                 connecting_ = false;
                 retry_connect();
               }));
}

void ShimClient::retry_connect() {
  if (finished_) return;
  if (!shim_) return resolve();
  const auto waited = std::chrono::steady_clock::now() - connecting_since_;
  if (!has_spoken_ && !newest_ && waited > first_word_max) {
    spdlog::error("the supervisor of gang {} does not answer and is killed", text_of(key_));
    send_signal(*shim_, SIGKILL);  // its end brings us to `resolve`
    return;
  }
  timer_ = loop_.after(waited < quick_phase ? quick_retry : slow_retry, while_alive([this] { try_connect(); }));
}

void ShimClient::connected(std::shared_ptr<net::Connection> connection) {
  socket_name_.reset();
  // Whoever put that socket there must be the gang's user: a link to somebody else's is not followed any further.
  if (const std::int64_t owner = owner_of(folder_.path); owner >= 0 && connection->peer().uid != owner) {
    spdlog::warn("the socket of gang {} belongs to uid {}, not to its owner", text_of(key_), connection->peer().uid);
    connection->close();
    return retry_connect();
  }
  connection_ = std::move(connection);
  connection_->on_message(while_alive([this](std::string_view text) { receive(text); }));
  connection_->on_closed(while_alive([this, closed = std::weak_ptr<net::Connection>(connection_)](const std::string&) {
    if (connection_ != closed.lock()) return;
    connection_.reset();
    connecting_since_ = std::chrono::steady_clock::now();
    retry_connect();
  }));
  for (const auto& message : std::exchange(waiting_, {})) connection_->send(to_text(message));
}

void ShimClient::receive(std::string_view text) {
  try {
    const auto message = from_text<protocol::FromShim>(text);
    // A shim runs as the user: he may say of his own gang what he likes, and of no other.
    if (std::visit([](const auto& one) { return one.key; }, message) != key_) throw std::runtime_error("it speaks of another gang");
    has_spoken_ = true;
    if (const auto* report = std::get_if<GangReport>(&message)) {
      node_ = report->peer.node;
      newest_ = *report;
      if (report->phase == GangPhase::finished) return finish_when_empty(*report);
      if (report->phase == GangPhase::running) spare_shim();
      if (report->phase == GangPhase::stopping && !enforce_at_) expect_end_within(stop_grace_);  // else we told it to
    }
    deliver(message);
  } catch (const std::exception& error) {
    spdlog::warn("the supervisor of gang {} says what is not understood: {}", text_of(key_), error.what());
  }
}

void ShimClient::send(const protocol::ToShim& message) {
  if (finished_) {
    if (const auto* recorded = std::get_if<protocol::CheckpointRecorded>(&message)) return forget_checkpoint(recorded->step);
    return repeat();
  }
  if (const auto* stop = std::get_if<protocol::Stop>(&message)) expect_end_within(std::chrono::milliseconds(stop->grace_ms.ms));
  if (connection_) return connection_->send(to_text(message));
  if (waiting_.size() < waiting_max) waiting_.push_back(message);
}

void ShimClient::repeat() {
  loop_.post(while_alive([this] {
    if (newest_) deliver(*newest_);
  }));
}

// ---- ends ----------------------------------------------------------------------------------------------------------

/// The shim is gone: its last report says how the gang ended, or it was killed itself.
void ShimClient::resolve() {
  if (finished_) return;
  const auto report = report_on_disk();
  if (report) newest_ = report;
  if (report && report->phase == GangPhase::finished) {
    for (const auto& checkpoint : checkpoints_on_disk()) deliver(checkpoint);
    return finish_when_empty(*report);
  }
  if (find_living_shim()) return;
  kill_leftovers();
}

/// Ranks die with their shim, but what they started may have escaped: killed by its mark until nothing is left.
void ShimClient::kill_leftovers() {
  if (finished_) return;
  const auto leftovers = leftovers_on_disk();
  if (leftovers && node_.empty()) node_ = leftovers->node;
  const bool rebooted = leftovers ? leftovers->boot_id != boot_id() : began_before_reboot();
  if (!rebooted && leftovers && !group_) find_marked(*leftovers);
  if (!rebooted && !survivors().empty()) {
    const auto now = std::chrono::steady_clock::now();
    if (!enforced_since_) enforced_since_ = now;
    kill_survivors();
    say_stuck();
    // Looking for them reads much of /proc: what doesn't go at once is not asked for all the time.
    timer_ = loop_.after(now - *enforced_since_ < quick_phase ? kill_interval : slow_retry, while_alive([this] { kill_leftovers(); }));
    return;
  }
  if (leftovers) {
    const AsOwner as_owner(folder_.path);
    for (const std::string& folder : leftovers->folders) remove_folder(folder);
  }
  report_loss(rebooted);
}

/// What a shim without a control group has left, into `leftovers_`.
void ShimClient::find_marked(const Leftovers& leftovers) {
  std::set<ProcessIdentity> roots(leftovers.ranks.begin(), leftovers.ranks.end());
  for (const ProcessIdentity& marked : processes_with_environment(leftovers.mark)) roots.insert(marked);
  // Those met before stay in the list: a process that is just dying has no environment any more, but isn't gone yet.
  leftovers_.insert(roots.begin(), roots.end());
  for (const ProcessIdentity& root : roots) {
    if (!is_running(root)) continue;
    for (const ProcessIdentity& below : descendants_of(root.pid)) leftovers_.insert(below);
  }
  // Which these are is the word of the folder's owner, and good for his own processes only.
  const std::int64_t owner = owner_of(folder_.path);
  std::erase_if(leftovers_, [owner](const ProcessIdentity& process) { return !is_running(process) || !belongs_to(process.pid, owner); });
}

void ShimClient::report_loss(bool rebooted) {
  GangReport report = newest_.value_or(GangReport{.key = key_});
  report.peer.node = node_;
  report.phase = GangPhase::finished;
  // Once its ranks run, a shim takes away what it was started with.
  const bool ran = !report.pids.empty() || (shim_on_disk() && !order_on_disk());
  report.outcome = !ran ? Outcome::start_failed : rebooted ? Outcome::node_lost : Outcome::supervisor_lost;
  if (!report.failure) {
    std::string detail;
    if (rebooted) {
      detail = node_ + " was rebooted while the gang was there";
    } else if (ran) {
      detail = "the supervisor of the gang on " + node_ + " was killed; its ranks were killed with it";
    } else {
      detail = "the supervisor of the gang on " + node_ + " ended before any rank ran";
    }
    report.failure = Failure{
        .rank = -1, .node = node_, .detail = detail, .node_at_fault = true, .last_lines = shim_log_tail(), .at_ms = wall_clock_now()};
  }
  try {
    const AsOwner as_owner(folder_.path);
    for (const std::string& file : {folder_.launch(), folder_.socket(), folder_.progress()}) remove_file(file);
    write_durably(folder_.report(), to_text(report));
  } catch (const FolderError& error) {
    spdlog::error("{}", error.what());
  }
  for (const auto& checkpoint : checkpoints_on_disk()) deliver(checkpoint);
  finish(report);
}

/// No shim could be started. Written down, so that the next agent knows it too.
void ShimClient::refuse(const std::string& detail) {
  GangReport report{.key = key_, .phase = GangPhase::finished, .outcome = Outcome::start_failed};
  report.peer.node = node_;
  report.failure = Failure{.rank = -1, .node = node_, .detail = detail, .node_at_fault = true, .at_ms = wall_clock_now()};
  try {
    const AsOwner as_owner(folder_.path);
    remove_file(folder_.launch());
    write_durably(folder_.report(), to_text(report));
  } catch (const FolderError&) {
    // That the folder can't be written may be just what is being reported.
  }
  finish(report);
}

void ShimClient::finish(GangReport report) {
  if (finished_) return;
  finished_ = true;
  timer_.reset();
  enforce_timer_.reset();
  if (group_) retire_(std::move(group_));
  waiting_.clear();
  newest_ = report;
  deliver(report);
}

/// The gang's devices are free once nothing of it is left but its shim, which may stay for the gang's other nodes.
void ShimClient::finish_when_empty(GangReport report) {
  if (finished_) return;
  if (!group_ || survivors().empty()) return finish(std::move(report));
  if (!enforced_since_) enforced_since_ = std::chrono::steady_clock::now();
  kill_survivors();
  say_stuck();
  timer_ = loop_.after(kill_interval, while_alive([this, report = std::move(report)] { finish_when_empty(report); }));
}

/// The shim stops the gang. Should it not get there (processes that fork faster than it looks, a shim that is stopped itself), then we do.
void ShimClient::expect_end_within(std::chrono::milliseconds grace) {
  if (finished_) return;
  const auto at = std::chrono::steady_clock::now() + grace + shim_patience;
  if (enforce_at_ && *enforce_at_ <= at) return;
  enforce_at_ = at;
  enforce_timer_ = loop_.after(grace + shim_patience, while_alive([this] { enforce(); }));
}

void ShimClient::enforce() {
  if (finished_) return;
  if (!enforced_since_) enforced_since_ = std::chrono::steady_clock::now();
  const bool none_left = survivors().empty();
  if (!none_left) kill_survivors();
  if (none_left && shim_ && std::chrono::steady_clock::now() - *enforced_since_ > options_.stuck_after) {
    spdlog::error("the supervisor of gang {} has nothing left to supervise and does not end: it is killed", text_of(key_));
    send_signal(*shim_, SIGKILL);  // its end brings us to `resolve`
  }
  say_stuck();
  enforce_timer_ = loop_.after(enforce_interval, while_alive([this] { enforce(); }));
}

/// Processes of the gang without its shim.
std::vector<std::int64_t> ShimClient::survivors() const {
  std::vector<std::int64_t> pids;
  if (group_) {
    pids = group_->processes();
  } else if (shim_) {
    for (const ProcessIdentity& process : descendants_of(shim_->pid)) pids.push_back(process.pid);
  } else {
    for (const ProcessIdentity& process : leftovers_) pids.push_back(process.pid);
  }
  if (shim_) std::erase(pids, shim_->pid);
  return pids;
}

void ShimClient::kill_survivors() {
  if (group_) return group_->kill_all_but(shim_ ? shim_->pid : 0);
  if (shim_) {
    for (const ProcessIdentity& process : descendants_of(shim_->pid)) send_signal(process, SIGKILL);
  }
  for (const ProcessIdentity& process : leftovers_) send_signal(process, SIGKILL);
}

/// Once, when it has gone on for long.
void ShimClient::say_stuck() {
  if (said_stuck_ || !options_.on_trouble || !enforced_since_ || std::chrono::steady_clock::now() - *enforced_since_ < options_.stuck_after) return;
  const auto pids = survivors();
  if (pids.empty()) return;
  said_stuck_ = true;
  std::string names;
  constexpr std::size_t names_max = 3;
  for (std::size_t i = 0; i < pids.size() && i < names_max; ++i) names += (names.empty() ? "" : ", ") + described(pids[i]);
  if (pids.size() > names_max) names += " and " + std::to_string(pids.size() - names_max) + " more";
  options_.on_trouble({.reason = "GPUs of job " + std::to_string(key_.job.value) + " are quarantined: " + names + " can't be killed"});
}

void ShimClient::deliver(const protocol::FromShim& message) {
  const auto handler = on_message_;  // the handler may end us
  (*handler)(message);
}

// ---- files ---------------------------------------------------------------------------------------------------------

std::optional<GangReport> ShimClient::report_on_disk() const {
  const AsOwner as_owner(folder_.path);
  auto report = value_in<GangReport>(folder_.report());
  return report && report->key == key_ ? report : std::nullopt;
}

std::vector<protocol::CheckpointReport> ShimClient::checkpoints_on_disk() const {
  const AsOwner as_owner(folder_.path);
  return value_in<std::vector<protocol::CheckpointReport>>(folder_.checkpoints()).value_or(std::vector<protocol::CheckpointReport>{});
}

/// The process that the folder names. Where the folder is somebody else's, it counts only if it is that user's.
std::optional<ShimPid> ShimClient::shim_on_disk() const {
  std::optional<ShimPid> pid;
  {
    const AsOwner as_owner(folder_.path);
    pid = value_in<ShimPid>(folder_.pid());
  }
  if (pid && identify(pid->process.pid) && !belongs_to(pid->process.pid, owner_of(folder_.path))) return std::nullopt;
  return pid;
}

std::optional<Leftovers> ShimClient::leftovers_on_disk() const {
  const AsOwner as_owner(folder_.path);
  return value_in<Leftovers>(folder_.leftovers(), leftovers_bytes_max);
}

std::vector<std::string> ShimClient::shim_log_tail() const {
  const AsOwner as_owner(folder_.path);
  return last_lines_of(folder_.log(), last_lines_max);
}

std::optional<LaunchOrder> ShimClient::order_on_disk() const {
  const AsOwner as_owner(folder_.path);
  return value_in<LaunchOrder>(folder_.launch());
}

/// Also when nobody can say any more.
bool ShimClient::began_before_reboot() const {
  if (const auto pid = shim_on_disk()) return pid->boot_id != boot_id();
  const auto order = order_on_disk();
  return !order || order->settings.boot_id != boot_id();
}

void ShimClient::forget_checkpoint(std::int64_t step) {
  const AsOwner as_owner(folder_.path);
  auto checkpoints = checkpoints_on_disk();
  if (std::erase_if(checkpoints, [&](const auto& checkpoint) { return checkpoint.step == step; }) == 0) return;
  try {
    write_durably(folder_.checkpoints(), to_text(checkpoints));
  } catch (const FolderError& error) {
    spdlog::warn("{}", error.what());
  }
}

}  // namespace ultramarine::launcher
