ultramarine_test(devices_test LABELS unit
  SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/devices/inventory_test.cpp
          ${CMAKE_SOURCE_DIR}/tests/unit/devices/kernel_log_test.cpp
          ${CMAKE_SOURCE_DIR}/tests/unit/devices/real_inventory_test.cpp
          ${CMAKE_SOURCE_DIR}/tests/unit/devices/xid_table_test.cpp
  DEPENDS ultramarine_devices)
target_compile_definitions(devices_test PRIVATE FAKE_NVML_LIBRARY="${CMAKE_BINARY_DIR}/tests/fake_nvml/libnvidia-ml.so.1")
add_dependencies(devices_test nvml_fake)
