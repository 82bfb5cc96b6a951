# The table in worker/trainer/README.md says what was tried on what.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME GpuTable COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/gpu-table --check)
set_tests_properties(GpuTable PROPERTIES LABELS layout ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)

# What is written for a GPU, on a GPU of host memory in every build (labels unit, integration), and on a real one where there is
# one (label gpu; without a GPU each of those tests is skipped and says why).
set(gpu_tests ${CMAKE_SOURCE_DIR}/tests/gpu)
if(NOT ULTRAMARINE_FAKE_GPU)
  add_test(NAME gpu.left_out COMMAND ${CMAKE_COMMAND} -E echo
    "[  SKIPPED ] the tests on a fake GPU need cuda_runtime.h, nccl.h and an x86-64 processor")
  set_tests_properties(gpu.left_out PROPERTIES LABELS "unit;gpu" SKIP_REGULAR_EXPRESSION "SKIPPED")
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
gpu_emulated(gpu_probe_emulated ${gpu_tests}/probe_emulated.cpp)
gpu_program(gpu_fake_conformance_test SOURCES ${gpu_tests}/conformance_test.cpp $<TARGET_OBJECTS:gpu_probe_emulated>
  DEPENDS cudart_fake nccl_fake)
gtest_discover_tests(gpu_fake_conformance_test PROPERTIES LABELS unit TIMEOUT 60)
gpu_program(gpu_broken_rules_test SOURCES ${gpu_tests}/broken_rules_test.cpp $<TARGET_OBJECTS:gpu_probe_emulated>
  DEPENDS cudart_fake nccl_fake)
gtest_discover_tests(gpu_broken_rules_test PROPERTIES LABELS unit TIMEOUT 60)

# The device of the plug-in and training on it. One binary, which loads the plug-in that its environment names.
gpu_program(gpu_device_test SOURCES ${gpu_tests}/kernels_test.cpp ${gpu_tests}/training_test.cpp DEPENDS ultramarine_trainer)
add_dependencies(gpu_device_test ultramarine_cuda_fake)
set(on_fake_plugin "ULTRAMARINE_CUDA_PLUGIN=$<TARGET_FILE:ultramarine_cuda_fake>;FAKE_CUDA_DEVICES=2")
gtest_discover_tests(gpu_device_test TEST_FILTER CudaKernels.* TEST_PREFIX Fake PROPERTIES LABELS unit TIMEOUT 60
  ENVIRONMENT "${on_fake_plugin}")
# The threads of a block in another order.
add_test(NAME FakeCudaKernelsInAnotherOrder COMMAND gpu_device_test --gtest_filter=CudaKernels.*)
set_tests_properties(FakeCudaKernelsInAnotherOrder PROPERTIES LABELS unit TIMEOUT 60 ENVIRONMENT "${on_fake_plugin};EMULATION_SEED=7")
# In one process, since these cases share a curve.
add_test(NAME FakeCudaTraining COMMAND gpu_device_test --gtest_filter=CudaTraining.*)
set_tests_properties(FakeCudaTraining PROPERTIES LABELS integration TIMEOUT 200 ENVIRONMENT "${on_fake_plugin}")

# The program on fake GPUs; the plug-in that nvcc made, too.
set(program_environment "ULTRA_TRAIN=$<TARGET_FILE:ultra-train>;FAKE_PLUGIN=$<TARGET_FILE:ultramarine_cuda_fake>;PYTHONDONTWRITEBYTECODE=1")
if(ULTRAMARINE_CUDA AND NOT ULTRAMARINE_SANITIZE)
  list(APPEND program_environment "REAL_PLUGIN=$<TARGET_FILE:ultramarine_cuda>" "FAKE_GPU=$<TARGET_FILE:gpufake>")
  add_test(NAME PreloadedCudaKernels COMMAND gpu_device_test --gtest_filter=CudaKernels.*)
  set_tests_properties(PreloadedCudaKernels PROPERTIES LABELS unit TIMEOUT 60
    ENVIRONMENT "ULTRAMARINE_CUDA_PLUGIN=$<TARGET_FILE:ultramarine_cuda>;LD_PRELOAD=$<TARGET_FILE:gpufake>")
