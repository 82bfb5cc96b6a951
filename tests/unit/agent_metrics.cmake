ultramarine_test(agent_metrics_test LABELS unit
  SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/agent_metrics/node_metrics_test.cpp
  DEPENDS ultramarine_worker_metrics)
