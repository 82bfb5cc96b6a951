// Two sides prove that they know the same secret; everybody else is sent away.
#include <gtest/gtest.h>

#include <optional>

#include "scheduler/net/proof.h"
#include "tests/unit/net/support.h"

namespace ultramarine::net {
namespace {

class Proof : public testing::Test {
 protected:
  void accept_with(UpgradeHandler handler) {
    ServerOptions options;
    options.websockets["/ws"] = std::move(handler);
    server_.reset();
    server_ = listen(loop_, any_port, [](Request, std::shared_ptr<Reply>) {}, std::move(options));
  }
  void dial(std::function<void(std::shared_ptr<Connection>)> opened) {
    connect(loop_, server_->endpoint(), "/ws", std::move(opened), [](const NetError& error) { FAIL() << error.what(); });
  }
  void serve_proof(const std::string& secret, const std::string& context, std::chrono::milliseconds patience = 20s) {
    accept_with([=, this](const Request&, std::shared_ptr<Connection> connection) {
      prove_as_server(loop_, connection, secret, context, [this](bool proved) { told(server_result_, proved); }, patience);
    });
  }
  // Each side is told exactly once.
  void told(std::optional<bool>& result, bool proved) {
    EXPECT_FALSE(result.has_value());
    result = proved;
    if (++told_ == expected_) loop_.stop();
  }

