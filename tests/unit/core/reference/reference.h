// A scheduler that is as simple as it can be: lists searched from end to end, and a table that says of every device, second by second,
// who has it. It shares the nouns with the real one and no code. Whole seconds; first everything that can be is tried, then the best by
// the rule is taken.
//
// Order: by arrival, or by time limit (`shortest`) and arrival; the number breaks ties.
// Nodes: those of the GPU type, among those named, with CPUs for at least one GPU's share.
// Shape: a total of GPUs is whole nodes of the largest size plus at most one smaller part; nodes x GPUs is taken as it is. Each part is on a
//   node of its own; an exclusive job has that node whole, and all of it must be free.
// Placement `best_fit`: the equal parts go to one leaf switch if one has room for all, to that which has the fewest devices left; else the one
//   with room for the most is used up first. On a leaf the nodes with the fewest devices left are first, ties by node order; then the smaller
//   part goes to the node with the fewest left. What counts as left is what jobs ahead of it left: a device that a job behind it holds
//   can't be had, but is counted.
// Placement `pack`: the equal parts go to the first nodes in node order that have room, the smaller one to the node with the fewest free.
// Backfill: none (fifo): in order, until one doesn't start; skip: those are passed over; easy (Lifka 1995): behind the first that
//   doesn't start, only who leaves it its start; easy_sjf: of these the shortest first; conservative (Mu'alem & Feitelson 2001): every job
//   gets the first second from which it fits for all of its stay.
// Trials, with conservative backfill: when everybody has his place, each job that was never tried or started, in order, may have its first minutes on as
//   many GPUs of one node as its trial may have and any node has free for all of it, on the node with the fewest; if it is over before its own start,
//   and all trials together hold no more than their share. A trial is behind everybody; its job keeps its place, from the trial's end on.
// Caps on GPUs in use: at no second of its stay may a job, with those placed before, be above one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/model/cluster.h"
#include "scheduler/model/job.h"

namespace ultramarine::core::reference {

struct Line {
  JobId job;
  std::optional<std::int64_t> start_s;  // absent: the backfill keeps no calendar for it
  Allocation allocation;
};

class Reference {
 public:
  Reference(const ClusterConfig& cluster, const PolicyConfig& policy) : cluster_(cluster), policy_(policy) {}

  /// The spec is complete.
  void submit(JobId job, const JobSpec& spec, const std::string& user, std::int64_t now_s);
  void end(JobId job);
  /// Every job that waits, in order.
  std::vector<Line> plan(std::int64_t now_s) const;
  /// The line's job starts.
  void start(const Line& line, std::int64_t now_s);
  /// Who is tried now, after those of the plan that start now have started.
  std::vector<Line> trials(std::int64_t now_s) const;
  void start_trial(const Line& line, std::int64_t now_s);
  /// It waits again.
  void end_trial(JobId job);

 private:
  struct Cap {
    std::string name;
    std::int64_t gpus = 0;
  };
  struct Known {
    JobId id;
    std::int64_t submitted_s = 0, limit_s = 0, stay_s = 0;
    std::int64_t parts = 0, devices_per_part = 0, remainder = 0;
    std::vector<std::int64_t> at_most;  // devices that each node could give it
    std::int64_t cpus_per_gpu = 0;
    bool exclusive = false;
    std::vector<Cap> caps;
    std::optional<std::int64_t> started_s;  // whole, or its trial
    bool is_in_trial = false, was_tried = false;
    std::int64_t trial_stay_s = 0, trial_gpus = 0;  // of a trial, at most
    Allocation allocation;
    std::int64_t from = 0, until = 0;  // while planning: its stay, in seconds from now
  };
  /// holder[node][device][t]: who has it t seconds from now, 0 for nobody; negative: for his trial.
  using Table = std::vector<std::vector<std::vector<std::int64_t>>>;
  struct Choice {
    std::size_t node = 0;
    std::int64_t devices = 0;
  };

  bool before(const Known& a, const Known& b) const;
  std::vector<Cap> caps_of(const JobSpec& spec, const std::string& user) const;
  std::int64_t assumed_end(const Known& job, std::int64_t now_s) const;
  static Known as_trial(Known job, std::int64_t gpus);
  std::vector<Known> queue() const;
  std::vector<Line> place_all(const std::vector<Known>& queue, std::int64_t now_s, Table& table, std::vector<Known>& placed) const;
  std::vector<Choice> choose(const Known& job, std::vector<std::int64_t> can, const std::vector<std::int64_t>& left) const;
  std::int64_t can_give(std::size_t node, const Known& job, std::int64_t free, std::int64_t start, std::int64_t length, const std::vector<Known>& placed) const;
  std::optional<Allocation> fits(const Known& job, std::int64_t start, std::int64_t length, const Table& table, const std::vector<Known>& placed) const;
  bool could_be_placed(const Known& job, const Table& table, std::int64_t at, const std::vector<Known>& placed) const;
  Table table_of_now(std::int64_t now_s, std::vector<Known>& placed) const;
  void put(Known job, const Allocation& allocation, std::int64_t from, std::int64_t until, Table& table, std::vector<Known>& placed) const;
  std::vector<Line> conservative(const std::vector<Known>& queue, std::int64_t now_s) const;
  std::vector<Line> starts_only(const std::vector<Known>& queue, std::int64_t now_s) const;

  const ClusterConfig cluster_;
  const PolicyConfig policy_;
  std::map<JobId, Known> jobs_;  // that wait or run
};

}  // namespace ultramarine::core::reference
