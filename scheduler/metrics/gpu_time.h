// Where the GPU time goes, in layers that lie inside each other: allocated (somebody held it), active (the device was busy), productive (it went
// into work that survived). What was allocated to an attempt is, once the attempt has ended, either productive or lost to one cause, to the
// millisecond; what nobody held is unused for one cause. A fold over entries, samples of devices and plans; counts from when it begins.
//
// Work survives when its attempt ends well, or up to the attempt's newest checkpoint. So of a running attempt only what a checkpoint has saved is
// productive so far, and of a program that saves none everything is lost when it fails. Knows no Prometheus.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "scheduler/model/event.h"
#include "scheduler/model/gang_report.h"
#include "scheduler/model/plan.h"
#include "scheduler/model/state.h"

namespace ultramarine::metrics {

/// What allocated time was lost to.
///   startup       from the decision until the ranks ran        teardown     from the end of the ranks until the devices were free
///   preempted, cancelled, job_failure, node_failure            what was worked since the newest checkpoint, by how the attempt ended
BOOST_DEFINE_FIXED_ENUM_CLASS(LostTo, std::uint8_t, preempted, node_failure, job_failure, startup, teardown, cancelled)

/// Why nobody held a GPU.
///   no_demand      nobody waited for one of its partition
///   fragmentation  somebody did, but it didn't fit, or is kept for who is ahead
BOOST_DEFINE_FIXED_ENUM_CLASS(UnusedBy, std::uint8_t, no_demand, fragmentation, reserved, draining, down)
constexpr std::size_t unused_causes = 5;

/// A held device whose utilization stays below the share for so long is idle, from the beginning of that time on.
constexpr std::int64_t idle_below_permille = 50;
constexpr Duration idle_after = minutes(5);
/// Between two samples of a device; of what lies in a longer gap nothing is known.
constexpr Duration sample_gap_max = seconds(15);

/// Of the device, as the label `source` has it: nobody is to take virtual GPUs for real ones.
const char* source_word(DeviceSource source);

class GpuTime {
 public:
  using Where = std::pair<std::string, std::string>;  // account, partition

  /// Goes on beside a state as it is at `now`.
  void begin(Time now, const State& state);
  /// After `entry` was applied: `after` is the state with it.
  void on_entry(Time now, const Entry& entry, const State& after);
  /// Utilization of devices since they were sampled last. O(devices of the node).
  void on_devices(Time now, const std::string& node, DeviceSource source, const std::vector<DeviceReport>& devices);
  /// From the plan's time on GPUs are unused for the reasons that it shows. O(all jobs + nodes).
  void on_plan(const State& state, const Plan& plan);
  /// Charges what is unused until then. Never back: a later plan of an earlier time changes nothing before `now`.
  void settle(Time now);

  // ---- sums, in GPU-milliseconds
  const std::map<Where, std::int64_t>& productive() const { return productive_; }
  const std::map<std::pair<std::string, LostTo>, std::int64_t>& lost() const { return lost_; }  // by account
  const std::map<std::pair<std::string, DeviceSource>, std::int64_t>& idle() const { return idle_; }
  std::int64_t unused(UnusedBy cause) const { return unused_[static_cast<std::size_t>(cause)]; }
  /// In GPU-microseconds: utilization x time.
  const std::map<std::pair<Where, DeviceSource>, std::int64_t>& active() const { return active_; }

  /// Between the job's newest two checkpoints, while it runs; nullopt: it has not saved two since this began.
  std::optional<Duration> checkpoint_interval(JobId job) const;

 private:
  using Place = std::pair<std::string, std::int64_t>;  // node, device
  struct Holder {
    JobId job;
    Where where;
    Time since;
  };
  struct Sample {
    Time at;
    JobId job;                        // that held the device
    std::optional<Time> quiet_since;  // below idle_below_permille
    bool is_idle = false;             // for long enough; charged until `at`
  };
  struct Stay {
    Time credited_until;  // of the running attempt
    std::optional<Time> checkpoint;
    std::optional<Duration> interval;
  };

  void on(Time now, const Round& round, const State& after);
  void on(Time now, const CheckpointSaved& event, const State& after);
  void on(Time now, const AttemptEnded& event, const State& after);
  template <class Other>
  void on(Time, const Other&, const State&) {}
  void hold(const Job& job, const Allocation& allocation, Time since);

  std::map<Place, Holder> holders_;
  std::map<Place, Sample> samples_;
  std::map<JobId, Stay> stays_;  // of running attempts
  std::map<Where, std::int64_t> productive_;
  std::map<std::pair<std::string, LostTo>, std::int64_t> lost_;
  std::map<std::pair<std::string, DeviceSource>, std::int64_t> idle_;
  std::map<std::pair<Where, DeviceSource>, std::int64_t> active_;
  std::array<std::int64_t, unused_causes> unused_{}, unused_now_{};  // charged; GPUs since `settled_`
  std::optional<Time> settled_;
};

/// What the run of an attempt that ended so is lost to.
LostTo lost_to(const Attempt& attempt);
/// How much of a running attempt's time so far would survive a failure now: from the start of its ranks to its newest checkpoint.
Duration saved_so_far(const Job& job);

}  // namespace ultramarine::metrics
