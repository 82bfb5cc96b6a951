// ultra validate: whether a job file or a job script is right, and what the cluster would make of it now, without
// submitting it.
#include <boost/describe.hpp>
#include <filesystem>

#include "scheduler/batch/directives.h"
#include "scheduler/cli/client.h"
#include "scheduler/cli/job_file.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/submission.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {

/// --json: what the file asks for, and what the cluster says to it (absent with --offline).
struct Validation {
  std::string file;
  JobSpec spec;
  std::vector<std::int64_t> array_indices;
  std::int64_t array_limit = 0;
  std::vector<std::string> warnings;
  std::optional<protocol::CheckReply> cluster;
};
BOOST_DESCRIBE_STRUCT(Validation, (), (file, spec, array_indices, array_limit, warnings, cluster))

namespace {

Submission read(const std::string& name, const Context& context) {
  const std::string text = read_text(name);
  std::error_code ignored;
  const std::string folder = std::filesystem::current_path(ignored).string();
  Arguments arguments;
  if (std::filesystem::path(name).extension() != ".toml" && batch::looks_like_script(text)) {
    arguments.positionals = {name};
    return submission(arguments, context.environment, folder, ScriptFile{name, text}, {}, context.now());
  }
  const JobFile file = parse_job_file(text, name);
  arguments.positionals = file.command;
  return submission(arguments, context.environment, folder, file.script, file.given, context.now());
}

protocol::CheckReply asked_of_the_cluster(Submission& made, Context& context) {
  Client client(context.socket);
  complete(made, client);
  try {
    return client.check(made.request).value;
  } catch (const Refused& refused) {
    refuse_at_its_place(refused, made);
  }
}

void print(const Validation& validation, Context& context) {
  const JobSpec& spec = validation.spec;
  const std::int64_t gpus = validation.cluster ? validation.cluster->gpus : total_gpus(spec.resources);
  std::string about = printable(spec.name) + ", " + spoken_count(gpus, "{0} GPU", "{0} GPUs");
  const auto elements = static_cast<std::int64_t>(validation.array_indices.size());
  if (elements > 0) about += ", " + spoken_count(elements, "{0} element", "{0} elements");
  const Duration limit = validation.cluster ? validation.cluster->spec.time_limit_ms : spec.time_limit_ms;
  if (limit.ms > 0) about += ", " + spoken("{0} limit", protocol::format_duration(limit));
  context.out << spoken("{0} is right: {1}.", printable(validation.file), about) << '\n';
  for (const std::string& warning : validation.warnings)
    context.err << tinted(spoken("warning:"), Tint::yellow, context.terminal.error_colour) << ' '
                << printable(heard(warning)) << '\n';
  if (!validation.cluster) return;
  const PlannedJob& planned = validation.cluster->planned;
  const Time now = context.now();
  if (planned.start_ms && *planned.start_ms - now < seconds(1))
    context.out << spoken("It would start now on {0}.", places(planned.allocation)) << '\n';
  else if (planned.start_ms)
    context.out << spoken("It would start {0} ({1}) on {2}: {3}", relative(*planned.start_ms, now),
                          local_time(*planned.start_ms), places(planned.allocation), heard(validation.cluster->why))
                << '\n';
  else
    context.out << spoken("It would wait: {0}", heard(validation.cluster->why)) << '\n';
}

int validate(const Arguments& arguments, Context& context) {
  const std::string name = arguments.positionals.front();
  Submission made = read(name, context);
  Validation validation{name,          made.request.spec, made.request.array_indices, made.request.array_limit,
                        made.warnings, std::nullopt};
  if (!arguments.has("--offline")) {
    validation.cluster = asked_of_the_cluster(made, context);
    validation.warnings.insert(validation.warnings.end(), validation.cluster->warnings.begin(),
                               validation.cluster->warnings.end());
  }
  if (arguments.has("--json"))
    context.out << protocol::to_json(validation) << '\n';
  else
    print(validation, context);
  return exit_code::ok;
}

}  // namespace

Verb validate_verb() {
  return {
      .path = "validate",
      .summary = "check a job file or a job script, without submitting it",
      .positionals = Positionals::file,
      .options = {{"--offline", "", "Only the file; don't ask the cluster whether and when it could run"},
                  json_option("what the file asks for and what the cluster says to it")},
      .details =
          "A job file is TOML: the options of 'ultra submit' by their names without dashes, and what to run.\n"
          "  name = \"train\"\n  gpus = 16\n  time = \"2h\"\n  array = \"0-15%4\"\n  after = [\"12:ok\"]\n"
          "  command = [\"python3\", \"train.py\", \"--lr\", \"3e-4\"]     # or: script = \"job.sh\", arguments = "
          "[\"3\"]\n"
          "Mistakes are named with line and column (exit code 2, also when this cluster can never run it).\n"
          "Examples:\n  ultra validate job.toml && ultra submit --file job.toml\n  ultra validate --offline train.sh",
      .run = validate};
}

}  // namespace ultramarine::cli
