ultramarine_test(trainer_program_test LABELS integration SOURCES ${CMAKE_SOURCE_DIR}/tests/integration/trainer/program_test.cpp)
target_compile_definitions(trainer_program_test PRIVATE ULTRAMARINE_TRAIN="$<TARGET_FILE:ultra-train>")
add_dependencies(trainer_program_test ultra-train)
