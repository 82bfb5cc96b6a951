ultramarine_test(launcher_test LABELS unit
  SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/launcher/values_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/launcher/processes_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/launcher/slurm_environment_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/launcher/binding_and_mpirun_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/launcher/scripts_and_outputs_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/launcher/output_keeper_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/launcher/containment_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/launcher/privileged_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/launcher/step_watch_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/launcher/gang_star_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/launcher/memory_launcher_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/launcher/node_script_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/launcher/rank_terminal_test.cpp
  DEPENDS ultramarine_launcher)
# A process of its own for what the tests of process trees look for.
add_executable(launcher_test_rank ${CMAKE_SOURCE_DIR}/tests/unit/launcher/test_rank.cpp)
set_target_properties(launcher_test_rank PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(launcher_test_rank PRIVATE ultramarine_settings)
add_dependencies(launcher_test launcher_test_rank)
