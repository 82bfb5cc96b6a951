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

TEST(Why, UsesNoWordOfTheProgram) {
  // People read these: no enumerators, no underscores.
  for (const ReasonCode code : {ReasonCode::starting_now, ReasonCode::resources, ReasonCode::fragmentation, ReasonCode::priority,
                                ReasonCode::nodes_missing, ReasonCode::never_fits, ReasonCode::held}) {
    const std::string sentence = why(waiting(code, 8, 2, now + minutes(1), {{12}}), state_with_jobs(), now);
    EXPECT_FALSE(sentence.empty());
    EXPECT_EQ(sentence.find('_'), std::string::npos) << sentence;
    EXPECT_EQ(sentence.back(), '.') << sentence;
  }
}

}  // namespace
}  // namespace ultramarine::api