endif()
add_test(NAME GpuProgram COMMAND ${Python3_EXECUTABLE} ${gpu_tests}/program_test.py)
set_tests_properties(GpuProgram PROPERTIES LABELS integration TIMEOUT 300 ENVIRONMENT "${program_environment}")
add_custom_target(gpu_program_parts ALL DEPENDS ultra-train ultramarine_cuda_fake gpufake)

# Planted mistakes: each mutant is the plug-in without one line of a kernel, and the tests of the kernels must see it.
function(gpu_mutant name file text number)
  set(folder ${CMAKE_BINARY_DIR}/tests/mutants/${name})
  set(copy ${folder}/worker/trainer/device/cuda/${file})
  add_custom_command(OUTPUT ${copy} VERBATIM DEPENDS ${gpu_tests}/mutate.py ${trainer_folder}/device/cuda/${file}
    COMMAND ${Python3_EXECUTABLE} ${gpu_tests}/mutate.py ${trainer_folder}/device/cuda/${file} ${text} ${number} ${copy})
  add_library(${name} SHARED ${gpu_tests}/all_kernels.cpp ${copy} $<TARGET_OBJECTS:ultramarine_cuda_device>
    $<TARGET_OBJECTS:ultramarine_nccl>)
  set_source_files_properties(${copy} PROPERTIES HEADER_FILE_ONLY ON)
  ultramarine_cuda_headers(${name})
  target_include_directories(${name} PRIVATE ${folder} ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/tests/support/gpu)
  target_compile_options(${name} PRIVATE -O1 -g0)
  set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${folder} LINK_FLAGS "-Wl,-Bsymbolic")
  target_link_libraries(${name} PRIVATE cudart_fake nccl_fake Threads::Threads)
  add_test(NAME GpuMutant.${name} COMMAND ${Python3_EXECUTABLE} ${gpu_tests}/expect_failure.py "FAILED .*CudaKernels"
    $<TARGET_FILE:gpu_device_test> --gtest_filter=CudaKernels.* --gtest_brief=1)
  set_tests_properties(GpuMutant.${name} PROPERTIES LABELS unit TIMEOUT 100 ENVIRONMENT "ULTRAMARINE_CUDA_PLUGIN=$<TARGET_FILE:${name}>")
endfunction()
set(trainer_folder ${CMAKE_SOURCE_DIR}/worker/trainer)
gpu_mutant(no_barrier_after_loading_slices multiply.cu "__syncthreads();" 1)
gpu_mutant(no_barrier_before_the_next_slices multiply.cu "__syncthreads();" 2)
gpu_mutant(no_barrier_in_a_reduction block.h "__syncthreads();" 1)
gpu_mutant(no_barrier_between_reductions block.h "__syncthreads();" 2)
gpu_mutant(no_barrier_between_lanes block.h "__syncthreads();" 3)

# The device half with a sanitizer, in small programs of their own; the fakes stay without. Not in a tree that has a sanitizer.
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
  # Without randomised addresses, which ThreadSanitizer of g++ 12 can't place its shadow in on every kernel.
  find_program(SETARCH_PROGRAM setarch)
  set(tsan_command ${SETARCH_PROGRAM} -R $<TARGET_FILE:gpu_tsan>)
  add_test(NAME GpuSanitized.Addresses COMMAND gpu_asan 2 3)
  add_test(NAME GpuSanitized.OrderOfStreams COMMAND ${tsan_command} 2 2)
  # The same program, as if its second collective did not wait for the gradients.
  add_test(NAME GpuMutant.event_wait COMMAND ${Python3_EXECUTABLE} ${gpu_tests}/expect_failure.py
    "WARNING: ThreadSanitizer: data race" ${tsan_command} 1 1)
  set_tests_properties(GpuSanitized.Addresses GpuSanitized.OrderOfStreams GpuMutant.event_wait PROPERTIES LABELS unit TIMEOUT 100
    ENVIRONMENT "FAKE_CUDA_DEVICES=2;ASAN_OPTIONS=detect_leaks=1")
  set_tests_properties(GpuMutant.event_wait PROPERTIES ENVIRONMENT "FAKE_CUDA_FAULT=cudaStreamWaitEvent:3:skip")
