// One request, one answer: over TCP and Unix sockets, whole and malformed, in time and too slow.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "tests/unit/net/support.h"

namespace ultramarine::net {
namespace {

Response text(std::string body) { return {.status = 200, .content_type = "text/plain", .body = std::move(body), .headers = {}}; }

// Everything that the handler saw, in one body.
void describe_request(Request request, std::shared_ptr<Reply> reply) {
  std::string body = request.method + " " + request.path;
  for (const auto& [name, value] : request.query) body += " " + name + "=" + value;
  body += " x-note:" + request.header("x-note") + " body:" + request.body;
  reply->send(text(body));
}

class Http : public testing::TestWithParam<bool> {
 protected:
  Endpoint where() const { return GetParam() ? Endpoint{.path = folder_ / "s", .host = "", .port = 0} : any_port; }

 private:
  TemporaryFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(Over, Http, testing::Values(false, true), [](const auto& of) { return of.param ? "Unix" : "Tcp"; });

TEST_P(Http, TheHandlerSeesWhatWasAsked) {
  const BackgroundServer server(where(), describe_request);
  Request request = post("/v1/a b/ü", "{}");
  request.query = {{"q", "1&2 +3"}, {"empty", ""}};
  request.headers["X-Note"] = "hello";
  const Response response = fetch(server.endpoint(), request);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "text/plain");
  EXPECT_EQ(response.body, "POST /v1/a b/ü empty= q=1&2 +3 x-note:hello body:{}");
}

TEST_P(Http, TheAnswerHasItsStatusAndHeaders) {
  const BackgroundServer server(where(), [](Request, std::shared_ptr<Reply> reply) {
    reply->send({.status = 409, .content_type = "application/json", .body = "{}", .headers = {{"X-Request-Id", "r7"}}});
  });
  const Response response = fetch(server.endpoint(), get("/"));
  EXPECT_EQ(response.status, 409);
  EXPECT_EQ(response.headers.at("x-request-id"), "r7");
  EXPECT_EQ(response.body, "{}");
}

TEST_P(Http, ThePeerIsKnown) {
  Peer peer;
  const BackgroundServer server(where(), [&](Request request, std::shared_ptr<Reply> reply) {
    peer = request.peer;
    reply->send(text(""));
  });
  fetch(server.endpoint(), get("/"));
  EXPECT_EQ(peer.is_unix, GetParam());
  if (GetParam()) {
    EXPECT_EQ(peer.uid, static_cast<std::int64_t>(::getuid()));
    EXPECT_EQ(peer.gid, static_cast<std::int64_t>(::getgid()));
    EXPECT_EQ(peer.pid, ::getpid());
  } else {
    EXPECT_EQ(peer.uid, -1);
    EXPECT_TRUE(peer.address.starts_with("127.0.0.1:")) << peer.address;
  }
}

TEST_P(Http, ALargeBodyComesBackWhole) {
  const BackgroundServer server(where(), [](Request request, std::shared_ptr<Reply> reply) { reply->send(text(std::move(request.body))); });
  std::string body(4 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761u >> 13);
  EXPECT_TRUE(fetch(server.endpoint(), post("/", body)).body == body);
}

TEST_P(Http, ABodyOverTheLimitIsRefusedEvenWhileItIsBeingSent) {
  const BackgroundServer server(where(), [](Request, std::shared_ptr<Reply>) { ADD_FAILURE() << "the handler must not see it"; });
  const Response response = fetch(server.endpoint(), post("/", std::string(16 << 20, 'x')));
  EXPECT_EQ(response.status, 413);
  EXPECT_NE(response.body.find("too_large"), std::string::npos);
}

TEST_P(Http, AChunkedBodyOverTheLimitIsRefused) {
  ServerOptions options;
  options.body_bytes_max = 10;
  const BackgroundServer server(where(), describe_request, options);
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n8\r\nfghijklm\r\n0\r\n\r\n"));
  EXPECT_TRUE(client.read_to_end().value_or("").starts_with("HTTP/1.1 413 "));
  RawClient small(server.endpoint());
  ASSERT_TRUE(small.send("POST /a HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"));
  EXPECT_TRUE(small.read_to_end().value_or("").ends_with("body:abcde"));
}

TEST_P(Http, ASlowHeaderIsCutOff) {
  ServerOptions options;
  options.header_time_max = 50ms;
  const BackgroundServer server(where(), describe_request, options);
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost:"));
  EXPECT_EQ(client.read_to_end(), "");
  RawClient silent(server.endpoint());
  EXPECT_EQ(silent.read_to_end(), "");
}

TEST_P(Http, ASlowBodyIsCutOff) {
  ServerOptions options;
  options.body_time_max = 50ms;
  const BackgroundServer server(where(), describe_request, options);
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"));
  EXPECT_EQ(client.read_to_end(), "");
}

TEST_P(Http, AConnectionServesSeveralRequests) {
  const BackgroundServer server(where(), describe_request);
  RawClient client(server.endpoint());
  for (const std::string name : {"one", "two"}) {
    ASSERT_TRUE(client.send("GET /" + name + " HTTP/1.1\r\nHost: x\r\n\r\n"));
    const std::string answer = client.read_until("body:");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_NE(answer.find("GET /" + name + " "), std::string::npos) << answer;
  }
  // Pipelined, and the last ends the connection.
  ASSERT_TRUE(client.send("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nConnection: close\r\n\r\n"));
  const std::string answers = client.read_to_end().value_or("");
  EXPECT_NE(answers.find("POST /a x-note: body:abc"), std::string::npos) << answers;
  EXPECT_NE(answers.find("GET /b "), std::string::npos) << answers;
}

TEST_P(Http, TheHeadersTimeLimitIsPerRequestNotPerConnection) {
  ServerOptions options;
  options.header_time_max = 1000ms;
  BackgroundServer server(where(), describe_request, options);
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("GET /one HTTP/1.1\r\n\r\n"));
  client.read_until("body:");
  std::promise<void> later;
  std::unique_ptr<Loop::Timer> timer;
  server.background().on_loop([&] { timer = server.loop().after(1200ms, [&] { later.set_value(); }); });
  later.get_future().wait();
  ASSERT_TRUE(client.send("GET /two HTTP/1.1\r\n\r\n"));
  EXPECT_NE(client.read_until("body:").find("/two"), std::string::npos);
}

TEST_P(Http, MalformedRequestsGetABadRequest) {
  const BackgroundServer server(where(), [](Request, std::shared_ptr<Reply>) { ADD_FAILURE() << "the handler must not see it"; });
  for (const std::string request : {
           "nonsense\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "G(T / HTTP/1.1\r\n\r\n",
           "GET /%zz HTTP/1.1\r\n\r\n", "GET /a%00b HTTP/1.1\r\n\r\n", "GET jobs HTTP/1.1\r\n\r\n",
           "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
           "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"}) {
    RawClient client(server.endpoint());
    ASSERT_TRUE(client.send(request));
    const auto answer = client.read_to_end();
    ASSERT_TRUE(answer) << request;
    EXPECT_TRUE(answer->starts_with("HTTP/1.1 400 ")) << request << "\n" << *answer;
    EXPECT_NE(answer->find("bad_request"), std::string::npos);
  }
}

TEST_P(Http, AHeaderOverTheLimitIsRefused) {
  const BackgroundServer server(where(), describe_request);
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nX-Long: " + std::string(17 << 10, 'x') + "\r\n\r\n"));
  EXPECT_TRUE(client.read_to_end().value_or("").starts_with("HTTP/1.1 431 "));
  Request request = get("/");
  request.headers["x-note"] = std::string(15 << 10, 'y');
  EXPECT_EQ(fetch(server.endpoint(), request).status, 200);
}

TEST_P(Http, AClientThatBreaksOffHarmsNobody) {
  const BackgroundServer server(where(), describe_request);
  for (const std::string part : {"", "GET", "GET / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"}) {
    RawClient client(server.endpoint());
    ASSERT_TRUE(client.send(part));
    client.close();
  }
  EXPECT_EQ(fetch(server.endpoint(), get("/")).status, 200);
}

TEST_P(Http, OldClientsAreServedAndClosed) {
  const BackgroundServer server(where(), describe_request);
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("GET /old HTTP/1.0\r\n\r\n"));
  const std::string answer = client.read_to_end().value_or("");
  EXPECT_TRUE(answer.starts_with("HTTP/1.0 200 ")) << answer;
  EXPECT_NE(answer.find("GET /old"), std::string::npos);
}

TEST_P(Http, HeadHasTheLengthButNoBody) {
  const BackgroundServer server(where(), [](Request, std::shared_ptr<Reply> reply) { reply->send(text("12345")); });
  Request request = get("/");
  request.method = "HEAD";
  const Response response = fetch(server.endpoint(), request);
  EXPECT_EQ(response.headers.at("content-length"), "5");
  EXPECT_EQ(response.body, "");
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n"));
  const std::string answers = client.read_to_end().value_or("");
  EXPECT_EQ(answers.find("12345"), answers.rfind("12345")) << "only the second answer has a body: " << answers;
}

TEST_P(Http, AnAnswerWithoutContentHasNoLength) {
  const BackgroundServer server(where(), [](Request, std::shared_ptr<Reply> reply) { reply->send({.status = 204, .content_type = "", .body = "", .headers = {}}); });
  const Response response = fetch(server.endpoint(), get("/"));
  EXPECT_EQ(response.status, 204);
  EXPECT_FALSE(response.headers.contains("content-length"));
}

TEST_P(Http, AClientThatAsksBeforeItSendsTheBodyIsToldToGoOn) {
  const BackgroundServer server(where(), describe_request);
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("POST /a HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"));
  ASSERT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.send("abc"));
  EXPECT_NE(client.read_to_end().value_or("").find("body:abc"), std::string::npos);
}

