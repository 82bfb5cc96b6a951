// See world.h: what people do, and what must be true of plans and machines whatever they did.
#include <algorithm>
#include <tuple>

#include "scheduler/core/dependencies.h"
#include "scheduler/core/gangs.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/planner.h"
#include "tests/simulation/core/world.h"

namespace ultramarine::core {

// ---- people

const Actor& World::anybody() { return random_.chance(600) ? ada : bob; }

/// What the job asks of its nodes, and of its place in the line.
void World::add_wishes(JobSpec& spec) {
  if (random_.chance(200)) spec.gpu_type = random_.chance(700) ? "H100" : "A100";
  if (random_.chance(150)) spec.features = {"nvlink"};
  if (random_.chance(150)) spec.only_nodes = {"node1", "node3"};
  if (random_.chance(150)) spec.without_nodes = {"node2"};
  if (random_.chance(200)) spec.cpus_per_gpu = random_.between(1, 6);
  if (random_.chance(100)) spec.exclusive = true;
  if (random_.chance(200)) spec.nice = random_.between(0, 500);
  if (random_.chance(200)) spec.qos = "urgent";
}

void World::add_dates(JobSpec& spec) {
  if (random_.chance(150)) spec.begin_ms = now_ + seconds(random_.between(1, 60));
  if (random_.chance(150)) spec.deadline_ms = now_ + spec.time_limit_ms + seconds(random_.between(0, 200));
}

/// Some nodes are kept for an account, or for nobody; or a reservation ends before its time.
void World::reserve() {
  const auto& reservations = scheduler_.state().reservations;
  if (!reservations.empty() && random_.chance(300)) return record(ReservationEnded{reservations.begin()->first, ada});
  Reservation reservation{.name = "reservation" + std::to_string(random_.between(1, 3)), .start_ms = now_ + seconds(random_.between(0, 60)), .reason = "a demonstration", .actor = ada};
  reservation.end_ms = reservation.start_ms + seconds(random_.between(5, 200));
  for (const NodeConfig& node : full_cluster_.nodes)
    if (random_.chance(400)) reservation.nodes.push_back(node.name);
  if (random_.chance(700)) reservation.accounts = {random_.chance(600) ? "lab-a" : "lab-b"};
  if (!reservation.nodes.empty()) record(ReservationMade{reservation, ada});
}

/// Each kind of limit for somebody, sometimes.
void World::set_limits() {
  std::int64_t total = 0;
  for (const NodeConfig& node : full_cluster_.nodes) total += node.gpus;
  const auto draw = [&](Limits& limits) {
    if (random_.chance(250)) limits.gpus = random_.between(1, total);
    if (random_.chance(200)) limits.jobs = random_.between(1, 4);
    if (random_.chance(200)) limits.gpus_soft = random_.between(1, total);
    if (random_.chance(150)) limits.gpus_floor = random_.between(1, total);
    if (random_.chance(100)) limits.gpus_per_job = random_.between(1, total);
  };
  for (AccountConfig& account : full_cluster_.accounts) draw(account.limits), draw(account.user_limits);
  for (QosConfig& qos : full_cluster_.qos) draw(qos.limits), draw(qos.user_limits);
  for (PartitionConfig& partition : full_cluster_.partitions) draw(partition.limits), draw(partition.user_limits);
  if (random_.chance(300)) full_cluster_.accounts[1].limits.gpu_hours_per_month = 1;
}

void World::hold_or_release() {
  const auto found = scheduler_.state().jobs.find(any_job());
  if (found == scheduler_.state().jobs.end()) return;
  if (found->second.state == JobState::held) record(JobReleased{found->first, anybody()});
  else record(JobHeld{found->first, random_.chance(500) ? HoldKind::user : HoldKind::admin, "wait", anybody()});
}

/// Some queued jobs of one owner in another order.
void World::reorder() {
  std::map<std::tuple<std::string, std::string, std::string>, std::vector<JobId>> lines;
  for (const auto& [id, job] : scheduler_.state().jobs)
    if (job.state == JobState::queued && random_.chance(600)) lines[{job.owner.name, job.spec.partition, job.spec.qos}].push_back(id);
  for (auto& [owner, jobs] : lines) {
    if (jobs.size() < 2) continue;
    for (std::size_t i = jobs.size() - 1; i > 0; --i) std::swap(jobs[i], jobs[static_cast<std::size_t>(random_.between(0, static_cast<std::int64_t>(i)))]);
    return record(JobsReordered{jobs, scheduler_.state().jobs.at(jobs[0]).owner});
  }
}

void World::drain_or_resume() {
  const std::string node = any_agent().node;
  const auto found = scheduler_.state().nodes.find(node);
  if (found == scheduler_.state().nodes.end()) return;
  if (found->second.drain && random_.chance(800)) record(NodeResumed{node, ada});
  else record(NodeDrained{node, "fan", ada});
}

void World::change_policy() {
  PolicyConfig policy;
  const char* const backfills[] = {"none", "skip", "easy", "easy_sjf"};
  if (random_.chance(400)) policy.backfill = backfills[random_.between(0, 3)];
  if (random_.chance(500)) policy.order = random_.chance(800) ? "multifactor" : "shortest";
  if (random_.chance(200)) policy.placement = "pack";
  policy.weights = {{"age", random_.between(0, 1000)}, {"fair_share", random_.between(0, 1000)}, {"size", random_.between(0, 1000)}, {"qos", random_.between(0, 1000)}};
  policy.priority_interval_ms = seconds(random_.between(1, 60));
  policy.max_age_ms = seconds(random_.between(60, 600));
  policy.half_life_ms = seconds(random_.between(60, 600));
  add_trials(policy);
  record(PolicyChanged{policy, {}});
}

void World::add_trials(PolicyConfig& policy) {
  if (has(Habit::trials) && random_.chance(800))
    policy.trial = {{"minutes", 1}, {"gpus_per_job", random_.between(1, 4)}, {"share_permille", random_.between(50, 500)}};
}

/// So that every job can run: holds, drains and reservations end, and so do jobs that waited for one.
void World::undo_what_people_did() {
  std::vector<JobId> held;
  for (const auto& [id, job] : scheduler_.state().jobs)
    if (job.hold && job.hold->kind != HoldKind::configuration) held.push_back(id);
  for (const JobId id : held) record(JobReleased{id, ada});
  std::vector<std::string> drained;
  for (const auto& [name, node] : scheduler_.state().nodes)
    if (node.drain) drained.push_back(name);
  for (const std::string& node : drained) record(NodeResumed{node, ada});
  while (!scheduler_.state().reservations.empty()) record(ReservationEnded{scheduler_.state().reservations.begin()->first, ada});
  std::vector<JobId> without_theirs;
  for (const auto& [id, job] : scheduler_.state().jobs)
    if (job.state == JobState::queued && !job.spec.reservation.empty()) without_theirs.push_back(id);
  for (const JobId id : without_theirs) record(JobCancelled{id, ada});
}

void World::submit() {
  JobSpec spec;
  spec.command = {"/bin/train"};
  spec.working_directory = "/";
  spec.time_limit_ms = seconds(random_.between(1, 120));
  spec.stop_grace_ms = seconds(random_.between(0, 5));
  if (random_.chance(150)) spec.partition = "debug";
  spec.resources = {.gpus = random_.between(1, random_.chance(700) ? 8 : 48)};
  if (random_.chance(400)) spec.script = Script{"#!/bin/sh\n"};
  if (random_.chance(200)) spec.ranks = random_.between(1, 6);
  if (random_.chance(300)) spec.resources = {.nodes = random_.between(1, 6), .gpus_per_node = random_.between(1, 8)};
  while (scheduler_.state().next_job > 1 && random_.chance(250)) {
    // Mostly of a job that is still to come to its end.
    const std::int64_t newest = scheduler_.state().next_job - 1;
    const JobId on{random_.between(random_.chance(700) ? std::max<std::int64_t>(1, newest - 8) : 1, newest)};
    spec.dependencies.push_back({on, static_cast<DependencyCondition>(random_.between(0, 3))});
  }
  if (has(Habit::wishes)) add_wishes(spec);
  if (has(Habit::dates)) add_dates(spec);
  const auto& reservations = scheduler_.state().reservations;
  if (!reservations.empty() && random_.chance(300))
    spec.reservation = std::next(reservations.begin(), random_.between(0, static_cast<std::int64_t>(reservations.size()) - 1))->first;
  spec.hold = has(Habit::hold) && random_.chance(50);
  const Actor& owner = anybody();
  const auto answer = scheduler_.accept(spec, owner, now_);
  const auto* accepted = std::get_if<Accepted>(&answer);
  if (!accepted) return;
  JobSubmitted event{.job = {scheduler_.state().next_job}, .spec = accepted->spec, .actor = owner};
  if (random_.chance(300)) event.request_key = "key" + std::to_string(random_.between(1, 9));
  if (random_.chance(150)) {
    std::int64_t index = random_.between(0, 3);
    for (std::int64_t element = random_.between(1, 6); element > 0; --element) event.array_indices.push_back(index), index += random_.between(1, 2);
    event.array_limit = random_.between(0, 3);
  }
  record(event);
}

/// `ultra run` inside a script, as the daemon takes it.
void World::request_gang() {
  for (const auto& [id, job] : scheduler_.state().jobs) {
    if (!takes_gangs(job) || !random_.chance(500)) continue;
    GangSpec spec{.command = {"/bin/step"}, .working_directory = "/"};
    if (random_.chance(200)) spec.ranks_per_node = random_.between(1, 3);
    return record(GangRequested{id, job.attempts.back().attempt, next_gang(job.attempts.back()), spec, ada});
  }
}

void World::stop_gang() {
  for (const auto& [id, job] : scheduler_.state().jobs) {
    const Attempt* attempt = open_attempt(job);
    if (!attempt || attempt->gangs.empty() || !random_.chance(500)) continue;
    return record(GangStopRequested{id, attempt->attempt, attempt->gangs.back().gang, ada});
  }
}

void World::change_cluster() {
  ClusterConfig cluster = full_cluster_;
  if (random_.chance(500) && cluster.nodes.size() > 1)
    cluster.nodes.erase(cluster.nodes.begin() + random_.between(0, static_cast<std::int64_t>(cluster.nodes.size()) - 1));
  if (random_.chance(300)) cluster.partitions.pop_back();
  if (random_.chance(300))
    for (NodeConfig& node : cluster.nodes) node.gpus = std::max<std::int64_t>(1, node.gpus / 2);
  configure(cluster);
}

void World::configure(const ClusterConfig& cluster) {
  record(ClusterConfigured{cluster, {}});
  // A node that is new to the cluster file is down until its agent says hello to a scheduler that has read it.
  for (auto& [name, agent] : agents_) {
    const auto node = scheduler_.state().nodes.find(name);
    if (node == scheduler_.state().nodes.end() || node->second.state == NodeState::down) cut_off(agent);
  }
}

/// What is true of the machines themselves, whatever the scheduler believes.
void World::check_the_world() {
  std::map<JobId, std::int64_t> running_attempt;
  for (const auto& [name, agent] : agents_) {
    std::map<std::int64_t, std::pair<JobId, std::int64_t>> in_use;  // gangs of one attempt share its devices
    for (const auto& [key, gang] : agent.gangs) {
      if (!gang.ran || gang.report.phase == GangPhase::finished) continue;
      for (const std::int64_t device : gang.devices)
        if (in_use.try_emplace(device, key.job, key.attempt).first->second != std::pair{key.job, key.attempt})
          complaints_.push_back("two attempts run on device " + std::to_string(device) + " of " + name);
      const auto [attempt, is_first] = running_attempt.emplace(key.job, key.attempt);
      if (!is_first && attempt->second != key.attempt) complaints_.push_back("two attempts of job " + std::to_string(key.job.value) + " run at once");
    }
  }
}

/// What a plan promises whatever happened before: who waits for others doesn't start now, and no array is planned beyond its limit.
void World::check_the_plan() {
  if (!random_.chance(100)) return;
  std::map<JobId, std::vector<std::pair<Time, Time>>> stays;
  const State& state = scheduler_.state();
  for (const auto& [id, job] : state.jobs)
    if (job.array && job.array->limit > 0 && is_active(job.state)) stays[job.array->array].emplace_back(now_, assumed_end(job, state.policy, now_));
  const Plan plan = scheduler_.plan(now_);
  check_own_turns(plan);
  for (const PlannedJob& line : plan.jobs) {
    const Job& job = state.jobs.at(line.job);
    const bool waits = line.reason.code == ReasonCode::dependency || line.reason.code == ReasonCode::dependency_never;
    const bool is_waiting = awaits_others(job) && line.reason.code != ReasonCode::never_fits && line.reason.code != ReasonCode::held;
    if (waits != is_waiting) complaints_.push_back("job " + std::to_string(line.job.value) + " waits for others, or not, and the plan says otherwise");
    if (waits && line.start_ms && *line.start_ms <= now_) complaints_.push_back("a start is planned for now for a job that waits for others");
    if (line.start_ms && job.array && job.array->limit > 0) stays[job.array->array].emplace_back(*line.start_ms, *line.start_ms + longest_stay(job.spec, scheduler_.state().policy));
  }
  check_that_nobody_below_matters();
  for (const auto& [array, all] : stays) {
    const std::int64_t limit = state.jobs.at(array).array->limit;
    for (const auto& [start, end] : all) {
      const auto at_once = std::count_if(all.begin(), all.end(), [at = start](const auto& stay) { return stay.first <= at && at < stay.second; });
      if (at_once > limit) complaints_.push_back("array " + std::to_string(array.value) + " is planned beyond its limit");
    }
  }
}

/// Whatever is kept from one plan for the next, the plan is the one that a scheduler makes that has just read the state.
void World::check_the_kept_plan() {
  if (++asked_for_the_kept_plan_ % 10 != 0) return;
  const Scheduler fresh(scheduler_.state());
  const std::string where = " after entry " + std::to_string(journal_.size()) + " differs from that of a new scheduler";
  if (scheduler_.plan(now_) != fresh.plan(now_)) complaints_.push_back("the plan" + where);
  if (scheduler_.decide(now_) != fresh.decide(now_)) complaints_.push_back("what is decided" + where);
  if (scheduler_.next_wakeup(now_) != fresh.next_wakeup(now_)) complaints_.push_back("the next time to decide" + where);
}

/// The plan of the first k is the first k of the plan: the others are taken out of the line, as if somebody held them. (But easy_sjf lets the
/// shortest of those that wait go first.)
void World::check_that_nobody_below_matters() {
  if (scheduler_.state().policy.backfill == "easy_sjf") return;
  Plan plan = scheduler_.plan(now_);
  std::erase_if(plan.jobs, [](const PlannedJob& line) { return line.reason.code == ReasonCode::held; });
  // (Reordered jobs stand in each other's places, so one that is below may have lent its place to one above.)
  const auto is_reordered = [&](const PlannedJob& line) { return scheduler_.state().jobs.at(line.job).own_turn > 0; };
  if (plan.jobs.empty() || std::any_of(plan.jobs.begin(), plan.jobs.end(), is_reordered)) return;
  const std::size_t count = journal_.size() % plan.jobs.size();
  State state = scheduler_.state();
  for (std::size_t index = count; index < plan.jobs.size(); ++index) {
    Job& job = state.jobs.at(plan.jobs[index].job);
    if (is_in_trial(job)) {  // it goes on holding what it has, and doesn't come back
      job.state = JobState::stopping;
      job.stop_cause = StopCause::cancelled;
      continue;
    }
    job.state = JobState::held;
    job.hold = Hold{HoldKind::user, "taken out of the line", ada, now_};
  }
  const Plan shorter = Scheduler(state).plan(now_);
  for (std::size_t index = 0; index < count; ++index)
    if (shorter.jobs[index] != plan.jobs[index])
      complaints_.push_back("the plan of job " + std::to_string(plan.jobs[index].job.value) + " depends on jobs below it");
}

}  // namespace ultramarine::core
