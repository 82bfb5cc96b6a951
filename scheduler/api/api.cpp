// From path and method to a route and its handler, through the doors that it is open at.
#include "scheduler/api/api.h"

#include <algorithm>

#include "scheduler/api/routes.h"

namespace ultramarine::api {

namespace {

std::vector<std::string> segments(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from < path.size();) {
    const std::size_t slash = std::min(path.find('/', from), path.size());
    if (slash > from) parts.push_back(path.substr(from, slash - from));
    from = slash + 1;
  }
  return parts;
}

/// Whether the path is the route's; throws Problem when only the job's name or the gang's number is malformed (`path_is_known`: a route of
/// another method has this very path, so it is none).
bool matches(const Route& route, const std::vector<std::string>& path, Target& target, bool path_is_known) {
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
      else malformed = bad_request("gang", "\"" + path[i] + "\" is no number of a gang", "they count from 1");
    } else if (pattern[i] != path[i]) {
      return false;
    }
  }
  if (malformed && path_is_known) return false;
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
    for (const Route& route : routes()) {
      Call call{{}, version_};
      if (!matches(route, path, call, !other_methods.empty())) continue;
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
      check_request(*exchange, route);
      route.handle(exchange, call);
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
