// What a gang needs whose ranks speak PMIx: a server for the ranks of this node, and words between the gang's shims. Only `ultra-shim-full` has it
// (ShimParts): the libraries behind it, PMIx and OpenSSL, take several times longer to load than all that a small job needs.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "scheduler/net/endpoint.h"
#include "scheduler/net/loop.h"
#include "worker/launcher/gang_layout.h"
#include "worker/launcher/mpi_environment.h"
#include "worker/launcher/rank_environment.h"

namespace ultramarine::launcher {

/// The gang, and what is told of its ranks, on the loop's thread.
struct MpiGang {
  net::Loop& loop;
  GangKey key;
  GangLayout layout;
  std::string node;
  std::string secret;
  std::string address;  // where the other nodes reach this one
  std::string folder;   // for files of the library and of MPI
  std::function<void(std::int64_t rank, bool is_in)> presence;  // it has called MPI_Init, or MPI_Finalize
  std::function<void(std::int64_t rank, std::int64_t status, const std::string& message)> abort;
  std::function<void(std::int64_t rank, bool is_error, const std::string& text)> log;
};

class MpiSupport {
 public:
  virtual ~MpiSupport() = default;
  /// Where the shims of other nodes connect; 0 where none will.
  virtual std::int64_t peer_port() const = 0;
  /// To the middle of the gang's star, wherever it is: exactly one of the two is called.
  virtual void connect(const net::Endpoint& middle, std::function<void()> on_ready, std::function<void(const std::string& why)> on_failed) = 0;
  virtual void add_environment(std::int64_t rank, bool loopback, bool oversubscribed, Environment& environment) = 0;
  /// No rank is left.
  virtual void stop_serving() = 0;
  /// Other nodes may need this one even after its own ranks have succeeded.
  virtual bool serves_others() const = 0;
  virtual void when_alone(std::function<void()> done) = 0;
  virtual bool everybody_came() const = 0;
  virtual void close(std::function<void()> done) = 0;
};

using MakeMpiSupport = std::function<std::unique_ptr<MpiSupport>(MpiGang gang)>;

/// Over libpmix. Throws std::runtime_error or net::NetError.
std::unique_ptr<MpiSupport> make_mpi_support(MpiGang gang);

}  // namespace ultramarine::launcher
