# What is shipped for Prometheus and Alertmanager (configs/monitoring), with Debian's promtool and amtool: nothing of ours runs.
add_test(NAME monitoring.rules COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/monitoring/rules_test.py)
set_tests_properties(monitoring.rules PROPERTIES LABELS integration TIMEOUT 300)
