// Starts, finds again and stops the shims of this node: one process per gang, which outlives the agent. The agent sees only this
// interface; its in-memory twin (memory_launcher.h) lets the agent's tests run without processes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/net/loop.h"
#include "scheduler/protocol/shim_messages.h"
#include "worker/launcher/containment/containment.h"

namespace ultramarine::launcher {

/// What comes back from the shims, on the loop's thread.
using OnShimMessage = std::function<void(const protocol::FromShim&)>;
/// What is wrong with the node itself, on the loop's thread.
using OnTrouble = std::function<void(const protocol::NodeTrouble&)>;

class Launcher {
 public:
  virtual ~Launcher() = default;
  /// Makes the job folder, writes launch.json, starts the shim and connects to it. Every problem comes back as a GangReport with phase finished,
  /// outcome start_failed and a failure (work dir missing, command not found, disk full): never as an exception.
  virtual void prepare(const protocol::LaunchSpec& launch) = 0;
  virtual void send(const GangKey& key, const protocol::ToShim& message) = 0;
  /// Finds the gangs of earlier agents in the jobs folder: connects to living shims, reads the last report of dead ones
  /// (one that died without a finished report has outcome supervisor_lost, and its processes are killed). Reports come as messages.
  virtual void adopt() = 0;
  /// Drops all but the logs of a finished gang.
  virtual void forget(const GangKey& key) = 0;
  /// No gang of it will come any more: drops its scratch folder, once its last gang here is forgotten. Forgetting gang 1 says so too.
  virtual void attempt_over(JobId job, std::int64_t attempt) = 0;
  /// Attempts that a prolog or a gang began here and no epilog has ended yet, those of an earlier agent among them. The scheduler says which are over.
  virtual std::vector<protocol::AttemptKey> begun() const { return {}; }
  /// Where this gang's files are.
  virtual std::string folder(const GangKey& key) const = 0;
  /// What holds gangs together; nullptr: process groups.
  virtual const Containment* containment() const { return nullptr; }
};

struct LauncherOptions {
  std::string jobs_folder;   // <agent state>/jobs, 0700
  std::string shim_program;  // path of ultra-shim; for some gangs, "-full" is added to it (needs_full_shim)
  std::string peer_host;     // address that the shims of other nodes reach this node at
  std::string scratch_base;  // each attempt gets a folder JOB.ATTEMPT below it (scratch_folders.h); "" = none
  std::int64_t log_bytes_max = 1 << 30;  // of a gang's output that is kept, when its job doesn't say
  std::string api_socket;    // where ranks reach the API; "" = nowhere
  std::shared_ptr<Containment> containment;  // null: process groups
  std::int64_t processes_max = 0;            // of an attempt, threads included; 0 = no limit
  std::string devices_folder = "/dev";       // where the GPUs are that a gang must not open
  /// What lives on so long after it was killed can't be killed (it hangs in the kernel, or is frozen), and people are told.
  std::chrono::milliseconds stuck_after{10'000};
  OnTrouble on_trouble;
  std::string prolog, epilog;                      // programs around each attempt (attempt_scripts.h); "" = none
  std::chrono::milliseconds script_deadline{50'000};
  /// Where this process is root, jobs run as their owners (privileged/); those of users below this number are refused.
  std::int64_t minimum_uid = 1000;
  bool root_jobs = false;  // root's own jobs run there, as root; else they are refused, too
  /// Each attempt has a /tmp and a /dev/shm of its own (make_private_folders), kept beside its scratch folder. Only where this process is root.
  bool private_tmp = false;
};

std::unique_ptr<Launcher> make_shim_launcher(net::Loop& loop, LauncherOptions options, OnShimMessage on_message);

}  // namespace ultramarine::launcher
