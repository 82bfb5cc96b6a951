// Daemons of a local cluster as processes: started apart from this shell, found again by pid file, stopped for sure. A
// process is named by pid, start time and boot, so that a recycled pid is never signalled.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace ultramarine::cli {

struct Process {
  std::int64_t pid = 0;
  std::int64_t start_ticks = 0;  // field 22 of /proc/PID/stat
  std::string boot_id;
  bool operator==(const Process&) const = default;
};

/// nullopt when there is no such process (a zombie is none).
std::optional<Process> identify(std::int64_t pid);
bool is_running(const Process& process);
/// False when it is gone.
bool send_signal(const Process& process, int signal);
/// All running processes below this one.
std::vector<Process> descendants_of(const Process& process);
/// All running processes of this user whose environment holds "NAME=value".
std::vector<Process> processes_with_environment(const std::string& entry);

struct DaemonFiles {
  std::string name, pid_file, log_file;
};

/// Starts `arguments` in a session of its own, output appended to the log, and writes the pid file. Throws CommandError
/// when the program can't be run. The caller is its parent until it exits: `reap` collects the ended ones.
Process start_daemon(const DaemonFiles& files, const std::vector<std::string>& arguments);
/// What the pid file names, if it runs.
std::optional<Process> running_daemon(const std::string& pid_file);
/// Collects ended children, so that they are no zombies.
void reap();

/// Returns true when none runs any more, false after `limit`. `tick` is called about 20 times a second with how many
/// still run.
bool await_end(const std::vector<Process>& processes, std::chrono::milliseconds limit,
               const std::function<void(std::size_t)>& tick);
/// SIGTERM to all, SIGKILL to those that still run after `grace`; returns when none runs. `tick` as in await_end.
void stop_processes(const std::vector<Process>& processes, std::chrono::milliseconds grace,
                    const std::function<void(std::size_t)>& tick);

/// The last line of a file that isn't empty, from byte `from` on; "" when there is none.
std::string last_line(const std::string& file, std::uint64_t from);

}  // namespace ultramarine::cli
