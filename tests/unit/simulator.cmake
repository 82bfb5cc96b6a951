ultramarine_test(simulator_unit_test LABELS unit
  SOURCES
    ${CMAKE_SOURCE_DIR}/tests/unit/simulator/metrics_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/simulator/traces_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/simulator/world_test.cpp
  DEPENDS ultramarine_simulator)

# The simulator with another order of the core's planted where `submit_time` is made: what it does must change.
ultramarine_test(simulator_planted_test LABELS unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/simulator/planted_order_test.cpp DEPENDS ultramarine_simulator)
target_link_options(simulator_planted_test PRIVATE -Wl,--wrap=_ZN11ultramarine4core6policy11submit_timeERKNS1_7ContextE)
