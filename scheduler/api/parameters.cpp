// Strict reading of query parameters and bodies, by what the route says.
#include <charconv>

#include "scheduler/api/routes.h"
#include "scheduler/core/arrays.h"

namespace ultramarine::api {

namespace {

std::optional<std::int64_t> whole_number(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

const std::string* value_of(const Exchange& exchange, const std::string& name) {
  const auto found = exchange.request.query.find(name);
  return found == exchange.request.query.end() ? nullptr : &found->second;
}

void check_parameter(const Parameter& parameter, const std::string& text) {
  if (parameter.kind == ParameterKind::flag && text != "0" && text != "false" && text != "1" && text != "true")
    throw bad_request(parameter.name, "expected 1 or 0, got \"" + text + "\"");
  if (parameter.kind != ParameterKind::number) return;
  const auto number = whole_number(text);
  if (!number || *number < parameter.least || *number > parameter.most)
    throw bad_request(parameter.name, "expected a whole number from " + std::to_string(parameter.least) + " to " + std::to_string(parameter.most) +
                                          ", got \"" + text + "\"");
}

/// The body must be empty or `{}`.
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

}  // namespace

void check_request(const Exchange& exchange, const Route& route) {
  for (const auto& [name, value] : exchange.request.query) {
    const Parameter* found = nullptr;
    std::string known;
    for (const Parameter& one : route.parameters) {
      if (name == one.name) found = &one;
      known += (known.empty() ? "" : ", ") + std::string(one.name);
    }
    if (!found) throw bad_request(name, "unknown parameter", known.empty() ? "this request takes none" : "known ones: " + known);
    check_parameter(*found, value);
  }
  if (!route.request.has_members) expect_no_body(exchange);
}

std::string text_parameter(const Exchange& exchange, const std::string& name) {
  const std::string* text = value_of(exchange, name);
  return text ? *text : "";
}

std::optional<std::int64_t> number_parameter(const Exchange& exchange, const std::string& name) {
  const std::string* text = value_of(exchange, name);
  return text ? whole_number(*text) : std::nullopt;
}

bool flag_parameter(const Exchange& exchange, const std::string& name) {
  const std::string* text = value_of(exchange, name);
  return text && (*text == "1" || *text == "true");
}

void change(const ExchangePtr& exchange, Backend::Choose choose, std::function<void()> then) {
  exchange->backend.change(std::move(choose), [exchange, then = std::move(then)](const std::optional<Problem>& problem) {
    if (problem) exchange->refuse(*problem);
    else then();
  });
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

void with_job_of_gang(const ExchangePtr& exchange, const JobName& name, std::function<void(const SnapshotPtr&, const Job&)> then) {
  with_jobs(exchange, name, [then = std::move(then)](const SnapshotPtr& snapshot, const NamedJobs& jobs) { then(snapshot, *jobs.front()); });
}

}  // namespace ultramarine::api
