// The daemon as the API's backend: every question and change is work for its thread, answered after the commit that makes it true.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "scheduler/api/changes.h"
#include "scheduler/api/job_name.h"
#include "scheduler/api/notify.h"
#include "scheduler/core/accept.h"
#include "scheduler/core/arrays.h"
#include "scheduler/core/lifecycle.h"
#include "scheduler/server/daemon.h"

namespace ultramarine::server {

namespace {
constexpr Duration plan_age_max{1'000};  // planned starts move with time only by overdue jobs: a second is soon enough for people
}

void Daemon::answer_after_commit(std::function<void()> answer) {
  after_commit_.push_back([this, answer = std::move(answer)]() mutable { loop_.post(std::move(answer)); });
}

/// As of the newest commit. Whoever holds the answer reads it undisturbed.
std::shared_ptr<const State> Daemon::shared_state() {
  const bool is_behind = shared_state_ && shared_state_->sequence != sequence_;
  if (is_behind && shared_state_->readers.load(std::memory_order_acquire) > 0) shared_state_.reset();
  if (!shared_state_) {
    shared_state_ = std::make_shared<SharedState>();
    shared_state_->state = state();
  } else {
    for (const auto& [at, entry] : since_shared_) core::apply_entry(shared_state_->state, at, entry);
  }
  since_shared_.clear();
  shared_state_->sequence = sequence_;
  ++shared_state_->readers;
  return {&shared_state_->state, [shared = shared_state_](const State*) { shared->readers.fetch_sub(1, std::memory_order_release); }};
}

api::SnapshotPtr Daemon::snapshot() {
  if (shared_hash_sequence_ != sequence_) {
    shared_hash_ = std::make_shared<api::StateHash>();
    shared_hash_sequence_ = sequence_;
  }
  if (shared_plan_sequence_ != sequence_ || now_ - shared_plan_->now_ms > plan_age_max) {
    former_plan_ = std::exchange(shared_plan_, std::make_shared<const Plan>(scheduler_.plan(now_)));
    shared_plan_sequence_ = sequence_;
  }
  if (shared_liveness_version_ != liveness_version_) {
    shared_liveness_ = std::make_shared<const core::Liveness>(liveness_);
    shared_liveness_version_ = liveness_version_;
  }
  auto answer = std::make_shared<api::Snapshot>();
  answer->now_ms = now_;
  answer->started_ms = started_ms_;
  answer->sequence = sequence_;
  answer->state_hash = shared_hash_;
  answer->state = shared_state();
  answer->plan = shared_plan_;
  answer->liveness = shared_liveness_;
  answer->http = http_;
  answer->agents = agents_;
  answer->notifications = notifications_;
  return answer;
}

void Daemon::ask(std::function<void(api::SnapshotPtr)> done) {
  inbox_->post([this, done = std::move(done)]() mutable {
    after_commit_.push_back(
        [this, done = std::move(done)]() mutable { loop_.post([done = std::move(done), answer = snapshot()] { done(answer); }); });
  });
}

void Daemon::metrics_text(std::function<void(std::string)> done) {
  inbox_->post([this, done = std::move(done)]() mutable {
    after_commit_.push_back([this, done = std::move(done)]() mutable {
      const std::int64_t bytes = store_.size_bytes(), wal_bytes = store_.wal_bytes(), letters = outbox_.size();
      on_loop([this, done = std::move(done), answer = snapshot(), bytes, wal_bytes, letters] {
        const auto sessions = static_cast<std::int64_t>(sessions_.numbers().size());
        done(exporter_.text({*answer->state, *answer->plan, *answer->liveness, answer->now_ms, sessions, bytes, wal_bytes,
                             static_cast<std::int64_t>(output_streams_.open_clients()), letters}));
      });
    });
  });
}

void Daemon::submit(api::Submission submission, Actor actor, std::function<void(Submitted)> done) {
  inbox_->post([this, submission = std::move(submission), actor, done = std::move(done)]() mutable {
    const auto answer = [this, &done](Submitted submitted) {
      answer_after_commit([done = std::move(done), submitted = std::move(submitted)] { done(submitted); });
    };
    if (shutdown_deadline_) {
      answer(api::not_ready("the scheduler is shutting down", "submit again when it has been started again"));
      return;
    }
    try {
      if (submission.check) submission.check(state(), submission.spec);
      api::check_notifications(submission.spec.notify, outbox_.section());
    } catch (const api::Problem& refused) {
      answer(refused);
      return;
    }
    if (!submission.request_key.empty()) {
      const auto known = state().request_keys.find(std::to_string(actor.uid) + ":" + submission.request_key);
      if (known != state().request_keys.end()) {
        const auto count = static_cast<std::int64_t>(core::elements_of(state(), state().jobs.at(known->second)).size());
        answer(protocol::SubmitReply{known->second, count, {}});
        return;
      }
    }
    const auto refusal = core::refused_array(submission.array_indices, submission.array_limit);
    if (refusal) {
      answer(api::from_refusal(*refusal));
      return;
    }
    auto accepted = scheduler_.accept(std::move(submission.spec), actor, now_);
    if (const auto* refused = std::get_if<core::Refusal>(&accepted)) {
      answer(api::from_refusal(*refused));
      return;
    }
    auto& [spec, warnings] = std::get<core::Accepted>(accepted);
    for (std::string& line : api::notification_warnings(spec.notify, actor, outbox_.section())) warnings.push_back(std::move(line));
    JobSubmitted event{.job = {state().next_job}, .spec = std::move(spec), .request_key = std::move(submission.request_key), .actor = actor};
    for (const auto& [name, value] : submission.environment) event.environment_names.push_back(name);
    event.array_indices = std::move(submission.array_indices);
    event.array_limit = submission.array_limit;
    pending_.environments[event.job] = std::move(submission.environment);
    record(event);
    const std::int64_t count = std::max<std::int64_t>(static_cast<std::int64_t>(event.array_indices.size()), 1);
    spdlog::info("job {} submitted by uid {}: {} x {} GPUs, account {}", event.job.value, actor.uid, count, total_gpus(event.spec.resources),
                 event.spec.account);
    answer(protocol::SubmitReply{event.job, count, std::move(warnings)});
  });
}

void Daemon::change_each(std::vector<JobId> jobs, Changed done, std::function<std::optional<api::Problem>(const Job&)> work) {
  inbox_->post([this, jobs = std::move(jobs), done = std::move(done), work = std::move(work)] {
    std::optional<api::Problem> problem;
    bool any_done = false;
    for (const JobId id : jobs) {
      const auto job = state().jobs.find(id);
      auto its = job == state().jobs.end() ? api::unknown_job(std::to_string(id.value)) : work(job->second);
      if (!its) any_done = true;
      else if (!problem) problem = std::move(its);
    }
    if (any_done) problem.reset();
    answer_after_commit([done, problem = std::move(problem)] { done(problem); });
  });
}

void Daemon::change(Choose choose, Changed done) {
  inbox_->post([this, choose = std::move(choose), done = std::move(done)] {
    std::optional<api::Problem> problem;
    try {
      for (const Event& event : choose(scheduler_, now_)) {
        std::visit([](const auto& one) { spdlog::info("{} by uid {}", std::decay_t<decltype(one)>::type, one.actor.uid); }, event);
        record(to_entry(event));
      }
    } catch (const api::Problem& refused) {
      problem = refused;
    }
    answer_after_commit([done, problem = std::move(problem)] { done(problem); });
  });
}

void Daemon::reload(bool check, Actor actor, std::function<void(Reloaded)> done) {
  inbox_->post([this, check, actor, done = std::move(done)] {
    Reloaded reloaded;
    try {
      const Configuration read = options_.read_configuration();
      protocol::ReloadReply reply{api::changes(state(), read.cluster, read.policy)};
      for (std::string& line : api::changes(metrics_, read.metrics)) reply.changes.push_back(std::move(line));
      if (read.notifications.section != outbox_.section()) reply.changes.push_back("notifications: told as the cluster file says now");
      if (!check) {
        if (state().cluster != read.cluster) record(ClusterConfigured{read.cluster, actor});
        if (state().policy != read.policy) record(PolicyChanged{read.policy, actor});
        obey(read.metrics);
        tell_by(read.notifications);
        for (const std::string& line : reply.changes) spdlog::info("reloaded by uid {}: {}", actor.uid, line);
      }
      reloaded = std::move(reply);
    } catch (const api::Problem& problem) {
      reloaded = problem;
    }
    answer_after_commit([done, reloaded = std::move(reloaded)] { done(reloaded); });
  });
}

void Daemon::tell_by(const notifier::Means& means) {
  outbox_.use(means, now_);
  notifications_ = std::make_shared<const protocol::NotificationsSection>(means.section);
}

void Daemon::cancel(std::vector<JobId> jobs, Actor actor, Changed done) {
  change_each(std::move(jobs), std::move(done), [this, actor](const Job& job) -> std::optional<api::Problem> {
    if (job.state == JobState::cancelled || job.stop_cause == StopCause::cancelled) return std::nullopt;
    if (is_terminal(job.state))
      return api::conflict("job " + api::text_of(job) + " has already ended (" + boost::describe::enum_to_string(job.state, "") + ")");
    spdlog::info("job {} cancelled by uid {}", api::text_of(job), actor.uid);
    record(JobCancelled{job.job, actor});
    return std::nullopt;
  });
}

void Daemon::requeue(std::vector<JobId> jobs, Actor actor, Changed done) {
  change_each(std::move(jobs), std::move(done), [this, actor](const Job& job) -> std::optional<api::Problem> {
    const std::string name = "job " + api::text_of(job);
    if (is_terminal(job.state))
      return api::conflict(name + " has already ended (" + std::string(boost::describe::enum_to_string(job.state, "")) + ")",
                           "submit it again");
    if (!is_active(job.state)) return api::conflict(name + " is waiting already");
    if (job.stop_cause == StopCause::requeued) return std::nullopt;
    if (job.state == JobState::stopping) return api::conflict(name + " is being stopped already", "wait until it has ended");
    spdlog::info("job {} requeued by uid {}", api::text_of(job), actor.uid);
    record(JobRequeued{job.job, actor});
    return std::nullopt;
  });
}

void Daemon::history(std::vector<JobId> jobs, std::vector<std::string> nodes, std::function<void(std::vector<api::PastEntry>)> done) {
  inbox_->post([this, jobs = std::move(jobs), nodes = std::move(nodes), done = std::move(done)] {
    // After the commit: the store knows what this round brought.
    after_commit_.push_back([this, jobs, nodes, done] {
      std::map<std::int64_t, api::PastEntry> found;
      const auto visit = [&](const store::Record& record) { found.insert({record.sequence, {record.sequence, record.at_ms, record.entry}}); };
      for (const JobId job : jobs) store_.read_about(store::subject_of(job), visit);
      for (const std::string& node : nodes) store_.read_about(store::subject_of_node(node), visit);
      std::vector<api::PastEntry> entries;
      for (auto& [sequence, entry] : found) entries.push_back(std::move(entry));
      loop_.post([done, entries = std::move(entries)] { done(entries); });
    });
  });
}

void Daemon::newest_entries(std::optional<std::int64_t> before, std::int64_t count,
                            std::function<void(std::vector<api::PastEntry>)> done) {
  inbox_->post([this, before, count, done = std::move(done)] {
    after_commit_.push_back([this, before, count, done] {
      const std::int64_t last = std::min(before.value_or(sequence_ + 1) - 1, sequence_);
      std::vector<api::PastEntry> entries;
      store_.read_between(last - count + 1, last, [&](const store::Record& record) {
        entries.push_back({record.sequence, record.at_ms, record.entry});
      });
      loop_.post([done, entries = std::move(entries)] { done(entries); });
    });
  });
}

void Daemon::progress(JobId job, std::function<void(std::vector<ProgressPoint>)> done) {
  inbox_->post([this, job, done = std::move(done)] {
    const auto found = progress_.find(job);
    loop_.post([done, points = found == progress_.end() ? std::vector<ProgressPoint>() : found->second.points()] {
      done(points);
    });
  });
}

std::shared_ptr<void> Daemon::watch(JobId id, std::function<bool(const Job&)> until, std::function<void()> then) {
  // The number is made on the daemon's thread and the handle here: a small box carries it over.
  auto number = std::make_shared<std::int64_t>(0);
  inbox_->post([this, number, id, until = std::move(until), then = std::move(then)]() mutable {
    if (*number < 0) return;
    *number = ++last_watcher_;
    watchers_[*number] = {id, std::move(until), std::move(then)};
    touched_.insert(id);  // looked at after this round's commit
  });
  return std::shared_ptr<void>(nullptr, [this, number, inbox = std::weak_ptr<Inbox>(inbox_)](void*) {
    if (const auto open = inbox.lock()) {
      open->post([this, number] {
        if (*number > 0) watchers_.erase(*number);
        *number = -1;
      });
    }
  });
}

void Daemon::stream_output(api::OutputQuestion question, std::shared_ptr<net::Stream> stream) {
  output_streams_.open(question, std::move(stream));
}

}  // namespace ultramarine::server
