// GET /v1/jobs/ID/events, /v1/history, /v1/jobs/ID/progress: what happened to a job and in the cluster, from the
// journal; how a job's training went.
#include <algorithm>
#include <memory>
#include <set>

#include "scheduler/api/handlers.h"
#include "scheduler/api/history_words.h"
#include "scheduler/api/roles.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/page_messages.h"

namespace ultramarine::api {

namespace {

constexpr std::size_t events_max = 10'000;  // the newest of them
constexpr std::int64_t events_of_cluster = 100;
constexpr std::int64_t entries_at_once = 500;  // the daemon decides nothing while it reads them
constexpr int pieces_max = 8;                  // most entries say nothing: of progress, waits, gangs

/// The cluster's history, read from the newest entries on backwards until there is enough to tell.
struct Looking {
  ExchangePtr exchange;
  std::size_t wanted = 0;
  std::optional<std::int64_t> before;
  int pieces = 0;
  protocol::PastList found;
};

/// Newest first; never only a part of what one entry says.
void take_newest(std::vector<protocol::PastView> told, Looking& looking) {
  for (auto view = told.rbegin(); view != told.rend(); ++view) {
    if (looking.found.events.size() >= looking.wanted && looking.found.events.back().sequence != view->sequence) {
      looking.before = looking.found.events.back().sequence;
      return;
    }
    looking.found.events.push_back(std::move(*view));
  }
}

void look_further(const std::shared_ptr<Looking>& looking) {
  looking->exchange->backend.newest_entries(
      looking->before, entries_at_once, [looking](const std::vector<PastEntry>& entries) {
        // The jobs as they are by now: the entries may be newer than an older snapshot.
        looking->exchange->backend.ask([looking, entries](const SnapshotPtr& snapshot) {
          const State& state = *snapshot->state;
          const auto may_see = [&](const Job& job) {
            return may(Act::see, looking->exchange->caller, job, state, looking->exchange->backend.scheduler_uid());
          };
          looking->before =
              entries.empty() || entries.front().sequence <= 1 ? std::nullopt : std::optional(entries.front().sequence);
          take_newest(told_of_cluster(state, entries, may_see), *looking);
          if (looking->found.events.size() < looking->wanted && looking->before && ++looking->pieces < pieces_max)
            return look_further(looking);
          looking->found.now_ms = snapshot->now_ms;
          looking->found.before = looking->before;
          looking->exchange->answer(looking->found);
        });
      });
}

}  // namespace

void show_past(const ExchangePtr& exchange) {
  const auto looking = std::make_shared<Looking>();
  looking->exchange = exchange;
  looking->wanted = static_cast<std::size_t>(number_parameter(*exchange, "limit").value_or(events_of_cluster));
  looking->before = number_parameter(*exchange, "before");
  look_further(looking);
}

void show_progress(const ExchangePtr& exchange, const JobName& name) {
  with_job(exchange, name, [exchange](const SnapshotPtr& snapshot, const Job& job) {
    exchange->backend.progress(job.job,
                               [exchange, reply = protocol::ProgressList{snapshot->now_ms, job.job, text_of(job), {}}](
                                   std::vector<ProgressPoint> points) mutable {
                                 reply.points = std::move(points);
                                 exchange->answer(reply);
                               });
  });
}

void show_history(const ExchangePtr& exchange, const JobName& name) {
  with_jobs(exchange, name, [exchange, name](const SnapshotPtr&, const NamedJobs& jobs) {
    std::set<JobId> numbers;
    std::set<std::string> nodes;
    for (const Job* job : jobs) {
      numbers.insert(job->job);
      if (job->array) numbers.insert(job->array->array);  // where its submission is recorded
      for (const Attempt& attempt : job->attempts)
        for (const NodeAllocation& part : attempt.allocation) nodes.insert(part.node);
    }
    exchange->backend.history({numbers.begin(), numbers.end()}, {nodes.begin(), nodes.end()},
                              [exchange, name](const std::vector<PastEntry>& entries) {
                                // The jobs as they are by now: the entries may be newer than the snapshot before.
                                with_jobs(exchange, name, [exchange, entries](const SnapshotPtr& now, const NamedJobs& their) {
                                  const bool all = may(Act::see, exchange->caller, *their.front(), *now->state, exchange->backend.scheduler_uid());
                                  protocol::EventList list{told(*now->state, their, entries, all)};
                                  if (list.events.size() > events_max)
                                    list.events.erase(list.events.begin(), list.events.end() - static_cast<std::ptrdiff_t>(events_max));
                                  exchange->answer(list);
                                });
                              });
  });
}

}  // namespace ultramarine::api
