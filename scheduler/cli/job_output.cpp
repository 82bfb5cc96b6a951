#include "scheduler/cli/job_output.h"

#include "scheduler/cli/language.h"
#include "scheduler/cli/words.h"
#include "scheduler/net/proof.h"

namespace ultramarine::cli {
namespace {

/// Repeats `call` while the scheduler is away, for half a minute since it was last heard; then the error is true.
class Patience {
 public:
  Patience(const Interrupt& interrupt, const std::function<Time()>& now) : interrupt_(interrupt), now_(now) {}

  template <class Call>
  auto operator()(Call call) {
    for (;;) {
      try {
        auto result = call();
        heard_ = now_();
        return result;
      } catch (const Unreachable&) {
        if (!heard_ || now_() - *heard_ > seconds(30)) throw;
        interrupt_.wait(250);
        interrupt_.check();
      }
    }
  }

 private:
  const Interrupt& interrupt_;
  const std::function<Time()>& now_;
  std::optional<Time> heard_;  // a scheduler that was never heard isn't waited for
};

std::string waiting_line(const protocol::JobView& view, Time now) {
  const std::string number = std::to_string(view.details.job.value);
  const bool has_place = view.planned && view.planned->position > 0;
  return (has_place ? spoken("Job {0} waits (place {1} in the queue).", number, view.planned->position)
                    : spoken("Job {0} waits.", number)) +
         " " + outlook(view, now);
}

}  // namespace

void JobOutput::write(const Key& key, std::string_view line, bool newline) {
  std::ostream& to = key.second == "err" ? err_ : out_;
  if (prefix_) {
    static constexpr Tint tints[] = {Tint::blue, Tint::green, Tint::yellow, Tint::red};
    to << tinted("[" + std::to_string(key.first) + "]", tints[static_cast<std::size_t>(key.first) % std::size(tints)],
                 colour_)
       << ' ';
  }
  to << line;
  if (newline) to << '\n';
}

void JobOutput::take(const protocol::LogLine& piece) {
  if (!piece.error.empty()) {
    err_ << spoken("rank {0}", piece.rank) << ": " << printable(heard(piece.error)) << '\n';
    return;
  }
  std::string bytes;
  try {
    bytes = net::from_base64(piece.data_base64);
  } catch (const std::invalid_argument&) {
    throw CommandError(exit_code::failure,
                       error_line("", spoken("the scheduler's answer can't be read ({0})", spoken("output that is not base64")),
                                  spoken("do ultra and ultra-scheduler have the same version?")));
  }
  const Key key{piece.rank, piece.stream};
  std::size_t& position = position_[key];
  std::size_t& taken = taken_[key];
  const std::size_t known = taken > position ? std::min(taken - position, bytes.size()) : 0;
  position += bytes.size();
  if (known == bytes.size()) return;
  taken = position;
  std::string_view fresh = std::string_view(bytes).substr(known);
  if (!prefix_) {
    write(key, fresh, false);
  } else {
    std::string& unfinished = unfinished_[key];
    for (std::size_t end = fresh.find('\n'); end != std::string_view::npos; end = fresh.find('\n')) {
      unfinished += fresh.substr(0, end);
      write(key, unfinished, true);
      unfinished.clear();
      fresh.remove_prefix(end + 1);
    }
    unfinished += fresh;
  }
  (key.second == "err" ? err_ : out_).flush();
}

void JobOutput::begin_attempt() {
  finish();
  position_.clear();
  taken_.clear();
}

void JobOutput::finish() {
  for (const auto& [key, line] : unfinished_) {
    if (!line.empty()) write(key, line, true);
  }
  unfinished_.clear();
  out_.flush();
}

protocol::JobView follow_job(Client& client, JobId job, std::optional<std::int64_t> rank, Context& context,
                             const Interrupt& interrupt) {
  Patience patience(interrupt, context.now);
  Progress progress(context.err, context.terminal);
  JobOutput output(context.out, context.err, !rank, context.terminal.out_colour);
  std::size_t attempt = 0;
  int pause_ms = 200;
  for (;;) {
    const protocol::JobView view = patience([&] { return client.job(job).value; });
    const Job& details = view.details;
    const bool never_ran = details.attempts.empty();
    if (is_terminal(details.state) && never_ran) return view;
    if (details.state == JobState::queued || details.state == JobState::held) {
      progress.show(waiting_line(view, context.now()));
      patience([&] { return client.wait(job, std::chrono::milliseconds(pause_ms)).value; });
      pause_ms = std::min(pause_ms + 50, 1000);
      continue;
    }
    progress.clear();
    if (details.attempts.size() != attempt) {
      if (attempt != 0) output.begin_attempt();
      attempt = details.attempts.size();
      if (!is_terminal(details.state)) {
        const std::string where = places(details.attempts.back().allocation);
        context.err << (attempt > 1 ? spoken("Job {0} (attempt {1}) runs on {2}.", job.value, attempt, where)
                                    : spoken("Job {0} runs on {1}.", job.value, where))
                    << '\n';
        context.err.flush();
      }
    }
    output.rewind();
    patience([&] {
      output.rewind();
      client.logs(job, rank, true, [&](const protocol::LogLine& piece, std::string_view) { output.take(piece); });
      return true;
    });
    const protocol::JobView after = patience([&] { return client.wait(job, std::chrono::milliseconds(500)).value; });
    if (is_terminal(after.details.state) && after.details.attempts.size() == attempt) {
      output.finish();
      return after;
    }
  }
}

std::optional<Answer<protocol::JobView>> wait_for_end(Client& client, JobId job, std::optional<Time> deadline,
                                                      Context& context, const Interrupt& interrupt,
                                                      Progress& progress) {
  Patience patience(interrupt, context.now);
  auto answer = patience([&] { return client.job(job); });
  while (!is_terminal(answer.value.details.state)) {
    const Time now = context.now();
    if (deadline && now >= *deadline) return std::nullopt;
    const JobState state = answer.value.details.state;
    if (state == JobState::queued || state == JobState::held)
      progress.show(waiting_line(answer.value, now));
    else
      progress.show(spoken("Job {0} is {1} on {2}: {3}", job.value, word(state), where_or_why(answer.value),
                           elapsed_of_limit(answer.value.details, now)));
    std::int64_t up_to = context.terminal.error_is_terminal ? 1000 : 10'000;
    if (deadline) up_to = std::min(up_to, (*deadline - now).ms);
    answer = patience([&] { return client.wait(job, std::chrono::milliseconds(std::max<std::int64_t>(up_to, 1))); });
  }
  progress.clear();
  return answer;
}

void say_end(const protocol::JobView& view, Context& context) {
  std::string sentence = printable(ended_sentence(view));
  if (view.details.state == JobState::completed) {
    context.err << capitalized(sentence) << ".\n";
  } else {
    context.err << tinted(spoken("error:"), Tint::red, context.terminal.error_colour) << ' ' << sentence << '\n';
  }
  context.err.flush();
}

void say_detached(JobId job, Context& context) {
  const std::string number = std::to_string(job.value);
  context.err << '\n'
              << spoken("Detached: job {0} goes on. Follow it again with '{1}'; stop it with '{2}'.", number,
                        "ultra logs " + number + " --follow", "ultra cancel " + number)
              << '\n';
  context.err.flush();
}

}  // namespace ultramarine::cli
