#include "worker/launcher/hang_watch.h"


#include <algorithm>

#include "worker/launcher/process_tree.h"
#include "worker/launcher/shim_log.h"

namespace ultramarine::launcher {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds longest_tick{1000}, longest_look{1000}, shortest_repeat{1000};
constexpr milliseconds lateness_of_no_account{250};

milliseconds until(std::chrono::steady_clock::time_point moment) {
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(moment - std::chrono::steady_clock::now()));
}

bool has_ended(std::int64_t pid) {
  const auto process = identify(pid);
  return !process || !is_running(*process);
}

}  // namespace

HangWatch::HangWatch(net::Loop& loop, GangKey key, HangConfig settings, std::set<std::int64_t> ranks, Handlers handlers)
    : loop_(loop), key_(key), settings_(settings), handlers_(std::move(handlers)), watch_(settings, std::move(ranks)) {}

milliseconds HangWatch::tick_interval() const { return std::clamp(milliseconds(settings_.after_ms.ms) / 15, milliseconds(20), longest_tick); }
milliseconds HangWatch::look_interval() const { return std::clamp(milliseconds(settings_.after_ms.ms) / 5, milliseconds(50), longest_look); }

void HangWatch::take(const protocol::ProgressMessage& message, std::int64_t sender) {
  if (!settings_.detect || !watch_.take(Clock::now(), message, sender)) return;
  look_.reset();
  look_timer_.reset();
  withdraw("the ranks get on again");
  if (!timer_ && watch_.watched()) arm();
}

void HangWatch::withdraw(const char* why) {
  if (!said_) return;
  said_.reset();
  shim_log::info(why);
  handlers_.say({.key = key_});
}

void HangWatch::arm() {
  milliseconds delay = tick_interval();
  if (!look_ && watch_.watched()) delay = std::clamp(until(next_look()), milliseconds(1), delay);
  tick_due_ = Clock::now() + delay;
  timer_ = loop_.after(delay, [this] { tick(); });
}

/// When the ranks are looked at next: early enough to know what they do before it is too late, at the last moment, and then again and again.
HangWatch::Clock::time_point HangWatch::next_look() const {
  const auto deadline = watch_.deadline();
  if (!said_) return deadline - watch_.limit() / 2;
  if (!said_->over) return deadline - look_interval();
  return said_at_ + std::max(shortest_repeat, watch_.limit() / 4);
}

void HangWatch::tick() {
  const auto late = std::chrono::duration_cast<milliseconds>(Clock::now() - tick_due_);
  handlers_.drain();
  if (late > lateness_of_no_account) watch_.forgive(late);  // whoever keeps us from running does so to the ranks
  timer_.reset();
  if (handlers_.ranks().empty()) return withdraw("the gang is ending");
  // Not the rank's fault: a scheduler that is back would hear that it stands still before the rank has heard the answer.
  if (handlers_.awaits_answer()) {
    watch_.still_waits(Clock::now());
    look_.reset();
    look_timer_.reset();
    withdraw("a rank waits for its checkpoint to be acknowledged");
  }
  if (watch_.watched() && !look_ && Clock::now() >= next_look()) begin_look(look_interval());
  if (watch_.watched() || said_) arm();
}

void HangWatch::examine() {
  if (settings_.detect && !look_) begin_look(look_interval());
}

void HangWatch::repeat() {
  if (said_) handlers_.say(*said_);
}

void HangWatch::begin_look(milliseconds length) {
  drop_ended_senders();
  Look look{.at = Clock::now(), .ranks = handlers_.ranks(), .trees = {}};
  if (look.ranks.empty()) return;
  std::vector<std::int64_t> pids;
  for (const RankProcess& rank : look.ranks) pids.push_back(rank.pid);
  look.trees = look_at(pids);
  look_ = std::move(look);
  // The last look is the one that counts: it ends no earlier than the time is up.
  const auto deadline = watch_.deadline();
  const bool is_last = said_ && !said_->over && deadline > Clock::now() && until(deadline) < 2 * length + tick_interval();
  look_timer_ = loop_.after(is_last ? std::max(length, until(deadline)) : length, [this] { end_look(); });
}

void HangWatch::end_look() {
  handlers_.drain();
  if (!look_ || handlers_.awaits_answer()) return look_.reset();  // they got on meanwhile, or aren't judged now
  const Look first = std::move(*look_);
  look_.reset();
  const auto now = Clock::now();
  std::vector<std::int64_t> pids;
  for (const RankProcess& rank : first.ranks) pids.push_back(rank.pid);
  const std::vector<TreeLook> trees = look_at(pids);
  // A rank that has ended meanwhile makes this no gang to be judged.
  const bool all_run = handlers_.ranks().size() == first.ranks.size();

  GangStillness still{.key = key_, .watched = watch_.watched(), .over = all_run && now >= watch_.deadline(), .limit_ms = {watch_.limit().count()}};
  if (watch_.last_sign()) still.still_ms = {std::max<std::int64_t>(1, std::chrono::duration_cast<milliseconds>(now - *watch_.last_sign()).count())};
  for (std::size_t i = 0; i < first.ranks.size(); ++i) {
    RankStillness rank = compare(first.ranks[i].pid, first.trees[i], trees[i], {std::chrono::duration_cast<milliseconds>(now - first.at).count()});
    rank.rank = first.ranks[i].rank;
    watch_.describe(rank);
    if (still.watched || still.over)
      shim_log::info("rank " + std::to_string(rank.rank) + ": no progress for " + std::to_string(still.still_ms.ms) + " ms (limit " +
                     std::to_string(still.limit_ms.ms) + " ms); " + rank.program + " (pid " + std::to_string(rank.pid) + ") state " + rank.state + ", " +
                     std::to_string(rank.cpu_ms.ms) + " ms of CPU in " + std::to_string(rank.look_ms.ms) + " ms, wait " +
                     (rank.wait.empty() ? "-" : rank.wait) + ", system call " + std::to_string(rank.system_call) + ", step " +
                     std::to_string(rank.step.value_or(-1)) + ", collectives " + std::to_string(rank.collective.value_or(-1)));
    still.ranks.push_back(std::move(rank));
  }
  if (still.ranks.empty()) return;
  said_ = still;
  said_at_ = now;
  handlers_.say(still);
  if (!timer_) arm();
}

void HangWatch::drop_ended_senders() {
  for (const std::int64_t sender : watch_.senders())
    if (has_ended(sender)) watch_.sender_ended(sender);
}

}  // namespace ultramarine::launcher
