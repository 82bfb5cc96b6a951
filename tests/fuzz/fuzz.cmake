# fuzz_<name>: a libFuzzer program, with clang and ULTRAMARINE_FUZZ=ON. The rooms are instrumented too, so use a folder of its own:
#   cmake -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_C_COMPILER=clang-19 -DCMAKE_BUILD_TYPE=Debug \
#         -DULTRAMARINE_FUZZ=ON -DULTRAMARINE_SANITIZE=address,undefined
#   ninja -C build/fuzz fuzz_messages && build/fuzz/tests/fuzz_messages -max_total_time=60 /tmp/new tests/fuzz/corpus/messages
# fuzz_<name>_replay: the same harness over its corpus and seeded mutations, in every build's unit tests.
option(ULTRAMARINE_FUZZ "Build the fuzzers (clang only)" OFF)
if(ULTRAMARINE_FUZZ AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "ULTRAMARINE_FUZZ needs clang: add -DCMAKE_CXX_COMPILER=clang++-19")
endif()

function(ultramarine_fuzz name)
  cmake_parse_arguments(ARG "" "MUTATIONS" "DEPENDS" ${ARGN})
  set(folder ${CMAKE_SOURCE_DIR}/tests/fuzz)
  add_executable(fuzz_${name}_replay ${folder}/${name}.cpp ${folder}/replay_main.cpp)
  target_link_libraries(fuzz_${name}_replay PRIVATE ultramarine_settings ${ARG_DEPENDS})
  set_target_properties(fuzz_${name}_replay PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME fuzz.${name}.replay COMMAND fuzz_${name}_replay ${folder}/corpus/${name} ${ARG_MUTATIONS} 1)
  set_tests_properties(fuzz.${name}.replay PROPERTIES LABELS unit TIMEOUT 120)
  if(ULTRAMARINE_FUZZ)
    target_compile_options(${ARG_DEPENDS} PRIVATE -fsanitize=fuzzer-no-link)
    add_executable(fuzz_${name} ${folder}/${name}.cpp)
    target_link_libraries(fuzz_${name} PRIVATE ultramarine_settings ${ARG_DEPENDS})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer,address,undefined)
    set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  endif()
endfunction()

ultramarine_fuzz(messages MUTATIONS 20000 DEPENDS ultramarine_protocol)
ultramarine_fuzz(cluster_file MUTATIONS 3000 DEPENDS ultramarine_protocol)
ultramarine_fuzz(hostlist MUTATIONS 10000 DEPENDS ultramarine_protocol)
ultramarine_fuzz(duration MUTATIONS 50000 DEPENDS ultramarine_protocol)
ultramarine_fuzz(kernel_log MUTATIONS 50000 DEPENDS ultramarine_devices)
ultramarine_fuzz(batch MUTATIONS 30000 DEPENDS ultramarine_batch)
ultramarine_fuzz(trace MUTATIONS 20000 DEPENDS ultramarine_simulator)
