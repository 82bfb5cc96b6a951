#include "scheduler/cli/remote_shell.h"

#include <filesystem>
#include <string_view>

#include "scheduler/cli/gang_stay.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/local_files.h"
#include "scheduler/cli/verbs/submission.h"

namespace ultramarine::cli {
namespace {

constexpr int not_started = 255;
/// Options of ssh and rsh that have a value.
constexpr std::string_view letters_with_value = "BbcDEeFIiJLlmOopQRSWw";

[[noreturn]] void wrong_usage(const std::string& problem) {
  usage_error("ultra-rsh", problem, spoken("write {0}", "ultra-rsh [OPTIONS] HOST COMMAND..."));
}

JobName job_around(const Context& context) {
  const auto names = parse_job_names(context.variable("ULTRA_JOB_ID"));
  if (names.size() == 1) return names.front();
  usage_error("ultra-rsh", spoken("this is not inside a job (ULTRA_JOB_ID is not set)"),
              spoken("it is for mpirun and other launchers in a script of 'ultra submit'"));
}

}  // namespace

RemoteCommand parse_remote_command(const std::vector<std::string>& words) {
  std::size_t at = 0;
  for (; at < words.size() && words[at].size() > 1 && words[at].front() == '-'; ++at) {
    if (words[at] == "--") {
      ++at;
      break;
    }
    const char letter = words[at][1];
    if (words[at].size() == 2 && letters_with_value.find(letter) != std::string_view::npos) ++at;
  }
  if (at >= words.size()) wrong_usage(spoken("no host is named"));
  RemoteCommand remote{.host = words[at++], .command = ""};
  if (const std::size_t user = remote.host.find('@'); user != std::string::npos) remote.host.erase(0, user + 1);
  for (; at < words.size(); ++at) remote.command += (remote.command.empty() ? "" : " ") + words[at];
  if (remote.command.empty()) wrong_usage(spoken("no command is given"));
  return remote;
}

int run_remote_shell(const std::vector<std::string>& words, std::map<std::string, std::string> environment, std::ostream& out, std::ostream& err,
                     std::function<Time()> now) {
  speak(language_of(environment));
  Context context{out, err, {}, std::move(environment), "", "", std::move(now)};
  try {
    const RemoteCommand remote = parse_remote_command(words);
    const JobName job = job_around(context);
    context.home = home_folder(context.environment);
    context.socket = socket_path(std::nullopt, context.environment, context.home);
    protocol::GangRequest request;
    request.spec.command = {"/bin/sh", "-c", remote.command};
    request.spec.ranks = 1;
    request.spec.mpi = MpiMode::none;
    request.spec.bind = BindMode::none;
    request.spec.only_nodes = {remote.host};
    std::error_code gone;
    const std::filesystem::path here = std::filesystem::current_path(gone);
    request.spec.working_directory = gone ? "/" : here.string();
    request.environment = context.environment;
    leave_out_other_than_utf8(request.environment);
    request.environment["ULTRA_REMOTE_SHELL"] = "1";
    const protocol::GangReply reply = Client(context.socket).start_gang(job, request);
    return stay_with_gang(job, reply.gang, OutputForm::bytes, context, true);
  } catch (const CommandError& error) {
    err << spoken("error:") << ' ' << error.what() << '\n';
  } catch (const std::exception& error) {
    err << spoken("error:") << ' ' << error_line("ultra-rsh", error.what(), "") << '\n';
  }
  return not_started;
}

}  // namespace ultramarine::cli
