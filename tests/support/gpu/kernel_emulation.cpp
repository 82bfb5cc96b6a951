// Runs a grid on the calling thread: one fiber per CUDA thread; barriers and warp operations switch fibers. Compiled
// without -fsanitize=thread; tells ThreadSanitizer of the fibers and of the order that barriers give, and of nothing
// else.
#include "kernel_emulation.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <list>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "ordering.h"

#if !defined(__x86_64__)
#error "the emulation of kernels switches fibers in x86-64 assembly"
#endif

extern "C" {
void* __tsan_create_fiber(unsigned flags) __attribute__((weak));
void __tsan_switch_to_fiber(void* fiber, unsigned flags) __attribute__((weak));
void* __tsan_get_current_fiber() __attribute__((weak));
void __sanitizer_start_switch_fiber(void** kept, const void* bottom, std::size_t bytes) __attribute__((weak));
void __sanitizer_finish_switch_fiber(void* kept, const void** bottom, std::size_t* bytes) __attribute__((weak));
/// Keeps the registers that a function must preserve on the stack, its pointer in *from, and goes on where `to` points.
void ultramarine_switch_stack(void** from, void* to);
}
asm(R"(.text
.globl ultramarine_switch_stack
.hidden ultramarine_switch_stack
.type ultramarine_switch_stack,@function
ultramarine_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size ultramarine_switch_stack,.-ultramarine_switch_stack
)");

