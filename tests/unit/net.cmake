ultramarine_test(net_test LABELS unit
  SOURCES
    ${CMAKE_SOURCE_DIR}/tests/unit/net/text_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/net/loop_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/net/listen_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/net/http_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/net/stream_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/net/websocket_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/unit/net/proof_test.cpp
  DEPENDS ultramarine_net)
