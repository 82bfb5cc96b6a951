# Daemons, ranks, nodes and networks broken for real; most of it needs root. Minutes: `scripts/test --all` runs them by their label;
# hours with ULTRAMARINE_SLOW=1 (`scripts/test --slow`), for which the limit is.
foreach(name ranks nodes network relaunch eight_nodes)
  add_test(NAME faults.${name} COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/faults/${name}_test.py)
  set_tests_properties(faults.${name} PROPERTIES LABELS faults TIMEOUT 14400 RUN_SERIAL ON ENVIRONMENT "ULTRAMARINE_BIN=${CMAKE_BINARY_DIR}/bin")
endforeach()
