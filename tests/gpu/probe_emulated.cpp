// The probe kernels for the emulation.
#include "tests/gpu/probe.cu"
