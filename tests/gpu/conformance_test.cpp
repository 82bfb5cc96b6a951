// What the fake CUDA runtime and the fake NCCL take for granted, as tests that run on both: linked with the fakes in
// every build, and with the real libraries where there is a GPU (ctest -L gpu). A rule that a GPU refutes is changed
// here first.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "tests/gpu/probe.h"
#include "tests/gpu/real_gpu.h"

namespace ultramarine {
namespace {

#define EXPECT_CUDA(call) EXPECT_EQ(call, cudaSuccess) << #call
#define ASSERT_CUDA(call) ASSERT_EQ(call, cudaSuccess) << #call

/// Holds a stream until it is opened. What the stream looks at outlives the gate, which may be opened before the
/// stream comes to it.
class Gate {
 public:
  ~Gate() { open(); }
  void close_in(cudaStream_t stream) {
    auto* seen = new std::shared_ptr<std::atomic<bool>>(open_);
    const cudaError_t error = cudaLaunchHostFunc(
        stream,
        [](void* argument) {
          const std::unique_ptr<std::shared_ptr<std::atomic<bool>>> gate(
              static_cast<std::shared_ptr<std::atomic<bool>>*>(argument));
          while (!(*gate)->load()) std::this_thread::yield();
        },
        seen);
    if (error != cudaSuccess) delete seen;
    ASSERT_CUDA(error);
  }
  void open() { *open_ = true; }

 private:
  std::shared_ptr<std::atomic<bool>> open_ = std::make_shared<std::atomic<bool>>(false);
};

class CudaConformance : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = why_no_gpu(); !reason.empty()) GTEST_SKIP() << reason;
    ASSERT_CUDA(cudaSetDevice(0));
    ASSERT_CUDA(cudaStreamCreateWithFlags(&first_, cudaStreamNonBlocking));
    ASSERT_CUDA(cudaStreamCreateWithFlags(&second_, cudaStreamNonBlocking));
    ASSERT_CUDA(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
    ASSERT_CUDA(cudaMalloc(reinterpret_cast<void**>(&values_), count * sizeof(float)));
    ASSERT_CUDA(cudaMalloc(reinterpret_cast<void**>(&others_), count * sizeof(float)));
    // A kernel's first launch may wait for all that the device is doing, which a gate would hold for ever.
    ASSERT_CUDA(probe::fill(values_, count, 0, nullptr));
    ASSERT_CUDA(cudaMemset(values_, 0, count * sizeof(float)));
    ASSERT_CUDA(cudaDeviceSynchronize());
  }
  void TearDown() override {
    if (!values_) return;
    EXPECT_CUDA(cudaDeviceSynchronize());
    EXPECT_CUDA(cudaFree(values_));
    EXPECT_CUDA(cudaFree(others_));
    EXPECT_CUDA(cudaEventDestroy(event_));
    EXPECT_CUDA(cudaStreamDestroy(first_));
    EXPECT_CUDA(cudaStreamDestroy(second_));
  }
  std::vector<float> read(const float* from, std::size_t number = count) {
    std::vector<float> host(number);
    EXPECT_CUDA(cudaMemcpyAsync(host.data(), from, number * sizeof(float), cudaMemcpyDeviceToHost, second_));
    EXPECT_CUDA(cudaStreamSynchronize(second_));
    return host;
  }

  static constexpr int count = 1000;
  cudaStream_t first_ = nullptr, second_ = nullptr;
  cudaEvent_t event_ = nullptr;
  float *values_ = nullptr, *others_ = nullptr;
};

TEST_F(CudaConformance, TheMachineIsRecorded) {
  cudaDeviceProp properties{};
  ASSERT_CUDA(cudaGetDeviceProperties(&properties, 0));
  int devices = 0, driver = 0, runtime = 0, nccl = 0;
  ASSERT_CUDA(cudaGetDeviceCount(&devices));
  ASSERT_CUDA(cudaDriverGetVersion(&driver));
  ASSERT_CUDA(cudaRuntimeGetVersion(&runtime));
  ASSERT_EQ(ncclGetVersion(&nccl), ncclSuccess);
  RecordProperty("machine_gpu", properties.name);
  RecordProperty("machine_gpus", devices);
  RecordProperty("machine_cuda_driver", driver);
  RecordProperty("machine_cuda_runtime", runtime);
  RecordProperty("machine_nccl", nccl);
  EXPECT_EQ(runtime, CUDART_VERSION) << "the library is that of the headers";
  EXPECT_GE(driver / 1000, runtime / 1000);
  std::ifstream file("/proc/driver/nvidia/version");  // the driver's own number, where there is a driver
  std::string line;
  if (std::getline(file, line)) RecordProperty("machine_driver", line);
}