TEST_P(Http, ADroppedReplyAnswers500) {
  const BackgroundServer server(where(), [](Request, std::shared_ptr<Reply>) {});
  EXPECT_EQ(fetch(server.endpoint(), get("/")).status, 500);
}

TEST_P(Http, AThrowingHandlerAnswers500) {
  const BackgroundServer server(where(), [](Request, std::shared_ptr<Reply>) { throw std::runtime_error("no \"luck\"\n"); });
  const Response response = fetch(server.endpoint(), get("/"));
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body, R"({"code":"internal_error","message":"no \"luck\"?"})" "\n");
}

TEST_P(Http, AHeaderThatWouldSmuggleAnotherIsNotSent) {
  const BackgroundServer server(where(), [](Request, std::shared_ptr<Reply> reply) {
    reply->send({.status = 200, .content_type = "text/plain", .body = "", .headers = {{"X-Name", "a\r\nX-Evil: 1"}}});
  });
  const Response response = fetch(server.endpoint(), get("/"));
  EXPECT_EQ(response.status, 500);
  EXPECT_FALSE(response.headers.contains("x-evil"));
  Request request = get("/");
  request.headers["X-Name"] = "a\r\nX-Evil: 1";
  EXPECT_THROW(fetch(server.endpoint(), request), NetError);
}

