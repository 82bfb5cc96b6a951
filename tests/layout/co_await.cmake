# g++ 12 destroys braced temporaries and capturing lambdas of a co_await expression twice: no source may have one.
find_program(PYTHON3_PROGRAM python3 REQUIRED)
add_test(NAME layout.co_await COMMAND ${PYTHON3_PROGRAM} ${CMAKE_SOURCE_DIR}/tests/layout/co_await_check.py
  ${CMAKE_SOURCE_DIR}/scheduler ${CMAKE_SOURCE_DIR}/worker ${CMAKE_SOURCE_DIR}/collectives ${CMAKE_SOURCE_DIR}/tests)
add_test(NAME layout.co_await_check_can_fail COMMAND ${PYTHON3_PROGRAM} ${CMAKE_SOURCE_DIR}/tests/layout/co_await_check_test.py)
set_tests_properties(layout.co_await layout.co_await_check_can_fail PROPERTIES LABELS layout TIMEOUT 60
  ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
