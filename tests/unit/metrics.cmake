ultramarine_test(metrics_test LABELS unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/metrics/exporter_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/metrics/gpu_time_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/metrics/accounts_test.cpp DEPENDS ultramarine_metrics ultramarine_core)
