// All routes of the API in one table: what each takes and gives, through which doors, what can go wrong, and its handler. Requests are
// dispatched by it, query parameters are checked by it, and /v1/openapi.json is written from it, so none of the three can say what
// another does not. (Inside of this room only.)
#pragma once

#include <string>
#include <vector>

#include "scheduler/api/handlers.h"
#include "scheduler/protocol/schema.h"

namespace ultramarine::api {

/// What a query parameter may be; `number` lies in [least, most], `month` is 2026-11.
enum class ParameterKind { flag, number, text, job_states, month };

struct Parameter {
  const char* name;
  ParameterKind kind;
  const char* description;
  std::int64_t least = 0, most = INT64_MAX;
};

/// What travels in one direction.
struct Content {
  const char* type = "";                                               // "" = no body
  protocol::json::object (*schema)(protocol::SchemaBook&) = nullptr;   // of JSON; of application/x-ndjson: of each line
  protocol::json::value (*example)() = nullptr;                        // of what is sent: a request that works
  bool optional = false;                                               // may be left out
  bool has_members = *type != '\0';                                    // false: of what is sent only `{}` is taken
};

/// A refusal that is this route's own; those that follow from its path, parameters, body and doors are added in the document.
struct Refusal {
  int status;
  const char* code;  // of ErrorReply; "" = plain text
  const char* when;
};

/// What a handler needs besides the request: what stands in the path, and what only the Api knows.
struct Call : Target {
  const std::string& version;
};

struct Route {
  const char* method;
  const char* path;  // ID stands for a job, N for a gang of it
  const char* name;  // operationId
  const char* summary;
  bool loopback;     // open to callers without identity too
  bool needs_state;  // 503 until the journal has been replayed
  std::vector<Parameter> parameters;
  Content request;
  Content reply;
  std::vector<Refusal> refusals;
  void (*handle)(const ExchangePtr&, const Call&);
};

const std::vector<Route>& routes();

/// Query parameters and body against what the route says. Throws Problem.
void check_request(const Exchange& exchange, const Route& route);

}  // namespace ultramarine::api
