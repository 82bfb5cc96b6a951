# Read by cpack, which alone knows the release: the packages of one build belong together.
foreach(package AGENT CUDA)
  set(CPACK_DEBIAN_ULTRAMARINE-${package}_PACKAGE_DEPENDS "ultramarine (= ${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")
endforeach()
