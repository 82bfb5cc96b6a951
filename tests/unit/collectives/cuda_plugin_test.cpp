// Why there is no CUDA: the loader's reasons, to the word, as people see them.
#include "collectives/cuda_plugin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "collectives/backends.h"

namespace ultramarine::collectives {
namespace {

using testing::HasSubstr;

TEST(CudaPlugin, ThatIsAbsentOrBrokenOrOfAnotherVersionIsSaidToBe) {
  const LoadedPlugin absent = load_cuda_plugin("/nowhere/libultramarine_cuda.so");
  EXPECT_EQ(absent.plugin, nullptr);
  EXPECT_EQ(
      absent.reason,
      "CUDA: /nowhere/libultramarine_cuda.so can't be loaded: /nowhere/libultramarine_cuda.so: cannot open shared "
      "object file: No such file or directory");
  EXPECT_THAT(load_cuda_plugin("libm.so.6").reason,
              HasSubstr("CUDA: libm.so.6 is no plug-in of this project: it lacks ultramarine_cuda_plugin"));
  const LoadedPlugin other = load_cuda_plugin(ULTRAMARINE_OTHER_PLUGIN);
  EXPECT_EQ(other.plugin, nullptr);
  EXPECT_THAT(other.reason, HasSubstr("is of another version (" + std::to_string(cuda_plugin_version + 1) +
                                      ", this program needs " + std::to_string(cuda_plugin_version) + ")"));
}

TEST(CudaPlugin, ItsReasonIsWhatTheNcclBackendSays) {
  setenv("ULTRAMARINE_CUDA_PLUGIN", "/nowhere/else.so",
         1);  // read once in the life of a process: ctest starts one a test
  try {
    find_backend("nccl").make(1);
    FAIL();
  } catch (const CollectiveError& error) {
    EXPECT_STREQ(error.what(), ("nccl: " + cuda_plugin().reason).c_str());
    EXPECT_THAT(error.what(), HasSubstr("CUDA: /nowhere/else.so can't be loaded"));
  }
}

}  // namespace
}  // namespace ultramarine::collectives
