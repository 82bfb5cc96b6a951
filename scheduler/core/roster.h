// Who waits and who runs, in the policy's order, with what is needed to place each: derived from a State and kept beside it, so that no round
// looks through all jobs that ever were. It changes no answer: a roster made anew from the same state gives the same.
// Knows the order; knows nothing of what is free when.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/core/calendar.h"
#include "scheduler/core/eligible.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/policy/policies.h"
#include "scheduler/core/shape.h"
#include "scheduler/core/timeline.h"
#include "scheduler/model/event.h"
#include "scheduler/model/state.h"

namespace ultramarine::core {

/// What jobs of one class of requests have in common.
struct ClassView {
  std::size_t number = 0;                        // from 0 on, in the order in which they were met
  std::vector<std::int64_t> configured_devices{};  // that each node could give it at most, whatever its state
  std::int64_t gpus_per_node_max = 0;
  std::vector<std::size_t> nodes{};              // that take new gangs; indices of the timeline
  std::vector<std::int64_t> devices{};           // that those could give it at most
  std::int64_t largest_node = 0;                 // devices of the largest of its nodes, whatever its state
  const std::vector<std::vector<Interval>>* closed = nullptr;  // when reservations close nodes to it
};

constexpr std::size_t behind_all = static_cast<std::size_t>(-2);

struct Kind {
  const ClassView* view = nullptr;
  Shape shape{};
};

/// A job that waits, or one that runs and would wait again if it yielded.
struct Candidate {
  const Job* job = nullptr;
  policy::OrderKey key{};
  std::size_t position = 0;         // in the order, from 0; of one that runs: how many that wait are ahead of it; of a trial `behind_all`
  const ClassView* view = nullptr;  // nullptr: its partition is gone
  Shape shape{};
  std::size_t kind = 0;             // jobs of one kind have the same class and shape
  Duration stay{};
  bool is_possible = false;         // the whole cluster can hold it
  std::int64_t gpus = 0;            // that it holds at most
  const Reservation* own = nullptr; // inside which it runs
  const std::optional<LimitReached>* soft_cap = nullptr;  // beyond which it would borrow; nullptr: none
};

/// By place, and then by number.
bool comes_first(const Candidate& a, const Candidate& b);

Needs needs_of(const JobSpec& spec);
/// A place for the job at or after `from`.
PlaceRequest request_of(const Candidate& waits, Time from);

class Roster {
 public:
  /// Of a state that stays where it is.
  explicit Roster(const State& state);

  /// The entry was applied to the state.
  void note(const Entry& entry);
  /// Brings the order up to date. To be called before anything below is asked.
  void prepare(Time now);

  const policy::Policies& policies() const { return *policies_; }
  const std::vector<const NodeConfig*>& nodes() const { return nodes_; }    // up, in node order
  const std::vector<TimelineNode>& sizes() const { return sizes_; }         // of those
  std::optional<std::size_t> index_of(std::string_view node) const;         // in those
  Closures& closures() { return *closures_; }
  std::size_t classes() const { return views_.size(); }
  const std::vector<Kind>& kinds() const { return kinds_; }
  const std::vector<Candidate>& queued() const { return queued_; }          // in order; without those that wait for others; with those in a trial
  bool is_ordered_by_key() const { return shares_.empty() && !is_reordered_; }  // else shares of accounts or own turns have moved jobs, too
  const std::vector<Candidate>& running() const { return running_; }
  std::vector<Candidate> dependent();                                       // queued, and they wait for others; in order, without positions
  std::vector<JobId> impossible(Time now) const;                            // queued, and they can't run any more
  bool looks_beyond_devices() const { return !beyond_devices_.empty(); }    // CPUs, memory or own paces among the queued
  bool has_trials() const { return has_trials_; }                           // some of the queued are in a trial
  bool has_own_paces() const { return !own_paces_.empty(); }                // limited arrays, begin times or deadlines among the queued
  /// Of a job that is neither; without a position.
  Candidate candidate(const Job& job);

  // ---- these need no preparing
  const std::map<JobId, const Job*>& jobs_queued() const { return by_state_[0]; }
  const std::map<JobId, const Job*>& jobs_held() const { return by_state_[1]; }
  const std::map<JobId, const Job*>& jobs_active() const { return by_state_[2]; }
  bool is_held(const std::string& node, std::int64_t device) const;
  /// When time alone may change what can be done with a queued job, or its place.
  std::optional<Time> next_date(Time now) const;

 private:
  void note_job(JobId id);
  void note_all_jobs();
  void hold(const Job& job, bool held);
  void note_dependencies();
  void look_at_nodes();
  ClassView* view_of(const JobSpec& spec);
  const ClassView* chosen_view(const Job& job);
  const Job* in_line(JobId id) const;
  bool keeps_places_of_trials() const;
  void order_all();
  void order_changed();
  std::size_t forget(JobId id);
  void note_candidate(const Candidate& waits);

  const State& state_;
  std::map<JobId, const Job*> by_state_[3];            // queued, held, active
  std::map<std::string, std::vector<bool>> held_;      // node -> device
  std::vector<JobId> awaiting_;                        // as in the state when last looked at
  std::vector<JobId> changed_;                         // since the last prepare
  bool nodes_changed_ = true, order_changed_ = true, is_reordered_ = false;
  bool is_prepared_ = false;                           // for now_; unless something has changed since

  std::optional<policy::Policies> policies_;
  std::optional<Time> order_changes_at_;
  std::vector<const NodeConfig*> nodes_;
  std::vector<TimelineNode> sizes_;
  std::map<std::string_view, std::size_t> node_index_;
  std::map<RequestClass, ClassView, ByRequestClass> views_;
  std::vector<Kind> kinds_;                            // the first is nobody's: of jobs without a class
  std::map<std::pair<std::size_t, Shape>, std::size_t> kind_of_;  // number of the class, shape
  std::vector<Candidate> queued_, running_;
  std::map<JobId, policy::OrderKey> keys_;             // of the queued
  std::set<JobId> impossible_, own_paces_, beyond_devices_;  // of all that are queued
  std::set<JobId> dated_;                              // those of them with begin times or deadlines
  std::optional<Closures> closures_;
  std::optional<Time> closures_until_;                 // when the next reservation is over
  std::optional<Time> boosts_until_;                   // when the next boost of one that is queued is over
  bool has_trials_ = false;
  bool has_shares_ = false;                            // floors and soft caps depend on who runs
  std::vector<Share> shares_;
  Time now_;
};

}  // namespace ultramarine::core
