#include "worker/devices/nvml.h"

#include <dlfcn.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

namespace ultramarine::devices {
namespace {

// ---- the library's interface: sizes and places of the fields are fixed --------------------------------------------------

struct Utilization {
  unsigned int gpu, memory;  // percent
};
static_assert(sizeof(Utilization) == 8);

struct Memory {
  unsigned long long total, free, used;  // bytes
};
static_assert(sizeof(Memory) == 24);

struct ProcessInfo {
  unsigned int pid;
  unsigned long long used;  // bytes; all ones = not known
  unsigned int gpu_instance, compute_instance;
};
static_assert(sizeof(ProcessInfo) == 24);

struct PciInfo {
  char legacy_bus_id[16];
  unsigned int domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};
static_assert(sizeof(PciInfo) == 68);

struct EventData {
  NvmlDevice device;
  unsigned long long type, data;
  unsigned int gpu_instance, compute_instance;
};
static_assert(sizeof(EventData) == 32);

constexpr unsigned long long event_xid = 8;
constexpr unsigned long long xid_unknown = 999;
constexpr int init_no_gpus = 1;  // a machine without GPUs is no error
constexpr int temperature_of_gpu = 0;
constexpr int ecc_kind_corrected = 0, ecc_kind_uncorrected = 1, ecc_volatile = 0;
constexpr int clock_of_sm = 1, clock_of_memory = 2;
constexpr std::size_t uuid_size = 96, name_size = 96, version_size = 80;

}  // namespace

/// One pointer for each function that we call; null where the library hasn't got it.
struct Nvml::Calls {
  int (*init_with_flags)(unsigned int);
  int (*init)();
  int (*shutdown)();
  const char* (*error_string)(int);
  int (*driver_version)(char*, unsigned int);
  int (*count)(unsigned int*);
  int (*by_index)(unsigned int, NvmlDevice*);
  int (*name)(NvmlDevice, char*, unsigned int);
  int (*uuid)(NvmlDevice, char*, unsigned int);
  int (*minor)(NvmlDevice, unsigned int*);
  int (*pci)(NvmlDevice, PciInfo*);
  int (*utilization)(NvmlDevice, Utilization*);
  int (*memory)(NvmlDevice, Memory*);
  int (*power)(NvmlDevice, unsigned int*);
  int (*temperature)(NvmlDevice, int, unsigned int*);
  int (*ecc)(NvmlDevice, int, int, unsigned long long*);
  int (*power_limit)(NvmlDevice, unsigned int*);
  int (*energy)(NvmlDevice, unsigned long long*);
  int (*clock)(NvmlDevice, int, unsigned int*);
  int (*slowed_by)(NvmlDevice, unsigned long long*);
  int (*remapped_rows)(NvmlDevice, unsigned int*, unsigned int*, unsigned int*, unsigned int*);
  int (*processes)(NvmlDevice, unsigned int*, ProcessInfo*);
  int (*event_set)(void**);
  int (*event_set_free)(void*);
  int (*register_events)(NvmlDevice, unsigned long long, void*);
  int (*wait)(void*, EventData*, unsigned int);

