ultramarine_test(daemon_test LABELS integration SOURCES ${CMAKE_SOURCE_DIR}/tests/integration/server/daemon_test.cpp ${CMAKE_SOURCE_DIR}/tests/integration/server/attempts_over_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/integration/server/recovery_test.cpp ${CMAKE_SOURCE_DIR}/tests/integration/server/scripts_test.cpp ${CMAKE_SOURCE_DIR}/tests/integration/server/relay_test.cpp DEPENDS ultramarine_server)
ultramarine_test(scheduler_program_test LABELS integration SOURCES ${CMAKE_SOURCE_DIR}/tests/integration/server/program_test.cpp DEPENDS ultramarine_net ultramarine_protocol)
add_dependencies(scheduler_program_test ultra-scheduler)
