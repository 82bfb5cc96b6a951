#include "scheduler/notifier/wording.h"

#include <cstring>

#include "scheduler/notifier/plain_text.h"
#include "scheduler/notifier/wording_table.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::notifier {
namespace {

using protocol::format_duration;

std::string signal_name(std::int64_t signal) {
  const char* name = sigabbrev_np(static_cast<int>(signal));
  return name ? std::string("SIG") + name : "?";
}

std::string name_in_words(const Notice& notice, Language language) {
  const std::string name = one_line(notice.job.name, 80);
  if (notice.array) return in_words(language, Sentence::array, notice.job.number, name, notice.array->count);
  return in_words(language, Sentence::job, notice.job.number, name);
}

std::string failed_rank(const Failure& failure, Language language) {
  const std::string node = one_line(failure.node, 64);
  if (failure.signal != 0)
    return in_words(language, Sentence::rank_signal, failure.rank, node, failure.signal, signal_name(failure.signal));
  return in_words(language, Sentence::rank_code, failure.rank, node, failure.exit_code);
}

std::int64_t percent_of(NotificationEvent event) {
  switch (event) {
    case NotificationEvent::time_limit_50:
      return 50;
    case NotificationEvent::time_limit_80:
      return 80;
    case NotificationEvent::time_limit_90:
      return 90;
    default:
      return 100;
  }
}

std::string end_in_words(const Notice& notice, const std::string& name, Language language) {
  if (notice.array)
    return in_words(language, Sentence::array_ended, name, notice.array->completed, notice.array->failed,
                    notice.array->cancelled);
  if (notice.job.state == JobState::cancelled) return in_words(language, Sentence::cancelled, name);
  if (notice.job.state == JobState::failed) {
    const std::string reason = reason_in_words(notice, language);
    return reason.empty() ? in_words(language, Sentence::failed_without_reason, name)
                          : in_words(language, Sentence::failed, name, reason);
  }
  if (!notice.job.started_ms || !notice.job.ended_ms) return in_words(language, Sentence::ended, name);
  return in_words(language, Sentence::completed, name, format_duration(*notice.job.ended_ms - *notice.job.started_ms));
}

std::string delay_in_words(const Notice& notice, const std::string& name, Language language) {
  const NoticeDelay& delay = *notice.delay;
  if (!delay.before_ms || !delay.after_ms) return in_words(language, Sentence::start_lost, name);
  return in_words(language, Sentence::delayed, name, format_duration(*delay.after_ms - *delay.before_ms),
                  date_and_time(delay.after_ms->ms));
}

/// "mia put job 7 ahead of it: demo for the visitors"
std::string favour_in_words(const NoticeDelay& delay, Language language) {
  const auto by = [&]() -> Sentence {
    switch (delay.favour) {
      case Favour::boost:
        return Sentence::by_boost;
      case Favour::hold:
        return Sentence::by_hold;
      case Favour::cancel:
        return Sentence::by_cancel;
      case Favour::requeue:
        return Sentence::by_requeue;
      case Favour::extend:
        return Sentence::by_extend;
      case Favour::reserve:
        break;
    }
    return Sentence::by_reserve;
  }();
  const std::string what = in_words(language, by, one_line(delay.actor, 64),
                                    by == Sentence::by_reserve ? one_line(delay.detail) : delay.job);
  return delay.reason.empty() ? what : in_words(language, Sentence::with_reason, what, one_line(delay.reason));
}

std::string state_in_words(JobState state, Language language) {
  return in_words(language, static_cast<Sentence>(static_cast<int>(Sentence::state_queued) + static_cast<int>(state)));
}

/// Thousandths, as amounts of money and hours are shown: 1234567 is "1234.57".
std::string with_two_decimals(std::int64_t milli) { return fmt::format("{:.2f}", static_cast<double>(milli) / 1000); }

class Lines {
 public:
  explicit Lines(Language language) : language_(language) {}
  void add(Sentence label, const std::string& value) {
    if (!value.empty()) lines.push_back(in_words(language_, label) + ": " + value);
  }
  void add(Sentence label, std::optional<Time> time) {
    if (time) add(label, date_and_time(time->ms));
  }
  std::vector<std::string> lines;

