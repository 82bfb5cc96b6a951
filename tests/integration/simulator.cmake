add_test(NAME simulate_program COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/simulator/program_test.py)
set_tests_properties(simulate_program PROPERTIES LABELS integration TIMEOUT 120 ENVIRONMENT "ULTRAMARINE_BIN=${CMAKE_BINARY_DIR}/bin")
