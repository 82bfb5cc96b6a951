# What `cmake --install` puts where, and the Debian packages (`cpack` in the build folder):
#   ultramarine        ultra, ultra-scheduler, ultra-train and other programs for people, configs, man pages, completions
#   ultramarine-agent  what a node needs beside that: ultra-agent, ultra-shim, ultra-shim-full
#   ultramarine-cuda   the plug-in for GPUs, where it was built
# Programs find each other by where they lie: bin/ and lib/ultramarine/ below one prefix. With the prefix /usr files that people edit go
# to /etc, with any other to PREFIX/etc, and the units say so.
include_guard(GLOBAL)
# Installing and packaging take what is built; they don't build the tests first.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

# ---- programs
set(ultramarine_programs ultra-agent ultra-shim ultra-shim-full)
foreach(program ultra ultra-scheduler ultra-train ultra-perf ultra-simulate ultra-rsh)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION bin COMPONENT ultramarine)
    list(APPEND ultramarine_programs ${program})
  endif()
endforeach()
install(TARGETS ultra-agent RUNTIME DESTINATION bin COMPONENT ultramarine-agent)
install(TARGETS ultra-shim ultra-shim-full RUNTIME DESTINATION lib/ultramarine COMPONENT ultramarine-agent)
set(ultramarine_components ultramarine ultramarine-agent)
if(TARGET ultramarine_cuda)
  install(TARGETS ultramarine_cuda LIBRARY DESTINATION lib/ultramarine COMPONENT ultramarine-cuda)
  list(APPEND ultramarine_components ultramarine-cuda)
  list(APPEND ultramarine_programs ultramarine_cuda)
endif()

# ---- files
foreach(folder clusters policies monitoring examples)
  install(DIRECTORY configs/${folder} DESTINATION share/ultramarine COMPONENT ultramarine USE_SOURCE_PERMISSIONS)
endforeach()
install(FILES configs/README.md DESTINATION share/ultramarine COMPONENT ultramarine)
# The web page, where it was built.
install(DIRECTORY ${CMAKE_BINARY_DIR}/share/ultramarine/dashboard DESTINATION share/ultramarine COMPONENT ultramarine OPTIONAL)
# Made by the build from the table of options, where there is one.
install(DIRECTORY ${CMAKE_BINARY_DIR}/man/ DESTINATION share/man COMPONENT ultramarine OPTIONAL PATTERN "ultra-agent.*" EXCLUDE)
foreach(language . ko)
  install(FILES ${CMAKE_BINARY_DIR}/man/${language}/man8/ultra-agent.8 DESTINATION share/man/${language}/man8 COMPONENT ultramarine-agent OPTIONAL)
endforeach()
install(FILES ${CMAKE_BINARY_DIR}/completions/ultra.bash DESTINATION share/bash-completion/completions RENAME ultra COMPONENT ultramarine OPTIONAL)
install(FILES ${CMAKE_BINARY_DIR}/completions/ultra.zsh DESTINATION share/zsh/vendor-completions RENAME _ultra COMPONENT ultramarine OPTIONAL)
install(FILES ${CMAKE_BINARY_DIR}/completions/ultra.fish DESTINATION share/fish/vendor_completions.d COMPONENT ultramarine OPTIONAL)

# ---- files that name places: the prefix is known only when they are installed
function(ultramarine_install_placed source destination name component)
  install(CODE "
    set(source \"${CMAKE_SOURCE_DIR}/${source}\")
    set(destination ${destination})
    set(name ${name})
    set(scratch \"${CMAKE_BINARY_DIR}/installed\")
    include(\"${CMAKE_SOURCE_DIR}/scripts/cmake/install_placed.cmake\")
  " COMPONENT ${component})
endfunction()
ultramarine_install_placed(configs/clusters/site.toml etc/ultramarine cluster.toml ultramarine)
ultramarine_install_placed(configs/systemd/ultra-agent.default etc/default ultra-agent ultramarine-agent)
foreach(unit ultra-scheduler ultra-scheduler@)
  ultramarine_install_placed(configs/systemd/${unit}.service lib/systemd/system ${unit}.service ultramarine)
endforeach()
foreach(unit ultra-agent ultra-agent@)
  ultramarine_install_placed(configs/systemd/${unit}.service lib/systemd/system ${unit}.service ultramarine-agent)
endforeach()

# ---- Debian packages
set(ULTRAMARINE_MAINTAINER "Ultramarine <ultramarine@example.org>" CACHE STRING "Maintainer of the Debian packages")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ultramarine)
set(CPACK_PACKAGE_VENDOR Ultramarine)
set(CPACK_PACKAGE_CONTACT "${ULTRAMARINE_MAINTAINER}")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL ${ultramarine_components})
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/scripts/debian/documents.cmake)
set(ULTRAMARINE_DEBIAN ${CMAKE_SOURCE_DIR}/scripts/debian)

macro(ultramarine_package component summary text)
  string(TOUPPER ${component} upper)
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${summary}\n${text}")
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${component})
  file(GLOB controls CONFIGURE_DEPENDS ${ULTRAMARINE_DEBIAN}/${component}/*)
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA ${controls})
endmacro()
ultramarine_package(ultramarine "launcher, scheduler and public ledger of a GPU cluster"
  "Queues, places and starts gangs of ranks over the nodes of a cluster, with a\nplanned start and a reason for every job that waits.\n.\nThis package has the command line (ultra), the scheduler and the trainer.")
set(CPACK_DEBIAN_ULTRAMARINE_PACKAGE_DEPENDS "adduser, tzdata")
set(CPACK_DEBIAN_ULTRAMARINE_PACKAGE_SUGGESTS "ultramarine-agent, prometheus, gnuplot-nox, fonts-noto-cjk")
ultramarine_package(ultramarine-agent "launcher and scheduler of a GPU cluster - agent of a node"
  "Starts and supervises the ranks of jobs on one node, as the scheduler says.\nRanks outlive the agent: it can be upgraded while jobs run.")
set(CPACK_DEBIAN_ULTRAMARINE-AGENT_PACKAGE_RECOMMENDS "openmpi-bin")
ultramarine_package(ultramarine-cuda "launcher and scheduler of a GPU cluster - CUDA and NCCL"
  "The plug-in with which ultra-train and ultra-perf compute and reduce on GPUs.\nNeeds the CUDA 13 runtime and NCCL 2, which come from elsewhere.")
# Their libraries are not Debian's: dpkg-shlibdeps would not find whose they are.
set(CPACK_DEBIAN_ULTRAMARINE-CUDA_PACKAGE_SHLIBDEPS OFF)
# Both are of one build: the release is known only to cpack.
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_SOURCE_DIR}/scripts/debian/versions.cmake)
include(CPack)

get_property(page_words GLOBAL PROPERTY ULTRAMARINE_PAGE)
set(ultramarine_page "")
if(NOT page_words MATCHES "^no ")
  set(ultramarine_page dashboard_where_possible)
endif()
# cmake --build build/release --target installable    all that `cmake --install` needs, and nothing else
# cmake --build build/release --target packages       build/release/packages/*.deb
add_custom_target(installable DEPENDS ${ultramarine_programs} ${ultramarine_page})
add_custom_target(packages COMMAND ${CMAKE_CPACK_COMMAND} DEPENDS ${ultramarine_programs} ${ultramarine_page} WORKING_DIRECTORY ${CMAKE_BINARY_DIR} USES_TERMINAL)
