# What is written for a GPU, on a GPU of host memory in every build (labels unit, integration), and on a real one where there is
# one (label gpu; without a GPU each of those tests is skipped and says why).
set(gpu_tests ${CMAKE_SOURCE_DIR}/tests/gpu)
if(NOT ULTRAMARINE_FAKE_GPU)
  add_test(NAME gpu.left_out COMMAND ${CMAKE_COMMAND} -E echo
    "[  SKIPPED ] the tests on a fake GPU need cuda_runtime.h, nccl.h and an x86-64 processor")
  set_tests_properties(gpu.left_out PROPERTIES LABELS unit SKIP_REGULAR_EXPRESSION "SKIPPED")
  return()
endif()

# gpu_emulated(target FILES...): .cu files compiled by the ordinary compiler through the emulation header.
function(gpu_emulated target)
  add_library(${target} OBJECT ${ARGN})
  set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++")
  ultramarine_cuda_headers(${target})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/tests/support/gpu)
  target_compile_options(${target} PRIVATE -O2 -g1 -Wall -Wextra -Wno-unused-variable)
endfunction()

gpu_emulated(gpu_probe_emulated ${gpu_tests}/probe.cu)
ultramarine_test(gpu_fake_conformance_test LABELS unit SOURCES ${gpu_tests}/conformance_test.cpp $<TARGET_OBJECTS:gpu_probe_emulated>
  DEPENDS cudart_fake nccl_fake)
