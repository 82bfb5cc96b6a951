// Small words with the kernel's control group files, for the kinds of containment alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ultramarine::launcher {

struct DeviceNumber;

/// 0, or an errno.
int write_group_file(const std::string& path, const std::string& text);
std::string read_group_file(const std::string& path);
/// Living processes of a group and all below it.
std::vector<std::int64_t> processes_below(const std::string& folder);
/// With its parents below an existing one. Throws FolderError.
void make_group(const std::string& path);
/// The group and all below it; false when something is still in one. True when there was none.
bool remove_group(const std::string& path);
/// SIGKILL to each but `spared`.
void kill_processes(const std::vector<std::int64_t>& processes, std::int64_t spared);

/// Refuses these devices to all processes of a group of version 2, by a BPF program. 0, or an errno.
int deny_devices_by_program(const std::string& folder, const std::vector<DeviceNumber>& devices);
/// Whether this process may load such programs.
bool can_deny_devices_by_program();

}  // namespace ultramarine::launcher
