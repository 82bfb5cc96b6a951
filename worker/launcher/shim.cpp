// The gang's life: preparation, start and end. Supervision and reports are in the files beside this one.
#include "worker/launcher/shim.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "scheduler/net/proof.h"
#include "worker/launcher/command_check.h"
#include "worker/launcher/message_text.h"
#include "worker/launcher/mpi_environment.h"
#include "worker/launcher/process_start.h"
#include "worker/launcher/rank_environment.h"
#include "worker/launcher/wall_clock.h"

namespace ultramarine::launcher {
namespace {

constexpr auto straggler_wait = std::chrono::seconds(60);
constexpr auto leave_wait = std::chrono::seconds(3);
constexpr auto write_again_after = std::chrono::seconds(1);

/// To a rank's output, beside what it writes itself.
void append(const std::string& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);  // made when the rank was started; strangers' numbers find none
  if (file < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(file, text.data(), text.size());
  ::close(file);
}

std::string why_not_started(const StartResult& result, const RankStart& start, const std::string& node) {
  switch (result.step) {
    case StartStep::directory:
      return refused_directory(start.working_directory, result.error_number, node);
    case StartStep::program:
      return refused_program(start.program, result.error_number, node);
    case StartStep::output:
      return "can't write the output file " + start.output_file + ": " + std::strerror(result.error_number);
    default:
      return "can't start a process on " + node + ": " + std::strerror(result.error_number);
  }
}

}  // namespace

Shim::Shim(net::Loop& loop, std::string folder) : loop_(loop), folder_{std::move(folder)} {}

Shim::~Shim() {
  // Their connections still call us while they go.
  server_.reset();
  star_.reset();
  pmix_.reset();
  if (lock_ >= 0) ::close(lock_);
}

int Shim::run() {
  try {
    if (!take_folder()) return 1;
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
    return 1;
  }
  loop_.on_signals({SIGCHLD, SIGTERM, SIGINT}, [this](int signal) { on_signal(signal); });
  prepare();
  loop_.run();
  return 0;
}

/// False when another shim has this folder, or had it and left its report.
bool Shim::take_folder() {
  const std::size_t slash = folder_.path.rfind('/');
  const auto key = parse_gang_key(slash == std::string::npos ? folder_.path : folder_.path.substr(slash + 1));
  if (!key) throw FolderError("not a job folder (its name must be JOB.ATTEMPT.GANG): " + folder_.path);
  key_ = *key;
  lock_ = ::open(folder_.pid().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) throw FolderError("can't write " + folder_.pid() + ": " + std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    spdlog::info("another shim has this folder");
    return false;
  }
  if (read_whole(folder_.report())) {
    spdlog::info("this gang has had its shim");
    return false;
  }
  // Written in place: the lock belongs to the file, which a rename would replace.
  const std::string text = to_text(ShimPid{.process = identify(::getpid()).value(), .boot_id = boot_id()});
  if (::ftruncate(lock_, 0) != 0 || ::pwrite(lock_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    throw FolderError("can't write " + folder_.pid() + ": " + std::strerror(errno));
  }
  return true;
}

void Shim::prepare() {
  try {
    const auto launch_text = read_whole(folder_.launch());
    if (!launch_text) throw FolderError("there is no " + folder_.launch());
    launch_ = from_text<protocol::LaunchSpec>(*launch_text);
    if (launch_.key != key_) throw FolderError(folder_.launch() + " is for another gang");
    peer_.node = launch_.node;
    if (const auto settings = read_whole(folder_.settings())) settings_ = from_text<ShimSettings>(*settings);
    listen_for_agent();

    layout_ = GangLayout(launch_.allocation);
    const std::vector<RankPlace> places = layout_.on_node(launch_.node);
    if (places.empty()) throw FolderError("the gang has no rank on " + launch_.node);
    const CommandCheck command =
        check_command(launch_.spec.command, launch_.spec.working_directory, base_environment(launch_), launch_.node);
    if (!command.problem.empty()) return refuse(command.problem);
    program_ = command.program;

    std::set<std::int64_t> numbers;
    for (const RankPlace& place : places) numbers.insert(place.rank);
    progress_ = std::make_unique<ProgressCollector>(
        loop_, key_, numbers, folder_.progress(), folder_.checkpoints(),
        ProgressCollector::Handlers{.progress = [this](const protocol::Progress& progress) { say(progress); },
                                    .checkpoint = [this](const protocol::CheckpointReport& checkpoint) { say(checkpoint); }});
    progress_path_ = folder_.progress();
    leftovers_ = {.boot_id = boot_id(), .node = launch_.node};
    if (progress_path_.size() > net::unix_path_max) {
      // Ranks need a path that fits into a socket address: a link from a short folder.
      progress_path_ = outside_folder() + "/progress.sock";
      if (::symlink(folder_.progress().c_str(), progress_path_.c_str()) != 0) throw FolderError("can't make link " + progress_path_);
    }
    leftovers_.mark = "ULTRA_PROGRESS=" + progress_path_;

    peer_.address = settings_.peer_host.empty() ? "127.0.0.1" : settings_.peer_host;
    const bool wants_pmix =
        launch_.spec.mpi == MpiMode::pmix || (launch_.spec.mpi == MpiMode::automatic && layout_.world_size() > 1);
    if (wants_pmix) {
      star_ = std::make_unique<GangStar>(loop_, key_, layout_, launch_.node, launch_.gang_secret,
                                         [this](std::int64_t rank, GangStar::OnModex answer) {
                                           if (pmix_) pmix_->find_modex(rank, std::move(answer));
                                         });
      if (star_->is_middle() && layout_.nodes().size() > 1) peer_.peer_port = star_->listen(peer_.address);
      // The name is shared by the nodes of one gang and by nobody else; of the secret it tells nothing.
      const std::string name_space = "ultramarine-" + text_of(key_) + "-" + net::sha256_hex(launch_.gang_secret).substr(0, 12);
      pmix_ = std::make_unique<PmixServer>(
          loop_, layout_, launch_.node, name_space, outside_folder(),
          PmixRequests{.fence =
                           [this](const std::string& ranks, std::string data, std::function<void(std::string)> done) {
                             star_->fence(ranks, std::move(data), [this, done](std::string whole) {
                               if (pmix_) done(std::move(whole));
                             });
                           },
                       .modex =
                           [this](std::int64_t rank, std::function<void(std::int64_t, std::string)> done) {
                             star_->modex(rank, [this, done](std::int64_t code, std::string data) {
                               if (pmix_) done(code, std::move(data));
                             });
                           },
                       .abort = [this](std::int64_t rank, std::int64_t status,
                                       const std::string& message) { on_abort(rank, status, message); },
                       .log = [this](std::int64_t rank, bool is_error,
                                     const std::string& text) { append(is_error ? folder_.error(rank) : folder_.output(rank), text); }});
    }
    if (layout_.first_node() == launch_.node) {
      master_port_ = reserve_port();
      peer_.master_port = master_port_.port();
    }
    write_leftovers();
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
  phase_ = GangPhase::prepared;
  publish();
  arm_start_wait();
}

void Shim::start(const protocol::Start& message) {
  if (start_seen_ || phase_ != GangPhase::prepared) return say(report());
  const auto of_first = std::find_if(message.peers.begin(), message.peers.end(),
                                     [&](const GangPeer& peer) { return peer.node == layout_.first_node(); });
  start_seen_ = true;
  start_wait_.reset();
  if (of_first == message.peers.end()) return refuse("the start names no address for " + layout_.first_node());
  if (!star_ || star_->is_middle()) return start_ranks(message);
  const net::Endpoint middle{.host = of_first->address, .port = static_cast<std::uint16_t>(of_first->peer_port)};
  star_->connect(
      middle, [this, message] { start_ranks(message); },
      [this, middle, node = of_first->node](const std::string& why) {
        refuse(launch_.node + " can't reach the supervisor on " + node + " at " + middle.text() + ": " + why);
      });
}

void Shim::start_ranks(const protocol::Start& message) {
  if (phase_ != GangPhase::prepared) return;
  GangSurroundings surroundings{.progress_path = progress_path_, .loopback = true};
  for (const GangPeer& peer : message.peers) {
    if (!net::is_loopback(net::Endpoint{.host = peer.address})) surroundings.loopback = false;
    if (peer.node != layout_.first_node()) continue;
    surroundings.master_address = peer.address;
    surroundings.master_port = peer.master_port;
  }
  const std::vector<RankPlace> places = layout_.on_node(launch_.node);
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  memory_kills_before_ = out_of_memory_kills();
  started_ = std::chrono::steady_clock::now();
  for (const RankPlace& place : places) {
    RankStart start{.program = program_,
                    .arguments = launch_.spec.command,
                    .environment = rank_environment(launch_, layout_, place, surroundings),
                    .working_directory = launch_.spec.working_directory,
                    .output_file = folder_.output(place.rank),
                    .error_file = folder_.error(place.rank)};
    StartResult result;
    try {
      if (pmix_) {
        // Virtual nodes share a host: how many ranks it runs in all isn't known here, so they always yield.
        add_mpi_environment(start.environment, {.folder = outside_folder(),
                                                .loopback = surroundings.loopback,
                                                .oversubscribed = launch_.virtual_devices || places.size() > cores});
        pmix_->add_environment(place.rank, start.environment);
      }
      result = start_rank(start);
    } catch (const std::exception& error) {
      return refuse(error.what());
    }
    if (result.step != StartStep::none) return refuse(why_not_started(result, start, launch_.node));
    ranks_.push_back({.place = place, .pid = result.pid});
    if (const auto identity = identify(result.pid)) leftovers_.ranks.push_back(*identity);
  }
  phase_ = GangPhase::running;
  if (launch_.spec.time_limit_ms.ms > 0) {
    time_limit_ = loop_.after(std::chrono::milliseconds(launch_.spec.time_limit_ms.ms), [this] {
      spdlog::info("time limit reached");
      stop(Outcome::timed_out, launch_.spec.stop_grace_ms);
    });
  }
  write_leftovers();
  publish();
  remove_file(folder_.launch());  // it holds the environment and the gang's secret
  spdlog::info("{} ranks run", ranks_.size());
}

/// The gang can't start here: nothing of it may stay.
void Shim::refuse(const std::string& detail) {
  spdlog::error("{}", detail);
  if (!outcome_) {
    outcome_ = Outcome::start_failed;
    failure_ = Failure{.rank = -1, .node = launch_.node, .detail = detail, .at_ms = wall_clock_now()};
  }
  if (ranks_.empty()) return finish();
  stop(Outcome::start_failed, Duration{0});
}

void Shim::finish() {
  if (phase_ == GangPhase::finished) return;
  for (auto* timer : {&time_limit_, &kill_timer_, &abort_timer_, &start_wait_}) timer->reset();
  if (progress_) progress_->drain_at_the_end();
  pmix_.reset();
  for (Rank& rank : ranks_) {
    const ProgressCollector::Collectives collectives = progress_->collectives(rank.place.rank);
    rank.result.collective_count = collectives.count;
    rank.result.collective_bytes = collectives.bytes;
  }
  if (!outcome_) outcome_ = Outcome::succeeded;
  if (!outside_folder_.empty()) remove_folder(outside_folder_);
  remove_file(folder_.progress());
  remove_file(folder_.launch());
  master_port_ = PortReservation();
  phase_ = GangPhase::finished;
  conclude();
}

/// The end must not be lost: while the disk doesn't take it and no agent is there, the shim stays.
void Shim::conclude() {
  if (publish()) return leave_after_the_others();
  leave_timer_ = loop_.after(write_again_after, [this] { conclude(); });
}

/// The shims of a gang talk through that of rank 0: where its own ranks were the first to succeed, it stays for the others.
void Shim::leave_after_the_others() {
  if (!star_ || !star_->is_middle() || layout_.nodes().size() == 1 || outcome_ != Outcome::succeeded) return leave();
  star_->when_alone([this] { leave(); });
  leave_timer_ = loop_.after(straggler_wait, [this] {
    if (!leaving_ && !star_->everybody_came()) leave();
  });
}

/// Ends the process once everything that was said is on its way.
void Shim::leave() {
  if (leaving_) return;
  leaving_ = true;
  const auto open = std::make_shared<int>(2);
  const auto closed = [this, open] {
    if (--*open == 0) loop_.stop();
  };
  if (agent_) {
    agent_->on_closed([closed](const std::string&) { closed(); });
    agent_->close();
  } else {
    closed();
  }
  if (star_) {
    star_->close(closed);
  } else {
    closed();
  }
  leave_timer_ = loop_.after(leave_wait, [this] { loop_.stop(); });
}

}  // namespace ultramarine::launcher
