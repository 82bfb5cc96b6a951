#include "worker/core/agent_machine.h"

#include <algorithm>
#include <utility>

namespace ultramarine::worker_core {

using namespace protocol;

namespace {

bool shares_device(const GangRecord& a, const GangRecord& b) {
  return std::any_of(a.devices.begin(), a.devices.end(), [&](std::int64_t device) {
    return std::find(b.devices.begin(), b.devices.end(), device) != b.devices.end();
  });
}

bool is_older_attempt_of(const GangKey& older, const GangKey& key) { return older.job == key.job && older.attempt < key.attempt; }

/// What the shim says of a gang, with the cause that only the agent knows.
GangReport put_down_to_the_device(const KnownGang& gang, GangReport report) {
  if (!gang.record.device_lost) return report;
  report.outcome = Outcome::device_lost;
  report.failure = gang.record.device_lost;
  return report;
}

/// Milliseconds between commands and their repetition are the scheduler's choice, but never a busy loop.
constexpr std::int64_t heartbeat_ms_min = 100;
/// Kept while nobody listens: the first ones, which tell the cause.
constexpr std::size_t troubles_max = 16;

}  // namespace

AgentMachine::AgentMachine(AgentIdentity identity, const AgentMemory& memory) : identity_(std::move(identity)), seen_(memory.seen) {
  for (const GangRecord& record : memory.gangs) {
    KnownGang gang{.record = record};
    gang.report.key = record.key;
    if (record.finished) {
      gang.report = *record.finished;
      gang.heard = true;
    }
    gangs_.emplace(record.key, std::move(gang));
  }
  for (const auto& [job, seen] : seen_) last_order_ = std::max(last_order_, seen.order);
}

// ---- inputs ------------------------------------------------------------------------------------------------------

Actions AgentMachine::on_connected() {
  welcome_ = false;
  Hello hello{.node = identity_.node,
              .boot_id = identity_.boot_id,
              .agent_version = identity_.version,
              .address = identity_.address,
              .source = identity_.source,
              .launches_as_owner = identity_.uid == 0};
  for (const auto& [key, gang] : gangs_) hello.gangs.push_back(key);
  actions_.push_back(Send{std::move(hello)});
  return take();
}

void AgentMachine::on_disconnected() { welcome_ = false; }

Actions AgentMachine::on_scheduler(Time now, const ToAgent& message) {
  std::visit([&](const auto& alternative) { on(now, alternative); }, message);
  return take();
}

Actions AgentMachine::on_shim(Time now, const FromShim& message) {
  std::visit([&](const auto& alternative) { on(now, alternative); }, message);
  return take();
}

Actions AgentMachine::on_lost_gang(Time now, const GangKey& key) {
  KnownGang* gang = find(key);
  if (gang && gang->live()) {
    GangReport report = gang->report;
    report.phase = GangPhase::finished;
    report.outcome = Outcome::supervisor_lost;
    report.failure = Failure{.node = identity_.node,
                             .detail = "the agent of node " + identity_.node + " was restarted and found no trace of the gang: " +
                                       "its start was cut short or its job folder was removed",
                             .node_at_fault = true,
                             .at_ms = now};
    finish(now, *gang, std::move(report));
  }
  return take();
}

Actions AgentMachine::on_device_lost(const std::vector<std::int64_t>& devices, const Failure& failure) {
  for (auto& [key, gang] : gangs_) {
    const bool holds = std::any_of(gang.record.devices.begin(), gang.record.devices.end(), [&](std::int64_t device) {
      return std::find(devices.begin(), devices.end(), device) != devices.end();
    });
    if (!gang.live() || gang.waiting || gang.record.device_lost || !holds) continue;
    gang.record.device_lost = failure;
    gang.report = put_down_to_the_device(gang, gang.report);
    remember(key);
    send_report(gang);
    if (!gang.stop) stop_gang(failure.at_ms, gang, Stop{key, gang.record.stop_grace_ms});
  }
  return take();
}

Actions AgentMachine::on_unlaunchable(Time now, const GangKey& key, const std::string& why) {
  if (KnownGang* known = find(key)) send_report(*known);
  else if (is_older(key)) answer_older(key);
  else {
    note_seen(now, key);
    end_unlaunched(now, key, Outcome::start_failed, "node " + identity_.node + " can't start it: " + why, true);
  }
  return take();
}

Actions AgentMachine::on_trouble(const NodeTrouble& trouble) {
  if (welcome_) send(trouble);
  else if (troubles_.size() < troubles_max) troubles_.push_back(trouble);
  return take();
}

Actions AgentMachine::on_time(Time now) {
  if (!welcome_) return {};
  if (now >= next_heartbeat_ms_) {
    send(Heartbeat{.sequence = ++heartbeats_});
    unanswered_.emplace_back(heartbeats_, now);
    if (unanswered_.size() > unanswered_max) unanswered_.pop_front();
    next_heartbeat_ms_ = now + heartbeat_interval_;
  }
  const bool repeat_checkpoints = now >= next_checkpoint_repeat_ms_;
  if (repeat_checkpoints) next_checkpoint_repeat_ms_ = now + checkpoint_repeat_interval;
  for (auto& [key, gang] : gangs_) {
    if (gang.progress && now >= gang.progress_sent_ms + progress_interval) send_progress(now, gang);
    if (repeat_checkpoints)
      for (const CheckpointReport& checkpoint : gang.record.checkpoints) send(checkpoint);
  }
  return take();
}

std::optional<Time> AgentMachine::next_wakeup() const {
  if (!welcome_) return std::nullopt;
  Time next = next_heartbeat_ms_;
  for (const auto& [key, gang] : gangs_) {
    if (gang.progress) next = std::min(next, gang.progress_sent_ms + progress_interval);
    if (!gang.record.checkpoints.empty()) next = std::min(next, next_checkpoint_repeat_ms_);
  }
  return next;
}

bool AgentMachine::is_over(const GangKey& key) const {
  const auto found = gangs_.find(key);
  return found == gangs_.end() || !found->second.live();
}

void apply(AgentMemory& memory, const MemoryChange& change) {
  for (const JobId job : change.dropped) memory.seen.erase(job);  // it may have been seen again since
  for (const auto& [job, seen] : change.seen) memory.seen[job] = seen;
  const auto place_of = [&](const GangKey& key) {
    return std::partition_point(memory.gangs.begin(), memory.gangs.end(), [&](const GangRecord& record) { return record.key < key; });
  };
  for (const GangRecord& record : change.gangs) {
    const auto place = place_of(record.key);
    if (place != memory.gangs.end() && place->key == record.key) *place = record;
    else memory.gangs.insert(place, record);
  }
  for (const GangKey& key : change.forgotten)
    if (const auto place = place_of(key); place != memory.gangs.end() && place->key == key) memory.gangs.erase(place);
}

AgentMemory AgentMachine::memory() const {
  AgentMemory memory{.seen = seen_};
  for (const auto& [key, gang] : gangs_) memory.gangs.push_back(gang.record);
  return memory;
}

// ---- what the scheduler says -------------------------------------------------------------------------------------

void AgentMachine::on(Time now, const Welcome& welcome) {
  if (!welcome.accepted) return;
  welcome_ = true;
  heartbeat_interval_ = milliseconds(std::max(welcome.heartbeat_ms, heartbeat_ms_min));
  next_heartbeat_ms_ = now + heartbeat_interval_;
  next_checkpoint_repeat_ms_ = now + checkpoint_repeat_interval;
  // Ahead of the reports: a gang that failed because of it is then known to be blameless.
  for (NodeTrouble& trouble : std::exchange(troubles_, {})) send(std::move(trouble));
  for (auto& [key, gang] : gangs_) {
    gang.promised_before = 0;
    send_report(gang);
  }
}

/// Passed on to the parts that would end themselves without it. However late the answer comes, it proves no more than that the scheduler heard
/// us after we had spoken: it counts its silence from then at the earliest, so their time counts from then too.
void AgentMachine::on(Time now, const Heard& heard) {
  const auto sent = take_answered(heard.sequence);
  if (!sent) return;
  for (const auto& [key, gang] : gangs_) {
    if (gang.report.phase != GangPhase::running || gang.report.self_stop_ms.ms <= 0) continue;
    const bool knows_promise = gang.promised_before > 0 && gang.promised_before <= heard.sequence;
    actions_.push_back(TellShim{key, Lease{key, now - *sent, knows_promise ? gang.report.self_stop_ms : Duration{}}});
  }
}

/// When the heartbeat of this number was sent; nullopt for one that was answered before, or that a newer answer has overtaken.
std::optional<Time> AgentMachine::take_answered(std::int64_t sequence) {
  while (!unanswered_.empty() && unanswered_.front().first < sequence) unanswered_.pop_front();
  if (unanswered_.empty() || unanswered_.front().first != sequence) return std::nullopt;
  const Time sent = unanswered_.front().second;
  unanswered_.pop_front();
  return sent;
}

void AgentMachine::on(Time now, const Prepare& prepare) {
  const LaunchSpec& launch = prepare.launch;
  if (KnownGang* known = find(launch.key)) return send_report(*known);
  if (is_older(launch.key)) return answer_older(launch.key);
  const bool fresh = note_seen(now, launch.key);
  if (const auto problem = refusal(identity_, launch)) return end_unlaunched(now, launch.key, Outcome::start_failed, *problem);
  if (!fresh)
    return end_unlaunched(now, launch.key, Outcome::start_failed,
                          "gang " + std::to_string(launch.key.gang) + " of this attempt has already ended on node " + identity_.node +
                              " and is not started twice");
  GangRecord record = record_of(identity_, launch);
  if (const KnownGang* holder = holder_of(record))
    return end_unlaunched(now, launch.key, Outcome::start_failed,
                          "devices of node " + identity_.node + " are still held by job " + std::to_string(holder->record.key.job.value) +
                              " (attempt " + std::to_string(holder->record.key.attempt) +
                              "), which has not ended there: cancel it or wait for it", true);

  KnownGang& gang = gangs_[launch.key];
  gang.record = std::move(record);
  gang.report.key = launch.key;
  gang.heard = true;
  remember(launch.key);
  send_report(gang);
  gang.waiting = launch;
  launch_waiting(launch.key.job);
}

void AgentMachine::on(Time now, const Start& start) {
  KnownGang* gang = find(start.key);
  if (!gang) {
    if (is_older(start.key)) return answer_older(start.key);
    note_seen(now, start.key);
    return end_unlaunched(now, start.key, Outcome::start_failed,
                          "node " + identity_.node + " was told to start a gang that it never prepared");
  }
  if (is_older(start.key) || gang->report.phase >= GangPhase::running) return send_report(*gang);
  if (gang->stop) return;
  gang->start = start;
  if (gang->report.phase == GangPhase::prepared) actions_.push_back(TellShim{start.key, start});
}

void AgentMachine::on(Time now, const Stop& stop) {
  KnownGang* gang = find(stop.key);
  if (!gang) {
    if (is_older(stop.key)) return answer_older(stop.key);
    // Noted, so that a launch of this gang that is still on its way is not obeyed after its end was reported.
    note_seen(now, stop.key);
    return end_unlaunched(now, stop.key, Outcome::cancelled, "");
  }
  if (!gang->live()) return send_report(*gang);
  stop_gang(now, *gang, stop);
}

void AgentMachine::on(Time now, const Forget& forget) {
  KnownGang* gang = find(forget.key);
  if (!gang) return;
  if (gang->live()) {
    // The attempt was given up while this node was out of reach: what still runs has no owner any more.
    gang->forget_when_finished = true;
    return stop_gang(now, *gang, Stop{forget.key, gang->record.stop_grace_ms});
  }
  gangs_.erase(forget.key);
  remember(forget.key);
  actions_.push_back(ForgetGang{forget.key});
}

void AgentMachine::on(Time, const CheckpointRecorded& recorded) {
  KnownGang* gang = find(recorded.key);
  if (!gang) return;
  std::erase_if(gang->record.checkpoints, [&](const CheckpointReport& report) { return report.step == recorded.step; });
  changed_gangs_.insert(recorded.key);  // no hurry: it would be recorded again
  if (gang->live()) actions_.push_back(TellShim{recorded.key, recorded});
}

void AgentMachine::on(Time, const TerminalInput& input) {
  KnownGang* gang = find(input.key);
  if (gang && gang->report.phase == GangPhase::running) actions_.push_back(TellShim{input.key, input});
}

void AgentMachine::on(Time, const Examine& examine) {
  KnownGang* gang = find(examine.key);
  if (gang && gang->report.phase == GangPhase::running) actions_.push_back(TellShim{examine.key, examine});
}

void AgentMachine::on(Time, const TimeAllowed& allowed) {
  KnownGang* gang = find(allowed.key);
  if (gang && gang->report.phase == GangPhase::running) actions_.push_back(TellShim{allowed.key, allowed});
}

void AgentMachine::on(Time, const LogRequest&) {}
void AgentMachine::on(Time, const LogCancel&) {}
void AgentMachine::on(Time, const ApiReply&) {}
void AgentMachine::on(Time, const AttemptOver&) {}

// ---- what the shims say ------------------------------------------------------------------------------------------

void AgentMachine::on(Time now, const GangReport& report) {
  KnownGang* gang = find(report.key);
  if (!gang) {
    // A shim that nobody remembers (the memory file was lost): the truth about this node, so it is told like any other.
    note_seen(now, report.key);
    gang = &gangs_[report.key];
    gang->record.key = report.key;
    gang->record.stop_grace_ms = seconds(30);
    gang->report.key = report.key;
    remember(report.key);
    if (is_older(report.key)) gang->stop = Stop{report.key, gang->record.stop_grace_ms};
  }
  // The end is the end, and a phase never goes back: anything else was overtaken on its way.
  if (!gang->live() || gang->waiting || (gang->heard && report.phase < gang->report.phase)) return;
  if (report.phase == GangPhase::finished) return finish(now, *gang, put_down_to_the_device(*gang, report));
  gang->heard = true;
  if (report.self_stop_ms != gang->report.self_stop_ms) gang->promised_before = 0;
  gang->report = put_down_to_the_device(*gang, report);
  send_report(*gang);
  if (report.phase != GangPhase::prepared && report.phase != GangPhase::running) return;
  if (gang->stop) actions_.push_back(TellShim{report.key, *gang->stop});
  else if (gang->start && report.phase == GangPhase::prepared && !is_older(report.key)) actions_.push_back(TellShim{report.key, *gang->start});
}

void AgentMachine::on(Time now, const Progress& progress) {
  KnownGang* gang = find(progress.key);
  if (!gang || !gang->live()) return;
  gang->progress = progress;
  if (now >= gang->progress_sent_ms + progress_interval) send_progress(now, *gang);
}

void AgentMachine::on(Time, const GangStillness& stillness) {
  KnownGang* gang = find(stillness.key);
  if (!gang || !gang->live()) return;
  gang->stillness = stillness;
  if (stillness.ranks.empty()) gang->stillness.reset();
  send(stillness);
}

void AgentMachine::on(Time, const CheckpointReport& report) {
  KnownGang* gang = find(report.key);
  if (!gang) return;
  auto& kept = gang->record.checkpoints;
  const bool repeated = std::any_of(kept.begin(), kept.end(), [&](const auto& known) { return known.step == report.step; });
  if (!repeated) {
    kept.push_back(report);
    if (kept.size() > checkpoints_max) kept.erase(kept.begin());
    remember(report.key);
  }
  send(report);
}

// ---- parts -------------------------------------------------------------------------------------------------------

void AgentMachine::send(FromAgent message) {
  if (welcome_) actions_.push_back(Send{std::move(message)});
}

/// The checkpoints go first: after the end of the attempt the scheduler would not take them any more. Then the stillness: who hears that the gang
/// runs is to know that it does nothing, but not before it hears what somebody may wait for.
void AgentMachine::send_report(KnownGang& gang) {
  for (const CheckpointReport& checkpoint : gang.record.checkpoints) send(checkpoint);
  if (gang.live() && gang.stillness) send(*gang.stillness);
  if (!gang.heard) return;
  send(gang.report);
  if (welcome_ && gang.promised_before == 0) gang.promised_before = heartbeats_ + 1;
}

void AgentMachine::send_progress(Time now, KnownGang& gang) {
  if (!welcome_ || !gang.progress) return;
  send(*gang.progress);
  gang.progress.reset();
  gang.progress_sent_ms = now;
}

void AgentMachine::remember(const GangKey& key) {
  changed_gangs_.insert(key);
  for (const GangKey& changed : std::exchange(changed_gangs_, {})) {
    if (const KnownGang* gang = find(changed)) change_.gangs.push_back(gang->record);
    else change_.forgotten.push_back(changed);
  }
  actions_.push_back(Remember{std::exchange(change_, {})});
}

bool AgentMachine::is_older(const GangKey& key) const {
  const auto found = seen_.find(key.job);
  return found != seen_.end() && key.attempt < found->second.attempt;
}

/// Raises the newest attempt and gang of the job. True when this gang was never heard of. Nothing for older attempts.
/// A word of a newer attempt means that the older ones were given up: what is left of them here is stopped.
bool AgentMachine::note_seen(Time now, const GangKey& key) {
  if (is_older(key)) return false;
  SeenAttempt& seen = seen_[key.job];
  const bool fresh = key.attempt > seen.attempt || key.gang > seen.gang;
  if (key.attempt > seen.attempt) seen = {.attempt = key.attempt};
  seen.gang = std::max(seen.gang, key.gang);
  seen.order = ++last_order_;
  change_.seen[key.job] = seen;
  prune_seen();
  for (auto& [older, gang] : gangs_)
    if (is_older_attempt_of(older, key) && gang.live() && !gang.stop) stop_gang(now, gang, Stop{older, gang.record.stop_grace_ms});
  return fresh;
}

void AgentMachine::prune_seen() {
  while (seen_.size() > seen_jobs_max) {
    auto oldest = seen_.end();
    for (auto it = seen_.begin(); it != seen_.end(); ++it) {
      const auto known = gangs_.lower_bound(GangKey{it->first, 0, 0});
      if (known != gangs_.end() && known->first.job == it->first) continue;
      if (oldest == seen_.end() || it->second.order < oldest->second.order) oldest = it;
    }
    if (oldest == seen_.end()) return;
    change_.seen.erase(oldest->first);
    change_.dropped.push_back(oldest->first);
    seen_.erase(oldest);
  }
}

KnownGang* AgentMachine::find(const GangKey& key) {
  const auto found = gangs_.find(key);
  return found == gangs_.end() ? nullptr : &found->second;
}

/// Not kept: whoever asks again gets the same answer.
void AgentMachine::answer_older(const GangKey& key) {
  send(GangReport{.key = key, .phase = GangPhase::finished, .outcome = Outcome::cancelled});
}

/// A gang that ends before any shim was started for it. Its report is kept like that of a gang that ran.
void AgentMachine::end_unlaunched(Time now, const GangKey& key, Outcome outcome, const std::string& detail, bool node_at_fault) {
  KnownGang& gang = gangs_[key];
  gang.record.key = key;
  gang.report.key = key;
  GangReport report{.key = key, .phase = GangPhase::finished, .outcome = outcome};
  if (!detail.empty()) report.failure = Failure{.node = identity_.node, .detail = detail, .node_at_fault = node_at_fault, .at_ms = now};
  finish(now, gang, std::move(report));
}

void AgentMachine::finish(Time now, KnownGang& gang, GangReport report) {
  const GangKey key = gang.record.key;
  send_progress(now, gang);
  gang.progress.reset();
  gang.heard = true;
  gang.waiting.reset();
  gang.start.reset();
  gang.stop.reset();
  gang.report = std::move(report);
  gang.record.finished = gang.report;
  if (gang.forget_when_finished) {
    gangs_.erase(key);
    remember(key);
    actions_.push_back(ForgetGang{key});
  } else {
    remember(key);
    send_report(gang);
  }
  launch_waiting(key.job);
}

void AgentMachine::stop_gang(Time now, KnownGang& gang, const Stop& stop) {
  gang.start.reset();
  if (gang.waiting) return finish(now, gang, GangReport{.key = stop.key, .phase = GangPhase::finished, .outcome = Outcome::cancelled});
  gang.stop = stop;
  if (gang.heard && gang.report.phase != GangPhase::preparing) actions_.push_back(TellShim{stop.key, stop});
}

/// Starts the shims of held-back gangs of this job that no older attempt stands in the way of.
void AgentMachine::launch_waiting(JobId job) {
  for (auto it = gangs_.lower_bound(GangKey{job, 0, 0}); it != gangs_.end() && it->first.job == job; ++it) {
    if (!it->second.waiting || older_lives(it->first)) continue;
    actions_.push_back(LaunchPrepare{std::move(*it->second.waiting)});
    it->second.waiting.reset();
  }
}

bool AgentMachine::older_lives(const GangKey& key) const {
  return std::any_of(gangs_.begin(), gangs_.end(),
                     [&](const auto& known) { return is_older_attempt_of(known.first, key) && known.second.live(); });
}

/// The live gang that holds a device of `record` and will neither share it nor make room: gangs of the same attempt share, older attempts of
/// the same job make room.
const KnownGang* AgentMachine::holder_of(const GangRecord& record) const {
  for (const auto& [key, gang] : gangs_) {
    const bool same_job_not_newer = key.job == record.key.job && key.attempt <= record.key.attempt;
    if (gang.live() && !same_job_not_newer && shares_device(gang.record, record)) return &gang;
  }
  return nullptr;
}

Actions AgentMachine::take() { return std::exchange(actions_, {}); }

}  // namespace ultramarine::worker_core
