#include "scheduler/cli/words.h"

#include <pwd.h>
#include <unistd.h>

#include <boost/describe/enum_to_string.hpp>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "scheduler/cli/command_error.h"
#include "scheduler/cli/job_name.h"
#include "scheduler/cli/language.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {

std::string word(JobState state) { return spoken(boost::describe::enum_to_string(state, "?")); }
std::string word(NodeState state) { return spoken(boost::describe::enum_to_string(state, "?")); }
std::string word(Outcome outcome) {
  std::string text = boost::describe::enum_to_string(outcome, "?");
  for (char& letter : text) {
    if (letter == '_') letter = ' ';
  }
  return spoken(text);
}

Tint tint_of(JobState state) {
  switch (state) {
    case JobState::running:
      return Tint::green;
    case JobState::queued:
    case JobState::starting:
    case JobState::stopping:
      return Tint::yellow;
    case JobState::held:
    case JobState::completed:
    case JobState::cancelled:
      return Tint::dim;
    case JobState::failed:
    case JobState::unknown:
      return Tint::red;
  }
  return Tint::none;
}

Tint tint_of(NodeState state) {
  switch (state) {
    case NodeState::up:
      return Tint::green;
    case NodeState::suspect:
    case NodeState::draining:
    case NodeState::drained:
      return Tint::yellow;
    case NodeState::unreachable:
    case NodeState::down:
      return Tint::red;
  }
  return Tint::none;
}

std::string own_user_name() {
  const passwd* user = getpwuid(geteuid());
  return user ? user->pw_name : std::to_string(geteuid());
}

std::string counted(std::int64_t count, const std::string& singular, const std::string& plural) {
  return heard(std::to_string(count) + " " + (count == 1 ? singular : plural));
}

std::string relative(Time time, Time now) {
  const Duration distance = time - now;
  if (distance.ms > -1000 && distance.ms < 1000) return spoken("now");
  const Duration whole{(distance.ms < 0 ? -distance.ms : distance.ms) / 1000 * 1000};
  const std::string length = protocol::format_duration(whole);
  return distance.ms > 0 ? spoken("in {0}", length) : spoken("{0} ago", length);
}

