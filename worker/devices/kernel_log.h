// The kernel's log as a second witness of what happens to GPUs: follows /dev/kmsg (or a FIFO) and reads the lines that NVIDIA's driver writes there,
//   NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python3, GPU has fallen off the bus.
// Knows nothing of what an Xid means.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ultramarine::devices {

/// Where a GPU is plugged in. The driver and the kernel write the same place differently: 00000000:3B:00.0, 0000:3b:00.
struct PciAddress {
  std::uint32_t domain = 0, bus = 0, device = 0;
  friend auto operator<=>(const PciAddress&, const PciAddress&) = default;
};
std::optional<PciAddress> parse_pci(std::string_view text);

struct KernelXid {
  std::string address;  // as written
  std::int64_t xid = 0;
  std::int64_t pid = 0;  // 0 = none was named
  std::string line;      // from "NVRM:" on, printable, at most 240 bytes
};

/// nullopt for every other line. With or without the prefix of /dev/kmsg or of a log file.
std::optional<KernelXid> parse_xid_line(std::string_view line);

class KernelLog {
 public:
  /// From its end on: what was said earlier is over. Throws std::runtime_error with why it can't be followed.
  explicit KernelLog(const std::string& path);
  ~KernelLog();
  KernelLog(const KernelLog&) = delete;
  KernelLog& operator=(const KernelLog&) = delete;

  int descriptor() const { return descriptor_; }
  /// What has come since, without waiting.
  std::vector<KernelXid> read();

 private:
  int descriptor_ = -1;
  std::string rest_;  // of a line whose end hasn't come
};

}  // namespace ultramarine::devices
