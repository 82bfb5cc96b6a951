// See scenario.h.
#include "tests/unit/core/reference/scenario.h"

#include <algorithm>
#include <ostream>
#include <stdexcept>

#include "scheduler/protocol/toml_reader.h"

namespace ultramarine::core::reference {
namespace {

/// Without the members that are as they are in a new T; but a reason is always said.
template <class T>
boost::json::value brief(const T& value) {
  using namespace protocol::detail;
  if constexpr (is_optional<T>) {
    return value ? brief(*value) : boost::json::value(nullptr);
  } else if constexpr (is_vector<T>) {
    boost::json::array array;
    for (const auto& element : value) array.push_back(brief(element));
    return array;
  } else if constexpr (boost::describe::has_describe_members<T>::value && !StrongInteger<T>) {
    boost::json::object object;
    const T plain{};
    boost::mp11::mp_for_each<members<T>>([&](auto member) {
      const bool is_reason = std::is_same_v<T, Reason> && member.name == std::string_view("code");
      if (is_reason || protocol::encode(value.*member.pointer) != protocol::encode(plain.*member.pointer)) object[member.name] = brief(value.*member.pointer);
    });
    return object;
  } else {
    return protocol::encode(value);
  }
}

Actor actor_of(const std::string& user) {
  std::int64_t uid = 1000;
  for (const char letter : user) uid = uid * 31 % 60'000 + letter;
  return {.uid = uid, .name = user, .channel = "socket"};
}

/// What happens, whatever it is.
std::vector<Entry> entries_of(const ScenarioEvent& event) {
  std::vector<Entry> entries;
  boost::mp11::mp_for_each<protocol::detail::members<ScenarioEvent>>([&](auto member) {
    const auto& value = event.*member.pointer;
    if constexpr (protocol::detail::is_optional<std::decay_t<decltype(value)>>)
      if (value) entries.push_back(*value);
  });
  return entries;
}

}  // namespace

Scenario read_scenario(const std::string& text, const std::string& file_name) {
  Scenario scenario;
  if (text.starts_with('{')) scenario = protocol::from_json<Scenario>(text, protocol::Unknown::refused);
  else scenario = protocol::TomlReader(text, file_name).read<Scenario>();
  ClusterConfig& cluster = scenario.cluster;
  if (cluster.partitions.empty()) cluster.partitions.push_back({.name = "main"});
  if (cluster.accounts.empty()) cluster.accounts.push_back({.name = "default", .members = {"*"}});
  if (cluster.qos.empty()) cluster.qos.push_back({.name = "normal"});
  return scenario;
}

std::string to_text(const Scenario& scenario) { return boost::json::serialize(brief(scenario)); }

std::ostream& operator<<(std::ostream& out, const Scenario& scenario) {
  return out << "play it again with ULTRAMARINE_SCENARIO=FILE of this one line:\n" << to_text(scenario) << "\n";
}

std::string to_text(const PlannedJob& line) { return boost::json::serialize(brief(line)); }
std::string to_text(const Decision& decision) { return boost::json::serialize(brief(decision)); }

Playback::Playback(Scenario scenario)
    : scenario_(std::move(scenario)), happened_(scenario_.event.size(), false), submitted_(scenario_.job.size(), false) {
  apply(ClusterConfigured{scenario_.cluster, {}});
  apply(PolicyChanged{scenario_.policy, {}});
  for (const NodeConfig& node : scenario_.cluster.nodes) apply(NodeJoined{node.name, "boot-1", "0.1.0", node.name, {}});
}

void Playback::apply(const Entry& entry) {
  scheduler.apply(now, entry);
  for (const std::string& violation : check_invariants(scheduler.state())) violations.push_back("at " + std::to_string(now.ms) + " ms: " + violation);
  if (after_entry) after_entry(entry);
}

void Playback::submit(const ScenarioJob& job) {
  JobSpec spec = job.spec;
  if (spec.command.empty()) spec.command = {"/bin/true"};
  if (spec.working_directory.empty()) spec.working_directory = "/";
  const Actor actor = actor_of(job.user);
  const auto answer = scheduler.accept(spec, actor, now);
  if (const auto* refusal = std::get_if<Refusal>(&answer))
    throw std::runtime_error("a job of the story is refused: " + refusal->field + ": " + refusal->problem + "; " + refusal->remedy);
  const JobId first{scheduler.state().next_job};
  apply(JobSubmitted{.job = first, .spec = std::get<Accepted>(answer).spec, .actor = actor, .array_indices = job.array, .array_limit = job.array_limit});
  for (JobId id = first; id.value < scheduler.state().next_job; ++id.value) {
    came.push_back(id);
    runs_[id] = job.runs_ms;
  }
}

Outcome Playback::why_it_stops(const Job& job) {
  if (job.stop_cause != StopCause::rank_failed) return Outcome::cancelled;
  return job.attempts.back().gangs.front().outcome.value_or(Outcome::failed);
}

void Playback::end(JobId id, Outcome outcome) {
  const Attempt& open = scheduler.state().jobs.at(id).attempts.back();
  const std::int64_t attempt = open.attempt;
  if (outcome == Outcome::preempted && runs_[id].ms > 0) runs_[id].ms -= (now - open.decided_ms).ms;  // it goes on where it was
  if (begins_.erase(id) > 0) apply(GangStarted{id, attempt, 1, {}});
  apply(GangFinished{id, attempt, 1, outcome, {}, {}});
  apply(AttemptEnded{id, attempt, outcome, {}});
  ends_.erase(id);
  ended.push_back(id);
}

std::optional<Time> Playback::next() const {
  std::optional<Time> soonest;
  const auto consider = [&](Time time) {
    if (!soonest || time < *soonest) soonest = time;
  };
  for (std::size_t i = 0; i < submitted_.size(); ++i)
    if (!submitted_[i]) consider(scenario_.job[i].at_ms);
  for (std::size_t i = 0; i < happened_.size(); ++i)
    if (!happened_[i]) consider(scenario_.event[i].at_ms);
  for (const auto& [id, time] : begins_) consider(time);
  for (const auto& [id, time] : ends_) consider(time);
  if (const auto wakeup = scheduler.next_wakeup(now); wakeup && *wakeup > now) consider(*wakeup);
  return soonest;
}

bool Playback::advance() {
  const auto soonest = next();
  if (!soonest) return false;
  now = std::max(now, *soonest);
  came.clear(), ended.clear();
  const auto due = [&](const std::map<JobId, Time>& times) {
    std::vector<JobId> ids;
    for (const auto& [id, time] : times)
      if (time <= now) ids.push_back(id);
    return ids;
  };
  for (const JobId id : due(ends_)) end(id, cut_off_.erase(id) > 0 ? Outcome::timed_out : Outcome::succeeded);
  for (const JobId id : due(begins_)) {
    begins_.erase(id);
    apply(GangStarted{id, scheduler.state().jobs.at(id).attempts.back().attempt, 1, {}});
  }
  for (std::size_t i = 0; i < happened_.size(); ++i) {
    if (happened_[i] || scenario_.event[i].at_ms > now) continue;
    happened_[i] = true;
    for (const Entry& entry : entries_of(scenario_.event[i])) apply(entry);
    for (const JobId id : due([&] {
           std::map<JobId, Time> stopping;
           for (const auto& [job, time] : ends_)
             if (scheduler.state().jobs.at(job).state == JobState::stopping) stopping[job] = now;
           return stopping;
         }()))
      end(id, why_it_stops(scheduler.state().jobs.at(id)));
  }
  for (std::size_t i = 0; i < submitted_.size(); ++i) {
    if (submitted_[i] || scenario_.job[i].at_ms > now) continue;
    submitted_[i] = true;
    submit(scenario_.job[i]);
  }
  return true;
}

void Playback::advance_to(Time time, const std::function<void(const Decision&)>& decided) {
  for (auto soonest = next(); soonest && *soonest <= time; soonest = next()) {
    advance();
    if (now == time) return;
    for (const Decision& decision : round()) decided(decision);
  }
  now = time;
}

std::vector<Decision> Playback::round() {
  return round([this] { return scheduler.decide(now); });
}

std::vector<Decision> Playback::round(const std::function<std::vector<Decision>()>& decide) {
  std::vector<Decision> all;
  for (auto decisions = decide(); !decisions.empty(); decisions = decide()) {
    apply(Round{now, planner_version, scheduler.policy_hash(), decisions});
    for (const Decision& decision : decisions) {
      all.push_back(decision);
      if (const auto* start = std::get_if<StartJob>(&decision)) {
        const JobSpec& spec = scheduler.state().jobs.at(start->job).spec;
        const Duration runs = runs_[start->job];
        if (scenario_.policy.launch_allowance_ms.ms > 0) begins_[start->job] = now + scenario_.policy.launch_allowance_ms;
        else apply(GangStarted{start->job, start->attempt, 1, {}});
        const Duration trial = scenario_.policy.launch_allowance_ms + start->trial_ms.value_or(Duration{0}) + spec.stop_grace_ms;
        if (start->trial_ms && (runs.ms == 0 || runs > trial)) {
          cut_off_.insert(start->job);
          ends_[start->job] = now + trial;
          continue;
        }
        ends_[start->job] = now + (runs.ms > 0 ? runs : scenario_.policy.launch_allowance_ms + spec.time_limit_ms + spec.stop_grace_ms);
      } else if (const auto* preempt = std::get_if<PreemptJob>(&decision)) {
        end(preempt->job, Outcome::preempted);
      }
    }
  }
  return all;
}

}  // namespace ultramarine::core::reference