  explicit Calls(void* library) {
    const auto find = [library](auto& function, const char* symbol) { function = reinterpret_cast<std::decay_t<decltype(function)>>(::dlsym(library, symbol)); };
    find(init_with_flags, "nvmlInitWithFlags");
    find(init, "nvmlInit_v2");
    find(shutdown, "nvmlShutdown");
    find(error_string, "nvmlErrorString");
    find(driver_version, "nvmlSystemGetDriverVersion");
    find(count, "nvmlDeviceGetCount_v2");
    find(by_index, "nvmlDeviceGetHandleByIndex_v2");
    find(name, "nvmlDeviceGetName");
    find(uuid, "nvmlDeviceGetUUID");
    find(minor, "nvmlDeviceGetMinorNumber");
    find(pci, "nvmlDeviceGetPciInfo_v3");
    find(utilization, "nvmlDeviceGetUtilizationRates");
    find(memory, "nvmlDeviceGetMemoryInfo");
    find(power, "nvmlDeviceGetPowerUsage");
    find(temperature, "nvmlDeviceGetTemperature");
    find(ecc, "nvmlDeviceGetTotalEccErrors");
    find(power_limit, "nvmlDeviceGetEnforcedPowerLimit");
    find(energy, "nvmlDeviceGetTotalEnergyConsumption");
    find(clock, "nvmlDeviceGetClockInfo");
    find(slowed_by, "nvmlDeviceGetCurrentClocksEventReasons");
    if (!slowed_by) find(slowed_by, "nvmlDeviceGetCurrentClocksThrottleReasons");  // its name in older drivers
    find(remapped_rows, "nvmlDeviceGetRemappedRows");
    find(processes, "nvmlDeviceGetComputeRunningProcesses_v3");
    find(event_set, "nvmlEventSetCreate");
    find(event_set_free, "nvmlEventSetFree");
    find(register_events, "nvmlDeviceRegisterEvents");
    find(wait, "nvmlEventSetWait_v2");
  }
};

namespace {

/// Calls what is there; a missing function is an answer like the library's own.
template <class Result, class... Parameters, class... Arguments>
int call(Result (*function)(Parameters...), Arguments... arguments) {
  return function ? function(arguments...) : nvml_function_not_found;
}

}  // namespace

Nvml::Nvml(const std::string& library) {
  library_ = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr) {
    const char* const why = ::dlerror();
    throw NvmlError(why ? why : library + " can't be loaded");
  }
  auto calls = std::make_unique<Calls>(library_);
  int code = call(calls->init_with_flags, static_cast<unsigned int>(init_no_gpus));
  if (code == nvml_function_not_found) code = call(calls->init);
  if (code == nvml_success && (!calls->count || !calls->by_index || !calls->uuid)) code = nvml_function_not_found;
  if (code != nvml_success) {
    const char* const text = calls->error_string && code != nvml_function_not_found ? calls->error_string(code) : nullptr;
    const std::string why = library + ": " + (text ? text : "it lacks functions of NVIDIA's management library") + " (" + std::to_string(code) + ")";
    ::dlclose(library_);
    throw NvmlError(why);
  }
  calls_ = calls.release();
}

Nvml::~Nvml() {
  if (events_) call(calls_->event_set_free, events_);
  call(calls_->shutdown);
  delete calls_;
  ::dlclose(library_);
}

std::string Nvml::driver_version() const {
  std::array<char, version_size> text{};
  return call(calls_->driver_version, text.data(), static_cast<unsigned int>(text.size() - 1)) == nvml_success ? text.data() : "";
}

std::int64_t Nvml::device_count() const {
  unsigned int count = 0;
  return call(calls_->count, &count) == nvml_success ? count : 0;
}

NvmlDevice Nvml::device(std::int64_t index, int& code) const {
  NvmlDevice device = nullptr;
  code = call(calls_->by_index, static_cast<unsigned int>(index), &device);
  return code == nvml_success ? device : nullptr;
}

NvmlIdentity Nvml::identity(NvmlDevice device) const {
  NvmlIdentity identity;
  std::array<char, uuid_size> uuid{};
  identity.code = call(calls_->uuid, device, uuid.data(), static_cast<unsigned int>(uuid.size() - 1));
  if (identity.code == nvml_success) identity.uuid = uuid.data();
  std::array<char, name_size> name{};
  if (call(calls_->name, device, name.data(), static_cast<unsigned int>(name.size() - 1)) == nvml_success) identity.name = name.data();
  unsigned int minor = 0;
  if (call(calls_->minor, device, &minor) == nvml_success) identity.minor = minor;
  PciInfo pci{};
  if (call(calls_->pci, device, &pci) == nvml_success) {
    pci.bus_id[sizeof pci.bus_id - 1] = '\0';
    identity.pci = pci.bus_id;
  }
  return identity;
}

