#include "scheduler/cli/local_cluster.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/cli/client.h"
#include "scheduler/cli/gang_leftovers.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/local_files.h"
#include "scheduler/net/proof.h"
#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/config.h"

namespace ultramarine::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* agent_prefix = "agent-";

[[noreturn]] void home_error(const std::string& problem, const std::string& remedy, int error = 0) {
  const int code = error == EACCES || error == EPERM || error == EROFS ? exit_code::not_permitted
                   : error == 0                                        ? exit_code::usage
                                                                       : exit_code::failure;
  throw CommandError(code,
                     error_line("ULTRA_HOME", error == 0 ? problem : problem + ": " + heard(std::strerror(error)), remedy));
}

void make_private(const std::string& folder) {
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    home_error(spoken("can't make {0}", folder), spoken("set ULTRA_HOME to a folder that you may write"), errno);
}

/// The file has either its old or its new text, whatever happens meanwhile.
void write_private(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool good = fd >= 0 && fchmod(fd, 0600) == 0;
  for (std::size_t at = 0; good && at < text.size();) {
    const ssize_t written = write(fd, text.data() + at, text.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      good = false;
    else
      at += static_cast<std::size_t>(written);
  }
  good = good && fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!good || rename(fresh.c_str(), path.c_str()) != 0)
    home_error(spoken("can't write {0}", path), spoken("set ULTRA_HOME to a folder that you may write"), good ? errno : error);
}

/// Binds for a moment. 0 = could; else an errno. `port` 0 becomes the port that was free.
int try_port(const std::string& host, std::uint16_t& port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host.c_str(), &address.sin_addr) != 1)
    return 0;  // not IPv4: the scheduler will see
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  int error = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(fd, 1) == 0 ? 0 : errno;
  socklen_t length = sizeof address;
  if (error == 0 && getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0)
    port = ntohs(address.sin_port);
  close(fd);
  return error;
}

std::string free_address(const std::string& host) {
  net::Endpoint endpoint{.path = "", .host = host, .port = 0};
  if (const int error = try_port(host, endpoint.port)) {
    throw CommandError(exit_code::failure, error_line("", spoken("no free port on {0}", host) + ": " + heard(std::strerror(error)),
                                                      spoken("close some programs that listen")));
  }
  return endpoint.text();
}

}  // namespace

std::string programs_folder() { return fs::read_symlink("/proc/self/exe").parent_path().string(); }

std::string to_json_text(const LocalView& view) { return protocol::to_json(view); }

LocalLock::LocalLock(const std::string& home) {
  const std::string path = home + "/cluster.lock";
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) home_error(spoken("can't write {0}", path), spoken("set ULTRA_HOME to a folder that you may write"), errno);
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    close(fd_);
    throw CommandError(exit_code::conflict,
                       error_line("", spoken("another 'ultra cluster up' or 'down' is at work in {0}", home), spoken("wait for it")));
  }
}
LocalLock::~LocalLock() { close(fd_); }

LocalCluster::LocalCluster(std::string home, std::string programs, Malformed malformed)
    : home_(std::move(home)), programs_(std::move(programs)), socket_(socket_file(home_)) {
  try {
    read_file();
  } catch (const CommandError&) {
    if (malformed == Malformed::is_an_error) throw;
  }
}

void LocalCluster::read_file() {
  std::error_code error;
  configured_ = fs::exists(cluster_file(home_), error);
  if (!configured_) return;
  try {
    const protocol::ClusterFile file = protocol::load_cluster_file(cluster_file(home_));
    socket_ = file.scheduler.socket;
    http_ = file.scheduler.http;
    agents_address_ = file.scheduler.agents;
    policy_ = file.scheduler.policy;
    nodes_.clear();
    gpus_.clear();
    for (const NodeConfig& node : file.cluster.nodes) nodes_.push_back(node.name), gpus_.push_back(node.gpus);
  } catch (const protocol::ConfigError& problem) {
    usage_error("", problem.what(), "");
  }
}

bool LocalCluster::prepare_home(const std::string& home) {
  const std::string socket = socket_file(home);
  if (socket.size() > net::unix_path_max) {
    home_error(spoken("{0} has {1} characters, a socket's path at most {2}", socket, socket.size(), net::unix_path_max),
               spoken("choose a shorter ULTRA_HOME"));
  }
  std::error_code error;
  const fs::path parent = fs::path(home).parent_path();
  if (!fs::exists(parent, error)) {
    if (error)
      home_error(spoken("can't look at {0}", parent.string()), spoken("set ULTRA_HOME to a folder that you may write"), error.value());
    home_error(spoken("there is no folder {0}", parent.string()), spoken("make it, or choose another ULTRA_HOME"));
  }
  const bool fresh = mkdir(home.c_str(), 0700) == 0;
  if (!fresh && errno != EEXIST)
    home_error(spoken("can't make {0}", home), spoken("set ULTRA_HOME to a folder that you may write"), errno);
  struct stat status {};
  if (stat(home.c_str(), &status) != 0) home_error(spoken("can't look at {0}", home), spoken("choose another ULTRA_HOME"), errno);
  if (!S_ISDIR(status.st_mode)) home_error(spoken("{0} is not a folder", home), spoken("choose another ULTRA_HOME"));
  if (status.st_uid != geteuid()) home_error(spoken("{0} belongs to somebody else", home), spoken("choose another ULTRA_HOME"), EPERM);
  if (!fresh) {
    if (access(home.c_str(), R_OK | W_OK | X_OK) != 0)
      home_error(spoken("can't write in {0}", home), spoken("set ULTRA_HOME to a folder that you may write"), errno);
    const bool ours = fs::exists(cluster_file(home), error) || fs::exists(home + "/cluster.lock", error);
    if (!ours && !fs::is_empty(home, error))
      home_error(spoken("{0} holds other things and no cluster.toml", home), spoken("choose an empty or new folder"));
    if ((status.st_mode & 0077) != 0 && chmod(home.c_str(), 0700) != 0)
      home_error(spoken("can't make {0} private", home), spoken("chmod 700 it"), errno);
  }
  for (const char* folder : {"/logs", "/run", "/agents"}) make_private(home + folder);
  return fresh;
}

