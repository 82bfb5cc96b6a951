#include "scheduler/cli/diagnosis.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "scheduler/cli/language.h"
#include "scheduler/cli/local_files.h"
#include "scheduler/cli/manual.h"
#include "scheduler/cli/words.h"
#include "scheduler/net/endpoint.h"
#include "scheduler/net/network_disk.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t clock_off_ms_max = 5000;  // beyond it, times in the queue and in logs mislead

Finding well(const std::string& check, const std::string& found) { return {check, Health::ok, found, ""}; }

std::string system_words(int error) { return heard(std::strerror(error)); }

std::string mode_text(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

/// Kinds of file systems that several machines see.
std::string shared_kind(const std::string& folder) {
  struct statfs status {};
  if (statfs(folder.c_str(), &status) != 0) return "";
  return net::network_file_system(status.f_type);
}

}  // namespace

Finding check_programs(const std::string& folder) {
  std::string missing;
  for (const char* name : {"ultra-scheduler", "ultra-agent", "ultra-shim", "ultra-shim-full", "ultra-rsh"}) {
    const bool found = access((folder + "/" + name).c_str(), X_OK) == 0 ||
                       access((folder + "/../lib/ultramarine/" + name).c_str(), X_OK) == 0;
    if (!found) missing += (missing.empty() ? "" : ", ") + std::string(name);
  }
  if (missing.empty()) return well("programs", spoken("all are in {0}", folder));
  return {"programs", Health::warning, spoken("{0} is not in {1}", missing, folder),
          spoken("install it where this machine is to run a scheduler or a node")};
}

Finding check_command(const std::string& name, const std::string& path, const std::string& remedy) {
  for (std::size_t from = 0; from <= path.size();) {
    const std::size_t colon = std::min(path.find(':', from), path.size());
    const std::string file = path.substr(from, colon - from) + "/" + name;
    std::error_code error;
    if (fs::is_regular_file(file, error) && access(file.c_str(), X_OK) == 0) return well(name, file);
    from = colon + 1;
  }
  return {name, Health::warning, spoken("not found in PATH"), remedy};
}

Finding check_shared_memory(const std::string& folder) {
  struct statvfs status {};
  if (statvfs(folder.c_str(), &status) != 0 || access(folder.c_str(), W_OK | X_OK) != 0)
    return {"shared-memory", Health::failed, spoken("can't write in {0}", folder) + ": " + system_words(errno),
            spoken("mount a tmpfs there: MPI and NCCL share memory through it")};
  const auto bytes = static_cast<std::int64_t>(status.f_blocks * status.f_frsize),
             free = static_cast<std::int64_t>(status.f_bavail * status.f_frsize);
  const std::string found = spoken("{0} of {1} are free in {2}", bytes_text(free), bytes_text(bytes), folder);
  if (free < (256LL << 20))
    return {"shared-memory", Health::warning, found,
            spoken("remove what ended programs left there, or mount it larger: MPI and NCCL need room")};
  return well("shared-memory", found);
}

Finding check_driver(bool needed, const std::string& version_file) {
  std::ifstream file(version_file);
  std::string line;
  if (std::getline(file, line) && !line.empty()) {
    const std::size_t from = line.find("Module");
    const std::size_t number = from == std::string::npos ? from : line.find_first_of("0123456789", from);
    return well("driver", spoken("NVIDIA driver {0}", number == std::string::npos
                                                          ? printable(line)
                                                          : line.substr(number, line.find(' ', number) - number)));
  }
  if (!needed) return well("driver", spoken("no NVIDIA driver; no node of this machine has real GPUs"));
  return {"driver", Health::failed, spoken("no NVIDIA driver is loaded, but nodes of this machine have GPUs"),
          spoken("install the driver, then look with 'nvidia-smi'")};
}

Finding check_clock_is_kept() {
  timex state{};
  const int result = adjtimex(&state);
  if (result >= 0 && result != TIME_ERROR && (state.status & STA_UNSYNC) == 0)
    return well("time-service", spoken("the clock is kept right"));
  return {"time-service", Health::warning, spoken("nobody keeps the clock right"),
          spoken("run chrony or systemd-timesyncd on every machine")};
}

Finding check_open_files() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max >= 4096)
    return well("open-files", spoken("{0} may be open at once",
                                     static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_max, INT64_MAX))));
  return {"open-files", Health::warning, spoken("{0} may be open at once", static_cast<std::int64_t>(limit.rlim_max)),
          spoken("raise the limit: 'ulimit -Hn' should say 4096 or more")};
}

