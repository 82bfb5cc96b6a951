add_executable(collectives_mpi_rank
  ${CMAKE_SOURCE_DIR}/tests/integration/collectives/mpi_rank.cpp ${CMAKE_SOURCE_DIR}/tests/unit/collectives/conformance.cpp)
set_target_properties(collectives_mpi_rank PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_include_directories(collectives_mpi_rank PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/collectives)
target_link_libraries(collectives_mpi_rank PRIVATE ultramarine_collectives)
ultramarine_test(collectives_mpi_test LABELS integration SOURCES ${CMAKE_SOURCE_DIR}/tests/integration/collectives/mpi_test.cpp)
target_compile_definitions(collectives_mpi_test PRIVATE ULTRAMARINE_MPI_RANK="$<TARGET_FILE:collectives_mpi_rank>")
add_dependencies(collectives_mpi_test collectives_mpi_rank)
# NCCL over a fake GPU (tests/support/gpu): the same object files as in the plug-in.
if(ULTRAMARINE_FAKE_GPU)
  add_executable(collectives_nccl_rank
    ${CMAKE_SOURCE_DIR}/tests/integration/collectives/nccl_rank.cpp ${CMAKE_SOURCE_DIR}/tests/unit/collectives/conformance.cpp)
  set_target_properties(collectives_nccl_rank PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_include_directories(collectives_nccl_rank PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/collectives)
  target_link_libraries(collectives_nccl_rank PRIVATE ultramarine_nccl ultramarine_collectives nccl_fake cudart_fake)
  add_executable(collectives_nccl_ordering ${CMAKE_SOURCE_DIR}/tests/gpu/nccl_ordering_test.cpp)
  set_target_properties(collectives_nccl_ordering PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(collectives_nccl_ordering PRIVATE ultramarine_nccl ultramarine_collectives nccl_fake cudart_fake)
  ultramarine_test(collectives_nccl_test LABELS integration SOURCES ${CMAKE_SOURCE_DIR}/tests/integration/collectives/nccl_test.cpp)
  target_compile_definitions(collectives_nccl_test PRIVATE ULTRAMARINE_NCCL_RANK="$<TARGET_FILE:collectives_nccl_rank>"
    ULTRAMARINE_NCCL_ORDERING="$<TARGET_FILE:collectives_nccl_ordering>")
  add_dependencies(collectives_nccl_test collectives_nccl_rank collectives_nccl_ordering)
endif()