ClusterChanges LocalCluster::differing(const ClusterChanges& wanted) const {
  if (!configured_) return wanted;
  ClusterChanges changes = wanted;
  if (changes.nodes && static_cast<std::size_t>(*changes.nodes) == nodes_.size()) changes.nodes.reset();
  if (changes.gpus_per_node &&
      std::all_of(gpus_.begin(), gpus_.end(), [&](std::int64_t count) { return count == *changes.gpus_per_node; }))
    changes.gpus_per_node.reset();
  if (changes.policy == policy_) changes.policy.reset();
  if (changes.http) {
    const auto want = net::parse_endpoint(*changes.http), have = net::parse_endpoint(http_);
    if (want && have && want->host == have->host) {
      // Any free port: the one in the file will do, if it is free or ours.
      std::uint16_t port = have->port;
      if (want->port == have->port || (want->port == 0 && (scheduler() || try_port(have->host, port) == 0)))
        changes.http.reset();
    }
  }
  return changes;
}

void LocalCluster::configure(ClusterChanges changes) {
  if (changes.http) {
    const auto endpoint = net::parse_endpoint(*changes.http);
    if (endpoint && endpoint->port == 0) changes.http = free_address(endpoint->host);
  }
  if (!configured_ && !changes.agents) changes.agents = free_address("127.0.0.1");
  if (!configured_ || changes.any()) {
    std::string text(protocol::local_cluster_text());
    if (configured_) {
      std::ifstream file(cluster_file(home_));
      std::ostringstream all;
      all << file.rdbuf();
      text = all.str();
    }
    write_private(cluster_file(home_), changed_cluster_text(text, changes, cluster_file(home_)));
    read_file();
  }
  std::error_code error;
  if (!fs::exists(secret_file(home_), error)) write_private(secret_file(home_), net::random_hex(32) + "\n");
}

void LocalCluster::check_ports() {
  if (const auto endpoint = net::parse_endpoint(http_); endpoint && endpoint->port != 0) {
    std::uint16_t port = endpoint->port;
    if (const int error = try_port(endpoint->host, port)) {
      const bool used = error == EADDRINUSE;
      throw CommandError(error == EACCES ? exit_code::not_permitted : exit_code::failure,
                         error_line("--http",
                                    used ? spoken("{0} is in use by another program", http_)
                                         : spoken("{0} can't be listened at: {1}", http_, heard(std::strerror(error))),
                                    spoken("choose another, or any free one with --http 127.0.0.1:0")));
    }
  }
  // The agents' port is nobody's promise: when it is taken and no agent of ours knows it, another will do.
  if (const auto endpoint = net::parse_endpoint(agents_address_); endpoint && endpoint->port != 0 && agents().empty()) {
    std::uint16_t port = endpoint->port;
    if (try_port(endpoint->host, port) == EADDRINUSE) {
      ClusterChanges changes;
      changes.agents = free_address(endpoint->host);
      configure(changes);
    }
  }
}

DaemonFiles LocalCluster::files_of(const std::string& name) const {
  return {name, pid_file(home_, name), log_file(home_, name)};
}

std::optional<Process> LocalCluster::scheduler() const { return running_daemon(pid_file(home_, "scheduler")); }

std::map<std::string, Process> LocalCluster::agents() const {
  std::map<std::string, Process> running;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(home_ + "/run", error)) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() != ".pid" || name.rfind(agent_prefix, 0) != 0) continue;
    if (const auto process = running_daemon(entry.path().string()))
      running[name.substr(std::strlen(agent_prefix))] = *process;
  }
  return running;
}

bool LocalCluster::anything_runs() const { return scheduler() || !agents().empty() || !gang_processes().empty(); }

