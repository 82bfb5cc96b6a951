// A folder that is gone after the test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace ultramarine::agent {

struct TemporaryFolder {
  std::string path = "/tmp/ultramarine-agent-XXXXXX";
  TemporaryFolder() {
    if (!mkdtemp(path.data())) std::abort();
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
};

}  // namespace ultramarine::agent