TEST_F(CudaConformance, AddressesAreAlignedAndFreedOnce) {
  void* memory = nullptr;
  ASSERT_CUDA(cudaMalloc(&memory, 7));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 256, 0U);
  EXPECT_CUDA(cudaFree(memory));
  EXPECT_CUDA(cudaFree(nullptr));
}

TEST_F(CudaConformance, TooMuchMemoryIsRefusedAndForgotten) {
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, std::size_t{1} << 50), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_CUDA(cudaMalloc(&memory, 64));
  EXPECT_CUDA(cudaFree(memory));
}

TEST_F(CudaConformance, AStreamRunsInOrderAndTheHostDoesNotWait) {
  Gate gate;
  gate.close_in(first_);
  ASSERT_CUDA(probe::fill(values_, count, 5, first_));
  ASSERT_CUDA(cudaMemcpyAsync(others_, values_, count * sizeof(float), cudaMemcpyDeviceToDevice, first_));
  EXPECT_EQ(cudaStreamQuery(first_), cudaErrorNotReady);
  EXPECT_EQ(read(values_)[3], 0) << "nothing has run yet";
  gate.open();
  EXPECT_CUDA(cudaStreamSynchronize(first_));
  EXPECT_CUDA(cudaStreamQuery(first_));
  EXPECT_EQ(read(others_)[3], 8);
}

TEST_F(CudaConformance, AWaitOrdersTwoStreams) {
  Gate gate;
  gate.close_in(first_);
  ASSERT_CUDA(probe::fill(values_, count, 5, first_));
  ASSERT_CUDA(cudaEventRecord(event_, first_));
  ASSERT_CUDA(cudaStreamWaitEvent(second_, event_, 0));
  ASSERT_CUDA(cudaMemcpyAsync(others_, values_, count * sizeof(float), cudaMemcpyDeviceToDevice, second_));
  EXPECT_EQ(cudaEventQuery(event_), cudaErrorNotReady);
  EXPECT_EQ(cudaStreamQuery(second_), cudaErrorNotReady);
  gate.open();
  EXPECT_CUDA(cudaEventSynchronize(event_));
  EXPECT_CUDA(cudaEventQuery(event_));
  EXPECT_EQ(read(others_)[0], 5);
}

TEST_F(CudaConformance, AnEventThatWasNeverRecordedIsNoWork) {
  EXPECT_CUDA(cudaEventQuery(event_));
  EXPECT_CUDA(cudaEventSynchronize(event_));
  EXPECT_CUDA(cudaStreamWaitEvent(first_, event_, 0));
  EXPECT_CUDA(cudaStreamSynchronize(first_));
}

TEST_F(CudaConformance, AWaitIsForTheRecordBeforeItNotForALaterOne) {
  Gate gate;
  ASSERT_CUDA(cudaEventRecord(event_, first_));
  ASSERT_CUDA(cudaStreamWaitEvent(second_, event_, 0));
  gate.close_in(first_);
  ASSERT_CUDA(cudaEventRecord(event_, first_));
  EXPECT_CUDA(cudaStreamSynchronize(second_)) << "must not wait for the gate";
  EXPECT_EQ(cudaEventQuery(event_), cudaErrorNotReady) << "the event itself is that of the last record";
  gate.open();
}

TEST_F(CudaConformance, PageableMemoryMayBeReusedAtOnce) {
  Gate gate;
  gate.close_in(first_);
  std::vector<float> host(count, 3.0F);
  ASSERT_CUDA(cudaMemcpyAsync(values_, host.data(), 256, cudaMemcpyHostToDevice, first_));
  host.assign(count, 4.0F);
  gate.open();
  ASSERT_CUDA(cudaStreamSynchronize(first_));
  EXPECT_EQ(read(values_)[7], 3);
}

