// NVIDIA's management library made of a text file: ULTRAMARINE_FAKE_NVML names it, and every call reads it anew, so a test changes a GPU by writing.
// A line is a key and a value; what is missing has a sensible default:
//   devices 2            how many GPUs there are        driver 570.1     version of the driver
//   order 1,0            in which order they are listed (numbers of GPUs; default 0,1,...)
//   1.uuid GPU-b         1.pci 00000000:3B:00.0         1.minor 1        1.name NVIDIA H100
//   1.lost 1             every call says that it is lost                 1.reset 1    or that it needs a reset
//   1.used 1000          bytes of its memory in use     1.total 1000
//   1.util 50  1.power 300000  1.temp 40  1.ecc 3       "none": this GPU can't say
//   1.limit 700000  1.energy 5000  1.sm 1980  1.mem 2619   power limit in mW, energy in mJ, clocks in MHz
//   1.slow 64            bits of the reasons why its clocks are low
//   1.rows 2  1.bad_rows 1  1.pending 1  1.remap_failed 1   remapped rows after corrected and uncorrected errors; one waits; one failed
//   1.pid 1234           a process that computes there; any number of such lines
//   1.xid 79             an Xid; each such line is reported once to those who wait
// It declares what it needs of NVIDIA's interface itself: nothing is shared with the program under test.
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#define FAKE_API extern "C" __attribute__((visibility("default")))

namespace {

enum { success = 0, invalid_argument = 2, not_supported = 3, insufficient_size = 7, driver_not_loaded = 9, time_out = 10, lost = 15, reset_required = 16 };
constexpr int gpus_max = 64;

struct State {
  std::map<std::string, std::string> values;
  std::map<std::string, std::vector<std::string>> all;

  State() {
    const char* const path = std::getenv("ULTRAMARINE_FAKE_NVML");
    std::ifstream file(path ? path : "");
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string key, value;
      words >> key >> std::ws;
      std::getline(words, value);
      if (key.empty()) continue;
      values[key] = value;
      all[key].push_back(value);
    }
  }
  std::string text(const std::string& key, const std::string& missing) const {
    const auto found = values.find(key);
    return found == values.end() ? missing : found->second;
  }
  long long number(const std::string& key, long long missing) const { return std::atoll(text(key, std::to_string(missing)).c_str()); }
  int devices() const { return static_cast<int>(number("devices", 0)); }
  /// Number of the GPU that is listed at `index`.
  int listed(int index) const {
    std::istringstream order(text("order", ""));
    for (std::string one; std::getline(order, one, ',');)
      if (index-- == 0) return std::atoi(one.c_str());
    return text("order", "").empty() ? index : -1;
  }
};

/// A handle is a place in this array.
char handles[gpus_max];

int number_of(void* device) { return static_cast<int>(static_cast<char*>(device) - handles); }
std::string key(void* device, const char* what) { return std::to_string(number_of(device)) + "." + what; }

int health(const State& state, void* device) {
  if (device < handles || device >= handles + gpus_max) return invalid_argument;
  if (state.number(key(device, "lost"), 0) != 0) return lost;
  return state.number(key(device, "reset"), 0) != 0 ? reset_required : success;
}

int copy(const std::string& text, char* to, unsigned int size) {
  if (text.size() >= size) return insufficient_size;
  std::memcpy(to, text.c_str(), text.size() + 1);
  return success;
}

int say(void* device, const char* what, long long missing, long long& value) {
  const State state;
  if (const int code = health(state, device)) return code;
  if (state.text(key(device, what), "") == "none") return not_supported;
  value = state.number(key(device, what), missing);
  return success;
}

struct Events {
  std::map<void*, std::size_t> told;  // of each GPU that is watched: how many of its Xids were reported
};

struct Utilization {
  unsigned int gpu, memory;
};
struct Memory {
  unsigned long long total, free, used;
};
struct Pci {
  char legacy[16];
  unsigned int domain, bus, device, ids[2];
  char bus_id[32];
};
struct Process {
  unsigned int pid;
  unsigned long long used;
  unsigned int gpu_instance, compute_instance;
};
struct Event {
  void* device;
  unsigned long long type, data;
  unsigned int gpu_instance, compute_instance;
};

}  // namespace

FAKE_API int nvmlInitWithFlags(unsigned int) { return State().number("broken", 0) != 0 ? driver_not_loaded : success; }
FAKE_API int nvmlInit_v2() { return nvmlInitWithFlags(0); }
FAKE_API int nvmlShutdown() { return success; }
FAKE_API const char* nvmlErrorString(int code) { return code == driver_not_loaded ? "Driver Not Loaded" : "Error"; }
FAKE_API int nvmlSystemGetDriverVersion(char* text, unsigned int size) { return copy(State().text("driver", "570.1"), text, size); }

