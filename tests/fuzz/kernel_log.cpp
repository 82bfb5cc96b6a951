// Any bytes as a line of the kernel's log: no Xid, or one of a place that can be read, in a line that people can.
#include <string_view>

#include "tests/fuzz/fuzz.h"
#include "worker/devices/kernel_log.h"

using namespace ultramarine;
using namespace ultramarine::devices;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto found = parse_xid_line(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!found) return 0;
  require(found->xid > 0 && found->pid >= 0, "numbers are not negative");
  require(parse_pci(found->address).has_value(), "the place is one");
  require(found->line.size() <= 240 && found->line.starts_with("NVRM: Xid ("), "the line is the driver's and short");
  for (const char letter : found->line) require(letter >= ' ' && letter <= '~', "the line is printable");
  const auto again = parse_xid_line(found->line);
  require(size > 200 || (again && again->xid == found->xid && again->address == found->address), "a line that was kept is read again");
  return 0;
}
