// The sentences that people read, word for word.
#include <gtest/gtest.h>

#include "scheduler/api/words.h"

namespace ultramarine::api {
namespace {

const Time now{1'795'319'544'000};  // 2026-11-22 03:52:24 UTC

State state_with_jobs() {
  State state;
  for (const auto& [id, name, account] : {std::tuple{12, "train", "lab-a"}, std::tuple{13, "evaluate", "lab-b"}}) {
    Job job;
    job.job = {id};
    job.spec.name = name;
    job.spec.account = account;
    state.jobs[job.job] = job;
  }
  return state;
}

PlannedJob waiting(ReasonCode code, std::int64_t asked, std::int64_t free, std::optional<Time> start = std::nullopt,
                   std::vector<JobId> waits_for = {}) {
  PlannedJob planned;
  planned.job = {20};
  planned.start_ms = start;
  planned.reason = {code, asked, free, std::move(waits_for)};
  return planned;
}

TEST(Why, NamesTheGpusTheTimeAndTheJobItWaitsFor) {
  EXPECT_EQ(why(waiting(ReasonCode::resources, 16, 4, now + minutes(12), {{12}}), state_with_jobs(), now),
            "Waits for 16 GPUs; 4 are free. Expected to start at 04:04 UTC (in 12m) when job 12 (train, lab-a) ends.");
}

TEST(Why, NamesSeveralJobs) {
  EXPECT_EQ(
      why(waiting(ReasonCode::resources, 1, 0, now + hours(2), {{12}, {13}}), state_with_jobs(), now),
      "Waits for 1 GPU; none is free. Expected to start at 05:52 UTC (in 2h) when jobs 12 (train, lab-a) and 13 (evaluate, lab-b) end.");
}

TEST(Why, SaysThatItRunsItsTrialAndThatItDid) {
  State state = state_with_jobs();
  Job& job = state.jobs[JobId{20}];
  job.job = {20};
  job.spec.resources.gpus = 16;
  job.state = JobState::running;
  job.attempts.push_back({.attempt = 1, .allocation = {{"node2", {6, 7}}}, .trial_ms = minutes(5), .started_ms = now});
  const PlannedJob line = waiting(ReasonCode::resources, 16, 0, now + hours(2), {{12}});
  EXPECT_EQ(why(line, state, now),
            "Runs its trial of 5m on 2 GPUs of node2, and then waits for 16 GPUs. Expected to start at 05:52 UTC (in 2h) when job 12 (train, lab-a) ends.");
  job.state = JobState::queued;
  job.attempts.back().ended_ms = now;
  job.attempts.back().outcome = Outcome::timed_out;
  EXPECT_EQ(why(line, state, now),
            "It ran its trial without failing. Waits for 16 GPUs; none is free. Expected to start at 05:52 UTC (in 2h) when job 12 (train, lab-a) ends.");
}

TEST(Why, SaysTheDateWhenTheStartIsFarAway) {
  EXPECT_EQ(why(waiting(ReasonCode::priority, 2, 1, now + hours(30)), state_with_jobs(), now),
            "Lets jobs ahead of it go first: it asks for 2 GPUs and 1 is free, but to start it now would delay them. "
            "Expected to start on Nov 23 at 09:52 UTC (in 1d 6h).");
}

TEST(Why, ToldPastPlansBeginAtAnyMoment) {
  EXPECT_EQ(why(waiting(ReasonCode::fragmentation, 8, 10, now), state_with_jobs(), now),
            "Waits for 8 GPUs; 10 are free, but spread over nodes in another shape than it asks for. Expected to start at any moment.");
}

TEST(Why, NamesTheNodesThatAreMissing) {
  State state = state_with_jobs();
  Job job;
  job.job = {20};
  job.spec.partition = "main";
  state.jobs[job.job] = job;
  state.cluster.partitions = {PartitionConfig{"main", {"node01", "node02", "node03"}, hours(1), hours(1), {}}};
  for (const auto& [name, node_state] : {std::pair{"node01", NodeState::down}, std::pair{"node02", NodeState::down},
                                         std::pair{"node03", NodeState::unreachable}, std::pair{"node04", NodeState::down}})
    state.nodes[name].state = node_state;
  for (const auto& [name, node] : state.nodes) state.cluster.nodes.push_back({.name = name, .gpus = 8, .gpu_type = name == "node03" ? "A100" : "H100"});
  EXPECT_EQ(why(waiting(ReasonCode::nodes_missing, 16, 0), state, now),
            "Waits for 16 GPUs on nodes that don't answer: node03 (unreachable) and node[01-02] (down). Its start can be planned once they "
            "are back.");
  state.jobs[job.job].spec.gpu_type = "H100";
  EXPECT_EQ(why(waiting(ReasonCode::nodes_missing, 16, 0), state, now),
            "Waits for 16 GPUs on nodes that don't answer: node[01-02] (down). Its start can be planned once they are back.")
      << "those of its kind";
}

TEST(Why, CountsTheGpusThatItCouldUse) {
  State state = state_with_jobs();
  JobSpec& spec = state.jobs[{20}].spec;
  const PlannedJob line = waiting(ReasonCode::resources, 2, 0);
  spec.features = {"nvlink"};
  EXPECT_EQ(why(line, state, now), "Waits for 2 GPUs; none is free on nodes that it may use.");
  spec.cpus_per_gpu = 8;
  EXPECT_EQ(why(line, state, now), "Waits for 2 GPUs; none is free on nodes that it may use with the CPUs and memory that it asks for.");
  spec = {};
  spec.exclusive = true;
  EXPECT_EQ(why(waiting(ReasonCode::fragmentation, 2, 8), state, now),
            "Waits for 2 GPUs; 8 are free on whole nodes, but spread over nodes in another shape than it asks for.");
}

PlannedJob at_limit(LimitReached limit, std::optional<Time> start, std::vector<JobId> waits_for = {}) {
  PlannedJob planned = waiting(ReasonCode::limit, 4, 8, start, std::move(waits_for));
  planned.reason.limit = std::move(limit);
  return planned;
}

TEST(Why, SaysWhoseLimitIsUsedUpAndWhatItIs) {
  const State state = state_with_jobs();
  const Time start = now + minutes(12);
  EXPECT_EQ(why(at_limit({LimitScope::account, "lab-a", LimitKind::gpus, 30, 32}, start, {{12}}), state, now),
            "Waits for 4 GPUs: account lab-a may use 32 GPUs at once, and 30 of them are used or promised. "
            "Expected to start at 04:04 UTC (in 12m) when job 12 (train, lab-a) ends.");
  EXPECT_EQ(why(at_limit({LimitScope::user, "ada in QOS urgent", LimitKind::jobs, 1, 1}, start), state, now),
            "Waits for its turn: user ada in QOS urgent may run 1 job at once, and so many run or are ahead of it. Expected to start at 04:04 UTC (in 12m).");
  EXPECT_EQ(why(at_limit({LimitScope::partition, "main", LimitKind::gpu_hours, 95, 100}, start), state, now),
            "Waits for a new month: partition main has 100 GPU-hours a month, and 95 of them are used or promised. Expected to start at 04:04 UTC (in 12m).");
}

TEST(Why, SaysWhichLimitNoWaitHelps) {
  const auto sentence = [](LimitScope scope, const char* name, LimitKind kind, std::int64_t used, std::int64_t limit) {
    return why(at_limit({scope, name, kind, used, limit}, std::nullopt), state_with_jobs(), now);
  };
  EXPECT_EQ(sentence(LimitScope::account, "lab-b", LimitKind::gpus_per_job, 16, 8),
            "Can't start: it asks for 16 GPUs, and account lab-b allows 8 GPUs per job. Cancel it and ask for less.");
  EXPECT_EQ(sentence(LimitScope::account, "lab-b", LimitKind::gpus, 16, 1),
            "Can't start: it asks for 16 GPUs, and account lab-b may use 1 GPU at once. Cancel it and ask for less.");
  EXPECT_EQ(sentence(LimitScope::qos, "urgent", LimitKind::jobs, 1, 0), "Can't start: QOS urgent may run no jobs.");
  EXPECT_EQ(sentence(LimitScope::user, "ada of lab-a", LimitKind::gpu_hours, 101, 100),
            "Can't start: it may hold 101 GPU-hours, and user ada of lab-a has 100 GPU-hours a month. Cancel it and ask for less.");
  EXPECT_EQ(sentence(LimitScope::partition, "main", LimitKind::max_time_ms, hours(2).ms, hours(1).ms),
            "Can't start: its time limit is 2h, and partition main allows 1h. Cancel it and ask for less.");
}

TEST(Why, SaysThatABorrowerComesLast) {
  PlannedJob planned = waiting(ReasonCode::soft_cap, 4, 0, now + minutes(12));
  planned.reason.limit = LimitReached{LimitScope::account, "lab-a", LimitKind::gpus, 8, 8};
  EXPECT_EQ(why(planned, state_with_jobs(), now),
            "Lets others go first: account lab-a has used up the 8 GPUs of its own, and may only borrow what nobody else wants. "
            "Expected to start at 04:04 UTC (in 12m).");
}

PlannedJob until(ReasonCode code, Time time, std::optional<Time> start, const std::string& reservation = "") {
  PlannedJob planned = waiting(code, 8, 0, start);
  planned.reason.until_ms = time;
  planned.reason.reservation = reservation;
  return planned;
}

TEST(Why, SaysWhenItMayBeginAndWhenItMustHaveEnded) {
  State state = state_with_jobs();
  state.jobs[{20}].spec.time_limit_ms = hours(1);
  EXPECT_EQ(why(until(ReasonCode::begin_time, now + minutes(12), now + minutes(12)), state, now), "It is to begin at 04:04 UTC (in 12m), and not before.");
  EXPECT_EQ(why(until(ReasonCode::begin_time, now + minutes(12), now + hours(2)), state, now),
            "It is to begin at 04:04 UTC (in 12m), and not before. Expected to start at 05:52 UTC (in 2h).");
  EXPECT_EQ(why(until(ReasonCode::deadline, now + hours(2), std::nullopt), state, now),
            "Waits for 8 GPUs to become free earlier than planned: else it can't end by its deadline at 05:52 UTC (in 2h).");
  EXPECT_EQ(why(until(ReasonCode::deadline, now + minutes(59), std::nullopt), state, now),
            "Can't start: it could not end by its deadline any more. Cancel it, or submit it again with another deadline.");
}

TEST(Why, NamesTheReservationOrMaintenance) {
  State state = state_with_jobs();
  state.jobs[{20}].spec.reservation = "course";
  state.reservations["course"] = {.name = "course", .accounts = {"lab-a"}};
  state.reservations["night"] = {.name = "night"};
  const Time then = now + hours(2);
  EXPECT_EQ(why(until(ReasonCode::reservation, then, then, "night"), state, now),
            "Waits for 8 GPUs: nodes that it would fit on are kept for maintenance night, which ends at 05:52 UTC (in 2h). Expected to start at 05:52 UTC (in 2h).");
  EXPECT_EQ(why(until(ReasonCode::reservation, then, then, "course"), state, now),
            "Waits for its reservation course, which begins at 05:52 UTC (in 2h). Expected to start at 05:52 UTC (in 2h).");
  EXPECT_EQ(why(until(ReasonCode::reservation, then, std::nullopt, "course"), state, now),
            "Can't start: what is left of its reservation course is too short for it. Cancel it, or submit it again.");
  state.reservations.erase("course");
  EXPECT_EQ(why(until(ReasonCode::reservation, then, std::nullopt, "course"), state, now), "Can't start: its reservation course is over. Cancel it, or submit it again.");
  state.reservations["course"] = {.name = "course", .accounts = {"lab-a"}};
  state.jobs[{20}].spec.reservation.clear();
  EXPECT_NE(why(until(ReasonCode::reservation, then, then, "course"), state, now).find("are kept for reservation course, which ends"), std::string::npos);
}

TEST(Why, SaysWhenItWillStartIfWhatItDependsOnEndsWell) {
  EXPECT_EQ(why(waiting(ReasonCode::dependency, 1, 0, std::nullopt, {{12}}), state_with_jobs(), now), "Waits for job 12, on which it depends.");
  EXPECT_EQ(why(waiting(ReasonCode::dependency, 1, 0, now + hours(2), {{12}, {13}}), state_with_jobs(), now),
            "Waits for jobs 12 and 13, on which it depends. Expected to start at 05:52 UTC (in 2h), if all it waits for takes its whole time and ends well.");
}

TEST(Why, UsesNoWordOfTheProgram) {
  // People read these: no enumerators, no underscores.
  for (const ReasonCode code : {ReasonCode::starting_now, ReasonCode::resources, ReasonCode::fragmentation, ReasonCode::priority,
                                ReasonCode::nodes_missing, ReasonCode::never_fits, ReasonCode::held, ReasonCode::dependency,
                                ReasonCode::dependency_never, ReasonCode::array_limit, ReasonCode::begin_time, ReasonCode::deadline, ReasonCode::limit,
                                ReasonCode::soft_cap, ReasonCode::reservation}) {
    const std::string sentence = why(waiting(code, 8, 2, now + minutes(1), {{12}}), state_with_jobs(), now);
    EXPECT_FALSE(sentence.empty());
    EXPECT_EQ(sentence.find('_'), std::string::npos) << sentence;
    EXPECT_EQ(sentence.back(), '.') << sentence;
  }
}

}  // namespace
}  // namespace ultramarine::api
