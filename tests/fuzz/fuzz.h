// One entry point per harness, shared by libFuzzer (ULTRAMARINE_FUZZ=ON, clang) and by the replay that every build runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace ultramarine {

/// Ends the program, so that the fuzzer keeps the input.
inline void require(bool condition, const char* promise) {
  if (condition) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

}  // namespace ultramarine
