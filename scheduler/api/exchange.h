// One request on its way to its one answer: who asks, through which door, and the right to reply. Counts how long it took and what came of
// it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "scheduler/api/backend.h"
#include "scheduler/api/caller.h"
#include "scheduler/net/http.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::api {

/// Which listener a request came through: the Unix socket (identity from the kernel) or loopback TCP (none).
enum class Door { socket, loopback };

/// What became of a request, for the log and the metrics.
struct Answered {
  std::string request, route, method;  // route: its template, or `other`
  int status = 0;
  double seconds = 0;
  std::int64_t uid = -1;
  std::string problem;  // its code and field, "" when there was none
};
using Observer = std::function<void(const Answered&)>;

class Exchange {
 public:
  Exchange(Backend& backend_, Door door_, Caller caller_, net::Request request_, std::shared_ptr<net::Reply> reply, Observer observer);
  /// A daemon that ends drops what it was asked: whoever asked is told to ask again.
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void answer(int status, std::string body, std::string content_type);
  void refuse(const Problem& problem);
  template <class T>
  void answer(const T& value) {
    answer(200, protocol::to_json(value), "application/json");
  }
  /// Answers 200 piece by piece; the exchange is then over.
  std::shared_ptr<net::Stream> start_stream(std::string content_type);

  Backend& backend;
  const Door door;
  const Caller caller;
  const net::Request request;
  std::string route = "other";

 private:
  /// It has its answer; says so to the observer.
  void over(int status, std::string problem);
  net::Response response_to(const Problem& problem) const;

  std::shared_ptr<net::Reply> reply_;
  Observer observer_;
  std::string id_;
  bool answered_ = false;
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};
using ExchangePtr = std::shared_ptr<Exchange>;

}  // namespace ultramarine::api
