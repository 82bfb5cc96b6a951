// The web page for one user: a port on this machine that passes requests to the scheduler's Unix socket, where the
// kernel says whose they are. Whoever can name the door's secret path is let in, and nobody else: the path is in no
// cookie, which pages on other ports of this machine would be sent too (SameSite tells no ports apart). The address
// that is printed works once; it leads to the secret path. Requests that change something must say besides that they
// come from this door's own page.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "scheduler/net/http.h"

namespace ultramarine::cli {

class PageDoor {
 public:
  /// Listens on 127.0.0.1 at `port` (0: any free one). Throws NetError.
  PageDoor(net::Loop& loop, std::string socket, std::uint16_t port);
  /// Ends what is still being read.
  ~PageDoor();
  PageDoor(const PageDoor&) = delete;
  PageDoor& operator=(const PageDoor&) = delete;

  /// What to open in a browser. Good for one visit.
  std::string address() const;

 private:
  struct Passed;
  void take(net::Request request, std::shared_ptr<net::Reply> reply);
  void pass(net::Request request, std::shared_ptr<net::Reply> reply);
  bool names_this_door(const net::Request& request) const;
  static bool is_from_elsewhere(const net::Request& request);

  net::Loop& loop_;
  const std::string socket_;
  const std::string secret_;
  std::string token_;  // "" once it was used
  std::vector<std::shared_ptr<Passed>> passed_;
  std::unique_ptr<net::Server> server_;
};

}  // namespace ultramarine::cli