Finding check_fabric(const FabricConfig& fabric, const std::string& interfaces, const std::string& adapters) {
  const auto names_in = [](const std::string& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) names.push_back(entry.path().filename().string());
    return names;
  };
  std::string missing;
  // NCCL's forms: a list of beginnings, "=name" is exact, "^..." says which not to use.
  const std::vector<std::string> there = names_in(interfaces);
  const bool excludes = fabric.socket_interface.starts_with('^');
  std::istringstream wanted(fabric.socket_interface);
  bool one_fits = fabric.socket_interface.empty() || excludes;
  for (std::string name; !one_fits && std::getline(wanted, name, ',');) {
    const bool exact = name.starts_with('=');
    if (exact) name.erase(0, 1);
    one_fits = std::any_of(there.begin(), there.end(), [&](const std::string& one) { return exact ? one == name : one.starts_with(name); });
  }
  if (!one_fits) missing = fabric.socket_interface;
  const std::vector<std::string> cards = names_in(adapters);
  for (const std::string& name : fabric.infiniband)
    if (std::find(cards.begin(), cards.end(), name) == cards.end()) missing += (missing.empty() ? "" : ", ") + name;
  if (!missing.empty())
    return {"fabric", Health::warning, spoken("this machine has no {0}", missing), spoken("correct [fabric] in {0}, if it is a node", "cluster.toml")};
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  // An agent that is root raises it, unless its container keeps that from it: seen by trying.
  const rlimit raised{.rlim_cur = limit.rlim_cur, .rlim_max = fabric.memlock_bytes < 0 ? RLIM_INFINITY : static_cast<rlim_t>(fabric.memlock_bytes)};
  const bool enough = fabric.memlock_bytes == 0 || limit.rlim_max == RLIM_INFINITY || (fabric.memlock_bytes > 0 && limit.rlim_max >= raised.rlim_max) ||
                      setrlimit(RLIMIT_MEMLOCK, &raised) == 0;
  const std::string locked = limit.rlim_max == RLIM_INFINITY ? spoken("unlimited") : bytes_text(static_cast<std::int64_t>(limit.rlim_max));
  if (!enough)
    return {"fabric", Health::warning, spoken("a process may lock {0} of memory, less than memlock in [fabric]", locked),
            spoken("start the agent with LimitMEMLOCK=infinity (systemd) or 'ulimit -l unlimited'")};
  return well("fabric", spoken("interface {0}, memory that may be locked: {1}", fabric.socket_interface.empty() ? "-" : fabric.socket_interface, locked));
}

Finding check_disk(const std::string& what, const std::string& folder) {
  struct statvfs status {};
  if (statvfs(folder.c_str(), &status) != 0)
    return {what, Health::failed, spoken("can't look at {0}", folder) + ": " + system_words(errno),
            spoken("make it, or choose another")};
  const auto bytes = static_cast<std::int64_t>(status.f_blocks * status.f_frsize),
             free = static_cast<std::int64_t>(status.f_bavail * status.f_frsize);
  const std::string found = spoken("{0} of {1} are free in {2}", bytes_text(free), bytes_text(bytes), folder);
  const bool files_left = status.f_files == 0 || status.f_favail > 1000;
  if (free < (1LL << 30) || !files_left)
    return {what, Health::failed, found, spoken("make room: without it nothing can be recorded")};
  if (free < (10LL << 30) && free < bytes / 10)
    return {what, Health::warning, found, spoken("make room before it is full")};
  return well(what, found);
}

Finding check_permissions(const std::string& home) {
  struct stat status {};
  if (stat(home.c_str(), &status) != 0)
    return {"permissions", Health::failed, spoken("can't look at {0}", home) + ": " + system_words(errno),
            spoken("make it, or choose another ULTRA_HOME")};
  if (status.st_uid != geteuid())
    return {"permissions", Health::failed, spoken("{0} belongs to somebody else", home),
            spoken("choose another ULTRA_HOME")};
  if ((status.st_mode & 0077) != 0)
    return {"permissions", Health::failed, spoken("others may enter {0} (mode {1})", home, mode_text(status.st_mode)),
            "chmod 700 " + home};
  const std::string secret = secret_file(home);
  if (stat(secret.c_str(), &status) == 0 && (status.st_mode & 0077) != 0)
    return {"permissions", Health::failed, spoken("others may read {0} (mode {1})", secret, mode_text(status.st_mode)),
            "chmod 600 " + secret};
  return well("permissions", spoken("only you may enter {0}", home));
}

