ultramarine_test(cli_test LABELS unit SOURCES
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/cluster_text_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/command_line_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/completion_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/daemon_process_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/diagnosis_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/fake_api.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/follow_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/job_file_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/language_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/operations_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/planning_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/priority_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/policy_words_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/report_plots_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/report_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/script_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/sparkline_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/terminal_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/timeline_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/top_model_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/verbs_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/wait_report_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/cli/words_test.cpp
  DEPENDS ultramarine_cli ${RAPIDCHECK_LIBRARY})
add_dependencies(cli_test ultra)
add_test(NAME cli_catalogue COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/unit/cli/catalogue_test.py ${CMAKE_SOURCE_DIR})
set_tests_properties(cli_catalogue PROPERTIES LABELS unit TIMEOUT 120)
