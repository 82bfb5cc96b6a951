// Device memory for those who have no CUDA headers: the plug-in hands these functions out.
#pragma once

#include <cstddef>
#include <string>

namespace ultramarine::collectives {

/// "" = this process sees a GPU that works; else the exact reason, with the number that CUDA gives for it.
std::string why_cuda_is_unusable();
/// GPUs that this process sees; 0 when CUDA is unusable.
int device_count();

/// Makes it the calling thread's current device. Throws CollectiveError.
void use_device(int index);
/// On the calling thread's current device. Throws CollectiveError.
void* allocate_device_memory(std::size_t bytes);
/// Waits for the device, as cudaFree does.
void release_device_memory(void* memory);
/// Both return when the bytes have arrived. Throw CollectiveError.
void copy_to_device(void* to, const void* from, std::size_t bytes);
void copy_to_host(void* to, const void* from, std::size_t bytes);

}  // namespace ultramarine::collectives
