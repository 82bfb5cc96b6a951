// ultra show: everything about one job, in sections for people.
#include <algorithm>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

class Page {
 public:
  explicit Page(Context& context) : context_(context) {}

  void section(const std::string& title) {
    context_.out << '\n' << tinted(title, Tint::bold, context_.terminal.out_colour) << '\n';
  }
  void line(const std::string& name, const std::string& value, Tint tint = Tint::none) {
    if (value.empty()) return;
    const std::string shown = printable(value);
    if (context_.terminal.out_is_terminal)
      context_.out << "  " << padded(name, std::max<std::size_t>(13, display_width(name))) << ' ';
    else
      context_.out << name << '\t';
    context_.out << tinted(shown, tint, context_.terminal.out_colour) << '\n';
  }

 private:
  Context& context_;
};

/// A command line that a shell would take back.
std::string shell_words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    const bool plain =
        !word.empty() &&
        word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%") ==
            std::string::npos;
    if (plain) {
      text += word;
      continue;
    }
    text += '\'';
    for (const char byte : word) text += byte == '\'' ? std::string("'\\''") : std::string(1, byte);
    text += '\'';
  }
  return text;
}

std::string asked(const Job& job, std::int64_t gpus) {
  const Resources& resources = job.spec.resources;
  std::string text = spoken_count(gpus > 0 ? gpus : total_gpus(resources), "{0} GPU", "{0} GPUs");
  if (resources.nodes > 0)
    text += " (" + spoken_count(resources.nodes, "{0} node", "{0} nodes") + " x " + std::to_string(resources.gpus_per_node) + ")";
  return text;
}

std::string when(const std::optional<Time>& time, Time now) {
  return time ? local_time(*time) + " (" + relative(*time, now) + ")" : "";
}

std::string devices(const Allocation& allocation) {
  std::string text;
  for (const NodeAllocation& node : allocation) {
    text += (text.empty() ? "" : ", ") + node.node + ":";
    for (std::size_t i = 0; i < node.devices.size(); ++i) text += (i ? "," : "") + std::to_string(node.devices[i]);
  }
  return text;
}

void show_ranks(const std::vector<RankResult>& ranks, Context& context) {
  using Align = Table::Align;
  Table table({{spoken("RANK"), Align::right},
               {spoken("NODE")},
               {spoken("EXIT")},
               {spoken("PEAK MEMORY"), Align::right},
               {spoken("CPU TIME"), Align::right},
               {spoken("GPU USE"), Align::right},
               {spoken("COLLECTIVES"), Align::right},
               {spoken("BYTES"), Align::right}});
  for (const RankResult& rank : ranks) {
    table.add(
        {std::to_string(rank.rank), rank.node,
         Cell(ending(rank.exit_code, rank.signal), rank.exit_code != 0 || rank.signal != 0 ? Tint::red : Tint::none),
         bytes_text(rank.peak_memory_bytes), protocol::format_duration(rank.cpu_time_ms),
         percent(rank.device_utilization_permille), std::to_string(rank.collective_count),
         bytes_text(rank.collective_bytes)});
  }
  if (!table.empty()) table.write(context.out, context.terminal);
}

void show_attempt(const Attempt& attempt, Page& page, Context& context, Time now) {
  page.section(attempt.backfilled
                   ? spoken("Attempt {0} (backfilled: it started in a gap, ahead of jobs before it)", attempt.attempt)
                   : spoken("Attempt {0}", attempt.attempt));
  page.line(spoken("nodes"), places(attempt.allocation));
  page.line(spoken("devices"), devices(attempt.allocation));
  page.line(spoken("decided"), when(attempt.decided_ms, now));
  page.line(spoken("started"), when(attempt.started_ms, now));
  page.line(spoken("ended"), when(attempt.ended_ms, now));
  if (attempt.outcome)
    page.line(spoken("outcome"), word(*attempt.outcome), *attempt.outcome == Outcome::succeeded ? Tint::none : Tint::red);
  if (attempt.failure) {
    const Failure& failure = *attempt.failure;
    page.line(spoken("failure"), failure_sentence(failure), Tint::red);
    for (const std::string& last : failure.last_lines) page.line("  |", last);
  }
  for (const Gang& gang : attempt.gangs) show_ranks(gang.ranks, context);
}

