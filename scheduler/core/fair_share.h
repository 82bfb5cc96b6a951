// Fair-share: what each user has used, and by that who is next among users. Fair Tree (Cox & Morrison, Slurm 14.11): users are ranked by walking
// the tree of accounts, at each level those first that used least for their shares, so that no user of an account that is ahead comes after
// one of an account that is behind.
// Everything is taken at the last tick of the priorities, and stays as it is until the next: whoever submits his first job in between is ranked
// beside those who were there at the tick, and moves none of them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/model/priority.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// The last tick at or before `now`: a multiple of the policy's priority_interval.
Time priority_tick(const PolicyConfig& policy, Time now);

/// Whom usage is charged to: his name, or "uid 1234" when the system has none for him.
std::string user_name(const Actor& owner);

/// The jobs of a state that hold devices.
using ActiveJobs = std::map<JobId, const Job*>;

/// It looks into the state that it was made from, and must not outlive it.
class FairShare {
 public:
  /// O(users of the tree x log + all jobs that ever were).
  FairShare(const State& state, Time now);
  /// For whoever knows the state's active jobs. O(users of the tree x log + active jobs).
  FairShare(const State& state, Time now, const ActiveJobs& active);

  /// The factor of a user's jobs, of factor_one: his place from behind / the number of users. 0 when the account is not in the tree.
  std::int64_t factor(std::string_view account, std::string_view user) const;

  /// The whole tree, root first, each account before what is under it, users by name.
  std::vector<AccountShare> shares() const;

 private:
  struct Member {
    std::string_view name;
    std::int64_t usage = 0;          // at the tick
    std::int64_t running_gpu_ms = 0;
    bool after_tick = false;         // his first job came later: nobody else's rank knows of him
    std::int64_t rank = 0;           // from the number of users downwards
  };
  struct Account {
    std::string_view name;
    const AccountConfig* config = nullptr;  // of root: none
    std::size_t parent = 0;
    std::int64_t depth = 0;
    std::vector<std::size_t> accounts;      // right under it
    std::vector<Member> members;            // by name
    std::int64_t shares = 0;
    std::int64_t shares_inside = 0;         // of its accounts and members
    std::int64_t usage = 0;                 // of all under it
    std::int64_t running_gpu_ms = 0;
    std::int64_t users = 0;                 // under it that are ranked
    std::int64_t factor_of_newcomer = 0;    // when it has one
  };

  void build_tree(const State& state);
  void add_members(const State& state, Time now, const ActiveJobs& active);
  void sum_up(std::size_t account);
  void rank_all();
  void rank_newcomers();
  /// `tied`: the first that is met has the rank of the user before.
  void rank(const std::vector<std::size_t>& accounts, bool tied, std::int64_t& last, std::int64_t& next);
  struct Place {
    std::size_t account = 0, member = 0;
  };
  std::optional<Place> find(std::string_view account, std::string_view user) const;
  void list(std::size_t account, std::vector<AccountShare>& rows) const;

  std::vector<Account> tree_;  // [0] is root
  std::map<std::string_view, std::size_t> by_name_;
};

// ---- called by apply alone
/// From now on its owner is one of the users of its account.
void note_submission(State& state, Time now, const Job& job);
/// Charges the job's last attempt, which ends now, to its owner: devices x time held x the factor of its QOS.
void charge_ended_attempt(State& state, Time now, const Job& job);

}  // namespace ultramarine::core