  Loop loop_;
  std::unique_ptr<Server> server_;
  std::optional<bool> server_result_;
  std::optional<bool> client_result_;
  int told_ = 0;
  int expected_ = 2;
};

TEST_F(Proof, TheSameSecretSucceedsAndTheConnectionIsFreeForUse) {
  std::string server_received;
  std::string client_received;
  const auto received = [&] {
    if (!server_received.empty() && !client_received.empty()) loop_.stop();
  };
  accept_with([&](const Request&, std::shared_ptr<Connection> connection) {
    prove_as_server(loop_, connection, "secret", "agent", [&, connection](bool proved) {
      ASSERT_TRUE(proved);
      connection->send("from the server");  // on the heels of the proof
      connection->on_message([&](std::string_view message) {
        server_received = message;
        received();
      });
    });
  });
  std::shared_ptr<Connection> client;
  dial([&](std::shared_ptr<Connection> connection) {
    client = connection;
    prove_as_client(loop_, connection, "secret", "agent", [&](bool proved) {
      ASSERT_TRUE(proved);
      client->send("from the client");
      client->on_message([&](std::string_view message) {
        client_received = message;
        received();
      });
    });
  });
  run_until_stopped(loop_);
  EXPECT_EQ(server_received, "from the client");
  EXPECT_EQ(client_received, "from the server");
}

TEST_F(Proof, AnotherSecretFailsOnBothSides) {
  serve_proof("secret", "agent");
  dial([&](std::shared_ptr<Connection> connection) {
    prove_as_client(loop_, connection, "guess", "agent", [&](bool proved) { told(client_result_, proved); });
  });
  run_until_stopped(loop_);
  EXPECT_EQ(server_result_, false);
  EXPECT_EQ(client_result_, false);
}

TEST_F(Proof, AnotherContextFailsOnBothSides) {
  serve_proof("secret", "agent");
  dial([&](std::shared_ptr<Connection> connection) {
    prove_as_client(loop_, connection, "secret", "gang", [&](bool proved) { told(client_result_, proved); });
  });
  run_until_stopped(loop_);
  EXPECT_EQ(server_result_, false);
  EXPECT_EQ(client_result_, false);
}

TEST_F(Proof, ASilentClientFailsAndIsCutOff) {
  expected_ = 1;
  serve_proof("secret", "agent", 50ms);
  bool closed = false;
  dial([&](std::shared_ptr<Connection> connection) { connection->on_closed([&](const std::string&) { closed = true; }); });
  run_until_stopped(loop_);
  EXPECT_EQ(server_result_, false);
  for (int i = 0; i < 1000 && !closed; ++i) loop_.run_for(10ms);
  EXPECT_TRUE(closed);
}

TEST_F(Proof, ASilentServerFails) {
  expected_ = 1;
  accept_with([](const Request&, std::shared_ptr<Connection>) {});
  dial([&](std::shared_ptr<Connection> connection) {
    prove_as_client(loop_, connection, "secret", "agent", [&](bool proved) { told(client_result_, proved); }, 50ms);
  });
  run_until_stopped(loop_);
  EXPECT_EQ(client_result_, false);
}

TEST_F(Proof, AClientThatHangsUpFailsAtOnce) {
  expected_ = 1;
  serve_proof("secret", "agent");
  dial([](std::shared_ptr<Connection> connection) { connection->close(); });
  run_until_stopped(loop_);
  EXPECT_EQ(server_result_, false);
}

TEST_F(Proof, MalformedMessagesFail) {
  expected_ = 1;
  const std::string nonce(64, 'a');
  for (const std::string& message : {std::string(), std::string("hello"), "ultramarine-proof 1 " + nonce, "ultramarine-proof 2 " + nonce + " " + nonce,
                                     "ultramarine-proof 1 " + nonce + " " + nonce + " ", "ultramarine-proof 1 " + nonce + " " + std::string(64, 'G'),
                                     "ultramarine-proof 1  " + nonce + nonce, std::string(1 << 20, 'x')}) {
    told_ = 0;
    server_result_.reset();
    serve_proof("secret", "agent");
    dial([&](std::shared_ptr<Connection> connection) { connection->send(message); });
    run_until_stopped(loop_);
    EXPECT_EQ(server_result_, false) << message.substr(0, 200);
  }
}

// An eavesdropper has recorded what an honest client said and says it again to the same server.
TEST_F(Proof, AReplayedProofFails) {
  serve_proof("secret", "agent");
  std::string recorded;
  // A man in the middle passes everything on, and listens.
  ServerOptions options;
  options.websockets["/ws"] = [&](const Request&, std::shared_ptr<Connection> client) {
    dial([&, client](std::shared_ptr<Connection> to_server) {
      to_server->on_message([client](std::string_view message) { client->send(std::string(message)); });
      client->on_message([&, to_server](std::string_view message) {
        recorded = message;
        to_server->send(recorded);
      });
    });
  };
  const auto middle = listen(loop_, any_port, [](Request, std::shared_ptr<Reply>) {}, std::move(options));
  connect(loop_, middle->endpoint(), "/ws",
          [&](std::shared_ptr<Connection> connection) {
            prove_as_client(loop_, connection, "secret", "agent", [&](bool proved) { told(client_result_, proved); });
          },
          [](const NetError& error) { FAIL() << error.what(); });
  run_until_stopped(loop_);
  ASSERT_EQ(server_result_, true);
  ASSERT_EQ(client_result_, true);
  ASSERT_FALSE(recorded.empty());

  expected_ = 3;
  server_result_.reset();
  dial([&](std::shared_ptr<Connection> connection) {
    connection->on_message([&, connection](std::string_view) { connection->send(recorded); });
  });
  run_until_stopped(loop_);
  EXPECT_EQ(server_result_, false);
}

// A server without the secret tries to have its client prove itself: the client's own proof sent back must not do.
TEST_F(Proof, AReflectedProofFails) {
  expected_ = 1;
  accept_with([](const Request&, std::shared_ptr<Connection> connection) {
    const std::string nonce(64, 'a');
    connection->send("ultramarine-proof 1 " + nonce);
    connection->on_message([connection](std::string_view message) {
      const std::string text(message);
      connection->send("ultramarine-proof 1 " + text.substr(text.size() - 64));
    });
  });
  dial([&](std::shared_ptr<Connection> connection) {
    prove_as_client(loop_, connection, "secret", "agent", [&](bool proved) { told(client_result_, proved); });
  });
  run_until_stopped(loop_);
  EXPECT_EQ(client_result_, false);
}

}  // namespace
}  // namespace ultramarine::net
