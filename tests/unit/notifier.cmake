ultramarine_test(notifier_test LABELS unit SOURCES
  ${CMAKE_SOURCE_DIR}/tests/unit/notifier/occasions_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/notifier/receivers_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/notifier/message_test.cpp
  ${CMAKE_SOURCE_DIR}/tests/unit/notifier/deliverer_test.cpp
  DEPENDS ultramarine_notifier ultramarine_core)
