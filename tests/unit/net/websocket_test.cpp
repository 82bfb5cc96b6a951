// WebSockets: everything that is sent arrives once and in order, and the end is told once, whoever makes it.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <map>
#include <thread>

#include "tests/unit/net/support.h"

namespace ultramarine::net {
namespace {

void not_found(Request, std::shared_ptr<Reply>) {}

// A server whose WebSockets go to `accept`, and a client; both on one loop.
class WebSockets : public testing::TestWithParam<bool> {
 protected:
  using Accept = std::function<void(std::shared_ptr<Connection>)>;

  void serve(Accept accept, std::size_t message_bytes_max = 16 << 20) {
    ServerOptions options;
    options.message_bytes_max = message_bytes_max;
    options.websockets["/ws"] = [accept = std::move(accept)](const Request&, std::shared_ptr<Connection> connection) { accept(std::move(connection)); };
    server_ = listen(loop_, GetParam() ? Endpoint{.path = folder_ / "s", .host = "", .port = 0} : any_port, not_found, std::move(options));
  }

  void dial(Accept opened) {
    connect(loop_, server_->endpoint(), "/ws", std::move(opened), [](const NetError& error) { FAIL() << error.what(); });
  }

  TemporaryFolder folder_;
  Loop loop_;
  std::unique_ptr<Server> server_;
};
INSTANTIATE_TEST_SUITE_P(Over, WebSockets, testing::Values(false, true), [](const auto& of) { return of.param ? "Unix" : "Tcp"; });

void echo(std::shared_ptr<Connection> connection) {
  connection->on_message([weak = std::weak_ptr(connection)](std::string_view message) {
    if (const auto self = weak.lock()) self->send(std::string(message));
  });
}

TEST_P(WebSockets, EverythingComesBackInOrder) {
  std::vector<std::string> messages;
  for (int i = 0; i < 2000; ++i) messages.push_back("message " + std::to_string(i));
  messages[500] = std::string(1 << 20, 'x');
  messages[700] = "";
  messages[900] = std::string(1 << 20, '\xff') + "not UTF-8, as a program's output may be";
  messages[901] = std::string("with\0zero", 9);
  std::size_t received = 0;
  serve(echo);
  dial([&](std::shared_ptr<Connection> connection) {
    for (const auto& message : messages) connection->send(message);
    connection->on_message([&, connection](std::string_view message) {
      ASSERT_LT(received, messages.size());
      EXPECT_TRUE(message == messages[received]) << "number " << received;
      if (++received == messages.size()) {
        connection->close();
        loop_.stop();
      }
    });
  });
  run_until_stopped(loop_);
  EXPECT_EQ(received, messages.size());
}

TEST_P(WebSockets, BothSidesMayTalkAtOnce) {
  constexpr int count = 3000;
  int client_received = 0;
  int server_received = 0;
  const auto talk = [&](const std::shared_ptr<Connection>& connection, int& received) {
    for (int i = 0; i < count; ++i) connection->send(std::to_string(i));
    connection->on_message([&](std::string_view message) {
      EXPECT_EQ(message, std::to_string(received));
      ++received;
      if (client_received == count && server_received == count) loop_.stop();
    });
  };
  serve([&](std::shared_ptr<Connection> connection) { talk(connection, server_received); });
  dial([&](std::shared_ptr<Connection> connection) { talk(connection, client_received); });
  run_until_stopped(loop_);
}

TEST_P(WebSockets, ManyThreadsMaySend) {
  constexpr int threads = 8;
  constexpr int each = 500;
  std::map<int, int> next;
  int received = 0;
  std::string why = "not closed";
  serve([&](std::shared_ptr<Connection> connection) {
    connection->on_message([&](std::string_view message) {
      const auto colon = message.find(':');
      const int thread = std::stoi(std::string(message.substr(0, colon)));
      EXPECT_EQ(next[thread]++, std::stoi(std::string(message.substr(colon + 1))));
      ++received;
    });
    connection->on_closed([&](const std::string& reason) {
      why = reason;
      loop_.stop();
    });
  });
  std::thread senders;
  dial([&](std::shared_ptr<Connection> connection) {
    senders = std::thread([connection] {
      std::vector<std::thread> pool;
      for (int thread = 0; thread < threads; ++thread) {
        pool.emplace_back([connection, thread] {
          for (int i = 0; i < each; ++i) connection->send(std::to_string(thread) + ":" + std::to_string(i));
        });
      }
      for (auto& thread : pool) thread.join();
      connection->close();
      connection->send("after the close");
    });
  });
  run_until_stopped(loop_);
  senders.join();
  EXPECT_EQ(received, threads * each);
  EXPECT_EQ(why, "");
}

TEST_P(WebSockets, ClosingSendsWhatIsQueuedAndTellsBothSidesOnce) {
  for (const bool client_closes : {true, false}) {
    std::vector<std::string> log;
    int ends = 0;
    const auto closing = [&](const std::shared_ptr<Connection>& connection) {
      for (int i = 0; i < 3; ++i) connection->send(std::to_string(i));
      connection->close();
      connection->close();
      connection->send("after the close");
      connection->on_message([](std::string_view) { ADD_FAILURE() << "it has closed"; });
      connection->on_closed([&](const std::string& why) {
        EXPECT_EQ(why, "");
        if (++ends == 2) loop_.stop();
      });
    };
    const auto listening = [&](const std::shared_ptr<Connection>& connection) {
      connection->on_message([&](std::string_view message) { log.emplace_back(message); });
      connection->on_closed([&](const std::string& why) {
        log.push_back("closed" + why);
        if (++ends == 2) loop_.stop();
      });
    };
    serve(client_closes ? Accept(listening) : Accept(closing));
    dial(client_closes ? Accept(closing) : Accept(listening));
    run_until_stopped(loop_);
    EXPECT_EQ(log, (std::vector<std::string>{"0", "1", "2", "closed"}));
    loop_.run_for(1ms);
    EXPECT_EQ(ends, 2);
    server_.reset();
  }
}

TEST_P(WebSockets, BothSidesMayCloseAtOnce) {
  int ends = 0;
  const auto closing = [&](const std::shared_ptr<Connection>& connection) {
    connection->send("bye");
    connection->close();
    connection->on_closed([&](const std::string& why) {
      EXPECT_EQ(why, "");
      if (++ends == 2) loop_.stop();
    });
  };
  serve(closing);
  dial(closing);
  run_until_stopped(loop_);
}

TEST_P(WebSockets, EarlyMessagesAreKeptForTheHandler) {
  std::vector<std::string> seen;
  std::shared_ptr<Connection> client;
  bool told = false;
  serve([&](std::shared_ptr<Connection> connection) {
    for (int i = 0; i < 100; ++i) connection->send(std::to_string(i));
    connection->close();
    connection->on_closed([&](const std::string&) { loop_.stop(); });
  });
  dial([&](std::shared_ptr<Connection> connection) { client = std::move(connection); });
  run_until_stopped(loop_);
  // All of it has come, and even the end, before there is a handler.
  client->on_message([&](std::string_view message) {
    EXPECT_FALSE(told);
    seen.emplace_back(message);
  });
  client->on_closed([&](const std::string& why) {
    EXPECT_EQ(why, "");
    told = true;
    loop_.stop();
  });
  run_until_stopped(loop_);
  ASSERT_EQ(seen.size(), 100u);
  EXPECT_EQ(seen.back(), "99");
  client->on_closed([](const std::string&) { ADD_FAILURE() << "told twice"; });
  loop_.run_for(1ms);
}

TEST_P(WebSockets, HandlersMayBeReplacedFromInsideThemselves) {
  std::vector<std::string> seen;
  serve([](std::shared_ptr<Connection> connection) {
    for (const std::string text : {"a", "b", "c"}) connection->send(text);
  });
  dial([&](std::shared_ptr<Connection> connection) {
    const auto owned = std::make_shared<std::string>("first");
    connection->on_message([&, connection, owned](std::string_view message) {
      connection->on_message([&, connection](std::string_view later) {
        seen.push_back("second " + std::string(later));
        if (later == "c") {
          connection->close();
          loop_.stop();
        }
      });
      seen.push_back(*owned + " " + std::string(message));
    });
  });
  run_until_stopped(loop_);
  EXPECT_EQ(seen, (std::vector<std::string>{"first a", "second b", "second c"}));
}

TEST_P(WebSockets, AConnectionThatNobodyHoldsLivesUntilItsEnd) {
  const auto owned = std::make_shared<int>(0);
  serve([&](std::shared_ptr<Connection> connection) {
    connection->on_message([owned, connection](std::string_view) { connection->close(); });  // owns itself
  });
  dial([&, owned](std::shared_ptr<Connection> connection) {
    connection->send("x");
    connection->on_closed([&, owned](const std::string&) { loop_.stop(); });
  });
  run_until_stopped(loop_);
  server_.reset();
  loop_.run_for(0ms);
  EXPECT_EQ(owned.use_count(), 1) << "no handler is left over";
}

TEST_P(WebSockets, AHandlerMayDestroyTheServer) {
  const auto owned = std::make_shared<int>(7);
  serve([&](std::shared_ptr<Connection> connection) {
    connection->on_message([&, owned, connection](std::string_view) {
      server_.reset();
      EXPECT_EQ(*owned, 7);
    });
    connection->on_closed([](const std::string&) { ADD_FAILURE() << "whoever owned the server may be gone"; });
  });
  std::string why;
  dial([&](std::shared_ptr<Connection> connection) {
    connection->send("x");
    connection->on_closed([&](const std::string& reason) {
      why = reason;
      loop_.stop();
    });
  });
  run_until_stopped(loop_);
  EXPECT_EQ(why, "cut off by the other side");
}

TEST_P(WebSockets, ClosingTheServerTellsItsConnections) {
  std::string why;
  serve([&](std::shared_ptr<Connection> connection) {
    connection->on_closed([&](const std::string& reason) {
      why = reason;
      loop_.stop();
    });
    server_->close();
    EXPECT_EQ(why, "") << "later, not from inside close";
  });
  connect(loop_, server_->endpoint(), "/ws", [](std::shared_ptr<Connection>) {}, [](const NetError&) {});
  run_until_stopped(loop_);
  EXPECT_EQ(why, "the server was closed");
}

TEST_P(WebSockets, AMessageOverTheLimitEndsTheConnection) {
  std::string server_why;
  std::string client_why;
  int ends = 0;
  serve([&](std::shared_ptr<Connection> connection) {
    connection->on_message([](std::string_view) { ADD_FAILURE(); });
    connection->on_closed([&](const std::string& why) {
      server_why = why;
      if (++ends == 2) loop_.stop();
    });
  }, 1000);
  dial([&](std::shared_ptr<Connection> connection) {
    connection->send(std::string(1001, 'x'));
    connection->on_closed([&](const std::string& why) {
      client_why = why;
      if (++ends == 2) loop_.stop();
    });
  });
  run_until_stopped(loop_);
  EXPECT_NE(server_why, "");
  EXPECT_NE(client_why, "");
}

TEST_P(WebSockets, TooMuchQueuedEndsTheConnection) {
  std::string why;
  serve([](std::shared_ptr<Connection>) {});
  dial([&](std::shared_ptr<Connection> connection) {
    // Nothing is sent as long as this handler runs.
    for (int i = 0; i < 65; ++i) connection->send(std::string(1 << 20, 'x'));
    connection->on_closed([&](const std::string& reason) {
      why = reason;
      loop_.stop();
    });
  });
  run_until_stopped(loop_);
  EXPECT_EQ(why, "closed here: over 64 MiB were queued");
}

TEST_P(WebSockets, BothSidesKnowTheirPeer) {
  std::vector<Peer> peers;
  const auto look = [&](const std::shared_ptr<Connection>& connection) {
    peers.push_back(connection->peer());
    if (peers.size() == 2) loop_.stop();
  };
  serve(look);
  dial(look);
  run_until_stopped(loop_);
  for (const Peer& peer : peers) {
    EXPECT_EQ(peer.is_unix, GetParam());
    EXPECT_EQ(peer.uid, GetParam() ? static_cast<std::int64_t>(::getuid()) : -1);
    EXPECT_EQ(peer.address.empty(), GetParam());
  }
}

TEST_P(WebSockets, AConnectionMayOutliveItsLoop) {
  std::shared_ptr<Connection> client;
  const auto owned = std::make_shared<int>(0);
  {
    BackgroundLoop background;
    std::unique_ptr<Server> server;
    std::promise<void> opened;
    background.on_loop([&] {
      ServerOptions options;
      options.websockets["/ws"] = [owned](const Request&, std::shared_ptr<Connection> connection) {
        connection->on_message([owned, connection](std::string_view) {});
      };
      server = listen(background.loop(), GetParam() ? Endpoint{.path = folder_ / "s", .host = "", .port = 0} : any_port, not_found, options);
      connect(background.loop(), server->endpoint(), "/ws",
              [&](std::shared_ptr<Connection> connection) {
                connection->on_message([owned, connection](std::string_view) {});
                client = connection;
                opened.set_value();
              },
              [](const NetError&) {});
    });
    opened.get_future().wait();
    background.end();
  }
  EXPECT_EQ(owned.use_count(), 1) << "the loop let go of all handlers";
  client->send("x");
  client->close();
}

TEST_P(WebSockets, AnUnknownPathIsRefused) {
  serve([](std::shared_ptr<Connection>) { ADD_FAILURE(); });
  std::string error;
  connect(loop_, server_->endpoint(), "/elsewhere", [](std::shared_ptr<Connection>) { ADD_FAILURE(); }, [&](const NetError& problem) {
    error = problem.what();
    loop_.stop();
  });
  run_until_stopped(loop_);
  EXPECT_TRUE(error.ends_with("status 404")) << error;
}

TEST_P(WebSockets, NobodyThereIsAnError) {
  serve([](std::shared_ptr<Connection>) {});
  const Endpoint endpoint = server_->endpoint();
  server_.reset();
  int number = 0;
  connect(loop_, endpoint, "/ws", [](std::shared_ptr<Connection>) { ADD_FAILURE(); }, [&](const NetError& error) {
    number = error.error_number;
    loop_.stop();
  });
  run_until_stopped(loop_);
  EXPECT_EQ(number, GetParam() ? ENOENT : ECONNREFUSED);
}

TEST(WebSocket, AServerThatNeverAnswersIsATimeOut) {
  // A socket that listens and takes no connection: the kernel completes the connecting, nobody the handshake.
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(fd, 8), 0);
  socklen_t length = sizeof(address);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), 0);
  Loop loop;
  int number = 0;
  connect(loop, {.path = "", .host = "127.0.0.1", .port = ntohs(address.sin_port)}, "/ws", [](std::shared_ptr<Connection>) { ADD_FAILURE(); },
          [&](const NetError& error) {
            number = error.error_number;
            loop.stop();
          }, {.open = 50ms});
  run_until_stopped(loop);
  EXPECT_EQ(number, ETIMEDOUT);
  ::close(fd);
}

