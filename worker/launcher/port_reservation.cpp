#include "worker/launcher/port_reservation.h"

#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace ultramarine::launcher {
namespace {

constexpr std::int64_t first_unprivileged = 1024;
constexpr std::int64_t first_choice = 10'000;  // below are well-known services
constexpr std::int64_t last_port = 65'535;

/// Binds and listens as a rank would, on all addresses, and lets go. A listening socket that never had a connection leaves nothing behind.
bool is_free(std::int64_t port) {
  const int both = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (both >= 0) {
    const int zero = 0;
    ::setsockopt(both, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(static_cast<std::uint16_t>(port));
    const bool free = ::bind(both, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(both, 1) == 0;
    const bool no_v6 = !free && errno == EADDRNOTAVAIL;
    ::close(both);
    if (!no_v6) return free;
  }
  const int v4 = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (v4 < 0) return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool free = ::bind(v4, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(v4, 1) == 0;
  ::close(v4);
  return free;
}

}  // namespace

PortRange ephemeral_ports() {
  PortRange range;
  std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");
  PortRange read;
  if (file >> read.first >> read.last) range = read;
  return range;
}

PortReservation::PortReservation(PortReservation&& other) noexcept
    : port_(std::exchange(other.port_, 0)), claim_(std::exchange(other.claim_, -1)) {}

PortReservation& PortReservation::operator=(PortReservation&& other) noexcept {
  std::swap(port_, other.port_);
  std::swap(claim_, other.claim_);
  return *this;
}

PortReservation::~PortReservation() {
  if (claim_ >= 0) ::close(claim_);
}

PortReservation claim_port(std::int64_t port) {
  const int claim = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (claim < 0) return {};
  const std::string name = "ultramarine-port-" + std::to_string(port);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());  // a leading zero: the abstract namespace
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(claim, reinterpret_cast<sockaddr*>(&address), length) == 0 && is_free(port)) return {port, claim};
  ::close(claim);
  return {};
}

PortReservation reserve_port(PortRange avoid) {
  constexpr std::int64_t enough = 64;
  std::int64_t from = first_choice;
  const auto below = [&] { return std::max<std::int64_t>(0, std::min(avoid.first, last_port + 1) - from); };
  const auto above = [&] { return std::max<std::int64_t>(0, last_port - std::max(avoid.last, from - 1)); };
  if (below() + above() < enough) from = first_unprivileged;
  if (below() + above() < enough) avoid = {last_port + 1, last_port};
  const std::int64_t under = below(), count = under + above();

  std::uint32_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) random = static_cast<std::uint32_t>(::getpid());
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t place = (random + i) % count;
    PortReservation reservation = claim_port(place < under ? from + place : last_port - (place - under));
    if (reservation.port() != 0) return reservation;
  }
  throw std::runtime_error("no TCP port is free on this host for the ranks to meet at");
}

}  // namespace ultramarine::launcher
