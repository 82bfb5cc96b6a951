ultramarine_test(batch_test LABELS unit SOURCES
  ${CMAKE_SOURCE_DIR}/tests/unit/batch/directives_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/batch/given_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/batch/request_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/batch/shape_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/batch/values_test.cpp
  DEPENDS ultramarine_batch)
