// HTTP requests become events or read-only questions. Takes each request from the door it came through to its answer; who may
// do what is in caller.h, the sentences in words.h. Knows the daemon only as `Backend`.
#pragma once

#include <string>

#include "scheduler/api/exchange.h"

namespace ultramarine::api {

constexpr std::size_t spec_bytes_max = 256 << 10;
constexpr std::size_t environment_bytes_max = 1 << 20;

class Api {
 public:
  /// `version` is shown in /v1/cluster. `backend` outlives the Api and all its requests.
  Api(Backend& backend, std::string version, Observer observer);

  /// Answers `request`, now or later. Loop's thread.
  void handle(Door door, Caller caller, net::Request request, std::shared_ptr<net::Reply> reply);

 private:
  Backend& backend_;
  std::string version_;
  Observer observer_;
};

}  // namespace ultramarine::api
