# What is written for a GPU, on a GPU of host memory in every build (labels unit, integration), and on a real one where there is
# one (label gpu; without a GPU each of those tests is skipped and says why).
set(gpu_tests ${CMAKE_SOURCE_DIR}/tests/gpu)
if(NOT ULTRAMARINE_FAKE_GPU)
  add_test(NAME gpu.left_out COMMAND ${CMAKE_COMMAND} -E echo
    "[  SKIPPED ] the tests on a fake GPU need cuda_runtime.h, nccl.h and an x86-64 processor")
  set_tests_properties(gpu.left_out PROPERTIES LABELS unit SKIP_REGULAR_EXPRESSION "SKIPPED")
  return()
endif()
include(${CMAKE_SOURCE_DIR}/tests/support/gpu.cmake)

# gpu_program(name SOURCES... DEPENDS...): a GoogleTest binary that is run in several surroundings.
function(gpu_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE ultramarine_settings ${ARG_DEPENDS} GTest::gtest GTest::gtest_main)
  target_include_directories(${name} SYSTEM PRIVATE ${ULTRAMARINE_CUDA_HEADERS})
endfunction()

# The rules that the fakes take for granted.
gpu_emulated(gpu_probe_emulated ${gpu_tests}/probe.cu)
gpu_program(gpu_fake_conformance_test SOURCES ${gpu_tests}/conformance_test.cpp $<TARGET_OBJECTS:gpu_probe_emulated>
  DEPENDS cudart_fake nccl_fake)
gtest_discover_tests(gpu_fake_conformance_test PROPERTIES LABELS unit TIMEOUT 60)

# The device of the plug-in and training on it. One binary, which loads the plug-in that its environment names.
gpu_program(gpu_device_test SOURCES ${gpu_tests}/kernels_test.cpp DEPENDS ultramarine_trainer)
add_dependencies(gpu_device_test ultramarine_cuda_fake)
gtest_discover_tests(gpu_device_test TEST_PREFIX Fake PROPERTIES LABELS unit TIMEOUT 120
  ENVIRONMENT "ULTRAMARINE_CUDA_PLUGIN=$<TARGET_FILE:ultramarine_cuda_fake>")