Finding check_locks(const std::string& folder) {
  const std::string path = folder + "/.lock-test-" + std::to_string(getpid());
  const int one = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600),
            other = open(path.c_str(), O_RDWR | O_CLOEXEC);
  const int error = errno;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  const bool first = one >= 0 && fcntl(one, F_OFD_SETLK, &lock) == 0,
             second = other >= 0 && fcntl(other, F_OFD_SETLK, &lock) == 0;
  for (const int fd : {one, other}) {
    if (fd >= 0) close(fd);
  }
  unlink(path.c_str());
  if (one < 0)
    return {"locks", Health::failed, spoken("can't write in {0}", folder) + ": " + system_words(error),
            spoken("choose a folder that you may write")};
  if (first && !second) return well("locks", spoken("locks hold in {0}", folder));
  return {"locks", Health::failed, spoken("locks don't hold in {0}", folder),
          spoken("keep the cluster's state on a local disk, or mount it with locks")};
}

Finding check_shared_folder(const std::string& folder, const std::vector<std::string>& others) {
  const std::string kind = shared_kind(folder);
  if (others.empty()) return well("shared-folder", spoken("all nodes are this machine"));
  if (!kind.empty()) return well("shared-folder", spoken("{0} is on {1}", folder, kind));
  return {"shared-folder", Health::warning,
          spoken("{0} is on a disk of this machine, but {1} are others", folder, std::to_string(others.size())),
          spoken("submit from a folder that every node has, or name one with --workdir")};
}

Finding check_clock(Time before, Time scheduler, Time after) {
  // Whatever lies between question and answer is as well.
  const std::int64_t off = scheduler < before  ? (before - scheduler).ms
                           : scheduler > after ? (scheduler - after).ms
                                               : 0;
  const std::string found = spoken("{0} ms between this machine and the scheduler", off);
  if (off > clock_off_ms_max)
    return {"clock", Health::failed, found, spoken("set the clocks: times in the queue and in logs would mislead")};
  if (off > 500) return {"clock", Health::warning, found, spoken("run chrony or systemd-timesyncd on every machine")};
  return well("clock", found);
}

Finding check_node_clocks(const std::vector<protocol::NodeView>& nodes) {
  std::int64_t most = 0;
  std::vector<std::string> wrong;
  for (const protocol::NodeView& view : nodes) {
    if (!view.facts) continue;
    const std::int64_t off = std::abs((view.facts_heard_ms - view.facts->clock_ms).ms);
    most = std::max(most, off);
    if (off > clock_off_ms_max) wrong.push_back(view.node.config.name);
  }
  const std::string found = spoken("at most {0} ms between the nodes and the scheduler", most);
  if (wrong.empty()) return well("node-clocks", found);
  return {"node-clocks", Health::failed, spoken("{0}: clocks that are up to {1} ms off the scheduler's", protocol::fold_hostlist(wrong), most),
          spoken("run chrony or systemd-timesyncd on every machine")};
}

Finding check_version(const std::string& who, const std::string& version) {
  if (version == version_text()) return well("version", spoken("{0}: {1}, as ultra", who, version));
  return {"version", Health::warning,
          spoken("{0}: {1}, but ultra is {2}", who, version.empty() ? "?" : version, version_text()),
          spoken("install the same version everywhere; jobs go on while daemons are replaced")};
}

Finding check_port(const std::string& what, const std::string& address) {
  const auto endpoint = net::parse_endpoint(address);
  if (!endpoint || endpoint->is_unix())
    return {what, Health::failed, spoken("\"{0}\" is not HOST:PORT", address),
            spoken("correct it in {0}", "cluster.toml")};
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  int error = ECONNREFUSED;
  if (getaddrinfo(endpoint->host.c_str(), std::to_string(endpoint->port).c_str(), &hints, &found) != 0)
    return {what, Health::failed, spoken("the name {0} has no address", endpoint->host),
            spoken("correct it in {0}", "cluster.toml, /etc/hosts")};
  for (addrinfo* one = found; one && error != 0; one = one->ai_next) {
    const int fd = socket(one->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    error = connect(fd, one->ai_addr, one->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      pollfd ready{fd, POLLOUT, 0};
      socklen_t size = sizeof error;
      if (poll(&ready, 1, 3000) != 1)
        error = ETIMEDOUT;
      else
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    close(fd);
  }
  freeaddrinfo(found);
  if (error == 0) return well(what, spoken("{0} answers", address));
  return {what, Health::failed, spoken("nobody answers at {0}", address) + ": " + system_words(error),
          spoken("look at the scheduler's log, and at firewalls between")};
}

}  // namespace ultramarine::cli
