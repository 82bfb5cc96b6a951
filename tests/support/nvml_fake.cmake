# NVIDIA's management library made of a text file (tests/support/gpu/fake_nvml.cpp), for tests on machines without a GPU. It needs nothing of CUDA, and is
# loaded, never linked: without the sanitizers of the tree.
add_library(nvml_fake SHARED ${CMAKE_SOURCE_DIR}/tests/support/gpu/fake_nvml.cpp)
set_target_properties(nvml_fake PROPERTIES OUTPUT_NAME nvidia-ml SOVERSION 1 LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/fake_nvml)
target_compile_options(nvml_fake PRIVATE -O2 -Wall -Wextra -Wshadow -fvisibility=hidden)
target_link_libraries(nvml_fake PRIVATE Threads::Threads)
