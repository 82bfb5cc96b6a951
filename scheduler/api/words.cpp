// Sentences.
#include "scheduler/api/words.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "scheduler/api/job_name.h"
#include "scheduler/api/phrases.h"
#include "scheduler/core/eligible.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/shape.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::api {

namespace {

/// `spec`: whose GPUs these would be, where it is known. GPUs that it can't use are not counted, and the sentence says so.
std::string free_for(const JobSpec* spec, std::int64_t count) {
  std::string text = count == 0 ? "none is free" : std::to_string(count) + (count == 1 ? " is free" : " are free");
  if (!spec) return text;
  if (spec->exclusive) text += " on whole nodes";
  if (!spec->gpu_type.empty() || !spec->features.empty() || !spec->only_nodes.empty() || !spec->without_nodes.empty()) text += " on nodes that it may use";
  if (spec->cpus_per_gpu > 0 || spec->memory_per_gpu_bytes > 0) text += " with the CPUs and memory that it asks for";
  return text;
}

std::string named(JobId id, const State& state) {
  const auto job = state.jobs.find(id);
  if (job == state.jobs.end()) return std::to_string(id.value);
  std::string text = text_of(job->second) + " (" + job->second.spec.name;
  if (!job->second.spec.account.empty()) text += ", " + job->second.spec.account;
  return text + ")";
}

std::string expectation(const PlannedJob& planned, const State& state, Time now) {
  if (!planned.start_ms) return "";
  if (*planned.start_ms <= now) return " Expected to start at any moment.";
  std::string text = " Expected to start " + when(*planned.start_ms, now);
  const std::vector<JobId>& jobs = planned.reason.waits_for;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    text += i > 0 ? (i + 1 == jobs.size() ? " and " : ", ") : jobs.size() == 1 ? " when job " : " when jobs ";
    text += named(jobs[i], state);
  }
  if (!jobs.empty()) text += jobs.size() == 1 ? " ends" : " end";
  return text += ".";
}

/// The nodes that the job may use and that take nothing new, by what ails them: "node[03-04] (down), node07 (suspect)".
std::string missing_nodes(const Job& job, const State& state) {
  std::map<NodeState, std::vector<std::string>> ailing;
  if (const PartitionConfig* partition = core::find_partition(state.cluster, job.spec.partition)) {
    for (const core::EligibleNode& eligible : core::eligible_nodes(state.cluster, *partition, job.spec)) {
      const auto node = state.nodes.find(eligible.node->name);
      if (node != state.nodes.end() && node->second.state != NodeState::up) ailing[node->second.state].push_back(node->first);
    }
  }
  std::vector<std::string> parts;
  for (const auto& [node_state, names] : ailing)
    parts.push_back(protocol::fold_hostlist(names) + " (" + boost::describe::enum_to_string(node_state, "") + ")");
  return joined(parts);
}

/// Of a limit that the job exceeds by itself: no wait helps.
std::string exceeds(const LimitReached& limit) {
  const std::string who = core::subject_in_words(limit);
  switch (limit.kind) {
    case LimitKind::gpus_per_job: return "it asks for " + gpus_in_words(limit.used) + ", and " + who + " allows " + gpus_in_words(limit.limit) + " per job";
    case LimitKind::gpus: return "it asks for " + gpus_in_words(limit.used) + ", and " + who + " may use " + gpus_in_words(limit.limit) + " at once";
    case LimitKind::jobs: return who + " may run no jobs";
    case LimitKind::gpu_hours: return "it may hold " + counted(limit.used, "GPU-hour") + ", and " + who + " has " + counted(limit.limit, "GPU-hour") + " a month";
    case LimitKind::max_time_ms:
      return "its time limit is " + protocol::format_duration({limit.used}) + ", and " + who + " allows " + protocol::format_duration({limit.limit});
  }
  return "";
}

/// Of a limit that others use up.
std::string waits_for_limit(const LimitReached& limit, const std::string& asks) {
  const std::string who = core::subject_in_words(limit), used = std::to_string(limit.used);
  if (limit.kind == LimitKind::jobs) return "Waits for its turn: " + who + " may run " + counted(limit.limit, "job") + " at once, and so many run or are ahead of it.";
  if (limit.kind == LimitKind::gpu_hours)
    return "Waits for a new month: " + who + " has " + counted(limit.limit, "GPU-hour") + " a month, and " + used + " of them are used or promised.";
  return "Waits for " + asks + ": " + who + " may use " + gpus_in_words(limit.limit) + " at once, and " + used + " of them are used or promised.";
}

