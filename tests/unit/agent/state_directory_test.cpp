#include "worker/agent/state_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "temporary_folder.h"
#include "worker/agent/options.h"

namespace ultramarine::agent {
namespace {

using testing::HasSubstr;

struct StateDirectoryTest : testing::Test {
  TemporaryFolder temporary;
  std::string path = temporary.path + "/agents/node01";
  static mode_t mode(const std::string& file) {
    struct stat status {};
    return stat(file.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }
};

TEST_F(StateDirectoryTest, IsForItsOwnerAlone) {
  const StateDirectory state(path);
  EXPECT_EQ(mode(path), 0700u);
  EXPECT_EQ(mode(state.jobs_folder()), 0700u);
  state.save({});
  EXPECT_EQ(mode(path + "/agent.json"), 0600u);
}

TEST_F(StateDirectoryTest, ClosesWhatStoodOpen) {
  std::filesystem::create_directories(path);
  chmod(path.c_str(), 0755);
  const StateDirectory state(path);
  EXPECT_EQ(mode(path), 0700u);
}

TEST_F(StateDirectoryTest, WhatWasSavedIsLoaded) {
  worker_core::AgentMemory memory;
  memory.seen[JobId{7}] = {.attempt = 3, .gang = 1, .order = 9};
  const GangKey key{JobId{7}, 3, 1};
  memory.gangs.push_back({.key = key,
                          .first_rank = 8,
                          .devices = {0, 5},
                          .account = "vision",
                          .stop_grace_ms = seconds(4),
                          .checkpoints = {{key, 50, "/data/50"}},
                          .finished = GangReport{.key = key, .phase = GangPhase::finished, .outcome = Outcome::failed}});
  {
    const StateDirectory state(path);
    EXPECT_TRUE(state.load().seen.empty());
    state.save(memory);
  }
  const worker_core::AgentMemory loaded = StateDirectory(path).load();
  EXPECT_EQ(loaded.seen, memory.seen);
  ASSERT_EQ(loaded.gangs.size(), 1u);
  EXPECT_EQ(loaded.gangs[0].devices, memory.gangs[0].devices);
  EXPECT_EQ(loaded.gangs[0].first_rank, 8);
  EXPECT_EQ(loaded.gangs[0].checkpoints.at(0).path, "/data/50");
  EXPECT_EQ(loaded.gangs[0].finished->outcome, Outcome::failed);
}

TEST_F(StateDirectoryTest, SecondAgentIsTurnedAwayUntilTheFirstEnds) {
  {
    const StateDirectory first(path);
    try {
      const StateDirectory second(path);
      FAIL() << "two agents in one state directory";
    } catch (const AgentError& error) {
      EXPECT_EQ(error.exit_code, exit_conflict);
      EXPECT_THAT(error.what(), HasSubstr("in use by the agent with process id " + std::to_string(getpid())));
    }
  }
  EXPECT_NO_THROW(StateDirectory{path});  // the file that is left over locks nobody out
}

TEST_F(StateDirectoryTest, DamagedMemoryIsNotTakenForAnEmptyOne) {
  // Forgetting the newest attempts silently would let an old command start a job twice.
  const StateDirectory state(path);
  std::ofstream(path + "/agent.json") << "{\"seen\": [";
  try {
    state.load();
    FAIL() << "was accepted";
  } catch (const AgentError& error) {
    EXPECT_EQ(error.exit_code, exit_failure);
    EXPECT_THAT(error.what(), HasSubstr("agent.json is damaged"));
  }
}

TEST_F(StateDirectoryTest, FolderThatCannotBeMadeIsAnError) {
  std::ofstream(temporary.path + "/agents") << "a file";
  EXPECT_THROW(StateDirectory{path}, AgentError);
}

}  // namespace
}  // namespace ultramarine::agent
