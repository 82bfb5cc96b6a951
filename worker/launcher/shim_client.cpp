#include "worker/launcher/shim_client.h"

#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <set>

#include "worker/launcher/command_check.h"
#include "worker/launcher/log_tail.h"
#include "worker/launcher/message_text.h"
#include "worker/launcher/process_start.h"
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

/// A file that is missing, unreadable or half written has no value for us.
template <class T>
std::optional<T> value_in(const std::string& path) {
  try {
    if (const auto text = read_whole(path)) return from_text<T>(*text);
  } catch (const std::exception&) {
  }
  return std::nullopt;
}

}  // namespace

template <class Work>
auto ShimClient::while_alive(Work work) {
  return [weak = weak_from_this(), work = std::move(work)](auto&&... arguments) mutable {
    if (const auto self = weak.lock()) work(std::forward<decltype(arguments)>(arguments)...);
  };
}

ShimClient::ShimClient(net::Loop& loop, GangKey key, LauncherOptions options, std::string scratch_folder, std::shared_ptr<OnShimMessage> on_message)
    : loop_(loop),
      key_(key),
      options_(std::move(options)),
      scratch_folder_(std::move(scratch_folder)),
      folder_{options_.jobs_folder + "/" + text_of(key)},
      on_message_(std::move(on_message)) {}

ShimClient::~ShimClient() {
  if (connection_) connection_->close();
  shim_watch_.reset();
  if (shim_descriptor_ >= 0) ::close(shim_descriptor_);
}

// ---- beginnings ----------------------------------------------------------------------------------------------------

void ShimClient::launch(const protocol::LaunchSpec& launch) {
  node_ = launch.node;
  loop_.post(while_alive([this, launch] { launch_now(launch); }));
}

void ShimClient::adopt() {
  loop_.post(while_alive([this] { adopt_now(); }));
}

