# The API as its own description says it, and a client written from that, against real daemons.
foreach(name openapi client)
  add_test(NAME api.${name} COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/api/${name}_test.py)
  set_tests_properties(api.${name} PROPERTIES LABELS integration TIMEOUT 300 RUN_SERIAL ON ENVIRONMENT "ULTRAMARINE_BIN=${CMAKE_BINARY_DIR}/bin")
endforeach()
