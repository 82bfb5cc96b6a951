// Proof, hello, messages, the end.
#include "scheduler/server/agents.h"

#include <spdlog/spdlog.h>

#include "scheduler/net/proof.h"
#include "scheduler/protocol/agent_messages.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::server {

namespace {
constexpr auto hello_patience = std::chrono::seconds(5);
constexpr std::size_t message_bytes_max = 16 << 20;
}  // namespace

struct AgentDoor::Session {
  std::int64_t number = 0;
  std::shared_ptr<net::Connection> connection;
  std::unique_ptr<net::Loop::Timer> patience;  // until hello
  std::string node;                            // as it calls itself; "" before hello
  bool warned_of_unknown = false;
};

AgentDoor::AgentDoor(net::Loop& loop, Daemon& daemon, std::string cluster_secret, api::Api& api)
    : loop_(loop), daemon_(daemon), cluster_secret_(std::move(cluster_secret)), relay_(loop, api) {}

std::unique_ptr<net::Server> AgentDoor::listen(const net::Endpoint& endpoint, net::LineTimes line) {
  net::ServerOptions options;
  options.line = line;
  options.message_bytes_max = message_bytes_max;
  options.body_bytes_max = 4096;
  options.websockets[agents_path] = [this](const net::Request&, std::shared_ptr<net::Connection> connection) {
    open(std::move(connection));
  };
  const auto nothing_here = [](const net::Request&, const std::shared_ptr<net::Reply>& reply) {
    net::Response response;
    response.status = 404;
    response.content_type = "text/plain; charset=utf-8";
    response.body = "agents only\n";
    reply->send(std::move(response));
  };
  return net::listen(loop_, endpoint, nothing_here, std::move(options));
}

void AgentDoor::open(std::shared_ptr<net::Connection> connection) {
  net::prove_as_server(loop_, connection, cluster_secret_, agents_context, [this, connection](bool proved) {
    if (!proved) {
      spdlog::warn("{} did not prove the cluster secret", connection->peer().address);
      daemon_.exporter().on_refused("secret");
      return;
    }
    auto session = std::make_shared<Session>();
    session->number = ++last_number_;
    session->connection = connection;
    sessions_[session->number] = session;
    session->patience = loop_.after(hello_patience, [this, session] { close(session, "no hello within 5 s"); });
    connection->on_closed([this, session](const std::string& why) { close(session, why); });
    connection->on_message([this, session](std::string_view text) { receive(session, text); });
  });
}

void AgentDoor::receive(const std::shared_ptr<Session>& session, std::string_view text) {
  if (!session->connection) return;
  protocol::FromAgent message;
  try {
    message = protocol::from_json<protocol::FromAgent>(text);
  } catch (const protocol::DecodeError& error) {
    if (error.path == "type") {
      // A newer agent may say more than this scheduler understands.
      if (!std::exchange(session->warned_of_unknown, true)) spdlog::warn("agent of {}: {}", session->node, error.problem);
      return;
    }
    close(session, error.what());
    return;
  }
  if (auto* hello = std::get_if<protocol::Hello>(&message)) {
    if (!session->node.empty()) return;
    session->patience.reset();
    session->node = hello->node;
    daemon_.agent_said_hello(session->number, session->connection, std::move(*hello));
    return;
  }
  if (session->node.empty()) {
    close(session, "the first message was not hello");
    return;
  }
  if (auto* request = std::get_if<protocol::ApiRequest>(&message))
    relay_.on_request(session->number, session->node, session->connection, std::move(*request));
  else if (const auto* cancel = std::get_if<protocol::ApiCancel>(&message)) relay_.on_cancel(session->number, *cancel);
  else if (const auto* drained = std::get_if<protocol::ApiDrained>(&message)) relay_.on_drained(session->number, *drained);
  else if (const auto* chunk = std::get_if<protocol::LogChunk>(&message)) daemon_.output_streams().on_chunk(session->number, *chunk);
  else daemon_.agent_said(session->number, std::move(message));
}

void AgentDoor::close(const std::shared_ptr<Session>& session, const std::string& why) {
  const auto connection = std::exchange(session->connection, nullptr);
  if (!connection) return;
  if (!why.empty()) spdlog::warn("agent {}: {}", session->node.empty() ? "without a name" : "of " + session->node, why);
  connection->close();
  session->patience.reset();
  if (!session->node.empty()) {
    relay_.on_session_gone(session->number);
    daemon_.output_streams().on_session_gone(session->number);
    daemon_.agent_gone(session->number);
  }
  sessions_.erase(session->number);
}

}  // namespace ultramarine::server
