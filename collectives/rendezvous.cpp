// Hello, from a rank: the greeting, then rank, world size, length of the token (32 bits each, big endian), the token.
// Answer, from rank 0: 'K' (the bytes) or 'R' (refused or failed: why), a length, that many bytes.
#include "collectives/rendezvous.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace ultramarine::collectives {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view greeting = "ultramarine rendezvous 1\n";
constexpr std::size_t hello_bytes = greeting.size() + 12;  // without the token
constexpr std::size_t token_bytes_max = 256, answer_bytes_max = 1 << 20;
// Rank 0 has about the same deadline, and knows who is missing: its guests wait a little longer for what it says.
constexpr milliseconds verdict_grace = std::chrono::seconds(2);
constexpr milliseconds hello_limit = std::chrono::seconds(10);  // a connection that says nothing is closed after it

class Socket {
 public:
  explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  int get() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

std::string where(const Rendezvous& place) { return place.address + ":" + std::to_string(place.port); }

[[noreturn]] void fail(const std::string& text) { throw CollectiveError("rendezvous: " + text); }

void put_number(std::string& bytes, std::size_t number) {
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(number >> shift & 0xffU));
}
std::size_t number_at(std::string_view bytes, std::size_t offset) {
  std::size_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<unsigned char>(bytes[offset + i]);
  return number;
}

std::string make_answer(char kind, const std::string& text) {
  std::string answer(1, kind);
  put_number(answer, text.size());
  return answer + text;
}

int milliseconds_until(Clock::time_point end) {
  const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
}

/// Whether `descriptor` became ready for `events` (or failed) before `end`.
bool ready(int descriptor, short events, Clock::time_point end) {
  pollfd entry{descriptor, events, 0};
  for (;;) {
    const int count = ::poll(&entry, 1, milliseconds_until(end));
    if (count > 0) return true;
    if (count == 0 && Clock::now() >= end) return false;
    if (count < 0 && errno != EINTR) return false;
  }
}

struct AddressList {
  explicit AddressList(const Rendezvous& place) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    const int code = ::getaddrinfo(place.address.c_str(), std::to_string(place.port).c_str(), &hints, &first);
    if (code != 0) fail("MASTER_ADDR \"" + place.address + "\": " + ::gai_strerror(code));
  }
  ~AddressList() { ::freeaddrinfo(first); }
  AddressList(const AddressList&) = delete;
  AddressList& operator=(const AddressList&) = delete;
  addrinfo* first = nullptr;
};

// ---- rank 0 ----

