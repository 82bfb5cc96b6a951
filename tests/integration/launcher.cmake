ultramarine_test(launcher_shim_test LABELS integration TIMEOUT 300
  SOURCES ${CMAKE_SOURCE_DIR}/tests/integration/launcher/node_fixture.cpp ${CMAKE_SOURCE_DIR}/tests/integration/launcher/shim_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/integration/launcher/shim_agents_test.cpp ${CMAKE_SOURCE_DIR}/tests/integration/launcher/shim_progress_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/integration/launcher/script_test.cpp ${CMAKE_SOURCE_DIR}/tests/integration/launcher/mpi_test.cpp ${CMAKE_SOURCE_DIR}/tests/integration/launcher/containment_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/integration/launcher/owner_test.cpp ${CMAKE_SOURCE_DIR}/tests/integration/launcher/attempt_scripts_test.cpp
    ${CMAKE_SOURCE_DIR}/tests/integration/launcher/private_tmp_test.cpp
  DEPENDS ultramarine_launcher)
foreach(program mpi pmix)
  add_executable(launcher_${program}_rank ${CMAKE_SOURCE_DIR}/tests/integration/launcher/${program}_rank.c)
  set_target_properties(launcher_${program}_rank PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endforeach()
target_link_libraries(launcher_mpi_rank PRIVATE MPI::MPI_C)
target_link_libraries(launcher_pmix_rank PRIVATE PkgConfig::PMIX)
add_dependencies(launcher_shim_test ultra-shim launcher_test_rank launcher_mpi_rank launcher_pmix_rank)
