// The gang's beginnings: what is made ready before anybody says start, and the start of the ranks.
#include <fcntl.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "scheduler/net/proof.h"
#include "worker/launcher/command_check.h"
#include "worker/launcher/message_text.h"
#include "worker/launcher/mpi_environment.h"
#include "worker/launcher/process_start.h"
#include "worker/launcher/script_file.h"
#include "worker/launcher/shim.h"
#include "worker/launcher/wall_clock.h"

namespace ultramarine::launcher {
namespace {

/// To a rank's output, beside what it writes itself.
void append(const std::string& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);  // made when the rank was started; strangers' numbers find none
  if (file < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(file, text.data(), text.size());
  ::close(file);
}

std::string why_not_started(const StartResult& result, const RankStart& start, const protocol::LaunchSpec& launch) {
  const std::string& node = launch.node;
  switch (result.step) {
    case StartStep::directory:
      return refused_directory(start.working_directory, result.error_number, node);
    case StartStep::program:
      // Everything else about a script was looked at before.
      if (launch.kind == protocol::LaunchKind::script && result.error_number == EACCES) {
        return "cannot run the script on " + node + ": " + start.program + " lies on a file system without programs (noexec): choose another "
               "[agent] state_directory";
      }
      return refused_program(start.program, result.error_number, node);
    default:
      return "can't start a process on " + node + ": " + std::strerror(result.error_number);
  }
}

/// CPUs that this process, and so its ranks, may run on.
std::int64_t usable_cpus() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return std::max(1U, std::thread::hardware_concurrency());
}

/// For an mpirun inside a script: as many places on each node as `ultra run` would start ranks there. The nodes of virtual devices share this
/// host.
std::string host_file_text(const protocol::LaunchSpec& launch) {
  const GangLayout ranks(job_allocation(launch), launch.spec.ranks, launch.spec.ranks_per_node);
  if (launch.virtual_devices) return "localhost slots=" + std::to_string(ranks.world_size()) + "\n";
  std::string text;
  for (const std::string& node : ranks.nodes()) {
    text += (node == launch.node ? "localhost" : node) + " slots=" + std::to_string(ranks.on_node(node).size()) + "\n";
  }
  return text;
}

}  // namespace