TEST_F(CudaConformance, ACopyToPageableMemoryIsCompleteAtReturn) {
  ASSERT_CUDA(probe::fill(values_, count, 1, first_));
  std::vector<float> host(count, -1.0F);
  ASSERT_CUDA(cudaMemcpyAsync(host.data(), values_, count * sizeof(float), cudaMemcpyDeviceToHost, first_));
  EXPECT_EQ(host[count - 1], count);
}

TEST_F(CudaConformance, TheDefaultStreamDoesNotWaitForNonBlockingStreams) {
  Gate gate;
  gate.close_in(first_);
  ASSERT_CUDA(probe::fill(values_, count, 9, first_));
  float host = -1;
  EXPECT_CUDA(cudaMemcpy(&host, values_, sizeof host, cudaMemcpyDeviceToHost));
  EXPECT_EQ(host, 0) << "so a cudaMemcpy orders nothing with our streams";
  gate.open();
}

TEST_F(CudaConformance, TheDefaultStreamWaitsForBlockingStreams) {
  cudaStream_t blocking = nullptr;
  ASSERT_CUDA(cudaStreamCreate(&blocking));
  Gate gate;
  gate.close_in(blocking);
  ASSERT_CUDA(probe::fill(values_, count, 9, blocking));
  std::thread opens([&] { gate.open(); });
  float host = -1;
  EXPECT_CUDA(cudaMemcpy(&host, values_, sizeof host, cudaMemcpyDeviceToHost));
  EXPECT_EQ(host, 9);
  opens.join();
  EXPECT_CUDA(cudaStreamDestroy(blocking));
}

TEST_F(CudaConformance, ADestroyedStreamStillFinishesItsWork) {
  cudaStream_t stream = nullptr;
  ASSERT_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  Gate gate;
  gate.close_in(stream);
  ASSERT_CUDA(probe::fill(values_, count, 2, stream));
  ASSERT_CUDA(cudaEventRecord(event_, stream));
  EXPECT_CUDA(cudaStreamDestroy(stream));
  gate.open();
  EXPECT_CUDA(cudaEventSynchronize(event_));
  EXPECT_EQ(read(values_)[0], 2);
}

TEST_F(CudaConformance, AnInvalidLaunchIsRefusedAndForgotten) {
  // What cudaLaunchKernelEx gives (580.159 on an H100); its documentation names no code.
  EXPECT_EQ(probe::too_many_threads(values_, first_), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_CUDA(probe::fill(values_, count, 0, first_));
  EXPECT_CUDA(cudaStreamSynchronize(first_));
}

TEST_F(CudaConformance, ABlockSumsThroughSharedMemoryAndShuffles) {
  std::vector<float> host(count);
  std::iota(host.begin(), host.end(), 1.0F);
  ASSERT_CUDA(cudaMemcpyAsync(values_, host.data(), count * sizeof(float), cudaMemcpyHostToDevice, second_));
  ASSERT_CUDA(probe::block_sum(values_, count, others_, second_));
  EXPECT_EQ(read(others_, 1)[0], 500500);
}

TEST_F(CudaConformance, ABallotAsksEveryLane) {
  ASSERT_CUDA(probe::fill(values_, 32, 0, second_));
  ASSERT_CUDA(probe::odd_lanes(values_, reinterpret_cast<unsigned*>(others_), second_));
  unsigned bits = 0;
  ASSERT_CUDA(cudaMemcpyAsync(&bits, others_, sizeof bits, cudaMemcpyDeviceToHost, second_));
  EXPECT_EQ(bits, 0xaaaaaaaaU);
}

TEST_F(CudaConformance, ElapsedTimeWantsRecordedEventsWithTiming) {
  cudaEvent_t start = nullptr, end = nullptr;
  ASSERT_CUDA(cudaEventCreate(&start));
  ASSERT_CUDA(cudaEventCreate(&end));
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaErrorInvalidResourceHandle);
  ASSERT_CUDA(cudaEventRecord(start, first_));
  ASSERT_CUDA(cudaEventRecord(end, first_));
  ASSERT_CUDA(cudaEventSynchronize(end));
  EXPECT_CUDA(cudaEventElapsedTime(&milliseconds, start, end));
  EXPECT_GE(milliseconds, 0);
  ASSERT_CUDA(cudaEventRecord(event_, first_));
  ASSERT_CUDA(cudaStreamSynchronize(first_));
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, event_), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
  EXPECT_CUDA(cudaEventDestroy(start));
  EXPECT_CUDA(cudaEventDestroy(end));
}

