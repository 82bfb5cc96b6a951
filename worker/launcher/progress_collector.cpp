#include "worker/launcher/progress_collector.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "worker/launcher/job_folder.h"
#include "worker/launcher/message_text.h"

namespace ultramarine::launcher {
namespace {

constexpr auto say_interval = std::chrono::milliseconds(1000);
constexpr auto repeat_interval = std::chrono::milliseconds(2000);
constexpr std::size_t recorded_kept = 64;
constexpr std::string_view recorded_word = "recorded", kept_word = "kept";

/// The kernel's word; 0 when it has none for this namespace.
std::int64_t sender_of(msghdr& message) {
  for (const cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(part))) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS) continue;
    ucred credentials{};
    std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
    return credentials.pid;
  }
  return 0;
}

}  // namespace

ProgressCollector::ProgressCollector(net::Loop& loop, GangKey key, std::set<std::int64_t> ranks, const std::string& socket_path,
                                     std::string checkpoints_file, Handlers handlers, std::chrono::milliseconds patience)
    : loop_(loop), key_(key), ranks_(std::move(ranks)), checkpoints_file_(std::move(checkpoints_file)), handlers_(std::move(handlers)), patience_(patience) {
  newest_.key = key_;
  const ShortName name(socket_path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.text().size() >= sizeof address.sun_path) throw FolderError("the path of the progress socket is too long: " + socket_path);
  std::memcpy(address.sun_path, name.text().data(), name.text().size());
  remove_file(socket_path);
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket_ < 0 || ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    const int problem = errno;
    if (socket_ >= 0) ::close(socket_);
    throw FolderError("can't make socket " + socket_path + ": " + std::strerror(problem));
  }
  ::chmod(socket_path.c_str(), 0600);
  const int yes = 1;
  ::setsockopt(socket_, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes);
  const int buffer_bytes = 1 << 20;
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
  watch_ = loop_.on_readable(socket_, [this] { drain(); });
}

ProgressCollector::~ProgressCollector() {
  watch_.reset();
  ::close(socket_);
}

void ProgressCollector::drain() {
  // Bounded, so that a program that never stops talking can't keep us from everything else; what is left wakes us again.
  constexpr int datagrams_max = 4096;
  char buffer[1 << 16];
  for (int i = 0; i < datagrams_max; ++i) {
    sockaddr_un sender{};
    iovec data{.iov_base = buffer, .iov_len = sizeof buffer};
    alignas(cmsghdr) char beside[CMSG_SPACE(sizeof(ucred))];
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = beside;
    message.msg_controllen = sizeof beside;
    const ssize_t got = ::recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    const bool has_address = message.msg_namelen > sizeof(sa_family_t);
    receive(std::string_view(buffer, static_cast<std::size_t>(got)),
            has_address ? std::string(reinterpret_cast<const char*>(&sender), message.msg_namelen) : std::string(), sender_of(message));
  }
}

void ProgressCollector::drain_at_the_end() {
  drain();
  if (unsaid_) say_now();
}

void ProgressCollector::receive(std::string_view text, const std::string& sender, std::int64_t process) {
  try {
    const auto message = from_text<protocol::ProgressMessage>(text);
    if (handlers_.heard) handlers_.heard(message, process);
    std::visit([&](const auto& said) { on(said, sender); }, message);
  } catch (const std::exception&) {
    // Not JSON, or a type of a later version.
  }
}

void ProgressCollector::got_further() {
  const auto now = std::chrono::steady_clock::now();
  if (pace_.last) pace_.longest_gap = std::max(pace_.longest_gap, std::chrono::duration_cast<std::chrono::milliseconds>(now - *pace_.last));
  pace_.last = now;
}

void ProgressCollector::on(const protocol::StepProgress& step, const std::string&) {
  if (step.step < newest_.step && step.rank != newest_.rank) return;  // another rank of this node is further
  if (step.step != newest_.step || !pace_.last) got_further();
  newest_.rank = step.rank;
  newest_.step = step.step;
  newest_.loss = step.loss;
  newest_.tokens_per_s = step.tokens_per_s;
  newest_.tokens = step.tokens;
  newest_.flops_per_token = step.flops_per_token;
  say_soon();
}

void ProgressCollector::on(const protocol::PhaseProgress& phase, const std::string&) {
  got_further();
  pace_.longest_phase = std::max(pace_.longest_phase, std::chrono::milliseconds(std::max<std::int64_t>(phase.limit_ms.ms, 0)));
  if (newest_.phase == phase.name) return;
  newest_.phase = phase.name;
  say_soon();
}