 private:
  const Language language_;
};

void add_facts(const Notice& notice, Language language, Lines& lines) {
  const NoticeJob& job = notice.job;
  lines.add(Sentence::label_cluster, notice.cluster);
  lines.add(Sentence::label_job, job.number + " " + one_line(job.name, 80));
  lines.add(Sentence::label_owner, one_line(job.owner, 64));
  lines.add(Sentence::label_account, one_line(job.account, 64));
  lines.add(Sentence::label_partition, one_line(job.partition, 64));
  lines.add(Sentence::label_state, state_in_words(job.state, language));
  lines.add(Sentence::label_reason, reason_in_words(notice, language));
  if (notice.failure) lines.add(Sentence::label_detail, one_line(notice.failure->detail, 1000));
  if (notice.array)
    lines.add(Sentence::label_elements,
              in_words(language, Sentence::elements_line, notice.array->count, notice.array->completed,
                       notice.array->failed, notice.array->cancelled));
  if (notice.delay) {
    lines.add(Sentence::label_planned, notice.delay->after_ms);
    lines.add(Sentence::label_instead_of, notice.delay->before_ms);
    lines.add(Sentence::label_reason, favour_in_words(*notice.delay, language));
  }
  lines.add(Sentence::label_nodes, one_line(job.nodes, 1000));
  lines.add(Sentence::label_submitted, job.submitted_ms);
  lines.add(Sentence::label_started, job.started_ms);
  lines.add(Sentence::label_ended, job.ended_ms);
  if (job.time_limit_ms.ms > 0) lines.add(Sentence::label_time_limit, format_duration(job.time_limit_ms));
  if (job.held_gpu_ms > 0) lines.add(Sentence::label_gpu_hours, with_two_decimals(job.held_gpu_ms / 3600));
  if (job.cost_milli && job.held_gpu_ms > 0)
    lines.add(Sentence::label_cost, with_two_decimals(*job.cost_milli) + " " + one_line(job.currency, 16));
}

}  // namespace

Language language_of(const std::string& word) { return word == "ko" ? Language::korean : Language::english; }

std::string reason_in_words(const Notice& notice, Language language) {
  if (!notice.job.outcome) return "";
  const auto& failure = notice.failure;
  const std::string detail = failure ? one_line(failure->detail) : "";
  switch (*notice.job.outcome) {
    case Outcome::succeeded:
    case Outcome::cancelled:
      return "";
    case Outcome::timed_out:
      return in_words(language, Sentence::timed_out, format_duration(notice.job.time_limit_ms));
    case Outcome::out_of_memory:
      return in_words(language, Sentence::out_of_memory);
    case Outcome::preempted:
      return in_words(language, Sentence::preempted);
    case Outcome::node_lost:
      return failure && !failure->node.empty() ? in_words(language, Sentence::node_lost, one_line(failure->node, 64))
                                               : in_words(language, Sentence::some_node_lost);
    case Outcome::device_lost:
      return in_words(language, Sentence::device_lost);
    case Outcome::start_failed:
      return detail.empty() ? in_words(language, Sentence::start_failed) : detail;
    case Outcome::stalled:
      return in_words(language, Sentence::stalled);
    case Outcome::supervisor_lost:
      return in_words(language, Sentence::supervisor_lost);
    case Outcome::failed:
      break;
  }
  if (failure && failure->rank >= 0 && (failure->exit_code != 0 || failure->signal != 0))
    return failed_rank(*failure, language);
  return detail;
}

std::string subject_in_words(const Notice& notice, Language language) {
  const std::string name = name_in_words(notice, language);
  switch (notice.event) {
    case NotificationEvent::begin:
      return notice.array ? in_words(language, Sentence::array_began, name)
                          : in_words(language, Sentence::began, name, one_line(notice.job.nodes));
    case NotificationEvent::end:
    case NotificationEvent::fail:
      return end_in_words(notice, name, language);
    case NotificationEvent::requeue: {
      const std::string reason = reason_in_words(notice, language);
      return reason.empty() ? in_words(language, Sentence::requeued_without_reason, name)
                            : in_words(language, Sentence::requeued, name, reason);
    }
    case NotificationEvent::delayed:
      return delay_in_words(notice, name, language);
    case NotificationEvent::time_limit:
      return in_words(language, Sentence::reached_limit, name, format_duration(notice.job.time_limit_ms));
    default:
      return in_words(language, Sentence::used_up, name, percent_of(notice.event),
                      format_duration(notice.job.time_limit_ms));
  }
}

std::string text_in_words(const Notice& notice, Language language) {
  std::string text = subject_in_words(notice, language);
  if (notice.delay) text = in_words(language, Sentence::with_reason, text, favour_in_words(*notice.delay, language));
  return for_chat(
      in_words(language, Sentence::whose, text, one_line(notice.job.account, 64), one_line(notice.job.owner, 64)));
}

std::vector<std::string> body_in_words(const Notice& notice, Language language) {
  Lines lines(language);
  lines.lines = {subject_in_words(notice, language) + ".", ""};
  add_facts(notice, language, lines);
  if (notice.failure && !notice.failure->last_lines.empty()) {
    lines.lines.insert(lines.lines.end(), {"", in_words(language, Sentence::label_last_lines)});
    for (const std::string& line : notice.failure->last_lines) lines.lines.push_back("  " + one_line(line, 500));
  }
  lines.lines.insert(lines.lines.end(), {"", in_words(language, Sentence::how_to_look, notice.job.number)});
  const bool waits = notice.job.state == JobState::queued || notice.job.state == JobState::held;
  lines.lines.push_back(
      in_words(language, waits ? Sentence::how_to_ask_why : Sentence::how_to_read, notice.job.number));
  lines.lines.insert(lines.lines.end(), {"", "-- ", in_words(language, Sentence::who_wrote, notice.id)});
  return lines.lines;
}

}  // namespace ultramarine::notifier
