// A scheduler's API that says what a test wants: a real server on a Unix socket with canned answers, and a way to run
// the command line against it in this process.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "scheduler/cli/command_line.h"
#include "scheduler/net/http.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli::test {

/// A folder of its own under /tmp, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class FakeApi {
 public:
  using Answer = std::function<void(const net::Request&, std::shared_ptr<net::Reply>)>;
  FakeApi();
  ~FakeApi();
  FakeApi(const FakeApi&) = delete;
  FakeApi& operator=(const FakeApi&) = delete;

  const std::string& socket() const { return socket_; }
  std::string home() const { return folder_.path(); }
  /// "GET /v1/jobs": the answer to each such request from now on.
  void on(const std::string& request, Answer answer);
  void on(const std::string& request, const std::string& body, int status = 200);
  void refuse(const std::string& request, int status, const std::string& code, const std::string& field,
              const std::string& message, const std::string& remedy);
  std::vector<net::Request> requests();

 private:
  TemporaryFolder folder_;
  std::string socket_;
  net::Loop loop_;
  std::mutex mutex_;
  std::map<std::string, Answer> answers_;
  std::vector<net::Request> requests_;
  std::unique_ptr<net::Server> server_;
  std::thread thread_;
};

struct Ran {
  int code = -1;
  std::string out, err;
};

/// `now` is fixed_now; stdout and stderr are pipes unless `terminal` says otherwise.
constexpr Time fixed_now{1'700'000'000'000};
Ran run(const std::vector<std::string>& words, std::map<std::string, std::string> environment, Terminal terminal = {});
Ran run(FakeApi& api, const std::vector<std::string>& words, Terminal terminal = {});

/// A queued, running and failed job to show.
protocol::JobView queued_job();
protocol::JobView running_job();
protocol::JobView failed_job();
protocol::JobView completed_job();
std::string json_of(const protocol::JobView& view);
std::string json_of(const protocol::JobList& list);
std::string json_of(const protocol::NodeList& list);
std::string log_line(std::int64_t rank, const std::string& stream, const std::string& text);

}  // namespace ultramarine::cli::test