std::string limited(const PlannedJob& planned, const std::string& asks, const std::string& then) {
  const LimitReached limit = planned.reason.limit.value_or(LimitReached{});
  if (planned.start_ms) return waits_for_limit(limit, asks) + then;
  return "Can't start: " + exceeds(limit) + "." + (limit.kind == LimitKind::jobs ? "" : " Cancel it and ask for less.");
}

/// Of a job that runs inside a reservation, or of one that others' reservations keep out.
std::string reserved(const PlannedJob& planned, const State& state, Time now, const std::string& asks, const std::string& then) {
  const Reason& reason = planned.reason;
  const auto job = state.jobs.find(planned.job);
  const auto kept = state.reservations.find(reason.reservation);
  if (job != state.jobs.end() && job->second.spec.reservation == reason.reservation) {
    const std::string its = "its reservation " + reason.reservation;
    if (kept == state.reservations.end()) return "Can't start: " + its + " is over. Cancel it, or submit it again.";
    if (!planned.start_ms) return "Can't start: what is left of " + its + " is too short for it. Cancel it, or submit it again.";
    return "Waits for " + its + ", which begins " + when(reason.until_ms.value_or(now), now) + "." + then;
  }
  const bool nobodys = kept != state.reservations.end() && kept->second.accounts.empty();
  return "Waits for " + asks + ": nodes that it would fit on are kept for " + (nobodys ? "maintenance " : "reservation ") + reason.reservation + ", which ends " +
         when(reason.until_ms.value_or(now), now) + "." + then;
}

/// `job 3`, `jobs 3 and 4`
std::string numbers(const std::vector<JobId>& jobs, const State& state) {
  std::vector<std::string> parts;
  for (const JobId id : jobs) {
    const auto job = state.jobs.find(id);
    parts.push_back(job == state.jobs.end() ? std::to_string(id.value) : text_of(job->second));
  }
  return (jobs.size() == 1 ? "job " : "jobs ") + joined(parts);
}

}  // namespace

std::string when(Time instant, Time now) {
  constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::chrono::sys_time<std::chrono::milliseconds> moment{std::chrono::milliseconds(instant.ms)};
  const auto midnight = std::chrono::floor<std::chrono::days>(moment);
  const std::int64_t minute = std::chrono::floor<std::chrono::minutes>(moment - midnight).count();
  std::string text;
  if (instant.ms - now.ms > 86'400'000 || now.ms - instant.ms > 86'400'000) {
    const std::chrono::year_month_day date{midnight};
    const unsigned day = static_cast<unsigned>(date.day());
    text = std::string("on ") + months[static_cast<unsigned>(date.month()) - 1] + (day < 10 ? "  " : " ") + std::to_string(day) + " ";
  }
  text += "at 00:00";
  for (const auto& [place, number] : {std::pair{5, minute / 60}, std::pair{2, minute % 60}}) {
    text[text.size() - static_cast<std::size_t>(place)] = static_cast<char>('0' + number / 10);
    text[text.size() - static_cast<std::size_t>(place) + 1] = static_cast<char>('0' + number % 10);
  }
  const Duration distance{(instant > now ? instant - now : now - instant).ms};
  return text + " UTC (" + (instant > now ? "in " : "") + protocol::format_duration(distance) + (instant > now ? ")" : " ago)");
}

