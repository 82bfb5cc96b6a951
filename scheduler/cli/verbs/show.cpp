// ultra show: everything about one job, in sections for people.
#include <algorithm>
#include <boost/describe/enum_to_string.hpp>
#include <cstring>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/money.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/show.h"
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
    text += " (" + spoken_count(resources.nodes, "{0} node", "{0} nodes") + " x " +
            std::to_string(resources.gpus_per_node) + ")";
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

void show_failure(const Failure& failure, Page& page) {
  page.line(spoken("failure"), failure_sentence(failure), Tint::red);
  for (const std::string& last : failure.last_lines) page.line("  |", last);
}

void show_stall(const Gang& gang, Page& page, Time now) {
  if (gang.stall) page.line(spoken("hangs"), failure_sentence(*gang.stall) + " (" + relative(gang.stall->at_ms, now) + ")", Tint::red);
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

/// One gang of a job that has several: of a script, the first is the script itself.
void show_gang(const Gang& gang, const JobSpec& spec, Page& page, Context& context, Time now) {
  page.section(gang.spec ? spoken("Gang {0}", gang.gang) : spoken("Gang {0} (the script)", gang.gang));
  if (gang.spec) {
    page.line(spoken("command"), shell_words(gang.spec->command));
    if (gang.spec->working_directory != spec.working_directory)
      page.line(spoken("folder"), gang.spec->working_directory);
  }
  page.line(spoken("requested"), when(gang.requested_ms, now));
  page.line(spoken("started"), when(gang.started_ms, now));
  page.line(spoken("finished"), when(gang.finished_ms, now));
  if (gang.stop_requested) page.line(spoken("stop"), spoken("asked for"));
  if (gang.outcome)
    page.line(spoken("outcome"), word(*gang.outcome), *gang.outcome == Outcome::succeeded ? Tint::none : Tint::red);
  if (gang.failure && gang.spec) show_failure(*gang.failure, page);
  show_stall(gang, page, now);
  show_ranks(gang.ranks, context);
}

std::string title_of(const Attempt& attempt) {
  if (attempt.trial_ms)
    return spoken("Attempt {0} (a trial: its first {1} at once, on few GPUs)", attempt.attempt, protocol::format_duration(*attempt.trial_ms));
  return attempt.backfilled ? spoken("Attempt {0} (backfilled: it started in a gap, ahead of jobs before it)", attempt.attempt) : spoken("Attempt {0}", attempt.attempt);
}

void show_attempt(const Attempt& attempt, const JobSpec& spec, Page& page, Context& context, Time now) {
  page.section(title_of(attempt));
  page.line(spoken("nodes"), places(attempt.allocation));
  page.line(spoken("devices"), devices(attempt.allocation));
  page.line(spoken("decided"), when(attempt.decided_ms, now));
  page.line(spoken("started"), when(attempt.started_ms, now));
  page.line(spoken("ended"), when(attempt.ended_ms, now));
  if (attempt.trial_ms && attempt.outcome == Outcome::timed_out)
    page.line(spoken("outcome"), spoken("its time was over without a failure"));
  else if (attempt.outcome)
    page.line(spoken("outcome"), word(*attempt.outcome),
              *attempt.outcome == Outcome::succeeded ? Tint::none : Tint::red);
  if (attempt.failure) show_failure(*attempt.failure, page);
  if (attempt.gangs.size() == 1 && !spec.script) {
    show_stall(attempt.gangs.front(), page, now);
    show_ranks(attempt.gangs.front().ranks, context);
    return;
  }
  for (const Gang& gang : attempt.gangs) show_gang(gang, spec, page, context, now);
}

std::string ranks_asked(const JobSpec& spec) {
  if (spec.ranks > 0) return std::to_string(spec.ranks);
  return spec.ranks_per_node > 0 ? spoken("{0} on each node", spec.ranks_per_node) : "";
}

std::string dependencies(const std::vector<Dependency>& dependencies) {
  std::string text;
  for (const Dependency& one : dependencies)
    text += (text.empty() ? "" : ", ") + std::to_string(one.job.value) + " " +
            boost::describe::enum_to_string(one.condition, "?");
  return text;
}

std::string warning_text(const WarningSignal& warning) {
  const std::string when_sent = protocol::format_duration(warning.before_ms);
  const char* name = sigabbrev_np(static_cast<int>(warning.signal));
  const std::string signal = name ? "SIG" + std::string(name) : std::to_string(warning.signal);
  return warning.shell ? spoken("{0} to the script, {1} before the limit", signal, when_sent)
                       : spoken("{0} {1} before the limit", signal, when_sent);
}

std::string hold_text(const Hold& hold, Time now) {
  const std::string since = local_time(hold.since_ms) + " (" + relative(hold.since_ms, now) + ")";
  std::string text = hold.kind == HoldKind::configuration ? spoken("by the configuration, {0}", since)
                     : hold.kind == HoldKind::no_progress ? spoken("by the scheduler, {0}", since)
                     : hold.kind == HoldKind::admin       ? spoken("by {0}, an admin, {1}", hold.actor.name, since)
                                                          : spoken("by {0}, {1}", hold.actor.name, since);
  return hold.reason.empty() ? text : text + ": " + heard(hold.reason);
}

/// What was asked for beyond a plain command's options.
void show_more_asked(const Job& job, Page& page, Time now) {
  const JobSpec& spec = job.spec;
  page.line(spoken("gpu type"), spec.gpu_type);
  if (spec.cpus_per_gpu > 0) page.line(spoken("cpus per gpu"), std::to_string(spec.cpus_per_gpu));
  if (spec.memory_per_gpu_bytes > 0) page.line(spoken("memory per gpu"), bytes_text(spec.memory_per_gpu_bytes));
  std::string features;
  for (const std::string& feature : spec.features) features += (features.empty() ? "" : ", ") + feature;
  page.line(spoken("features"), features);
  page.line(spoken("only on"), protocol::fold_hostlist(spec.only_nodes));
  page.line(spoken("not on"), protocol::fold_hostlist(spec.without_nodes));
  if (spec.exclusive) page.line(spoken("exclusive"), spoken("its nodes are its own, with all their GPUs"));
  page.line(spoken("ranks"), ranks_asked(spec));
  if (spec.cpus_per_rank > 0) page.line(spoken("cpus per rank"), std::to_string(spec.cpus_per_rank));
  page.line(spoken("after"), dependencies(spec.dependencies));
  page.line(spoken("begin"), when(spec.begin_ms, now));
  page.line(spoken("deadline"), when(spec.deadline_ms, now));
  page.line(spoken("reservation"), spec.reservation);
  if (spec.nice != 0) page.line(spoken("nice"), std::to_string(spec.nice));
  if (spec.min_gpus > 0) page.line(spoken("min gpus"), std::to_string(spec.min_gpus));
  if (spec.max_restarts > 0) page.line(spoken("restarts"), spoken("{0} of {1}", std::to_string(job.restarts), std::to_string(spec.max_restarts)));
  if (spec.on_node_loss != NodeLossRule::strict) page.line(spoken("on node loss"), spec.on_node_loss == NodeLossRule::fast ? "fast" : "wait");
  if (spec.stop_when_cut_off_ms.ms > 0) page.line(spoken("on cut-off"), spoken("stops after {0}", protocol::format_duration(spec.stop_when_cut_off_ms)));
  if (!spec.trial) page.line(spoken("trial"), spoken("not wanted"));
  if (spec.hang_after_ms == never_hangs) page.line(spoken("hang after"), spoken("never"));
  if (spec.hang_after_ms.ms > 0) page.line(spoken("hang after"), protocol::format_duration(spec.hang_after_ms));
  page.line(spoken("output"),
            spec.output.empty() ? "" : spec.output + (spec.append_output ? " (" + spoken("appended to") + ")" : ""));
  page.line(spoken("error"), spec.error);
  if (spec.log_bytes_max > 0) page.line(spoken("log limit"), bytes_text(spec.log_bytes_max));
  if (spec.warning) page.line(spoken("signal"), warning_text(*spec.warning));
}

void show_element(const ArrayElement& element, Page& page) {
  std::string text = spoken("index {0} of array {1}, which has {2}", element.index, element.array.value, element.count);
  if (element.limit > 0) text += "; " + spoken("at most {0} at once", element.limit);
  page.line(spoken("array"), text);
}

/// The states of all elements.
void show_array(const protocol::JobView& view, Page& page) {
  page.section(spoken("Elements"));
  for (const auto& [state, indices] : view.array->states)
    page.line(state, ranges_text(indices) + " (" + std::to_string(indices.size()) + ")");
}

/// What its place in the queue is made of.
void show_priority(const protocol::PriorityOfJob& priority, Page& page, Context& context, Time now) {
  using Align = Table::Align;
  const JobPriority& shown = priority.details;
  page.section(spoken("Priority"));
  page.line(spoken("sum"), std::to_string(shown.priority));
  page.line(spoken("taken"), when(priority.tick_ms, now));
  if (priority.max_age_ms) {
    const std::string age = protocol::format_duration(*priority.max_age_ms);
    page.line(spoken("max age"), shown.waited_max_age ? spoken("it has waited for {0} or longer, and is ahead of all that have not", age)
                                                      : spoken("it has not waited for {0} so far", age));
  }
  Table table({{spoken("FACTOR")}, {spoken("VALUE"), Align::right}, {spoken("WEIGHT"), Align::right}, {spoken("PRODUCT"), Align::right}});
  const auto add = [&](const std::string& name, std::int64_t PriorityFactors::*factor) {
    table.add({name, part_of_one(shown.factors.*factor), std::to_string(priority.weights.*factor), std::to_string(shown.weighted.*factor)});
  };
  add(spoken("age"), &PriorityFactors::age);
  add(spoken("fair-share"), &PriorityFactors::fair_share);
  add(spoken("size"), &PriorityFactors::size);
  add(spoken("qos"), &PriorityFactors::qos);
  add(spoken("partition"), &PriorityFactors::partition);
  add(spoken("account"), &PriorityFactors::account);
  table.add({spoken("nice"), "", "", std::to_string(-shown.nice)});
  table.write(context.out, context.terminal);
}

}  // namespace

