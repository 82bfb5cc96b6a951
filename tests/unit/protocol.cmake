ultramarine_test(protocol_unit_test LABELS unit
  SOURCES
    ${CMAKE_SOURCE_DIR}/tests/unit/protocol/codec_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/protocol/config_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/protocol/schema_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/protocol/text_forms_test.cpp
  DEPENDS ultramarine_protocol ${RAPIDCHECK_LIBRARY})