std::string local_time(Time time) {
  const std::time_t whole = static_cast<std::time_t>(time.ms / 1000);
  std::tm parts{};
  localtime_r(&whole, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

std::string bytes_text(std::int64_t bytes) {
  static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) value /= 1024, ++unit;
  char text[48];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

std::string percent(std::int64_t permille) {
  return std::to_string(permille / 10) + "." + std::to_string(permille % 10) + "%";
}

std::string part_of_one(std::int64_t parts) {
  constexpr std::int64_t digits = 1'000'000, unit = factor_one / digits;
  std::string rest = std::to_string(parts / unit % digits);
  rest.insert(0, 6 - rest.size(), '0');
  return std::to_string(parts / factor_one) + "." + rest;
}

std::string places(const Allocation& allocation) {
  if (allocation.empty()) return "-";
  std::vector<std::string> names;
  for (const NodeAllocation& node : allocation) names.push_back(node.node);
  return protocol::fold_hostlist(names);
}

std::string ending(std::int64_t exit_code, std::int64_t signal) {
  if (signal == 0) return spoken("code {0}", exit_code);
  const char* name = sigabbrev_np(static_cast<int>(signal));
  return spoken("signal {0}", std::to_string(signal) + (name ? " (SIG" + std::string(name) + ")" : ""));
}

std::string failure_sentence(const Failure& failure) {
  const std::string rank = failure.rank >= 0 ? "rank " + std::to_string(failure.rank) : "";
  const std::string in_english = rank.empty() || failure.node.empty() ? rank + failure.node : rank + " on " + failure.node;
  const std::string who = rank.empty()           ? failure.node
                          : failure.node.empty() ? spoken("rank {0}", failure.rank)
                                                 : spoken("rank {0} on {1}", failure.rank, failure.node);
  if (failure.detail.empty())
    return failure.rank >= 0 ? spoken("{0} ended with {1}", who, ending(failure.exit_code, failure.signal)) : who;
  // The detail usually says who; said twice it would be noise.
  return who.empty() || failure.detail.find(failure.rank >= 0 ? in_english : failure.node) != std::string::npos
             ? heard(failure.detail)
             : who + ": " + heard(failure.detail);
}

Duration elapsed(const Job& job, Time now) {
  if (job.attempts.empty() || !job.attempts.back().started_ms) return {0};
  if (!is_active(job.state) && !job.attempts.back().ended_ms) return {0};
  const Attempt& attempt = job.attempts.back();
  const Duration length = (attempt.ended_ms ? *attempt.ended_ms : now) - *attempt.started_ms;
  return {length.ms < 0 ? 0 : length.ms};
}

std::string elapsed_of_limit(const Job& job, Time now) {
  const bool waits = job.state == JobState::queued || job.state == JobState::held || job.attempts.empty() ||
                     !job.attempts.back().started_ms;
  const std::string spent = waits ? "-" : protocol::format_duration({elapsed(job, now).ms / 1000 * 1000});
  const Duration limit = is_active(job.state) && !job.attempts.empty() ? job.attempts.back().trial_ms.value_or(job.spec.time_limit_ms) : job.spec.time_limit_ms;
  return spent + " / " + (limit.ms > 0 ? protocol::format_duration(limit) : "-");
}

std::string planned_start(const protocol::JobView& view, Time now) {
  if (view.details.state != JobState::queued || !view.planned || !view.planned->start_ms) return "-";
  return *view.planned->start_ms <= now ? spoken("now") : relative(*view.planned->start_ms, now);
}

std::string where_or_why(const protocol::JobView& view) {
  if (view.details.state == JobState::queued || view.details.state == JobState::held)
    return view.why.empty() ? "-" : heard(view.why);
  return view.details.attempts.empty() ? "-" : places(view.details.attempts.back().allocation);
}

std::string outlook(const protocol::JobView& view, Time now) {
  const Job& job = view.details;
  if (job.state == JobState::held) return spoken("It is held.");
  if (is_terminal(job.state)) return spoken("It has ended: {0}.", word(job.state));
  if (is_active(job.state) && !job.attempts.empty() && job.attempts.back().trial_ms && !view.why.empty()) return heard(view.why);
  if (job.state != JobState::queued) {
    const std::string where = job.attempts.empty() ? "-" : places(job.attempts.back().allocation);
    return job.state == JobState::starting ? spoken("It starts now on {0}.", where)
                                           : spoken("It is {0} on {1}.", word(job.state), where);
  }
  // The plan's start is said below, in local time.
  std::string why = view.why.substr(0, view.why.find(" Expected to start "));
  while (!why.empty() && why.back() == '.') why.pop_back();
  if (!view.planned || !view.planned->start_ms)
    return why.empty() ? spoken("It waits; the plan has no start for it yet.")
                       : spoken("It has no planned start yet: {0}", heard(why + "."));
  if (*view.planned->start_ms <= now || *view.planned->start_ms - now < seconds(1))
    return spoken("It starts now on {0}.", places(view.planned->allocation));
  const std::string when = spoken("Planned start: {0} ({1}) on {2}", relative(*view.planned->start_ms, now),
                                  local_time(*view.planned->start_ms), places(view.planned->allocation));
  return when + (why.empty() ? "." : ": " + heard(why + "."));
}

std::string capitalized(std::string sentence) {
  if (!sentence.empty() && sentence[0] >= 'a' && sentence[0] <= 'z') sentence[0] = static_cast<char>(sentence[0] - 'a' + 'A');
  return sentence;
}

std::string ended_sentence(const protocol::JobView& view) {
  const Job& job = view.details;
  const std::string number = name_of(view);
  std::string text = spoken("job {0} {1}", number, word(job.state));
  const Attempt* attempt = job.attempts.empty() ? nullptr : &job.attempts.back();
  if (job.state == JobState::completed) {
    return attempt && attempt->started_ms && attempt->ended_ms
               ? spoken("job {0} completed in {1}", number, protocol::format_duration(*attempt->ended_ms - *attempt->started_ms))
               : text;
  }
  if (job.state == JobState::cancelled || !attempt) return text;
  if (attempt->trial_ms && attempt->started_ms && attempt->ended_ms)
    text = spoken("job {0} failed in its trial after {1}", number, protocol::format_duration(*attempt->ended_ms - *attempt->started_ms));
  if (attempt->outcome == Outcome::timed_out)
    text += ": " + spoken("it reached its time limit of {0}; give more with --time", protocol::format_duration(job.spec.time_limit_ms));
  else if (attempt->failure) {
    const Failure& failure = *attempt->failure;
    text += ": " + failure_sentence(failure);
    if (failure.detail.rfind("working directory", 0) == 0) text += "; " + spoken("give a folder that every node has with --workdir");
    if (failure.detail.rfind("command not found", 0) == 0) text += "; " + spoken("give its full path, or add its folder to PATH");
  } else if (attempt->outcome) {
    text += ": " + word(*attempt->outcome);
  }
  return text + " (" + spoken("see '{0}'", "ultra show " + number) + ")";
}

int exit_code_of(const protocol::JobView& view) {
  if (view.exit_code) return static_cast<int>(*view.exit_code);
  return view.details.state == JobState::completed ? exit_code::ok : exit_code::system_failed;
}

}  // namespace ultramarine::cli
