// Shared memory, the barrier and the reductions of the fake NCCL.
#include "fake_nccl_gang.h"

#include <cuda_bf16.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "fake_cuda.h"

namespace ultramarine::fake {
namespace {

constexpr int ranks_max = 64;
constexpr std::size_t chunk_bytes = 256 << 10;

}  // namespace

/// In shared memory, all zero at first.
struct GangMemory {
  std::atomic<int> world_size, joined, broken;
  std::atomic<std::uint32_t> error;
  char error_text[512];
  struct Rank {
    std::atomic<std::uint64_t> arrived;  // barriers reached
    std::atomic<int> process;
    int device;
    Agreement agreement;
    char data[chunk_bytes];
  } ranks[ranks_max];
};

namespace {

template <class T>
T combine(T a, T b, ncclRedOp_t operation) {
  switch (operation) {
    case ncclSum:
    case ncclAvg:
      return static_cast<T>(a + b);
    case ncclProd:
      return static_cast<T>(a * b);
    case ncclMax:
      return std::max(a, b);
    case ncclMin:
      return std::min(a, b);
    default:
      violation("fake NCCL: no reduction operation %d", static_cast<int>(operation));
  }
}
template <class T>
void combine_all(T* sum, const T* next, std::size_t count, ncclRedOp_t operation) {
  for (std::size_t i = 0; i < count; ++i) sum[i] = combine(sum[i], next[i], operation);
}
void combine_all(__nv_bfloat16* sum, const __nv_bfloat16* next, std::size_t count, ncclRedOp_t operation) {
  for (std::size_t i = 0; i < count; ++i)
    sum[i] = __float2bfloat16(combine(__bfloat162float(sum[i]), __bfloat162float(next[i]), operation));
}
template <class T>
void reduce_as(char* sum, const char* next, std::size_t count, ncclRedOp_t operation) {
  combine_all(reinterpret_cast<T*>(sum), reinterpret_cast<const T*>(next), count, operation);
}
void reduce_into(char* sum, const char* next, std::size_t count, ncclDataType_t type, ncclRedOp_t operation) {
  switch (type) {
    case ncclFloat32:
      return reduce_as<float>(sum, next, count, operation);
    case ncclFloat64:
      return reduce_as<double>(sum, next, count, operation);
    case ncclInt32:
      return reduce_as<std::int32_t>(sum, next, count, operation);
    case ncclInt64:
      return reduce_as<std::int64_t>(sum, next, count, operation);
    case ncclUint64:
      return reduce_as<std::uint64_t>(sum, next, count, operation);
    case ncclBfloat16:
      return reduce_as<__nv_bfloat16>(sum, next, count, operation);
    default:
      violation("fake NCCL: no reduction of type %d", static_cast<int>(type));
  }
}
void divide(char* values, std::size_t count, ncclDataType_t type, int by) {
  for (std::size_t i = 0; i < count; ++i) {
    if (type == ncclFloat32) {
      reinterpret_cast<float*>(values)[i] /= static_cast<float>(by);
    } else if (type == ncclBfloat16) {
      auto& value = reinterpret_cast<__nv_bfloat16*>(values)[i];
      value = __float2bfloat16(__bfloat162float(value) / static_cast<float>(by));
    } else {
      violation("fake NCCL: no average of type %d", static_cast<int>(type));
    }
  }
}

std::string describe(const Agreement& agreement) {
  char text[160];
  std::snprintf(text, sizeof text, "%s #%llu count=%llu type=%u op=%u root=%d", name_of(agreement.collective),
                static_cast<unsigned long long>(agreement.sequence), static_cast<unsigned long long>(agreement.count),
                agreement.type, agreement.operation, agreement.root);
  return text;
}

bool dead_peers_are_noticed() {
  static const bool noticed = [] {
    const char* word = std::getenv("FAKE_NCCL_PEER_DEATH");
    return word && std::strcmp(word, "remoteerror") == 0;
  }();
  return noticed;
}

}  // namespace

const char* name_of(Collective collective) {
  static constexpr const char* names[] = {"", "AllReduce", "ReduceScatter", "AllGather", "Broadcast", "Reduce"};
  return names[static_cast<std::size_t>(collective)];
}

std::size_t size_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8:
      return 1;
    case ncclBfloat16:
      return 2;
    case ncclInt32:
    case ncclFloat32:
      return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64:
      return 8;
    default:
      return 0;
  }
}

