#include "tests/unit/cli/fake_api.h"

#include <unistd.h>

#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "scheduler/net/base64.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::cli::test {
namespace {

/// Widths need UTF-8, and times one zone.
const bool environment_is_set = [] {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  setenv("TZ", "UTC", 1);
  return true;
}();

}  // namespace

TemporaryFolder::TemporaryFolder() : path_("/tmp/ultra-cli-XXXXXX") {
  if (!environment_is_set || !mkdtemp(path_.data())) throw std::runtime_error("can't make a temporary folder");
}
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

FakeApi::FakeApi() : socket_(folder_.path() + "/scheduler.sock") {
  server_ = net::listen(loop_, net::Endpoint{.path = socket_, .host = "", .port = 0},
                        [this](net::Request request, std::shared_ptr<net::Reply> reply) {
                          Answer answer;
                          {
                            const std::lock_guard lock(mutex_);
                            requests_.push_back(request);
                            const auto found = answers_.find(request.method + " " + request.path);
                            if (found != answers_.end()) answer = found->second;
                          }
                          if (answer)
                            answer(request, reply);
                          else
                            reply->send({.status = 404,
                                         .content_type = "application/json",
                                         .body = R"({"code":"not_found","message":"nothing at )" + request.path + "\"}",
                                         .headers = {}});
                        });
  thread_ = std::thread([this] { loop_.run(); });
}

FakeApi::~FakeApi() {
  loop_.post([this] {
    server_.reset();
    loop_.stop();
  });
  thread_.join();
}

void FakeApi::on(const std::string& request, Answer answer) {
  const std::lock_guard lock(mutex_);
  answers_[request] = std::move(answer);
}

void FakeApi::on(const std::string& request, const std::string& body, int status) {
  on(request, [body, status](const net::Request&, std::shared_ptr<net::Reply> reply) {
    reply->send({.status = status, .content_type = "application/json", .body = body, .headers = {}});
  });
}

void FakeApi::refuse(const std::string& request, int status, const std::string& code, const std::string& field,
                     const std::string& message, const std::string& remedy) {
  on(request, protocol::to_json(protocol::ErrorReply{code, field, message, remedy, "r1"}), status);
}

std::vector<net::Request> FakeApi::requests() {
  const std::lock_guard lock(mutex_);
  return requests_;
}

Ran run(const std::vector<std::string>& words, std::map<std::string, std::string> environment, Terminal terminal) {
  std::ostringstream out, err;
  Ran ran;
  ran.code = run_command_line(
      words, std::move(environment), out, err, [terminal](ColourMode) { return terminal; }, [] { return fixed_now; });
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

Ran run(FakeApi& api, const std::vector<std::string>& words, Terminal terminal) {
  return run(words, {{"ULTRA_HOME", api.home()}, {"PATH", "/usr/bin"}, {"SECRET_TOKEN", "hush"}}, terminal);
}

namespace {
protocol::JobView any_job(std::int64_t id, JobState state) {
  protocol::JobView view;
  view.details.job = {id};
  view.details.state = state;
  view.details.spec.name = "train";
  view.details.spec.account = "vision";
  view.details.spec.partition = "main";
  view.details.spec.qos = "normal";
  view.details.spec.resources = {16, 0, 0};
  view.details.spec.time_limit_ms = hours(2);
  view.details.spec.command = {"python3", "train.py", "--note", "it's fine"};
  view.details.spec.working_directory = "/home/ada";
  view.details.owner = {1000, "ada", "socket"};
  view.details.submitted_ms = fixed_now - minutes(10);
  view.details.environment_names = {"PATH", "SECRET_TOKEN"};
  view.gpus = 16;
  return view;
}

Attempt attempt_on_two_nodes() {
  Attempt attempt;
  attempt.decided_ms = fixed_now - minutes(6);
  attempt.allocation = {{"node01", {0, 1, 2, 3, 4, 5, 6, 7}}, {"node02", {0, 1, 2, 3, 4, 5, 6, 7}}};
  attempt.started_ms = fixed_now - minutes(5);
  return attempt;
}
}  // namespace

protocol::JobView queued_job() {
  protocol::JobView view = any_job(12, JobState::queued);
  PlannedJob planned;
  planned.job = {12};
  planned.position = 1;
  planned.start_ms = fixed_now + minutes(14);
  planned.end_ms = fixed_now + minutes(134);
  planned.allocation = {{"node01", {0}}, {"node02", {0}}};
  view.planned = planned;
  view.why = "Waits for 16 GPUs; 8 are free. Expected to start at 22:27 UTC (in 14m) when job 9 (big, vision) ends.";
  return view;
}

protocol::JobView running_job() {
  protocol::JobView view = any_job(9, JobState::running);
  view.details.attempts = {attempt_on_two_nodes()};
  view.progress = protocol::ProgressView{420, 2.5, 1234.5, 99000, "training"};
  view.pids = {{"node01", {101, 102}}};
  return view;
}

protocol::JobView failed_job() {
  protocol::JobView view = any_job(7, JobState::failed);
  Attempt attempt = attempt_on_two_nodes();
  attempt.ended_ms = fixed_now - minutes(1);
  attempt.outcome = Outcome::failed;
  Failure failure;
  failure.rank = 3;
  failure.node = "node01";
  failure.signal = 9;
  failure.last_lines = {"step 41", "Killed\033[2J"};
  attempt.failure = failure;
  Gang gang;
  RankResult rank;
  rank.rank = 3;
  rank.node = "node01";
  rank.signal = 9;
  rank.peak_memory_bytes = 3 << 20;
  rank.cpu_time_ms = seconds(42);
  rank.device_utilization_permille = 375;
  rank.collective_count = 120;
  rank.collective_bytes = 4096;
  gang.ranks = {rank};
  attempt.gangs = {gang};
  view.details.attempts = {attempt};
  view.details.ended_ms = fixed_now - minutes(1);
  view.exit_code = 137;
  return view;
}

protocol::JobView completed_job() {
  protocol::JobView view = any_job(5, JobState::completed);
  Attempt attempt = attempt_on_two_nodes();
  attempt.ended_ms = fixed_now - minutes(1);
  attempt.outcome = Outcome::succeeded;
  view.details.attempts = {attempt};
  view.details.ended_ms = fixed_now - minutes(1);
  view.exit_code = 0;
  return view;
}

std::string json_of(const protocol::JobView& view) { return protocol::to_json(view); }
std::string json_of(const protocol::JobList& list) { return protocol::to_json(list); }
std::string json_of(const protocol::NodeList& list) { return protocol::to_json(list); }
std::string log_line(std::int64_t rank, const std::string& stream, const std::string& text) {
  return protocol::to_json(protocol::LogLine{rank, stream, net::to_base64(text), ""}) + "\n";
}

}  // namespace ultramarine::cli::test