namespace ultramarine::emulation {

constinit thread_local uint3 thread_index{0, 0, 0}, block_index{0, 0, 0};
constinit thread_local dim3 block_size{1, 1, 1}, grid_size{1, 1, 1};

namespace {

using fake::happens_after;
using fake::happens_before;
using fake::violation;

constexpr std::size_t stack_bytes = 128 << 10;
constexpr std::size_t page = 4096;
constexpr int kept_registers = 6;
constexpr int warp_lanes = 32;

enum class State { ready, at_barrier, in_warp_operation, done };

/// Lanes of one warp that meet under one mask. Two generations: a lane may come again before another has read its
/// value.
struct Meeting {
  unsigned mask = 0, arrived = 0;
  int generation = 0;
  std::uint64_t values[2][warp_lanes] = {};
  unsigned took_part[2] = {};
  char token[2] = {};
};

struct Fiber {
  void* stack_pointer = nullptr;
  char* stack = nullptr;
  void* tsan_context = nullptr;
  void* asan_stack = nullptr;
  uint3 index{};
  State state = State::ready;
  Place place{};
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<std::list<Meeting>> meetings;  // by warp
  std::vector<unsigned char> shared;         // dynamic shared memory
  void (*body)(void*) = nullptr;
  void* context = nullptr;
  Fiber* running = nullptr;
  Fiber scheduler;  // the thread's own stack
  const void* scheduler_bottom = nullptr;
  std::size_t scheduler_bytes = 0;
  int barriers = 0;  // passed so far
  char barrier_token[2] = {}, begin_token = 0, end_token = 0;
};
thread_local Block* block = nullptr;

// ThreadSanitizer takes about 2 ms to make a context, so they are kept from block to block, as are stacks.
thread_local std::vector<void*> tsan_contexts;
thread_local std::vector<char*> stacks;

char* stack_of(std::size_t fiber) {
  while (stacks.size() <= fiber) {
    void* memory = mmap(nullptr, stack_bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) violation("no memory for the stacks of a block's threads");
    mprotect(memory, page, PROT_NONE);
    stacks.push_back(static_cast<char*>(memory) + page);
  }
  return stacks[fiber];
}

void switch_to(Fiber& from, Fiber& to, bool from_ends, const void* bottom, std::size_t bytes) {
  if (__sanitizer_start_switch_fiber)
    __sanitizer_start_switch_fiber(from_ends ? nullptr : &from.asan_stack, bottom, bytes);
  if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(to.tsan_context, 1);  // 1: no order is implied
  ultramarine_switch_stack(&from.stack_pointer, to.stack_pointer);
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(from.asan_stack, nullptr, nullptr);
}
void yield(bool ends = false) {
  switch_to(*block->running, block->scheduler, ends, block->scheduler_bottom, block->scheduler_bytes);
}
void resume(Fiber& fiber) {
  block->running = &fiber;
  thread_index = fiber.index;
  switch_to(block->scheduler, fiber, false, fiber.stack, stack_bytes);
}

void run_fiber() {
  if (__sanitizer_finish_switch_fiber)
    __sanitizer_finish_switch_fiber(nullptr, &block->scheduler_bottom, &block->scheduler_bytes);
  happens_after(&block->begin_token);
  block->body(block->context);
  happens_before(&block->end_token);
  block->running->state = State::done;
  yield(true);
  __builtin_trap();
}

int number_of(const uint3& index) {
  return static_cast<int>(index.x + block_size.x * (index.y + block_size.y * index.z));
}

[[noreturn]] void report(const char* problem) {
  static constexpr const char* words[] = {"running", "at __syncthreads", "at a warp operation", "exited"};
  std::string text, before;
  for (const Fiber& fiber : block->fibers) {
    std::string now = words[static_cast<int>(fiber.state)];
    if (fiber.state == State::at_barrier || fiber.state == State::in_warp_operation)
      now += std::string(" ") + fiber.place.file + ":" + std::to_string(fiber.place.line);
    if (now != before) text += "\n  from thread " + std::to_string(number_of(fiber.index)) + ": " + now;
    before = now;
  }
  violation("kernel, block (%u, %u, %u): %s%s", block_index.x, block_index.y, block_index.z, problem, text.c_str());
}

void prepare(Fiber& fiber, std::size_t number) {
  fiber.index = {static_cast<unsigned>(number % block_size.x),
                 static_cast<unsigned>(number / block_size.x % block_size.y),
                 static_cast<unsigned>(number / block_size.x / block_size.y)};
  fiber.stack = stack_of(number);
  if (__tsan_create_fiber) {
    if (number >= tsan_contexts.size()) tsan_contexts.push_back(__tsan_create_fiber(0));
    fiber.tsan_context = tsan_contexts[number];
  }
  // What the first switch pops: the registers, and run_fiber as return address of a frame aligned as the ABI wants it.
  auto* top = reinterpret_cast<void**>(fiber.stack + stack_bytes - 64);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&run_fiber);
  for (int i = 0; i < kept_registers; ++i) *--top = nullptr;
  fiber.stack_pointer = top;
}

unsigned living_lanes(std::size_t warp_number) {
  unsigned lanes = 0;
  for (std::size_t i = 0; i < warp_lanes; ++i) {
    const std::size_t number = warp_number * warp_lanes + i;
    if (number < block->fibers.size() && block->fibers[number].state != State::done) lanes |= 1U << i;
  }
  return lanes;
}

/// Lets go the lanes of each warp operation of a warp that all its living lanes have reached.
void finish_meetings(std::size_t warp_number) {
  for (Meeting& meeting : block->meetings[warp_number]) {
    if (meeting.arrived == 0 || meeting.arrived != (meeting.mask & living_lanes(warp_number))) continue;
    for (std::size_t i = 0; i < warp_lanes; ++i) {
      if (meeting.arrived >> i & 1) block->fibers[warp_number * warp_lanes + i].state = State::ready;
    }
    meeting.arrived = 0;
    ++meeting.generation;
  }
}

/// Runs a warp as far as it gets on its own. Returns how many of its threads have exited.
std::size_t run_warp(std::size_t warp_number, std::mt19937* random) {
  std::vector<std::size_t> lanes;
  for (std::size_t i = warp_number * warp_lanes; i < std::min(block->fibers.size(), (warp_number + 1) * warp_lanes);
       ++i)
    lanes.push_back(i);
  if (random) std::shuffle(lanes.begin(), lanes.end(), *random);
  std::size_t exited = 0;
  for (bool progress = true; progress;) {
    progress = false;
    for (const std::size_t number : lanes) {
      Fiber& fiber = block->fibers[number];
      if (fiber.state != State::ready) continue;
      progress = true;
      resume(fiber);
      if (fiber.state == State::done) ++exited;
    }
    finish_meetings(warp_number);
  }
  return exited;
}

/// Every thread waits: at one barrier, or never to go on.
void finish_barrier(bool some_are_done) {
  const Fiber* first = nullptr;
  for (const Fiber& fiber : block->fibers) {
    if (fiber.state == State::in_warp_operation)
      report("deadlock: a warp operation waits for lanes that will not come");
    if (fiber.state != State::at_barrier) continue;
    if (first && (first->place.line != fiber.place.line || std::strcmp(first->place.file, fiber.place.file) != 0))
      report("threads of one block wait in different __syncthreads");
    first = &fiber;
  }
  if (some_are_done) report("__syncthreads after some threads of the block have exited");
  ++block->barriers;
  for (Fiber& fiber : block->fibers) fiber.state = State::ready;
}

/// Warp after warp, each as far ahead of the others as its barriers allow: what a kernel may rely on least.
void run_block(std::vector<std::size_t>& warps, std::mt19937* random) {
  happens_before(&block->begin_token);
  std::size_t exited = 0;
  while (true) {
    if (random) std::shuffle(warps.begin(), warps.end(), *random);
    for (const std::size_t number : warps) exited += run_warp(number, random);
    if (exited == block->fibers.size()) break;
    finish_barrier(exited > 0);
  }
  happens_after(&block->end_token);
}

}  // namespace

