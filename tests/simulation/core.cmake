ultramarine_test(ultramarine_core_simulation LABELS simulation TIMEOUT 600
  SOURCES
    ${CMAKE_SOURCE_DIR}/tests/simulation/core/random_walk_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/simulation/core/report_conservation_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/simulation/core/world.cpp
    ${CMAKE_SOURCE_DIR}/tests/simulation/core/world_people.cpp
    ${CMAKE_SOURCE_DIR}/tests/simulation/core/world_rules.cpp
  DEPENDS ultramarine_core)
ultramarine_computes(ultramarine_core_simulation)

# The core's half of scripts/bench-scheduler.
add_executable(ultramarine_scheduler_benchmark EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tests/simulation/scheduler_benchmark.cpp)
target_link_libraries(ultramarine_scheduler_benchmark PRIVATE ultramarine_settings ultramarine_core)
