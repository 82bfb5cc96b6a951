#include "worker/launcher/privileged/user.h"

#include <grp.h>
#include <pwd.h>
#include <shadow.h>

#include <cerrno>
#include <chrono>

namespace ultramarine::launcher {
namespace {

constexpr std::size_t entry_bytes_max = 1 << 20;

std::vector<gid_t> groups_of(const std::string& name, gid_t gid) {
  std::vector<gid_t> groups(64);
  for (int round = 0; round < 8; ++round) {
    int count = static_cast<int>(groups.size());
    const bool fits = ::getgrouplist(name.c_str(), gid, groups.data(), &count) >= 0;
    // When they don't fit, `count` says how many there are; they may grow until the next look.
    groups.resize(static_cast<std::size_t>(count > 0 ? count : 0));
    if (fits) return groups;
  }
  return {};
}

bool account_is_locked(const std::string& name) {
  std::vector<char> buffer(4096);
  spwd entry{};
  spwd* found = nullptr;
  while (::getspnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == ERANGE && buffer.size() < entry_bytes_max)
    buffer.resize(buffer.size() * 2);
  if (found == nullptr) return false;  // kept elsewhere (LDAP): what that says is not ours to know
  const auto today = std::chrono::duration_cast<std::chrono::hours>(std::chrono::system_clock::now().time_since_epoch()).count() / 24;
  return is_locked(found->sp_pwdp != nullptr ? found->sp_pwdp : "", found->sp_expire, today);
}

}  // namespace

bool is_locked(const std::string& password, std::int64_t expires_on_day, std::int64_t today) {
  if (expires_on_day >= 0 && expires_on_day <= today) return true;
  const std::size_t hash = password.find_first_not_of('!');
  return hash != 0 && hash != std::string::npos && password[hash] != '*';
}

UserLookup look_up_user(std::int64_t uid, std::int64_t minimum_uid) {
  const std::string number = "uid " + std::to_string(uid);
  if (uid <= 0 || uid >= static_cast<std::int64_t>(static_cast<uid_t>(-1))) return {std::nullopt, number + " may not run jobs"};
  if (uid < minimum_uid) return {std::nullopt, number + " is below " + std::to_string(minimum_uid) + " ([agent] minimum_uid): users of the system run no jobs"};
  std::vector<char> buffer(4096);
  passwd entry{};
  passwd* found = nullptr;
  int problem = 0;
  while ((problem = ::getpwuid_r(static_cast<uid_t>(uid), &entry, buffer.data(), buffer.size(), &found)) == ERANGE && buffer.size() < entry_bytes_max)
    buffer.resize(buffer.size() * 2);
  if (found == nullptr) return {std::nullopt, number + " is unknown on this node: give it the same users as the scheduler's"};
  SystemUser user{.uid = found->pw_uid, .gid = found->pw_gid, .groups = {}, .name = found->pw_name, .home = found->pw_dir, .shell = found->pw_shell};
  if (user.uid != static_cast<uid_t>(uid)) return {std::nullopt, number + " is unknown on this node: its user database answers with another user"};
  if (user.gid == 0) return {std::nullopt, "user " + user.name + " has the group of root as his own, and runs no jobs"};
  if (account_is_locked(user.name)) return {std::nullopt, "the account of user " + user.name + " is locked or has expired on this node"};
  user.groups = groups_of(user.name, user.gid);
  if (user.groups.empty()) return {std::nullopt, "the groups of user " + user.name + " can't be found out on this node"};
  return {user, ""};
}

}  // namespace ultramarine::launcher
