// Counters and histograms, and the text of a scrape.
#include "scheduler/metrics/exporter.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <set>

#include "scheduler/core/wait_ledger.h"
#include "scheduler/metrics/family.h"
#include "scheduler/metrics/gauges.h"
#include "scheduler/metrics/seconds.h"

namespace ultramarine::metrics {

namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;
using CounterFamily = prometheus::Family<prometheus::Counter>;
using HistogramFamily = prometheus::Family<prometheus::Histogram>;

const Buckets wait_buckets{5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 259200};
const Buckets runtime_buckets{1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 259200, 604800};
const Buckets round_buckets{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5};
const Buckets row_buckets{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
const Buckets slowdown_buckets{1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000};
const Buckets estimate_buckets{1, 10, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 259200};
const Buckets lag_buckets{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5};
const Buckets step_buckets{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 300};
const Buckets request_buckets{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60};

CounterFamily& counter(prometheus::Registry& registry, const std::string& name, const std::string& help) {
  return prometheus::BuildCounter().Name("ultramarine_" + name).Help(help).Register(registry);
}
HistogramFamily& histogram(prometheus::Registry& registry, const std::string& name, const std::string& help) {
  return prometheus::BuildHistogram().Name("ultramarine_" + name).Help(help).Register(registry);
}

/// The smallest catalogue size that holds the job: few values, whatever people ask for.
std::string size_label(std::int64_t gpus) {
  for (const std::int64_t size : {1, 2, 4, 8, 16, 32, 64})
    if (gpus <= size) return std::to_string(size);
  return "more";
}

/// A run of no length would make any wait a slowdown without end: runs count for at least this (the "bounded" slowdown of Feitelson).
constexpr Duration shortest_run = seconds(10);

BOOST_DEFINE_FIXED_ENUM_CLASS(SubmissionKind, std::uint8_t, batch, interactive, sweep)

SubmissionKind kind_of(const JobSubmitted& event) {
  if (!event.array_indices.empty()) return SubmissionKind::sweep;
  return event.spec.terminal ? SubmissionKind::interactive : SubmissionKind::batch;
}

/// What made a job start again. `hang`: no rank got on; whether a collective, the network or the program was to blame can't be told.
BOOST_DEFINE_FIXED_ENUM_CLASS(RestartCause, std::uint8_t, node, gpu, hang, app, agent)

/// nullopt: nothing failed.
std::optional<RestartCause> restart_cause(const Attempt& attempt, Outcome outcome) {
  switch (outcome) {
    case Outcome::succeeded:
    case Outcome::cancelled:
    case Outcome::preempted: return std::nullopt;
    case Outcome::node_lost: return RestartCause::node;
    case Outcome::device_lost: return RestartCause::gpu;
    case Outcome::supervisor_lost: return RestartCause::agent;
    case Outcome::stalled: return RestartCause::hang;
    default: return attempt.failure && attempt.failure->node_at_fault ? RestartCause::node : RestartCause::app;
  }
}

}  // namespace

struct Exporter::Counters {
  prometheus::Registry registry;
  CounterFamily& submissions = counter(registry, "job_submissions_total", "Jobs submitted.");
  CounterFamily& completions = counter(registry, "job_completions_total", "Attempts that ended, by outcome.");
  CounterFamily& backfilled = counter(registry, "backfilled_jobs_total", "Jobs started ahead of one before them in the order.");
  CounterFamily& restarts = counter(registry, "job_restarts_total", "Attempts that failed and whose job queued again, by cause.");
  CounterFamily& decisions = counter(registry, "decisions_total", "Decisions of the scheduler.");
  CounterFamily& slips = counter(registry, "plan_slip_seconds_total", "By how much planned starts moved later, by cause.");
  prometheus::Counter& harm =
      counter(registry, "plan_harm_seconds_total", "By how much planned starts moved later because a job below them started.").Add({});
  CounterFamily& requests = counter(registry, "http_requests_total", "Requests to the API.");
  CounterFamily& notifications = counter(registry, "notifications_total", "Tries to tell people of their jobs, by what came of them.");
  CounterFamily& refused = counter(registry, "auth_failures_total", "Proofs and permissions refused.");
  HistogramFamily& wait = histogram(registry, "job_wait_seconds", "From submission (or requeue) to the start of the ranks.");
  HistogramFamily& runtime = histogram(registry, "job_runtime_seconds", "From the start of the ranks to the end of the attempt.");
  HistogramFamily& slowdown = histogram(registry, "job_slowdown_ratio", "(wait + run) / run of jobs that ended; a run counts as 10 s at least.");
  HistogramFamily& estimate_error =
      histogram(registry, "start_estimate_error_seconds", "How far off the first planned start of a job's wait was, either way; of jobs that had to wait.");
  prometheus::Histogram& loop_lag = histogram(registry, "event_loop_lag_seconds", "How long work waits for the thread of requests and agents.").Add({}, lag_buckets);
  HistogramFamily& round = histogram(registry, "round_seconds", "Time of a round, by phase.");
  HistogramFamily& request_seconds = histogram(registry, "http_request_seconds", "Time to answer a request; long polls included.");
  prometheus::Histogram& commit = histogram(registry, "store_commit_seconds", "Time of a commit of the journal.").Add({}, round_buckets);
  prometheus::Histogram& rows = histogram(registry, "store_batch_rows", "Records in a commit of the journal.").Add({}, row_buckets);

