ultramarine_test(devices_test LABELS unit
  SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/devices/inventory_test.cpp
  DEPENDS ultramarine_devices)
