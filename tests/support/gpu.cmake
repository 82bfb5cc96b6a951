include_guard(DIRECTORY)
# A GPU made of host memory, for tests (tests/support/gpu/README.md). Never linked with the sanitizers of the tree: what
# ThreadSanitizer may see of the order of things is stated by hand.
#   cudart_fake  libcudart.so.13 with the emulation of kernels      nccl_fake  libnccl.so.2
if(NOT ULTRAMARINE_FAKE_GPU)
  return()
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(fake_gpu_sources ${CMAKE_SOURCE_DIR}/tests/support/gpu)
set(fake_gpu_folder ${CMAKE_BINARY_DIR}/tests/fake_gpu)
file(MAKE_DIRECTORY ${fake_gpu_folder})

# fake_gpu_unknown_calls(HEADER RESULT_TYPE): the source that defines what the fake doesn't have.
function(fake_gpu_unknown_calls header result_type)
  find_file(FAKE_GPU_HEADER_${header} ${header} PATHS ${ULTRAMARINE_CUDA_HEADERS} NO_DEFAULT_PATH REQUIRED)
  add_custom_command(OUTPUT ${fake_gpu_folder}/${header}.cpp
    COMMAND ${Python3_EXECUTABLE} ${fake_gpu_sources}/unknown_calls.py ${FAKE_GPU_HEADER_${header}} ${result_type}
      > ${fake_gpu_folder}/${header}.cpp
    DEPENDS ${fake_gpu_sources}/unknown_calls.py ${FAKE_GPU_HEADER_${header}} VERBATIM)
endfunction()
fake_gpu_unknown_calls(cuda_runtime_api.h cudaError_t)
fake_gpu_unknown_calls(nccl.h ncclResult_t)

# fake_gpu_library(name SOVERSION SOURCES...)
function(fake_gpu_objects name)
  add_library(${name} OBJECT ${ARGN})
  ultramarine_cuda_headers(${name})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR} ${fake_gpu_sources})
  target_compile_options(${name} PRIVATE -O2 -g1 -Wall -Wextra -Wshadow -fvisibility=hidden)
endfunction()
file(GLOB fake_cuda_sources CONFIGURE_DEPENDS ${fake_gpu_sources}/fake_cuda*.cpp)
file(GLOB fake_nccl_sources CONFIGURE_DEPENDS ${fake_gpu_sources}/fake_nccl*.cpp)
fake_gpu_objects(cudart_fake_objects ${fake_cuda_sources} ${fake_gpu_sources}/kernel_emulation.cpp
  ${fake_gpu_folder}/cuda_runtime_api.h.cpp)
fake_gpu_objects(nccl_fake_objects ${fake_nccl_sources} ${fake_gpu_folder}/nccl.h.cpp)

add_library(cudart_fake SHARED $<TARGET_OBJECTS:cudart_fake_objects>)
set_target_properties(cudart_fake PROPERTIES OUTPUT_NAME cudart SOVERSION 13)
target_link_libraries(cudart_fake PRIVATE Threads::Threads)
add_library(nccl_fake SHARED $<TARGET_OBJECTS:nccl_fake_objects>)
set_target_properties(nccl_fake PROPERTIES OUTPUT_NAME nccl SOVERSION 2)
target_link_libraries(nccl_fake PRIVATE cudart_fake Threads::Threads rt)
set_target_properties(cudart_fake nccl_fake PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${fake_gpu_folder})
# For whoever links them: the emulation header, and the headers of the real libraries.
foreach(library cudart_fake nccl_fake)
  target_include_directories(${library} SYSTEM INTERFACE ${ULTRAMARINE_CUDA_HEADERS})
  target_include_directories(${library} INTERFACE ${fake_gpu_sources})
endforeach()

# gpu_emulated(target FILES...): sources that include .cu files, compiled by the ordinary compiler through the emulation header.
function(gpu_emulated target)
  add_library(${target} OBJECT ${ARGN})
  ultramarine_cuda_headers(${target})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR} ${fake_gpu_sources})
  target_compile_options(${target} PRIVATE -O2 -g1 -Wall -Wextra)
endfunction()
gpu_emulated(cuda_kernels_emulated ${CMAKE_SOURCE_DIR}/tests/gpu/all_kernels.cpp)

# The plug-in with the host objects of the real one, on the fakes.
add_library(ultramarine_cuda_fake SHARED $<TARGET_OBJECTS:ultramarine_cuda_device> $<TARGET_OBJECTS:ultramarine_nccl>
  $<TARGET_OBJECTS:cuda_kernels_emulated>)
set_target_properties(ultramarine_cuda_fake PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${fake_gpu_folder} LINK_FLAGS "-Wl,-Bsymbolic")
target_link_libraries(ultramarine_cuda_fake PRIVATE ultramarine_settings cudart_fake nccl_fake)
# For LD_PRELOAD under the plug-in that nvcc and the real libraries made: both fakes and the emulated kernels.
add_library(gpufake SHARED $<TARGET_OBJECTS:cudart_fake_objects> $<TARGET_OBJECTS:nccl_fake_objects>
  $<TARGET_OBJECTS:cuda_kernels_emulated>)
set_target_properties(gpufake PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${fake_gpu_folder} LINK_FLAGS "-Wl,-Bsymbolic")
target_link_libraries(gpufake PRIVATE Threads::Threads rt)
