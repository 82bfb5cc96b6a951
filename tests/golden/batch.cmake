ultramarine_test(batch_golden_test LABELS golden
  SOURCES ${CMAKE_SOURCE_DIR}/tests/golden/batch/scripts_test.cpp
  DEPENDS ultramarine_batch)
