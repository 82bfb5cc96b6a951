file(GLOB trainer_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/trainer/*.cpp)
ultramarine_test(trainer_test LABELS unit SOURCES ${trainer_tests} DEPENDS ultramarine_trainer)
target_include_directories(trainer_test PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/trainer)
