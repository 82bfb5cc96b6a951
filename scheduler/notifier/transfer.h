// One try to hand a message over: a webhook by HTTP or mail by SMTP (both libcurl's), or a mail program. A try runs
// beside others and never blocks: whoever owns the thread lets it go on and asks for what has ended. Knows no queue and
// no retries.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/notifier/receivers.h"

namespace ultramarine::notifier {

/// `later`: try again; `never`: trying again would end in the same way.
enum class Verdict { delivered, later, never };

struct Ended {
  std::int64_t ticket = 0;
  Verdict verdict = Verdict::later;
  std::string why;  // one line without secrets
};

/// What a webhook is signed with, and what a mail server is told: read from files, never written anywhere.
struct Secrets {
  std::vector<std::string> webhooks;  // one for each of the section's, "" = not signed
  std::string smtp_password;
};

/// How to send: the cluster file's section with its secrets.
struct Means {
  protocol::NotificationsSection section;
  Secrets secrets;
};

class Transfers {
 public:
  Transfers();
  ~Transfers();  // ends what is under way
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;

  /// Begins to send; `ticket` comes back with the end.
  void begin(std::int64_t ticket, const Delivery& delivery, const Means& means);
  std::size_t under_way() const;
  /// Sleeps until something goes on, `wake` was called or `longest` is over; returns what has ended.
  std::vector<Ended> go_on(std::chrono::milliseconds longest);
  /// Any thread.
  void wake();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace ultramarine::notifier
