// One operation per route. What follows from a route's shape (a job in the path can be unknown, a door can be closed) is added here, so
// that the table holds only what is its own.
#include "scheduler/api/openapi.h"

#include <map>
#include <set>

#include "scheduler/api/routes.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

namespace {

namespace json = protocol::json;
using protocol::SchemaBook;
using protocol::Travel;

constexpr const char* introduction =
    "Launcher, scheduler and public ledger of a GPU cluster. The API has two doors: the scheduler's Unix socket, where the kernel says who "
    "asks, serves everything; loopback TCP, where nobody is known, serves what is marked with `loopback` in `x-doors`. Every refusal has "
    "the body ErrorReply. Times are milliseconds. Unknown members of what you send are refused; ignore unknown members of what you receive.";

json::object parameter_schema(const Parameter& parameter) {
  switch (parameter.kind) {
    case ParameterKind::flag: return {{"type", "string"}, {"enum", {"1", "0", "true", "false"}}, {"default", "0"}};
    case ParameterKind::number: {
      json::object schema{{"type", "integer"}, {"format", "int64"}, {"minimum", parameter.least}};
      if (parameter.most != INT64_MAX) schema["maximum"] = parameter.most;
      return schema;
    }
    case ParameterKind::job_states: {
      std::string words;
      boost::mp11::mp_for_each<boost::describe::describe_enumerators<JobState>>(
          [&](auto word) { words += (words.empty() ? "" : "|") + std::string(word.name); });
      return {{"type", "string"}, {"pattern", "^(" + words + ")(,(" + words + "))*$"}};
    }
    case ParameterKind::month: return {{"type", "string"}, {"pattern", "^[0-9]{4}-(0[1-9]|1[0-2])$"}, {"examples", {"2026-01"}}};
    case ParameterKind::text: break;
  }
  return {{"type", "string"}};
}

/// Whether the path has this segment.
bool has(const Route& route, const std::string& segment) {
  return (std::string(route.path) + "/").find("/" + segment + "/") != std::string::npos;
}

json::array parameters_of(const Route& route) {
  json::array parameters;
  const auto in_path = [&](const char* name, const char* description, json::object schema) {
    if (has(route, name))
      parameters.push_back(
          {{"name", name}, {"in", "path"}, {"required", true}, {"description", description}, {"schema", std::move(schema)}});
  };
  in_path("ID", "the job; ARRAY_INDEX is an element of an array, and the array's number alone all of them",
          {{"type", "string"}, {"pattern", "^[1-9][0-9]*(_[0-9]+)?$"}});
  in_path("N", "the gang, from 1", {{"type", "integer"}, {"minimum", 1}});
  for (const Parameter& parameter : route.parameters)
    parameters.push_back(
        {{"name", parameter.name}, {"in", "query"}, {"description", parameter.description}, {"schema", parameter_schema(parameter)}});
  return parameters;
}

json::object media(const Content& content, SchemaBook& book) {
  json::object described;
  described["schema"] = content.schema ? content.schema(book) : json::object{{"type", "string"}};
  if (content.example) described["example"] = content.example();
  return {{content.type, std::move(described)}};
}

/// Everything that can go wrong, in the order of the status: what the route says, and what its shape brings with it.
std::vector<Refusal> refusals_of(const Route& route) {
  std::vector<Refusal> all = route.refusals;
  all.push_back({400, "bad_request", "something is malformed or unknown in the path, the parameters or the body"});
  if (!route.loopback) all.push_back({403, "not_permitted", "asked at the address without identity"});
  if (has(route, "ID")) all.push_back({404, "not_found", has(route, "N") ? "there is no such job or gang" : "there is no such job"});
  if (route.loopback) all.push_back({421, "bad_request", "the Host header names neither localhost, 127.0.0.1 nor [::1]"});
  if (route.needs_state) all.push_back({503, "not_ready", "the journal is being read; try again in a moment"});
  return all;
}

json::object responses_of(const Route& route, SchemaBook& book) {
  json::object responses;
  json::object good{{"description", "as asked"}};
  if (*route.reply.type) good["content"] = media(route.reply, book);
  responses[*route.reply.type ? "200" : "204"] = std::move(good);
  struct Said {
    std::string text;
    std::set<std::string> codes;  // of ErrorReply
  };
  std::map<int, Said> by_status;
  for (const Refusal& refusal : refusals_of(route)) {
    Said& said = by_status[refusal.status];
    said.text += (said.text.empty() ? "" : "; ") + (*refusal.code ? std::string(refusal.code) + ": " : std::string()) + refusal.when;
    if (*refusal.code) said.codes.insert(refusal.code);
  }
  const Content error{"application/json", [](SchemaBook& the_book) { return the_book.schema<protocol::ErrorReply>(Travel::received); }};
  for (const auto& [status, said] : by_status) {
    json::object described{{"description", said.text}};
    described["content"] = media(said.codes.empty() ? Content{route.reply.type} : error, book);
    if (!said.codes.empty()) described["x-codes"] = json::value_from(said.codes);
    responses[std::to_string(status)] = std::move(described);
  }
  return responses;
}

json::object operation(const Route& route, SchemaBook& book) {
  json::object described{{"operationId", route.name}, {"summary", route.summary}};
  json::array doors{"socket"};
  if (route.loopback) doors.emplace_back("loopback");
  described["x-doors"] = std::move(doors);
  if (json::array parameters = parameters_of(route); !parameters.empty()) described["parameters"] = std::move(parameters);
  if (*route.request.type) described["requestBody"] = {{"required", !route.request.optional}, {"content", media(route.request, book)}};
  described["responses"] = responses_of(route, book);
  return described;
}

/// /v1/jobs/ID -> /v1/jobs/{ID}
std::string template_of(const Route& route) {
  std::string path = std::string(route.path) + "/";  // so that each segment ends in one
  for (const std::string name : {"ID", "N"})
    if (const std::size_t at = path.find("/" + name + "/"); at != std::string::npos) path.replace(at + 1, name.size(), "{" + name + "}");
  path.pop_back();
  return path;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

std::string make_document(const std::string& version) {
  SchemaBook book;
  // What a handler refuses to do without; all else has its default.
  book.require("SubmitRequest", {"spec"});
  book.require("JobSpecInput", {"command", "working_directory", "resources"});
  book.require("GangRequest", {"spec"});
  book.require("GangSpecInput", {"command"});
  book.require("ReorderRequest", {"jobs"});
  book.require("DrainRequest", {"nodes", "reason"});
  book.require("LossRequest", {"nodes", "reason"});
  book.require("ResumeRequest", {"nodes"});
  book.require("ReservationRequest", {"name", "nodes", "start_ms", "end_ms", "reason"});
  book.require("ReservationCancelRequest", {"name"});
  json::object paths;
  for (const Route& route : routes()) {
    json::value& path = paths[template_of(route)];
    if (!path.is_object()) path.emplace_object();
    path.as_object()[lower(route.method)] = operation(route, book);
  }
  json::object document;
  document["openapi"] = "3.1.0";
  document["info"] = {{"title", "Ultramarine"}, {"version", version}, {"description", introduction},
                      {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}};
  document["servers"] = {{{"url", "/"}, {"description", "the socket or address that this document came from"}}};
  document["paths"] = std::move(paths);
  document["components"] = {{"schemas", book.schemas()}};
  return json::serialize(document) + "\n";
}

}  // namespace

const std::string& openapi_document(const std::string& version) {
  static const std::string document = make_document(version);  // one version per process
  return document;
}

}  // namespace ultramarine::api
