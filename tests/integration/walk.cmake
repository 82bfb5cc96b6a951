# The whole walk with real daemons. Each test has a cluster of its own; they share two cores, so ctest runs them one at a time.
foreach(name waits gpus kill_scheduler owners site_scripts programs script launching story terminal hang away)
  add_test(NAME walk.${name} COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/walk/${name}_test.py)
  set_tests_properties(walk.${name} PROPERTIES LABELS integration TIMEOUT 600 RUN_SERIAL ON
    ENVIRONMENT "ULTRAMARINE_BIN=${CMAKE_BINARY_DIR}/bin")
endforeach()
# With the real limits and 50 episodes (ULTRAMARINE_SLOW=1) it takes an hour.
set_tests_properties(walk.hang PROPERTIES TIMEOUT 5400)