void* dynamic_shared_memory() { return block->shared.data(); }
int lane() { return number_of(thread_index) % warp_lanes; }

void barrier(Place place) {
  char* token = &block->barrier_token[block->barriers % 2];
  happens_before(token);
  block->running->state = State::at_barrier;
  block->running->place = place;
  yield();
  happens_after(token);
}

std::uint64_t warp(WarpOperation operation, unsigned mask, std::uint64_t value, int source_lane, Place place) {
  Fiber& own = *block->running;
  const int number = number_of(own.index), own_lane = number % warp_lanes;
  own.place = place;
  if ((mask >> own_lane & 1) == 0) report("a thread called a warp operation with a mask that leaves it out");
  std::list<Meeting>& meetings = block->meetings[static_cast<std::size_t>(number / warp_lanes)];
  auto found = std::find_if(meetings.begin(), meetings.end(), [&](const Meeting& known) { return known.mask == mask; });
  if (found == meetings.end()) {
    meetings.emplace_back().mask = mask;
    found = std::prev(meetings.end());
  }
  Meeting& meeting = *found;
  const int generation = meeting.generation % 2;
  if (meeting.arrived == 0) meeting.took_part[generation] = 0;
  meeting.values[generation][own_lane] = value;
  meeting.arrived |= 1U << own_lane;
  meeting.took_part[generation] |= 1U << own_lane;
  own.state = State::in_warp_operation;
  // Of the warp operations, only __syncwarp orders memory (Programming Guide 10.22).
  if (operation == WarpOperation::barrier) happens_before(&meeting.token[generation]);
  yield();
  if (operation == WarpOperation::barrier) {
    happens_after(&meeting.token[generation]);
    return 0;
  }
  if (operation == WarpOperation::ballot) {
    std::uint64_t bits = 0;
    for (int i = 0; i < warp_lanes; ++i) {
      if ((meeting.took_part[generation] >> i & 1) && meeting.values[generation][i] != 0) bits |= std::uint64_t{1} << i;
    }
    return bits;
  }
  if ((meeting.took_part[generation] >> source_lane & 1) == 0)
    report("a shuffle read a lane that took no part: its value is undefined");
  return meeting.values[generation][source_lane];
}

void run_grid(dim3 grid, dim3 block_dimensions, std::size_t shared_bytes, void (*body)(void*), void* context) {
  static const int seed = fake::environment_number("EMULATION_SEED", 0);
  std::mt19937 random(static_cast<unsigned>(seed));
  grid_size = grid;
  block_size = block_dimensions;
  const std::size_t threads = std::size_t{block_size.x} * block_size.y * block_size.z;
  std::vector<std::size_t> warps((threads + warp_lanes - 1) / warp_lanes);
  std::iota(warps.begin(), warps.end(), std::size_t{0});
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        Block own;
        block = &own;
        block_index = {x, y, z};
        own.body = body;
        own.context = context;
        own.shared.assign(shared_bytes + 1, 0xff);  // NaN: shared memory isn't initialised
        own.meetings.resize(warps.size());
        own.fibers.resize(threads);
        if (__tsan_get_current_fiber) own.scheduler.tsan_context = __tsan_get_current_fiber();
        for (std::size_t i = 0; i < threads; ++i) prepare(own.fibers[i], i);
        run_block(warps, seed != 0 ? &random : nullptr);
        block = nullptr;
      }
    }
  }
}

}  // namespace ultramarine::emulation
