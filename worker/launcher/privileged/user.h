// The user whom a job runs as, looked up by number on this node. Nothing about him comes from the wire but that number.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ultramarine::launcher {

struct SystemUser {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // all of them, as the node's own databases say
  std::string name, home, shell;
};

struct UserLookup {
  std::optional<SystemUser> user;
  std::string problem;  // one sentence when there is no such user, or none whose jobs may run
};

/// Refuses uid and gid 0, uids below `minimum_uid`, unknown and locked users. May wait for the node's user database.
UserLookup look_up_user(std::int64_t uid, std::int64_t minimum_uid);

/// Whether an account is closed, by its entry in the shadow file: its password was locked ("!" before a hash: usermod -L), or the day on which it
/// expires has come. An account without any password ("!", "*") is open: its user comes in by key. Days since 1970; -1 = never.
bool is_locked(const std::string& password, std::int64_t expires_on_day, std::int64_t today);

}  // namespace ultramarine::launcher
