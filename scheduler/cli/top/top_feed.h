// What `ultra top` knows of the cluster, brought by two threads so that keys never wait for the network: one asks again
// and again, one follows a job's output. The screen looks at the newest news whenever `fd` can be read.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "scheduler/cli/top/top_model.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

/// What is new since the last look.
struct TopNews {
  struct Cluster {
    protocol::ClusterView cluster;
    protocol::NodeList nodes;
    protocol::JobList jobs;
  };
  std::optional<Cluster> cluster;
  std::optional<std::vector<std::string>> page;
  std::optional<std::string> message;
  bool away = false;  // the newest question had no answer
};

class TopFeed {
 public:
  /// `context`: socket, time and words; its streams aren't used. `all`: ended jobs too.
  TopFeed(const Context& context, Duration interval, bool all);
  ~TopFeed();
  TopFeed(const TopFeed&) = delete;
  TopFeed& operator=(const TopFeed&) = delete;

  /// Readable when there is news.
  int fd() const { return news_fd_; }
  TopNews take();

  /// The page of one job, kept up to date with everything else.
  void open_job(JobId job, std::size_t columns);
  void open_logs(JobId job);
  void close_page();
  void cancel(JobId job);

 private:
  void ask_forever();
  void ask_once();
  void follow(JobId job);
  void stop_following();
  void announce();
  /// GET, or POST of `{}`. Gives up when the feed ends or nothing came for 10 s. Throws CommandError or net::NetError.
  std::string ask(const std::string& method, const std::string& path,
                  const std::map<std::string, std::string>& query = {});

  const std::string socket_;
  const std::map<std::string, std::string> environment_;
  const std::function<Time()> now_;
  const Duration interval_;
  const bool all_;
  int news_fd_ = -1, stop_fd_ = -1, stop_follow_fd_ = -1;

  std::mutex mutex_;
  std::condition_variable hurry_;
  bool ending_ = false, hurried_ = false;
  TopNews news_;
  std::optional<JobId> shown_job_, cancelled_job_;
  std::size_t columns_ = 80;
  std::deque<std::string> lines_;  // of the job whose output is followed

  std::thread asking_, following_;
};

/// Lines of text without their ends.
std::vector<std::string> lines_of(const std::string& text);

}  // namespace ultramarine::cli
