ultramarine_test(collectives_test LABELS unit
  SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/collectives/in_process_test.cpp ${CMAKE_SOURCE_DIR}/tests/unit/collectives/flight_recorder_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/collectives/rendezvous_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/collectives/conformance.cpp
  DEPENDS ultramarine_collectives)
target_include_directories(collectives_test PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/collectives)
