ultramarine_test(worker_core_test LABELS unit
  SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/worker_core/agent_machine_test.cpp
          ${CMAKE_SOURCE_DIR}/tests/unit/worker_core/agent_leases_test.cpp
          ${CMAKE_SOURCE_DIR}/tests/unit/worker_core/random_agent_test.cpp
  DEPENDS ultramarine_worker_core)