FAKE_API int nvmlDeviceGetCount_v2(unsigned int* count) {
  *count = static_cast<unsigned int>(State().devices());
  return success;
}
FAKE_API int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void** device) {
  const State state;
  const int number = static_cast<int>(index) < state.devices() ? state.listed(static_cast<int>(index)) : -1;
  if (number < 0 || number >= gpus_max) return invalid_argument;
  if (state.number(std::to_string(number) + ".lost", 0) != 0) return lost;
  *device = handles + number;
  return success;
}
FAKE_API int nvmlDeviceGetName(void* device, char* text, unsigned int size) {
  const State state;
  const int code = health(state, device);
  return code ? code : copy(state.text(key(device, "name"), "NVIDIA FAKE"), text, size);
}
FAKE_API int nvmlDeviceGetUUID(void* device, char* text, unsigned int size) {
  const State state;
  const int code = health(state, device);
  return code ? code : copy(state.text(key(device, "uuid"), "GPU-fake-" + std::to_string(number_of(device))), text, size);
}
FAKE_API int nvmlDeviceGetMinorNumber(void* device, unsigned int* minor) {
  long long value = 0;
  const int code = say(device, "minor", number_of(device), value);
  *minor = static_cast<unsigned int>(value);
  return code;
}
FAKE_API int nvmlDeviceGetPciInfo_v3(void* device, Pci* pci) {
  const State state;
  if (const int code = health(state, device)) return code;
  char missing[32];
  std::snprintf(missing, sizeof missing, "00000000:%02X:00.0", static_cast<unsigned>(16 + number_of(device)));
  *pci = {};
  return copy(state.text(key(device, "pci"), missing), pci->bus_id, sizeof pci->bus_id);
}
FAKE_API int nvmlDeviceGetUtilizationRates(void* device, Utilization* rates) {
  long long value = 0;
  const int code = say(device, "util", 0, value);
  *rates = {static_cast<unsigned int>(value), 0};
  return code;
}
FAKE_API int nvmlDeviceGetMemoryInfo(void* device, Memory* memory) {
  long long total = 0, used = 0;
  if (const int code = say(device, "total", 80LL << 30, total)) return code;
  if (const int code = say(device, "used", 0, used)) return code;
  *memory = {static_cast<unsigned long long>(total), static_cast<unsigned long long>(total - used), static_cast<unsigned long long>(used)};
  return success;
}
FAKE_API int nvmlDeviceGetPowerUsage(void* device, unsigned int* milliwatts) {
  long long value = 0;
  const int code = say(device, "power", 70'000, value);
  *milliwatts = static_cast<unsigned int>(value);
  return code;
}
FAKE_API int nvmlDeviceGetTemperature(void* device, int, unsigned int* celsius) {
  long long value = 0;
  const int code = say(device, "temp", 30, value);
  *celsius = static_cast<unsigned int>(value);
  return code;
}
FAKE_API int nvmlDeviceGetTotalEccErrors(void* device, int kind, int, unsigned long long* count) {
  long long value = 0;
  const int code = say(device, "ecc", 0, value);
  *count = kind == 0 ? static_cast<unsigned long long>(value) : 0;
  return code;
}
FAKE_API int nvmlDeviceGetEnforcedPowerLimit(void* device, unsigned int* milliwatts) {
  long long value = 0;
  const int code = say(device, "limit", 700'000, value);
  *milliwatts = static_cast<unsigned int>(value);
  return code;
}
FAKE_API int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  long long value = 0;
  const int code = say(device, "energy", 0, value);
  *millijoules = static_cast<unsigned long long>(value);
  return code;
}
FAKE_API int nvmlDeviceGetClockInfo(void* device, int kind, unsigned int* megahertz) {
  if (kind < 0 || kind > 3) return invalid_argument;
  long long value = 0;
  const int code = kind == 2 ? say(device, "mem", 2'619, value) : say(device, "sm", 1'980, value);
  *megahertz = static_cast<unsigned int>(value);
  return code;
}
FAKE_API int nvmlDeviceGetCurrentClocksEventReasons(void* device, unsigned long long* reasons) {
  long long value = 0;
  const int code = say(device, "slow", 1, value);
  *reasons = static_cast<unsigned long long>(value);
  return code;
}
FAKE_API int nvmlDeviceGetRemappedRows(void* device, unsigned int* corrected, unsigned int* uncorrected, unsigned int* pending, unsigned int* failed) {
  long long values[4] = {};
  const char* const keys[4] = {"rows", "bad_rows", "pending", "remap_failed"};
  for (int i = 0; i < 4; ++i)
    if (const int code = say(device, keys[i], 0, values[i])) return code;
  *corrected = static_cast<unsigned int>(values[0]);
  *uncorrected = static_cast<unsigned int>(values[1]);
  *pending = static_cast<unsigned int>(values[2]);
  *failed = static_cast<unsigned int>(values[3]);
  return success;
}
FAKE_API int nvmlDeviceGetComputeRunningProcesses_v3(void* device, unsigned int* count, Process* processes) {
  const State state;
  if (const int code = health(state, device)) return code;
  const auto found = state.all.find(key(device, "pid"));
  const std::size_t there = found == state.all.end() ? 0 : found->second.size();
  const bool fits = there <= *count;
  *count = static_cast<unsigned int>(there);
  if (!fits) return insufficient_size;
  for (std::size_t i = 0; i < there; ++i) processes[i] = {static_cast<unsigned int>(std::atoll(found->second[i].c_str())), ~0ULL, ~0U, ~0U};
  return success;
}

FAKE_API int nvmlEventSetCreate(void** set) {
  *set = new Events;
  return success;
}
FAKE_API int nvmlEventSetFree(void* set) {
  delete static_cast<Events*>(set);
  return success;
}
FAKE_API int nvmlDeviceRegisterEvents(void* device, unsigned long long, void* set) {
  const State state;
  if (const int code = health(state, device)) return code;
  if (state.text("xids", "") == "none") return not_supported;
  const auto found = state.all.find(key(device, "xid"));
  static_cast<Events*>(set)->told[device] = found == state.all.end() ? 0 : found->second.size();
  return success;
}
FAKE_API int nvmlEventSetWait_v2(void* set, Event* event, unsigned int milliseconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  do {
    const State state;
    for (auto& [device, told] : static_cast<Events*>(set)->told) {
      const auto found = state.all.find(key(device, "xid"));
      const std::size_t there = found == state.all.end() ? 0 : found->second.size();
      if (there < told) told = there;
      if (there == told) continue;
      *event = {device, 8, static_cast<unsigned long long>(std::atoll(found->second[told++].c_str())), ~0U, ~0U};
      return success;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  } while (std::chrono::steady_clock::now() < end);
  return time_out;
}