void Shim::prepare() {
  try {
    const auto launch_text = read_whole(folder_.launch());
    if (!launch_text) throw FolderError("there is no " + folder_.launch());
    launch_ = from_text<protocol::LaunchSpec>(*launch_text);
    if (launch_.key != key_) throw FolderError(folder_.launch() + " is for another gang");
    peer_.node = launch_.node;
    if (const auto settings = read_whole(folder_.settings())) settings_ = from_text<ShimSettings>(*settings);
    listen_for_agent();

    layout_ = layout_of(launch_);
    const std::vector<RankPlace> places = layout_.on_node(launch_.node);
    if (places.empty()) throw FolderError("the gang has no rank on " + launch_.node);
    if (const std::string problem = find_program(); !problem.empty()) return refuse(problem);
    outputs_.open(launch_, layout_, folder_);

    std::set<std::int64_t> numbers;
    for (const RankPlace& place : places) numbers.insert(place.rank);
    progress_ = std::make_unique<ProgressCollector>(
        loop_, key_, numbers, folder_.progress(), folder_.checkpoints(),
        ProgressCollector::Handlers{.progress = [this](const protocol::Progress& progress) { say(progress); },
                                    .checkpoint = [this](const protocol::CheckpointReport& checkpoint) { say(checkpoint); }});
    leftovers_ = {.boot_id = boot_id(), .node = launch_.node};
    surroundings_ = {.progress_path = reachable_socket(folder_.progress(), "progress.sock"),
                     .loopback = true,
                     .scratch_folder = settings_.scratch_folder,
                     .host_file = launch_.kind == protocol::LaunchKind::script ? folder_.host_file() : "",
                     .cpus = usable_cpus()};
    if (!settings_.api_socket.empty()) surroundings_.api_socket = reachable_socket(settings_.api_socket, "api.sock");
    if (!settings_.scratch_folder.empty()) make_private_folder(settings_.scratch_folder);
    leftovers_.mark = "ULTRA_PROGRESS=" + surroundings_.progress_path;

    peer_.address = settings_.peer_host.empty() ? "127.0.0.1" : settings_.peer_host;
    if (wants_pmix()) {
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

/// What is to be run, into `program_`; or why it can't be.
std::string Shim::find_program() {
  const JobSpec& spec = launch_.spec;
  const Environment environment = base_environment(launch_);
  if (launch_.kind != protocol::LaunchKind::script) {
    const CommandCheck command = check_command(spec.command, spec.working_directory, environment, launch_.node);
    program_ = command.program;
    return command.problem;
  }
  if (!spec.script) return "the launch of a script came without its text";
  if (const std::string problem = working_directory_problem(spec.working_directory, launch_.node); !problem.empty()) return problem;
  if (const std::string problem = script_problem(spec.script->text, spec.working_directory, environment, launch_.node); !problem.empty()) {
    return problem;
  }
  write_script(folder_.script(), spec.script->text);
  write_durably(folder_.host_file(), host_file_text(launch_));
  program_ = folder_.script();
  return "";
}

/// Programs need a path that fits into a socket address: where it is too long, a link from a short folder.
std::string Shim::reachable_socket(const std::string& path, const std::string& name) {
  if (path.size() <= net::unix_path_max) return path;
  const std::string link = outside_folder() + "/" + name;
  if (::symlink(path.c_str(), link.c_str()) != 0) throw FolderError("can't make link " + link + ": " + std::strerror(errno));
  return link;
}

/// Scripts start no MPI of ours: their mpirun does.
bool Shim::wants_pmix() const {
  if (launch_.kind == protocol::LaunchKind::script) return false;
  return launch_.spec.mpi == MpiMode::pmix || (launch_.spec.mpi == MpiMode::automatic && layout_.world_size() > 1);
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
  for (const GangPeer& peer : message.peers) {
    if (!net::is_loopback(net::Endpoint{.host = peer.address})) surroundings_.loopback = false;
    if (peer.node != layout_.first_node()) continue;
    surroundings_.master_address = peer.address;
    surroundings_.master_port = peer.master_port;
  }
  surroundings_.now_ms = wall_clock_now();
  const std::vector<RankPlace> places = layout_.on_node(launch_.node);
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  memory_kills_before_ = out_of_memory_kills();
  started_ = std::chrono::steady_clock::now();
  for (const RankPlace& place : places) {
    RankStart start{.program = program_,
                    .arguments = launch_.spec.command,
                    .environment = rank_environment(launch_, layout_, place, surroundings_),
                    .working_directory = launch_.spec.working_directory,
                    .output = outputs_.output(place.rank).descriptor,
                    .error = outputs_.error(place.rank).descriptor};
    StartResult result;
    try {
      if (pmix_) {
        // Virtual nodes share a host: how many ranks it runs in all isn't known here, so they always yield.
        add_mpi_environment(start.environment, {.folder = outside_folder(),
                                                .loopback = surroundings_.loopback,
                                                .oversubscribed = launch_.virtual_devices || places.size() > cores});
        pmix_->add_environment(place.rank, start.environment);
      }
      result = start_rank(start);
    } catch (const std::exception& error) {
      return refuse(error.what());
    }
    if (result.step != StartStep::none) return refuse(why_not_started(result, start, launch_));
    ranks_.push_back({.place = place, .pid = result.pid});
    if (const auto identity = identify(result.pid)) leftovers_.ranks.push_back(*identity);
  }
  phase_ = GangPhase::running;
  arm_time_limit();
  const std::int64_t log_bytes_max = launch_.spec.log_bytes_max > 0 ? launch_.spec.log_bytes_max : settings_.log_bytes_max;
  keeper_ = std::make_unique<OutputKeeper>(loop_, outputs_.streams(), log_bytes_max / layout_.world_size());
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

}  // namespace ultramarine::launcher
