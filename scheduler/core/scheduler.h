// The scheduler's brain, pure: state changes only in `apply`, choices are made only in `plan` and `decide`. No clock, no I/O, no
// threads, no random numbers, no logging. Four drivers run it: the daemon, the simulator, what-if questions, fault tests.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "scheduler/model/event.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// Why a request can't be accepted: the field that is wrong, what is wrong with it, what to do.
/// `impossible`: well formed, but this cluster can never run it.
struct Refusal {
  std::string field, problem, remedy;
  bool impossible = false;
};

/// A complete request. `warnings`: one sentence each, for people.
struct Accepted {
  JobSpec spec;
  std::vector<std::string> warnings;
};

class Scheduler {
 public:
  Scheduler();
  explicit Scheduler(State state);  // from a snapshot
  Scheduler(const Scheduler& other);
  Scheduler(Scheduler&& other) noexcept;
  Scheduler& operator=(Scheduler other) noexcept;
  ~Scheduler();

  /// The only way state changes. `ensure`s that the entry is legal in this state (check first with the questions below);
  /// reports of ended or older attempts must be filtered out by `is_current`.
  void apply(Time now, const Entry& entry);

  /// Start, nodes and end for every queued job, with reasons. O(queued jobs x points in the timeline x nodes).
  /// The planned start of a job never depends on jobs below it in the order.
  /// Source: conservative backfill, Mu'alem & Feitelson 2001; our profile is per device, not one processor count.
  Plan plan(Time now) const;

  /// When a queued job would start if it were each of these instead: copies of it that ask for something else. nullopt: it would have no planned
  /// start. One pass over the queue. Only where the policy plans everybody (see planning_copy).
  std::vector<std::optional<Time>> probe(Time now, JobId job, const std::vector<Job>& variants) const;

  /// What the plan says must happen now: the jobs whose planned start is `now`, and rejections. Empty: nothing to do.
  std::vector<Decision> decide(Time now) const;

  /// When `decide` could next choose something without a new event; nullopt: only an event can change the answer.
  std::optional<Time> next_wakeup(Time now) const;

  const State& state() const;
  /// 128 bits in hex over all of the state in canonical order. The same journal gives the same hash on any compiler.
  std::string state_hash() const;
  std::string policy_hash() const;
  /// Of what a state is made of in this program: another program's state hash can be compared only when this is the same.
  static std::string state_shape();

  // ---- questions that requests need answered before they become events
  /// Fills in defaults (account, partition, qos, time limit, name) and our names for those of other sites; or says why the request can't be
  /// accepted. `now`: what a deadline and the end of a reservation are measured against; left out, they are still to come.
  std::variant<Accepted, Refusal> accept(JobSpec spec, const Actor& actor, Time now = {}) const;
  bool is_current(JobId job, std::int64_t attempt) const;  // that attempt exists, is the newest and has not ended

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;  // the state, and what is derived from it. The questions above may only be asked by one thread at a time.
};

/// The version of planning: raised when the same state may lead to other decisions. Recorded in every round.
constexpr std::int64_t planner_version = 5;

/// Sums that hold in every reachable state: no device held twice, held + free = total, a gang whole or absent, terminal
/// states keep nothing ... Returns one sentence per violation; empty = all hold.
std::vector<std::string> check_invariants(const State& state);

}  // namespace ultramarine::core