void ProgressCollector::on(const protocol::CollectiveProgress& collective, const std::string&) {
  if (!ranks_.contains(collective.rank)) return;
  Collectives& known = collectives_[collective.rank];
  if (collective.count > known.count) got_further();
  known = {collective.count, collective.bytes};
}

void ProgressCollector::on(const protocol::CheckpointProgress& checkpoint, const std::string& sender) {
  if (const auto old = recorded_paths_.find(checkpoint.step); old != recorded_paths_.end() && old->second == checkpoint.path) {
    return tell(sender, recorded_word);
  }
  const auto [open, is_new] = checkpoints_.try_emplace(checkpoint.step);
  auto& senders = open->second.senders;
  if (!sender.empty() && std::find(senders.begin(), senders.end(), sender) == senders.end()) senders.push_back(sender);
  if (!is_new) {
    if (stopping_) handlers_.checkpoint(open->second.report);  // the first word may have arrived before it was asked to stop
    return tell_kept(open->second);
  }
  open->second.report = {.key = key_, .step = checkpoint.step, .path = checkpoint.path};
  open->second.patience = loop_.after(patience_, [this, &open = open->second] {
    open.patient = false;
    tell_kept(open);
  });
  keep_checkpoints();
  handlers_.checkpoint(open->second.report);
  if (!repeat_timer_) arm_repetition();
}

void ProgressCollector::say_soon() {
  unsaid_ = true;
  const auto now = std::chrono::steady_clock::now();
  if (!last_said_ || now - *last_said_ >= say_interval) return say_now();
  if (say_timer_) return;
  const auto rest = std::chrono::ceil<std::chrono::milliseconds>(say_interval - (now - *last_said_));
  say_timer_ = loop_.after(rest, [this] {
    if (unsaid_) say_now();
  });
}

void ProgressCollector::say_now() {
  unsaid_ = false;
  last_said_ = std::chrono::steady_clock::now();
  say_timer_.reset();
  handlers_.progress(newest_);
}

void ProgressCollector::recorded(std::int64_t step) {
  const auto open = checkpoints_.find(step);
  if (open == checkpoints_.end()) return;
  for (const std::string& sender : open->second.senders) tell(sender, recorded_word);
  recorded_paths_[step] = open->second.report.path;
  if (recorded_paths_.size() > recorded_kept) recorded_paths_.erase(recorded_paths_.begin());
  checkpoints_.erase(open);
  keep_checkpoints();
}

/// Nobody answers, and the checkpoint is as safe as this node: whoever saved it may go on. Later it is recorded without another word.
void ProgressCollector::tell_kept(OpenCheckpoint& open) {
  if (open.patient || !open.durable) return;
  for (const std::string& sender : std::exchange(open.senders, {})) tell(sender, kept_word);
}

void ProgressCollector::asked_to_stop() {
  stopping_ = true;
  recorded_paths_.clear();
}

bool ProgressCollector::awaits_answer() const {
  return std::any_of(checkpoints_.begin(), checkpoints_.end(), [](const auto& entry) { return !entry.second.senders.empty(); });
}

void ProgressCollector::tell(const std::string& sender, std::string_view word) {
  if (sender.empty()) return;
  // Best effort: a sender that misses it asks again and is answered at once.
  ::sendto(socket_, word.data(), word.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(sender.data()), static_cast<socklen_t>(sender.size()));
}

void ProgressCollector::repeat_checkpoints() {
  for (const auto& [step, open] : checkpoints_) handlers_.checkpoint(open.report);
}

void ProgressCollector::arm_repetition() {
  repeat_timer_ = loop_.after(repeat_interval, [this] {
    repeat_timer_.reset();
    if (checkpoints_.empty()) return;
    repeat_checkpoints();
    arm_repetition();
  });
}

void ProgressCollector::keep_checkpoints() {
  std::vector<protocol::CheckpointReport> reports;
  for (const auto& [step, open] : checkpoints_) reports.push_back(open.report);
  try {
    write_durably(checkpoints_file_, to_text(reports));
    for (auto& [step, open] : checkpoints_) open.durable = true;
  } catch (const FolderError&) {
    // The disk is full. The checkpoint is still repeated to the agent; only an agent that comes after this shim's end won't hear of it.
  }
}

ProgressCollector::Collectives ProgressCollector::collectives(std::int64_t rank) const {
  const auto found = collectives_.find(rank);
  return found == collectives_.end() ? Collectives{} : found->second;
}

}  // namespace ultramarine::launcher
