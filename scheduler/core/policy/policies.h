// The questions that a policy answers, each an interface of one function: who is next (JobOrder), may a job start ahead of the
// order (Backfill), where (Placement), who yields (Preemption). An answer is one small class in a file beside this one and one line
// in the table of policies.cpp: name -> constructor.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/shape.h"
#include "scheduler/model/cluster.h"
#include "scheduler/model/job.h"
#include "scheduler/model/state.h"

namespace ultramarine::core::policy {

/// A job's place in the order, compared from the left, smaller first; the job's number is the last tie-breaker.
using OrderKey = std::array<std::int64_t, 4>;

class JobOrder {
 public:
  virtual ~JobOrder() = default;
  /// The same for the same state and the same tick of the priorities.
  virtual OrderKey key(const Job& job) const = 0;
  /// When the place of a running job next changes by time alone so that a round should look at it; nullopt: never.
  virtual std::optional<Time> next_change(const Job&) const { return std::nullopt; }
  /// When keys of jobs may differ from now although nothing happens; nullopt: never.
  virtual std::optional<Time> changes_at() const { return std::nullopt; }
};

/// How jobs go on behind one that has to wait. Whatever the answers, planned starts ahead are never moved.
class Backfill {
 public:
  virtual ~Backfill() = default;
  /// Every job has a place in the calendar, and so a planned start. Else only the present is looked at: a job starts now or has none.
  virtual bool plans_everybody() const { return false; }
  /// No job starts before one that is ahead of it.
  virtual bool keeps_order() const { return false; }
  /// The first job that has to wait is promised the earliest time when enough will be free for it; no start may take that from it.
  virtual bool promises_first() const { return false; }
  /// Those behind the first that has to wait are tried in the order of their time limits.
  virtual bool tries_shortest_first() const { return false; }
};

/// What a node has for a job.
struct Offer {
  std::size_t node = 0;                 // in node order
  std::int64_t devices = 0;             // that the job could use: free for as long as it may run, with all else that it asks of the node
  std::int64_t left_by_jobs_ahead = 0;  // those free of them, and those that only jobs behind it in the queue's order hold
  std::size_t leaf = 0;                 // nodes with the same number share a leaf switch
};

/// A node and how many of its devices are taken.
struct NodeShare {
  std::size_t node = 0;
  std::int64_t devices = 0;
};

class Placement {
 public:
  virtual ~Placement() = default;
  /// Which nodes the parts of `shape` go to, in node order. `offers` are in node order, and the shape fits their `devices`.
  /// For a calendar nodes must be compared by `left_by_jobs_ahead` and what never changes (their order, their leaves), not by `devices`, and
  /// an offer that was not chosen must not matter: then what a job chose stays its choice when a job behind it takes other devices, so an
  /// overtaker moves nothing ahead of it, not even in space.
  virtual std::vector<NodeShare> place(const Shape& shape, const std::vector<Offer>& offers) const = 0;
};

class Preemption {
 public:
  virtual ~Preemption() = default;
  /// Running jobs stand in the order with those that wait, and yield to whoever is ahead of them.
  virtual bool ranks_running() const = 0;
};

// Constructors, defined one per file.
/// What a policy is made from: it answers for this state at this time, and for no other.
struct Context {
  const State& state;
  Time now;
  const std::map<JobId, const Job*>& active;  // the state's jobs that hold devices
};
std::unique_ptr<JobOrder> submit_time(const Context& context);
std::unique_ptr<JobOrder> shortest(const Context& context);
std::unique_ptr<JobOrder> least_remaining(const Context& context);
std::unique_ptr<JobOrder> least_remaining_gpu_time(const Context& context);
std::unique_ptr<JobOrder> least_attained(const Context& context);
std::unique_ptr<JobOrder> multifactor(const Context& context);
std::unique_ptr<Backfill> conservative_backfill(const Context& context);
std::unique_ptr<Backfill> no_backfill(const Context& context);
std::unique_ptr<Backfill> skip_backfill(const Context& context);
std::unique_ptr<Backfill> easy_backfill(const Context& context);
std::unique_ptr<Backfill> easy_sjf_backfill(const Context& context);
std::unique_ptr<Placement> best_fit(const Context& context);
std::unique_ptr<Placement> pack(const Context& context);
std::unique_ptr<Preemption> no_preemption(const Context& context);
std::unique_ptr<Preemption> preemption_by_order(const Context& context);

/// The answers that the state's policy names. A name that isn't in its table takes the first of the table, so that a journal can always be
/// replayed; `unknown_names` is how the programs refuse such a file first.
struct Policies {
  std::unique_ptr<JobOrder> order;
  std::unique_ptr<Backfill> backfill;
  std::unique_ptr<Placement> placement;
  std::unique_ptr<Preemption> preemption;
};
/// `active`: the state's jobs that hold devices.
Policies make_policies(const State& state, Time now, const std::map<JobId, const Job*>& active);

/// The names of every table, the first being what an unknown one is taken for.
struct Names {
  std::vector<std::string> orders, backfills, placements, preemptions;
};
Names names();

/// One sentence per name that no table has, with the names there are: "order: no \"fastest\"; there is submit_time, multifactor".
std::vector<std::string> unknown_names(const PolicyConfig& policy);

}  // namespace ultramarine::core::policy
