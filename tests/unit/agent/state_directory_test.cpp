#include "worker/agent/state_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "temporary_folder.h"
#include "worker/agent/options.h"

namespace ultramarine::agent {
namespace {

using testing::HasSubstr;

struct StateDirectoryTest : testing::Test {
  TemporaryFolder temporary;
  std::string path = temporary.path + "/agents/node01";
  // Under an agent that is root, the owners of jobs must get through to their folders.
  const mode_t closed = geteuid() == 0 ? 0711 : 0700;
  static mode_t mode(const std::string& file) {
    struct stat status {};
    return stat(file.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }
  static std::string text_of(const std::string& file) {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
};

TEST_F(StateDirectoryTest, IsForItsOwnerAlone) {
  StateDirectory state(path);
  EXPECT_EQ(mode(path), closed);
  EXPECT_EQ(mode(state.jobs_folder()), closed);
  state.load();
  state.save({});
  EXPECT_EQ(mode(path + "/agent.json"), 0600u);
  EXPECT_EQ(mode(path + "/agent.changes"), 0600u);
}

TEST_F(StateDirectoryTest, ClosesWhatStoodOpen) {
  std::filesystem::create_directories(path);
  chmod(path.c_str(), 0755);
  StateDirectory state(path);
  EXPECT_EQ(mode(path), closed);
}

TEST_F(StateDirectoryTest, WhatWasSavedIsLoaded) {
  worker_core::MemoryChange memory;
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
    StateDirectory state(path);
    EXPECT_TRUE(state.load().seen.empty());
    state.save(memory);
  }
  StateDirectory again(path);
  const worker_core::AgentMemory& loaded = again.load();
  EXPECT_EQ(loaded.seen, memory.seen);
  ASSERT_EQ(loaded.gangs.size(), 1u);
  EXPECT_EQ(loaded.gangs[0].devices, memory.gangs[0].devices);
  EXPECT_EQ(loaded.gangs[0].first_rank, 8);
  EXPECT_EQ(loaded.gangs[0].checkpoints.at(0).path, "/data/50");
  EXPECT_EQ(loaded.gangs[0].finished->outcome, Outcome::failed);
}

TEST_F(StateDirectoryTest, ChangesAreKeptWhereverTheWritingEnded) {
  const auto change = [](std::int64_t job) {
    worker_core::MemoryChange made;
    made.seen[JobId{job}] = {.attempt = 1, .gang = 1, .order = job};
    made.gangs.push_back({.key = {JobId{job}, 1, 1}, .account = std::string(2000, 'a')});
    if (job > 1) made.forgotten.push_back({JobId{job - 1}, 1, 1});
    return made;
  };
  {
    StateDirectory state(path);
    state.load();
    std::int64_t largest = 0;
    for (std::int64_t job = 1; job <= 300; ++job) {
      state.save(change(job));
      largest = std::max(largest, static_cast<std::int64_t>(std::filesystem::file_size(path + "/agent.changes")));
    }
    EXPECT_GT(largest, 100 << 10);
    EXPECT_LT(largest, 300 << 10) << "the changes don't grow for ever";
  }
  const auto expect_all = [&](const std::string& when) {
    StateDirectory state(path);
    const worker_core::AgentMemory& loaded = state.load();
    EXPECT_EQ(loaded.seen.size(), 300u) << when;
    ASSERT_EQ(loaded.gangs.size(), 1u) << when;
    EXPECT_EQ(loaded.gangs[0].key, (GangKey{JobId{300}, 1, 1})) << when;
  };
  expect_all("after all");
  const std::string changes = text_of(path + "/agent.changes");
  std::ofstream(path + "/agent.changes", std::ios::app) << "{\"seen\":{\"301\":{\"att";
  expect_all("with half a line");
  {
    StateDirectory state(path);
    state.load();
    state.save({});
  }
  EXPECT_EQ(text_of(path + "/agent.changes"), "") << "the half line is gone";
  std::ofstream(path + "/agent.changes") << changes;
  expect_all("with changes that the file has already");
  std::ofstream(path + "/agent.changes") << "{\"seen\":[]}\n" << changes;
  StateDirectory state(path);
  EXPECT_THROW(state.load(), AgentError) << "damaged in the middle";
}

TEST_F(StateDirectoryTest, SecondAgentIsTurnedAwayUntilTheFirstEnds) {
  {
    StateDirectory first(path);
    try {
      StateDirectory second(path);
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
  StateDirectory state(path);
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
