// NVIDIA's management library, found when the program runs: a node without GPUs needs nothing of it. Prototypes and structs are our own (their sizes
// are part of the library's interface); each symbol is looked up by its versioned name and may be missing in an older driver: what it would have
// said is then simply not known. Every call may block while the driver hangs, so none belongs on the loop's thread. Any number of threads may call.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace ultramarine::devices {

/// What the library's calls return.
enum NvmlCode : int {
  nvml_success = 0,
  nvml_not_supported = 3,
  nvml_insufficient_size = 7,
  nvml_timeout = 10,
  nvml_function_not_found = 13,
  nvml_gpu_is_lost = 15,
  nvml_reset_required = 16,
};

struct NvmlError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Opaque: the library's handle of a device.
using NvmlDevice = void*;

struct NvmlIdentity {
  std::string uuid, name, pci;
  std::int64_t minor = -1;  // of /dev/nvidia<minor>
  int code = nvml_success;  // why the uuid isn't known
};

struct NvmlProcess {
  std::int64_t pid = 0;
  std::optional<std::int64_t> used_bytes;
};

/// What a device says at one moment; what it can't say is left out.
struct NvmlReading {
  bool lost = false;            // a call said that the GPU is gone
  bool reset_required = false;  // or that it does nothing before it is reset
  std::optional<std::int64_t> utilization_percent, memory_total_bytes, memory_used_bytes, power_milliwatts, temperature_celsius;
  std::optional<std::int64_t> ecc_corrected, ecc_uncorrected;
  std::optional<std::int64_t> power_limit_milliwatts, energy_millijoules;  // the energy since the driver was loaded
  std::optional<std::int64_t> sm_clock_mhz, memory_clock_mhz;
  std::optional<std::uint64_t> slowed_by;  // a bit for each reason why the clocks are lower than they could be
  std::optional<std::int64_t> rows_corrected, rows_uncorrected;  // remapped rows of memory, by the errors that were the cause
  std::optional<bool> row_remap_pending, row_remap_failed;       // at the next reset; it could not be done
  std::vector<NvmlProcess> processes;  // that compute there, and live
};

struct NvmlXid {
  NvmlDevice device = nullptr;
  std::int64_t xid = 0;
};

class Nvml {
 public:
  /// Loads and starts the library. Throws NvmlError with why it can't be used.
  explicit Nvml(const std::string& library);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  std::string driver_version() const;  // "" = not known
  std::int64_t device_count() const;
  /// nullptr when the driver doesn't give the device of that index.
  NvmlDevice device(std::int64_t index, int& code) const;
  NvmlIdentity identity(NvmlDevice device) const;
  NvmlReading read(NvmlDevice device) const;

  /// From now on, Xids of these devices can be waited for. False when the driver tells none.
  bool watch_xids(const std::vector<NvmlDevice>& devices);
  /// The next one. nullopt with code nvml_timeout when none came; with another code when waiting doesn't work now. One thread at a time.
  std::optional<NvmlXid> wait_for_xid(std::chrono::milliseconds patience, int& code) const;

 private:
  struct Calls;
  const Calls* calls_ = nullptr;
  void* library_ = nullptr;
  void* events_ = nullptr;
};

/// Of those that are given: which still have a process in /proc. What the driver lists of other PID namespaces or of processes long gone isn't there.
bool process_lives(std::int64_t pid);

}  // namespace ultramarine::devices