TEST_P(Http, OnlyTheFirstAnswerCounts) {
  const BackgroundServer server(where(), [](Request request, std::shared_ptr<Reply> reply) {
    reply->send(text("first of " + request.path));
    reply->send(text("second"));
  });
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nConnection: close\r\n\r\n"));
  const std::string answers = client.read_to_end().value_or("");
  EXPECT_NE(answers.find("first of /1"), std::string::npos);
  EXPECT_NE(answers.find("first of /2"), std::string::npos);
  EXPECT_EQ(answers.find("second"), std::string::npos);
}

TEST_P(Http, AnswersMayComeFromAnyThread) {
  std::mutex mutex;
  std::vector<std::thread> answering;
  const BackgroundServer server(where(), [&](Request request, std::shared_ptr<Reply> reply) {
    const std::lock_guard lock(mutex);
    answering.emplace_back([request = std::move(request), reply = std::move(reply)] {
      if (request.path != "/dropped") reply->send(text(request.path));
    });
  });
  std::vector<std::thread> asking;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) {
    asking.emplace_back([&, i] {
      for (int n = 0; n < 10; ++n) {
        const std::string path = "/" + std::to_string(i) + "/" + std::to_string(n);
        if (fetch(server.endpoint(), get(path)).body == path) ++right;
        if (fetch(server.endpoint(), get("/dropped")).status == 500) ++right;
      }
    });
  }
  for (auto& thread : asking) thread.join();
  const std::lock_guard lock(mutex);
  for (auto& thread : answering) thread.join();
  EXPECT_EQ(right, 160);
}

TEST_P(Http, AReplyMayOutliveServerAndLoop) {
  std::shared_ptr<Reply> kept;
  std::promise<void> asked;
  std::thread client;
  {
    BackgroundServer server(where(), [&](Request, std::shared_ptr<Reply> reply) {
      kept = std::move(reply);
      asked.set_value();
    });
    client = std::thread([endpoint = server.endpoint()] { EXPECT_THROW(fetch(endpoint, get("/")), NetError); });
    asked.get_future().wait();
  }
  client.join();
  kept->send(text("too late"));
  EXPECT_FALSE(kept->start_stream(200, "text/plain")->write("too late"));
}

TEST_P(Http, AHandlerMayCloseItsServer) {
  Loop loop;
  std::unique_ptr<Server> server;
  const auto owned = std::make_shared<int>(7);
  server = listen(loop, where(), [&server, &loop, owned](Request, std::shared_ptr<Reply> reply) {
    server.reset();
    EXPECT_EQ(*owned, 7);  // the handler is still whole
    reply->send(text("too late"));
    loop.stop();
  });
  std::thread client([endpoint = server->endpoint()] { EXPECT_THROW(fetch(endpoint, get("/")), NetError); });
  run_until_stopped(loop);
  client.join();
  EXPECT_EQ(owned.use_count(), 1);
}

TEST_P(Http, NobodyThereIsAnError) {
  Endpoint endpoint;
  {
    Loop loop;
    endpoint = listen(loop, where(), describe_request)->endpoint();
  }
  const int expected = GetParam() ? ENOENT : ECONNREFUSED;
  EXPECT_EQ(net_error_of([&] { fetch(endpoint, get("/")); }), expected);
  EXPECT_EQ(net_error_of([&] { fetch_stream(endpoint, get("/"), [](std::string_view) { return true; }); }), expected);
}

TEST_P(Http, AnAnswerThatDoesNotComeInTimeIsAnError) {
  std::vector<std::shared_ptr<Reply>> kept;
  const BackgroundServer server(where(), [&](Request, std::shared_ptr<Reply> reply) { kept.push_back(std::move(reply)); });
  EXPECT_EQ(net_error_of([&] { fetch(server.endpoint(), get("/"), 50ms); }), ETIMEDOUT);
}

TEST(HttpClient, ANameThatNobodyHasIsAnError) {
  EXPECT_THROW(fetch({.path = "", .host = "no-such-host.invalid", .port = 1}, get("/")), NetError);
}

}  // namespace
}  // namespace ultramarine::net