/// A server in a thread of its own, which can be made to hang as a stopped process does: its kernel goes on confirming what comes.
TEST(WebSocket, ALineOverWhichNothingComesIsGivenUpAndAHealthyOneIsNot) {
  Loop theirs, ours;
  std::promise<void> hang;
  ServerOptions options;
  options.websockets["/ws"] = [](const Request&, std::shared_ptr<Connection>) {};
  auto server = listen(theirs, any_port, not_found, std::move(options));
  std::thread thread([&] { theirs.run(); });
  std::string why;
  std::shared_ptr<Connection> line;
  std::unique_ptr<Loop::Timer> timer;
  std::chrono::steady_clock::time_point began;
  bool hangs = false;
  connect(ours, server->endpoint(), "/ws",
          [&](std::shared_ptr<Connection> connection) {
            line = connection;
            connection->on_closed([&](const std::string& reason) {
              EXPECT_TRUE(hangs) << "pings were answered until then";
              why = reason;
              ours.stop();
            });
            timer = ours.after(2000ms, [&] {
              hangs = true;
              began = std::chrono::steady_clock::now();
              theirs.post([&] { hang.get_future().wait(); });
            });
          },
          [](const NetError& error) { FAIL() << error.what(); }, {.silence = 600ms});
  run_until_stopped(ours);
  EXPECT_EQ(why, "cut off: nothing was heard for too long");
  EXPECT_GE(std::chrono::steady_clock::now() - began, 300ms);
  hang.set_value();
  theirs.post([&] {
    server.reset();
    theirs.stop();
  });
  thread.join();
}

