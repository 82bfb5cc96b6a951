// Routes: which path and method leads to which handler, and through which doors.
#include "scheduler/api/api.h"

#include <algorithm>
#include <array>

#include "scheduler/api/handlers.h"

namespace ultramarine::api {

namespace {

constexpr const char* text_plain = "text/plain; charset=utf-8";
constexpr const char* overview =
    "Ultramarine scheduler without identity: /v1/cluster /v1/jobs /v1/nodes /metrics /livez /readyz (changes go through the Unix socket: "
    "see `ultra`)\n";

struct Route {
  const char* method;
  const char* path;  // ID stands for a job, N for a gang
  bool loopback;     // open to callers without identity
  bool needs_state;  // 503 until the journal has been replayed
  void (*handle)(const ExchangePtr&, const Target&, const std::string& version);
};

const std::array<Route, 20> routes{{
    {"GET", "/", true, false, [](const ExchangePtr& e, const Target&, const std::string&) { e->answer(200, overview, text_plain); }},
    {"GET", "/livez", true, false,
     [](const ExchangePtr& e, const Target&, const std::string&) {
       const bool alive = e->backend.alive();
       e->answer(alive ? 200 : 503, alive ? "alive\n" : "the daemon's thread has been at one round for more than 15 s\n", text_plain);
     }},
    {"GET", "/readyz", true, false,
     [](const ExchangePtr& e, const Target&, const std::string&) {
       const std::string problem = e->backend.why_not_ready();
       e->answer(problem.empty() ? 200 : 503, problem.empty() ? "ready\n" : problem + "\n", text_plain);
     }},
    {"GET", "/metrics", true, false,
     [](const ExchangePtr& e, const Target&, const std::string&) {
       e->backend.metrics_text([e](std::string text) { e->answer(200, std::move(text), "text/plain; version=0.0.4; charset=utf-8"); });
     }},
    {"GET", "/v1/cluster", true, true, [](const ExchangePtr& e, const Target&, const std::string& version) { show_cluster(e, version); }},
    {"GET", "/v1/nodes", true, true, [](const ExchangePtr& e, const Target&, const std::string&) { list_nodes(e); }},
    {"GET", "/v1/jobs", true, true, [](const ExchangePtr& e, const Target&, const std::string&) { list_jobs(e); }},
    {"POST", "/v1/jobs", false, true, [](const ExchangePtr& e, const Target&, const std::string&) { submit_job(e); }},
    {"GET", "/v1/jobs/ID", false, true, [](const ExchangePtr& e, const Target& at, const std::string&) { show_job(e, at.job); }},
    {"GET", "/v1/jobs/ID/wait", false, true, [](const ExchangePtr& e, const Target& at, const std::string&) { wait_for_job(e, at.job); }},
    {"POST", "/v1/jobs/ID/cancel", false, true, [](const ExchangePtr& e, const Target& at, const std::string&) { cancel_job(e, at.job); }},
    {"POST", "/v1/jobs/ID/requeue", false, true, [](const ExchangePtr& e, const Target& at, const std::string&) { requeue_job(e, at.job); }},
    {"GET", "/v1/jobs/ID/logs", false, true, [](const ExchangePtr& e, const Target& at, const std::string&) { stream_job_output(e, at.job); }},
    {"GET", "/v1/jobs/ID/events", false, true, [](const ExchangePtr& e, const Target& at, const std::string&) { show_history(e, at.job); }},
    {"POST", "/v1/jobs/ID/gangs", false, true, [](const ExchangePtr& e, const Target& at, const std::string&) { request_gang(e, at); }},
    {"GET", "/v1/jobs/ID/gangs/N/wait", false, true, [](const ExchangePtr& e, const Target& at, const std::string&) { wait_for_gang(e, at); }},
    {"GET", "/v1/jobs/ID/gangs/N/logs", false, true, [](const ExchangePtr& e, const Target& at, const std::string&) { stream_gang_output(e, at); }},
    {"POST", "/v1/jobs/ID/gangs/N/stop", false, true, [](const ExchangePtr& e, const Target& at, const std::string&) { stop_gang(e, at); }},
    {"POST", "/v1/shutdown", false, true, [](const ExchangePtr& e, const Target&, const std::string&) { shut_down(e); }},
    {"GET", "/favicon.ico", true, false, [](const ExchangePtr& e, const Target&, const std::string&) { e->answer(204, "", text_plain); }},
}};

std::vector<std::string> segments(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from < path.size();) {
    const std::size_t slash = std::min(path.find('/', from), path.size());
    if (slash > from) parts.push_back(path.substr(from, slash - from));
    from = slash + 1;
  }
  return parts;
}

/// Whether the path is the route's; throws Problem when only the job's name or the gang's number is malformed.
bool matches(const Route& route, const std::vector<std::string>& path, Target& target) {
  const std::vector<std::string> pattern = segments(route.path);
  if (pattern.size() != path.size()) return false;
  std::optional<Problem> malformed;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (pattern[i] == "ID") {
      if (const auto parsed = parse_job_name(path[i])) target.job = *parsed;
      else malformed = bad_request("job", "\"" + path[i] + "\" is no number of a job", "`ultra queue --all` lists all jobs");
    } else if (pattern[i] == "N") {
      const auto parsed = parse_job_name(path[i]);
      if (parsed && !parsed->index) target.gang = parsed->job.value;
      else malformed = bad_request("gang", "\"" + path[i] + "\" is no number of a gang", "gangs are numbered from 1");
    } else if (pattern[i] != path[i]) {
      return false;
    }
  }
  if (malformed) throw *malformed;
  return true;
}