namespace {

/// Why it doesn't run now.
std::string why_it_waits(const PlannedJob& planned, const State& state, Time now, bool with_users) {
  const Reason& reason = planned.reason;
  const std::string asks = gpus_in_words(reason.gpus_asked);
  const std::string then = expectation(planned, state, now);
  const auto waiting = state.jobs.find(planned.job);
  const auto are_free = [&](std::int64_t count) { return free_for(waiting == state.jobs.end() ? nullptr : &waiting->second.spec, count); };
  switch (reason.code) {
    case ReasonCode::starting_now: return "Starts now.";
    case ReasonCode::resources: return ("Waits for " + asks).append("; ").append(are_free(reason.gpus_free)).append(".").append(then);
    case ReasonCode::fragmentation:
      return "Waits for " + asks + "; " + are_free(reason.gpus_free) + ", but spread over nodes in another shape than it asks for." + then;
    case ReasonCode::priority:
      return "Lets jobs ahead of it go first: it asks for " + asks + " and " + are_free(reason.gpus_free) +
             ", but to start it now would delay them." + then;
    case ReasonCode::nodes_missing: {
      const auto job = state.jobs.find(planned.job);
      const std::string nodes = job == state.jobs.end() ? "" : missing_nodes(job->second, state);
      return "Waits for " + asks + " on nodes that don't answer" + (nodes.empty() ? "" : ": " + nodes) +
             ". Its start can be planned once they are back.";
    }
    case ReasonCode::never_fits:
      return "Can never run here: no state of this cluster has " + asks + " in the shape it asks for. Cancel it and ask for less.";
    case ReasonCode::dependency: {
      const std::string start = planned.start_ms ? " Expected to start " + when(*planned.start_ms, now) + ", if all it waits for takes its whole time and ends well." : "";
      return "Waits for " + numbers(reason.waits_for, state) + ", on which it depends." + start;
    }
    case ReasonCode::dependency_never:
      return "Can't start: " + numbers(reason.waits_for, state) + ", on which it depends, ended otherwise than it asked for. Cancel it, or submit it again without.";
    case ReasonCode::array_limit: return "Waits until an element of its array has ended: no more of them may run at once." + then;
    case ReasonCode::held: {
      const auto job = state.jobs.find(planned.job);
      if (job == state.jobs.end() || !job->second.hold) return "Held: it waits until it is released.";
      const Hold& hold = *job->second.hold;
      if (hold.kind == HoldKind::configuration) return "Held: " + hold.reason + ".";
      if (hold.kind == HoldKind::no_progress) return "Held: " + hold.reason + ". Look at why, then let it go again with 'ultra release'.";
      if (!with_users) return "Held: it waits until it is released.";
      return "Held by " + hold.actor.name + (hold.reason.empty() ? "" : " (" + hold.reason + ")") + ": it waits until it is released.";
    }
    case ReasonCode::begin_time: {
      const Time begin = reason.until_ms.value_or(now);
      return "It is to begin " + when(begin, now) + ", and not before." + (planned.start_ms > begin ? then : "");
    }
    case ReasonCode::restart_delay: {
      const Time again = reason.until_ms.value_or(now);
      return "Its last attempt failed: it is tried again " + when(again, now) + "." + (planned.start_ms > again ? then : "");
    }
    case ReasonCode::deadline: {
      const auto job = state.jobs.find(planned.job);
      const bool still_possible = reason.until_ms && job != state.jobs.end() && now + job->second.spec.time_limit_ms <= *reason.until_ms;
      if (!still_possible) return "Can't start: it could not end by its deadline any more. Cancel it, or submit it again with another deadline.";
      return "Waits for " + asks + " to become free earlier than planned: else it can't end by its deadline " + when(*reason.until_ms, now) + ".";
    }
    case ReasonCode::limit: return limited(planned, asks, then);
    case ReasonCode::soft_cap: {
      const LimitReached limit = reason.limit.value_or(LimitReached{});
      return "Lets others go first: " + core::subject_in_words(limit) + " has used up the " + gpus_in_words(limit.limit) + " of its own, and may only borrow what nobody else wants." + then;
    }
    case ReasonCode::reservation: return reserved(planned, state, now, asks, then);
  }
  return "";
}

/// Of a job that has its first minutes on some of its GPUs.
std::string in_trial(const PlannedJob& planned, const Job& job, const State& state, Time now) {
  const Attempt& attempt = job.attempts.back();
  const std::string where = gpus_in_words(core::gpus_of(attempt.allocation)) + " of " + attempt.allocation.front().node;
  return "Runs its trial of " + protocol::format_duration(*attempt.trial_ms) + " on " + where + ", and then waits for " + gpus_in_words(total_gpus(job.spec.resources)) + "." +
         expectation(planned, state, now);
}

/// It has shown that it runs, and nothing since then.
bool has_been_tried(const Job& job) {
  return job.state == JobState::queued && job.attempts.size() == 1 && job.attempts.back().trial_ms && job.attempts.back().outcome == Outcome::timed_out;
}

}  // namespace

std::string why(const PlannedJob& planned, const State& state, Time now, bool with_users) {
  const auto job = state.jobs.find(planned.job);
  if (job != state.jobs.end() && core::is_in_trial(job->second)) return in_trial(planned, job->second, state, now);
  const std::string before = job != state.jobs.end() && has_been_tried(job->second) ? "It ran its trial without failing. " : "";
  return before + why_it_waits(planned, state, now, with_users);
}

}  // namespace ultramarine::api
