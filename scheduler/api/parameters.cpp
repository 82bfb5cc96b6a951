// Strict reading of query parameters and bodies.
#include <charconv>

#include "scheduler/api/handlers.h"
#include "scheduler/core/arrays.h"

namespace ultramarine::api {

void allow_parameters(const Exchange& exchange, std::initializer_list<const char*> known) {
  for (const auto& [name, value] : exchange.request.query) {
    bool is_known = false;
    std::string list;
    for (const char* one : known) {
      is_known = is_known || name == one;
      list += (list.empty() ? "" : ", ") + std::string(one);
    }
    if (!is_known) throw bad_request(name, "unknown parameter", list.empty() ? "this request takes none" : "known ones: " + list);
  }
}

std::optional<std::int64_t> number_parameter(const Exchange& exchange, const std::string& name, std::int64_t least, std::int64_t most) {
  const auto found = exchange.request.query.find(name);
  if (found == exchange.request.query.end()) return std::nullopt;
  const std::string& text = found->second;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > most)
    throw bad_request(name,
                      "expected a whole number from " + std::to_string(least) + " to " + std::to_string(most) + ", got \"" + text + "\"");
  return number;
}

bool flag_parameter(const Exchange& exchange, const std::string& name) {
  const auto found = exchange.request.query.find(name);
  if (found == exchange.request.query.end() || found->second == "0" || found->second == "false") return false;
  if (found->second == "1" || found->second == "true") return true;
  throw bad_request(name, "expected 1 or 0, got \"" + found->second + "\"");
}

void expect_no_body(const Exchange& exchange) {
  if (exchange.request.body.empty()) return;
  try {
    const protocol::json::value body = protocol::parse_json(exchange.request.body);
    const auto* object = body.if_object();
    if (!object) throw bad_request("", "expected an empty object or no body");
    if (!object->empty()) throw bad_request(std::string(object->begin()->key()), "unknown field", "this request takes none");
  } catch (const protocol::DecodeError& error) {
    throw bad_request(error.path, error.problem);
  }
}

void with_jobs(const ExchangePtr& exchange, const JobName& name, std::function<void(const SnapshotPtr&, const NamedJobs&)> then) {
  exchange->backend.ask([exchange, name, then = std::move(then)](const SnapshotPtr& snapshot) {
    try {
      const NamedJobs jobs = named_jobs(*snapshot->state, name);
      if (jobs.empty()) throw unknown_job(text_of(name));
      then(snapshot, jobs);
    } catch (const Problem& problem) {
      exchange->refuse(problem);
    }
  });
}

void with_job(const ExchangePtr& exchange, const JobName& name, std::function<void(const SnapshotPtr&, const Job&)> then) {
  with_jobs(exchange, name, [then = std::move(then), name](const SnapshotPtr& snapshot, const NamedJobs& jobs) {
    const Job& job = *jobs.front();
    if (job.array && !name.index && core::names_array(job))
      throw bad_request("job", text_of(name) + " is an array of " + std::to_string(jobs.size()), "name one of its elements: " + text_of(job));
    then(snapshot, job);
  });
}

}  // namespace ultramarine::api
