ultramarine_test(server_test LABELS unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/server/server_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/server/page_files_test.cpp DEPENDS ultramarine_server)
