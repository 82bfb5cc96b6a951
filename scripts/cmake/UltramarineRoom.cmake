# ultramarine_room(name DIRECTORY-RELATIVE SOURCES... DEPENDS targets...): one static library per room.
# ultramarine_program(name SOURCES... DEPENDS...): a thin main over rooms.
# ultramarine_test(name LABELS... SOURCES... DEPENDS...): a GoogleTest binary, run by ctest under its labels.
include_guard(GLOBAL)

option(ULTRAMARINE_TESTS "Build the tests" ON)
option(ULTRAMARINE_UNITY "Compile a room's files eight at a time: a clean build takes a third of the time, a change to one file compiles its neighbours too" ON)
set(ULTRAMARINE_SANITIZE "" CACHE STRING "Comma-separated sanitizers for every target (address,undefined or thread)")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT ULTRAMARINE_SANITIZE)
  add_link_options(-fuse-ld=mold)
endif()

# The settings that every target shares. The Boost defines must be the same in every translation unit.
add_library(ultramarine_settings INTERFACE)
target_include_directories(ultramarine_settings INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(ultramarine_settings INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ALL_NO_LIB OMPI_SKIP_MPICXX=1 _GLIBCXX_ASSERTIONS)
target_compile_options(ultramarine_settings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>  # false alarms on std::string in g++ 12 (GCC bug 105651)
  $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>  # files that are compiled together look like headers to it
  $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>  # std::stable_sort of libstdc++ 12
  $<$<CONFIG:Debug>:-g1>)
if(ULTRAMARINE_SANITIZE)
  # clang takes four times as long with -O1 as without (g++ as long either way): for targets that compute much, see ultramarine_computes.
  target_compile_options(ultramarine_settings INTERFACE -fsanitize=${ULTRAMARINE_SANITIZE} -fno-omit-frame-pointer -g1
    $<IF:$<AND:$<CXX_COMPILER_ID:Clang>,$<NOT:$<BOOL:$<TARGET_PROPERTY:ULTRAMARINE_COMPUTES>>>>,-O0,-O1>)
  target_link_options(ultramarine_settings INTERFACE -fsanitize=${ULTRAMARINE_SANITIZE})
  target_compile_definitions(ultramarine_settings INTERFACE ULTRAMARINE_SANITIZED)
  if(ULTRAMARINE_SANITIZE MATCHES "thread")
    # Asio's fences are not modelled by ThreadSanitizer: g++ warns about each of them.
    target_compile_options(ultramarine_settings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  endif()
  if(ULTRAMARINE_SANITIZE MATCHES "undefined")
    target_compile_options(ultramarine_settings INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
find_package(Threads REQUIRED)
target_link_libraries(ultramarine_settings INTERFACE Threads::Threads)

function(ultramarine_together name)
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${ULTRAMARINE_UNITY} UNITY_BUILD_BATCH_SIZE 8)
endfunction()

# These targets' tests run for long: they are optimized under sanitizers, too.
function(ultramarine_computes)
  set_target_properties(${ARGN} PROPERTIES ULTRAMARINE_COMPUTES ON)
endfunction()

# Sources may be left out: then every .cpp of the folder but main*.cpp is in the room.
function(ultramarine_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  if(NOT ARG_SOURCES)
    file(GLOB ARG_SOURCES CONFIGURE_DEPENDS *.cpp)
    list(FILTER ARG_SOURCES EXCLUDE REGEX "/main[^/]*\\.cpp$")
  endif()
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    ultramarine_together(${name})
    target_link_libraries(${name} PUBLIC ultramarine_settings ${ARG_DEPENDS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ultramarine_settings ${ARG_DEPENDS})
  endif()
endfunction()

function(ultramarine_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ultramarine_settings ${ARG_DEPENDS})
  # Else the search path of libraries is padded with a colon, for which the loader looks into the current folder.
  set_target_properties(${name} PROPERTIES BUILD_WITH_INSTALL_RPATH ON)
endfunction()

# A room's own unit tests live in tests/<label>/; each binary is one ctest entry per test case.
function(ultramarine_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPENDS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  ultramarine_together(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE ultramarine_settings ${ARG_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
  # What is tested is compiled as users have it; the tests themselves need no more than this, in two thirds of the time.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  target_compile_definitions(${name} PRIVATE ULTRAMARINE_SOURCE_DIR="${CMAKE_SOURCE_DIR}" ULTRAMARINE_BINARY_DIR="${CMAKE_BINARY_DIR}")
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
