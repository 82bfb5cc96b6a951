// Submit, list, show, wait, cancel, requeue.
#include <algorithm>

#include "scheduler/api/api.h"
#include "scheduler/api/handlers.h"
#include "scheduler/api/views.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

namespace {

constexpr std::int64_t wait_ms_max = 60'000;

void check_text(const std::string& field, const std::string& text) {
  if (text.find('\0') != std::string::npos) throw bad_request(field, "holds a zero byte", "no argument, path or variable can hold one");
}

/// What a single field can tell; the rest (does it fit, may this account) is the core's to judge.
void check(const protocol::SubmitRequest& request) {
  if (protocol::to_json(request.spec).size() > spec_bytes_max)
    throw Problem{413, "bad_request", "spec", "is larger than 256 KiB", "put long arguments into a file"};
  std::size_t bytes = 0;
  for (const auto& [name, value] : request.environment) {
    if (name.empty() || name.find('=') != std::string::npos) throw bad_request("environment", "\"" + name + "\" is no name of a variable");
    check_text("environment." + name, name);
    check_text("environment." + name, value);
    bytes += name.size() + value.size() + 2;
  }
  if (bytes > environment_bytes_max)
    throw Problem{413, "bad_request", "environment", "is larger than 1 MiB", "export fewer variables: --export NAME,NAME or --export NONE"};
  if (request.request_key.size() > 128) throw bad_request("request_key", "is longer than 128 bytes");
  if (request.spec.command.empty()) throw bad_request("spec.command", "is empty", "say what to run after --");
  for (std::size_t i = 0; i < request.spec.command.size(); ++i)
    check_text("spec.command[" + std::to_string(i) + "]", request.spec.command[i]);
  check_text("spec.working_directory", request.spec.working_directory);
  if (request.spec.working_directory.empty() || request.spec.working_directory[0] != '/')
    throw bad_request("spec.working_directory", "\"" + request.spec.working_directory + "\" is not absolute",
                      "give the full path of a folder");
}

std::set<JobState> parse_states(const std::string& text) {
  std::set<JobState> states;
  std::size_t from = 0;
  while (from <= text.size()) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    const std::string word = text.substr(from, comma - from);
    JobState state{};
    if (!boost::describe::enum_from_string(word.c_str(), state)) {
      std::string words;
      boost::mp11::mp_for_each<boost::describe::describe_enumerators<JobState>>(
          [&](auto one) { words += (words.empty() ? "" : ", ") + std::string(one.name); });
      throw bad_request("state", "\"" + word + "\" is no state of a job", "states: " + words);
    }
    states.insert(state);
    from = comma + 1;
  }
  return states;
}

void answer_job(const ExchangePtr& exchange, JobId job) {
  with_job(exchange, job, [exchange](const SnapshotPtr& snapshot, const Job& found) {
    exchange->answer(job_view(*snapshot, found, exchange->caller, exchange->backend.scheduler_uid()));
  });
}

using Change = void (Backend::*)(JobId, Actor, Backend::Changed);

void change_job(const ExchangePtr& exchange, JobId job, Change change) {
  with_job(exchange, job, [exchange, change](const SnapshotPtr& snapshot, const Job& found) {
    if (!may_handle(exchange->caller, found, *snapshot->state, exchange->backend.scheduler_uid()))
      throw not_permitted("job " + std::to_string(found.job.value) + " belongs to " +
                              (found.owner.name.empty() ? "uid " + std::to_string(found.owner.uid) : found.owner.name),
                          "ask the owner or an administrator");
    (exchange->backend.*change)(found.job, exchange->caller.actor, [exchange, id = found.job](const std::optional<Problem>& problem) {
      if (problem) exchange->refuse(*problem);
      else answer_job(exchange, id);
    });
  });
}

/// A long poll: over when the job has ended or the time is up, whichever is first.
struct Wait {
  std::shared_ptr<void> watch;
  std::unique_ptr<net::Loop::Timer> timer;
  bool over = false;
};

}  // namespace

void list_jobs(const ExchangePtr& exchange) {
  const auto& query = exchange->request.query;
  JobFilter filter;
  if (const auto state = query.find("state"); state != query.end()) filter.states = parse_states(state->second);
  if (const auto user = query.find("user"); user != query.end()) filter.user = user->second;
  if (const auto account = query.find("account"); account != query.end()) filter.account = account->second;
  filter.ended_too = flag_parameter(*exchange, "all");
  if (!filter.user.empty() && !exchange->caller.identified)
    throw not_permitted("without identity no users are shown, so none can be asked for", "ask through the scheduler's Unix socket");
  exchange->backend.ask([exchange, filter](const SnapshotPtr& snapshot) {
    exchange->answer(job_list(*snapshot, filter, exchange->caller, exchange->backend.scheduler_uid()));
  });
}

void submit_job(const ExchangePtr& exchange) {
  if (const auto problem = why_not_submit(exchange->caller, exchange->backend.scheduler_uid())) throw *problem;
  auto request = decode_body<protocol::SubmitRequest>(*exchange);
  check(request);
  exchange->backend.submit({std::move(request.spec), std::move(request.environment), std::move(request.request_key)},
                           exchange->caller.actor, [exchange](const Backend::Submitted& submitted) {
                             if (const auto* problem = std::get_if<Problem>(&submitted)) exchange->refuse(*problem);
                             else exchange->answer(protocol::SubmitReply{std::get<JobId>(submitted)});
                           });
}

void show_job(const ExchangePtr& exchange, JobId job) {
  answer_job(exchange, job);
}

void wait_for_job(const ExchangePtr& exchange, JobId job) {
  const std::int64_t timeout_ms = number_parameter(*exchange, "timeout_ms").value_or(wait_ms_max);
  with_job(exchange, job, [exchange, timeout_ms](const SnapshotPtr& snapshot, const Job& found) {
    if (is_terminal(found.state) || timeout_ms == 0) {
      exchange->answer(job_view(*snapshot, found, exchange->caller, exchange->backend.scheduler_uid()));
      return;
    }
    auto wait = std::make_shared<Wait>();
    const auto finish = [exchange, wait, id = found.job] {
      if (wait->over) return;
      wait->over = true;
      // Not from inside the timer's own handler.
      exchange->backend.loop().post([wait] {
        wait->timer.reset();
        wait->watch.reset();
      });
      answer_job(exchange, id);
    };
    wait->timer = exchange->backend.loop().after(std::chrono::milliseconds(std::min(timeout_ms, wait_ms_max)), finish);
    wait->watch = exchange->backend.watch(
        found.job, [](const Job& now) { return is_terminal(now.state); }, finish);
  });
}

void cancel_job(const ExchangePtr& exchange, JobId job) { change_job(exchange, job, &Backend::cancel); }
void requeue_job(const ExchangePtr& exchange, JobId job) { change_job(exchange, job, &Backend::requeue); }

}  // namespace ultramarine::api
