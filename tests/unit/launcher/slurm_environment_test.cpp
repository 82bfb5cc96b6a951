// Every Slurm variable: its value in a script and in a gang of `ultra run`, and when it must not be there.
#include "worker/launcher/slurm_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/protocol/text_forms.h"

namespace ultramarine::launcher {
namespace {

using testing::ElementsAre;

constexpr const char* unset = "(unset)";

/// Attempt 2 of element 5 of the array 40, on three nodes; asks for 2 ranks of 4 CPUs on each, 90 minutes.
protocol::LaunchSpec script_launch() {
  protocol::LaunchSpec launch;
  launch.kind = protocol::LaunchKind::script;
  launch.key = {JobId{43}, 2, 1};
  launch.cluster = "hall";
  launch.node = "n07";
  launch.job_allocation = {{"n07", {1, 3, 4}}, {"n08", {0, 1, 2}}, {"n02", {5}}};
  launch.allocation = {launch.job_allocation.front()};
  launch.owner = {.uid = 1007, .name = "kim", .channel = "socket"};
  launch.array = ArrayElement{.array = JobId{40}, .index = 5, .count = 4, .min = 2, .max = 8, .step = 2};
  launch.environment = {{"PWD", "/home/kim/paper"}, {"HOSTNAME", "login1"}};
  JobSpec& spec = launch.spec;
  spec.name = "bert";
  spec.account = "vision";
  spec.partition = "gpu";
  spec.qos = "normal";
  spec.working_directory = "/data/run";
  spec.script = Script{"#!/bin/sh\n"};
  spec.resources = {.nodes = 3, .gpus_per_node = 3};
  spec.gpu_type = "a100";
  spec.ranks_per_node = 2;
  spec.cpus_per_rank = 4;
  spec.time_limit_ms = minutes(90);
  spec.dependencies = {{JobId{7}, DependencyCondition::ok}, {JobId{8}, DependencyCondition::notok}, {JobId{9}, DependencyCondition::any},
                       {JobId{10}, DependencyCondition::started}};
  spec.cpus_per_gpu = 3;  // 8 CPUs of 2 ranks on 3 GPUs
  spec.memory_per_gpu_bytes = (std::int64_t{16} << 30) / 3;
  spec.recorded = {{"gpus-per-task", "1"}, {"reservation", "course"}};
  return launch;
}

const GangSurroundings surroundings{.master_address = "10.0.0.7", .master_port = 29000, .progress_path = "/p", .api_socket = "/agent/api.sock",
                                    .scratch_folder = "/scratch/43.2", .host_file = "/job/hostfile", .hydra_host_file = "/job/hostfile.hydra", .remote_shell = "/usr/bin/ultra-rsh", .cpus = 64, .now_ms = Time{1'700'000'000'000}};

Environment of_script(const protocol::LaunchSpec& launch) {
  const GangLayout layout = layout_of(launch);
  return rank_environment(launch, layout, layout.ranks()[0], surroundings);
}

/// Rank `rank` of gang 3, which the script started with `ultra run` after 30 minutes.
Environment of_gang(std::int64_t rank, const protocol::LaunchSpec& script = script_launch()) {
  protocol::LaunchSpec launch = script;
  launch.kind = protocol::LaunchKind::ranks;
  launch.key.gang = 3;
  launch.environment = of_script(script);
  launch.allocation = script.job_allocation;
  launch.time_left_ms = minutes(60);
  const GangLayout layout = layout_of(launch);
  return rank_environment(launch, layout, layout.ranks()[static_cast<std::size_t>(rank)], surroundings);
}

std::string value_in(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? unset : found->second;
}

struct Variable {
  const char* name;
  const char* in_script;
  const char* in_gang;  // of rank 3: the second rank of the second node
};

// One line per variable: a test each.
const Variable variables[] = {
    {"SLURM_JOB_ID", "43", "43"},
    {"SLURM_JOBID", "43", "43"},
    {"SLURM_JOB_NAME", "bert", "bert"},
    {"SLURM_JOB_USER", "kim", "kim"},
    {"SLURM_JOB_UID", "1007", "1007"},
    {"SLURM_JOB_ACCOUNT", "vision", "vision"},
    {"SLURM_JOB_PARTITION", "gpu", "gpu"},
    {"SLURM_JOB_QOS", "normal", "normal"},
    {"SLURM_JOB_RESERVATION", "course", "course"},
    {"SLURM_JOB_DEPENDENCY", "afterok:7,afternotok:8,afterany:9,after:10", "afterok:7,afternotok:8,afterany:9,after:10"},
    {"SLURM_JOB_START_TIME", "1700000000", "1700000000"},
    {"SLURM_JOB_END_TIME", "1700005400", "1700005400"},
    {"SLURM_RESTART_COUNT", "1", "1"},
    {"SLURM_CLUSTER_NAME", "hall", "hall"},
    {"SLURM_SUBMIT_DIR", "/home/kim/paper", "/home/kim/paper"},
    {"SLURM_SUBMIT_HOST", "login1", "login1"},
    {"SLURM_ARRAY_JOB_ID", "40", "40"},
    {"SLURM_ARRAY_TASK_ID", "5", "5"},
    {"SLURM_ARRAY_TASK_COUNT", "4", "4"},
    {"SLURM_ARRAY_TASK_MIN", "2", "2"},
    {"SLURM_ARRAY_TASK_MAX", "8", "8"},
    {"SLURM_ARRAY_TASK_STEP", "2", "2"},
    {"SLURM_JOB_NODELIST", "n[07-08],n02", "n[07-08],n02"},
    {"SLURM_NODELIST", "n[07-08],n02", "n[07-08],n02"},
    {"SLURM_JOB_NUM_NODES", "3", "3"},
    {"SLURM_NNODES", "3", "3"},
    {"SLURM_JOB_CPUS_PER_NODE", "8(x3)", "8(x3)"},
    {"SLURM_CPUS_ON_NODE", "8", "8"},
    {"SLURMD_NODENAME", "n07", "n08"},
    {"SLURM_TOPOLOGY_ADDR", "n07", "n08"},
    {"SLURM_TOPOLOGY_ADDR_PATTERN", "node", "node"},
    {"SLURM_PRIO_PROCESS", "0", "0"},
    {"SLURM_TMPDIR", "/scratch/43.2", "/scratch/43.2"},
    {"SLURMTMPDIR", "/scratch/43.2", "/scratch/43.2"},
    {"SLURM_JOBTMP", "/scratch/43.2", "/scratch/43.2"},
    {"SLURM_NTASKS", "6", "6"},
    {"SLURM_NPROCS", "6", "6"},
    {"SLURM_NTASKS_PER_NODE", "2", "2"},
    {"SLURM_TASKS_PER_NODE", "2(x3)", "2(x3)"},
    {"SLURM_CPUS_PER_TASK", "4", "4"},
    {"SLURM_GPUS", unset, unset},
    {"SLURM_GPUS_PER_NODE", "a100:3", "a100:3"},
    {"SLURM_GPUS_PER_TASK", "1", "1"},
    {"SLURM_CPUS_PER_GPU", unset, unset},
    {"SLURM_MEM_PER_NODE", "16384", "16384"},
    {"SLURM_MEM_PER_CPU", "1820", "1820"},
    {"SLURM_MEM_PER_GPU", "5461", "5461"},
    {"SLURM_GPUS_ON_NODE", "3", "3"},
    {"SLURM_JOB_GPUS", "1,3,4", "1,3,4"},  // in a gang as the script's shell handed it down
    {"SLURM_PROCID", "0", "3"},
    {"SLURM_LOCALID", "0", "1"},
    {"SLURM_NODEID", "0", "1"},
    {"SLURM_GTIDS", "0", "2,3"},
    {"SLURM_STEP_ID", unset, "1"},
    {"SLURM_STEPID", unset, "1"},
    {"SLURM_STEP_NODELIST", unset, "n[07-08],n02"},
    {"SLURM_STEP_NUM_NODES", unset, "3"},
    {"SLURM_STEP_NUM_TASKS", unset, "6"},
    {"SLURM_STEP_TASKS_PER_NODE", unset, "2(x3)"},
    {"SLURM_STEP_GPUS", unset, "0,1,2"},
    {"SLURM_LAUNCH_NODE_IPADDR", unset, "10.0.0.7"},
    {"OMPI_MCA_plm", "rsh", "rsh"},
    {"OMPI_MCA_ras", "^slurm", "^slurm"},
    {"PRTE_MCA_plm", "ssh", "ssh"},
    {"PRTE_MCA_ras", "^slurm", "^slurm"},
    {"RANK", unset, "3"},
    {"LOCAL_RANK", unset, "1"},
    {"WORLD_SIZE", unset, "6"},
    {"MASTER_ADDR", unset, "10.0.0.7"},
    {"MASTER_PORT", unset, "29000"},
    {"OMP_NUM_THREADS", "4", "4"},
    {"CUDA_VISIBLE_DEVICES", "1,3,4", "0,1,2"},
    {"ULTRA_JOB_ID", "43", "43"},
    {"ULTRA_GANG", "1", "3"},
    {"ULTRA_NODE", "n07", "n08"},
    {"ULTRA_NUM_NODES", "3", "3"},
    {"ULTRA_GPUS", "7", "7"},
    {"ULTRA_DEVICES", "1,3,4", "0,1,2"},
    {"ULTRA_ARRAY_JOB_ID", "40", "40"},
    {"ULTRA_ARRAY_INDEX", "5", "5"},
    {"ULTRA_SOCKET", "/agent/api.sock", "/agent/api.sock"},
    {"ULTRA_SCRATCH", "/scratch/43.2", "/scratch/43.2"},
    {"ULTRA_SUBMIT_DIR", "/home/kim/paper", "/home/kim/paper"},
    {"SLURM_JOB_NODELIS", unset, unset},  // a frequent misspelling: unset in Slurm, so unset here
};

class SlurmVariables : public testing::TestWithParam<Variable> {};

TEST_P(SlurmVariables, HaveTheirValueInAScriptAndInAGang) {
  EXPECT_EQ(value_in(of_script(script_launch()), GetParam().name), GetParam().in_script) << "in the script";
  EXPECT_EQ(value_in(of_gang(3), GetParam().name), GetParam().in_gang) << "in a gang";
}

INSTANTIATE_TEST_SUITE_P(Table, SlurmVariables, testing::ValuesIn(variables),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(SlurmEnvironment, EveryVariableOfTheTableHasItsTest) {
  const auto tested = [](const std::string& name) {
    return std::any_of(std::begin(variables), std::end(variables), [&](const Variable& variable) { return name == variable.name; });
  };
  for (const Environment& environment : {of_script(script_launch()), of_gang(3)}) {
    for (const auto& [name, value] : environment) EXPECT_TRUE(!name.starts_with("SLURM") || tested(name)) << name;
  }
}

TEST(SlurmEnvironment, WhatNobodyAskedForStaysUnset) {
  protocol::LaunchSpec launch = script_launch();
  JobSpec plain{.name = "plain", .resources = {.gpus = 7}, .working_directory = "/data", .script = Script{"#!/bin/sh\n"}};
  launch.spec = plain;
  launch.key.attempt = 1;
  launch.array.reset();
  launch.environment.clear();
  const Environment environment = of_script(launch);
  for (const char* name : {"SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE", "SLURM_CPUS_PER_TASK", "SLURM_GPUS_PER_NODE", "SLURM_RESTART_COUNT",
                           "SLURM_ARRAY_TASK_ID", "SLURM_JOB_DEPENDENCY", "SLURM_JOB_END_TIME", "SLURM_MEM_PER_NODE", "SLURM_SUBMIT_HOST",
                           "SLURM_JOB_ACCOUNT", "OMP_NUM_THREADS"}) {
    EXPECT_EQ(value_in(environment, name), unset) << name;
  }
  EXPECT_EQ(environment.at("SLURM_GPUS"), "7") << "without a type as a bare number";
  EXPECT_EQ(environment.at("SLURM_TASKS_PER_NODE"), "3(x2),1") << "what `ultra run` would start";
  EXPECT_EQ(environment.at("SLURM_CPUS_ON_NODE"), "64") << "all of them";
  EXPECT_EQ(environment.at("SLURM_SUBMIT_DIR"), "/data");
}

TEST(SlurmEnvironment, AStepAlwaysKnowsItsSizeAndKeepsWhatTheScriptSetItself) {
  protocol::LaunchSpec script = script_launch();
  script.spec.ranks_per_node = 0;
  protocol::LaunchSpec launch = script;
  launch.kind = protocol::LaunchKind::ranks;
  launch.key.gang = 2;
  launch.environment = {{"SLURM_JOB_NAME", "renamed"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "99"}};
  launch.allocation = {script.job_allocation[0], script.job_allocation[1]};
  launch.spec.ranks = 2;
  const GangLayout layout = layout_of(launch);
  const Environment environment = rank_environment(launch, layout, layout.ranks()[1], surroundings);
  EXPECT_EQ(environment.at("SLURM_NTASKS"), "2");
  EXPECT_EQ(environment.at("SLURM_PROCID"), "1");
  EXPECT_EQ(environment.at("SLURM_STEP_ID"), "0");
  EXPECT_EQ(environment.at("SLURM_NNODES"), "2") << "of the step";
  EXPECT_EQ(environment.at("SLURM_JOB_NUM_NODES"), "3");
  EXPECT_EQ(environment.at("SLURM_STEP_NODELIST"), "n[07-08]");
  EXPECT_EQ(environment.at("SLURM_JOB_NAME"), "renamed");
  EXPECT_EQ(environment.at("SLURM_TASKS_PER_NODE"), "1(x2)");
  EXPECT_EQ(environment.at("CUDA_VISIBLE_DEVICES"), "0,1,2") << "a rank sees all devices of its node";
}

TEST(SlurmEnvironment, FoldsCounts) {
  EXPECT_EQ(fold_counts({}), "");
  EXPECT_EQ(fold_counts({4}), "4");
  EXPECT_EQ(fold_counts({2, 2, 2, 1}), "2(x3),1");
  EXPECT_EQ(fold_counts({1, 2, 2, 1}), "1,2(x2),1");
}

TEST(SlurmEnvironment, TheFirstNameOfANodeListIsTheFirstNode) {
  for (const std::vector<std::string>& names :
       {std::vector<std::string>{"a1", "a2", "a3"}, {"a3", "a1", "a2"}, {"n08", "n07"}, {"b", "a", "c10", "c9", "c11"}, {"x"}}) {
    EXPECT_EQ(protocol::expand_hostlist(fold_in_order(names)), names) << fold_in_order(names);
  }
  EXPECT_EQ(fold_in_order({"a1", "a2", "a3"}), "a[1-3]");
}

TEST(SlurmEnvironment, TellsWhatIsKeptWithItsGpus) {
  protocol::LaunchSpec launch = script_launch();
  launch.spec.ranks_per_node = 0;
  launch.spec.cpus_per_rank = 0;
  launch.spec.cpus_per_gpu = 8;
  launch.spec.memory_per_gpu_bytes = std::int64_t{4} << 30;
  Environment environment = of_script(launch);
  EXPECT_EQ(environment.at("SLURM_CPUS_PER_GPU"), "8");
  EXPECT_EQ(environment.at("SLURM_CPUS_ON_NODE"), "24");
  EXPECT_EQ(environment.at("SLURM_JOB_CPUS_PER_NODE"), "24(x2),8");
  EXPECT_EQ(environment.at("SLURM_MEM_PER_NODE"), "12288");
  EXPECT_EQ(environment.at("SLURM_MEM_PER_CPU"), "512");
  launch.spec.exclusive = true;
  environment = of_script(launch);
  EXPECT_EQ(environment.at("SLURM_CPUS_ON_NODE"), "64") << "the whole node";
}

}  // namespace
}  // namespace ultramarine::launcher