void write_job(const protocol::JobView& view, Context& context, const std::string& price) {
  const Job& job = view.details;
  const Time now = context.now();
  Page page(context);
  context.out << tinted((view.array ? spoken("Array {0}", name_of(view)) : spoken("Job {0}", name_of(view))),
                        Tint::bold, context.terminal.out_colour)
              << (job.spec.name.empty() ? "" : " " + printable(job.spec.name)) << ": "
              << tinted(word(job.state), tint_of(job.state), context.terminal.out_colour) << '\n';
  page.line(spoken("user"), job.owner.name);
  page.line(spoken("account"), job.spec.account);
  page.line(spoken("partition"), job.spec.partition);
  page.line(spoken("qos"), job.spec.qos);
  page.line(spoken("asked"), asked(job, view.gpus));
  page.line(spoken("time"), elapsed_of_limit(job, now));
  page.line(spoken("grace"), protocol::format_duration(job.spec.stop_grace_ms));
  page.line(spoken("mpi"), job.spec.mpi == MpiMode::automatic ? "auto"
                           : job.spec.mpi == MpiMode::pmix    ? "pmix"
                                                              : "none");
  if (job.array && !view.array) show_element(*job.array, page);
  if (job.spec.script)
    page.line(spoken("script"), shell_words(job.spec.command) + " (" +
                                    spoken("printed by '{0}'", "ultra show " + name_of(view) + " --script") + ")");
  else
    page.line(spoken("command"), shell_words(job.spec.command));
  page.line(spoken("folder"), job.spec.working_directory);
  show_more_asked(job, page, now);
  page.line(spoken("submitted"), when(job.submitted_ms, now));
  page.line(spoken("ended"), when(job.ended_ms, now));
  page.line(spoken("price"), price);
  if (job.hold) page.line(spoken("held"), hold_text(*job.hold, now));
  if (view.exit_code) page.line(spoken("exit code"), std::to_string(*view.exit_code));
  if (view.array) show_array(view, page);
  if (!job.spec.recorded.empty()) {
    page.section(spoken("Kept without effect"));
    for (const auto& [name, value] : job.spec.recorded) page.line("--" + name, value.empty() ? spoken("yes") : value);
  }
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
  if (view.priority) show_priority(*view.priority, page, context, now);
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
  for (const Attempt& attempt : job.attempts) show_attempt(attempt, job.spec, page, context, now);
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
}

