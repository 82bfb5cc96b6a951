// ultra why: what keeps a job waiting, and what would let it start sooner; --apply takes one of these offers.
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

void heading(const std::string& text, Context& context) { context.out << '\n' << tinted(text, Tint::bold, context.terminal.out_colour) << '\n'; }

void print(const protocol::WhyReply& reply, Context& context) {
  context.out << printable(heard(reply.why.empty() ? reply.no_way : reply.why)) << '\n';
  if (reply.why.empty()) return;
  if (!reply.reasons.empty()) heading(spoken("What keeps it, in this order:"), context);
  for (const std::string& sentence : reply.reasons) context.out << "  - " << printable(heard(sentence)) << '\n';
  if (reply.planned && reply.planned->start_ms) {
    heading(spoken("What is planned:"), context);
    context.out << "  " << spoken("{0} ({1}) on {2}", relative(*reply.planned->start_ms, reply.now_ms), local_time(*reply.planned->start_ms), places(reply.planned->allocation)) << '\n';
  }
  if (reply.ways.empty()) {
    context.out << '\n' << printable(heard(reply.no_way)) << '\n';
    return;
  }
  heading(spoken("What would let it start sooner:"), context);
  for (const protocol::WayView& way : reply.ways) context.out << "  " << way.number << "  " << printable(heard(way.sentence)) << '\n';
  context.out << spoken("To take one of them: {0}", "ultra why " + reply.name + " --apply 1") << '\n';
}

int apply(Client& client, const JobName& job, const protocol::WhyReply& reply, std::int64_t number, const Arguments& arguments, Context& context) {
  if (number < 1 || number > static_cast<std::int64_t>(reply.ways.size()))
    throw CommandError(exit_code::conflict, error_line("--apply", reply.ways.empty() ? spoken("there is nothing to take") : spoken("there is no offer {0}", number),
                                                       spoken("see '{0}'", "ultra why " + job.text)));
  const protocol::WayView& way = reply.ways[static_cast<std::size_t>(number) - 1];
  const auto answer = client.edit(job, way.change);
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  context.out << printable(heard(way.sentence)) << '\n' << spoken("Job {0} is changed so; its age in the queue stays.", job.text) << '\n';
  return exit_code::ok;
}

int why(const Arguments& arguments, Context& context) {
  Client client(context.socket);
  const JobName job = arguments.job_names().front();
  const auto number = arguments.whole_number("--apply", 1, 5);
  const auto answer = client.why(job);
  if (number) return apply(client, job, answer.value, *number, arguments, context);
  if (arguments.has("--json")) context.out << answer.body << '\n';
  else print(answer.value, context);
  return exit_code::ok;
}

}  // namespace

Verb why_verb() {
  return {.path = "why",
          .summary = "show what keeps a job waiting, and what would let it start sooner",
          .positionals = Positionals::one_job,
          .options = {{"--apply", "N", "Change the job as offer N says; its age in the queue stays"}, json_option("the API's answer")},
          .details =
              "Each offer was tried on the plan: it is the smallest change of its kind, and says who else would start later for it. Fewer GPUs than the job said that "
              "its program can run on ('ultra submit --min-gpus') are a suggestion: whether the program can is for you to know.\n"
              "Examples:\n  ultra why 12\n  ultra why 12 --apply 1\n  ultra why 12 --json | jq -r '.ways[].sentence'",
          .run = why};
}

}  // namespace ultramarine::cli
