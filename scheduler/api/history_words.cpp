// One function per kind of entry; an empty sentence says nothing of the job.
#include "scheduler/api/history_words.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <string_view>

#include "scheduler/api/job_name.h"
#include "scheduler/api/phrases.h"
#include "scheduler/api/planning_words.h"
#include "scheduler/core/arrays.h"
#include "scheduler/core/fair_share.h"
#include "scheduler/core/gangs.h"
#include "scheduler/core/limits.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::api {

namespace {

/// An enumerator as words: "out of memory".
template <class Enum>
std::string in_words(Enum value) {
  std::string text = boost::describe::enum_to_string(value, "");
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

std::string who(const Actor& actor) {
  if (actor.channel == "scheduler") return "the scheduler";
  return core::user_name(actor);
}

std::string nodes_of(const Allocation& allocation) {
  std::vector<std::string> names;
  for (const NodeAllocation& part : allocation) names.push_back(part.node);
  return protocol::fold_hostlist(names);
}

/// What happened, seen by one job.
class Teller {
 public:
  Teller(const State& state, const Job& job, bool all) : state_(state), job_(job), all_(all) {}

  std::string operator()(const JobSubmitted& event) const {
    const JobSpec& spec = event.spec;
    std::string text = who(event.actor) + " submitted it: " + counted(total_gpus(spec.resources), "GPU") + " for " + protocol::format_duration(spec.time_limit_ms) +
                       ", account " + spec.account;
    if (state_.cluster.partitions.size() > 1) text += ", partition " + spec.partition;
    if (!event.array_indices.empty()) {
      text += ", as an array of " + std::to_string(event.array_indices.size());
      if (event.array_limit > 0) text += ", at most " + std::to_string(event.array_limit) + " at once";
    }
    for (const Dependency& dependency : spec.dependencies) text += ", " + condition(dependency);
    return text;
  }
  std::string operator()(const StartJob& decision) const {
    if (decision.trial_ms)
      return "has its trial at once: " + protocol::format_duration(*decision.trial_ms) + " on " + counted(core::gpus_of(decision.allocation), "GPU") + " of " + nodes_of(decision.allocation);
    std::string text = (decision.attempt > 1 ? "started again on " : "started on ") + nodes_of(decision.allocation);
    if (decision.overtaken > 0) text += " ahead of " + counted(decision.overtaken, "job") + " without delaying " + (decision.overtaken == 1 ? "it" : "them");
    else if (decision.backfilled) text += " ahead of others without delaying them";
    return text;
  }
  std::string operator()(const RejectJob& decision) const { return "was rejected" + (all_ ? ": " + decision.detail : ""); }
  std::string operator()(const JobCancelled& event) const { return who(event.actor) + " cancelled it"; }
  std::string operator()(const PreemptJob&) const { return "is stopped for a more entitled job, and queues again"; }
  std::string operator()(const JobHeld& event) const { return who(event.actor) + " held it" + (event.reason.empty() ? "" : ": " + event.reason); }
  std::string operator()(const JobReleased& event) const { return who(event.actor) + " released it"; }
  std::string operator()(const JobsReordered& event) const { return who(event.actor) + " reordered it among the own jobs"; }
  std::string operator()(const JobRequeued& event) const { return who(event.actor) + " stopped it, to queue it again"; }

  std::string operator()(const GangRequested& event) const {
    std::string text = who(event.actor) + " asked for " + gang(event.gang) + " inside it: " + ranks(event.attempt, event.gang);
    if (all_ && !event.spec.command.empty()) text += " of " + event.spec.command.front();
    return text;
  }
  std::string operator()(const GangStopRequested& event) const { return who(event.actor) + " stopped " + gang(event.gang); }
  std::string operator()(const GangStarted& event) const {
    const std::string where = " on " + nodes(event.attempt, event.gang);
    if (event.gang != 1) return gang(event.gang) + " runs: " + ranks(event.attempt, event.gang) + where;
    return job_.spec.script ? "its script runs" + where : counted(rank_count(event.attempt, 1), "rank") + (rank_count(event.attempt, 1) == 1 ? " runs" : " run") + where;
  }
  std::string operator()(const GangCutOff& event) const {
    std::string nodes;
    for (const std::string& node : event.nodes) nodes += (nodes.empty() ? "" : ", ") + node;
    const std::string text = (event.gang == 1 ? "" : gang(event.gang) + ": ") + "all of it that can be reached has stopped; " + nodes + " can't be reached";
    return event.wait_ms.ms > 0 ? text + ", what runs there ends itself within " + protocol::format_duration(event.wait_ms) : text;
  }
  std::string operator()(const GangFailed& event) const {
    const Failure& failure = event.failure;
    std::string text = event.gang == 1 ? "" : gang(event.gang) + ": ";
    if (event.corrects) text += "the cause: ";
    const Attempt* its = attempt(event.attempt);
    if (event.outcome == Outcome::timed_out && its && its->trial_ms) text += "its trial of " + protocol::format_duration(*its->trial_ms) + " was over";
    else if (event.outcome == Outcome::timed_out) text += "its time limit of " + protocol::format_duration(job_.spec.time_limit_ms) + " was over";
    else if (failure.rank < 0) text += "it failed (" + in_words(event.outcome) + ")";
    else {
      text += job_.spec.script && event.gang == 1 ? "the script" : "rank " + std::to_string(failure.rank);
      if (!failure.node.empty()) text += " on " + failure.node;
      if (event.outcome == Outcome::out_of_memory) text += " ran out of memory";
      else if (failure.signal != 0) text += " was ended by signal " + std::to_string(failure.signal);
      else text += " failed with exit code " + std::to_string(failure.exit_code);
    }
    if (all_ && !failure.detail.empty()) text += ": " + failure.detail;
    return text;
  }
  std::string operator()(const GangStalled& event) const {
    const Failure& failure = event.failure;
    std::string text = event.gang == 1 ? "" : gang(event.gang) + ": ";
    if (all_ && !failure.detail.empty()) return text + failure.detail;
    return text + (failure.rank < 0 ? "no rank gets on" : "rank " + std::to_string(failure.rank) + " on " + failure.node + " hangs");
  }
  std::string operator()(const GangWentOn& event) const { return (event.gang == 1 ? "" : gang(event.gang) + ": ") + "its ranks get on again"; }
  std::string operator()(const GangFinished& event) const {
    const std::string which = event.gang != 1 ? gang(event.gang) : job_.spec.script ? "its script" : "its ranks";
    return which + (which == "its ranks" ? " have ended: " : " has ended: ") + in_words(event.outcome);
  }
  std::string operator()(const AttemptEnded& event) const {
    const Attempt* const its = attempt(event.attempt);
    const std::string freed = its ? "; " + counted(gpus(event.attempt), "GPU") + (gpus(event.attempt) == 1 ? " is" : " are") + " free again" : "";
    if (its && its->trial_ms)
      if (const std::string text = end_of_trial(*its, event.outcome); !text.empty()) return text + freed;
    switch (event.outcome) {
      case Outcome::succeeded: return "it has completed" + freed;
      case Outcome::cancelled: return "it is cancelled" + freed;
      case Outcome::preempted: return "it is in the queue again" + freed;
      default: return "it has failed (" + in_words(event.outcome) + ")" + freed;
    }
  }
  std::string operator()(const CheckpointSaved& event) const {
    return "checkpoint of step " + std::to_string(event.step) + " saved" + (all_ && !event.path.empty() ? " at " + event.path : "");
  }
  std::string operator()(const NodeUnreachable& event) const { return event.node + " does not answer: what the job does there can't be seen"; }
  std::string operator()(const NodeJoined& event) const { return event.node + " answers again"; }
  template <class Other>
  std::string operator()(const Other&) const {
    return "";
  }

 private:
  const Attempt* attempt(std::int64_t number) const {
    return number >= 1 && number <= static_cast<std::int64_t>(job_.attempts.size()) ? &job_.attempts[static_cast<std::size_t>(number) - 1] : nullptr;
  }
  static std::string gang(std::int64_t number) { return "gang " + std::to_string(number); }
  std::int64_t rank_count(std::int64_t number, std::int64_t gang_number) const {
    const Attempt* its = attempt(number);
    if (!its) return 0;
    const auto counts = core::gang_ranks(job_, *its, gang_number);
    return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  }
  std::string ranks(std::int64_t number, std::int64_t gang_number) const { return counted(rank_count(number, gang_number), "rank"); }
  std::string nodes(std::int64_t number, std::int64_t gang_number) const {
    const Attempt* its = attempt(number);
    return its ? nodes_of(core::gang_allocation(job_, *its, gang_number)) : "";
  }
  std::int64_t gpus(std::int64_t number) const { return core::gpus_of(attempt(number)->allocation); }
  /// What there is to say of a trial's end alone.
  std::string end_of_trial(const Attempt& trial, Outcome outcome) const {
    const std::string ran = protocol::format_duration(trial.started_ms && trial.ended_ms ? *trial.ended_ms - *trial.started_ms : Duration{0});
    switch (outcome) {
      case Outcome::timed_out: return "its trial is over: it ran for " + protocol::format_duration(*trial.trial_ms) + " without failing, and waits for its turn";
      case Outcome::out_of_memory:
        return "its trial is over: it ran out of memory on " + counted(core::gpus_of(trial.allocation), "GPU") + ", which says little of " +
               counted(total_gpus(job_.spec.resources), "GPU") + ", and waits for its turn";
      case Outcome::succeeded: return "it has completed in its trial, after " + ran;
      case Outcome::failed: return "it has failed in its trial, after " + ran;
      default: return "";
    }
  }
  static std::string condition(const Dependency& dependency) {
    const std::string job = "job " + std::to_string(dependency.job.value);
    switch (dependency.condition) {
      case DependencyCondition::ok: return "to start when " + job + " has completed";
      case DependencyCondition::any: return "to start when " + job + " has ended";
      case DependencyCondition::notok: return "to start if " + job + " fails";
      case DependencyCondition::started: return "to start when " + job + " has started";
    }
    return "";
  }

  const State& state_;
  const Job& job_;
  const bool all_;
};

/// Who brought it about, as `actor` shows it.
template <class Kind>
std::string actor_of(const Kind& kind) {
  if constexpr (requires { kind.actor; }) return kind.actor.channel == "scheduler" ? "" : who(kind.actor);
  else return "";
}

class Story {
 public:
  Story(const State& state, const std::vector<const Job*>& jobs, bool all) : state_(state), jobs_(jobs), all_(all) {
    for (const Job* job : jobs) by_number_[job->job] = job;
    is_array_ = jobs.size() > 1;
  }

  std::vector<protocol::EventView> tell(const std::vector<PastEntry>& entries) {
    for (const PastEntry& past : entries) {
      const auto tell_one = [&](const auto& kind) { add(past, kind); };
      if (const auto* round = std::get_if<Round>(&past.entry))
        for (const Decision& decision : round->decisions) std::visit(tell_one, decision);
      else std::visit(tell_one, past.entry);
    }
    return std::move(events_);
  }

 private:
  template <class Kind>
  void add(const PastEntry& past, const Kind& kind) {
    if constexpr (std::is_same_v<Kind, JobSubmitted>) {
      // Of an array it is about every element.
      const bool of_mine = kind.job == jobs_.front()->job || (jobs_.front()->array && jobs_.front()->array->array == kind.job);
      if (of_mine) say(past, kind, *jobs_.front(), "");
    } else if constexpr (requires { kind.job; }) {
      const auto job = by_number_.find(kind.job);
      follow(kind);
      if (job != by_number_.end()) say(past, kind, *job->second, is_array_ ? text_of(*job->second) + ": " : "");
    } else if constexpr (requires { kind.jobs; }) {
      for (const JobId id : kind.jobs)
        if (const auto job = by_number_.find(id); job != by_number_.end()) say(past, kind, *job->second, is_array_ ? text_of(*job->second) + ": " : "");
    } else if constexpr (requires { kind.node; }) {
      for (const Job* job : jobs_)
        if (matters_now(job->job, kind)) say(past, kind, *job, is_array_ ? text_of(*job) + ": " : "");
    }
  }

  /// Follows which nodes each job holds, and which of them fell silent meanwhile.
  template <class Kind>
  bool matters_now(JobId job, const Kind& kind) {
    if constexpr (std::is_same_v<Kind, NodeUnreachable>) return held_[job].count(kind.node) != 0 && silent_[job].insert(kind.node).second;
    if constexpr (std::is_same_v<Kind, NodeJoined>) return silent_[job].erase(kind.node) != 0;
    return false;
  }
  void follow(const StartJob& decision) {
    for (const NodeAllocation& part : decision.allocation) held_[decision.job].insert(part.node);
  }
  void follow(const AttemptEnded& event) {
    held_[event.job].clear();
    silent_[event.job].clear();
  }
  template <class Other>
  void follow(const Other&) {}

  template <class Kind>
  void say(const PastEntry& past, const Kind& kind, const Job& job, const std::string& prefix) {
    const std::string sentence = Teller(state_, job, all_)(kind);
    if (!sentence.empty()) events_.push_back({past.sequence, past.at, Kind::type, actor_of(kind), prefix + sentence});
  }

  const State& state_;
  const std::vector<const Job*>& jobs_;
  const bool all_;
  bool is_array_ = false;
  std::map<JobId, const Job*> by_number_;
  std::map<JobId, std::set<std::string>> held_, silent_;
  std::vector<protocol::EventView> events_;
};

std::string because(const std::string& reason) { return reason.empty() ? "" : ": " + reason; }

/// What happened to the cluster itself.
class ClusterTeller {
 public:
  explicit ClusterTeller(const State& state) : state_(state) {}

  std::string operator()(const NodeJoined& event) const { return event.node + " is up"; }
  std::string operator()(const NodeUnreachable& event) const { return event.node + " does not answer"; }
  std::string operator()(const NodeDrained& event) const {
    return who(event.actor) + " drained " + event.node + because(event.reason);
  }
  std::string operator()(const NodeResumed& event) const { return who(event.actor) + " resumed " + event.node; }
  std::string operator()(const NodeLost& event) const {
    return who(event.actor) + " says that " + event.node + " is off" + because(event.reason);
  }
  std::string operator()(const ReservationMade& event) const {
    const Reservation& made = event.reservation;
    const std::string whom = made.accounts.empty() ? "nobody" : joined(made.accounts, ", ");
    return who(event.actor) + " reserved " + protocol::fold_hostlist(made.nodes) + " for " + whom +
           because(made.reason);
  }
  std::string operator()(const ReservationEnded& event) const { return "reservation " + event.name + " has ended"; }
  std::string operator()(const ClusterConfigured& event) const {
    return who(event.actor) + " changed the cluster file";
  }
  std::string operator()(const PolicyChanged& event) const { return who(event.actor) + " changed the policy"; }
  std::string operator()(const FavourBilled& event) const {
    const Bill& bill = event.bill;
    const std::string cost = bill.delayed.empty() ? "nobody starts later for it"
                                                  : "it costs others " + gpu_hours_in_words(bill.displaced_gpu_ms);
    return who(event.actor) + " was granted to " + favour_in_words(bill, state_) + "; " + cost + because(bill.reason);
  }

 private:
  const State& state_;
};

template <class Kind, class... Kinds>
constexpr bool is_one_of_kinds = (std::is_same_v<Kind, Kinds> || ...);
/// Of a job, what others want to know, too.
template <class Kind>
constexpr bool concerns_all =
    is_one_of_kinds<Kind, JobSubmitted, JobCancelled, JobRequeued, JobHeld, JobReleased, GangFailed, GangStalled,
                    GangWentOn, AttemptEnded, StartJob, RejectJob, PreemptJob>;

class Chronicle {
 public:
  Chronicle(const State& state, const std::function<bool(const Job&)>& may_see) : state_(state), may_see_(may_see) {}

  std::vector<protocol::PastView> tell(const std::vector<PastEntry>& entries) {
    for (const PastEntry& past : entries) {
      const auto tell_one = [&](const auto& kind) { add(past, kind); };
      if (const auto* round = std::get_if<Round>(&past.entry))
        for (const Decision& decision : round->decisions) std::visit(tell_one, decision);
      else
        std::visit(tell_one, past.entry);
    }
    return std::move(views_);
  }

 private:
  template <class Kind>
  void add(const PastEntry& past, const Kind& kind) {
    protocol::PastView view{.sequence = past.sequence, .at_ms = past.at, .type = Kind::type, .actor = actor_of(kind)};
    if constexpr (concerns_all<Kind>) {
      const auto job = state_.jobs.find(kind.job);
      if (job == state_.jobs.end()) return;
      describe_job(job->second, view);
      if constexpr (std::is_same_v<Kind, JobSubmitted>)
        if (job->second.array && !kind.array_indices.empty())
          view.job_name = std::to_string(kind.job.value);  // all of it
      view.sentence = Teller(state_, job->second, may_see_(job->second))(kind);
    } else if constexpr (requires(const ClusterTeller& teller) { teller(kind); }) {
      if constexpr (requires { kind.node; }) view.node = kind.node;
      if constexpr (std::is_same_v<Kind, FavourBilled>)
        if (const auto job = state_.jobs.find(kind.bill.job); job != state_.jobs.end()) describe_job(job->second, view);
      view.sentence = ClusterTeller(state_)(kind);
    }
    if (!view.sentence.empty()) views_.push_back(std::move(view));
  }

  static void describe_job(const Job& job, protocol::PastView& view) {
    view.job = job.job;
    view.job_name = text_of(job);
    view.label = job.spec.name;
    view.account = job.spec.account;
  }

  const State& state_;
  const std::function<bool(const Job&)>& may_see_;
  std::vector<protocol::PastView> views_;
};

}  // namespace

std::vector<protocol::PastView> told_of_cluster(const State& state, const std::vector<PastEntry>& entries,
                                                const std::function<bool(const Job&)>& may_see) {
  return Chronicle(state, may_see).tell(entries);
}

std::vector<protocol::EventView> told(const State& state, const std::vector<const Job*>& jobs, const std::vector<PastEntry>& entries, bool all) {
  return Story(state, jobs, all).tell(entries);
}

}  // namespace ultramarine::api
