#include "scheduler/cli/job_output.h"

#include <algorithm>

#include "scheduler/cli/language.h"
#include "scheduler/cli/patience.h"
#include "scheduler/cli/words.h"
#include "scheduler/net/base64.h"

namespace ultramarine::cli {
namespace {

std::string waiting_line(const protocol::JobView& view, Time now) {
  const std::string number = name_of(view);
  const bool has_place = view.planned && view.planned->position > 0;
  return (has_place ? spoken("Job {0} waits (place {1} in the queue).", number, view.planned->position) : spoken("Job {0} waits.", number)) +
         " " + outlook(view, now);
}

}  // namespace

LinePattern::LinePattern(const std::string& option, const std::string& expression) : compiled_(new regex_t) {
  const int problem = regcomp(compiled_.get(), expression.c_str(), REG_EXTENDED | REG_NOSUB);
  if (problem == 0) return;
  char why[200];
  regerror(problem, compiled_.get(), why, sizeof why);
  delete compiled_.release();  // nothing was compiled, so there is nothing to free
  usage_error(option, std::string("\"") + expression + "\": " + why, spoken("see 'man 7 regex'"));
}

void LinePattern::Free::operator()(regex_t* compiled) const {
  regfree(compiled);
  delete compiled;
}

bool LinePattern::is_in(const std::string& line) const { return regexec(compiled_.get(), line.c_str(), 0, nullptr, 0) == 0; }

void JobOutput::write_line(const Key& key, const std::string& line, bool newline) {
  if (!only_ || only_->is_in(line)) write(key, line, newline);
}

void JobOutput::write(const Key& key, std::string_view line, bool newline) {
  std::ostream& to = key.second == "err" ? err_ : out_;
  if (form_ == OutputForm::labelled) {
    static constexpr Tint tints[] = {Tint::blue, Tint::green, Tint::yellow, Tint::red};
    to << tinted("[" + std::to_string(key.first) + "]", tints[static_cast<std::size_t>(key.first) % std::size(tints)], colour_) << ' ';
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
  if (form_ == OutputForm::bytes) {
    write(key, fresh, false);
  } else {
    std::string& unfinished = unfinished_[key];
    for (std::size_t end = fresh.find('\n'); end != std::string_view::npos; end = fresh.find('\n')) {
      unfinished += fresh.substr(0, end);
      write_line(key, unfinished, true);
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
    if (!line.empty()) write_line(key, line, true);
  }
  unfinished_.clear();
  out_.flush();
}

OutputForm form_of(const protocol::JobView* view, const OutputChoice& choice) {
  const bool script = view && view->details.spec.script && !choice.gang;
  return choice.ranks.size() == 1 || script ? OutputForm::bytes : OutputForm::labelled;
}

protocol::JobView wait_for_start(Client& client, const JobName& job, Context& context, const Interrupt& interrupt) {
  Patience patience(interrupt, context.now);
  Progress progress(context.err, context.terminal);
  for (int pause_ms = 200;; pause_ms = std::min(pause_ms + 50, 1000)) {
    const protocol::JobView view = patience([&] { return client.job(job).value; });
    const JobState state = view.details.state;
    if (state != JobState::queued && state != JobState::held) {
      progress.clear();
      return view;
    }
    progress.show(waiting_line(view, context.now()));
    patience([&] { return client.wait(job, std::chrono::milliseconds(pause_ms)).value; });
  }
}

protocol::JobView follow_job(Client& client, const JobName& job, const OutputChoice& choice, Context& context, const Interrupt& interrupt,
                             const LinePattern* only) {
  Patience patience(interrupt, context.now);
  Progress progress(context.err, context.terminal);
  std::optional<JobOutput> output;
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
      if (output)
        output->begin_attempt();
      else
        output.emplace(context.out, context.err, form_of(&view, choice), context.terminal.out_colour, only);
      attempt = details.attempts.size();
      if (!is_terminal(details.state)) {
        const std::string where = places(details.attempts.back().allocation);
        context.err << (details.attempts.back().trial_ms ? spoken("Job {0} has its trial on {1}.", job.text, where)
                        : attempt > 1 ? spoken("Job {0} (attempt {1}) runs on {2}.", job.text, attempt, where)
                                      : spoken("Job {0} runs on {1}.", job.text, where))
                    << '\n';
        context.err.flush();
      }
    }
    patience([&] {
      output->rewind();
      client.logs(job, choice, true, [&](const protocol::LogLine& piece, std::string_view) { output->take(piece); });
      return true;
    });
    const protocol::JobView after = patience([&] { return client.wait(job, std::chrono::milliseconds(500)).value; });
    if (is_terminal(after.details.state) && after.details.attempts.size() == attempt) {
      output->finish();
      return after;
    }
  }
}

std::optional<Answer<protocol::JobView>> wait_for_end(Client& client, const JobName& job, std::optional<Time> deadline, Context& context,
                                                      const Interrupt& interrupt, Progress& progress) {
  Patience patience(interrupt, context.now);
  auto answer = patience([&] { return client.job(job); });
  while (!is_terminal(answer.value.details.state)) {
    const Time now = context.now();
    if (deadline && now >= *deadline) return std::nullopt;
    const JobState state = answer.value.details.state;
    if (state == JobState::queued || state == JobState::held)
      progress.show(waiting_line(answer.value, now));
    else
      progress.show(spoken("Job {0} is {1} on {2}: {3}", job.text, word(state), where_or_why(answer.value),
                           elapsed_of_limit(answer.value.details, now)));
    std::int64_t up_to = context.terminal.error_is_terminal ? 1000 : 10'000;
    if (deadline) up_to = std::min(up_to, (*deadline - now).ms);
    answer = patience([&] { return client.wait(job, std::chrono::milliseconds(std::max<std::int64_t>(up_to, 1))); });
  }
  progress.clear();
  return answer;
}

void say_end(const protocol::JobView& view, Context& context, const std::string& price) {
  std::string sentence = printable(ended_sentence(view));
  if (view.details.state == JobState::completed) {
    context.err << capitalized(sentence) << ".\n";
  } else {
    context.err << tinted(spoken("error:"), Tint::red, context.terminal.error_colour) << ' ' << sentence << '\n';
  }
  if (!price.empty()) context.err << price << '\n';
  context.err.flush();
}

void say_detached(const JobName& job, Context& context) {
  const std::string& number = job.text;
  context.err << '\n'
              << spoken("Detached: job {0} goes on. Follow it again with '{1}'; stop it with '{2}'.", number,
                        "ultra logs " + number + " --follow", "ultra cancel " + number)
              << '\n';
  context.err.flush();
}

}  // namespace ultramarine::cli
