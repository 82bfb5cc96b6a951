ultramarine_test(ultramarine_core_golden_test LABELS golden
  SOURCES
    ${CMAKE_SOURCE_DIR}/tests/golden/core/scenarios_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/reference/scenario.cpp
  DEPENDS ultramarine_core ultramarine_protocol)
