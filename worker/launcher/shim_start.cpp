// The gang's beginnings: what is made ready before anybody says start, and the start of the ranks.
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "worker/launcher/command_check.h"
#include "worker/launcher/containment/containment.h"
#include "worker/launcher/local_devices.h"
#include "worker/launcher/message_text.h"
#include "worker/launcher/mpirun_environment.h"
#include "worker/launcher/process_start.h"
#include "worker/launcher/script_file.h"
#include "worker/launcher/shim.h"
#include "worker/launcher/shim_log.h"
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

/// Everything else about a script was looked at before its start.
bool runs_no_programs(const StartResult& result, const protocol::LaunchSpec& launch) {
  return result.step == StartStep::program && launch.kind == protocol::LaunchKind::script && result.error_number == EACCES;
}

/// Elsewhere it may well run.
bool is_fault_of_node(const StartResult& result, const protocol::LaunchSpec& launch) {
  return (result.step != StartStep::directory && result.step != StartStep::program) || runs_no_programs(result, launch);
}

std::string why_not_started(const StartResult& result, const RankStart& start, const protocol::LaunchSpec& launch) {
  const std::string& node = launch.node;
  switch (result.step) {
    case StartStep::directory:
      return refused_directory(start.working_directory, result.error_number, node);
    case StartStep::program:
      if (runs_no_programs(result, launch)) {
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

/// Beside this program, or where an installation has it; "" when it isn't there.
std::string remote_shell() {
  std::error_code error;
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const std::filesystem::path& folder : {here, here.parent_path().parent_path() / "bin"})
    if (const auto path = folder / "ultra-rsh"; ::access(path.c_str(), X_OK) == 0) return path.string();
  return "";
}

}  // namespace

void Shim::prepare() {
  try {
    const auto order_text = read_whole(folder_.launch());
    if (!order_text) throw FolderError("there is no " + folder_.launch());
    LaunchOrder order = from_text<LaunchOrder>(*order_text);
    launch_ = std::move(order.launch);
    settings_ = std::move(order.settings);
    if (launch_.key != key_) throw FolderError(folder_.launch() + " is for another gang");
    peer_.node = launch_.node;
    self_.stop_grace_ms = launch_.spec.stop_grace_ms;
    write_pid();
    // Whoever is spared is nobody's puppet: its user's other processes can't trace it.
    if (settings_.spared) ::prctl(PR_SET_DUMPABLE, 0);
    listen_for_agent();

    if (needs_full_shim(launch_) && !parts_.make_mpi) throw FolderError("this gang is for ultra-shim-full");
    layout_ = layout_of(launch_);
    const std::vector<RankPlace> places = layout_.on_node(launch_.node);
    if (places.empty()) throw FolderError("the gang has no rank on " + launch_.node);
    if (const std::string problem = find_program(); !problem.empty()) {
      const std::string& place = launch_.spec.working_directory;
      const bool is_hidden = settings_.private_tmp && (place + "/").starts_with("/tmp/") && problem.starts_with("working directory");
      return refuse(is_hidden ? problem + ", where each job has a /tmp of its own" : problem);
    }
    outputs_.open(launch_, layout_, folder_);

    std::set<std::int64_t> numbers;
    for (const RankPlace& place : places) numbers.insert(place.rank);
    hang_watch_ = std::make_unique<HangWatch>(loop_, key_, launch_.hang, numbers,
                                              HangWatch::Handlers{.ranks = [this] { return judged_ranks(); },
                                                                  .drain = [this] { progress_->drain(); },
                                                                  .say = [this](const GangStillness& stillness) { say(stillness); },
                                                                  .awaits_answer = [this] { return progress_->awaits_answer(); }});
    progress_ = std::make_unique<ProgressCollector>(
        loop_, key_, numbers, folder_.progress(), folder_.checkpoints(),
        ProgressCollector::Handlers{
            .progress = [this](const protocol::Progress& progress) { say(progress); },
            .checkpoint = [this](const protocol::CheckpointReport& checkpoint) { say(checkpoint); },
            .heard = [this](const protocol::ProgressMessage& message, std::int64_t sender) { hang_watch_->take(message, sender); }},
        checkpoint_patience());
    leftovers_ = {.boot_id = boot_id(), .node = launch_.node};
    surroundings_ = {.progress_path = reachable_socket(folder_.progress(), "progress.sock"),
                     .loopback = true,
                     .scratch_folder = settings_.scratch_folder,
                     .cpus = usable_cpus()};
    if (launch_.kind == protocol::LaunchKind::script) {
      surroundings_.host_file = folder_.host_file();
      surroundings_.hydra_host_file = folder_.hydra_host_file();
      surroundings_.remote_shell = remote_shell();
    }
    if (launch_.environment.contains(remote_shell_mark)) surroundings_.helper_folder = outside_folder();
    if (!settings_.api_socket.empty()) surroundings_.api_socket = reachable_socket(settings_.api_socket, "api.sock");
    if (!settings_.scratch_folder.empty()) make_private_folder(settings_.scratch_folder);
    leftovers_.mark = "ULTRA_PROGRESS=" + surroundings_.progress_path;

    peer_.address = settings_.peer_host.empty() ? "127.0.0.1" : settings_.peer_host;
    if (wants_pmix(launch_)) begin_mpi();
    if (layout_.first_node() == launch_.node) {
      master_port_ = reserve_port();
      peer_.master_port = master_port_.port();
    }
    write_leftovers();
  } catch (const DiskFull& full) {
    return refuse(full.what(), NodeAtFault{!full.shared});
  } catch (const FolderError& error) {
    return refuse(error.what(), NodeAtFault{true});
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
  phase_ = GangPhase::prepared;
  say(report());  // on disk it would say nothing: whoever finds this shim alive asks it, and nothing has run yet
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
  const HostFiles hosts = host_files(launch_);
  write_durably(folder_.host_file(), hosts.open_mpi);
  write_durably(folder_.hydra_host_file(), hosts.hydra);
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

/// CPUs for each rank of this node; empty: nobody is bound.
std::vector<Cpus> Shim::bound_ranks(const std::vector<RankPlace>& places) const {
  if (!divides_cores(launch_)) return {};
  const auto node = parts_.read_cores(!launch_.virtual_devices);
  return node ? bound_cpus(*node, on_the_bus(launch_, places), launch_.virtual_devices, launch_.spec.cpus_per_rank) : std::vector<Cpus>();
}

void Shim::begin_mpi() {
  mpi_ = parts_.make_mpi({.loop = loop_,
                    .key = key_,
                    .layout = layout_,
                    .node = launch_.node,
                    .secret = launch_.gang_secret,
                    .address = peer_.address,
                    .folder = outside_folder(),
                    .presence = [this](std::int64_t rank, bool is_in) { on_mpi_presence(rank, is_in); },
                    .abort = [this](std::int64_t rank, std::int64_t status, const std::string& message) { on_abort(rank, status, message); },
                    .log = [this](std::int64_t rank, bool is_error, const std::string& text) {
                      append(is_error ? folder_.error(rank) : folder_.output(rank), text);
                    }});
  peer_.peer_port = mpi_->peer_port();
}

void Shim::start(const protocol::Start& message) {
  if (start_seen_ || phase_ != GangPhase::prepared) return say(report());
  const auto of_first = std::find_if(message.peers.begin(), message.peers.end(),
                                     [&](const GangPeer& peer) { return peer.node == layout_.first_node(); });
  start_seen_ = true;
  start_wait_.reset();
  if (of_first == message.peers.end()) return refuse("the start names no address for " + layout_.first_node());
  if (!mpi_) return start_ranks(message);
  const net::Endpoint middle{.host = of_first->address, .port = static_cast<std::uint16_t>(of_first->peer_port)};
  mpi_->connect(
      middle, [this, message] { start_ranks(message); },
      [this, middle, node = of_first->node](const std::string& why) {
        // Or that one's: the next attempt tells.
        refuse(launch_.node + " can't reach the supervisor on " + node + " at " + middle.text() + ": " + why, NodeAtFault{true});
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
  watch_memory();
  started_ = std::chrono::steady_clock::now();
  const std::vector<Cpus> bound = bound_ranks(places);
  if (launch_.spec.terminal && layout_.world_size() == 1) {
    try {
      terminal_ = std::make_unique<RankTerminal>(loop_, *launch_.spec.terminal, outputs_.output(0).descriptor);
    } catch (const FolderError& error) {
      return refuse(error.what(), NodeAtFault{true});
    }
  }
  for (const RankPlace& place : places) {
    RankStart start{.program = program_,
                    .arguments = launch_.spec.command,
                    .environment = rank_environment(launch_, layout_, place, surroundings_),
                    .working_directory = launch_.spec.working_directory,
                    .cpus = bound.empty() ? Cpus() : bound[ranks_.size()],
                    .terminal = terminal_ ? terminal_->descriptor() : -1,
                    .memlock_bytes = launch_.memlock_bytes,
                    .output = outputs_.output(place.rank).descriptor,
                    .error = outputs_.error(place.rank).descriptor};
    StartResult result;
    try {
      // Virtual nodes share a host: how many ranks it runs in all isn't known here, so they always yield.
      if (mpi_) mpi_->add_environment(place.rank, surroundings_.loopback, launch_.virtual_devices || places.size() > std::max(1U, std::thread::hardware_concurrency()), start.environment);
      result = start_rank(start);
    } catch (const std::exception& error) {
      return refuse(error.what());
    }
    if (result.step != StartStep::none) return refuse(why_not_started(result, start, launch_), NodeAtFault{is_fault_of_node(result, launch_)});
    ranks_.push_back({.place = place, .pid = result.pid});
    if (const auto identity = identify(result.pid)) leftovers_.ranks.push_back(*identity);
  }
  if (terminal_) terminal_->started();
  phase_ = GangPhase::running;
  arm_time_limit();
  arm_self_stop();
  const std::int64_t log_bytes_max = launch_.spec.log_bytes_max > 0 ? launch_.spec.log_bytes_max : settings_.log_bytes_max;
  keeper_ = std::make_unique<OutputKeeper>(loop_, outputs_.streams(), log_bytes_max / layout_.world_size());
  write_leftovers();
  publish();
  remove_file(folder_.launch());  // it holds the environment and the gang's secret
  shim_log::info(std::to_string(ranks_.size()) + " ranks run");
}

/// The gang can't start here: nothing of it may stay.
void Shim::refuse(const std::string& detail, NodeAtFault node_at_fault) {
  shim_log::error(detail);
  if (!outcome_) {
    outcome_ = Outcome::start_failed;
    failure_ = Failure{
        .rank = -1, .node = launch_.node, .detail = detail, .node_at_fault = node_at_fault == NodeAtFault{true}, .at_ms = wall_clock_now()};
  }
  if (ranks_.empty()) return finish();
  stop(Outcome::start_failed, Duration{0});
}

}  // namespace ultramarine::launcher
