#include "scheduler/cli/top/top_feed.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <sstream>

#include "scheduler/cli/client.h"
#include "scheduler/cli/job_output.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verbs/show.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::cli {
namespace {

constexpr std::size_t lines_max = 5'000;  // of followed output that are kept
constexpr std::int64_t patience_s = 10;   // for one answer

void raise(int fd) {
  const std::uint64_t one = 1;
  if (write(fd, &one, sizeof one) < 0) {
    // A full counter is as readable as one more.
  }
}

void lower(int fd) {
  std::uint64_t count = 0;
  if (read(fd, &count, sizeof count) < 0) {
    // It was not raised.
  }
}

/// Readable when `fd` is, or after some seconds.
class Deadline {
 public:
  Deadline(int fd, std::int64_t seconds)
      : both_(epoll_create1(EPOLL_CLOEXEC)), timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) {
    itimerspec when{};
    when.it_value.tv_sec = seconds;
    timerfd_settime(timer_, 0, &when, nullptr);
    for (const int one : {fd, timer_}) {
      epoll_event event{};
      event.events = EPOLLIN;
      epoll_ctl(both_, EPOLL_CTL_ADD, one, &event);
    }
  }
  ~Deadline() {
    close(both_);
    close(timer_);
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  int fd() const { return both_; }

 private:
  int both_, timer_;
};

/// A line as a terminal would have left it: tabs are blanks, what a carriage return went over is gone.
std::string on_one_line(const std::string& line) {
  std::string text;
  std::size_t from = line.find_last_of('\r', line.empty() ? 0 : line.size() - 2);
  from = from == std::string::npos ? 0 : from + 1;
  for (const char byte : line.substr(from)) {
    if (byte == '\t')
      text += "    ";
    else if (byte != '\r')
      text += byte;
  }
  return printable(text);
}

}  // namespace

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TopFeed::TopFeed(const Context& context, Duration interval, bool all)
    : socket_(context.socket),
      environment_(context.environment),
      now_(context.now),
      interval_(interval),
      all_(all),
      news_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stop_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stop_follow_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  asking_ = std::thread([this] { ask_forever(); });
}

TopFeed::~TopFeed() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  hurry_.notify_all();
  raise(stop_fd_);
  stop_following();
  asking_.join();
  for (const int fd : {news_fd_, stop_fd_, stop_follow_fd_}) close(fd);
}

void TopFeed::announce() { raise(news_fd_); }

TopNews TopFeed::take() {
  lower(news_fd_);
  const std::lock_guard lock(mutex_);
  const bool away = news_.away;
  TopNews taken = std::exchange(news_, TopNews{});
  news_.away = away;
  return taken;
}

std::string TopFeed::ask(const std::string& method, const std::string& path,
                         const std::map<std::string, std::string>& query) {
  net::Request request;
  request.method = method;
  request.path = path;
  request.query = query;
  if (method == "POST") {
    request.body = "{}";
    request.headers["content-type"] = "application/json";
  }
  const Deadline deadline(stop_fd_, patience_s);
  std::string body;
  const net::Response response = net::fetch_stream(
      net::Endpoint{.path = socket_, .host = "", .port = 0}, request,
      [&](std::string_view piece) { return body.append(piece), true; }, deadline.fd());
  if (response.status == 0) throw net::NetError("no answer");
  if (response.status / 100 == 2) return body;
  protocol::ErrorReply reply;
  try {
    reply = protocol::from_json<protocol::ErrorReply>(response.body);
  } catch (const protocol::DecodeError&) {
    reply.message = spoken("the scheduler answered with status {0}", response.status);
  }
  throw CommandError(exit_code_for(reply.code, response.status), error_line("", reply.message, reply.remedy));
}

void TopFeed::ask_forever() {
  for (;;) {
    try {
      ask_once();
      const std::lock_guard lock(mutex_);
      news_.away = false;
    } catch (const std::exception&) {
      // No scheduler, one that restarts, or one that doesn't say what we understand: it may be another one in a moment.
      const std::lock_guard lock(mutex_);
      news_.away = true;
    }
    announce();
    std::unique_lock lock(mutex_);
    hurry_.wait_for(lock, std::chrono::milliseconds(interval_.ms), [this] { return ending_ || hurried_; });
    hurried_ = false;
    if (ending_) return;
  }
}