/// A web page of somebody else must not reach this address through a name that it controls (DNS rebinding).
bool names_this_host(const std::string& host) {
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  const std::string name = has_port ? host.substr(0, colon) : host;
  if (has_port &&
      !std::all_of(host.begin() + static_cast<std::ptrdiff_t>(colon) + 1, host.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return false;
  return name == "localhost" || name == "127.0.0.1" || name == "[::1]";
}

}  // namespace

Api::Api(Backend& backend, std::string version, Observer observer)
    : backend_(backend), version_(std::move(version)), observer_(std::move(observer)) {}

void Api::handle(Door door, Caller caller, net::Request request, std::shared_ptr<net::Reply> reply) {
  auto exchange = std::make_shared<Exchange>(backend_, door, std::move(caller), std::move(request), std::move(reply), observer_);
  try {
    if (door == Door::loopback && !names_this_host(exchange->request.header("host")))
      throw Problem{421, "bad_request", "Host", "this address answers only to localhost, 127.0.0.1 and [::1]", "use one of these names"};
    const std::vector<std::string> path = segments(exchange->request.path);
    std::string other_methods;
    for (const Route& route : routes) {
      Target target;
      if (!matches(route, path, target)) continue;
      if (exchange->request.method != route.method) {
        other_methods += (other_methods.empty() ? "" : " or ") + std::string(route.method);
        exchange->route = route.path;
        continue;
      }
      exchange->route = route.path;
      if (door == Door::loopback && !route.loopback)
        throw not_permitted("this address has no identity and serves only cluster, queue and metrics",
                            "ask through the scheduler's Unix socket");
      if (route.needs_state && !backend_.replayed()) throw not_ready("the scheduler is reading its journal");
      route.handle(exchange, target, version_);
      return;
    }
    if (!other_methods.empty())
      throw bad_request("", exchange->request.method.substr(0, 20) + " is not for " + exchange->route, "use " + other_methods);
    throw not_found("there is nothing at " + exchange->request.path.substr(0, 200));
  } catch (const Problem& problem) {
    exchange->refuse(problem);
  }
}

}  // namespace ultramarine::api
