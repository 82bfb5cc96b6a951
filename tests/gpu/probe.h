// Small kernels that show how a CUDA runtime and a GPU behave; also some that break a rule, to see it reported.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace ultramarine::probe {

/// values[i] = start + i
cudaError_t fill(float* values, int count, float start, cudaStream_t stream);
/// *sum = sum over lanes, warps and threads of one block of 256, through shared memory and shuffles.
cudaError_t block_sum(const float* values, int count, float* sum, cudaStream_t stream);
/// bits[0]: which lanes of a warp have an odd value.
cudaError_t odd_lanes(const float* values, unsigned* bits, cudaStream_t stream);
/// A launch with more threads than a block may have.
cudaError_t too_many_threads(float* values, cudaStream_t stream);

// Each breaks one rule.
cudaError_t without_barrier(const float* values, float* out, cudaStream_t stream);
cudaError_t divergent_barrier(float* values, cudaStream_t stream);
cudaError_t two_barriers(float* values, cudaStream_t stream);
cudaError_t wrong_mask(float* values, cudaStream_t stream);
cudaError_t absent_lane(float* values, cudaStream_t stream);
cudaError_t out_of_bounds(float* values, int count, cudaStream_t stream);

}  // namespace ultramarine::probe
