// ultra-shim: supervises one gang on one node. Started by the agent, which gives it nothing but the job folder.
#include "worker/launcher/shim.h"

int main(int argument_count, char** arguments) { return ultramarine::launcher::shim_main(argument_count, arguments, {}); }