GangMember::GangMember(const char* id, int world_size, int rank, int device)
    : id_(id), rank_(rank), world_size_(world_size) {
  if (world_size > ranks_max) violation("fake NCCL: at most %d ranks", ranks_max);
  const int file = shm_open(id, O_CREAT | O_RDWR, 0600);
  if (file < 0 || ftruncate(file, sizeof(GangMemory)) != 0) violation("fake NCCL: no shared memory %s", id);
  memory_ = static_cast<GangMemory*>(mmap(nullptr, sizeof(GangMemory), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  close(file);
  int said = 0;
  if (!memory_->world_size.compare_exchange_strong(said, world_size) && said != world_size) {
    problem_ = "rank " + std::to_string(rank) + " says " + std::to_string(world_size) + " ranks, another said " +
               std::to_string(said);
    return;
  }
  int nobody = 0;
  if (!memory_->ranks[rank].process.compare_exchange_strong(nobody, getpid())) {
    // nccl.h, line 167: "rank must be ... unique within a communicator clique"
    problem_ = "rank " + std::to_string(rank) + " joined twice";
    return;
  }
  memory_->ranks[rank].device = device;
}

void GangMember::leave() {
  munmap(memory_, sizeof(GangMemory));
  memory_ = nullptr;
}

std::string GangMember::fault_at(std::uint64_t sequence) const {
  static const char* wanted = std::getenv("FAKE_NCCL_FAULT");
  if (!wanted) return "";
  int rank = -1;
  unsigned long long operation = 0;
  char kind[32] = "";
  if (std::sscanf(wanted, "rank=%d;op=%llu;kind=%31s", &rank, &operation, kind) != 3)
    violation("FAKE_NCCL_FAULT: \"%s\" isn't rank=R;op=N;kind=K", wanted);
  return rank == rank_ && operation == sequence ? kind : "";
}

void GangMember::inject(const std::string& fault) {
  if (fault == "die") {
    std::fprintf(stderr, "fake NCCL: rank %d dies\n", rank_);
    kill(getpid(), SIGKILL);
  } else if (fault == "hang") {
    std::fprintf(stderr, "fake NCCL: rank %d hangs\n", rank_);
    while (!given_up_) usleep(1000);
  } else if (fault == "async") {
    break_all(ncclRemoteError, "injected asynchronous error");
  } else if (fault.rfind("slow:", 0) == 0) {
    usleep(1000 * static_cast<unsigned>(std::atoi(fault.c_str() + 5)));
  }
}

void GangMember::break_all(ncclResult_t error, const std::string& text) {
  int whole = 0;
  if (!memory_->broken.compare_exchange_strong(whole, 1)) return;
  std::snprintf(memory_->error_text, sizeof memory_->error_text, "%s", text.c_str());
  memory_->error.store(error);  // the last step: whoever sees an error sees its text
}
ncclResult_t GangMember::error() const { return static_cast<ncclResult_t>(memory_->error.load()); }
std::string GangMember::error_text() const { return error() == ncclSuccess ? "" : memory_->error_text; }

bool GangMember::barrier() {
  const std::uint64_t own = ++barriers_;
  memory_->ranks[rank_].arrived.store(own);
  for (int other = 0; other < world_size_; ++other) {
    GangMemory::Rank& peer = memory_->ranks[other];
    for (int turn = 0; peer.arrived.load() < own; ++turn) {
      if (given_up_ || error() != ncclSuccess) return false;
      if (turn < 200) continue;
      usleep(50);
      if (turn % 200 == 0 && dead_peers_are_noticed() && peer.process != 0 && kill(peer.process, 0) != 0)
        break_all(ncclRemoteError, "the process of rank " + std::to_string(other) + " is gone");
    }
  }
  return true;
}

bool GangMember::wait_for_all() {
  inject(fault_at(0));
  if (given_up_) return false;  // it hung until it was aborted
  memory_->joined.fetch_add(1);
  while (memory_->joined.load() < world_size_) {
    if (given_up_ || error() != ncclSuccess) return false;
    usleep(200);
  }
  if (environment_number("FAKE_NCCL_DUPLICATE_DEVICES", 0) == 0) {
    // NCCL's documentation, "Creating a communicator": "Using the same CUDA device multiple times as different ranks of
    // the same NCCL communicator is not supported and may lead to hangs"; since 2.4 it says "Duplicate GPU detected".
    for (int a = 0; a < world_size_; ++a) {
      for (int b = 0; b < a; ++b) {
        if (memory_->ranks[a].device != memory_->ranks[b].device) continue;
        break_all(ncclInvalidUsage, "Duplicate GPU detected : rank " + std::to_string(b) + " and rank " +
                                        std::to_string(a) + " both on CUDA device " +
                                        std::to_string(memory_->ranks[a].device));
      }
    }
  }
  const bool complete = barrier();
  if (complete && rank_ == 0) shm_unlink(id_.c_str());
  return complete;
}

bool GangMember::run(const Agreement& agreement, const void* in, void* out) {
  const std::string fault = fault_at(agreement.sequence);
  if (given_up_ || error() != ncclSuccess) return false;
  inject(fault);
  GangMemory::Rank& own = memory_->ranks[rank_];
  own.agreement = agreement;
  if (!barrier()) return false;
  for (int other = 0; other < world_size_; ++other) {
    if (memory_->ranks[other].agreement == agreement) continue;
    // Real NCCL would hang or give wrong numbers.
    break_all(ncclInvalidUsage, "ranks call different collectives: rank " + std::to_string(rank_) + " {" +
                                    describe(agreement) + "}, rank " + std::to_string(other) + " {" +
                                    describe(memory_->ranks[other].agreement) + "}");
  }
  if (!barrier()) return false;

  const auto type = static_cast<ncclDataType_t>(agreement.type);
  const auto operation = static_cast<ncclRedOp_t>(agreement.operation);
  const Collective kind = agreement.collective;
  const auto rank = static_cast<std::size_t>(rank_), ranks = static_cast<std::size_t>(world_size_);
  const std::size_t size = size_of(type), count = agreement.count, at_once = chunk_bytes / size;
  const std::size_t total = kind == Collective::reduce_scatter ? count * ranks : count;
  const auto* from = static_cast<const char*>(in);
  auto* to = static_cast<char*>(out);
  for (std::size_t begin = 0; begin < total; begin += at_once) {
    const std::size_t now = std::min(at_once, total - begin);
    if (kind != Collective::broadcast || rank_ == agreement.root)
      std::memcpy(own.data, from + begin * size, now * size);
    if (!barrier()) return false;
    if (kind == Collective::all_gather) {
      for (std::size_t other = 0; other < ranks; ++other)
        std::memcpy(to + (other * count + begin) * size, memory_->ranks[other].data, now * size);
    } else if (kind == Collective::broadcast) {
      std::memcpy(to + begin * size, memory_->ranks[agreement.root].data, now * size);
    } else if (kind != Collective::reduce || rank_ == agreement.root) {
      std::vector<char> sum(memory_->ranks[0].data, memory_->ranks[0].data + now * size);
      for (std::size_t other = 1; other < ranks; ++other)
        reduce_into(sum.data(), memory_->ranks[other].data, now, type, operation);
      if (operation == ncclAvg) divide(sum.data(), now, type, world_size_);
      // Of a reduce-scatter, the part of this chunk that lies in this rank's block.
      const bool scattered = kind == Collective::reduce_scatter;
      const std::size_t first = scattered ? std::max(begin, count * rank) : begin;
      const std::size_t end = scattered ? std::min(begin + now, count * (rank + 1)) : begin + now;
      if (first < end) {
        std::memcpy(to + (first - (scattered ? count * rank : 0)) * size, sum.data() + (first - begin) * size,
                    (end - first) * size);
      }
    }
    if (!barrier()) return false;
  }
  if (fault == "corrupt" && count > 0) {
    char& byte = to[count / 2 * size + size / 2];  // of a float32: the highest bit of the mantissa
    byte = static_cast<char>(byte ^ 0x40);
  }
  return true;
}

}  // namespace ultramarine::fake
