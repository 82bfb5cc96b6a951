// Where a server listens: ports, the files of Unix sockets, and what its descriptors must not do.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <ctime>
#include <fstream>
#include <set>

#include "tests/unit/net/support.h"

namespace ultramarine::net {
namespace {

void answer_ok(Request, std::shared_ptr<Reply> reply) { reply->send({.status = 200, .content_type = "text/plain", .body = "ok", .headers = {}}); }

TEST(Listen, SaysWhichPortWasFree) {
  const BackgroundServer server(any_port, answer_ok);
  EXPECT_NE(server.endpoint().port, 0);
  EXPECT_EQ(fetch(server.endpoint(), get("/")).body, "ok");
  EXPECT_EQ(fetch({.path = "", .host = "localhost", .port = server.endpoint().port}, get("/")).body, "ok");
}

TEST(Listen, APortInUseIsAnError) {
  Loop loop;
  const auto server = listen(loop, any_port, answer_ok);
  EXPECT_EQ(net_error_of([&] { listen(loop, server->endpoint(), answer_ok); }), EADDRINUSE);
}

TEST(Listen, APortIsFreeAgainAfterClose) {
  Loop loop;
  auto server = listen(loop, any_port, answer_ok);
  const Endpoint endpoint = server->endpoint();
  server->close();
  EXPECT_NO_THROW(listen(loop, endpoint, answer_ok));
}

TEST(Listen, AnUnknownHostIsAnError) {
  Loop loop;
  EXPECT_THROW(listen(loop, {.path = "", .host = "no-such-host.invalid", .port = 0}, answer_ok), NetError);
}

TEST(Listen, TheSocketFileHasItsModeAndGoesWithTheServer) {
  Loop loop;
  const TemporaryFolder folder;
  const std::string path = folder / "s";
  ServerOptions options;
  options.unix_mode = 0620;
  auto server = listen(loop, {.path = path, .host = "", .port = 0}, answer_ok, options);
  struct stat file {};
  ASSERT_EQ(::stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0620u);
  server->close();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Listen, AStaleSocketFileIsReplaced) {
  const TemporaryFolder folder;
  const std::string path = folder / "s";
  {
    // What a killed process leaves: a bound file that nobody listens on.
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ::close(fd);
    ASSERT_TRUE(std::filesystem::exists(path));
  }
  const BackgroundServer server({.path = path, .host = "", .port = 0}, answer_ok);
  EXPECT_EQ(fetch(server.endpoint(), get("/")).body, "ok");
}

TEST(Listen, ALiveSocketFileIsInUse) {
  const TemporaryFolder folder;
  const BackgroundServer first({.path = folder / "s", .host = "", .port = 0}, answer_ok);
  Loop loop;
  EXPECT_EQ(net_error_of([&] { listen(loop, first.endpoint(), answer_ok); }), EADDRINUSE);
  EXPECT_EQ(fetch(first.endpoint(), get("/")).body, "ok");
}

TEST(Listen, AFileThatIsNoSocketIsLeftAlone) {
  Loop loop;
  const TemporaryFolder folder;
  const std::string path = folder / "precious";
  std::ofstream(path) << "data";
  EXPECT_EQ(net_error_of([&] { listen(loop, {.path = path, .host = "", .port = 0}, answer_ok); }), EADDRINUSE);
  EXPECT_EQ(std::filesystem::file_size(path), 4u);
}

TEST(Listen, ASuccessorsSocketFileIsLeftAlone) {
  Loop loop;
  const TemporaryFolder folder;
  const Endpoint endpoint{.path = folder / "s", .host = "", .port = 0};
  const auto first = listen(loop, endpoint, answer_ok);
  std::filesystem::remove(endpoint.path);
  const auto second = listen(loop, endpoint, answer_ok);
  first->close();
  EXPECT_TRUE(std::filesystem::exists(endpoint.path));
}

TEST(Listen, APathThatIsTooLongIsAnError) {
  Loop loop;
  const TemporaryFolder folder;
  const std::string longest = folder / std::string(unix_path_max - (folder / "").size(), 'x');
  ASSERT_EQ(longest.size(), unix_path_max);
  EXPECT_NO_THROW(listen(loop, {.path = longest, .host = "", .port = 0}, answer_ok));
  const Endpoint too_long{.path = longest + "x", .host = "", .port = 0};
  EXPECT_EQ(net_error_of([&] { listen(loop, too_long, answer_ok); }), ENAMETOOLONG);
  EXPECT_EQ(net_error_of([&] { fetch(too_long, get("/")); }), ENAMETOOLONG);
}

TEST(Listen, AMissingFolderIsAnError) {
  Loop loop;
  const TemporaryFolder folder;
  EXPECT_EQ(net_error_of([&] { listen(loop, {.path = folder / "missing/s", .host = "", .port = 0}, answer_ok); }), ENOENT);
}

// With no descriptor left, a client that waits must neither be lost nor make the loop spin.
TEST(Listen, AClientWaitsUntilThereIsADescriptorForIt) {
  Loop loop;
  int answered = 0;
  const auto server = listen(loop, any_port, [&](Request request, std::shared_ptr<Reply> reply) {
    answer_ok(std::move(request), std::move(reply));
    ++answered;
    loop.stop();
  });
  RawClient client(server->endpoint());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\n\r\n"));

  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  std::vector<int> taken;
  for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken.push_back(fd);
  const std::clock_t begin = std::clock();
  loop.run_for(300ms);
  const double cpu_seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  EXPECT_EQ(answered, 0);
  EXPECT_LT(cpu_seconds, 0.15);
  for (const int fd : taken) ::close(fd);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);

