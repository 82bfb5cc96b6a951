// The scheduler's API at a Unix socket of this node, so that programs inside a job reach it from wherever they run: requests go over the
// agent's line to the scheduler, answers come back over it, whole or in pieces. Who asks is the kernel's word (SO_PEERCRED). Understands
// neither paths nor bodies; who may do what is the scheduler's business.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "scheduler/net/http.h"
#include "scheduler/net/loop.h"
#include "scheduler/protocol/agent_messages.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::agent {

struct RelayLimits {
  std::size_t body_bytes_max = 4 << 20;
  std::size_t requests_max = 256;  // open at once: a follower of output is one as long as it follows
  std::chrono::milliseconds first_piece_max = std::chrono::seconds(120);  // the API's longest question is answered within 60 s
};

class ApiRelay {
 public:
  struct World {
    std::function<bool()> is_connected;  // the scheduler has taken this agent in
    std::function<void(const protocol::FromAgent&)> send;
  };
  ApiRelay(net::Loop& loop, World world, RelayLimits limits = {});
  ~ApiRelay();

  /// Only the agent's own user may connect (0600). The path may be longer than a socket address. Throws net::NetError.
  void listen(const std::string& path);
  void on_reply(const protocol::ApiReply& reply);
  /// The line to the scheduler is lost: what is open is answered with 503, or cut off where its answer has begun.
  void on_lost();
  std::size_t open_requests() const { return open_.size(); }

 private:
  struct Open {
    std::shared_ptr<net::Reply> reply;    // until the first piece of the answer
    std::shared_ptr<net::Stream> stream;  // from then on
    std::unique_ptr<net::Loop::Timer> patience;
  };

  void ask(net::Request request, std::shared_ptr<net::Reply> reply);
  void begin_stream(std::int64_t number, Open& open, const protocol::ApiReply& reply);
  void give_up(std::int64_t number);
  void unanswered(std::int64_t number);

  net::Loop& loop_;
  const World world_;
  const RelayLimits limits_;
  std::int64_t last_number_ = 0;
  std::map<std::int64_t, Open> open_;
  std::unique_ptr<launcher::ShortName> name_;
  std::unique_ptr<net::Server> server_;
};

}  // namespace ultramarine::agent
