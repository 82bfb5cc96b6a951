// Why a request gets no answer: what `ErrorReply` says, and the HTTP status that goes with it.
#pragma once

#include <string>

#include "scheduler/core/scheduler.h"

namespace ultramarine::api {

struct Problem {
  int status = 400;
  std::string code = "bad_request";  // the stable words of protocol::ErrorReply
  std::string field, message, remedy;
};

Problem bad_request(std::string field, std::string message, std::string remedy = "");
Problem not_permitted(std::string message, std::string remedy = "");
Problem not_found(std::string message, std::string remedy = "");
Problem unknown_job(const std::string& name);
Problem conflict(std::string message, std::string remedy = "");
Problem not_ready(std::string message, std::string remedy = "try again in a moment");
/// The core's refusal of a spec; its field is inside `spec`.
Problem from_refusal(const core::Refusal& refusal);

}  // namespace ultramarine::api
