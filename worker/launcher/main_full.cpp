// ultra-shim-full: the same supervisor, for gangs whose ranks speak PMIx or divide the node's cores.
#include "worker/launcher/shim.h"

int main(int argument_count, char** arguments) {
  using namespace ultramarine::launcher;
  return shim_main(argument_count, arguments, {.make_mpi = make_mpi_support, .read_cores = read_cores});
}