TEST(WebSocket, ANameThatNobodyHasIsAnErrorAndBlocksNobody) {
  Loop loop;
  std::string error;
  connect(loop, {.path = "", .host = "no-such-host.invalid", .port = 1}, "/ws", [](std::shared_ptr<Connection>) { ADD_FAILURE(); },
          [&](const NetError& problem) {
            error = problem.what();
            loop.stop();
          });
  run_until_stopped(loop);
  EXPECT_TRUE(error.starts_with("can't connect to no-such-host.invalid:1: ")) << error;
}

TEST(WebSocket, APeerThatIsCutOffIsNoNormalClose) {
  std::promise<std::string> ended;
  ServerOptions options;
  options.websockets["/ws"] = [&](const Request&, std::shared_ptr<Connection> connection) {
    connection->on_closed([&](const std::string& why) { ended.set_value(why); });
  };
  const BackgroundServer server(any_port, not_found, options);
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
  EXPECT_NE(client.read_until("\r\n\r\n").find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);  // RFC 6455, section 1.3
  client.close();
  EXPECT_EQ(ended.get_future().get(), "cut off by the other side");
}

TEST(WebSocket, AMalformedUpgradeIsRefused) {
  ServerOptions options;
  options.websockets["/ws"] = [](const Request&, std::shared_ptr<Connection>) { ADD_FAILURE(); };
  const BackgroundServer server(any_port, not_found, options);
  const std::string upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
  for (const std::string& request : {upgrade + "\r\n", upgrade + "Sec-WebSocket-Key: " + std::string(1000, 'x') + "\r\n\r\n",
                                     upgrade + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x80" + std::string(4, '\0')}) {
    RawClient client(server.endpoint());
    ASSERT_TRUE(client.send(request));
    EXPECT_TRUE(client.read_to_end().value_or("").starts_with("HTTP/1.1 400 "));
  }
}

}  // namespace
}  // namespace ultramarine::net
