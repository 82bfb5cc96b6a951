// Between Beast's messages and ours. The only place that knows both.
#pragma once

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

#include "scheduler/net/http.h"
#include "scheduler/net/socket.h"

namespace ultramarine::net {

namespace http = beast::http;
using RequestMessage = http::request<http::string_body>;
using ResponseMessage = http::response<http::string_body>;

/// nullopt when the target is malformed.
std::optional<Request> request_from(RequestMessage&& message, const Peer& peer);
ResponseMessage message_from(Response&& response, unsigned version, bool keep_alive, bool is_head);

/// Throws NetError when a name, a value or the path can't be sent.
RequestMessage message_from(const Request& request, const Endpoint& endpoint);
void copy_fields(const http::fields& from, std::map<std::string, std::string>& to);

/// The room's own errors, in the shape that JSON clients expect: {"code": ..., "message": ...}.
Response error_response(int status, const std::string& code, const std::string& message);

}  // namespace ultramarine::net