Socket listen_at(const Rendezvous& place) {
  const AddressList addresses(place);
  int error = 0;
  for (const addrinfo* address = addresses.first; address; address = address->ai_next) {
    Socket socket(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    if (socket && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        ::bind(socket.get(), address->ai_addr, address->ai_addrlen) == 0 &&
        ::listen(socket.get(), std::max(place.world_size, 16)) == 0) {
      return socket;
    }
    error = errno;
  }
  fail("rank 0 can't listen at " + where(place) + ": " + std::strerror(error));
}

/// A connection to rank 0: first it says who it is, then it waits for the answer.
struct Guest {
  Socket socket;
  Clock::time_point since;
  std::string hello;
  int rank = -1;  // known once its hello was read and fits
};

class Host {
 public:
  Host(const Rendezvous& place, Clock::time_point end)
      : place_(place), end_(end), listener_(listen_at(place)), came_(static_cast<std::size_t>(place.world_size)) {
    came_[0] = true;
  }

  void serve(const std::string& bytes, milliseconds deadline) {
    while (!everybody()) {
      if (Clock::now() >= end_) return give_up(deadline);
      wait();
    }
    const std::string answer = make_answer('K', bytes);
    for (const Guest& guest : guests_) {
      if (guest.rank >= 0 && !send(guest.socket, answer, end_))
        fail("rank " + std::to_string(guest.rank) + " was gone before it could be answered");
    }
  }

 private:
  bool everybody() const { return std::find(came_.begin(), came_.end(), false) == came_.end(); }

  void give_up(milliseconds deadline) {
    std::string missing;
    int count = 0;
    for (std::size_t rank = 0; rank < came_.size(); ++rank) {
      if (!came_[rank]) missing += (count++ ? ", " : "") + std::to_string(rank);
    }
    const std::string text = (count == 1 ? "rank " : "ranks ") + missing + " of " + std::to_string(place_.world_size) +
                             " didn't come to " + where(place_) + " within " + std::to_string(deadline.count()) +
                             " ms" + (refused_.empty() ? "" : "; refused meanwhile: " + refused_);
    for (const Guest& guest : guests_) {
      if (guest.rank >= 0) send(guest.socket, make_answer('R', text), Clock::now() + std::chrono::seconds(1));
    }
    throw DeadlineExceeded("rendezvous: " + text);
  }

  /// Until something arrives, a silent guest's time is over, or the deadline.
  void wait() {
    std::vector<pollfd> entries = {{listener_.get(), POLLIN, 0}};
    Clock::time_point until = end_;
    for (const Guest& guest : guests_) {
      entries.push_back({guest.socket.get(), POLLIN, 0});
      if (guest.rank < 0) until = std::min(until, guest.since + hello_limit);
    }
    if (::poll(entries.data(), entries.size(), milliseconds_until(until)) < 0 && errno != EINTR)
      fail(std::string("poll: ") + std::strerror(errno));
    // Oldest first: the end of a rank's connection is seen before the rank's next one.
    std::vector<Guest> staying;
    for (std::size_t i = 0; i < guests_.size(); ++i) {
      Guest& guest = guests_[i];
      const bool in_time = guest.rank >= 0 || Clock::now() < guest.since + hello_limit;
      if (entries[i + 1].revents != 0 ? listen_to(guest) : in_time) staying.push_back(std::move(guest));
    }
    guests_ = std::move(staying);
    if (entries[0].revents == 0) return;
    Socket socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) guests_.push_back({std::move(socket), Clock::now(), "", -1});
  }

  /// Reads what a guest says; false if it is to go.
  bool listen_to(Guest& guest) {
    char block[512];
    const ssize_t count = ::recv(guest.socket.get(), block, sizeof block, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (count <= 0 || guest.rank >= 0) {  // a rank that came says nothing more: it is gone, and may come again
      if (guest.rank >= 0) came_[static_cast<std::size_t>(guest.rank)] = false;
      return false;
    }
    guest.hello.append(block, static_cast<std::size_t>(count));
    const std::size_t known = std::min(guest.hello.size(), greeting.size());
    if (guest.hello.compare(0, known, greeting, 0, known) != 0) return refuse(guest, "a stranger");
    if (guest.hello.size() < hello_bytes) return true;
    const std::size_t length = number_at(guest.hello, greeting.size() + 8);
    if (length > token_bytes_max) return refuse(guest, "a stranger");
    if (guest.hello.size() < hello_bytes + length) return true;
    return admit(guest, number_at(guest.hello, greeting.size()), number_at(guest.hello, greeting.size() + 4),
                 guest.hello.substr(hello_bytes));
  }

  bool admit(Guest& guest, std::size_t rank, std::size_t world_size, const std::string& token) {
    const std::string name = "rank " + std::to_string(rank);
    if (token != place_.token)
      return refuse(guest, name + " of another gang (\"" + token + "\", this is \"" + place_.token + "\")");
    if (world_size != came_.size()) {
      return refuse(guest, name + " of a gang of " + std::to_string(world_size) + " (this one has " +
                               std::to_string(came_.size()) + " ranks)");
    }
    if (rank >= came_.size()) return refuse(guest, name + " of " + std::to_string(world_size));
    if (came_[rank]) return refuse(guest, name + " a second time");
    came_[rank] = true;
    guest.rank = static_cast<int>(rank);
    return true;
  }

  bool refuse(const Guest& guest, const std::string& who) {
    refused_ = who;
    send(guest.socket, make_answer('R', "refused " + who), Clock::now());
    return false;
  }

  static bool send(const Socket& socket, std::string_view bytes, Clock::time_point end) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(count));
      } else if ((errno != EAGAIN && errno != EINTR) || !ready(socket.get(), POLLOUT, end)) {
        return false;
      }
    }
    return true;
  }

  const Rendezvous& place_;
  Clock::time_point end_;
  Socket listener_;
  std::vector<Guest> guests_;
  std::vector<bool> came_;  // by rank
  std::string refused_;     // who was refused last
};

// ---- the other ranks ----

