// Favours: a boost, and what an admin or a lead does to others' jobs and nodes by hand. Each has a bill: who starts later for it, and by how much. It is
// made by the planner before the favour is granted, shown, and recorded with it; nothing here changes an order without one. A bill that delays nobody
// needs no confirmation. A token says which bill was seen: should the favour cost more than that by now, it is refused, and the new bill is shown.
#include "scheduler/api/favours.h"

#include <algorithm>
#include <charconv>

#include "scheduler/api/handlers.h"
#include "scheduler/api/planning_words.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/words.h"
#include "scheduler/core/comparison.h"
#include "scheduler/core/dependencies.h"
#include "scheduler/core/hasher.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/planner.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::api {

namespace {

using protocol::FavourRequest;

constexpr Duration boost_time{24 * 3'600'000LL}, boost_time_max{7 * 86'400'000LL};
constexpr Duration token_time{10 * 60'000};
constexpr std::int64_t tolerance_gpu_ms = 360'000;  // or a tenth of the bill, whichever is more

/// What a favour consists of.
struct Meant {
  Favour favour = Favour::boost;
  std::string detail;
  std::vector<const Job*> jobs;     // that it is about
  std::vector<Event> events;        // it
  std::vector<Entry> then;          // what would follow from it, for the plan
};

std::string state_of(const Job& job) { return boost::describe::enum_to_string(job.state, ""); }

Act act_of(Favour favour) {
  switch (favour) {
    case Favour::boost: return Act::boost;
    case Favour::hold: return Act::hold;
    case Favour::cancel:
    case Favour::requeue: return Act::cancel;
    case Favour::extend: return Act::extend;
    case Favour::reserve: break;
  }
  return Act::reserve_nodes;
}

Duration time_of(const FavourRequest& request, Duration otherwise, Duration most) {
  const Duration time = request.time_ms.value_or(otherwise);
  if (time.ms <= 0 || time > most)
    throw bad_request("time_ms", protocol::format_duration(time) + " is out of range", "use 1s to " + protocol::format_duration(most));
  return time;
}

void add_event(const FavourRequest& request, const State& state, const Job& job, Time now, const Actor& actor, Meant& meant) {
  const std::string name = "job " + text_of(job);
  switch (request.favour) {
    case Favour::boost: {
      if (job.state != JobState::queued)
        throw conflict(name + " doesn't wait for its turn: it is " + state_of(job), job.state == JobState::held ? "release it first" : "only a waiting job can be put ahead");
      if (core::awaits_others(job)) throw conflict(name + " waits for other jobs, and not for its turn", "put those ahead instead");
      const std::int64_t number = static_cast<std::int64_t>(state.bills.size()) + 1;
      meant.events.push_back(JobBoosted{job.job, number, now + time_of(request, boost_time, boost_time_max), actor});
      return;
    }
    case Favour::hold:
      if (!core::waits(job)) throw conflict(name + " doesn't wait: it is " + state_of(job), "only a waiting job can be held");
      meant.events.push_back(JobHeld{job.job, HoldKind::admin, request.reason, actor});
      return;
    case Favour::cancel:
      if (is_terminal(job.state)) throw conflict(name + " has already ended (" + state_of(job) + ")");
      meant.events.push_back(JobCancelled{job.job, actor});
      for (Entry& entry : core::ended_now(job, Outcome::cancelled)) meant.then.push_back(std::move(entry));
      return;
    case Favour::requeue:
      if (!is_active(job.state)) throw conflict(name + (is_terminal(job.state) ? " has already ended (" + state_of(job) + ")" : " is waiting already"));
      if (job.state == JobState::stopping) throw conflict(name + " is being stopped already", "wait until it has ended");
      meant.events.push_back(JobRequeued{job.job, actor});
      for (Entry& entry : core::ended_now(job, Outcome::preempted)) meant.then.push_back(std::move(entry));
      return;
    case Favour::extend: {
      if (is_terminal(job.state)) throw conflict(name + " has already ended (" + state_of(job) + ")");
      if (!request.time_ms) throw bad_request("time_ms", "none is given", "say how much more time it gets");
      const Duration limit = job.spec.time_limit_ms + time_of(request, {}, Duration{365 * 86'400'000LL});
      meant.detail = protocol::format_duration(*request.time_ms);
      meant.events.push_back(JobExtended{job.job, limit, actor});
      return;
    }
    case Favour::reserve: return;
  }
}

Meant meant_by(const FavourRequest& request, const State& state, Time now, const Caller& caller, std::int64_t scheduler_uid) {
  Meant meant{.favour = request.favour};
  const Act act = act_of(request.favour);
  if (request.favour == Favour::reserve) {
    if (const auto problem = why_not(act, caller, state, scheduler_uid)) throw *problem;
    if (!request.reservation) throw bad_request("reservation", "none is given", "say which nodes, for whom and when");
    protocol::ReservationRequest asked = *request.reservation;
    if (asked.reason.empty()) asked.reason = request.reason;
    Reservation made = asked_reservation(asked, state, now, caller.actor);
    meant.detail = protocol::fold_hostlist(made.nodes) + " for reservation " + made.name + ", " + when(made.start_ms, now) + " until " + when(made.end_ms, now).substr(3);
    meant.events.push_back(ReservationMade{std::move(made), caller.actor});
    return meant;
  }
  const auto name = parse_job_name(request.job);
  if (!name) throw bad_request("job", "\"" + request.job.substr(0, 64) + "\" is no number of a job", "`ultra queue` lists them");
  meant.jobs = named_jobs(state, *name);
  if (meant.jobs.empty()) throw unknown_job(text_of(*name));
  if (const auto problem = why_not(act, caller, *meant.jobs.front(), state, scheduler_uid)) throw *problem;
  std::optional<Problem> first_problem;
  for (const Job* job : meant.jobs) {
    try {
      add_event(request, state, *job, now, caller.actor, meant);
    } catch (const Problem& problem) {  // of some elements of an array it is none
      if (!first_problem) first_problem = problem;
    }
  }
  if (meant.events.empty()) throw *first_problem;
  if (request.favour == Favour::boost && meant.events.size() > 1)
    throw bad_request("job", text_of(*name) + " is an array of " + std::to_string(meant.jobs.size()), "name one of its elements: " + text_of(*meant.jobs.front()));
  return meant;
}

/// The bill, and what the planner says of the job that it is about.
struct Priced {
  Bill bill;
  std::optional<Time> before, after;
};

Priced priced(const Meant& meant, const core::Scheduler& planner, const FavourRequest& request, const Actor& actor, Time now) {
  std::vector<Entry> entries;
  for (const Event& event : meant.events) entries.push_back(to_entry(event));
  entries.insert(entries.end(), meant.then.begin(), meant.then.end());
  std::vector<JobId> without;
  if (meant.favour == Favour::boost) without.push_back(meant.jobs.front()->job);
  core::Comparison found = core::compare(planner, now, entries, without);
  Priced priced;
  priced.bill = {.favour = meant.favour, .job = meant.jobs.empty() ? JobId{} : meant.jobs.front()->job, .detail = meant.detail, .delayed = std::move(found.delayed),
                 .helped = std::move(found.helped), .displaced_gpu_ms = found.displaced_gpu_ms, .shares = std::move(found.shares), .reason = request.reason,
                 .actor = actor, .at_ms = now};
  if (const PlannedJob* line = core::line_of(found.before, priced.bill.job)) priced.before = line->start_ms;
  if (const PlannedJob* line = core::line_of(found.after, priced.bill.job)) priced.after = line->start_ms;
  return priced;
}

// ---- tokens: what was seen, by whom, when

std::string digest(const FavourRequest& request, std::int64_t uid, std::int64_t displaced_gpu_ms, Time issued) {
  FavourRequest asked = request;
  asked.token.clear();
  core::Hasher hasher;
  hasher.add(asked);
  hasher.add(uid);
  hasher.add(displaced_gpu_ms);
  hasher.add(issued);
  return hasher.hex().substr(0, 16);
}

std::string token_of(const FavourRequest& request, std::int64_t uid, const Bill& bill) {
  return std::to_string(bill.displaced_gpu_ms) + "." + std::to_string(bill.at_ms.ms) + "." + digest(request, uid, bill.displaced_gpu_ms, bill.at_ms);
}

/// Throws Problem: it is none of ours, it is old, or the favour costs more by now.
void check_token(const FavourRequest& request, std::int64_t uid, const Bill& bill) {
  const std::string again = "ask for a new bill: the same request without a token";
  const std::string& text = request.token;
  const std::size_t first = text.find('.'), second = text.find('.', first == std::string::npos ? first : first + 1);
  std::int64_t shown = -1, issued_ms = -1;
  if (second != std::string::npos) {
    std::from_chars(text.data(), text.data() + first, shown);
    std::from_chars(text.data() + first + 1, text.data() + second, issued_ms);
  }
  if (shown < 0 || issued_ms < 0 || text.substr(second + 1) != digest(request, uid, shown, Time{issued_ms}))
    throw bad_request("token", "it is not that of a bill for this very request", again);
  if (bill.at_ms - Time{issued_ms} > token_time) throw conflict("the bill is older than " + protocol::format_duration(token_time), again);
  if (bill.displaced_gpu_ms > shown + std::max(tolerance_gpu_ms, shown / 10))
    throw conflict("the queue has moved: it costs the others " + gpu_hours_in_words(bill.displaced_gpu_ms) + " by now, and not " + gpu_hours_in_words(shown), again);
}

/// Throws Problem when a manager's budget is too small for the bill.
void check_budget(const Bill& bill, const Caller& caller, const State& state, std::int64_t scheduler_uid) {
  const auto budget = budget_of(caller, state, scheduler_uid);
  if (bill.favour != Favour::boost || !budget || bill.displaced_gpu_ms == 0) return;
  const std::int64_t limit_gpu_ms = budget->gpu_hours * hours(1).ms;
  if (budget->spent_gpu_ms + bill.displaced_gpu_ms <= limit_gpu_ms) return;
  throw Problem{403, "not_permitted", "",
                "it costs the others " + gpu_hours_in_words(bill.displaced_gpu_ms) + ", and " + gpu_hours_in_words(std::max<std::int64_t>(limit_gpu_ms - budget->spent_gpu_ms, 0)) +
                    " of your budget of " + std::to_string(budget->gpu_hours) + " this month are left",
                "boost a smaller or shorter job, or ask an admin"};
}

std::vector<Event> granted(Meant meant, Bill bill, const State& state) {
  bill.bill = static_cast<std::int64_t>(state.bills.size()) + 1;
  std::vector<Event> events{FavourBilled{bill, bill.actor}};
  events.insert(events.end(), std::make_move_iterator(meant.events.begin()), std::make_move_iterator(meant.events.end()));
  return events;
}

void must_have_reason(const FavourRequest& request) {
  check_reason(request.reason);
  if (request.reason.find_first_not_of(' ') == std::string::npos) throw bad_request("reason", "none is given", "say why, for those who wait longer for it");
}

protocol::FavourReply reply_of(const Priced& priced, const Caller& caller, const State& state, std::int64_t scheduler_uid, Time now) {
  protocol::FavourReply reply{.now_ms = now, .bill = priced.bill};
  reply.budget = budget_of(caller, state, scheduler_uid);
  reply.sentences = bill_in_words(priced.bill, state, priced.before, priced.after, now);
  if (reply.budget && priced.bill.favour == Favour::boost)
    reply.sentences.push_back("Of your budget of " + std::to_string(reply.budget->gpu_hours) + " GPU-hours this month " +
                              gpu_hours_in_words(std::max<std::int64_t>(reply.budget->gpu_hours * hours(1).ms - reply.budget->spent_gpu_ms, 0)) + " are left.");
  return reply;
}

void show_bill(const ExchangePtr& exchange, const FavourRequest& request) {
  exchange->backend.ask([exchange, request](const SnapshotPtr& snapshot) {
    answer_after_thought(exchange, [snapshot, request, caller = exchange->caller, uid = exchange->backend.scheduler_uid()] {
      const State& state = *snapshot->state;
      const Meant meant = meant_by(request, state, snapshot->now_ms, caller, uid);
      const Priced price = priced(meant, core::planning_copy(state), request, caller.actor, snapshot->now_ms);
      protocol::FavourReply reply = reply_of(price, caller, state, uid, snapshot->now_ms);
      reply.token = token_of(request, caller.actor.uid, price.bill);
      reply.token_until_ms = snapshot->now_ms + token_time;
      return reply;
    });
  });
}

void grant(const ExchangePtr& exchange, const FavourRequest& request) {
  auto reply = std::make_shared<protocol::FavourReply>();  // filled on the daemon's thread, read after its commit
  const auto choose = [request, reply, caller = exchange->caller, uid = exchange->backend.scheduler_uid()](const core::Scheduler& scheduler, Time now) {
    const State& state = scheduler.state();
    Meant meant = meant_by(request, state, now, caller, uid);
    Priced price = priced(meant, core::planning_copy(state), request, caller.actor, now);
    check_token(request, caller.actor.uid, price.bill);
    check_budget(price.bill, caller, state, uid);
    *reply = reply_of(price, caller, state, uid, now);
    std::vector<Event> events = granted(std::move(meant), std::move(price.bill), state);
    reply->bill = std::get<FavourBilled>(events.front()).bill;
    reply->granted = true;
    if (reply->budget && request.favour == Favour::boost) reply->budget->spent_gpu_ms += reply->bill.displaced_gpu_ms;
    return events;
  };
  change(exchange, choose, [exchange, reply] { exchange->answer(*reply); });
}

}  // namespace

std::optional<protocol::BudgetView> budget_of(const Caller& caller, const State& state, std::int64_t scheduler_uid) {
  if (has_role(Role::admin, caller, state, scheduler_uid) || !has_role(Role::manager, caller, state, scheduler_uid)) return std::nullopt;
  const auto& budgets = state.policy.boost_budgets;
  std::optional<std::int64_t> gpu_hours;
  const auto look_for = [&](const std::string& name) {
    if (const auto found = budgets.find(name); found != budgets.end() && (!gpu_hours || found->second > *gpu_hours)) gpu_hours = found->second;
  };
  look_for(caller.actor.name);
  if (!gpu_hours)
    for (const std::string& group : caller.groups) look_for("@" + group);
  if (!gpu_hours) look_for("*");
  protocol::BudgetView view{.gpu_hours = gpu_hours.value_or(0), .spent_gpu_ms = 0, .until_ms = state.period.end_ms};
  for (const Bill& bill : state.bills)
    if (bill.favour == Favour::boost && bill.actor.uid == caller.actor.uid && bill.at_ms >= state.period.start_ms) view.spent_gpu_ms += bill.displaced_gpu_ms;
  return view;
}

std::vector<Event> billed(const core::Scheduler& scheduler, Time now, const FavourRequest& request, const Caller& caller, std::int64_t scheduler_uid) {
  const State& state = scheduler.state();
  Meant meant = meant_by(request, state, now, caller, scheduler_uid);
  Priced price = priced(meant, core::planning_copy(state), request, caller.actor, now);
  if (!price.bill.delayed.empty())
    throw Problem{409, "conflict", "token", "this is a favour, and others start later for it: " + gpu_hours_in_words(price.bill.displaced_gpu_ms) + " in all",
                  "ask for its bill first, and confirm that (POST /v1/favours)"};
  return granted(std::move(meant), std::move(price.bill), state);
}

void ask_favour(const ExchangePtr& exchange) {
  const auto request = decode_body<FavourRequest>(*exchange);
  must_have_reason(request);
  if (request.token.empty()) show_bill(exchange, request);
  else grant(exchange, request);
}

}  // namespace ultramarine::api
