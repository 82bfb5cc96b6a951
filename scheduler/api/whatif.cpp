// POST /v1/whatif: the plan with one input changed, beside the plan as it is. Nothing is changed by it.
#include <algorithm>
#include <map>

#include "scheduler/api/handlers.h"
#include "scheduler/api/phrases.h"
#include "scheduler/api/planning_words.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/words.h"
#include "scheduler/core/accept.h"
#include "scheduler/core/comparison.h"
#include "scheduler/core/dependencies.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/policy/policies.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::api {

namespace {

using protocol::WhatIfReply;
using protocol::WhatIfRequest;

constexpr std::int64_t nodes_added_max = 1000;

/// What is tried, and what it is about.
struct Trial {
  std::vector<Entry> entries;
  std::optional<JobId> job;  // whose own start is shown apart
  std::string sentence;      // what is tried: "If 1 node were added:"
  std::vector<std::string> warnings;
};

const Job& named_job(const State& state, const std::string& field, const std::string& text) {
  const auto name = parse_job_name(text);
  if (!name) throw bad_request(field, "\"" + text.substr(0, 64) + "\" is no number of a job", "`ultra queue` lists them");
  const auto jobs = named_jobs(state, *name);
  if (jobs.empty()) throw unknown_job(text_of(*name));
  if (jobs.size() > 1) throw bad_request(field, text_of(*name) + " is an array of " + std::to_string(jobs.size()), "name one of its elements: " + text_of(*jobs.front()));
  return *jobs.front();
}

Trial submission(const WhatIfRequest& request, const core::Scheduler& scheduler, const Actor& actor, Time now) {
  const protocol::SubmitRequest& asked = *request.submit;
  if (const auto refusal = core::refused_array(asked.array_indices, asked.array_limit)) throw from_refusal(*refusal);
  auto accepted = scheduler.accept(asked.spec, actor, now);
  if (const auto* refusal = std::get_if<core::Refusal>(&accepted)) throw from_refusal(*refusal);
  auto& [spec, warnings] = std::get<core::Accepted>(accepted);
  Trial trial{.entries = {}, .job = JobId{scheduler.state().next_job}, .sentence = "If it were submitted now:", .warnings = std::move(warnings)};
  JobSubmitted event{.job = *trial.job, .spec = std::move(spec), .actor = actor};
  event.array_indices = asked.array_indices;
  event.array_limit = asked.array_limit;
  trial.entries.push_back(std::move(event));
  return trial;
}

Trial boost(const WhatIfRequest& request, const State& state, const Actor& actor, Time now) {
  const Job& job = named_job(state, "boost", request.boost);
  if (job.state != JobState::queued || core::awaits_others(job))
    throw conflict("job " + text_of(job) + " doesn't wait for its turn: it is " + boost::describe::enum_to_string(job.state, ""), "name a queued job");
  return {.entries = {JobBoosted{job.job, static_cast<std::int64_t>(state.bills.size()) + 1, now + core::share_horizon, actor}}, .job = job.job,
          .sentence = "If " + job_in_words(job) + " were put ahead of all others:"};
}

Trial cancelled(const WhatIfRequest& request, const State& state, const Actor& actor) {
  const Job& job = named_job(state, "cancel", request.cancel);
  if (is_terminal(job.state)) throw conflict("job " + text_of(job) + " has already ended (" + boost::describe::enum_to_string(job.state, "") + ")");
  Trial trial{.entries = {JobCancelled{job.job, actor}}, .job = {}, .sentence = "If " + job_in_words(job) + " were cancelled now:"};
  for (Entry& entry : core::ended_now(job, Outcome::cancelled)) trial.entries.push_back(std::move(entry));
  return trial;
}

Trial drained(const WhatIfRequest& request, const State& state, const Actor& actor) {
  std::vector<std::string> known;
  for (const auto& [name, node] : state.nodes) known.push_back(name);
  std::vector<std::string> hostlists{request.drain};
  Trial trial;
  const std::vector<std::string> nodes = named_nodes(hostlists, known);
  for (const std::string& node : nodes) trial.entries.push_back(NodeDrained{node, "a question", actor});
  trial.sentence = "If " + protocol::fold_hostlist(nodes) + " took no new jobs from now on:";
  return trial;
}

Trial with_more_nodes(const WhatIfRequest& request, const State& state, const Actor& actor) {
  if (request.add_nodes < 1 || request.add_nodes > nodes_added_max)
    throw bad_request("add_nodes", std::to_string(request.add_nodes) + " is out of range", "use 1 to " + std::to_string(nodes_added_max));
  if (state.cluster.nodes.empty()) throw conflict("the cluster has no node to be like", "add one to the cluster file");
  ClusterConfig cluster = state.cluster;
  const NodeConfig like = cluster.nodes.back();
  Trial trial{.entries = {}, .job = {}, .sentence = "If there were " + std::to_string(request.add_nodes) + " more " + (request.add_nodes == 1 ? "node" : "nodes") + " of " +
                                                    gpus_in_words(like.gpus) + ", like " + like.name + ":"};
  std::vector<std::string> names;
  for (std::int64_t number = 1; number <= request.add_nodes; ++number) {
    NodeConfig node = like;
    node.name = like.name + "-more" + std::to_string(number);
    for (PartitionConfig& partition : cluster.partitions)
      if (std::find(partition.nodes.begin(), partition.nodes.end(), like.name) != partition.nodes.end()) partition.nodes.push_back(node.name);
    names.push_back(node.name);
    cluster.nodes.push_back(std::move(node));
  }
  trial.entries.push_back(ClusterConfigured{std::move(cluster), actor});
  for (const std::string& name : names) {
    NodeJoined joined;
    joined.node = name;
    joined.boot_id = "a question";
    trial.entries.push_back(std::move(joined));
  }
  return trial;
}

Trial under_policy(const WhatIfRequest& request, const Actor& actor) {
  const auto unknown = core::policy::unknown_names(*request.policy);
  if (!unknown.empty()) throw bad_request("policy", unknown.front(), "name one of those");
  if (request.policy->preemption != "none") throw bad_request("policy.preemption", "running jobs can yield in simulations only", "use none, or `ultra-simulate`");
  return {.entries = {PolicyChanged{*request.policy, actor}}, .job = {}, .sentence = "If the policy were " + request.policy->name + ":"};
}

Trial tried_by(const WhatIfRequest& request, const core::Scheduler& scheduler, const Actor& actor, Time now) {
  const State& state = scheduler.state();
  const int given = request.submit.has_value() + !request.boost.empty() + !request.cancel.empty() + !request.drain.empty() + (request.add_nodes != 0) + request.policy.has_value();
  if (given != 1) throw bad_request("", given == 0 ? "nothing is to be tried" : "more than one thing is to be tried", "give one of submit, boost, cancel, drain, add_nodes and policy");
  if (request.submit) return submission(request, scheduler, actor, now);
  if (!request.boost.empty()) return boost(request, state, actor, now);
  if (!request.cancel.empty()) return cancelled(request, state, actor);
  if (!request.drain.empty()) return drained(request, state, actor);
  if (request.add_nodes != 0) return with_more_nodes(request, state, actor);
  return under_policy(request, actor);
}

std::vector<protocol::AccountChange> by_account(const core::Comparison& found) {
  std::map<std::string, protocol::AccountChange> accounts;
  for (const ShareOfWeek& share : found.shares) {
    accounts[share.account].share_before_permille = share.before_permille;
    accounts[share.account].share_after_permille = share.after_permille;
  }
  for (const MovedStart& moved : found.delayed) {
    protocol::AccountChange& change = accounts[moved.account];
    ++change.jobs_delayed;
    if (moved.before_ms && moved.after_ms) change.displaced_gpu_ms += moved.gpus * (*moved.after_ms - *moved.before_ms).ms;
  }
  for (const MovedStart& moved : found.helped) {
    protocol::AccountChange& change = accounts[moved.account];
    ++change.jobs_helped;
    if (moved.before_ms && moved.after_ms) change.gained_gpu_ms += moved.gpus * (*moved.before_ms - *moved.after_ms).ms;
  }
  std::vector<protocol::AccountChange> listed;
  for (auto& [account, change] : accounts) {
    change.account = account;
    listed.push_back(std::move(change));
  }
  return listed;
}

WhatIfReply answer_to(const WhatIfRequest& request, const Snapshot& snapshot, const Actor& actor) {
  const Time now = snapshot.now_ms;
  const core::Scheduler planner = core::planning_copy(*snapshot.state);
  Trial trial = tried_by(request, planner, actor, now);
  core::Comparison found = core::compare(planner, now, trial.entries, trial.job ? std::vector{*trial.job} : std::vector<JobId>{});
  WhatIfReply reply{.now_ms = now, .sentences = {std::move(trial.sentence)}};
  if (trial.job) {
    if (const PlannedJob* line = core::line_of(found.before, *trial.job)) reply.before = *line;
    if (const PlannedJob* line = core::line_of(found.after, *trial.job)) reply.after = *line;
    if (reply.after && reply.after->start_ms) {
      const Time start = *reply.after->start_ms;
      std::string text = "It would start " + (start <= now ? std::string("now") : when(start, now));
      if (reply.before && reply.before->start_ms && *reply.before->start_ms != start) text += " instead of " + when(*reply.before->start_ms, now);
      reply.sentences.push_back(text + ", and end " + when(*reply.after->end_ms, now) + " at the latest.");
    } else if (reply.after) {
      reply.sentences.emplace_back("It would have no planned start.");
    }
  }
  reply.sentences.push_back(delays_in_words(found.delayed, found.displaced_gpu_ms));
  reply.sentences.push_back(gains_in_words(found.helped));
  reply.accounts = by_account(found);
  reply.delayed = std::move(found.delayed);
  reply.helped = std::move(found.helped);
  reply.displaced_gpu_ms = found.displaced_gpu_ms;
  reply.warnings = std::move(trial.warnings);
  return reply;
}

}  // namespace

void ask_what_if(const ExchangePtr& exchange) {
  auto request = decode_body<WhatIfRequest>(*exchange);
  if (request.submit) check_submission(*request.submit);
  exchange->backend.ask([exchange, request = std::move(request)](const SnapshotPtr& snapshot) {
    answer_after_thought(exchange, [snapshot, request, actor = exchange->caller.actor] { return answer_to(request, *snapshot, actor); });
  });
}

}  // namespace ultramarine::api
