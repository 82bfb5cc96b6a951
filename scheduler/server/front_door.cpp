// Identity, logging and counting around the API.
#include "scheduler/server/front_door.h"

#include <grp.h>
#include <pwd.h>
#include <spdlog/spdlog.h>

#include <vector>

namespace ultramarine::server {

namespace {

std::string group_name(gid_t group) {
  std::vector<char> buffer(16'384);
  struct group entry {};
  struct group* found = nullptr;
  if (getgrgid_r(group, &entry, buffer.data(), buffer.size(), &found) != 0 || !found) return "";
  return entry.gr_name;
}

}  // namespace

std::string user_name(std::int64_t uid) {
  std::vector<char> buffer(16'384);
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(static_cast<uid_t>(uid), &entry, buffer.data(), buffer.size(), &found) != 0 || !found) return "";
  return entry.pw_name;
}

api::Caller caller_of(const net::Peer& peer) {
  api::Caller caller;
  if (!peer.is_unix || peer.uid < 0) return caller;
  caller.identified = true;
  caller.actor = {peer.uid, user_name(peer.uid), "socket"};
  if (caller.actor.name.empty()) return caller;
  int count = 256;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (getgrouplist(caller.actor.name.c_str(), static_cast<gid_t>(peer.gid), groups.data(), &count) < 0) count = 256;
  for (int i = 0; i < count; ++i) caller.groups.push_back(group_name(groups[static_cast<std::size_t>(i)]));
  return caller;
}

FrontDoor::FrontDoor(net::Loop& loop, Daemon& daemon, const std::string& version)
    : loop_(loop), daemon_(daemon), api_(daemon, version, [&daemon](const api::Answered& answered) {
        daemon.exporter().on_request(answered.route, answered.method, answered.status, answered.seconds);
        if (answered.status == 403) daemon.exporter().on_refused("peercred");
        if (answered.status >= 500)
          spdlog::warn("request {}: {} {} {} ({})", answered.request, answered.method, answered.route, answered.status, answered.problem);
        else if (answered.status >= 400)
          spdlog::info("request {}: {} {} {} uid {} ({})", answered.request, answered.method, answered.route, answered.status, answered.uid,
                       answered.problem);
        else spdlog::debug("request {}: {} {} {} uid {}", answered.request, answered.method, answered.route, answered.status, answered.uid);
      }) {}

std::unique_ptr<net::Server> FrontDoor::listen_unix(const std::string& path) {
  net::Endpoint endpoint;
  endpoint.path = path;
  return net::listen(loop_, endpoint, [this](net::Request request, std::shared_ptr<net::Reply> reply) {
    api::Caller caller = caller_of(request.peer);
    api_.handle(api::Door::socket, std::move(caller), std::move(request), std::move(reply));
  });
}

std::unique_ptr<net::Server> FrontDoor::listen_loopback(const net::Endpoint& endpoint) {
  net::ServerOptions options;
  options.body_bytes_max = 4096;  // nothing here takes a body
  return net::listen(
      loop_, endpoint,
      [this](net::Request request, std::shared_ptr<net::Reply> reply) {
        api_.handle(api::Door::loopback, {}, std::move(request), std::move(reply));
      },
      options);
}

}  // namespace ultramarine::server
