# The API's handlers need a daemon behind them: the real one, with a memory store.
ultramarine_test(api_test LABELS unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/api/api_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/api/words_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/api/operations_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/api/exit_code_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/api/openapi_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/api/roles_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/api/waits_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/api/month_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/api/report_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/api/favours_test.cpp DEPENDS ultramarine_api ultramarine_server)
