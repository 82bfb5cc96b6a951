// Answers that are sent piece by piece, and clients that stop reading them.
#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/net/support.h"

namespace ultramarine::net {
namespace {

class Streaming : public testing::TestWithParam<bool> {
 protected:
  Endpoint where() const { return GetParam() ? Endpoint{.path = folder_ / "s", .host = "", .port = 0} : any_port; }

 private:
  TemporaryFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(Over, Streaming, testing::Values(false, true), [](const auto& of) { return of.param ? "Unix" : "Tcp"; });

TEST_P(Streaming, PiecesArriveAsTheyAreWritten) {
  std::shared_ptr<Stream> stream;
  BackgroundServer server(where(), [&](Request, std::shared_ptr<Reply> reply) {
    stream = reply->start_stream(200, "application/jsonl");
    EXPECT_TRUE(stream->write("1"));
  });
  // Each piece is written only after the one before was received.
  std::string received;
  const Response response = fetch_stream(server.endpoint(), get("/"), [&](std::string_view piece) {
    received += piece;
    const auto count = received.size();
    server.loop().post([&, count] { count < 5 ? (void)stream->write(std::to_string(count + 1)) : stream->end(); });
    return true;
  });
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "application/jsonl");
  EXPECT_EQ(response.body, "");
  EXPECT_EQ(received, "12345");
  server.background().on_loop([&] { stream.reset(); });
}

TEST_P(Streaming, AnEmptyStreamAndEmptyPiecesAreFine) {
  const BackgroundServer server(where(), [](Request request, std::shared_ptr<Reply> reply) {
    const auto stream = reply->start_stream(200, "text/plain");
    if (request.path == "/pieces") {
      for (const std::string piece : {"", "a", "", "b"}) EXPECT_TRUE(stream->write(piece));
    }
    stream->end();
    EXPECT_FALSE(stream->write("after the end"));
  });
  EXPECT_EQ(fetch(server.endpoint(), get("/none")).body, "");
  EXPECT_EQ(fetch(server.endpoint(), get("/pieces")).body, "ab");
}

TEST_P(Streaming, OldClientsGetThePlainBody) {
  const BackgroundServer server(where(), [](Request, std::shared_ptr<Reply> reply) {
    const auto stream = reply->start_stream(200, "text/plain");
    stream->write("ab");
    stream->write("cd");
    stream->end();
  });
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(client.read_to_end().value_or("").ends_with("\r\n\r\nabcd"));
}

TEST_P(Streaming, SomethingLongIsWrittenAsItDrains) {
  constexpr std::size_t pieces = 48;
  const std::string piece(1 << 20, 'x');
  BackgroundServer server(where(), [&](Request, std::shared_ptr<Reply> reply) {
    const std::shared_ptr<Stream> stream = reply->start_stream(200, "text/plain");
    const auto left = std::make_shared<std::size_t>(pieces);
    const auto more = [&piece, stream, left] {
      if (*left == 0) return stream->end();
      --*left;
      EXPECT_TRUE(stream->write(piece));
    };
    stream->on_drained(more);
    more();
  });
  std::size_t received = 0;
  fetch_stream(server.endpoint(), get("/"), [&](std::string_view some) {
    received += some.size();
    return true;
  });
  EXPECT_EQ(received, pieces * piece.size());
}

TEST_P(Streaming, AClientThatGoesAwayIsNoticed) {
  std::shared_ptr<Stream> stream;
  std::promise<void> closed;
  std::atomic<int> calls = 0;
  BackgroundServer server(where(), [&](Request, std::shared_ptr<Reply> reply) {
    stream = reply->start_stream(200, "text/plain");
    stream->on_closed([&] {
      ++calls;
      closed.set_value();
    });
    stream->write("hello");
  });
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\n\r\n"));
  client.read_until("hello");
  client.close();
  ASSERT_EQ(closed.get_future().wait_for(test_patience), std::future_status::ready);
  server.background().on_loop([&] {
    EXPECT_FALSE(stream->write("more"));
    stream->end();
    stream.reset();
  });
  EXPECT_EQ(calls, 1);
}

TEST_P(Streaming, AClientThatReadsTooSlowlyIsCutOff) {
  std::shared_ptr<Stream> stream;
  std::promise<std::size_t> refused;
  std::promise<void> closed;
  BackgroundServer server(where(), [&](Request, std::shared_ptr<Reply> reply) {
    stream = reply->start_stream(200, "text/plain");
    stream->on_closed([&] { closed.set_value(); });
    const std::string piece(1 << 20, 'x');
    std::size_t taken = 0;
    while (taken < 100 && stream->write(piece)) ++taken;
    refused.set_value(taken);
  });
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\n\r\n"));
  const std::size_t taken = refused.get_future().get();
  EXPECT_GE(taken, 8u);
  EXPECT_LE(taken, 10u);
  ASSERT_EQ(closed.get_future().wait_for(test_patience), std::future_status::ready);
  EXPECT_FALSE(client.read_to_end().value_or("").ends_with("0\r\n\r\n")) << "an answer with a hole must not look whole";
  server.background().on_loop([&] { stream.reset(); });
}

TEST_P(Streaming, AStreamDroppedBeforeItsEndIsCutOff) {
  const BackgroundServer server(where(), [](Request, std::shared_ptr<Reply> reply) { reply->start_stream(200, "text/plain")->write("half"); });
  EXPECT_THROW(fetch_stream(server.endpoint(), get("/"), [](std::string_view) { return true; }), NetError);
}

TEST_P(Streaming, TheReaderMayStop) {
  std::promise<void> closed;
  std::shared_ptr<Stream> stream;
  BackgroundServer server(where(), [&](Request, std::shared_ptr<Reply> reply) {
    stream = reply->start_stream(200, "text/plain");
    stream->on_closed([&] { closed.set_value(); });
    stream->write("first");
  });
  int pieces = 0;
  const Response response = fetch_stream(server.endpoint(), get("/"), [&](std::string_view) {
    ++pieces;
    return false;
  });
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(pieces, 1);
  ASSERT_EQ(closed.get_future().wait_for(test_patience), std::future_status::ready);
  server.background().on_loop([&] { stream.reset(); });
}

TEST_P(Streaming, AnExceptionOfTheReaderReachesTheCaller) {
  std::shared_ptr<Stream> stream;
  BackgroundServer server(where(), [&](Request, std::shared_ptr<Reply> reply) {
    stream = reply->start_stream(200, "text/plain");
    stream->write("first");
  });
  EXPECT_THROW(fetch_stream(server.endpoint(), get("/"), [](std::string_view) -> bool { throw std::logic_error("mine"); }), std::logic_error);
  server.background().on_loop([&] { stream.reset(); });
}

TEST_P(Streaming, TheReaderMayBeInterrupted) {
  const Pipe pipe;
  std::shared_ptr<Stream> stream;
  BackgroundServer server(where(), [&](Request, std::shared_ptr<Reply> reply) {
    stream = reply->start_stream(200, "text/plain");
    stream->write("first");
  });
  const Response response = fetch_stream(server.endpoint(), get("/"), [&](std::string_view piece) {
    EXPECT_EQ(piece, "first");
    pipe.put('x');
    return true;
  }, pipe.ends[0]);
  EXPECT_EQ(response.status, 200);
  char c = 0;
  EXPECT_EQ(::read(pipe.ends[0], &c, 1), 1) << "the descriptor is still open and nothing was read from it";
  server.background().on_loop([&] { stream.reset(); });
}

TEST_P(Streaming, InterruptedBeforeTheAnswerThereIsNoStatus) {
  const Pipe pipe;
  std::vector<std::shared_ptr<Reply>> kept;
  const BackgroundServer server(where(), [&](Request, std::shared_ptr<Reply> reply) {
    kept.push_back(std::move(reply));
    pipe.put('x');
  });
  EXPECT_EQ(fetch_stream(server.endpoint(), get("/"), [](std::string_view) { return true; }, pipe.ends[0]).status, 0);
}

TEST_P(Streaming, AnErrorComesBackWithItsBody) {
  const BackgroundServer server(where(), [](Request, std::shared_ptr<Reply> reply) {
    reply->send({.status = 404, .content_type = "application/json", .body = "{\"code\":\"not_found\"}", .headers = {}});
  });
  const Response response = fetch_stream(server.endpoint(), get("/"), [](std::string_view) {
    ADD_FAILURE() << "no piece of an error is delivered";
    return true;
  });
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body, "{\"code\":\"not_found\"}");
}

TEST_P(Streaming, ClosingTheServerTellsItsStreams) {
  Loop loop;
  std::shared_ptr<Stream> stream;
  std::unique_ptr<Server> server;
  int told = 0;
  server = listen(loop, where(), [&](Request, std::shared_ptr<Reply> reply) {
    stream = reply->start_stream(200, "text/plain");
    stream->on_closed([&] {
      ++told;
      loop.stop();
    });
    server->close();
  });
  std::thread client([endpoint = server->endpoint()] { EXPECT_THROW(fetch(endpoint, get("/")), NetError); });
  run_until_stopped(loop);
  client.join();
  EXPECT_EQ(told, 1);
}

TEST_P(Streaming, DestroyingTheServerCallsNoHandlerAnyMore) {
  Loop loop;
  std::shared_ptr<Stream> stream;
  std::unique_ptr<Server> server;
  server = listen(loop, where(), [&](Request, std::shared_ptr<Reply> reply) {
    stream = reply->start_stream(200, "text/plain");
    stream->on_closed([] { ADD_FAILURE() << "whoever owned the server may be gone"; });
    server.reset();
    loop.stop();
  });
  std::thread client([endpoint = server->endpoint()] { EXPECT_THROW(fetch(endpoint, get("/")), NetError); });
  run_until_stopped(loop);
  client.join();
  loop.run_for(0ms);
}

}  // namespace
}  // namespace ultramarine::net
