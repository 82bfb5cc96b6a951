# What `cmake --install` makes works where it lies. The Debian packages have a test of their own that needs root and a network:
# tests/integration/install/packages_test.py, run by `scripts/test --all`.
add_test(NAME install.walk COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/integration/install/install_test.py)
set_tests_properties(install.walk PROPERTIES LABELS integration TIMEOUT 300 RUN_SERIAL ON
  ENVIRONMENT "ULTRAMARINE_BUILD=${CMAKE_BINARY_DIR};ULTRAMARINE_CMAKE=${CMAKE_COMMAND}")
