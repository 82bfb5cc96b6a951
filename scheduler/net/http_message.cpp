#include "scheduler/net/http_message.h"

#include <algorithm>

#include "scheduler/net/target.h"

namespace ultramarine::net {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

// A line break in a header's value would begin another header.
bool may_be_sent(std::string_view name, std::string_view value) {
  constexpr std::string_view token_marks = "!#$%&'*+-.^_`|~";
  const auto is_token_character = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || token_marks.find(c) != std::string_view::npos;
  };
  const auto is_value_character = [](char c) { return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f); };
  return !name.empty() && std::all_of(name.begin(), name.end(), is_token_character) && std::all_of(value.begin(), value.end(), is_value_character);
}

bool has_body(int status) { return status >= 200 && status != 204 && status != 304; }

}  // namespace

std::string Request::header(const std::string& lower_case_name) const {
  const auto found = headers.find(lower_case_name);
  return found == headers.end() ? "" : found->second;
}

void copy_fields(const http::fields& from, std::map<std::string, std::string>& to) {
  for (const auto& field : from) {
    const auto name = field.name_string();
    const auto value = field.value();
    std::string& target = to[lower({name.data(), name.size()})];
    if (!target.empty()) target += ", ";
    target.append(value.data(), value.size());
  }
}

std::optional<Request> request_from(RequestMessage&& message, const Peer& peer) {
  const auto text = message.target();
  auto target = parse_target({text.data(), text.size()});
  if (!target) return std::nullopt;
  Request request;
  const auto method = message.method_string();
  request.method.assign(method.data(), method.size());
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  copy_fields(message.base(), request.headers);
  request.body = std::move(message.body());
  request.peer = peer;
  return request;
}

ResponseMessage message_from(Response&& response, unsigned version, bool keep_alive, bool is_head) {
  bool is_sendable = response.status >= 200 && response.status <= 599 && may_be_sent("content-type", response.content_type);
  for (const auto& [name, value] : response.headers) is_sendable = is_sendable && may_be_sent(name, value);
  if (!is_sendable) response = error_response(500, "internal_error", "the answer had a malformed status or header");

  ResponseMessage message(static_cast<http::status>(response.status), version);
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.keep_alive(keep_alive);
  if (!has_body(response.status)) return message;
  if (!response.content_type.empty()) message.set(http::field::content_type, response.content_type);
  message.content_length(response.body.size());
  if (!is_head) message.body() = std::move(response.body);
  return message;
}

RequestMessage message_from(const Request& request, const Endpoint& endpoint) {
  const std::string method = request.method.empty() ? "GET" : request.method;
  bool is_sendable = may_be_sent(method, "") && (request.path == "*" || request.path.starts_with('/'));
  for (const auto& [name, value] : request.headers) is_sendable = is_sendable && may_be_sent(name, value);
  if (!is_sendable) throw NetError("can't ask " + endpoint.text() + ": malformed method, path or header", EINVAL);

  RequestMessage message;
  message.version(11);
  message.method_string(method);
  message.target(encode_target({.path = request.path, .query = request.query}));
  message.set(http::field::host, endpoint.is_unix() ? "localhost" : endpoint.text());
  if (!request.body.empty()) message.set(http::field::content_type, "application/json");
  for (const auto& [name, value] : request.headers) message.set(name, value);
  message.keep_alive(false);
  message.body() = request.body;
  message.prepare_payload();
  return message;
}

Response error_response(int status, const std::string& code, const std::string& message) {
  std::string escaped;
  for (const char c : message) {
    if (c == '"' || c == '\\') escaped += '\\';
    const auto byte = static_cast<unsigned char>(c);
    escaped += byte < ' ' || byte > '~' ? '?' : c;
  }
  Response response;
  response.status = status;
  response.body = R"({"code":")" + code + R"(","message":")" + escaped + "\"}\n";
  return response;
}

}  // namespace ultramarine::net
