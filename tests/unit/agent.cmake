ultramarine_test(agent_test LABELS unit
  SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/agent/device_watch_test.cpp
          ${CMAKE_SOURCE_DIR}/tests/unit/agent/log_reader_test.cpp
          ${CMAKE_SOURCE_DIR}/tests/unit/agent/options_test.cpp
          ${CMAKE_SOURCE_DIR}/tests/unit/agent/state_directory_test.cpp
  DEPENDS ultramarine_agent)
