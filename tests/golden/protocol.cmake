ultramarine_test(protocol_golden_test LABELS golden
  SOURCES ${CMAKE_SOURCE_DIR}/tests/golden/protocol/messages_test.cpp
  DEPENDS ultramarine_protocol)
