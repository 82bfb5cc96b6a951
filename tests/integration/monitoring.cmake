# What is shipped for Prometheus, Alertmanager and Grafana (configs/monitoring). `rules`: with Debian's promtool and amtool, nothing of ours runs.
add_test(NAME monitoring.rules COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/monitoring/rules_test.py)
set_tests_properties(monitoring.rules PROPERTIES LABELS integration TIMEOUT 300)
# Real daemons of ours, a real Prometheus, a real Alertmanager.
foreach(name dashboards alerts)
  add_test(NAME monitoring.${name} COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/monitoring/${name}_test.py)
  set_tests_properties(monitoring.${name} PROPERTIES LABELS integration TIMEOUT 600 RUN_SERIAL ON ENVIRONMENT "ULTRAMARINE_BIN=${CMAKE_BINARY_DIR}/bin")
endforeach()
