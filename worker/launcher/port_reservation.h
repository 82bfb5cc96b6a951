// A TCP port that is free for a rank to listen on and that no other gang of this host is given meanwhile. The port is chosen
// outside the kernel's ephemeral range, so that no outgoing connection takes it, and is claimed for the gang's life by an
// abstract Unix socket named after it (same network namespace as the port; the kernel drops it with the process). The port
// itself is never kept bound.
#pragma once

#include <cstdint>
#include <string>

namespace ultramarine::launcher {

struct PortRange {
  std::int64_t first = 32768;
  std::int64_t last = 60999;
};

/// What connect() chooses from, of this network namespace.
PortRange ephemeral_ports();

class PortReservation {
 public:
  PortReservation() = default;
  PortReservation(std::int64_t port, int claim) : port_(port), claim_(claim) {}
  PortReservation(PortReservation&& other) noexcept;
  PortReservation& operator=(PortReservation&& other) noexcept;
  ~PortReservation();
  std::int64_t port() const { return port_; }  // 0 = none

 private:
  std::int64_t port_ = 0;
  int claim_ = -1;
};

/// A free port, from a random place on. Throws std::runtime_error when there is none.
PortReservation reserve_port(PortRange avoid = ephemeral_ports());

/// Claims this one port. port() is 0 when another gang has it or something listens there.
PortReservation claim_port(std::int64_t port);

}  // namespace ultramarine::launcher