namespace {

int print_script(const protocol::JobView& view, Context& context) {
  if (!view.details.spec.script) {
    throw CommandError(exit_code::conflict,
                       error_line("--script", spoken("job {0} is no script", name_of(view)),
                                  spoken("see its command with '{0}'", "ultra show " + name_of(view))));
  }
  context.out << view.details.spec.script->text;
  return exit_code::ok;
}

/// Whom it passed, and who passed it: a scheduler that can't say leaves the page as it is.
void show_overtaking(const JobName& name, Client& client, Context& context) {
  std::vector<std::string> sentences;
  try {
    sentences = client.waits(name).value.overtaking;
  } catch (const CommandError&) {
    return;
  }
  if (sentences.empty()) return;
  Page page(context);
  page.section(spoken("Overtaking"));
  for (const std::string& sentence : sentences) page.line(spoken("proof"), heard(sentence));
}

int show(const Arguments& arguments, Context& context) {
  const std::vector<JobName> asked_for = arguments.job_names();
  if (asked_for.size() > 1) usage_error("JOB", spoken("one job at a time"), spoken("give one job number"));
  Client client(context.socket);
  const auto answer = client.job(asked_for.front());
  if (arguments.has("--script")) return print_script(answer.value, context);
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  write_job(answer.value, context, price_sentence(client, asked_for.front()));
  if (!answer.value.array) show_overtaking(asked_for.front(), client, context);
  return exit_code::ok;
}

}  // namespace

Verb show_verb() {
  return {.path = "show",
          .summary = "show everything about one job",
          .positionals = Positionals::one_job,
          .options = {{"--script", "", "Print the script that was submitted, as it was then"},
                      json_option("the API's job")},
          .details =
              "Examples:\n  ultra show 12\n  ultra show 12_3\n  ultra show 12 --script > again.sh\n  ultra show 12 "
              "--json | jq "
              ".details.attempts[-1].failure",
          .run = show};
}

}  // namespace ultramarine::cli
