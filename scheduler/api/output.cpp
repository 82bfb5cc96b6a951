// GET /v1/jobs/ID/logs: which gang's output to read, and when. The bytes come from the agents through the backend.
#include "scheduler/api/handlers.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

namespace {

std::string line(const protocol::LogLine& log_line) { return protocol::to_json(log_line) + "\n"; }

/// The newest attempt's output is worth asking for: its ranks run, ran or never will.
bool has_begun(const Job& job) {
  return job.state == JobState::running || job.state == JobState::stopping || job.state == JobState::unknown || is_terminal(job.state);
}

void stream_newest_attempt(const ExchangePtr& exchange, const std::shared_ptr<net::Stream>& stream, const Job& job,
                           std::optional<std::int64_t> rank, bool follow) {
  const Attempt& attempt = job.attempts.back();
  OutputQuestion question{{job.job, attempt.attempt, 1}, attempt.allocation, rank, follow};
  exchange->backend.stream_output(std::move(question), stream);
}

void say(const std::shared_ptr<net::Stream>& stream, std::string error) {
  protocol::LogLine log_line;
  log_line.error = std::move(error);
  stream->write(line(log_line));
  stream->end();
}

}  // namespace

void stream_job_output(const ExchangePtr& exchange, JobId job) {
  const auto rank = number_parameter(*exchange, "rank");
  const bool follow = flag_parameter(*exchange, "follow");
  with_job(exchange, job, [exchange, rank, follow](const SnapshotPtr& snapshot, const Job& found) {
    if (!may_handle(exchange->caller, found, *snapshot->state, exchange->backend.scheduler_uid()))
      throw not_permitted("the output of job " + std::to_string(found.job.value) + " is for its owner and administrators");
    const std::int64_t ranks = total_gpus(found.spec.resources);
    if (rank && *rank >= ranks)
      throw bad_request("rank", "job " + std::to_string(found.job.value) + " has ranks 0 to " + std::to_string(ranks - 1));
    const std::string name = "job " + std::to_string(found.job.value);
    auto stream = exchange->start_stream("application/x-ndjson");
    if (!follow || has_begun(found)) {
      if (found.attempts.empty()) say(stream, name + " has not started: there is no output yet");
      else stream_newest_attempt(exchange, stream, found, rank, follow);
      return;
    }
    // Follow: wait until the ranks run. The stream keeps the watch alive and drops it when the client goes.
    auto watch = std::make_shared<std::shared_ptr<void>>();
    auto gone = std::make_shared<bool>(false);
    stream->on_closed([watch, gone] {
      *gone = true;
      watch->reset();
    });
    *watch = exchange->backend.watch(found.job, has_begun, [exchange, stream, rank, watch, gone, id = found.job, name] {
      exchange->backend.ask([exchange, stream, rank, watch, gone, id, name](const SnapshotPtr& now) {
        watch->reset();
        if (*gone) return;
        const auto again = now->state->jobs.find(id);
        if (again == now->state->jobs.end() || again->second.attempts.empty())
          say(stream, name + " ended before it started: there is no output");
        else stream_newest_attempt(exchange, stream, again->second, rank, true);
      });
    });
  });
}

}  // namespace ultramarine::api
