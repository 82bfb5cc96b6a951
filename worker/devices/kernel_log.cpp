#include "worker/devices/kernel_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace ultramarine::devices {
namespace {

constexpr std::size_t line_max = 240;
/// A line that grows beyond this is none that we know.
constexpr std::size_t rest_max = 16 << 10;

template <class T>
bool take_number(std::string_view& text, T& value, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool take(std::string_view& text, std::string_view start) {
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  return true;
}

std::string printable(std::string_view text) {
  std::string clean;
  for (const char letter : text.substr(0, line_max)) clean += letter >= ' ' && letter <= '~' ? letter : '?';
  return clean;
}

}  // namespace

std::optional<PciAddress> parse_pci(std::string_view text) {
  PciAddress address;
  if (!take_number(text, address.domain, 16) || !take(text, ":") || !take_number(text, address.bus, 16) || !take(text, ":") ||
      !take_number(text, address.device, 16))
    return std::nullopt;
  std::uint32_t function = 0;
  if (take(text, ".") && !take_number(text, function, 16)) return std::nullopt;
  return text.empty() ? std::optional(address) : std::nullopt;
}

std::optional<KernelXid> parse_xid_line(std::string_view line) {
  constexpr std::string_view start = "NVRM: Xid (";
  const std::size_t at = line.find(start);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view text = line.substr(at);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  KernelXid found;
  found.line = printable(text);
  text.remove_prefix(start.size());
  take(text, "PCI:");
  const std::size_t close = text.find(')');
  if (close == std::string_view::npos) return std::nullopt;
  if (!parse_pci(text.substr(0, close))) return std::nullopt;
  found.address = std::string(text.substr(0, close));
  text.remove_prefix(close + 1);
  if (!take(text, ": ") || !take_number(text, found.xid, 10) || found.xid <= 0) return std::nullopt;
  if (const std::size_t pid = text.find("pid="); pid != std::string_view::npos) {
    text.remove_prefix(pid + 4);
    take(text, "'");
    if (!take_number(text, found.pid, 10) || found.pid < 0) found.pid = 0;
  }
  return found;
}

KernelLog::KernelLog(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw std::runtime_error(path + ": " + std::strerror(errno));
  const bool is_pipe = S_ISFIFO(status.st_mode);
  if (!is_pipe && !S_ISCHR(status.st_mode)) throw std::runtime_error(path + " is no device of the kernel and no FIFO");
  // A FIFO is opened for writing, too: it never ends when a writer goes.
  descriptor_ = ::open(path.c_str(), (is_pipe ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
  if (descriptor_ < 0) throw std::runtime_error(path + " can't be opened: " + std::strerror(errno));
  if (!is_pipe) ::lseek(descriptor_, 0, SEEK_END);
}

KernelLog::~KernelLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::vector<KernelXid> KernelLog::read() {
  std::vector<KernelXid> found;
  std::array<char, 8192> buffer;
  // The kernel's device gives one record with each read, and EPIPE when it has overwritten some that we didn't get to.
  constexpr int reads_max = 256;
  for (int i = 0; i < reads_max; ++i) {
    const ssize_t count = ::read(descriptor_, buffer.data(), buffer.size());
    if (count < 0 && (errno == EPIPE || errno == EINTR)) continue;
    if (count <= 0) break;
    rest_.append(buffer.data(), static_cast<std::size_t>(count));
    for (std::size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n')) {
      if (auto xid = parse_xid_line(std::string_view(rest_).substr(0, end))) found.push_back(std::move(*xid));
      rest_.erase(0, end + 1);
    }
    if (rest_.size() > rest_max) rest_.clear();
  }
  return found;
}

}  // namespace ultramarine::devices
