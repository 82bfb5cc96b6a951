ultramarine_test(collectives_test LABELS unit
  SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/collectives/in_process_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/collectives/flight_recorder_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/collectives/cuda_plugin_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/collectives/rendezvous_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/collectives/perf_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/collectives/conformance.cpp
  DEPENDS ultramarine_perf)
target_include_directories(collectives_test PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/collectives)
# A plug-in of another version, for the loader's refusal.
add_library(collectives_other_plugin MODULE ${CMAKE_SOURCE_DIR}/tests/unit/collectives/other_plugin.cpp)
target_link_libraries(collectives_other_plugin PRIVATE ultramarine_settings)
set_target_properties(collectives_other_plugin PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_compile_definitions(collectives_test PRIVATE ULTRAMARINE_OTHER_PLUGIN="$<TARGET_FILE:collectives_other_plugin>")
add_dependencies(collectives_test collectives_other_plugin)