class NcclConformance : public CudaConformance {
 protected:
  /// Polls until the communicator isn't in progress; what it is then.
  static ncclResult_t settle(ncclComm_t communicator) {
    ncclResult_t state = ncclInProgress;
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < give_up) {
      EXPECT_EQ(ncclCommGetAsyncError(communicator, &state), ncclSuccess);
      if (state != ncclInProgress) break;
      std::this_thread::yield();
    }
    return state;
  }
};

TEST_F(NcclConformance, AConfigMustBeInitialised) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclConfig_t config{};
  ncclComm_t communicator = nullptr;
  EXPECT_NE(ncclCommInitRankConfig(&communicator, 1, id, 0, &config), ncclSuccess);
}

TEST_F(NcclConformance, ANonBlockingWorldOfOne) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t communicator = nullptr;
  const ncclResult_t begun = ncclCommInitRankConfig(&communicator, 1, id, 0, &config);
  ASSERT_TRUE(begun == ncclSuccess || begun == ncclInProgress) << ncclGetErrorString(begun);
  ASSERT_EQ(settle(communicator), ncclSuccess);
  int number = -1;
  EXPECT_EQ(ncclCommCount(communicator, &number), ncclSuccess);
  EXPECT_EQ(number, 1);
  EXPECT_EQ(ncclCommCuDevice(communicator, &number), ncclSuccess);
  EXPECT_EQ(number, 0);

  ASSERT_CUDA(probe::fill(values_, count, 1, first_));
  for (const ncclRedOp_t operation : {ncclSum, ncclMax, ncclAvg}) {
    const ncclResult_t result = ncclAllReduce(values_, values_, count, ncclFloat32, operation, communicator, first_);
    ASSERT_TRUE(result == ncclSuccess || result == ncclInProgress);
    ASSERT_EQ(settle(communicator), ncclSuccess);
  }
  ASSERT_EQ(ncclGroupStart(), ncclSuccess);
  ncclAllGather(values_, others_, count, ncclFloat32, communicator, first_);
  ncclBroadcast(others_, others_, count, ncclFloat32, 0, communicator, first_);
  const ncclResult_t grouped = ncclGroupEnd();
  ASSERT_TRUE(grouped == ncclSuccess || grouped == ncclInProgress);
  ASSERT_EQ(settle(communicator), ncclSuccess);
  ASSERT_CUDA(cudaStreamSynchronize(first_));
  EXPECT_EQ(read(others_)[9], 10);
  const ncclResult_t finalized = ncclCommFinalize(communicator);
  ASSERT_TRUE(finalized == ncclSuccess || finalized == ncclInProgress);
  ASSERT_EQ(settle(communicator), ncclSuccess);
  EXPECT_EQ(ncclCommDestroy(communicator), ncclSuccess);
}

TEST_F(NcclConformance, AnAbortEndsACommunicatorAndTheDeviceLivesOn) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclComm_t communicator = nullptr;
  ASSERT_EQ(ncclCommInitRank(&communicator, 1, id, 0), ncclSuccess);
  ASSERT_EQ(ncclAllReduce(values_, others_, count, ncclFloat32, ncclSum, communicator, first_), ncclSuccess);
  EXPECT_EQ(ncclCommAbort(communicator), ncclSuccess);
  ASSERT_CUDA(cudaStreamSynchronize(first_));
  EXPECT_CUDA(probe::fill(values_, count, 3, first_));
  ASSERT_CUDA(cudaStreamSynchronize(first_));
}

}  // namespace
}  // namespace ultramarine
