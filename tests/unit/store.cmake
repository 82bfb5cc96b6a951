ultramarine_test(store_unit_test LABELS unit
  SOURCES
    ${CMAKE_SOURCE_DIR}/tests/unit/store/conformance_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/store/sqlite_test.cpp
  DEPENDS ultramarine_store)
