// See world.h.
#include "tests/simulation/core/world.h"

#include <algorithm>

#include "scheduler/core/dependencies.h"
#include "scheduler/core/gangs.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/core/stall.h"

namespace ultramarine::core {
namespace {

constexpr int passes_max = 50;
constexpr int heal_rounds_max = 3000;

}  // namespace

World::World(std::uint64_t seed) : random_(seed) {
  // Rare mixes find more than a little of everything: each seed first draws which faults there are.
  const std::int64_t strength = random_.chance(500) ? 300 : 700;
  for (int fault = 0; fault < static_cast<int>(Fault::count); ++fault)
    if (random_.chance(strength)) faults_.insert(static_cast<Fault>(fault));
  for (int habit = 0; habit < static_cast<int>(Habit::count); ++habit)
    if (random_.chance(strength)) habits_.insert(static_cast<Habit>(habit));

  const std::int64_t nodes = random_.between(1, 6), gpus = random_.between(1, 8);  // in this order on every compiler
  full_cluster_ = cluster_of(nodes, gpus);
  full_cluster_.partitions.push_back({.name = "debug", .nodes = {"node1", "node2"}});
  full_cluster_.accounts = {{.name = "labs"}, {.name = "lab-a", .parent = "labs", .members = {"ada"}}, {.name = "lab-b", .parent = "labs", .shares = 2, .members = {"bob"}}};
  full_cluster_.qos.push_back({.name = "urgent", .priority = 10});
  if (has(Habit::wishes)) {
    for (NodeConfig& node : full_cluster_.nodes) {
      node.gpu_type = random_.chance(700) ? "H100" : "A100";
      node.leaf = random_.chance(500) ? "left" : "right";
      if (random_.chance(500)) node.features = {"nvlink"};
      if (random_.chance(500)) node.cpus = random_.between(2, 24);
    }
  }
  if (has(Habit::limits)) set_limits();
  if (has(Fault::hang)) full_cluster_.hang.stop = random_.chance(500);
  for (const NodeConfig& node : full_cluster_.nodes) agents_[node.name].node = node.name;
  record(ClusterConfigured{full_cluster_, {}});
  PolicyConfig policy;
  if (random_.chance(250)) policy.backfill = "none";
  add_trials(policy);
  record(PolicyChanged{policy, {}});
  if (has(Habit::limits)) record(PeriodStarted{now_, now_ + seconds(300), {}});
  liveness_.started_ms = now_;
  for (auto& [name, agent] : agents_) take_hello(agent);
  follow_up();
}

std::string World::faults_in_words() const {
  static const char* const names[] = {"mute", "cut_off", "reboot", "lost_gang", "rank_failure", "refused_launch", "scheduler_restart", "cluster_change", "hang"};
  static const char* const habits[] = {"hold", "reorder", "drain", "wishes", "policy_change", "dates", "reserve", "limits", "trials"};
  std::string words;
  for (const Fault fault : faults_) words += (words.empty() ? "" : " ") + std::string(names[static_cast<int>(fault)]);
  for (const Habit habit : habits_) words += (words.empty() ? "" : " ") + std::string(habits[static_cast<int>(habit)]);
  return words.empty() ? "no faults" : words;
}

World::Agent& World::any_agent() {
  auto agent = agents_.begin();
  std::advance(agent, random_.between(0, static_cast<std::int64_t>(agents_.size()) - 1));
  return agent->second;
}

JobId World::any_job() { return {random_.between(1, std::max<std::int64_t>(scheduler_.state().next_job - 1, 1))}; }

// ---- the scheduler's side

void World::record(const Entry& entry) {
  scheduler_.apply(now_, entry);
  journal_.push_back({now_, entry, scheduler_.state_hash()});
  if (random_.chance(20)) snapshots_[journal_.size()] = scheduler_.state();
  for (const std::string& violation : check_invariants(scheduler_.state()))
    complaints_.push_back("after entry " + std::to_string(journal_.size()) + ": " + violation);
  check_the_kept_plan();
}

void World::follow_up() {
  check_the_kept_plan();  // time may have passed without an entry
  int pass = 0;
  for (; pass < passes_max; ++pass) {
    const std::vector<Event> events = due_events(scheduler_.state(), liveness_, now_);
    if (events.empty()) break;
    for (const Event& event : events) record(to_entry(event));
  }
  if (pass == passes_max) complaints_.push_back("the same events are due again and again");
  if (const auto next = next_due(scheduler_.state(), liveness_, now_); next && *next <= now_)
    complaints_.push_back("next_due names a time at which nothing was due");
  const auto decisions = scheduler_.decide(now_);
  check_round(decisions);
  if (!decisions.empty()) record(Round{now_, planner_version, scheduler_.policy_hash(), decisions});
  if (!scheduler_.decide(now_).empty()) complaints_.push_back("a round leaves something to decide");
  check_the_plan();
  dispatch();
  check_the_world();
}

void World::heard(const Agent& agent) {
  liveness_.nodes[agent.node].last_heard_ms = now_;
  const auto node = scheduler_.state().nodes.find(agent.node);
  if (node == scheduler_.state().nodes.end()) return;
  if (node->second.state == NodeState::suspect || node->second.state == NodeState::unreachable)
    record(NodeJoined{agent.node, "boot-" + std::to_string(agent.boot), "0.1.0", agent.node, {}});
}

void World::take_hello(Agent& agent) {
  if (!scheduler_.state().nodes.count(agent.node)) return;  // refused: not in the cluster file
  agent.connected = true;
  ++agent.session;
  NodeLiveness& live = liveness_.nodes[agent.node];
  live.connected = true;
  live.last_heard_ms = now_;
  live.known_gangs.clear();
  for (auto& [key, gang] : liveness_.gangs) gang.stillness.erase(agent.node);
  agent.outbox.clear();
  agent.inbox.clear();
  for (const auto& [key, gang] : agent.gangs) {
    live.known_gangs.push_back(key);
    report(agent, gang);
  }
  record(NodeJoined{agent.node, "boot-" + std::to_string(agent.boot), "0.1.0", agent.node, {}});
}

void World::take(const Agent& agent, const GangReport& report) {
  heard(agent);
  auto& known = liveness_.nodes[agent.node].known_gangs;
  if (std::find(known.begin(), known.end(), report.key) == known.end()) known.push_back(report.key);
  liveness_.gangs[report.key].nodes[agent.node] = report;
}

void World::dispatch() {
  std::set<GangKey> keys;
  for (const auto& [id, job] : scheduler_.state().jobs)
    if (const Attempt* attempt = open_attempt(job))
      for (const std::int64_t gang : gangs_of(*attempt)) keys.insert({id, attempt->attempt, gang});
  for (const auto& [key, gang] : liveness_.gangs) keys.insert(key);
  for (auto& [name, agent] : agents_) {
    if (!agent.connected) continue;
    for (const GangKey& key : keys) {
      const LaunchStep step = launch_step(scheduler_.state(), liveness_, key, name);
      auto& [session, last] = said_[{key, name}];
      if (step == LaunchStep::nothing || (session == agent.session && last == step)) continue;
      session = agent.session;
      last = step;
      Command command{step, key, {}};
      if (step == LaunchStep::prepare) {
        GangLiveness& gang = liveness_.gangs[key];
        if (gang.first_asked_ms == Time{}) gang.first_asked_ms = now_;
        const Job& job = scheduler_.state().jobs.at(key.job);
        for (const NodeAllocation& on_node : gang_allocation(job, job.attempts.back(), key.gang))
          if (on_node.node == name) command.devices = on_node.devices;
      }
      if (step == LaunchStep::forget) {
        std::erase(liveness_.nodes[name].known_gangs, key);
        liveness_.gangs[key].nodes.erase(name);
        said_.erase({key, name});
      }
      agent.inbox.push_back(std::move(command));
    }
  }
}

/// kill -9: liveness and connections are gone, the journal is all there is. Agents and gangs don't notice.
void World::restart_scheduler() {
  Scheduler replayed;
  for (const Record& record : journal_) replayed.apply(record.at, record.entry);
  if (replayed.state_hash() != scheduler_.state_hash()) complaints_.push_back("a restart met another state");
  scheduler_ = replayed;
  liveness_ = {};
  liveness_.started_ms = now_;
  said_.clear();
  for (auto& [name, agent] : agents_) cut_off(agent);
}

// ---- the agents' side

void World::report(Agent& agent, const PretendedGang& gang) {
  if (agent.connected) agent.outbox.push_back(gang.report);
}

void World::deliver(Agent& agent) {
  if (agent.muted || !agent.connected || agent.outbox.empty()) return;
  take(agent, agent.outbox.front());
  agent.outbox.pop_front();
}

void World::obey(Agent& agent) {
  if (agent.muted || agent.inbox.empty()) return;
  const Command command = agent.inbox.front();
  agent.inbox.pop_front();
  const auto found = agent.gangs.find(command.key);
  const bool is_new = found == agent.gangs.end();
  if (is_new && command.step == LaunchStep::forget) return;
  PretendedGang& gang = agent.gangs[command.key];
  gang.report.key = command.key;
  const auto finish = [&](Outcome outcome) {
    gang.report.phase = GangPhase::finished;
    if (!gang.report.outcome) gang.report.outcome = outcome;
  };
  switch (command.step) {
    case LaunchStep::prepare:
      if (!is_new) break;
      gang.devices = command.devices;
      if (has(Fault::refused_launch) && random_.chance(100)) {
        finish(Outcome::start_failed);
        gang.report.failure = Failure{.node = agent.node, .detail = "no such command", .at_ms = now_};
      }
      break;
    case LaunchStep::start:
      if (is_new) complaints_.push_back("Start of a gang that " + agent.node + " never prepared");
      if (gang.report.phase == GangPhase::prepared) gang.report.phase = GangPhase::running, gang.ran = true;
      break;
    case LaunchStep::stop:
    case LaunchStep::terminate:
      if (is_new)
        finish(Outcome::cancelled);
      else if (gang.report.phase != GangPhase::finished)
        gang.report.phase = GangPhase::stopping;
      break;
    case LaunchStep::forget:
      if (gang.report.phase == GangPhase::finished) agent.gangs.erase(command.key);
      return;
    case LaunchStep::nothing: break;
  }
  report(agent, gang);
}

/// One of its gangs gets further by itself.
void World::progress(Agent& agent, bool may_fail) {
  std::vector<PretendedGang*> moving;
  for (auto& [key, gang] : agent.gangs) {
    // A script mostly waits for the gangs that it started.
    const auto after = agent.gangs.upper_bound(key);
    const bool has_started_others = key.gang == 1 && after != agent.gangs.end() && after->first.job == key.job && after->first.attempt == key.attempt;
    if (has_started_others && may_fail && gang.report.phase == GangPhase::running && random_.chance(900)) continue;
    if (gang.report.phase != GangPhase::prepared && gang.report.phase != GangPhase::finished) moving.push_back(&gang);
  }
  if (moving.empty()) return;
  PretendedGang& gang = *moving[static_cast<std::size_t>(random_.between(0, static_cast<std::int64_t>(moving.size()) - 1))];
  switch (gang.report.phase) {
    case GangPhase::preparing: gang.report.phase = GangPhase::prepared; break;
    case GangPhase::running:
      if (may_fail && has(Fault::rank_failure) && random_.chance(150)) {
        gang.report.outcome = random_.chance(500) ? Outcome::failed : Outcome::out_of_memory;
        gang.report.failure = Failure{.rank = 0, .node = agent.node, .exit_code = 1, .at_ms = now_};
        gang.report.phase = random_.chance(500) ? GangPhase::finished : GangPhase::running;
      } else {
        const Attempt* const open = open_attempt(scheduler_.state().jobs.at(gang.report.key.job));
        const bool is_tried = open && open->attempt == gang.report.key.attempt && open->trial_ms && gang.report.key.gang == 1;
        gang.report.phase = GangPhase::finished;
        if (!gang.report.outcome) gang.report.outcome = is_tried && random_.chance(700) ? Outcome::timed_out : Outcome::succeeded;
      }
      break;
    case GangPhase::stopping:
      gang.report.phase = GangPhase::finished;
      if (!gang.report.outcome) gang.report.outcome = Outcome::cancelled;
      break;
    default: break;
  }
  report(agent, gang);
}

/// The nodes of a gang, or some of them, say that nothing goes on there, or that it does again.
void World::stand_still() {
  if (liveness_.gangs.empty()) return;
  const GangKey key = std::next(liveness_.gangs.begin(), random_.between(0, static_cast<std::int64_t>(liveness_.gangs.size()) - 1))->first;
  if (!is_open_gang(scheduler_.state(), key)) return;
  const Job& job = scheduler_.state().jobs.at(key.job);
  const bool everywhere = random_.chance(500);
  std::int64_t rank = 0;
  for (const NodeAllocation& part : gang_allocation(job, job.attempts.back(), key.gang)) {
    const Agent& agent = agents_.at(part.node);
    const auto gang = agent.gangs.find(key);
    if (!agent.connected || agent.muted || gang == agent.gangs.end() || gang->second.report.phase != GangPhase::running) continue;
    if (!everywhere && random_.chance(500)) continue;
    GangStillness said{.key = key, .watched = everywhere || random_.chance(500), .over = everywhere || random_.chance(500), .still_ms = seconds(15), .limit_ms = seconds(15)};
    if (everywhere || random_.chance(500)) said.ranks.push_back({.rank = rank++, .state = random_.chance(500) ? "T" : "S", .look_ms = seconds(1)});
    note_stillness(job, part.node, said, liveness_);
  }
}

void World::cut_off(Agent& agent) {
  agent.connected = false;
  agent.inbox.clear();
  agent.outbox.clear();
  liveness_.nodes[agent.node].connected = false;
  if (liveness_.nodes[agent.node].last_heard_ms == Time{}) liveness_.nodes[agent.node].last_heard_ms = now_;
}

void World::pass_time(Duration length) {
  now_ = now_ + length;
  for (auto& [name, agent] : agents_)
    if (agent.connected && !agent.muted) heard(agent);
}

void World::step() {
  Agent& agent = any_agent();
  switch (random_.between(0, 38)) {
    case 0: case 1: submit(); break;
    case 2:
      if (random_.chance(300)) submit();
      break;
    case 3: case 4: case 5: pass_time(milliseconds(random_.between(1, random_.chance(50) ? 20'000 : 600))); break;
    case 6: case 7: case 8: case 22: case 23: case 24: case 25:
      do obey(agent);
      while (random_.chance(600));
      break;
    case 9: case 10: case 11: case 26: case 27: case 28: case 29:
      do deliver(agent);
      while (random_.chance(600));
      break;
    case 12: case 13: case 30: progress(agent, true); break;
    case 14:
      if (scheduler_.state().jobs.count(any_job()) && random_.chance(400)) record(JobCancelled{JobId{random_.between(1, scheduler_.state().next_job - 1)}, anybody()});
      break;
    case 15:
      if (!scheduler_.state().jobs.empty() && random_.chance(300)) record(JobRequeued{any_job(), ada});
      break;
    case 16:
      if (has(Fault::mute) && random_.chance(400)) agent.muted = !agent.muted;
      break;
    case 17:
      if (!agent.connected && !agent.muted) take_hello(agent);
      else if (has(Fault::cut_off) && random_.chance(300)) cut_off(agent);
      break;
    case 18:
      if (has(Fault::reboot) && random_.chance(150)) {
        cut_off(agent);
        ++agent.boot;
        agent.gangs.clear();
      } else if (has(Fault::lost_gang) && random_.chance(400) && !agent.gangs.empty()) {
        cut_off(agent);
        agent.gangs.erase(std::next(agent.gangs.begin(), random_.between(0, static_cast<std::int64_t>(agent.gangs.size()) - 1)));
      }
      break;
    case 19:
      if (has(Fault::scheduler_restart) && random_.chance(200)) restart_scheduler();
      else if (has(Fault::cluster_change) && random_.chance(150)) change_cluster();
      break;
    case 20: case 31: case 32: case 33: request_gang(); break;
    case 21:
      if (random_.chance(80)) stop_gang();
      break;
    case 34:
      if (has(Habit::hold) && random_.chance(300)) hold_or_release();
      break;
    case 35:
      if (has(Habit::drain) && random_.chance(200)) drain_or_resume();
      break;
    case 36:
      if (has(Habit::reorder) && random_.chance(500)) reorder();
      else if (has(Habit::policy_change) && random_.chance(100)) change_policy();
      break;
    case 38:
      if (has(Fault::hang) && random_.chance(400)) stand_still();
      break;
    case 37:
      if (has(Habit::reserve) && random_.chance(150)) reserve();
      if (has(Habit::limits) && now_ >= scheduler_.state().period.end_ms) record(PeriodStarted{now_, now_ + seconds(300), {}});
      break;
  }
  follow_up();
}

/// What a person does with a job whose dependency ended otherwise.
void World::cancel_what_never_comes() {
  std::vector<JobId> never;
  for (const JobId id : scheduler_.state().awaiting_dependencies)
    if (look_at_dependencies(scheduler_.state(), scheduler_.state().jobs.at(id).spec.dependencies).coming == Coming::never) never.push_back(id);
  for (const JobId id : never) record(JobCancelled{id, ada});
  cancelled_as_never_ += never.size();
}

void World::heal() {
  faults_.clear();
  for (AccountConfig& account : full_cluster_.accounts) account.limits = account.user_limits = {};
  for (QosConfig& qos : full_cluster_.qos) qos.limits = qos.user_limits = {};
  for (PartitionConfig& partition : full_cluster_.partitions) partition.limits = partition.user_limits = {};
  configure(full_cluster_);
  for (auto& [name, agent] : agents_) agent.muted = false;
  for (int round = 0; round < heal_rounds_max; ++round) {
    const auto& jobs = scheduler_.state().jobs;
    if (std::all_of(jobs.begin(), jobs.end(), [](const auto& job) { return is_terminal(job.second.state); })) return;
    cancel_what_never_comes();
    undo_what_people_did();
    pass_time(milliseconds(500));
    for (auto& [name, agent] : agents_) {
      if (!agent.connected) take_hello(agent);
      while (!agent.inbox.empty()) obey(agent);
      progress(agent, false);
      while (!agent.outbox.empty()) deliver(agent);
    }
    follow_up();
  }
  for (const auto& [id, job] : scheduler_.state().jobs) {
    if (is_terminal(job.state)) continue;
    std::string words = "job " + std::to_string(id.value) + " does not end though everything answers: state " + std::to_string(static_cast<int>(job.state)) +
                        ", stop cause " + std::to_string(static_cast<int>(job.stop_cause)) + ", attempt " + std::to_string(job.attempts.size());
    if (!job.attempts.empty())
      for (const NodeAllocation& on_node : job.attempts.back().allocation)
        for (const auto& [key, gang] : agents_.at(on_node.node).gangs)
          if (key.job == id)
            words += ", " + on_node.node + " gang " + std::to_string(key.gang) + " phase " + std::to_string(static_cast<int>(gang.report.phase));
    complaints_.push_back(words);
  }
}

}  // namespace ultramarine::core