void TopFeed::ask_once() {
  std::optional<JobId> cancelled, shown;
  std::size_t columns = 80;
  {
    const std::lock_guard lock(mutex_);
    cancelled = std::exchange(cancelled_job_, std::nullopt);
    shown = shown_job_;
    columns = columns_;
  }
  if (cancelled) {
    std::string message;
    try {
      const auto view = protocol::from_json<protocol::JobView>(
          ask("POST", "/v1/jobs/" + std::to_string(cancelled->value) + "/cancel"));
      message = is_terminal(view.details.state) ? spoken("Job {0} is {1}.", cancelled->value, word(view.details.state))
                                                : spoken("Job {0} is being stopped.", cancelled->value);
    } catch (const CommandError& error) {
      message = spoken("error:") + " " + error.what();
    }
    const std::lock_guard lock(mutex_);
    news_.message = message;
  }
  TopNews::Cluster cluster;
  cluster.cluster = protocol::from_json<protocol::ClusterView>(ask("GET", "/v1/cluster"));
  cluster.nodes = protocol::from_json<protocol::NodeList>(ask("GET", "/v1/nodes"));
  cluster.jobs = protocol::from_json<protocol::JobList>(
      ask("GET", "/v1/jobs",
          all_ ? std::map<std::string, std::string>{{"all", "1"}} : std::map<std::string, std::string>{}));
  std::optional<std::vector<std::string>> page;
  if (shown) {
    std::ostringstream out;
    try {
      const auto view = protocol::from_json<protocol::JobView>(ask("GET", "/v1/jobs/" + std::to_string(shown->value)));
      Terminal terminal;
      terminal.out_is_terminal = true;
      terminal.columns = columns;
      Context context{out, out, terminal, environment_, "", socket_, now_};
      write_job(view, context);
    } catch (const CommandError& error) {
      out << error.what() << '\n';
    }
    page = lines_of(out.str());
  }
  const std::lock_guard lock(mutex_);
  news_.cluster = std::move(cluster);
  if (page && shown_job_ && *shown_job_ == *shown) news_.page = std::move(page);
}

void TopFeed::open_job(JobId job, std::size_t columns) {
  close_page();
  const std::lock_guard lock(mutex_);
  shown_job_ = job;
  columns_ = columns;
  hurried_ = true;
  hurry_.notify_all();
}

void TopFeed::open_logs(JobId job) {
  close_page();
  following_ = std::thread([this, job] { follow(job); });
}

void TopFeed::close_page() {
  stop_following();
  const std::lock_guard lock(mutex_);
  shown_job_.reset();
  lines_.clear();
  news_.page.reset();
}

void TopFeed::cancel(JobId job) {
  const std::lock_guard lock(mutex_);
  cancelled_job_ = job;
  hurried_ = true;
  hurry_.notify_all();
}

void TopFeed::stop_following() {
  if (!following_.joinable()) return;
  raise(stop_follow_fd_);
  following_.join();
  lower(stop_follow_fd_);
}

void TopFeed::follow(JobId job) {
  const auto add = [this](const std::vector<std::string>& lines) {
    const std::lock_guard lock(mutex_);
    for (const std::string& line : lines) lines_.push_back(on_one_line(line));
    while (lines_.size() > lines_max) lines_.pop_front();
    news_.page = std::vector<std::string>(lines_.begin(), lines_.end());
  };
  std::ostringstream text;
  JobOutput output(text, text, OutputForm::labelled, false);
  const auto publish = [&] {
    if (text.str().empty()) return;
    add(lines_of(text.str()));
    text.str("");
    announce();
  };
  net::Request request;
  request.method = "GET";
  request.path = "/v1/jobs/" + std::to_string(job.value) + "/logs";
  request.query["follow"] = "1";
  std::string pending;
  try {
    const net::Response response = net::fetch_stream(
        net::Endpoint{.path = socket_, .host = "", .port = 0}, request,
        [&](std::string_view piece) {
          pending += piece;
          std::size_t from = 0;
          for (std::size_t end = pending.find('\n'); end != std::string::npos;
               from = end + 1, end = pending.find('\n', from)) {
            const std::string line = pending.substr(from, end - from);
            try {
              if (!line.empty()) output.take(protocol::from_json<protocol::LogLine>(line));
            } catch (const std::exception&) {
              return false;  // of another version: nothing more can be read
            }
          }
          pending.erase(0, from);
          publish();
          return true;
        },
        stop_follow_fd_);
    output.finish();
    publish();
    if (response.status == 0) return;
    if (response.status / 100 != 2) {
      const auto reply = protocol::from_json<protocol::ErrorReply>(response.body);
      add({error_line("", reply.message, reply.remedy)});
    } else {
      add({spoken("(end of the output)")});
    }
  } catch (const std::exception&) {
    add({spoken("(the connection was lost; open the page again)")});
  }
  announce();
}

}  // namespace ultramarine::cli
