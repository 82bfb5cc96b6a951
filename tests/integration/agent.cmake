ultramarine_test(agent_room_test LABELS integration
  SOURCES ${CMAKE_SOURCE_DIR}/tests/integration/agent/agent_test.cpp
          ${CMAKE_SOURCE_DIR}/tests/integration/agent/api_relay_test.cpp
          ${CMAKE_SOURCE_DIR}/tests/integration/agent/agent_process_test.cpp
  DEPENDS ultramarine_agent)
add_dependencies(agent_room_test ultra-agent ultra-shim)
