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
gpu_program(gpu_broken_rules_test SOURCES ${gpu_tests}/broken_rules_test.cpp $<TARGET_OBJECTS:gpu_probe_emulated>
  DEPENDS cudart_fake nccl_fake)
gtest_discover_tests(gpu_broken_rules_test PROPERTIES LABELS unit TIMEOUT 60)

# The device of the plug-in and training on it. One binary, which loads the plug-in that its environment names.
gpu_program(gpu_device_test SOURCES ${gpu_tests}/kernels_test.cpp ${gpu_tests}/training_test.cpp DEPENDS ultramarine_trainer)
add_dependencies(gpu_device_test ultramarine_cuda_fake)
gtest_discover_tests(gpu_device_test TEST_PREFIX Fake PROPERTIES LABELS unit TIMEOUT 120
  ENVIRONMENT "ULTRAMARINE_CUDA_PLUGIN=$<TARGET_FILE:ultramarine_cuda_fake>")

# The device half with a sanitizer, in small programs of their own; the fakes stay without. Not in a tree that has a sanitizer.
set(trainer_folder ${CMAKE_SOURCE_DIR}/worker/trainer)
set(collectives_folder ${CMAKE_SOURCE_DIR}/collectives)
file(GLOB sanitized_nccl ${collectives_folder}/nccl/*.cpp)
function(gpu_sanitized name sanitizers)
  add_executable(${name} ${gpu_tests}/sanitized_main.cpp ${gpu_tests}/all_kernels.cpp ${sanitized_nccl}
    ${collectives_folder}/communicator.cpp ${collectives_folder}/flight_recorder.cpp ${collectives_folder}/work.cpp
    ${trainer_folder}/model.cpp ${trainer_folder}/trainer.cpp ${trainer_folder}/exchange.cpp ${trainer_folder}/optimizer.cpp
    ${trainer_folder}/corpus.cpp ${trainer_folder}/hash.cpp ${trainer_folder}/device/cuda/cuda_device.cpp
    ${trainer_folder}/device/cpu/cpu_device.cpp ${trainer_folder}/device/cpu/kernels.cpp)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 20)
  set_source_files_properties(${gpu_tests}/all_kernels.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_compile_options(${name} PRIVATE -fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1 -fopenmp-simd)
  target_link_options(${name} PRIVATE -fsanitize=${sanitizers})
  target_link_libraries(${name} PRIVATE ultramarine_settings PkgConfig::OPENBLAS cudart_fake nccl_fake)
endfunction()
if(NOT ULTRAMARINE_SANITIZE)
  gpu_sanitized(gpu_tsan thread)
  gpu_sanitized(gpu_asan address,undefined)
endif()
