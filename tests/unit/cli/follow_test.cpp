// --follow: the queue, the output, the end; a stream that breaks off; and Ctrl-C, with the real program and a real
// signal.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <future>

#include "scheduler/cli/job_output.h"
#include "scheduler/net/base64.h"
#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

using test::FakeApi;
using test::json_of;
using test::log_line;
using test::Ran;
using test::run;

protocol::JobView with_number(protocol::JobView view, std::int64_t number) {
  view.details.job = {number};
  return view;
}

/// The job is queued when first asked for, then runs, and has ended once its output was read.
void play_a_whole_job(FakeApi& api, const std::string& output, const protocol::JobView& end, std::atomic<int>& asked) {
  const std::string number = std::to_string(end.details.job.value);
  api.on("POST /v1/jobs", "{\"job\":" + number + "}");
  api.on("GET /v1/jobs/" + number, [&asked, end](const net::Request&, std::shared_ptr<net::Reply> reply) {
    const protocol::JobView view =
        with_number(++asked <= 2 ? test::queued_job() : test::running_job(), end.details.job.value);
    reply->send({.status = 200, .content_type = "application/json", .body = json_of(view), .headers = {}});
  });
  api.on("GET /v1/jobs/" + number + "/wait", json_of(end));
  api.on("GET /v1/jobs/" + number + "/logs", [output](const net::Request&, std::shared_ptr<net::Reply> reply) {
    const auto stream = reply->start_stream(200, "application/x-ndjson");
    // In pieces that don't respect lines.
    for (std::size_t at = 0; at < output.size(); at += 7) stream->write(output.substr(at, 7));
    stream->end();
  });
}

TEST(Follow, GoesFromTheQueueOverTheOutputToTheEnd) {
  FakeApi api;
  std::atomic<int> asked{0};
  play_a_whole_job(api, log_line(0, "out", "step 1\n") + log_line(1, "out", "step 1\n"), test::completed_job(), asked);
  const Ran ran = run(api, {"submit", "--gpus", "16", "--follow", "--", "python3", "train.py"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "[0] step 1\n[1] step 1\n");  // stdout is the job's alone
  EXPECT_EQ(ran.err,
            "Submitted job 5 (train, 16 GPUs, 2h limit).\n"
            "Planned start: in 14m (2023-11-14 22:27:20) on node[01-02]: Waits for 16 GPUs; 8 are free.\n"
            "Job 5 runs on node[01-02].\n"
            "Job 5 completed in 4m.\n");
}

TEST(Follow, EndsWithTheJobsCodeAndOneLineAboutItsFailure) {
  FakeApi api;
  std::atomic<int> asked{2};
  play_a_whole_job(api, log_line(3, "err", "boom\n"), test::failed_job(), asked);
  const Ran ran = run(api, {"submit", "--follow", "--rank", "3", "--quiet", "--", "x"});
  EXPECT_EQ(ran.code, 137);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err,
            "7\nJob 7 runs on node[01-02].\nboom\nerror: job 7 failed: rank 3 on node01 ended with signal 9 (SIGKILL) "
            "(see 'ultra show 7')\n");
}