LocalView LocalCluster::view() const {
  LocalView view;
  view.home = home_;
  view.socket = socket_;
  view.http = http_;
  view.scheduler.name = "scheduler";
  if (const auto process = scheduler()) view.scheduler.pid = process->pid, view.scheduler.running = true;
  const auto running = agents();
  for (const std::string& node : nodes_) {
    const auto found = running.find(node);
    view.agents.push_back({node, found == running.end() ? 0 : found->second.pid, found != running.end()});
  }
  try {
    Client client(socket_);
    view.cluster = client.cluster().value;
    view.up = true;
    if (!view.cluster->http.empty()) view.http = view.cluster->http;
  } catch (const CommandError&) {
    // It doesn't answer: `up` stays false.
  }
  return view;
}

LocalCluster::Watched LocalCluster::start(const std::string& name, const std::string& program,
                                          const std::vector<std::string>& arguments) {
  Watched watched{files_of(name), program, {}, 0};
  std::error_code error;
  const auto size = fs::file_size(watched.files.log_file, error);
  watched.log_from = error ? 0 : size;
  std::vector<std::string> all{programs_ + "/" + program};
  all.insert(all.end(), arguments.begin(), arguments.end());
  watched.process = start_daemon(watched.files, all);
  started_.push_back(watched.process);
  return watched;
}

void LocalCluster::check_alive(const std::vector<Watched>& watched) const {
  reap();
  for (const Watched& one : watched) {
    if (is_running(one.process)) continue;
    const std::string last = last_line(one.files.log_file, one.log_from);
    throw CommandError(
        exit_code::failure,
        error_line(one.files.name == "scheduler"
                       ? one.program
                       : spoken("{0} of {1}", one.program, one.files.name.substr(std::strlen(agent_prefix))),
                   last.empty() ? spoken("ended without a word") : last, spoken("its log is {0}", one.files.log_file)));
  }
}

void LocalCluster::start_missing(Progress& progress, const Interrupt& interrupt) {
  const std::string config = cluster_file(home_);
  std::vector<Watched> watched;
  auto last_change = Clock::now();
  const auto give_up_after = std::chrono::seconds(120);
  interrupt.check();
  if (!scheduler()) watched.push_back(start("scheduler", "ultra-scheduler", {"--config", config}));
  // An hour of journal takes a second or two to read; silence is bounded, not work.
  Client client(socket_, &interrupt);
  progress.show(spoken("Starting the scheduler"));
  while (!client.ready()) {
    interrupt.wait(50);
    interrupt.check();
    check_alive(watched);
    if (Clock::now() - last_change > give_up_after) {
      throw CommandError(exit_code::failure, error_line("ultra-scheduler", spoken("not ready after 2 minutes"),
                                                        spoken("its log is {0}", log_file(home_, "scheduler"))));
    }
  }
  const auto running = agents();
  for (const std::string& node : nodes_) {
    if (running.count(node)) continue;
    interrupt.check();
    watched.push_back(start(agent_prefix + node, "ultra-agent", {"--config", config, "--node", node, "--root-jobs"}));
  }
  std::size_t up_before = 0;
  last_change = Clock::now();
  for (;;) {
    std::size_t up = 0;
    for (const protocol::NodeView& view : client.nodes().value.nodes) {
      const NodeState state = view.node.state;
      up += state == NodeState::up || state == NodeState::draining || state == NodeState::drained;
    }
    progress.show_bar(spoken("Starting nodes"), up, nodes_.size());
    if (up >= nodes_.size()) break;
    if (up != up_before) up_before = up, last_change = Clock::now();
    check_alive(watched);
    if (Clock::now() - last_change > give_up_after) {
      throw CommandError(
          exit_code::failure,
          error_line("", spoken("{0} of {1} nodes are up after 2 minutes", up, nodes_.size()),
                     spoken("logs are in {0}", home_ + "/logs")));
    }
    interrupt.wait(50);
    interrupt.check();
  }
  check_alive(watched);
  progress.clear();
}

std::vector<Process> LocalCluster::gang_processes() const { return gang_leftovers(agents_folder(home_)); }

void LocalCluster::stop_daemons(Progress& progress) {
  const auto stop = [&](const std::string& what, const std::vector<Process>& processes,
                        std::chrono::milliseconds grace) {
    if (processes.empty()) return;
    stop_processes(processes, grace, [&](std::size_t running) {
      progress.show_bar(what, processes.size() - running, processes.size());
    });
  };
  if (const auto process = scheduler()) stop(spoken("Stopping the scheduler"), {*process}, std::chrono::seconds(15));
  std::vector<Process> daemons;
  for (const auto& [node, process] : agents()) daemons.push_back(process);
  stop(spoken("Stopping agents"), daemons, std::chrono::seconds(10));
  // Shims outlive agents on purpose; ranks may start processes while we look, so look again.
  for (int round = 0; round < 5; ++round) {
    const auto left = gang_processes();
    if (left.empty()) break;
    stop(spoken("Stopping ranks"), left, std::chrono::seconds(round == 0 ? 5 : 0));
  }
  remove_gang_groups(agents_folder(home_));
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(home_ + "/run", ignored)) {
    if (entry.path().extension() == ".pid" && !running_daemon(entry.path().string())) fs::remove(entry.path(), ignored);
  }
  if (!scheduler()) fs::remove(socket_, ignored);
  progress.clear();
}

}  // namespace ultramarine::cli
