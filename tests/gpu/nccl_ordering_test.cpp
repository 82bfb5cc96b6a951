// One rank that puts everything on one stream of its own and waits for nothing in between: copy in, all-reduce, copy
// out. Right only if the collective is ordered after and before what the caller's stream holds. On the fake runtime a
// removed event wait shows as wrong values (with FAKE_CUDA_JITTER_US) and, with ThreadSanitizer, as a race; on a GPU it
// must simply be right. A gang of one unless RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT say otherwise. Exit codes: 0
// right, 5 wrong values, 1 error.
#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "collectives/nccl/nccl_communicator.h"
#include "collectives/rendezvous.h"

using namespace ultramarine::collectives;

namespace {

constexpr std::chrono::milliseconds deadline = std::chrono::seconds(60);
constexpr int rounds = 8;
constexpr std::size_t count = 4099;

void check(cudaError_t code, const char* what) {
  if (code != cudaSuccess) throw CollectiveError(std::string(what) + ": " + cudaGetErrorString(code));
}

int run() {
  const Rendezvous place = rendezvous_from_environment();
  const char* local_rank = std::getenv("LOCAL_RANK");
  const int device = local_rank ? std::atoi(local_rank) : 0;
  check(cudaSetDevice(device), "cudaSetDevice");
  const auto communicator =
      make_nccl({.rank = place.rank,
                 .world_size = place.world_size,
                 .device = device,
                 .deadline = deadline,
                 .exchange = [&](const std::string& from_root) { return rendezvous(place, from_root, deadline); }});
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  float *send = nullptr, *receive = nullptr, *in = nullptr, *out = nullptr;
  check(cudaMalloc(reinterpret_cast<void**>(&send), count * sizeof(float)), "cudaMalloc");
  check(cudaMalloc(reinterpret_cast<void**>(&receive), count * sizeof(float)), "cudaMalloc");
  check(cudaMallocHost(reinterpret_cast<void**>(&in), rounds * count * sizeof(float)), "cudaMallocHost");
  check(cudaMallocHost(reinterpret_cast<void**>(&out), rounds * count * sizeof(float)), "cudaMallocHost");
  for (std::size_t i = 0; i < rounds * count; ++i)
    in[i] = static_cast<float>(i % 8191) + static_cast<float>(place.rank);

  std::vector<std::unique_ptr<Pending>> pendings;
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::size_t bytes = count * sizeof(float);
    check(cudaMemcpyAsync(send, in + round * count, bytes, cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
    pendings.push_back(communicator->all_reduce({send, count, DataType::float32, Residence::device},
                                                {receive, count, DataType::float32, Residence::device}, Operation::sum,
                                                {stream}));
    check(cudaMemcpyAsync(out + round * count, receive, bytes, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
  }
  for (const auto& pending : pendings) pending->wait(deadline);
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");

  std::size_t wrong = 0;
  const int ranks = place.world_size;
  for (std::size_t i = 0; i < rounds * count; ++i) {
    const float sum =
        static_cast<float>(i % 8191) * static_cast<float>(ranks) + static_cast<float>(ranks * (ranks - 1) / 2);
    wrong += out[i] != sum;
  }
  cudaFreeHost(in);
  cudaFreeHost(out);
  cudaFree(send);
  cudaFree(receive);
  cudaStreamDestroy(stream);
  if (wrong > 0) std::fprintf(stderr, "rank %d: %zu values are wrong\n", place.rank, wrong);
  return wrong == 0 ? 0 : 5;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
