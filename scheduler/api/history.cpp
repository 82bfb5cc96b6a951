// GET /v1/jobs/ID/events: a job's history, from the journal.
#include <set>

#include "scheduler/api/handlers.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/history_words.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

namespace {
constexpr std::size_t events_max = 10'000;  // the newest of them
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
