// From State, Plan and Liveness to what people and programs are shown.
#include "scheduler/api/views.h"

#include <algorithm>
#include <tuple>

#include "scheduler/api/exit_code.h"
#include "scheduler/api/roles.h"
#include "scheduler/api/words.h"
#include "scheduler/core/arrays.h"
#include "scheduler/core/gangs.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/hasher.h"

namespace ultramarine::api {

namespace {

template <class View>
void add_liveness(const Snapshot& snapshot, const Job& job, View& view) {
  if (!is_active(job.state) || job.attempts.empty()) return;
  // Of the newest gang that has any: a script is shown by what it runs.
  const Attempt& attempt = job.attempts.back();
  const auto numbers = core::gangs_of(attempt);
  for (auto number = numbers.rbegin(); number != numbers.rend() && view.pids.empty(); ++number) {
    const auto gang = snapshot.liveness->gangs.find({job.job, attempt.attempt, *number});
    if (gang == snapshot.liveness->gangs.end()) continue;
    for (const auto& [node, report] : gang->second.nodes)
      if (!report.pids.empty() && report.phase != GangPhase::finished) view.pids[node] = report.pids;
  }
  if (const core::TrainingProgress* progress = core::newest_progress(*snapshot.liveness, job))
    view.progress = protocol::ProgressView{progress->step, progress->loss, progress->tokens_per_s, progress->tokens, progress->phase};
}

/// Of a whole array: it runs while any element does, and has ended only when all have, badly when one did.
JobState state_of_all(const std::vector<const Job*>& jobs) {
  for (const JobState state : {JobState::running, JobState::unknown, JobState::stopping, JobState::starting, JobState::queued, JobState::held,
                               JobState::failed, JobState::cancelled})
    if (std::any_of(jobs.begin(), jobs.end(), [&](const Job* job) { return job->state == state; })) return state;
  return JobState::completed;
}

bool matches(const Job& job, const JobFilter& filter) {
  if (!filter.states.empty() ? !filter.states.count(job.state) : is_terminal(job.state) && !filter.ended_too) return false;
  if (!filter.user.empty() && filter.user != job.owner.name && filter.user != std::to_string(job.owner.uid)) return false;
  return filter.account.empty() || filter.account == job.spec.account;
}

}  // namespace

std::int64_t gpus_of(const Job& job, const PlannedJob* planned) {
  const bool holds = is_active(job.state);  // then a line of the plan is of what it has after its trial
  const Allocation* allocation = planned && !holds ? &planned->allocation : job.attempts.empty() ? nullptr : &job.attempts.back().allocation;
  return allocation && !allocation->empty() ? core::gpus_of(*allocation) : total_gpus(job.spec.resources);
}

namespace {

/// What a JobView has beside the job itself, by the same names and in the same order. Lists write the job from the state, without a copy.
struct BesideTheJob {
  std::int64_t gpus = 0;
  std::optional<PlannedJob> planned;
  std::string why;
  std::optional<protocol::PriorityOfJob> priority;
  std::optional<protocol::ProgressView> progress;
  std::map<std::string, std::vector<std::int64_t>> pids;
  std::optional<std::int64_t> exit_code;
  std::optional<protocol::ArrayView> array;
};
BOOST_DESCRIBE_STRUCT(BesideTheJob, (), (gpus, planned, why, priority, progress, pids, exit_code, array))

/// Makes `view` (a JobView's or its own kind) that of the job, whatever it was before; it keeps its memory. `planned`: its line of the plan, or
/// nullptr.
template <class View>
void derive(View& view, const Snapshot& snapshot, const Job& job, const PlannedJob* planned, bool with_users) {
  view.gpus = gpus_of(job, planned);
  if (planned) view.planned = *planned;
  else view.planned.reset();
  view.why = planned ? why(*planned, *snapshot.state, snapshot.now_ms, with_users) : "";
  view.progress.reset();
  view.pids.clear();
  add_liveness(snapshot, job, view);
  view.exit_code = exit_code(job);
}

}  // namespace

protocol::JobView job_view(const Snapshot& snapshot, const Job& job, const Caller& caller, std::int64_t scheduler_uid) {
  protocol::JobView view;
  view.details = as_shown_to(caller, job, *snapshot.state, scheduler_uid);
  derive(view, snapshot, job, core::line_of(*snapshot.plan, job.job), caller.identified);
  if (!may(Act::see, caller, job, *snapshot.state, scheduler_uid)) return view;
  if (job.environment_of) view.details.environment_names = snapshot.state->environment_names.at(*job.environment_of);
  // What all elements share is kept with the first.
  if (job.array && job.array->array != job.job) view.details.spec.script = snapshot.state->jobs.at(job.array->array).spec.script;
  return view;
}

protocol::JobView view_of(const Snapshot& snapshot, const JobName& name, const std::vector<const Job*>& jobs, const Caller& caller,
                          std::int64_t scheduler_uid) {
  protocol::JobView view = job_view(snapshot, *jobs.front(), caller, scheduler_uid);
  if (name.index || !core::names_array(*jobs.front())) {
    view.priority = priority_of(snapshot, *jobs.front());
    return view;
  }
  view.array.emplace().count = static_cast<std::int64_t>(jobs.size());
  view.details.state = state_of_all(jobs);
  view.details.attempts.clear();
  view.details.ended_ms.reset();
  view.planned.reset();
  view.why.clear();
  view.progress.reset();
  view.pids.clear();
  view.exit_code.reset();
  for (const Job* job : jobs) {
    view.array->states[boost::describe::enum_to_string(job->state, "")].push_back(job->array->index);
    if (!is_terminal(view.details.state)) continue;
    view.details.ended_ms = std::max(view.details.ended_ms.value_or(Time{}), job->ended_ms.value_or(Time{}));
    view.exit_code = std::max(view.exit_code.value_or(0), exit_code(*job).value_or(0));
  }
  return view;
}

NamedGang named_gang(const Job& job, std::int64_t number) {
  for (auto attempt = job.attempts.rbegin(); attempt != job.attempts.rend(); ++attempt) {
    const Gang* record = core::find_gang(*attempt, number);
    if (record || number == 1) return {{job.job, attempt->attempt, number}, &*attempt, record};
  }
  throw not_found("job " + text_of(job) + " has no gang " + std::to_string(number),
                  job.attempts.empty() ? "it has not started" : "its newest attempt has " + std::to_string(core::gangs_of(job.attempts.back()).size()));
}

protocol::GangView gang_view(const NamedGang& gang) {
  protocol::GangView view;
  view.details = gang.record ? *gang.record : Gang{};
  view.attempt = gang.key.attempt;
  if (gang.record) view.exit_code = exit_code(*gang.record);
  return view;
}

std::string job_list_text(const Snapshot& snapshot, const JobFilter& filter, const Caller& caller, std::int64_t scheduler_uid,
                          protocol::Members which) {
  std::vector<std::pair<JobId, const PlannedJob*>> plan;
  plan.reserve(snapshot.plan->jobs.size());
  for (const PlannedJob& planned : snapshot.plan->jobs) plan.emplace_back(planned.job, &planned);
  std::sort(plan.begin(), plan.end());
  const auto planned = [&](JobId id) {
    const auto line = std::lower_bound(plan.begin(), plan.end(), id, [](const auto& one, JobId job) { return one.first < job; });
    return line == plan.end() || line->first != id ? nullptr : line->second;
  };
  // Sort keys: group, then place inside it, then the id.
  std::vector<std::tuple<int, std::int64_t, std::int64_t, const Job*>> order;
  for (const auto& [id, job] : snapshot.state->jobs) {
    if (!matches(job, filter)) continue;
    if (is_terminal(job.state)) order.emplace_back(2, -(job.ended_ms ? job.ended_ms->ms : 0), -id.value, &job);
    else if (is_active(job.state)) order.emplace_back(0, 0, id.value, &job);
    else {
      const PlannedJob* line = planned(id);
      order.emplace_back(1, line ? line->position : INT64_MAX, id.value, &job);
    }
  }
  std::sort(order.begin(), order.end());
  const std::size_t usual_row_bytes = which == protocol::Members::all ? 2200 : 1000;
  std::string text = "{\"now_ms\":" + std::to_string(snapshot.now_ms.ms) + ",\"jobs\":[";
  text.reserve(text.size() + order.size() * usual_row_bytes);
  BesideTheJob row;
  for (const auto& entry : order) {
    const Job& job = *std::get<const Job*>(entry);
    derive(row, snapshot, job, planned(job.job), caller.identified);
    text += text.back() == '}' ? ",{\"details\":" : "{\"details\":";
    if (!job.spec.script && job.waited.empty() && may(Act::read_output, caller, job, *snapshot.state, scheduler_uid)) {
      protocol::append_json(text, job, which);
    } else {
      Job shown = as_shown_to(caller, job, *snapshot.state, scheduler_uid);
      if (shown.spec.script) shown.spec.script->text.clear();
      shown.waited.clear();  // one job's ledger is longer than all else of it
      protocol::append_json(text, shown, which);
    }
    const std::size_t brace = text.size();
    protocol::append_json(text, row, which);
    text[brace] = ',';  // one object with the job: no job is without GPUs, so there is a member to go on with
  }
  return text += "]}";
}

protocol::NodeList node_list(const Snapshot& snapshot, const Caller& caller) {
  protocol::NodeList list;
  list.now_ms = snapshot.now_ms;
  std::map<std::string, std::size_t> places;
  for (const auto& [name, node] : snapshot.state->nodes) {
    places[name] = list.nodes.size();
    protocol::NodeView view;
    view.node = node;
    if (!caller.identified && view.node.drain) view.node.drain->actor = {};
    if (!caller.identified && view.node.lost) view.node.lost->actor = {};
    view.source = node.config.virtual_devices ? DeviceSource::virtual_devices : DeviceSource::nvml;
    view.device_jobs.resize(static_cast<std::size_t>(node.config.gpus));
    view.device_utilization_permille.resize(static_cast<std::size_t>(node.config.gpus));
    if (const auto live = snapshot.liveness->nodes.find(name); live != snapshot.liveness->nodes.end()) {
      if (live->second.connected) view.source = live->second.source;
      view.heartbeat_age_ms = snapshot.now_ms - live->second.last_heard_ms;
      if (caller.identified) {
        view.facts = live->second.facts;
        view.facts_heard_ms = live->second.facts_heard_ms;
      }
      for (const DeviceReport& device : live->second.devices)
        if (device.device >= 0 && device.device < node.config.gpus)
          view.device_utilization_permille[static_cast<std::size_t>(device.device)] = device.utilization_permille.value_or(0);
      if (live->second.connected) view.devices = live->second.devices;
    }
    list.nodes.push_back(std::move(view));
  }
  for (const auto& [id, job] : snapshot.state->jobs) {
    if (!is_active(job.state) || job.attempts.empty()) continue;
    for (const NodeAllocation& part : job.attempts.back().allocation) {
      const auto place = places.find(part.node);
      if (place == places.end()) continue;
      protocol::NodeView& view = list.nodes[place->second];
      view.allocated += static_cast<std::int64_t>(part.devices.size());
      for (const std::int64_t device : part.devices)
        if (device >= 0 && device < static_cast<std::int64_t>(view.device_jobs.size()))
          view.device_jobs[static_cast<std::size_t>(device)] = id;
    }
  }
  return list;
}

const std::string& StateHash::of(const State& state) {
  std::call_once(once_, [&] { text_ = core::hash_of(state); });
  return text_;
}

protocol::ClusterView cluster_view(const Snapshot& snapshot, const std::string& version) {
  const State& state = *snapshot.state;
  protocol::ClusterView view;
  view.name = state.cluster.name;
  view.version = version;
  view.now_ms = snapshot.now_ms;
  view.started_ms = snapshot.started_ms;
  view.policy = state.policy.name;
  view.state_hash = snapshot.state_hash->of(state);
  view.journal_sequence = snapshot.sequence;
  view.http = snapshot.http;
  view.agents = snapshot.agents;
  view.time_zone = state.cluster.time_zone;
  std::map<std::string, std::int64_t> held;
  for (const auto& [id, job] : state.jobs) {
    if (is_terminal(job.state)) ++view.jobs_ended;
    else if (!is_active(job.state)) ++view.jobs_queued;
    else {
      ++view.jobs_running;
      if (job.attempts.empty()) continue;
      view.gpus_allocated += core::gpus_of(job.attempts.back().allocation);
      for (const NodeAllocation& part : job.attempts.back().allocation) held[part.node] += static_cast<std::int64_t>(part.devices.size());
    }
  }
  for (const auto& [name, node] : state.nodes) {
    ++view.nodes;
    view.gpus += node.config.gpus;
    view.virtual_devices = view.virtual_devices || node.config.virtual_devices;
    const std::int64_t free = node.config.gpus - held[name];
    if (node.state == NodeState::up) {
      ++view.nodes_up;
      view.gpus_idle += free;
    } else {
      view.gpus_down += free;
    }
  }
  return view;
}

}  // namespace ultramarine::api
