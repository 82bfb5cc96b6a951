// The open connections of one server. The set keeps them alive; each leaves it when it is over.
#pragma once

#include <memory>
#include <set>
#include <utility>

namespace ultramarine::net {

class ServedSession {
 public:
  virtual ~ServedSession() = default;
  /// Closes the connection at once. With `tell`, handlers that wait for its end are still called, later.
  virtual void cut(bool tell) = 0;
};

class SessionSet {
 public:
  void add(std::shared_ptr<ServedSession> session) { sessions_.insert(std::move(session)); }
  void remove(const std::shared_ptr<ServedSession>& session) { sessions_.erase(session); }
  void cut_all(bool tell) {
    for (const auto& session : std::exchange(sessions_, {})) session->cut(tell);
  }

 private:
  std::set<std::shared_ptr<ServedSession>> sessions_;
};

}  // namespace ultramarine::net
