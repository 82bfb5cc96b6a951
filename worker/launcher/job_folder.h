// The job folder: its names, files that are either old or new and never half, and what shim and agent write down for each other there
// (the list of files is in scheduler/protocol/shim_messages.h). Beside those:
//   shim.log        what the shim says to people
//   leftovers.json  Leftovers, so that an agent can clean up after a shim that was killed; not where a control group knows all that it needs
//   checkpoints.json  the CheckpointReports that nobody has recorded yet
//   rank_R.out.marks, rank_R.out.gap   notes about a rank's output (output_notes.h)
//   script          the text of a script job, 0700   hostfile        for an mpirun in it
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/model/gang_report.h"
#include "scheduler/protocol/agent_messages.h"
#include "worker/launcher/process_tree.h"

namespace ultramarine::launcher {

/// What the agent tells a shim about the node.
struct ShimSettings {
  std::string peer_host;               // where the other nodes of the gang reach this one
  Duration start_wait_ms{120'000};     // a prepared shim without agent gives up after this
  std::string api_socket;              // ULTRA_SOCKET; "" = none
  std::string scratch_folder;          // of the attempt on this node, made when first needed; "" = none. The agent removes it
  std::int64_t log_bytes_max = 1 << 30;  // of the output that is kept of a gang over all its ranks, when its job doesn't say
  bool contained = false;              // the shim has a control group for itself and its gang
  bool private_tmp = false;            // /tmp and /dev/shm are the attempt's own here
  std::string boot_id;                 // in which the launch was written down: in another one nobody begins it any more
  bool spared = false;                 // the agent, which is root, keeps it from the kernel's choice when memory runs out, once its ranks run
};
BOOST_DESCRIBE_STRUCT(ShimSettings, (), (peer_host, start_wait_ms, api_socket, scratch_folder, log_bytes_max, contained, private_tmp, boot_id, spared))

/// launch.json: what a shim is started with. Gone once its ranks run.
struct LaunchOrder {
  ShimSettings settings;
  protocol::LaunchSpec launch;
};
BOOST_DESCRIBE_STRUCT(LaunchOrder, (), (settings, launch))

/// shim.pid. The shim also holds a lock on that file as long as it lives, so that a folder never has two.
struct ShimPid {
  ProcessIdentity process;
  std::string boot_id;
  Duration stop_grace_ms;  // of its gang; 0 until it has read what it is to start
};
BOOST_DESCRIBE_STRUCT(ShimPid, (), (process, boot_id, stop_grace_ms))

/// leftovers.json: all that a shim has in the world outside its folder.
struct Leftovers {
  std::string boot_id;
  std::string node;
  std::vector<ProcessIdentity> ranks;
  std::string mark;                  // the "NAME=value" by which processes of this gang and node are known
  std::vector<std::string> folders;  // to be removed with all that is in them
};
BOOST_DESCRIBE_STRUCT(Leftovers, (), (boot_id, node, ranks, mark, folders))

/// A file or folder can't be made, read or written; `what` names it and says why.
struct FolderError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string text_of(const GangKey& key);                         // "12.1.1": the folder's name
std::optional<GangKey> parse_gang_key(std::string_view text);

struct JobFolder {
  std::string path;
  std::string launch() const { return path + "/launch.json"; }
  std::string socket() const { return path + "/shim.sock"; }
  std::string pid() const { return path + "/shim.pid"; }
  std::string log() const { return path + "/shim.log"; }
  std::string progress() const { return path + "/progress.sock"; }
  std::string report() const { return path + "/report.json"; }
  std::string leftovers() const { return path + "/leftovers.json"; }
  std::string script() const { return path + "/script"; }
  std::string host_file() const { return path + "/hostfile"; }
  std::string hydra_host_file() const { return path + "/hostfile.hydra"; }
  std::string checkpoints() const { return path + "/checkpoints.json"; }
  std::string output(std::int64_t rank) const { return path + "/rank_" + std::to_string(rank) + ".out"; }
  std::string error(std::int64_t rank) const { return path + "/rank_" + std::to_string(rank) + ".err"; }
};

/// Makes `path` and its parents, 0700. Throws FolderError.
void make_private_folder(const std::string& path);
/// Readers see the old text or the new, whoever is killed meanwhile. After a power failure it may be old, new, or no text at all: for what means
/// something only as long as processes live. Mode 0600. What has the name of its unfinished twin (`path`.new) is removed. Throws FolderError.
void write_whole(const std::string& path, std::string_view text);
/// After this the file has the new text even if the power fails; before, the old. Mode 0600. Throws FolderError.
void write_durably(const std::string& path, std::string_view text);
/// Of what shim and agent write down for each other: as much as a message between them may have, and what all that only a shim is left with needs.
constexpr std::size_t message_bytes_max = 16 << 20, leftovers_bytes_max = 1 << 20;
/// No limit: for files in folders that nobody else can write in.
constexpr std::size_t any_length = static_cast<std::size_t>(-1);
/// nullopt when the file doesn't exist. Throws FolderError when it can't be read, is longer, or is no ordinary file (a link, a FIFO, a device: users may
/// put into their folders what they like). Never waits.
std::optional<std::string> read_whole(const std::string& path, std::size_t bytes_max = message_bytes_max);
/// A new folder /dev/shm/ultramarine-KEY-XXXXXX (or below /tmp where that isn't writable), 0700. Throws FolderError.
std::string make_outside_folder(const GangKey& key, bool in_memory);
/// With all that is in it; no complaint when it is gone already or can't be removed.
void remove_folder(const std::string& path) noexcept;
void remove_file(const std::string& path) noexcept;

/// A name of `path`'s file that fits into a Unix socket address: through a descriptor of its folder, so good only in this process and
/// as long as this object lives.
class ShortName {
 public:
  explicit ShortName(const std::string& path);
  ShortName(const ShortName&) = delete;
  ShortName& operator=(const ShortName&) = delete;
  ~ShortName();
  const std::string& text() const { return text_; }

 private:
  int folder_ = -1;
  std::string text_;
};

}  // namespace ultramarine::launcher
