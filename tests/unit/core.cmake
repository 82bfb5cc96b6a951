ultramarine_test(ultramarine_core_test LABELS unit
  SOURCES
    ${CMAKE_SOURCE_DIR}/tests/unit/core/accept_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/arrays_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/comparison_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/decay_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/fair_share_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/eligible_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/calendar_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/gangs_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/hash_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/lifecycle_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/limits_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/liveness_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/node_loss_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/plan_properties_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/planner_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/priority_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/progress_history_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/report_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/restart_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/roster_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/stall_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/timeline_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/ways_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/trials_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/wait_ledger_test.cpp
  DEPENDS ultramarine_core)

# The scheduler against a brute-force one, by random stories.
ultramarine_test(ultramarine_core_reference_test LABELS unit
  SOURCES
    ${CMAKE_SOURCE_DIR}/tests/unit/core/reference/cases.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/reference/certificate_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/reference/kept_plan_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/reference/reference.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/reference/reference_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/reference/scenario.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/core/reference/slips_test.cpp
  DEPENDS ultramarine_core ultramarine_protocol ${RAPIDCHECK_LIBRARY})
ultramarine_computes(ultramarine_core_test ultramarine_core_reference_test)
