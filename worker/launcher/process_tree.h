// Processes of this machine as /proc shows them: who descends from whom, who carries our mark, and signals that can't hit a
// stranger. A process is named by pid and start time together, because pids come round again.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ultramarine::launcher {

struct ProcessIdentity {
  std::int64_t pid = 0;
  std::int64_t start_ticks = 0;  // since boot, field 22 of /proc/PID/stat
  friend auto operator<=>(const ProcessIdentity&, const ProcessIdentity&) = default;
};
BOOST_DESCRIBE_STRUCT(ProcessIdentity, (), (pid, start_ticks))

/// nullopt when there is no such process; a zombie still is one.
std::optional<ProcessIdentity> identify(std::int64_t pid);
/// It runs: it is there, is the same one, and isn't a zombie.
bool is_running(const ProcessIdentity& process);

/// All its user ids are this one.
bool belongs_to(std::int64_t pid, std::int64_t uid);

/// All running processes below `ancestor`, at any depth, sessions and process groups notwithstanding. Orphans are found as long as
/// `ancestor` is their subreaper (PR_SET_CHILD_SUBREAPER).
std::vector<ProcessIdentity> descendants_of(std::int64_t ancestor);
/// For each of these processes itself (a zombie too) and all that run below it, in one pass over the machine's processes.
std::vector<std::vector<ProcessIdentity>> trees_of(const std::vector<std::int64_t>& roots);
/// All running processes of ours that were started with `entry` ("NAME=value") in their environment.
std::vector<ProcessIdentity> processes_with_environment(const std::string& entry);

/// False when it is gone already. Never hits another process that got the pid.
bool send_signal(const ProcessIdentity& process, int signal);
/// A descriptor that becomes readable when the process ends; -1 when it has ended. The caller closes it.
int open_process(const ProcessIdentity& process);

/// Changes at every boot: start times of another boot mean nothing.
std::string boot_id();

}  // namespace ultramarine::launcher
