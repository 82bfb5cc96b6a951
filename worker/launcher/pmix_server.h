// The PMIx server of one gang on one node (openpmix.org; libpmix 4.2), so that MPI ranks are plain children of the shim: no ssh, no
// mpirun, no daemon of MPI's. Ranks of this node meet inside the library; what must cross nodes is asked of the caller. The library
// calls back on a thread of its own: everything is handed over to the loop.
// One per process, because the library is global. Starting costs 25-30 ms.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "scheduler/net/loop.h"
#include "worker/launcher/gang_layout.h"
#include "worker/launcher/rank_environment.h"

namespace ultramarine::launcher {

/// What ranks ask for. Called on the loop's thread.
struct PmixRequests {
  /// Exchange `data` with the other nodes of this set of ranks (GangLayout::text_of), then `done(everybody's, in node order)`.
  std::function<void(const std::string& ranks, std::string data, std::function<void(std::string)> done)> fence;
  /// The data of a rank of another node.
  std::function<void(std::int64_t rank, std::function<void(std::int64_t code, std::string data)> done)> modex;
  /// A rank called MPI_Init (or PMIx_Init), or with `is_in` = false MPI_Finalize.
  std::function<void(std::int64_t rank, bool is_in)> presence;
  /// A rank called MPI_Abort or PMIx_Abort: the gang must end.
  std::function<void(std::int64_t rank, std::int64_t status, std::string message)> abort;
  /// MPI itself has something to say to the people who read this rank's output.
  std::function<void(std::int64_t rank, bool is_error, std::string text)> log;
};

class PmixServer {
 public:
  /// `folder` is for the library's own files. `name_space` is the gang's, the same on all its nodes. Throws std::runtime_error.
  PmixServer(net::Loop& loop, const GangLayout& layout, const std::string& node, const std::string& name_space, const std::string& folder,
             PmixRequests requests);
  ~PmixServer();
  PmixServer(const PmixServer&) = delete;
  PmixServer& operator=(const PmixServer&) = delete;

  /// The variables by which this rank finds the server.
  void add_environment(std::int64_t rank, Environment& environment);
  /// Data of a rank of this node, for another node; answers when the rank has published it.
  void find_modex(std::int64_t rank, std::function<void(std::int64_t code, std::string data)> done);

  struct Implementation;

 private:
  std::shared_ptr<Implementation> implementation_;
};

}  // namespace ultramarine::launcher
