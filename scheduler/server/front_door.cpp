// Identity, logging and counting around the API.
#include "scheduler/server/front_door.h"

#include <grp.h>
#include <pwd.h>
#include <spdlog/spdlog.h>

#include <optional>
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

template <class Use>
void look_up(std::int64_t uid, const Use& use) {
  std::vector<char> buffer(16'384);
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(static_cast<uid_t>(uid), &entry, buffer.data(), buffer.size(), &found) == 0 && found) use(entry);
}

std::optional<gid_t> main_group(std::int64_t uid) {
  std::optional<gid_t> group;
  look_up(uid, [&](const passwd& entry) { group = entry.pw_gid; });
  return group;
}

std::vector<std::string> groups_of(const std::string& user, gid_t main) {
  int count = 256;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (getgrouplist(user.c_str(), main, groups.data(), &count) < 0) count = 256;
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(group_name(groups[static_cast<std::size_t>(i)]));
  return names;
}

}  // namespace

std::string user_name(std::int64_t uid) {
  std::string name;
  look_up(uid, [&](const passwd& entry) { name = entry.pw_name; });
  return name;
}

api::Caller caller_of(const net::Peer& peer) {
  api::Caller caller;
  if (!peer.is_unix || peer.uid < 0) return caller;
  caller.identified = true;
  caller.actor = {peer.uid, user_name(peer.uid), "socket"};
  if (!caller.actor.name.empty()) caller.groups = groups_of(caller.actor.name, static_cast<gid_t>(peer.gid));
  return caller;
}

api::Caller relayed_caller(std::int64_t uid, const std::string& user, const std::string& node) {
  api::Caller caller;
  caller.identified = true;
  const std::string name = user_name(uid);
  caller.actor = {uid, name.empty() ? user : name, "agent:" + node};
  // Groups are ours to know: those of a user who is not known here are none.
  if (const auto group = main_group(uid)) caller.groups = groups_of(name, *group);
  return caller;
}

FrontDoor::FrontDoor(net::Loop& loop, Daemon& daemon, const std::string& version, PageFiles page)
    : loop_(loop), api_(daemon, version, [&daemon](const api::Answered& answered) {
        daemon.exporter().on_request(answered.route, answered.method, answered.status, answered.seconds);
        if (answered.status == 403) daemon.exporter().on_refused("peercred");
        if (answered.status >= 500)
          spdlog::warn("request {}: {} {} {} ({})", answered.request, answered.method, answered.route, answered.status, answered.problem);
        else if (answered.status >= 400)
          spdlog::info("request {}: {} {} {} uid {} ({})", answered.request, answered.method, answered.route, answered.status, answered.uid,
                       answered.problem);
        else spdlog::debug("request {}: {} {} {} uid {}", answered.request, answered.method, answered.route, answered.status, answered.uid);
      }),
      page_(std::move(page)) {}

std::unique_ptr<net::Server> FrontDoor::listen_unix(const std::string& path) {
  net::Endpoint endpoint;
  endpoint.path = path;
  return net::listen(loop_, endpoint, [this](net::Request request, std::shared_ptr<net::Reply> reply) {
    if (auto file = page_.answer(request)) return reply->send(std::move(*file));
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
        if (auto file = page_.answer(request)) return reply->send(std::move(*file));
        api_.handle(api::Door::loopback, {}, std::move(request), std::move(reply));
      },
      options);
}

}  // namespace ultramarine::server
