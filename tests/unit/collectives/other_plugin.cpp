// A plug-in of a later version, as it would be left behind by a half upgrade.
#include "collectives/cuda_plugin.h"

extern "C" const ultramarine::collectives::CudaPlugin* ultramarine_cuda_plugin() {
  static const ultramarine::collectives::CudaPlugin plugin{.version =
                                                               ultramarine::collectives::cuda_plugin_version + 1};
  return &plugin;
}
