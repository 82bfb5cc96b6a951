// Both ends of a connection prove that they know the same secret, without sending it: HMAC-SHA-256 over fresh nonces of both
// sides, the side's role and a context (so that a proof for one purpose is worth nothing for another). OpenSSL does the
// cryptography.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "scheduler/net/loop.h"
#include "scheduler/net/websocket.h"

namespace ultramarine::net {

std::string hmac_sha256(std::string_view key, std::string_view message);  // 32 raw bytes
std::string to_hex(std::string_view bytes);                                // 2 x bytes characters
std::string random_hex(std::size_t bytes);                                // 2 x bytes characters
std::string sha256_hex(std::string_view text);
bool equal_in_constant_time(std::string_view a, std::string_view b);

/// Runs the exchange as the first messages of a fresh connection, then calls `done(true)` and leaves on_message to the caller;
/// `done` is called once, on the loop's thread. Both handlers of the connection are free again when it is called.
/// `done(false)` after a wrong proof, a malformed message or when it takes longer than `patience` (the connection is then closed).
void prove_as_client(Loop& loop, std::shared_ptr<Connection> connection, std::string secret, std::string context, std::function<void(bool)> done,
                     std::chrono::milliseconds patience = std::chrono::seconds(3));
void prove_as_server(Loop& loop, std::shared_ptr<Connection> connection, std::string secret, std::string context, std::function<void(bool)> done,
                     std::chrono::milliseconds patience = std::chrono::seconds(3));

}  // namespace ultramarine::net