NvmlReading Nvml::read(NvmlDevice device) const {
  NvmlReading reading;
  const auto heard = [&](int code) {
    reading.lost = reading.lost || code == nvml_gpu_is_lost;
    reading.reset_required = reading.reset_required || code == nvml_reset_required;
    return code == nvml_success;
  };
  Utilization utilization{};
  if (heard(call(calls_->utilization, device, &utilization))) reading.utilization_percent = utilization.gpu;
  Memory memory{};
  if (heard(call(calls_->memory, device, &memory))) {
    reading.memory_total_bytes = static_cast<std::int64_t>(memory.total);
    reading.memory_used_bytes = static_cast<std::int64_t>(memory.used);
  }
  unsigned int number = 0;
  if (heard(call(calls_->power, device, &number))) reading.power_milliwatts = number;
  if (heard(call(calls_->temperature, device, temperature_of_gpu, &number))) reading.temperature_celsius = number;
  unsigned long long errors = 0;
  if (heard(call(calls_->ecc, device, ecc_kind_corrected, ecc_volatile, &errors))) reading.ecc_corrected = static_cast<std::int64_t>(errors);
  if (heard(call(calls_->ecc, device, ecc_kind_uncorrected, ecc_volatile, &errors))) reading.ecc_uncorrected = static_cast<std::int64_t>(errors);
  if (heard(call(calls_->power_limit, device, &number))) reading.power_limit_milliwatts = number;
  unsigned long long wide = 0;
  if (heard(call(calls_->energy, device, &wide))) reading.energy_millijoules = static_cast<std::int64_t>(wide);
  if (heard(call(calls_->clock, device, clock_of_sm, &number))) reading.sm_clock_mhz = number;
  if (heard(call(calls_->clock, device, clock_of_memory, &number))) reading.memory_clock_mhz = number;
  if (heard(call(calls_->slowed_by, device, &wide))) reading.slowed_by = wide;
  unsigned int corrected = 0, uncorrected = 0, pending = 0, failed = 0;
  if (heard(call(calls_->remapped_rows, device, &corrected, &uncorrected, &pending, &failed))) {
    reading.rows_corrected = corrected;
    reading.rows_uncorrected = uncorrected;
    reading.row_remap_pending = pending != 0;
    reading.row_remap_failed = failed != 0;
  }

  // More may start between the question how many there are and the list: some room to spare, and another try.
  constexpr unsigned int slack = 16, processes_max = 4096;
  std::vector<ProcessInfo> processes(slack);
  for (;;) {
    auto count = static_cast<unsigned int>(processes.size());
    const int code = call(calls_->processes, device, &count, processes.data());
    if (code == nvml_insufficient_size && count < processes_max && count >= processes.size()) {
      processes.resize(count + slack);
      continue;
    }
    processes.resize(heard(code) ? std::min<std::size_t>(count, processes.size()) : 0);
    break;
  }
  for (const ProcessInfo& process : processes) {
    if (!process_lives(process.pid)) continue;
    NvmlProcess& kept = reading.processes.emplace_back(NvmlProcess{.pid = process.pid, .used_bytes = {}});
    if (process.used != ~0ULL) kept.used_bytes = static_cast<std::int64_t>(process.used);
  }
  return reading;
}

bool Nvml::watch_xids(const std::vector<NvmlDevice>& devices) {
  if (!calls_->wait || call(calls_->event_set, &events_) != nvml_success) return false;
  bool any = false;
  for (const NvmlDevice device : devices) any = call(calls_->register_events, device, event_xid, events_) == nvml_success || any;
  return any;
}

std::optional<NvmlXid> Nvml::wait_for_xid(std::chrono::milliseconds patience, int& code) const {
  EventData event{};
  code = events_ ? call(calls_->wait, events_, &event, static_cast<unsigned int>(patience.count())) : nvml_function_not_found;
  if (code != nvml_success || (event.type & event_xid) == 0 || event.data == xid_unknown) return std::nullopt;
  return NvmlXid{event.device, static_cast<std::int64_t>(event.data)};
}

bool process_lives(std::int64_t pid) {
  // EPERM: it is there, and somebody else's.
  return pid > 0 && (::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
}

}  // namespace ultramarine::devices