void ShimClient::launch_now(const protocol::LaunchSpec& launch) {
  try {
    make_private_folder(folder_.path);
    write_durably(folder_.settings(), to_text(settings()));
    write_durably(folder_.launch(), to_text(launch));
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
  start_shim();
}

ShimSettings ShimClient::settings() const {
  return {.peer_host = options_.peer_host,
          .api_socket = options_.api_socket,
          .scratch_folder = scratch_folder_,
          .log_bytes_max = options_.log_bytes_max};
}

void ShimClient::adopt_now() {
  const auto report = report_on_disk();
  if (report) {
    newest_ = report;
    node_ = report->peer.node;
  }
  if (report && report->phase == GangPhase::finished) {
    for (const auto& checkpoint : checkpoints_on_disk()) deliver(checkpoint);
    return finish(*report);
  }
  if (find_living_shim()) return;
  // Without pid and report the earlier agent ended before its shim began: begin it now. Should one be on its way after all, then the
  // lock in the folder lets only one of the two go on, and `resolve` finds that one.
  if (!report && !value_in<ShimPid>(folder_.pid()) && read_whole(folder_.launch())) return start_shim();
  resolve();
}

void ShimClient::start_shim() {
  const StartResult result = start_detached(options_.shim_program, {"--folder", folder_.path}, folder_.log());
  if (result.step != StartStep::none) {
    const std::string why = result.step == StartStep::program ? refused_program(options_.shim_program, result.error_number, node_)
                                                              : std::string("can't start a process: ") + std::strerror(result.error_number);
    return refuse("the supervisor can't be started: " + why);
  }
  const auto process = identify(result.pid);
  if (!process) return resolve();
  watch(*process);
  connecting_since_ = std::chrono::steady_clock::now();
  if (shim_) try_connect();
}

/// True when shim.pid names a process that lives: it is then watched and connected to.
bool ShimClient::find_living_shim() {
  const auto pid = value_in<ShimPid>(folder_.pid());
  if (!pid || pid->boot_id != boot_id() || !is_running(pid->process)) return false;
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
    has_spoken_ = true;
    if (const auto* report = std::get_if<GangReport>(&message)) {
      node_ = report->peer.node;
      newest_ = *report;
      if (report->phase == GangPhase::finished) return finish(*report);
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
    return finish(*report);
  }
  if (find_living_shim()) return;
  kill_leftovers();
}

/// Ranks die with their shim, but what they started may have escaped: killed by its mark until nothing is left.
void ShimClient::kill_leftovers() {
  if (finished_) return;
  const auto leftovers = value_in<Leftovers>(folder_.leftovers());
  if (!leftovers) return report_loss(false);
  if (node_.empty()) node_ = leftovers->node;
  const bool rebooted = leftovers->boot_id != boot_id();
  if (!rebooted) {
    std::set<ProcessIdentity> roots(leftovers->ranks.begin(), leftovers->ranks.end());
    for (const ProcessIdentity& marked : processes_with_environment(leftovers->mark)) roots.insert(marked);
    // Those met before stay in the list: a process that is just dying has no environment any more, but isn't gone yet.
    leftovers_.insert(roots.begin(), roots.end());
    for (const ProcessIdentity& root : roots) {
      if (!is_running(root)) continue;
      for (const ProcessIdentity& below : descendants_of(root.pid)) leftovers_.insert(below);
    }
    std::erase_if(leftovers_, [](const ProcessIdentity& process) { return !is_running(process); });
    if (!leftovers_.empty()) {
      for (const ProcessIdentity& process : leftovers_) send_signal(process, SIGKILL);
      timer_ = loop_.after(kill_interval, while_alive([this] { kill_leftovers(); }));
      return;
    }
  }
  for (const std::string& folder : leftovers->folders) remove_folder(folder);
  report_loss(rebooted);
}

void ShimClient::report_loss(bool rebooted) {
  GangReport report = newest_.value_or(GangReport{.key = key_});
  report.peer.node = node_;
  report.phase = GangPhase::finished;
  const bool ran = !report.pids.empty();
  report.outcome = ran ? Outcome::supervisor_lost : Outcome::start_failed;
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
        .rank = -1, .node = node_, .detail = detail, .last_lines = last_lines_of(folder_.log(), last_lines_max), .at_ms = wall_clock_now()};
  }
  try {
    write_durably(folder_.report(), to_text(report));
  } catch (const FolderError& error) {
    spdlog::error("{}", error.what());
  }
  for (const std::string& file : {folder_.launch(), folder_.socket(), folder_.progress()}) remove_file(file);
  for (const auto& checkpoint : checkpoints_on_disk()) deliver(checkpoint);
  finish(report);
}

/// No shim could be started. Written down, so that the next agent knows it too.
void ShimClient::refuse(const std::string& detail) {
  GangReport report{.key = key_, .phase = GangPhase::finished, .outcome = Outcome::start_failed};
  report.peer.node = node_;
  report.failure = Failure{.rank = -1, .node = node_, .detail = detail, .at_ms = wall_clock_now()};
  remove_file(folder_.launch());
  try {
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
  waiting_.clear();
  newest_ = report;
  deliver(report);
}

void ShimClient::deliver(const protocol::FromShim& message) {
  const auto handler = on_message_;  // the handler may end us
  (*handler)(message);
}

// ---- files ---------------------------------------------------------------------------------------------------------

std::optional<GangReport> ShimClient::report_on_disk() const {
  auto report = value_in<GangReport>(folder_.report());
  return report && report->key == key_ ? report : std::nullopt;
}

std::vector<protocol::CheckpointReport> ShimClient::checkpoints_on_disk() const {
  return value_in<std::vector<protocol::CheckpointReport>>(folder_.checkpoints()).value_or(std::vector<protocol::CheckpointReport>{});
}

void ShimClient::forget_checkpoint(std::int64_t step) {
  auto checkpoints = checkpoints_on_disk();
  if (std::erase_if(checkpoints, [&](const auto& checkpoint) { return checkpoint.step == step; }) == 0) return;
  try {
    write_durably(folder_.checkpoints(), to_text(checkpoints));
  } catch (const FolderError& error) {
    spdlog::warn("{}", error.what());
  }
}

}  // namespace ultramarine::launcher
