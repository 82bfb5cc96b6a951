// What keeps a job waiting, in full, and what would let it start sooner; and how its owner takes such an offer. The planner is asked on a copy of a
// snapshot, on the thread for questions.
#include <algorithm>
#include <array>

#include "scheduler/api/handlers.h"
#include "scheduler/api/phrases.h"
#include "scheduler/api/planning_words.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/views.h"
#include "scheduler/api/words.h"
#include "scheduler/core/accept.h"
#include "scheduler/core/comparison.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/priority.h"
#include "scheduler/core/ways.h"
#include "scheduler/protocol/planning_messages.h"

namespace ultramarine::api {

namespace {

constexpr std::size_t in_the_way_max = 10;
constexpr std::size_t favours_max = 3;

/// What makes one priority larger than another: "fair-share 200 more, age 80 less".
std::string difference(const JobPriority& theirs, const JobPriority& its) {
  constexpr std::array parts{std::pair{"age", &PriorityFactors::age}, std::pair{"fair-share", &PriorityFactors::fair_share}, std::pair{"size", &PriorityFactors::size},
                             std::pair{"QOS", &PriorityFactors::qos}, std::pair{"partition", &PriorityFactors::partition}, std::pair{"account", &PriorityFactors::account}};
  std::string text;
  const auto add = [&](const std::string& name, std::int64_t more) {
    if (more != 0) text += (text.empty() ? "" : ", ") + name + " " + std::to_string(more > 0 ? more : -more) + (more > 0 ? " more" : " less");
  };
  for (const auto& [name, part] : parts) add(name, theirs.weighted.*part - its.weighted.*part);
  add("nice", its.nice - theirs.nice);
  return text;
}

class Inquiry {
 public:
  Inquiry(const Snapshot& snapshot, const Job& job) : snapshot_(snapshot), state_(*snapshot.state), job_(job), line_(core::line_of(*snapshot.plan, job.job)), now_(snapshot.plan->now_ms) {}

  protocol::WhyReply reply() {
    protocol::WhyReply reply{.now_ms = now_, .job = job_.job, .name = text_of(job_), .state = job_.state};
    if (!line_) {
      reply.no_way = is_terminal(job_.state) ? "It has ended." : "It doesn't wait: it runs.";
      return reply;
    }
    reply.why = why(*line_, state_, now_);
    reply.planned = *line_;
    if (state_.policy.order == "multifactor") priorities_.emplace(state_, now_);
    reply.priority = priority(job_);
    reply.ahead = line_->position - 1;
    add_in_the_way(reply);
    add_reasons(reply);
    if (job_.state == JobState::queued) add_ways(reply);
    if (reply.ways.empty()) reply.no_way = why_no_way();
    return reply;
  }

 private:
  std::optional<protocol::PriorityOfJob> priority(const Job& job) const {
    return priorities_ ? priority_of(*priorities_, state_, job) : std::nullopt;
  }

  void add_in_the_way(protocol::WhyReply& reply) {
    std::vector<JobId> jobs = line_->reason.waits_for;
    for (const PlannedJob& line : snapshot_.plan->jobs) {
      if (line.position >= line_->position || jobs.size() >= in_the_way_max) break;
      if (std::find(jobs.begin(), jobs.end(), line.job) == jobs.end()) jobs.push_back(line.job);
    }
    for (const JobId id : jobs) {
      const auto found = state_.jobs.find(id);
      if (found != state_.jobs.end() && !is_terminal(found->second.state)) reply.in_the_way.push_back(in_the_way(found->second, reply.priority));
    }
  }

  protocol::JobInTheWay in_the_way(const Job& other, const std::optional<protocol::PriorityOfJob>& own) {
    const PlannedJob* line = core::line_of(*snapshot_.plan, other.job);
    protocol::JobInTheWay view{.job = other.job, .name = text_of(other), .user = other.owner.name, .account = other.spec.account, .gpus = gpus_of(other, line)};
    std::string text = job_in_words(other);
    text[0] = 'J';
    if (is_active(other.state)) {
      view.runs = true;
      view.end_ms = core::assumed_end(other, state_.policy, now_);
      view.sentence = text + " holds " + gpus_in_words(view.gpus) + " until " + moment(*view.end_ms) + " at the latest.";
      return view;
    }
    if (line) {
      view.start_ms = line->start_ms;
      view.end_ms = line->end_ms;
    }
    view.priority = priority(other);
    text += " is ahead of it and asks for " + gpus_in_words(view.gpus);
    if (view.start_ms && view.end_ms) text += ", planned " + when(*view.start_ms, now_) + " until " + moment(*view.end_ms);
    view.sentence = text + "." + reason_of_place(other, view.priority, own);
    return view;
  }

  std::string reason_of_place(const Job& other, const std::optional<protocol::PriorityOfJob>& theirs, const std::optional<protocol::PriorityOfJob>& own) const {
    if (other.boost && now_ < other.boost->until_ms) {
      const Bill& bill = state_.bills.at(static_cast<std::size_t>(other.boost->bill) - 1);
      return " It was put there by " + bill.actor.name + ": " + bill.reason + ".";
    }
    if (!theirs || !own) return "";
    if (theirs->details.waited_max_age && !own->details.waited_max_age) return " It has waited so long that it is ahead of all that have not.";
    const std::string parts = difference(theirs->details, own->details);
    if (parts.empty()) return "";
    return " Its priority is " + std::to_string(theirs->details.priority) + ", and " + std::to_string(own->details.priority) + " here: " + parts + ".";
  }

