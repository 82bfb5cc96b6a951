// The handlers behind the routes (inside of this room only).
#pragma once

#include <chrono>

#include "scheduler/api/exchange.h"
#include "scheduler/api/job_name.h"
#include "scheduler/model/job.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/planning_messages.h"

namespace ultramarine::api {

/// What a path names.
struct Target {
  JobName job;
  std::int64_t gang = 0;
};

// ---- jobs.cpp
void list_jobs(const ExchangePtr& exchange);
void show_job(const ExchangePtr& exchange, const JobName& job);
void wait_for_job(const ExchangePtr& exchange, const JobName& job);
void cancel_job(const ExchangePtr& exchange, const JobName& job);
void requeue_job(const ExchangePtr& exchange, const JobName& job);
/// The view of what the name means, as it is now.
void answer_jobs(const ExchangePtr& exchange, const JobName& name);
// ---- hold.cpp
void hold_job(const ExchangePtr& exchange, const JobName& job);
void release_job(const ExchangePtr& exchange, const JobName& job);
// ---- reorder.cpp
void reorder_jobs(const ExchangePtr& exchange);
// ---- why.cpp
void explain_job(const ExchangePtr& exchange, const JobName& job);
void edit_job(const ExchangePtr& exchange, const JobName& job);
// ---- whatif.cpp
void ask_what_if(const ExchangePtr& exchange);
// ---- favours.cpp
void ask_favour(const ExchangePtr& exchange);
/// What the request comes to, with its bill ahead of it: granted without a token when it delays nobody, else refused with where to ask for the bill.
/// For changes by hand of others' jobs. Daemon's thread.
std::vector<Event> billed(const core::Scheduler& scheduler, Time now, const protocol::FavourRequest& request, const Caller& caller, std::int64_t scheduler_uid);
// ---- history.cpp
void show_history(const ExchangePtr& exchange, const JobName& job);
void show_past(const ExchangePtr& exchange);
void show_progress(const ExchangePtr& exchange, const JobName& job);
// ---- submit.cpp
void submit_job(const ExchangePtr& exchange);
/// What a single field can tell; the rest (does it fit, may this account) is the core's to judge. Throws Problem.
void check_submission(const protocol::SubmitRequest& request);
/// Throws Problem: a name that is none, a zero byte, more than 1 MiB in all.
void check_environment(const std::map<std::string, std::string>& environment);
/// Throws Problem when the text holds a zero byte.
void check_text(const std::string& field, const std::string& text);
/// Why somebody did something, for people: one line of at most 1,000 bytes. Throws Problem.
void check_reason(const std::string& reason);
// ---- check.cpp
void check_job(const ExchangePtr& exchange);
// ---- gangs.cpp
void request_gang(const ExchangePtr& exchange, const Target& target);
void wait_for_gang(const ExchangePtr& exchange, const Target& target);
void stop_gang(const ExchangePtr& exchange, const Target& target);
void type_into_gang(const ExchangePtr& exchange, const Target& target);
// ---- output.cpp
void stream_job_output(const ExchangePtr& exchange, const JobName& job);
void stream_gang_output(const ExchangePtr& exchange, const Target& target);
// ---- wait.cpp: a long poll
/// Answers by `finish` once `until` holds for the job or the time (at most 60 s) is over, whichever is first.
void wait_until(const ExchangePtr& exchange, JobId job, std::chrono::steady_clock::time_point latest, std::function<bool(const Job&)> until,
                std::function<void()> finish);
/// The end of the time that the parameter timeout_ms grants.
std::chrono::steady_clock::time_point latest_answer(const Exchange& exchange);
// ---- priorities.cpp
void list_priorities(const ExchangePtr& exchange);
void list_shares(const ExchangePtr& exchange);
// ---- report.cpp
void show_report(const ExchangePtr& exchange);
// ---- price.cpp
void show_price(const ExchangePtr& exchange, const JobName& job);
// ---- policy.cpp
void show_policy(const ExchangePtr& exchange);
// ---- prometheus.cpp
void list_prometheus_targets(const ExchangePtr& exchange);
// ---- waits.cpp
void show_waits(const ExchangePtr& exchange, const JobName& job);
void list_waits(const ExchangePtr& exchange);
// ---- cluster.cpp
void show_cluster(const ExchangePtr& exchange, const std::string& version);
void list_nodes(const ExchangePtr& exchange);
void show_caller(const ExchangePtr& exchange);
void reload(const ExchangePtr& exchange);
void shut_down(const ExchangePtr& exchange);
// ---- events.cpp
void tell_changes(const ExchangePtr& exchange);
// ---- nodes.cpp
void drain_nodes(const ExchangePtr& exchange);
void lose_nodes(const ExchangePtr& exchange);
void resume_nodes(const ExchangePtr& exchange);
/// The nodes that these names and hostlists mean, each once, in the order of `known`. Throws Problem that names the field `nodes`.
std::vector<std::string> named_nodes(const std::vector<std::string>& hostlists, const std::vector<std::string>& known);
// ---- reservations.cpp
void list_reservations(const ExchangePtr& exchange);
/// The reservation that is asked for, if it can be made. Throws Problem.
Reservation asked_reservation(const protocol::ReservationRequest& request, const State& state, Time now, const Actor& actor);
void make_reservation(const ExchangePtr& exchange);
void cancel_reservation(const ExchangePtr& exchange);

// ---- parameters.cpp
// Names and forms of query parameters, and bodies where none is taken, were checked against the table of routes before a handler runs.
/// "" when absent.
std::string text_parameter(const Exchange& exchange, const std::string& name);
/// nullopt when absent.
std::optional<std::int64_t> number_parameter(const Exchange& exchange, const std::string& name);
/// 1, true, 0, false; absent is false.
bool flag_parameter(const Exchange& exchange, const std::string& name);
/// Decodes the body strictly. Throws Problem.
template <class T>
T decode_body(const Exchange& exchange) {
  try {
    return protocol::from_json<T>(exchange.request.body, protocol::Unknown::refused);
  } catch (const protocol::DecodeError& error) {
    throw bad_request(error.path, error.problem, error.path.empty() ? "send a JSON object" : "");
  }
}

/// Records what `choose` makes of the newest state (throws Problem: refused), then calls `then`.
void change(const ExchangePtr& exchange, Backend::Choose choose, std::function<void()> then);

/// Answers with what `thought` makes, on the thread for questions, of what it holds alone; a Problem that it throws is refused.
template <class Thought>
void answer_after_thought(const ExchangePtr& exchange, Thought thought) {
  exchange->backend.think([exchange, thought = std::move(thought)] {
    try {
      exchange->backend.loop().post([exchange, reply = thought()] { exchange->answer(reply); });
    } catch (const Problem& problem) {
      exchange->backend.loop().post([exchange, problem] { exchange->refuse(problem); });
    }
  });
}

/// Asks for a snapshot and hands the jobs in it that the name means to `then`: one, or all elements of an array. Refuses when there is none;
/// what `then` throws (Problem) is refused too.
using NamedJobs = std::vector<const Job*>;
void with_jobs(const ExchangePtr& exchange, const JobName& name, std::function<void(const SnapshotPtr&, const NamedJobs&)> then);
/// The same where only one job can be meant.
void with_job(const ExchangePtr& exchange, const JobName& name, std::function<void(const SnapshotPtr&, const Job&)> then);
/// The same for what only one job can have, its gangs: the number of an array's first element, as its script knows it, means that element.
void with_job_of_gang(const ExchangePtr& exchange, const JobName& name, std::function<void(const SnapshotPtr&, const Job&)> then);

}  // namespace ultramarine::api
