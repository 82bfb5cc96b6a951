add_executable(collectives_mpi_rank
  ${CMAKE_SOURCE_DIR}/tests/integration/collectives/mpi_rank.cpp ${CMAKE_SOURCE_DIR}/tests/unit/collectives/conformance.cpp)
set_target_properties(collectives_mpi_rank PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_include_directories(collectives_mpi_rank PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/collectives)
target_link_libraries(collectives_mpi_rank PRIVATE ultramarine_collectives)
ultramarine_test(collectives_mpi_test LABELS integration SOURCES ${CMAKE_SOURCE_DIR}/tests/integration/collectives/mpi_test.cpp)
target_compile_definitions(collectives_mpi_test PRIVATE ULTRAMARINE_MPI_RANK="$<TARGET_FILE:collectives_mpi_rank>")
add_dependencies(collectives_mpi_test collectives_mpi_rank)