TEST(Follow, AStreamThatBreaksOffIsReadAgainWithoutRepeating) {
  FakeApi api;
  std::atomic<int> streams{0};
  api.on("GET /v1/jobs/9", json_of(test::running_job()));
  api.on("GET /v1/jobs/9/wait", [&](const net::Request&, std::shared_ptr<net::Reply> reply) {
    reply->send({.status = 200,
                 .content_type = "application/json",
                 .body = json_of(streams < 2 ? test::running_job() : with_number(test::completed_job(), 9)),
                 .headers = {}});
  });
  api.on("GET /v1/jobs/9/logs", [&](const net::Request&, std::shared_ptr<net::Reply> reply) {
    const auto stream = reply->start_stream(200, "application/x-ndjson");
    if (streams++ == 0)
      stream->write(log_line(0, "out", "one\ntw"));
    else
      stream->write(log_line(0, "out", "one\n") + log_line(0, "out", "two\nthree\n"));  // cut in other places
    stream->end();
  });
  const Ran ran = run(api, {"logs", "9", "--follow"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "[0] one\n[0] two\n[0] three\n");
}

TEST(JobOutputPieces, OfAnotherAttemptAreNotTakenForOldOnes) {
  std::ostringstream out, err;
  JobOutput output(out, err, OutputForm::labelled, false);
  const auto piece = [](const std::string& text) { return protocol::LogLine{0, "out", net::to_base64(text), ""}; };
  output.take(piece("first attempt"));
  output.begin_attempt();
  output.take(piece("second\n"));
  output.take({2, "out", "", "node02 doesn't answer"});
  EXPECT_EQ(out.str(), "[0] first attempt\n[0] second\n");
  EXPECT_EQ(err.str(), "rank 2: node02 doesn't answer\n");
}

/// The real `ultra`, with its output to read as it comes.
class Program {
 public:
  Program(const std::vector<std::string>& words, const std::string& home) {
    if (pipe2(out_, O_CLOEXEC) != 0 || pipe2(err_, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out_[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err_[1], STDERR_FILENO);
    std::vector<std::string> all{ULTRAMARINE_BINARY_DIR "/bin/ultra"};
    all.insert(all.end(), words.begin(), words.end());
    std::vector<char*> arguments;
    for (std::string& word : all) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::string home_entry = "ULTRA_HOME=" + home, path_entry = "PATH=/usr/bin:/bin";
    char* environment[] = {home_entry.data(), path_entry.data(), nullptr};
    if (posix_spawn(&pid_, all.front().c_str(), &actions, nullptr, arguments.data(), environment) != 0)
      throw std::runtime_error("can't run ultra");
    posix_spawn_file_actions_destroy(&actions);
    close(out_[1]);
    close(err_[1]);
  }
  ~Program() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(out_[0]);
    close(err_[0]);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// What it has printed once `wanted` is in it; gives up after 30 s.
  std::string out_until(const std::string& wanted) { return read_until(out_[0], out_text_, wanted); }
  std::string err_until(const std::string& wanted) { return read_until(err_[0], err_text_, wanted); }
  void interrupt() { kill(pid_, SIGINT); }
  int wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    err_until("\1");  // to its end
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  const std::string& err() const { return err_text_; }

 private:
  static std::string read_until(int fd, std::string& text, const std::string& wanted) {
    while (text.find(wanted) == std::string::npos) {
      pollfd readable{fd, POLLIN, 0};
      if (poll(&readable, 1, 30'000) <= 0) break;
      char buffer[4096];
      const ssize_t got = read(fd, buffer, sizeof buffer);
      if (got <= 0) break;
      text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
  }
  pid_t pid_ = -1;
  int out_[2], err_[2];
  std::string out_text_, err_text_;
};

void expect_no_cancel(FakeApi& api) {
  for (const net::Request& request : api.requests()) EXPECT_EQ(request.path.find("/cancel"), std::string::npos);
}

TEST(ControlC, WhileTheOutputIsFollowedDetachesAndSaysHowToGoOn) {
  FakeApi api;
  std::shared_ptr<net::Stream> open_stream;
  api.on("POST /v1/jobs", R"({"job":9})");
  api.on("GET /v1/jobs/9", json_of(test::running_job()));
  api.on("GET /v1/jobs/9/logs", [&](const net::Request&, std::shared_ptr<net::Reply> reply) {
    open_stream = reply->start_stream(200, "application/x-ndjson");
    open_stream->write(log_line(0, "out", "step 1\n"));  // and then nothing for ever
  });
  Program ultra({"submit", "--follow", "--", "train"}, api.home());
  EXPECT_EQ(ultra.out_until("step 1\n"), "[0] step 1\n");
  ultra.interrupt();
  EXPECT_EQ(ultra.wait(), 130);
  EXPECT_TRUE(ultra.err().ends_with(
      "\nDetached: job 9 goes on. Follow it again with 'ultra logs 9 --follow'; stop it with 'ultra cancel 9'.\n"))
      << ultra.err();
  expect_no_cancel(api);
}

TEST(ControlC, WhileTheJobWaitsDetachesToo) {
  FakeApi api;
  std::promise<void> asked_to_wait;
  std::vector<std::shared_ptr<net::Reply>> held;  // long polls that are never answered
  api.on("POST /v1/jobs", R"({"job":12})");
  api.on("GET /v1/jobs/12", json_of(test::queued_job()));
  api.on("GET /v1/jobs/12/wait", [&](const net::Request&, std::shared_ptr<net::Reply> reply) {
    if (held.empty()) asked_to_wait.set_value();
    held.push_back(std::move(reply));
  });
  Program ultra({"submit", "--wait", "--", "train"}, api.home());
  ASSERT_TRUE(asked_to_wait.get_future().wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  ultra.interrupt();
  EXPECT_EQ(ultra.wait(), 130);
  EXPECT_NE(ultra.err().find("Detached: job 12 goes on."), std::string::npos) << ultra.err();
  expect_no_cancel(api);
}

}  // namespace
}  // namespace ultramarine::cli