  void on(Time, const JobSubmitted& event, const State& after) {
    const auto job = after.jobs.find(event.job);
    if (job == after.jobs.end()) return;
    submissions.Add({{"account", job->second.spec.account}, {"partition", job->second.spec.partition}, {"kind", word(kind_of(event))}})
        .Increment(static_cast<double>(std::max<std::size_t>(event.array_indices.size(), 1)));
  }
  void on(Time, const GangStarted& event, const State& after) {
    if (event.gang != 1) return;  // inside a job that runs
    const auto job = after.jobs.find(event.job);
    if (job == after.jobs.end() || event.attempt < 1 || static_cast<std::size_t>(event.attempt) > job->second.attempts.size()) return;
    const auto& attempts = job->second.attempts;
    const Attempt& attempt = attempts[static_cast<std::size_t>(event.attempt) - 1];
    if (!attempt.started_ms || attempt.trial_ms) return;  // a trial ends no wait
    const Attempt* const before = event.attempt == 1 ? nullptr : &attempts[static_cast<std::size_t>(event.attempt) - 2];
    const Time queued_since = !before || before->trial_ms ? job->second.submitted_ms : before->ended_ms.value_or(attempt.decided_ms);
    wait.Add({{"partition", job->second.spec.partition}, {"size", size_label(total_gpus(job->second.spec.resources))}}, wait_buckets)
        .Observe(in_seconds(*attempt.started_ms - queued_since));
  }
  void on(Time now, const AttemptEnded& event, const State& after) {
    const auto job = after.jobs.find(event.job);
    if (job == after.jobs.end() || event.attempt < 1 || static_cast<std::size_t>(event.attempt) > job->second.attempts.size()) return;
    const JobSpec& spec = job->second.spec;
    const Attempt& attempt = job->second.attempts[static_cast<std::size_t>(event.attempt) - 1];
    completions.Add({{"account", spec.account}, {"partition", spec.partition}, {"outcome", word(event.outcome)}}).Increment();
    if (attempt.started_ms)
      runtime.Add({{"partition", spec.partition}, {"outcome", word(event.outcome)}}, runtime_buckets)
          .Observe(in_seconds(now - *attempt.started_ms));
    const auto cause = restart_cause(attempt, event.outcome);
    if (cause && !attempt.trial_ms && !is_terminal(job->second.state)) restarts.Add({{"account", spec.account}, {"cause", word(*cause)}}).Increment();
    if (is_terminal(job->second.state)) observe_slowdown(job->second, now);
  }
  void observe_slowdown(const Job& job, Time now) {
    Duration ran{0};
    for (const Attempt& attempt : job.attempts)
      if (attempt.started_ms) ran = ran + (attempt.ended_ms.value_or(now) - *attempt.started_ms);
    if (ran.ms == 0) return;  // it never ran
    const double ratio = in_seconds(core::wait_of(job, now) + ran) / in_seconds(std::max(ran, shortest_run));
    slowdown.Add({{"partition", job.spec.partition}}, slowdown_buckets).Observe(std::max(ratio, 1.0));
  }
  void on(Time, const Round& round_entry, const State& after) {
    for (const Decision& decision : round_entry.decisions) {
      const auto* start = std::get_if<StartJob>(&decision);
      decisions.Add({{"result", start ? "started" : "rejected"}}).Increment();
      if (!start || !start->backfilled) continue;
      if (const auto job = after.jobs.find(start->job); job != after.jobs.end())
        backfilled.Add({{"partition", job->second.spec.partition}}).Increment();
    }
  }
  void on(Time, const ClusterConfigured& event, const State&) { know(event.cluster); }
  template <class Other>
  void on(Time, const Other&, const State&) {}

