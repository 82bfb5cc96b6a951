// The loop, recovery and the two commits of a round.
#include "scheduler/server/daemon.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <stdexcept>

#include "scheduler/core/arrays.h"
#include "scheduler/server/crash_point.h"
#include "scheduler/api/month.h"

namespace ultramarine::server {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr auto touch_interval = std::chrono::seconds(4);  // an idle daemon proves that often that its store can be written
constexpr Duration longest_sleep{5'000};  // an idle daemon wakes more often than that
constexpr Duration lag_interval{1'000};
constexpr std::int64_t stuck_after_ms = 15'000;
constexpr std::int64_t write_silence_max_ms = 10'000;
constexpr std::int64_t jobs_per_record_of_snapshot = 5;
constexpr std::size_t follower_entries_max = 20'000;
constexpr auto follower_patience = std::chrono::seconds(5);
constexpr std::size_t ended_progress_max = 100;  // jobs whose curves are kept after their end
constexpr Duration shutdown_patience{30'000};  // beyond the longest grace of the jobs that are being stopped

std::int64_t steady_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now().time_since_epoch()).count(); }

double seconds_since(SteadyClock::time_point start) { return std::chrono::duration<double>(SteadyClock::now() - start).count(); }

/// The job that an entry is about.
JobId job_of(const Entry& entry) {
  return std::visit(
      [](const auto& one) {
        if constexpr (requires { one.job; }) return one.job;
        else return JobId{};
      },
      entry);
}

/// A snapshot's hash: what a state is made of, and its content. Another version's content can't be checked, nor need it be: the journal has
/// everything.
std::string saved_hash(const core::Scheduler& scheduler) { return core::Scheduler::state_shape() + "-" + scheduler.state_hash(); }
bool was_saved_by_this_program(const store::Snapshot& snapshot) { return snapshot.state_hash.rfind(core::Scheduler::state_shape() + "-", 0) == 0; }

}  // namespace

Daemon::Daemon(net::Loop& loop, store::Store& store, DaemonOptions options, Ended ended, Clock clock)
    : loop_(loop),
      store_(store),
      options_(std::move(options)),
      ended_(std::move(ended)),
      exporter_(options_.build, clock.now()),
      clock_(std::move(clock)),
      dispatch_(options_.cluster_secret, [this](JobId job, std::int64_t gang) {
        if (auto environment = store_.environment({job, gang})) return *environment;
        spdlog::warn("job {} has no kept environment: it starts with an empty one", job.value);
        return std::map<std::string, std::string>{};
      }) {
  now_ = started_ms_ = clock_.now();
}

Daemon::~Daemon() {
  stop();
  inbox_->close();
}

void Daemon::set_addresses(std::string http, std::string agents) {
  http_ = std::move(http);
  agents_ = std::move(agents);
}

void Daemon::start() {
  thread_ = std::thread([this] { run(); });
}

void Daemon::stop() {
  stop_asked_ = true;
  inbox_->post([] {});
  if (thread_.joinable()) thread_.join();
}

bool Daemon::alive() const {
  const std::int64_t since = busy_since_ms_;
  return since == 0 || !replayed_ || steady_ms() - since <= stuck_after_ms;
}

std::string Daemon::why_not_ready() const {
  if (!replayed_) return "the scheduler is reading its journal";
  const std::int64_t silence_ms = steady_ms() - last_write_ms_;
  if (silence_ms > write_silence_max_ms) return "nothing was written to the journal for " + std::to_string(silence_ms / 1000) + " s";
  return "";
}

// ---- the thread

void Daemon::run() {
  int exit_code = 0;
  std::string message;
  bool by_itself = true;
  try {
    recover();
    SteadyClock::time_point wake = SteadyClock::now();
    for (;;) {
      std::vector<Inbox::Work> work = inbox_->take(wake);
      busy_since_ms_ = steady_ms();
      one_round(std::move(work));
      if (stop_asked_) {
        by_itself = false;
        break;
      }
      if (finish_shutdown()) break;
      wake = next_moment();
      busy_since_ms_ = 0;
    }
    record_all_waits();
    save_snapshot();
  } catch (const std::exception& error) {
    exit_code = 1;
    message = error.what();
    by_itself = true;
  }
  busy_since_ms_ = 0;
  inbox_->close();
  if (by_itself && ended_) ended_(exit_code, message);
}

void Daemon::recover() {
  std::int64_t from_snapshot = 0;
  Time follower_begins_at;
  if (!options_.from_journal) {
    if (auto saved = store_.newest_snapshot(); saved && was_saved_by_this_program(*saved)) {
      core::Scheduler restored(std::move(saved->state));
      const std::string hash = saved_hash(restored);
      if (hash != saved->state_hash)
        throw std::runtime_error("the snapshot at journal record " + std::to_string(saved->sequence) + " has the state hash " +
                                 saved->state_hash + ", its content hashes to " + hash +
                                 ": refusing to start; the journal has everything, so start once with --from-journal");
      scheduler_ = std::move(restored);
      sequence_ = snapshot_sequence_ = from_snapshot = saved->sequence;
      clock_.not_before(saved->at_ms);
      follower_begins_at = saved->at_ms;
    } else if (saved) {
      spdlog::info("the snapshot at journal record {} is of another version: reading the whole journal", saved->sequence);
    }
  }
  // The follower goes over the same entries again, unless they are very many: then it begins with what they come to.
  State follower_begins = state();
  Follower::Entries since;
  Time recorded = follower_begins_at;
  bool too_many = false;
  store_.read(sequence_ + 1, [&](const store::Record& record) {
    if (record.sequence != sequence_ + 1)
      throw std::runtime_error("the journal goes from record " + std::to_string(sequence_) + " to " + std::to_string(record.sequence) +
                               ": refusing to start; restore the state directory from a copy");
    scheduler_.apply(record.at_ms, record.entry);
    sequence_ = record.sequence;
    recorded = record.at_ms;
    clock_.not_before(record.at_ms);
    if (too_many) return;
    since.emplace_back(record.at_ms, record.entry);
    too_many = since.size() > follower_entries_max;
  });
  if (too_many) follower_.start(state(), clock_.now(), {});
  else follower_.start(std::move(follower_begins), follower_begins_at, std::move(since));
  active_ = core::active_jobs(state());
  now_ = started_ms_ = clock_.now();
  tell_by(options_.notifications);
  outbox_.begin(store_, recorded);
  liveness_.started_ms = now_;
  for (const auto& [name, node] : state().nodes)
    if (node.state == NodeState::up) awaits_agents_until_ = now_ + options_.cluster.timeouts.agents_return_ms;
  exporter_.begin(now_, state());
  exporter_.know(options_.cluster);
  obey(options_.metrics);
  record_configuration();
  record_period();
  commit();
  last_write_ = SteadyClock::now();
  last_write_ms_ = steady_ms();
  replayed_ = true;
  revision_ = sequence_;
  spdlog::info("state of journal record {} (snapshot {}): {} jobs, {} nodes, hash {}", sequence_, from_snapshot, state().jobs.size(),
               state().nodes.size(), scheduler_.state_hash());
}

void Daemon::record_configuration() {
  if (state().cluster != options_.cluster) record(ClusterConfigured{options_.cluster, scheduler_actor()});
  if (state().policy != options_.policy) record(PolicyChanged{options_.policy, scheduler_actor()});
}

void Daemon::one_round(std::vector<Inbox::Work> work) {
  const Time previous = now_;
  now_ = clock_.now();
  excuse_silence(previous);
  for (Inbox::Work& one : work) one();
  work.clear();
  record_period();
  record_due_events();
  record_finished_waits();
  outbox_.on_time(now_, state(), active_, pending_);
  forget_arrived_letters();
  const bool recorded = !pending_.entries.empty();
  commit();
  if (recorded) crash_point("after_reply_before_round");
  decide();
  dispatch();
  save_snapshot_when_due();
  touch_store();
  measure_loop_lag();
}

void Daemon::obey(const protocol::MetricsSection& metrics) {
  metrics_ = metrics;
  exporter_.obey({metrics.user_label, metrics.peak_tflops});
}

/// How long work waits for the loop's thread: something that takes its time there holds up every request and every agent.
void Daemon::measure_loop_lag() {
  if (now_ - lag_measured_ms_ < lag_interval) return;
  lag_measured_ms_ = now_;
  on_loop([this, asked = SteadyClock::now()] { exporter_.on_loop_lag(seconds_since(asked)); });
}

void Daemon::on_loop(std::function<void()> work) {
  loop_.post([alive = std::weak_ptr(alive_), work = std::move(work)] {
    if (!alive.expired()) work();
  });
}

/// The machine slept, its clock was set, or this process did not get to run: no agent was silent for that long.
void Daemon::excuse_silence(Time previous) {
  Duration excused = clock_.take_step();
  if (now_ - previous > longest_sleep) excused = std::max(excused, now_ - previous);
  if (excused.ms == 0) return;
  spdlog::warn("time went on by {} ms without this daemon", excused.ms);
  for (auto& [name, node] : liveness_.nodes) node.last_heard_ms = node.last_heard_ms + excused;
  for (auto& [key, gang] : liveness_.gangs)
    if (gang.first_asked_ms.ms != 0) gang.first_asked_ms = gang.first_asked_ms + excused;
  if (liveness_.started_ms) liveness_.started_ms = *liveness_.started_ms + excused;
}

void Daemon::record(const Entry& entry) {
  scheduler_.apply(now_, entry);
  crash_point("after_apply");
  pending_.entries.emplace_back(now_, entry);
  outbox_.on_entry(entry, now_, state(), pending_);
  const auto touch = [this](JobId id) {
    if (id.value == 0) return;
    touched_.insert(id);
    know_active(id);
    forget_environment_of(id);
    forget_old_progress(id);
  };
  touch(job_of(entry));
  if (const auto* round = std::get_if<Round>(&entry))
    for (const Decision& decision : round->decisions) touch(std::visit([](const auto& one) { return one.job; }, decision));
  if (const auto* finished = std::get_if<GangFinished>(&entry); finished && finished->gang != 1)
    pending_.forget_environments.push_back({finished->job, finished->gang});
}

void Daemon::know_active(JobId id) {
  const auto job = state().jobs.find(id);
  if (job != state().jobs.end() && is_active(job->second.state)) active_.insert(id);
  else active_.erase(id);
}

/// An ended job's, and an array's once its last element has ended.
void Daemon::forget_environment_of(JobId id) {
  const auto job = state().jobs.find(id);
  if (job == state().jobs.end() || !is_terminal(job->second.state)) return;
  if (core::all_elements(state(), job->second, [](const Job& element) { return is_terminal(element.state); }))
    pending_.forget_environments.push_back(job->second.array ? job->second.array->array : id);
}

/// Curves of jobs that ended last are kept a while; `ended`: a job that may have ended just now.
void Daemon::forget_old_progress(JobId ended) {
  const auto job = state().jobs.find(ended);
  if (job == state().jobs.end() || !is_terminal(job->second.state) || progress_.count(ended) == 0) return;
  ended_progress_.push_back(ended);
  if (ended_progress_.size() <= ended_progress_max) return;
  progress_.erase(ended_progress_.front());
  ended_progress_.pop_front();
}

void Daemon::record_due_events() {
  // What follows may imply more (a gang that finished ends its attempt), but not for ever.
  for (int pass = 0; pass < 100; ++pass) {
    const std::vector<Event> events = core::due_events(state(), active_, liveness_, now_);
    if (events.empty()) return;
    for (const Event& event : events) record(to_entry(event));
  }
  throw std::logic_error("the same events fall due again and again: refusing to fill the journal with them");
}

/// Limits per month count in calendar months of the cluster's time zone.
void Daemon::record_period() {
  if (now_ < state().period.end_ms) return;
  const api::Month month = api::month_of(now_, state().cluster.time_zone);
  record(PeriodStarted{month.start, month.end, scheduler_actor()});
}

void Daemon::commit() {
  if (!pending_.empty()) {
    crash_point("before_commit");
    const auto start = SteadyClock::now();
    revision_ = sequence_ = store_.append(pending_);
    last_write_ = SteadyClock::now();
    last_write_ms_ = steady_ms();
    exporter_.on_commit(seconds_since(start), pending_.entries.size());
    for (const auto& [at, entry] : pending_.entries) exporter_.on_entry(at, entry, state());
    follower_.follow(pending_.entries);
    outbox_.hand_over();
    if (shared_state_) keep_for_shared_state(std::move(pending_.entries));
    pending_ = {};
    crash_point("after_commit_before_reply");
  }
  for (const auto& answer : std::exchange(after_commit_, {})) answer();
  former_plan_.reset();  // once the answers are on their way
  notify_watchers();
}

/// What nobody has asked for in a long while is made anew when somebody does.
void Daemon::keep_for_shared_state(std::vector<std::pair<Time, Entry>> entries) {
  std::move(entries.begin(), entries.end(), std::back_inserter(since_shared_));
  if (since_shared_.size() <= 1000 + state().jobs.size() / 8) return;
  shared_state_.reset();
  since_shared_.clear();
}

void Daemon::notify_watchers() {
  if (touched_.empty()) return;
  for (auto watcher = watchers_.begin(); watcher != watchers_.end();) {
    const auto job = touched_.count(watcher->second.job) ? state().jobs.find(watcher->second.job) : state().jobs.end();
    if (job == state().jobs.end() || !watcher->second.until(job->second)) {
      ++watcher;
      continue;
    }
    loop_.post(std::move(watcher->second.then));
    watcher = watchers_.erase(watcher);
  }
  touched_.clear();
}

/// After a restart: nodes that were up but have not said hello yet may be gone, and a job placed there would wait in vain.
bool Daemon::awaits_agents() {
  if (!awaits_agents_until_) return false;
  const auto sessions = sessions_.numbers();
  const bool all_back = std::all_of(state().nodes.begin(), state().nodes.end(),
                                    [&](const auto& entry) { return entry.second.state != NodeState::up || sessions.count(entry.first); });
  if (!all_back && now_ < *awaits_agents_until_) return true;
  awaits_agents_until_.reset();
  return false;
}

void Daemon::decide() {
  decides_again_ = false;
  if (shutdown_deadline_ || awaits_agents()) return;
  if (decided_sequence_ == sequence_ && !(wake_at_ && now_ >= *wake_at_)) return;
  const auto start = SteadyClock::now();
  std::vector<Decision> decisions = scheduler_.decide(now_);
  exporter_.on_round_phase("decide", seconds_since(start));
  decided_sequence_ = sequence_;
  if (decisions.empty()) {
    wake_at_ = scheduler_.next_wakeup(now_);
    return;
  }
  for (const Decision& decision : decisions) {
    if (const auto* start_job = std::get_if<StartJob>(&decision))
      spdlog::info("job {} attempt {} starts on {} nodes{}", start_job->job.value, start_job->attempt, start_job->allocation.size(),
                   start_job->backfilled ? " (backfilled)" : "");
    else spdlog::info("job {} is rejected: it can never run", std::get<RejectJob>(decision).job.value);
  }
  record(Round{now_, core::planner_version, scheduler_.policy_hash(), std::move(decisions)});
  crash_point("before_round_commit");
  const auto commit_start = SteadyClock::now();
  commit();
  exporter_.on_round_phase("commit", seconds_since(commit_start));
  crash_point("after_round_commit_before_dispatch");
  decides_again_ = true;  // until it has nothing to choose
}

void Daemon::dispatch() {
  const auto start = SteadyClock::now();
  const std::vector<Command> commands = dispatch_.due(state(), active_, liveness_, sessions_.numbers(), now_);
  for (const Command& command : commands) {
    std::visit([&](const auto& message) { spdlog::debug("to {}: {}", command.node, std::decay_t<decltype(message)>::type); },
               command.message);
    sessions_.send(command.node, command.message);
  }
  exporter_.on_round_phase("dispatch", seconds_since(start));
  if (commands.empty()) return;
  ++liveness_version_;
  crash_point("after_dispatch");
}

/// A snapshot costs as much as the state is large, a replay as much as it lacks: what is written for snapshots stays a small share.
bool Daemon::is_snapshot_due() const {
  const auto jobs = static_cast<std::int64_t>(state().jobs.size());
  return sequence_ - snapshot_sequence_ >= std::max(options_.records_per_snapshot, jobs / jobs_per_record_of_snapshot);
}

void Daemon::save_snapshot() {
  if (sequence_ == snapshot_sequence_) return;
  crash_point("before_snapshot");
  store_.save_snapshot({sequence_, now_, saved_hash(scheduler_), state()});
  snapshot_sequence_ = sequence_;
}

/// First what has been waited for so far, so that the next life of the scheduler knows it: the follower says it in its own time, and a snapshot
/// doesn't wait for ever.
void Daemon::save_snapshot_when_due() {
  if (!is_snapshot_due()) return;
  if (!open_waits_.valid()) {
    open_waits_ = follower_.open_waits(now_);
    open_waits_asked_ = SteadyClock::now();
    follower_.ask(now_, [inbox = inbox_](const api::Followed&) { inbox->post([] {}); });  // the next round has it
    return;
  }
  if (open_waits_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
    record_open_waits(open_waits_.get());
    commit();
  } else if (SteadyClock::now() - open_waits_asked_ < follower_patience) {
    return;
  }
  open_waits_ = {};
  save_snapshot();
}

/// Of jobs that still wait; of others there is something newer, or will be.
void Daemon::record_open_waits(const std::vector<AccountedWait>& waits) {
  WaitsAccounted event{{}, scheduler_actor()};
  for (const AccountedWait& wait : waits) {
    const auto job = state().jobs.find(wait.job);
    if (job == state().jobs.end() || is_active(job->second.state) || is_terminal(job->second.state)) continue;
    if (job->second.waited_until_ms >= wait.until_ms || core::queued_since(job->second) > wait.until_ms) continue;
    event.waits.push_back(wait);
  }
  if (!event.waits.empty()) record(event);
}

/// With whatever is written anyway, and else when the store is touched: a commit of its own is not worth it.
void Daemon::record_finished_waits() {
  if (pending_.entries.empty() && SteadyClock::now() - last_write_ < touch_interval) return;
  WaitsAccounted event{follower_.take_finished(), scheduler_actor()};
  if (!event.waits.empty()) record(event);
}

/// As finished waits: should the daemon end before, they are sent again.
void Daemon::forget_arrived_letters() {
  if (pending_.empty() && SteadyClock::now() - last_write_ < touch_interval) return;
  outbox_.forget_arrived(pending_);
}

/// At the end.
void Daemon::record_all_waits() {
  auto open = follower_.open_waits(now_);
  if (open.wait_for(follower_patience) == std::future_status::ready) {
    record_open_waits(open.get());
    WaitsAccounted finished{follower_.take_finished(), scheduler_actor()};
    if (!finished.waits.empty()) record(finished);
  }
  outbox_.stop();
  outbox_.forget_arrived(pending_);
  commit();
  follower_.stop();
}

void Daemon::touch_store() {
  if (SteadyClock::now() - last_write_ < touch_interval) return;
  const auto start = SteadyClock::now();
  store_.prove_writable();
  last_write_ = SteadyClock::now();
  exporter_.on_commit(seconds_since(start), 0);
  last_write_ms_ = steady_ms();
}

bool Daemon::finish_shutdown() {
  if (!shutdown_deadline_) return false;
  if (active_.empty()) return true;
  if (now_ < *shutdown_deadline_) return false;
  spdlog::warn("shutting down although jobs have not stopped in time: the next start goes on with them");
  return true;
}

SteadyClock::time_point Daemon::next_moment() {
  if (decides_again_) return SteadyClock::now();
  auto moment = last_write_ + touch_interval;
  const auto not_after = [&](std::optional<Time> due) {
    if (!due) return;
    // Not at once again: what was due a moment ago has just been looked at.
    const std::int64_t wait_ms = std::max<std::int64_t>((*due - now_).ms, 1);
    moment = std::min(moment, SteadyClock::now() + std::chrono::milliseconds(std::min<std::int64_t>(wait_ms, 60'000)));
  };
  not_after(core::next_due(state(), active_, liveness_, now_));
  not_after(outbox_.next(state(), active_));
  not_after(state().period.end_ms);
  not_after(awaits_agents_until_);
  not_after(shutdown_deadline_);
  if (!shutdown_deadline_) not_after(wake_at_);
  return moment;
}

// ---- the end, when it is asked for

void Daemon::shut_down(bool requeue, Actor actor, Changed done) {
  inbox_->post([this, requeue, actor, done = std::move(done)] {
    const auto answer = [this, done](std::optional<api::Problem> problem) {
      answer_after_commit([done, problem = std::move(problem)] { done(problem); });
    };
    const std::size_t active = active_.size();
    Duration longest_grace{};
    for (const JobId id : active_) longest_grace = std::max(longest_grace, state().jobs.at(id).spec.stop_grace_ms);
    if (active > 0 && !requeue) {
      answer(api::conflict(active == 1 ? "1 job runs" : std::to_string(active) + " jobs run",
                           "wait for them, cancel them, or use --requeue to stop them and queue them again"));
      return;
    }
    spdlog::info("shutdown asked for by uid {}: {} jobs to stop and queue again", actor.uid, active);
    std::vector<JobId> to_requeue;
    for (const JobId id : active_)
      if (state().jobs.at(id).state != JobState::stopping) to_requeue.push_back(id);
    for (const JobId id : to_requeue) record(JobRequeued{id, actor});
    shutdown_deadline_ = now_ + longest_grace + shutdown_patience;
    answer(std::nullopt);
  });
}

}  // namespace ultramarine::server
