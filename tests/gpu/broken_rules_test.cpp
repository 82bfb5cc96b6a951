// Planted mistakes, each of which the fakes must report: otherwise what passes on them would prove little. Fake only:
// on a GPU most of these are silent.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include <thread>
#include <vector>

#include "tests/gpu/probe.h"

namespace ultramarine {
namespace {

class BrokenRules : public testing::Test {
 protected:
  BrokenRules() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  /// Inside the process that shall die, which has nothing of the test's own.
  struct Setting {
    Setting() {
      cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
      cudaMalloc(reinterpret_cast<void**>(&a), count * sizeof(float));
      cudaMalloc(reinterpret_cast<void**>(&b), count * sizeof(float));
      cudaMemset(a, 0, count * sizeof(float));
      cudaDeviceSynchronize();
    }
    ncclComm_t join() const {
      ncclUniqueId id;
      ncclGetUniqueId(&id);
      ncclComm_t communicator = nullptr;
      ncclCommInitRank(&communicator, 1, id, 0);
      return communicator;
    }
    static constexpr int count = 1024;
    cudaStream_t stream = nullptr;
    float *a = nullptr, *b = nullptr;
  };
};

#define EXPECT_REPORT(text, ...)                       \
  EXPECT_DEATH(                                        \
      {                                                \
        Setting at;                                    \
        std::vector<float> host(Setting::count, 1.0F); \
        __VA_ARGS__;                                   \
        cudaDeviceSynchronize();                       \
      },                                               \
      text)

TEST_F(BrokenRules, CopiesInTheWrongDirectionOrBeyondTheAllocation) {
  EXPECT_REPORT(
      "cudaMemcpy of kind 2, 4096 bytes: the destination .* is a range of device memory, the source .* is not",
      cudaMemcpy(at.a, host.data(), 4096, cudaMemcpyDeviceToHost));
  EXPECT_REPORT("the destination .* is not a range of device memory",
                cudaMemcpyAsync(at.a, host.data(), 4100, cudaMemcpyHostToDevice, at.stream));
  EXPECT_REPORT("cudaMemsetAsync.*not a range of device memory", cudaMemsetAsync(at.a + 1000, 0, 100, at.stream));
}

TEST_F(BrokenRules, TheHostTouchesDeviceMemory) {
  EXPECT_EXIT(
      {
        Setting at;
        *const_cast<volatile float*>(at.a) = 1;
      },
      [](int status) { return status != 0; }, "");
}

TEST_F(BrokenRules, AKernelWritesBehindItsArray) {
  // Up to the next page it is found when the array is freed; after that at once.
  EXPECT_EXIT(
      {
        Setting at;
        float* small = nullptr;
        cudaMalloc(reinterpret_cast<void**>(&small), 100 * sizeof(float));
        probe::out_of_bounds(small, 100, at.stream);
        cudaFree(small);
      },
      [](int status) { return status != 0; }, "byte 400 outside of the 400 bytes");
  EXPECT_EXIT(
      {
        Setting at;
        float* page = nullptr;
        cudaMalloc(reinterpret_cast<void**>(&page), 512 * sizeof(float));
        probe::out_of_bounds(page, 512, at.stream);
        cudaStreamSynchronize(at.stream);
      },
      [](int status) { return status != 0; }, "");
}

TEST_F(BrokenRules, WhatWasFreedOrDestroyedIsUsed) {
  EXPECT_REPORT("is not a range of device memory", {
    cudaFree(at.a);
    cudaMemcpyAsync(at.a, host.data(), 8, cudaMemcpyHostToDevice, at.stream);
  });
  EXPECT_REPORT("AllReduce: communicator .* was destroyed", {
    ncclComm_t communicator = at.join();
    ncclCommDestroy(communicator);
    ncclAllReduce(at.a, at.b, 512, ncclFloat, ncclSum, communicator, at.stream);
  });
  EXPECT_REPORT("the stream isn't alive", {
    ncclComm_t communicator = at.join();
    cudaStreamDestroy(at.stream);
    ncclAllReduce(at.a, at.b, 512, ncclFloat, ncclSum, communicator, at.stream);
  });
  EXPECT_REPORT("ncclAllReduce after ncclCommFinalize|AllReduce after", {
    ncclComm_t communicator = at.join();
    ncclCommFinalize(communicator);
    ncclAllReduce(at.a, at.b, 512, ncclFloat, ncclSum, communicator, at.stream);
  });
}

TEST_F(BrokenRules, BuffersOfCollectives) {
  EXPECT_REPORT("the receive buffer .* isn't inside one allocation of device 0",
                ncclAllReduce(at.a, at.b + 1, 1024, ncclFloat, ncclSum, at.join(), at.stream));
  EXPECT_REPORT("the send buffer .* isn't inside one allocation",
                ncclAllReduce(host.data(), at.b, 512, ncclFloat, ncclSum, at.join(), at.stream));
  EXPECT_REPORT("the buffers overlap", ncclAllReduce(at.a, at.a + 16, 512, ncclFloat, ncclSum, at.join(), at.stream));
}

TEST_F(BrokenRules, BarriersAndWarps) {
  EXPECT_REPORT(
      "deadlock: a warp operation waits for lanes that will not come|after some threads of the block have exited",
      probe::divergent_barrier(at.a, at.stream));
  EXPECT_REPORT("threads of one block wait in different __syncthreads", probe::two_barriers(at.a, at.stream));
  EXPECT_REPORT("a mask that leaves it out", probe::wrong_mask(at.a, at.stream));
  EXPECT_REPORT("a shuffle read a lane that took no part", probe::absent_lane(at.a, at.stream));
}

TEST_F(BrokenRules, AMissingBarrierGivesWrongNumbers) {
  Setting at;
  probe::fill(at.a, 256, 0, at.stream);
  probe::without_barrier(at.a, at.b, at.stream);
  std::vector<float> out(256);
  cudaMemcpyAsync(out.data(), at.b, 256 * sizeof(float), cudaMemcpyDeviceToHost, at.stream);
  int wrong = 0;
  for (std::size_t i = 0; i < out.size(); ++i) wrong += out[i] != static_cast<float>((i + 37) % 256);
  EXPECT_GT(wrong, 100);
}

TEST_F(BrokenRules, RanksThatCallDifferentCollectives) {
  // Two ranks in one process, on two devices: rank 1 reduces one element less. Both must hear of it, and abort gets
  // them out.
  setenv("FAKE_NCCL_DUPLICATE_DEVICES", "1", 1);
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  std::string texts[2];
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 2; ++rank) {
    ranks.emplace_back([rank, id, &texts] {
      Setting at;
      ncclComm_t communicator = nullptr;
      ASSERT_EQ(ncclCommInitRank(&communicator, 2, id, rank), ncclSuccess);
      ASSERT_EQ(
          ncclAllReduce(at.a, at.b, static_cast<std::size_t>(512 - rank), ncclFloat, ncclSum, communicator, at.stream),
          ncclSuccess);
      ncclResult_t state = ncclSuccess;
      while (state == ncclSuccess) ncclCommGetAsyncError(communicator, &state);
      EXPECT_EQ(state, ncclInvalidUsage);
      texts[rank] = ncclGetLastError(communicator);
      ncclCommAbort(communicator);
      EXPECT_EQ(cudaStreamSynchronize(at.stream), cudaSuccess);
    });
  }
  for (auto& rank : ranks) rank.join();
  for (const std::string& text : texts) {
    EXPECT_NE(text.find("ranks call different collectives"), std::string::npos) << text;
    EXPECT_NE(text.find("count=511"), std::string::npos) << text;
    EXPECT_NE(text.find("count=512"), std::string::npos) << text;
  }
}

TEST_F(BrokenRules, AFunctionThatTheFakeLacks) {
  EXPECT_DEATH(cudaDeviceReset(), "cudaDeviceReset is called, which the fake doesn't have");
  EXPECT_DEATH(ncclCommInitAll(nullptr, 0, nullptr), "ncclCommInitAll is called, which the fake doesn't have");
}

}  // namespace
}  // namespace ultramarine
