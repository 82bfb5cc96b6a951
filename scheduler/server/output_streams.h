// Streams of program output, from the agents to HTTP clients. One question goes to each node that holds ranks; what comes back is
// passed on as it is, until every rank has said that it is at its end or the client has gone. A client that reads more slowly than agents
// send has its pieces held back, up to a limit. Loop's thread only.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "scheduler/api/backend.h"
#include "scheduler/server/sessions.h"

namespace ultramarine::server {

constexpr std::size_t output_window_bytes = 4 << 20;  // handed to a client's connection at a time; below the connection's own limit
constexpr std::size_t output_held_bytes_max = 64 << 20;

class OutputStreams {
 public:
  explicit OutputStreams(AgentSessions& sessions, std::size_t held_bytes_max = output_held_bytes_max)
      : sessions_(sessions), held_bytes_max_(held_bytes_max) {}

  void open(const api::OutputQuestion& question, std::shared_ptr<net::Stream> stream);
  /// `session`: the number of the session that it came through.
  void on_chunk(std::int64_t session, const protocol::LogChunk& chunk);
  /// That session is over: its part of every stream ends here.
  void on_session_gone(std::int64_t session);
  std::size_t open_clients() const { return clients_.size(); }

 private:
  struct Client {
    std::shared_ptr<net::Stream> stream;
    std::set<std::int64_t> requests;  // that have not ended
    std::deque<std::string> held;     // until what was handed over has been sent
    std::size_t held_bytes = 0;
    std::size_t window_bytes = 0;  // handed over since the last time that all was sent
    bool is_over = false;
  };
  struct Request {
    std::shared_ptr<Client> client;
    std::string node;
    std::int64_t session = 0;
    std::set<std::int64_t> ranks;  // that have not ended
  };
  void pass(const std::shared_ptr<Client>& client, std::string piece);
  void hand_over(const std::shared_ptr<Client>& client);
  void finish_request(std::int64_t number);
  void cancel_requests(Client& client);
  void drop(const std::shared_ptr<Client>& client);

  AgentSessions& sessions_;
  const std::size_t held_bytes_max_;
  std::set<std::shared_ptr<Client>> clients_;
  std::map<std::int64_t, Request> requests_;
  std::int64_t last_number_ = 0;
};

}  // namespace ultramarine::server
