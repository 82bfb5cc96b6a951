// Where the ranks of one node write: our own files in the job folder, or files that users named by a pattern. Opened once, before any
// rank runs, and every rank that writes to the same file is given the same descriptor, so that nobody writes over anybody. The job
// folder always has a name for each rank's stream (rank_R.out, rank_R.err); for users' files that is a symbolic link.
#pragma once

#include <string>
#include <vector>

#include "worker/launcher/gang_layout.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {

/// The disk of a user's file has no room. Elsewhere there may be some, unless nodes share it.
struct DiskFull : FolderError {
  DiskFull(const std::string& what, bool is_shared) : FolderError(what), shared(is_shared) {}
  bool shared;
};

class OutputFiles {
 public:
  /// One name in the job folder.
  struct Stream {
    std::int64_t rank = 0;
    bool is_error = false;
    std::string name;     // path in the job folder
    std::string path;     // of the file itself
    int descriptor = -1;  // for appending
    bool is_ours = false; // kept by us alone, in the job folder
    std::int64_t start = 0;  // its length when it was opened: what is before was there already
  };

  OutputFiles() = default;
  OutputFiles(const OutputFiles&) = delete;
  OutputFiles& operator=(const OutputFiles&) = delete;
  ~OutputFiles() { close(); }

  /// Opens the files of all ranks of `launch.node`, and makes missing folders. Users' files are truncated unless the
  /// job appends. Only gang 1 has patterns: what `ultra run` starts shows its output where it was started. Throws
  /// std::runtime_error, which names the file; it is a FolderError where that is our own; DiskFull.
  void open(const protocol::LaunchSpec& launch, const GangLayout& layout, const JobFolder& folder);
  /// Output and error of each rank, neighbours.
  const std::vector<Stream>& streams() const { return streams_; }
  const Stream& output(std::int64_t rank) const { return stream(rank, false); }
  const Stream& error(std::int64_t rank) const { return stream(rank, true); }
  void close();

 private:
  const Stream& stream(std::int64_t rank, bool is_error) const;
  void add_ours(std::int64_t rank, bool is_error, const JobFolder& folder);
  void add_named(std::int64_t rank, bool is_error, const std::string& path, bool append, const JobFolder& folder);

  std::vector<Stream> streams_;
};

}  // namespace ultramarine::launcher
