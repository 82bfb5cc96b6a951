// The routes that end in /logs: which gang's output to read, and when. The bytes come from the agents through the backend.
#include <numeric>

#include "scheduler/api/handlers.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/views.h"
#include "scheduler/core/gangs.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

namespace {

std::string line(const protocol::LogLine& log_line) { return protocol::to_json(log_line) + "\n"; }

/// The output is worth asking for: the ranks run, ran or never will.
bool has_begun(const Job& job, std::int64_t attempt, std::int64_t gang) {
  if (attempt == 0)
    return job.state == JobState::running || job.state == JobState::stopping || job.state == JobState::unknown || is_terminal(job.state);
  const Attempt& its = job.attempts[static_cast<std::size_t>(attempt) - 1];
  const Gang* record = core::find_gang(its, gang);
  return its.ended_ms || core::is_being_stopped(job, its, gang) || (record && (record->started_ms || record->finished_ms));
}

/// What is asked for, before it is known which attempt will have it.
struct Question {
  JobId job;
  std::int64_t attempt = 0;  // 0: the newest
  std::int64_t gang = 1;
  std::optional<std::int64_t> rank;
  bool follow = false;
  Time since;
};

void stream_gang(const ExchangePtr& exchange, const std::shared_ptr<net::Stream>& stream, const Job& job, const Question& question) {
  const Attempt& attempt = question.attempt == 0 ? job.attempts.back() : job.attempts[static_cast<std::size_t>(question.attempt) - 1];
  exchange->backend.stream_output({{job.job, attempt.attempt, question.gang},
                                   core::gang_allocation(job, attempt, question.gang),
                                   core::gang_ranks(job, attempt, question.gang),
                                   question.rank,
                                   question.follow,
                                   question.since},
                                  stream);
}

void say(const std::shared_ptr<net::Stream>& stream, std::string error) {
  protocol::LogLine log_line;
  log_line.error = std::move(error);
  stream->write(line(log_line));
  stream->end();
}

/// Of a job that has not started, as far as that can be said.
std::int64_t ranks_to_come(const JobSpec& spec) {
  if (spec.script) return 1;
  if (spec.ranks > 0) return spec.ranks;
  return spec.ranks_per_node > 0 ? INT32_MAX : total_gpus(spec.resources);
}

void check_rank(const Job& job, const Question& question) {
  if (!question.rank) return;
  std::int64_t ranks = ranks_to_come(job.spec);
  if (!job.attempts.empty()) {
    const Attempt& attempt = question.attempt == 0 ? job.attempts.back() : job.attempts[static_cast<std::size_t>(question.attempt) - 1];
    const auto counts = core::gang_ranks(job, attempt, question.gang);
    ranks = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  }
  if (*question.rank < ranks) return;
  throw bad_request("rank", "job " + text_of(job) + (question.gang == 1 ? "" : " gang " + std::to_string(question.gang)) +
                                (ranks == 1 ? " has rank 0 alone" : " has ranks 0 to " + std::to_string(ranks - 1)));
}

void stream(const ExchangePtr& exchange, const Job& found, const Question& question) {
  check_rank(found, question);
  const std::string name = "job " + text_of(found);
  auto stream = exchange->start_stream("application/x-ndjson");
  if (!question.follow || has_begun(found, question.attempt, question.gang)) {
    if (found.attempts.empty()) say(stream, name + " has not started: there is no output yet");
    else stream_gang(exchange, stream, found, question);
    return;
  }
  // Follow: wait until the ranks run. The stream keeps the watch alive and drops it when the client goes.
  auto watch = std::make_shared<std::shared_ptr<void>>();
  auto gone = std::make_shared<bool>(false);
  stream->on_closed([watch, gone] {
    *gone = true;
    watch->reset();
  });
  const auto begun = [attempt = question.attempt, gang = question.gang](const Job& job) { return has_begun(job, attempt, gang); };
  *watch = exchange->backend.watch(found.job, begun, [exchange, stream, question, watch, gone, name] {
    exchange->backend.ask([exchange, stream, question, watch, gone, name](const SnapshotPtr& now) {
      watch->reset();
      if (*gone) return;
      const auto again = now->state->jobs.find(question.job);
      if (again == now->state->jobs.end() || again->second.attempts.empty())
        say(stream, name + " ended before it started: there is no output");
      else stream_gang(exchange, stream, again->second, question);
    });
  });
}

/// The parameters of the path's query, and whether the caller may read the job's output.
Question question_of(const Exchange& exchange) {
  Question question;
  question.rank = number_parameter(exchange, "rank");
  question.follow = flag_parameter(exchange, "follow");
  question.since = {number_parameter(exchange, "since_ms").value_or(0)};
  return question;
}

void check_reader(const Exchange& exchange, const Snapshot& snapshot, const Job& job) {
  if (const auto problem = why_not(Act::read_output, exchange.caller, job, *snapshot.state, exchange.backend.scheduler_uid())) throw *problem;
}

}  // namespace

void stream_job_output(const ExchangePtr& exchange, const JobName& job) {
  with_job(exchange, job, [exchange, question = question_of(*exchange)](const SnapshotPtr& snapshot, const Job& found) mutable {
    check_reader(*exchange, *snapshot, found);
    question.job = found.job;
    stream(exchange, found, question);
  });
}

void stream_gang_output(const ExchangePtr& exchange, const Target& target) {
  with_job_of_gang(exchange, target.job, [exchange, target, question = question_of(*exchange)](const SnapshotPtr& snapshot, const Job& found) mutable {
    check_reader(*exchange, *snapshot, found);
    const GangKey key = named_gang(found, target.gang).key;
    question.job = found.job;
    question.attempt = key.attempt;
    question.gang = key.gang;
    stream(exchange, found, question);
  });
}

}  // namespace ultramarine::api
