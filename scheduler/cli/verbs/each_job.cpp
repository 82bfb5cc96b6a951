#include "scheduler/cli/verbs/each_job.h"

#include <boost/describe/enum_to_string.hpp>

#include "scheduler/cli/language.h"
#include "scheduler/cli/terminal.h"
#include "scheduler/cli/verbs/favour.h"

namespace ultramarine::cli {

int change_each_job(const Arguments& arguments, Context& context, const std::function<Answer<protocol::JobView>(Client&, const JobName&)>& change,
                    const std::function<std::string(const JobName&, const protocol::JobView&)>& sentence) {
  Client client(context.socket);
  const std::vector<JobName> jobs = arguments.job_names();
  std::vector<Answer<protocol::JobView>> answers;
  int code = exit_code::ok;
  for (const JobName& job : jobs) {
    try {
      answers.push_back(change(client, job));
    } catch (const Refused& error) {
      if (jobs.size() == 1) throw;
      context.err << tinted(spoken("error:"), Tint::red, context.terminal.error_colour) << ' '
                  << spoken("job {0}: {1}", job.text, std::string(error.what())) << '\n';
      if (code == exit_code::ok) code = error.code;
      continue;
    }
    if (!arguments.has("--json")) context.out << sentence(job, answers.back().value) << '\n';
  }
  if (arguments.has("--json")) {
    std::vector<protocol::JobView> views;
    for (const auto& answer : answers) views.push_back(answer.value);
    context.out << (jobs.size() == 1 ? answers.front().body : encode_views(views, context.now())) << '\n';
  }
  return code;
}

int do_to_each_job(Favour favour, const Arguments& arguments, Context& context, const std::function<Answer<protocol::JobView>(Client&, const JobName&)>& change,
                   const std::function<std::string(const JobName&, const protocol::JobView&)>& sentence) {
  const std::vector<JobName> jobs = arguments.job_names();
  const auto ask = [&] {
    protocol::FavourRequest request{.favour = favour, .job = jobs.front().text, .time_ms = {}, .reservation = {}, .reason = arguments.text("--reason").value_or(""), .token = {}};
    const std::string verb = boost::describe::enum_to_string(favour, "");
    return ask_favour(std::move(request), "ultra " + verb + " " + jobs.front().text + " --reason " + shell_quoted(arguments.text("--reason").value_or("")), arguments, context);
  };
  if (jobs.size() > 1 && (arguments.has("--confirm") || arguments.has("--yes")))
    usage_error("JOB", spoken("more than one given"), spoken("a bill is for one job at a time"));
  if (arguments.has("--confirm") || arguments.has("--yes")) return ask();
  try {
    return change_each_job(arguments, context, change, sentence);
  } catch (const Refused& refused) {
    if (!wants_bill(refused) || jobs.size() > 1) throw;
    return ask();
  }
}

}  // namespace ultramarine::cli