int show(const Arguments& arguments, Context& context) {
  const auto answer = Client(context.socket).job(arguments.jobs().front());
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  const protocol::JobView& view = answer.value;
  const Job& job = view.details;
  const Time now = context.now();
  Page page(context);
  context.out << tinted(spoken("Job {0}", job.job.value), Tint::bold, context.terminal.out_colour)
              << (job.spec.name.empty() ? "" : " " + printable(job.spec.name)) << ": "
              << tinted(word(job.state), tint_of(job.state), context.terminal.out_colour) << '\n';
  page.line(spoken("user"), job.owner.name);
  page.line(spoken("account"), job.spec.account);
  page.line(spoken("partition"), job.spec.partition);
  page.line(spoken("qos"), job.spec.qos);
  page.line(spoken("asked"), asked(job, view.gpus));
  page.line(spoken("time"), elapsed_of_limit(job, now));
  page.line(spoken("grace"), protocol::format_duration(job.spec.stop_grace_ms));
  page.line(spoken("mpi"), job.spec.mpi == MpiMode::automatic ? "auto" : job.spec.mpi == MpiMode::pmix ? "pmix" : "none");
  page.line(spoken("command"), shell_words(job.spec.command));
  page.line(spoken("folder"), job.spec.working_directory);
  page.line(spoken("submitted"), when(job.submitted_ms, now));
  page.line(spoken("ended"), when(job.ended_ms, now));
  if (view.exit_code) page.line(spoken("exit code"), std::to_string(*view.exit_code));
  if (view.planned || !view.why.empty()) {
    page.section(spoken("Waiting"));
    if (view.planned) {
      if (view.planned->position > 0) page.line(spoken("place"), spoken("{0} in the queue", view.planned->position));
      page.line(spoken("planned start"), when(view.planned->start_ms, now));
      page.line(spoken("planned end"), when(view.planned->end_ms, now));
      if (!view.planned->allocation.empty()) page.line(spoken("planned nodes"), places(view.planned->allocation));
    }
    page.line(spoken("why"), heard(view.why));
  }
  if (view.progress) {
    page.section(spoken("Progress"));
    char loss[32];
    std::snprintf(loss, sizeof loss, "%.4f", view.progress->loss);
    page.line(spoken("phase"), view.progress->phase);
    page.line(spoken("step"), std::to_string(view.progress->step));
    page.line(spoken("loss"), loss);
    page.line(spoken("tokens/s"), std::to_string(static_cast<std::int64_t>(view.progress->tokens_per_s)));
    page.line(spoken("tokens"), std::to_string(view.progress->tokens));
  }
  if (job.checkpoint) {
    page.section(spoken("Checkpoint"));
    page.line(spoken("step"), std::to_string(job.checkpoint->step));
    page.line(spoken("path"), job.checkpoint->path);
    page.line(spoken("saved"), when(job.checkpoint->at_ms, now));
  }
  for (const Attempt& attempt : job.attempts) show_attempt(attempt, page, context, now);
  if (!view.pids.empty()) {
    page.section(spoken("Processes"));
    for (const auto& [node, pids] : view.pids) {
      std::string list;
      for (const std::int64_t pid : pids) list += (list.empty() ? "" : " ") + std::to_string(pid);
      page.line(node, list);
    }
  }
  if (!job.environment_names.empty()) {
    page.section(spoken("Environment (names; the values are never shown)"));
    std::string names;
    for (const std::string& name : job.environment_names) names += (names.empty() ? "" : " ") + name;
    page.line(spoken("exported"), names);
  }
  return exit_code::ok;
}

}  // namespace

Verb show_verb() {
  return {.path = "show",
          .summary = "show everything about one job",
          .positionals = Positionals::one_job,
          .options = {json_option("the API's job")},
          .details = "Examples:\n  ultra show 12\n  ultra show 12 --json | jq .details.attempts[-1].failure",
          .run = show};
}

}  // namespace ultramarine::cli
