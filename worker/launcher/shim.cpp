// The gang's life: its folder and its end. Preparation and start, supervision and reports are in the files beside this one.
#include "worker/launcher/shim.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "worker/launcher/message_text.h"
#include "worker/launcher/shim_log.h"

namespace ultramarine::launcher {
namespace {

constexpr auto straggler_wait = std::chrono::seconds(60);
constexpr auto leave_wait = std::chrono::seconds(3);
constexpr auto write_again_after = std::chrono::seconds(1);

}  // namespace

Shim::Shim(net::Loop& loop, std::string folder, ShimParts parts) : loop_(loop), folder_{std::move(folder)}, parts_(std::move(parts)) {}

Shim::~Shim() {
  // Their connections still call us while they go.
  server_.reset();
  mpi_.reset();
  if (lock_ >= 0) ::close(lock_);
}

int Shim::run() {
  try {
    if (!take_folder()) return 1;
  } catch (const std::exception& error) {
    shim_log::error(error.what());
    return 1;
  }
  loop_.on_signals({SIGCHLD, SIGTERM, SIGINT}, [this](int signal) { on_signal(signal); });
  prepare();
  loop_.run();
  return 0;
}

/// False when another shim has this folder, or had it and left its report.
bool Shim::take_folder() {
  const std::size_t slash = folder_.path.rfind('/');
  const auto key = parse_gang_key(slash == std::string::npos ? folder_.path : folder_.path.substr(slash + 1));
  if (!key) throw FolderError("not a job folder (its name must be JOB.ATTEMPT.GANG): " + folder_.path);
  key_ = *key;
  lock_ = ::open(folder_.pid().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) throw FolderError("can't write " + folder_.pid() + ": " + std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    shim_log::info("another shim has this folder");
    return false;
  }
  if (read_whole(folder_.report())) {
    shim_log::info("this gang has had its shim");
    return false;
  }
  if (::ftruncate(lock_, 0) != 0) throw FolderError("can't write " + folder_.pid() + ": " + std::strerror(errno));
  self_ = {.process = identify(::getpid()).value(), .boot_id = boot_id()};
  write_pid();
  return true;
}

/// In place: the lock belongs to the file, which a rename would replace. Later texts are longer, so that readers see one or the other.
void Shim::write_pid() const {
  const std::string text = to_text(self_);
  if (::pwrite(lock_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    throw FolderError("can't write " + folder_.pid() + ": " + std::strerror(errno));
  }
}

void Shim::finish() {
  if (phase_ == GangPhase::finished) return;
  for (auto* timer : {&time_limit_, &warning_, &checkpoint_wait_, &finalize_wait_, &kill_timer_, &abort_timer_, &start_wait_}) timer->reset();
  if (progress_) progress_->drain_at_the_end();
  if (mpi_) mpi_->stop_serving();
  for (Rank& rank : ranks_) {
    const ProgressCollector::Collectives collectives = progress_->collectives(rank.place.rank);
    rank.result.collective_count = collectives.count;
    rank.result.collective_bytes = collectives.bytes;
  }
  if (!outcome_) outcome_ = Outcome::succeeded;
  if (terminal_) terminal_->drain();
  terminal_.reset();
  if (keeper_) keeper_->look();
  keeper_.reset();
  outputs_.close();
  if (!outside_folder_.empty()) remove_folder(outside_folder_);
  remove_file(folder_.progress());
  master_port_ = PortReservation();
  phase_ = GangPhase::finished;
  conclude();
}

/// The end must not be lost: while the disk doesn't take it and no agent is there, the shim stays.
void Shim::conclude() {
  if (publish()) {
    if (ranks_.empty()) remove_file(folder_.launch());
    return leave_after_the_others();
  }
  leave_timer_ = loop_.after(write_again_after, [this] { conclude(); });
}

/// The shims of a gang talk through that of rank 0: where its own ranks were the first to succeed, it stays for the others.
void Shim::leave_after_the_others() {
  if (!mpi_ || !mpi_->serves_others() || outcome_ != Outcome::succeeded) return leave();
  mpi_->when_alone([this] { leave(); });
  leave_timer_ = loop_.after(straggler_wait, [this] {
    if (!leaving_ && !mpi_->everybody_came()) leave();
  });
}

/// Ends the process once everything that was said is on its way.
void Shim::leave() {
  if (leaving_) return;
  leaving_ = true;
  const auto open = std::make_shared<int>(2);
  const auto closed = [this, open] {
    if (--*open == 0) loop_.stop();
  };
  if (agent_) {
    agent_->on_closed([closed](const std::string&) { closed(); });
    agent_->close();
  } else {
    closed();
  }
  if (mpi_) {
    mpi_->close(closed);
  } else {
    closed();
  }
  leave_timer_ = loop_.after(leave_wait, [this] { loop_.stop(); });
}

int shim_main(int argument_count, char** arguments, ShimParts parts) {
  if (argument_count != 3 || std::string(arguments[1]) != "--folder") {
    std::fprintf(stderr, "%s: usage: --folder DIR (the agent starts it; people use `ultra submit`)\n", argument_count > 0 ? arguments[0] : "ultra-shim");
    return 2;
  }
  ::umask(077);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  net::Loop loop;
  Shim shim(loop, arguments[2], std::move(parts));
  const int code = shim.run();
#ifndef ULTRAMARINE_SANITIZED
  ::_exit(code);  // all is said and written; taking everything apart first would take a good part of a small job's time
#endif
  return code;
}

}  // namespace ultramarine::launcher