  /// `21:05 UTC (in 3h)`
  std::string moment(Time instant) const {
    std::string text = when(instant, now_);
    return text.starts_with("at ") ? text.substr(3) : text;
  }

  void add_reasons(protocol::WhyReply& reply) const {
    if (reply.ahead > 0) {
      std::int64_t gpus = 0;
      for (const PlannedJob& line : snapshot_.plan->jobs)
        if (line.position < line_->position) gpus += gpus_of(state_.jobs.at(line.job), &line);
      reply.reasons.push_back((reply.ahead == 1 ? "1 job is" : std::to_string(reply.ahead) + " jobs are") + " ahead of it, and " + (reply.ahead == 1 ? "asks" : "ask") + " for " + gpus_in_words(gpus) +
                              ".");
    }
    for (const protocol::JobInTheWay& one : reply.in_the_way) reply.reasons.push_back(one.sentence);
    if (line_->reason.code == ReasonCode::limit || line_->reason.code == ReasonCode::soft_cap || line_->reason.code == ReasonCode::reservation ||
        line_->reason.code == ReasonCode::fragmentation || line_->reason.code == ReasonCode::nodes_missing)
      reply.reasons.push_back(reply.why.substr(0, reply.why.find(" Expected to start ")));
    std::size_t told = 0;
    for (auto bill = state_.bills.rbegin(); bill != state_.bills.rend() && told < favours_max; ++bill) {
      const auto moved = std::find_if(bill->delayed.begin(), bill->delayed.end(), [&](const MovedStart& one) { return one.job == job_.job; });
      if (moved == bill->delayed.end()) continue;
      reply.reasons.push_back(suffered_in_words(*bill, *moved, state_, now_));
      ++told;
    }
  }

  void add_ways(protocol::WhyReply& reply) const {
    for (const core::Way& way : core::ways_to_start(core::Scheduler(state_), *snapshot_.plan, job_.job, now_)) {
      protocol::WayView view{.number = static_cast<std::int64_t>(reply.ways.size()) + 1, .change = way.change, .start_ms = way.start};
      if (line_->start_ms) view.sooner_ms = *line_->start_ms - way.start;
      view.is_suggestion = way.is_suggestion;
      view.delayed = way.delayed;
      view.displaced_gpu_ms = way.displaced_gpu_ms;
      view.sentence = way_in_words(way, job_.spec, line_->start_ms, now_);
      reply.ways.push_back(std::move(view));
    }
  }

  std::string why_no_way() const {
    switch (line_->reason.code) {
      case ReasonCode::starting_now: return "It starts now.";
      case ReasonCode::held: return "It waits until it is released, whatever it asks for.";
      case ReasonCode::dependency:
      case ReasonCode::dependency_never: return "It waits for another job, whatever it asks for.";
      case ReasonCode::begin_time:
      case ReasonCode::restart_delay: return "It waits for a date, whatever it asks for.";
      case ReasonCode::array_limit: return "It waits for other elements of its array, whatever it asks for.";
      default: return "Nothing that can be changed about it alone would let it start sooner.";
    }
  }

  const Snapshot& snapshot_;
  const State& state_;
  const Job& job_;
  const PlannedJob* const line_;
  const Time now_;
  std::optional<core::Priorities> priorities_;
};

/// Throws Problem when the job can't be so.
void check_edit(const State& state, const Job& job, const JobChange& change, Time now) {
  if (!core::waits(job))
    throw conflict("job " + text_of(job) + " doesn't wait: it is " + boost::describe::enum_to_string(job.state, ""), "only a waiting job can be changed");
  if (change == JobChange{}) throw bad_request("", "nothing is to be changed", "name what the job is to ask for");
  JobSpec asked = job.spec;
  core::change(asked, change);
  asked.dependencies.clear();  // accepted before; some of these jobs may be gone
  const auto accepted = core::accept_request(state, std::move(asked), job.owner, now);
  if (const auto* refusal = std::get_if<core::Refusal>(&accepted)) throw from_refusal(*refusal);
}

}  // namespace

void explain_job(const ExchangePtr& exchange, const JobName& name) {
  with_job(exchange, name, [exchange](const SnapshotPtr& snapshot, const Job& job) {
    answer_after_thought(exchange, [snapshot, id = job.job] { return Inquiry(*snapshot, snapshot->state->jobs.at(id)).reply(); });
  });
}

void edit_job(const ExchangePtr& exchange, const JobName& name) {
  const auto request = decode_body<JobChange>(*exchange);
  const auto choose = [name, request, caller = exchange->caller, uid = exchange->backend.scheduler_uid()](const core::Scheduler& scheduler, Time now) {
    const State& state = scheduler.state();
    const std::vector<const Job*> jobs = named_jobs(state, name);
    if (jobs.empty()) throw unknown_job(text_of(name));
    if (const auto problem = why_not(Act::edit, caller, *jobs.front(), state, uid)) throw *problem;
    std::vector<Event> events;
    for (const Job* job : jobs) {
      if (jobs.size() > 1 && !core::waits(*job)) continue;  // elements that run or have ended stay as they are
      check_edit(state, *job, request, now);
      events.push_back(JobEdited{job->job, request, caller.actor});
    }
    if (events.empty()) throw conflict("no element of array " + text_of(name) + " waits");
    return events;
  };
  change(exchange, choose, [exchange, name] { answer_jobs(exchange, name); });
}

}  // namespace ultramarine::api