endif()

# What nvcc makes of the kernels.
if(ULTRAMARINE_CUDA)
  add_test(NAME GpuKernelBudget COMMAND ${Python3_EXECUTABLE} ${gpu_tests}/kernel_budget.py --nvcc ${CMAKE_CUDA_COMPILER}
    --source ${CMAKE_SOURCE_DIR})
  set_tests_properties(GpuKernelBudget PROPERTIES LABELS unit TIMEOUT 100)
endif()

add_test(NAME GpuReport COMMAND ${Python3_EXECUTABLE} ${gpu_tests}/report_test.py)
set_tests_properties(GpuReport PROPERTIES LABELS unit TIMEOUT 60
  ENVIRONMENT "RULES=$<TARGET_FILE:gpu_fake_conformance_test>;SOURCE=${CMAKE_SOURCE_DIR};PYTHONDONTWRITEBYTECODE=1")

# On a real GPU: ctest -L gpu. One report, gpu-report.json in the build folder; commit it under tests/gpu/reports.
function(gpu_real_test name)
  cmake_parse_arguments(ARG "" "AFTER" "COMMAND;ENVIRONMENT" ${ARGN})
  add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} ${gpu_tests}/run_on_gpu.py --report ${CMAKE_BINARY_DIR}/gpu-report.json
    --part ${name} -- ${ARG_COMMAND})
  set_tests_properties(${name} PROPERTIES LABELS gpu TIMEOUT 480 RUN_SERIAL ON SKIP_RETURN_CODE 77
    ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1;${ARG_ENVIRONMENT}")
  if(ARG_AFTER)
    set_tests_properties(${name} PROPERTIES DEPENDS ${ARG_AFTER})
  endif()
endfunction()
if(ULTRAMARINE_CUDA AND NOT ULTRAMARINE_SANITIZE)
  add_library(gpu_probe OBJECT ${gpu_tests}/probe.cu)
  target_include_directories(gpu_probe PRIVATE ${CMAKE_SOURCE_DIR})
  gpu_program(gpu_conformance_test SOURCES ${gpu_tests}/conformance_test.cpp $<TARGET_OBJECTS:gpu_probe> DEPENDS CUDA::cudart NCCL::nccl)
  set(on_real_plugin "ULTRAMARINE_CUDA_PLUGIN=$<TARGET_FILE:ultramarine_cuda>;ULTRAMARINE_TRAINING_STEPS=100")
  gpu_real_test(Gpu.Rules COMMAND $<TARGET_FILE:gpu_conformance_test>)
  gpu_real_test(Gpu.Kernels AFTER Gpu.Rules COMMAND $<TARGET_FILE:gpu_device_test> --gtest_filter=CudaKernels.*
    ENVIRONMENT "${on_real_plugin}")
  gpu_real_test(Gpu.Training AFTER Gpu.Kernels COMMAND $<TARGET_FILE:gpu_device_test> --gtest_filter=CudaTraining.*
    ENVIRONMENT "${on_real_plugin}")
  add_dependencies(gpu_device_test ultramarine_cuda)
else()
  add_test(NAME Gpu.LeftOut COMMAND ${CMAKE_COMMAND} -E echo
    "[  SKIPPED ] libultramarine_cuda.so wasn't built: ${ultramarine_cuda_missing} ${ULTRAMARINE_SANITIZE}")
  set_tests_properties(Gpu.LeftOut PROPERTIES LABELS gpu SKIP_REGULAR_EXPRESSION "SKIPPED")
endif()
