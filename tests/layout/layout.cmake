find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME layout.arrows COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/layout/check_layout.py)
add_test(NAME layout.arrows_self_test COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/layout/check_layout.py --self-test)
set_tests_properties(layout.arrows layout.arrows_self_test PROPERTIES LABELS layout)