  run_until_stopped(loop);
  EXPECT_EQ(answered, 1);
}

TEST(Listen, AServerMayOutliveItsLoop) {
  const TemporaryFolder folder;
  const Endpoint endpoint{.path = folder / "s", .host = "", .port = 0};
  std::unique_ptr<Server> server;
  const auto owned = std::make_shared<int>(0);
  {
    Loop loop;
    server = listen(loop, endpoint, [owned](Request request, std::shared_ptr<Reply> reply) { answer_ok(std::move(request), std::move(reply)); });
  }
  EXPECT_EQ(owned.use_count(), 1) << "the loop let go of the handler";
  server->close();
  EXPECT_FALSE(std::filesystem::exists(endpoint.path));
}

// Jobs are children of a process that has such connections open.
TEST(Listen, NoDescriptorIsInheritedByChildren) {
  const auto descriptors = [] {
    std::set<int> open;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) open.insert(std::stoi(entry.path().filename()));
    return open;
  };
  const std::set<int> before = descriptors();
  Loop loop;
  const TemporaryFolder folder;
  const auto tcp = listen(loop, any_port, answer_ok);
  ServerOptions options;
  std::shared_ptr<Connection> accepted;
  options.websockets["/ws"] = [&](const Request&, std::shared_ptr<Connection> connection) {
    accepted = std::move(connection);
    loop.stop();
  };
  const auto local = listen(loop, {.path = folder / "s", .host = "", .port = 0}, answer_ok, options);
  std::shared_ptr<Connection> connected;
  connect(loop, local->endpoint(), "/ws", [&](std::shared_ptr<Connection> connection) { connected = std::move(connection); },
          [](const NetError& error) { FAIL() << error.what(); });
  run_until_stopped(loop);
  int sockets = 0;
  for (const int fd : descriptors()) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (before.contains(fd) || flags < 0) continue;  // ours, and not the folder that was just listed
    ++sockets;
    EXPECT_TRUE(flags & FD_CLOEXEC) << std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd));
  }
  EXPECT_GE(sockets, 4);  // two that listen, both ends of a connection, and the loop's own
}

}  // namespace
}  // namespace ultramarine::net