/// A connection to rank 0, or the reason why there is none.
std::pair<Socket, std::string> connect_to(const Rendezvous& place, Clock::time_point end) {
  const AddressList addresses(place);
  std::string reason = "no address";
  for (const addrinfo* address = addresses.first; address; address = address->ai_next) {
    Socket socket(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int error = socket ? 0 : errno;
    if (socket && ::connect(socket.get(), address->ai_addr, address->ai_addrlen) != 0) {
      error = errno;
      socklen_t size = sizeof error;
      if (error == EINPROGRESS) {
        error = ETIMEDOUT;
        if (ready(socket.get(), POLLOUT, end)) ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      }
    }
    if (error == 0) return {std::move(socket), ""};
    reason = std::strerror(error);
  }
  return {Socket(), reason};
}

/// Exactly `count` bytes; nothing if the other side closed or `end` came.
std::optional<std::string> receive(const Socket& socket, std::size_t count, Clock::time_point end) {
  std::string bytes(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    if (!ready(socket.get(), POLLIN, end)) return std::nullopt;
    const ssize_t now = ::recv(socket.get(), bytes.data() + have, count - have, 0);
    if (now == 0 || (now < 0 && errno != EAGAIN && errno != EINTR)) return std::nullopt;
    if (now > 0) have += static_cast<std::size_t>(now);
  }
  return bytes;
}

/// One visit to rank 0. Nothing if it wasn't there or closed before it answered (then `reason` says so): come again.
std::optional<std::string> visit(const Rendezvous& place, Clock::time_point end, std::string& reason) {
  auto [socket, why] = connect_to(place, end);
  if (!socket) {
    reason = why;
    return std::nullopt;
  }
  std::string hello(greeting);
  put_number(hello, static_cast<std::size_t>(place.rank));
  put_number(hello, static_cast<std::size_t>(place.world_size));
  put_number(hello, place.token.size());
  hello += place.token;
  reason = "it closed the connection without an answer";
  // A few hundred bytes: they fit into the empty buffer of a fresh connection.
  if (::send(socket.get(), hello.data(), hello.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(hello.size()))
    return std::nullopt;
  const auto head = receive(socket, 5, end + verdict_grace);
  if (!head) {
    if (Clock::now() >= end) reason = "no answer";
    return std::nullopt;
  }
  const std::size_t length = number_at(*head, 1);
  if (((*head)[0] != 'K' && (*head)[0] != 'R') || length > answer_bytes_max)
    fail("rank " + std::to_string(place.rank) + ": what listens at " + where(place) + " is no rank 0 of ours");
  auto text = receive(socket, length, end + verdict_grace);
  if (!text) return std::nullopt;
  if ((*head)[0] == 'R') fail("rank " + std::to_string(place.rank) + ": rank 0 at " + where(place) + " says: " + *text);
  return text;
}

std::string ask(const Rendezvous& place, Clock::time_point end, milliseconds deadline) {
  std::string reason;
  milliseconds pause(5);
  for (;;) {
    if (auto bytes = visit(place, end, reason)) return *bytes;
    if (Clock::now() >= end) break;
    ::poll(nullptr, 0, std::min(static_cast<int>(pause.count()), milliseconds_until(end)));
    pause = std::min(pause * 2, milliseconds(200));
  }
  throw DeadlineExceeded("rendezvous: rank " + std::to_string(place.rank) + ": rank 0 wasn't at " + where(place) +
                         " within " + std::to_string(deadline.count()) + " ms: " + reason);
}

// ---- the environment ----

int number_from(const char* name, int otherwise, int largest) {
  const char* text = std::getenv(name);
  if (!text || !*text) return otherwise;
  char* end = nullptr;
  const long number = std::strtol(text, &end, 10);
  if (*end != '\0' || number < 0 || number > largest)
    fail(std::string(name) + ": \"" + text + "\" in the environment isn't a number from 0 to " +
         std::to_string(largest));
  return static_cast<int>(number);
}

}  // namespace

Rendezvous rendezvous_from_environment() {
  Rendezvous place;
  place.world_size = number_from("WORLD_SIZE", 1, 1'000'000);
  place.rank = number_from("RANK", -1, 1'000'000);
  if (place.world_size < 1) fail("WORLD_SIZE: at least 1");
  if (place.world_size > 1) {
    if (place.rank < 0) fail("RANK isn't set, but WORLD_SIZE is " + std::to_string(place.world_size));
    const char* address = std::getenv("MASTER_ADDR");
    if (!address || !*address) fail("MASTER_ADDR isn't set: the address of rank 0");
    place.address = address;
    const int port = number_from("MASTER_PORT", 0, 65535);
    if (port == 0) fail("MASTER_PORT isn't set: the port on which rank 0 listens");
    place.port = static_cast<std::uint16_t>(port);
  }
  place.rank = std::max(place.rank, 0);
  if (place.rank >= place.world_size)
    fail("RANK is " + std::to_string(place.rank) + ", but WORLD_SIZE is " + std::to_string(place.world_size));
  for (const char* name : {"ULTRA_JOB_ID", "ULTRA_ATTEMPT", "ULTRA_GANG"}) {
    const char* value = std::getenv(name);
    if (value && *value) place.token += (place.token.empty() ? "" : ".") + std::string(value);
  }
  return place;
}

std::string rendezvous(const Rendezvous& place, const std::string& from_root, milliseconds deadline) {
  if (place.rank < 0 || place.rank >= place.world_size)
    fail("rank " + std::to_string(place.rank) + " of " + std::to_string(place.world_size));
  if (place.token.size() > token_bytes_max)
    fail("the token has more than " + std::to_string(token_bytes_max) + " bytes");
  if (from_root.size() > answer_bytes_max) fail("rank 0 gives at most " + std::to_string(answer_bytes_max) + " bytes");
  if (place.world_size == 1) return from_root;
  const auto end = Clock::now() + std::min<milliseconds>(deadline, std::chrono::hours(24 * 365));
  if (place.rank != 0) return ask(place, end, deadline);
  Host(place, end).serve(from_root, deadline);
  return from_root;
}

}  // namespace ultramarine::collectives