  void know(const ClusterConfig& cluster) {
    for (const PartitionConfig& partition : cluster.partitions) {
      backfilled.Add({{"partition", partition.name}});
      slowdown.Add({{"partition", partition.name}}, slowdown_buckets);
      estimate_error.Add({{"partition", partition.name}}, estimate_buckets);
      for (const char* size : {"1", "2", "4", "8", "16", "32", "64", "more"})
        wait.Add({{"partition", partition.name}, {"size", size}}, wait_buckets);
      boost::mp11::mp_for_each<boost::describe::describe_enumerators<Outcome>>([&](auto outcome) {
        runtime.Add({{"partition", partition.name}, {"outcome", outcome.name}}, runtime_buckets);
      });
      for (const AccountConfig& account : cluster.accounts) {
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<SubmissionKind>>([&](auto kind) {
          submissions.Add({{"account", account.name}, {"partition", partition.name}, {"kind", kind.name}});
        });
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<Outcome>>([&](auto outcome) {
          completions.Add({{"account", account.name}, {"partition", partition.name}, {"outcome", outcome.name}});
        });
      }
    }
    for (const AccountConfig& account : cluster.accounts)
      boost::mp11::mp_for_each<boost::describe::describe_enumerators<RestartCause>>(
          [&](auto cause) { restarts.Add({{"account", account.name}, {"cause", cause.name}}); });
  }
};

/// What is added up beside the registry, by several threads.
struct Exporter::Sums {
  std::mutex mutex;
  Books books;
  Settings settings;
  std::map<std::string, NodeState> node_states;
  std::map<JobId, Time> promised;  // of jobs that wait: the start that their first plan of this wait gave them
  std::map<JobId, std::unique_ptr<prometheus::Histogram>> steps;  // of running jobs

