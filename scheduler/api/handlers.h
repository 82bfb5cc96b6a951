// The handlers behind the routes (inside of this room only).
#pragma once

#include "scheduler/api/exchange.h"
#include "scheduler/model/job.h"

namespace ultramarine::api {

// ---- jobs.cpp
void list_jobs(const ExchangePtr& exchange);
void submit_job(const ExchangePtr& exchange);
void show_job(const ExchangePtr& exchange, JobId job);
void wait_for_job(const ExchangePtr& exchange, JobId job);
void cancel_job(const ExchangePtr& exchange, JobId job);
void requeue_job(const ExchangePtr& exchange, JobId job);
// ---- output.cpp
void stream_job_output(const ExchangePtr& exchange, JobId job);
// ---- cluster.cpp
void show_cluster(const ExchangePtr& exchange, const std::string& version);
void list_nodes(const ExchangePtr& exchange);
void shut_down(const ExchangePtr& exchange);

// ---- parameters.cpp
// Names and forms of query parameters, and bodies where none is taken, were checked against the table of routes before a handler runs.
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

/// Asks for a snapshot and hands the job in it to `then`; refuses when there is none. What `then` throws (Problem) is refused too.
void with_job(const ExchangePtr& exchange, JobId job, std::function<void(const SnapshotPtr&, const Job&)> then);

}  // namespace ultramarine::api
