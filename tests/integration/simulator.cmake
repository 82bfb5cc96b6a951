add_test(NAME simulate_program COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/simulator/program_test.py)
add_test(NAME simulate_equality COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/simulator/equality_test.py)
set_tests_properties(simulate_program PROPERTIES LABELS integration TIMEOUT 120 ENVIRONMENT "ULTRAMARINE_BIN=${CMAKE_BINARY_DIR}/bin")
set_tests_properties(simulate_equality PROPERTIES LABELS integration TIMEOUT 3600 ENVIRONMENT "ULTRAMARINE_BIN=${CMAKE_BINARY_DIR}/bin")
