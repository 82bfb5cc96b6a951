// What Open MPI 4.1 needs beside PMIx when its ranks are children of a shim and not of its own daemon: variables, and somebody who reads
// the messages that it sends to its daemon instead of printing them. One table, so that the next MPI version is one more
// table. Open MPI 5 and MPICH need PMIx only and ignore these.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace ultramarine::launcher {

struct MpiSurroundings {
  std::string folder;        // of this node's part of the gang: shared-memory segments and session files go there; removed at the end
  bool loopback = false;     // the nodes of the gang reach each other on loopback addresses
  bool oversubscribed = false;  // more ranks than cores may run on this host
};

/// Adds the table to `environment`. What makes ranks work at all is set; what only tunes is left alone where the user has set it.
void add_mpi_environment(std::map<std::string, std::string>& environment, const MpiSurroundings& surroundings);

/// Variables of the submitter's own launcher (he may sit inside another job): they would lead ranks to a daemon that isn't theirs.
bool belongs_to_another_launcher(const std::string& variable);

/// The text inside a help message as Open MPI 4.1 packs it for its daemon (orte_show_help: file, topic, whether there is text, text; each
/// with a big-endian count, strings with their length). "" when it isn't one.
std::string text_of_help_message(std::string_view packed);

}  // namespace ultramarine::launcher