  void note_nodes(const State& state) {
    for (const auto& [name, node] : state.nodes) {
      const auto [known, is_new] = node_states.try_emplace(name, node.state);
      if (!is_new && known->second != node.state) ++books.node_changes[name];
      known->second = node.state;
    }
    std::erase_if(node_states, [&](const auto& one) { return state.nodes.count(one.first) == 0; });
  }
  /// By how much the plan was wrong when the job starts for good; a trial ends no wait.
  std::optional<Duration> take_error(const StartJob& start, Time now) {
    if (start.trial_ms) return std::nullopt;
    const auto promise = promised.extract(start.job);
    if (promise.empty()) return std::nullopt;
    return Duration{std::abs((now - promise.mapped()).ms)};
  }
  prometheus::MetricFamily step_family() const {
    prometheus::MetricFamily family;
    family.name = "ultramarine_train_step_seconds";
    family.help = "Time of a training step, as the mean between two reports of a running job.";
    family.type = prometheus::MetricType::Histogram;
    for (const auto& [job, one] : steps) {
      prometheus::ClientMetric metric = one->Collect();
      metric.label = {{"job_id", std::to_string(job.value)}};
      family.metric.push_back(std::move(metric));
    }
    return family;
  }
};

Exporter::Exporter(const Build& build, Time started_ms) : counters_(std::make_unique<Counters>()), sums_(std::make_unique<Sums>()) {
  Counters& c = *counters_;
  prometheus::BuildGauge()
      .Name("ultramarine_build_info")
      .Help("What runs; always 1.")
      .Register(c.registry)
      .Add({{"version", build.version}, {"revision", build.revision}, {"compiler", build.compiler}})
      .Set(1);
  prometheus::BuildGauge()
      .Name("ultramarine_scheduler_start_time_seconds")
      .Help("When the scheduler started, Unix time.")
      .Register(c.registry)
      .Add({})
      .Set(static_cast<double>(started_ms.ms) / 1000);
  for (const char* result : {"started", "rejected"}) c.decisions.Add({{"result", result}});
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<core::SlipCause>>([&](auto cause) {
    if (cause.value != core::SlipCause::overtaken) c.slips.Add({{"cause", cause.name}});
  });
  for (const char* phase : {"decide", "commit", "dispatch"}) c.round.Add({{"phase", phase}}, round_buckets);
  for (const char* method : {"secret", "peercred"}) c.refused.Add({{"method", method}});
  for (const char* channel : {"webhook", "mail"})
    for (const char* result : {"delivered", "retried", "refused", "given_up", "dropped"}) c.notifications.Add({{"channel", channel}, {"result", result}});
  for (const char* route : {"/metrics", "/v1/jobs", "/v1/cluster", "/v1/nodes"}) {
    c.requests.Add({{"route", route}, {"method", "GET"}, {"code", "200"}});
    c.request_seconds.Add({{"route", route}, {"method", "GET"}, {"code", "200"}}, request_buckets);
  }
}

Exporter::~Exporter() = default;

void Exporter::know(const ClusterConfig& cluster) { counters_->know(cluster); }

void Exporter::obey(Settings settings) {
  const std::lock_guard lock(sums_->mutex);
  sums_->settings = std::move(settings);
}

void Exporter::on_entry(Time now, const Entry& entry, const State& after) {
  std::visit([&](const auto& one) { counters_->on(now, one, after); }, entry);
  const std::lock_guard lock(sums_->mutex);
  sums_->books.gpu_time.on_entry(now, entry, after);
  sums_->note_nodes(after);
  if (const auto* ended = std::get_if<AttemptEnded>(&entry)) sums_->steps.erase(ended->job);
  const auto* const round = std::get_if<Round>(&entry);
  if (!round) return;
  for (const Decision& decision : round->decisions) {
    const auto* const start = std::get_if<StartJob>(&decision);
    const auto error = start ? sums_->take_error(*start, now) : std::nullopt;
    if (!error) continue;
    if (const auto job = after.jobs.find(start->job); job != after.jobs.end())
      counters_->estimate_error.Add({{"partition", job->second.spec.partition}}, estimate_buckets).Observe(in_seconds(*error));
  }
}

void Exporter::begin(Time now, const State& state) {
  const std::lock_guard lock(sums_->mutex);
  sums_->books.gpu_time.begin(now, state);
  sums_->note_nodes(state);
}

void Exporter::on_devices(Time now, const std::string& node, DeviceSource source, const std::vector<DeviceReport>& devices) {
  const std::lock_guard lock(sums_->mutex);
  sums_->books.gpu_time.on_devices(now, node, source, devices);
}

void Exporter::on_steps(JobId job, std::int64_t steps, Duration took) {
  const std::lock_guard lock(sums_->mutex);
  auto& histogram = sums_->steps[job];
  if (!histogram) histogram = std::make_unique<prometheus::Histogram>(step_buckets);
  const double each = in_seconds(took) / static_cast<double>(steps);
  std::vector<double> increments(step_buckets.size() + 1, 0);
  increments[static_cast<std::size_t>(std::lower_bound(step_buckets.begin(), step_buckets.end(), each) - step_buckets.begin())] = static_cast<double>(steps);
  histogram->ObserveMultiple(increments, in_seconds(took));
}

void Exporter::on_plan(const State& state, const Plan& plan) {
  const std::lock_guard lock(sums_->mutex);
  sums_->books.gpu_time.on_plan(state, plan);
  // What no plan has any more doesn't wait now: it begins anew if it waits again.
  std::map<JobId, Time> still;
  for (const PlannedJob& planned : plan.jobs) {
    if (const auto known = sums_->promised.find(planned.job); known != sums_->promised.end()) still.insert(*known);
    else if (planned.start_ms && planned.reason.code != ReasonCode::starting_now) still.emplace(planned.job, *planned.start_ms);
  }
  sums_->promised = std::move(still);
}

void Exporter::on_loop_lag(double seconds) { counters_->loop_lag.Observe(seconds); }

void Exporter::on_commit(double seconds, std::size_t rows) {
  counters_->commit.Observe(seconds);
  if (rows > 0) counters_->rows.Observe(static_cast<double>(rows));
}

void Exporter::on_round_phase(const std::string& phase, double seconds) {
  counters_->round.Add({{"phase", phase}}, round_buckets).Observe(seconds);
}

void Exporter::on_slips(const std::vector<core::Slip>& slips) {
  for (const core::Slip& slip : slips) {
    if (slip.cause == core::SlipCause::overtaken) counters_->harm.Increment(in_seconds(slip.later));
    else counters_->slips.Add({{"cause", boost::describe::enum_to_string(slip.cause, "")}}).Increment(in_seconds(slip.later));
  }
}

void Exporter::on_request(const std::string& route, const std::string& method, int code, double seconds) {
  static const std::set<std::string> methods{"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"};
  const prometheus::Labels labels{{"route", route}, {"method", methods.count(method) ? method : "other"}, {"code", std::to_string(code)}};
  counters_->requests.Add(labels).Increment();
  counters_->request_seconds.Add(labels, request_buckets).Observe(seconds);
}

void Exporter::on_notification(const std::string& channel, const std::string& result) {
  counters_->notifications.Add({{"channel", channel}, {"result", result}}).Increment();
}

void Exporter::on_refused(const std::string& method) { counters_->refused.Add({{"method", method}}).Increment(); }

std::string Exporter::text(const Scrape& scrape) const {
  std::vector<prometheus::MetricFamily> families = counters_->registry.Collect();
  for (prometheus::MetricFamily& family : families)
    for (prometheus::ClientMetric& metric : family.metric) std::sort(metric.label.begin(), metric.label.end());
  for (prometheus::MetricFamily& family : families)
    std::sort(family.metric.begin(), family.metric.end(), [](const auto& a, const auto& b) { return a.label < b.label; });
  Books books;
  Settings settings;
  {
    const std::lock_guard lock(sums_->mutex);
    settings = sums_->settings;
    sums_->books.gpu_time.settle(scrape.now_ms);
    books = sums_->books;
    if (!sums_->steps.empty()) families.push_back(sums_->step_family());
  }
  for (prometheus::MetricFamily& family : Gauges(scrape, books, settings).Collect()) families.push_back(std::move(family));
  std::sort(families.begin(), families.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace ultramarine::metrics
