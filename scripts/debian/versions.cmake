# Read by cpack, which alone knows the release: the packages of one build belong together.
set(ultramarine_same "ultramarine (= ${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")
set(CPACK_DEBIAN_ULTRAMARINE-AGENT_PACKAGE_DEPENDS "${ultramarine_same}")
set(CPACK_DEBIAN_ULTRAMARINE-CUDA_PACKAGE_DEPENDS "${ultramarine_same}, libc6, libgcc-s1, libstdc++6")
