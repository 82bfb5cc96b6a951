// What limits leave to a job: whose limits concern it, which of them no time can help it with, and from when on the others have room for all of
// its stay. The one idea: what is taken of a limit is a step function of time, filled like the calendar of devices - by what runs, then by
// queued jobs in their order - so no hard cap is exceeded at any planned instant, and nobody below moves a start above.
// Knows accounts, users, QOS and partitions; knows nothing of nodes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "scheduler/core/timeline.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// The account and those above it, itself first; empty when there is none of that name. A tree is checked when it is read; one with a ring in it
/// ends after as many steps as there are accounts.
std::vector<const AccountConfig*> account_and_above(const ClusterConfig& cluster, const std::string& name);

/// GPU-milliseconds held in the period by what has ended: of one account alone, QOS or partition, by one user or ("") by all.
std::int64_t held_in_period(const Period& period, LimitScope scope, const std::string& of, const std::string& user);

/// Somebody who has limits: an account (with all accounts under it), a QOS, a partition, or one user in one of these.
struct Subject {
  LimitScope scope = LimitScope::account;
  std::string name;    // as in LimitReached
  Limits limits;
  std::string of;      // the account, QOS or partition itself, also when the subject is a user in it
  LimitScope of_scope = LimitScope::account;
  std::string user;    // "" = all users
};

/// "account lab-a", "user alice in QOS urgent", "partition main"
std::string subject_in_words(const LimitReached& limit);

/// Whose limits there are, and which concern whom. Numbers of subjects stay the same for as long as the table lives.
class LimitTable {
 public:
  explicit LimitTable(const State& state);

  bool empty() const { return empty_; }            // no limit at all is configured
  bool has_shares() const { return has_shares_; }  // there is a floor or a soft cap
  bool counts_months() const { return counts_months_; }  // there is a limit per month, and the month is known
  /// The subjects whose limits concern a job of this user, from the account upwards to its root, then QOS and partition. O(log) when known.
  const std::vector<std::size_t>& of(const JobSpec& spec, const std::string& user);
  const Subject& subject(std::size_t number) const { return subjects_[number]; }

  /// A limit that the request exceeds by itself, whatever others hold: then it can't start until the limit is changed. `gpus`: that it holds
  /// in all; `stay`: how long at most. (`used` of the answer is what the request asks for.)
  std::optional<LimitReached> exceeded(const JobSpec& spec, const std::string& user, std::int64_t gpus, Duration stay);

 private:
  void add(std::vector<std::size_t>& numbers, LimitScope scope, const std::string& of, const std::string& user, const Limits& limits);

  const State& state_;
  bool empty_ = true, has_shares_ = false, counts_months_ = false;
  std::vector<Subject> subjects_;
  std::map<std::tuple<LimitScope, std::string, std::string>, std::size_t> numbers_;  // of_scope, of, user -> subject
  std::map<std::tuple<std::string, std::string, std::string, std::string>, std::vector<std::size_t>, std::less<>> known_;  // account, user, QOS, partition
};

/// How much is taken, from when on.
class StepFunction {
 public:
  /// `amount` more in [start, end). O(steps).
  void add(Time start, Time end, std::int64_t amount);
  /// The earliest time at or after `from` from which `amount` more stays within `most` for all of `length`. `amount` must not be more than `most`.
  Time earliest(std::int64_t amount, std::int64_t most, Time from, Duration length) const;
  /// What is taken just before `time`.
  std::int64_t before(Time time) const;

 private:
  struct Step {
    Time from;
    std::int64_t taken;
  };
  std::vector<Step> steps_{{Time{std::numeric_limits<std::int64_t>::min()}, 0}};  // ascending; neighbours differ
};

/// What is taken of every limit over time, by running attempts and by planned jobs.
/// Of GPU-hours per month, a stay needs room for all of it in the month in which it begins, and for what reaches beyond in the months after:
/// then a planned start stays where it is while time passes. Months after the current one are taken to be 31 days long. Without a period
/// (state.period) there is no limit per month.
class LimitCalendar {
 public:
  LimitCalendar(const State& state, Time now) : state_(state), now_(now), table_(state) {}

  struct Room {
    Time at;
    std::optional<LimitReached> limit;  // why not before; absent: it was so at the time asked for
    std::vector<JobId> ends;            // of these the end makes room; at most 5
  };

  bool empty() const { return table_.empty(); }  // no limit at all is configured
  /// See LimitTable.
  std::optional<LimitReached> exceeded(const Job& job, std::int64_t gpus, Duration stay);
  /// The earliest time at or after `from` when all limits have room for `gpus` for all of `stay`. The job must not be `exceeded`.
  Room earliest(const Job& job, std::int64_t gpus, Time from, Duration stay);
  /// The job holds so many GPUs in [start, end); `start` of a running attempt is in the past.
  void take(const Job& job, std::int64_t gpus, Time start, Time end);

 private:
  struct Account {
    StepFunction gpus, jobs;
    KnownBounds gpus_bounds, jobs_bounds;
    std::map<std::int64_t, std::int64_t> gpu_ms;  // month from the current one (0) -> held or to be held in it
    std::set<std::pair<Time, JobId>> ends;
  };

  Account& account(std::size_t subject);
  bool counts_months() const { return table_.counts_months(); }
  std::int64_t month_of(Time time) const;
  Time month_start(std::int64_t month) const;
  Time earliest_month(const Account& account, std::int64_t most_gpu_ms, std::int64_t gpus, Time from, Duration stay) const;
  Time earliest_step(const StepFunction& steps, KnownBounds& bounds, std::int64_t amount, std::int64_t most, Time from, Duration stay) const;

  const State& state_;
  const Time now_;
  LimitTable table_;
  std::vector<Account> accounts_;  // by the number of the subject
};

/// Which place its share gives a job: those within a floor come first, then all others, then those that would borrow beyond a soft cap.
enum class ShareClass { floor, normal, borrower };

struct Share {
  ShareClass share = ShareClass::normal;
  std::optional<LimitReached> soft_cap;  // beyond which a borrower would go
};

/// The shares of jobs, running ones among the queued, that stand in the policy's order. Each counts for those behind it alone, whether it runs or
/// waits: so to start a job ahead of others changes nothing for them. Empty: there are no floors and soft caps.
std::vector<Share> shares_of(const State& state, const std::vector<const Job*>& in_order);

/// GPUs that a request may hold in all: those of whole nodes, the largest that it may use, if it is exclusive.
std::int64_t gpus_at_most(const JobSpec& spec, const Shape& shape, std::int64_t largest_node);
/// GPUs that an attempt holds.
std::int64_t gpus_of(const Allocation& allocation);

// ---- called by apply alone
/// Counts an ended attempt in what was held in the current period, as far as it lies in it.
void charge_period(Period& period, const Job& job, const Attempt& attempt);
/// A new period, and what was held in it already.
void start_period(State& state, Time start, Time end);

}  // namespace ultramarine::core
