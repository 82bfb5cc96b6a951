# The command line over real daemons: each test starts clusters of its own under /tmp and leaves nothing behind.
add_test(NAME cli_local_cluster COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/cli/local_cluster_test.py)
set_tests_properties(cli_local_cluster PROPERTIES LABELS integration TIMEOUT 600 RUN_SERIAL ON ENVIRONMENT "ULTRAMARINE_BIN=${CMAKE_BINARY_DIR}/bin")
# On pseudo-terminals, read by a screen model (python3-pyte); bars over time; in Korean; with real shells, man and mandoc; wishes for nodes; what orders the queue;
# what operators do; money and policies; pictures; trials; what people are told.
foreach(name top timeline korean shell wishes priority operations money report_plots trials notify)
  add_test(NAME cli_${name} COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/cli/${name}_test.py)
  set_tests_properties(cli_${name} PROPERTIES LABELS integration TIMEOUT 600 RUN_SERIAL ON ENVIRONMENT "ULTRAMARINE_BIN=${CMAKE_BINARY_DIR}/bin")
endforeach()
