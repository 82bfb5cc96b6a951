// ultra cluster down: stops everything that `cluster up` started. The queue is kept; running jobs are only put back
// when asked to.
#include <filesystem>
#include <future>
#include <iostream>

#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/local_cluster.h"
#include "scheduler/cli/local_files.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

/// The jobs that hold devices, as "12, 14".
std::string active_jobs(Client& client, std::int64_t& count) {
  std::string list;
  count = 0;
  for (const protocol::JobView& view : client.jobs({}).value.jobs) {
    if (!is_active(view.details.state)) continue;
    if (++count <= 8) list += (list.empty() ? "" : ", ") + std::to_string(view.details.job.value);
  }
  return count > 8 ? list + ", ..." : list;
}

/// Whether running jobs may be stopped and queued again. Throws CommandError (conflict) when nobody says so.
bool may_requeue(const Arguments& arguments, Context& context, const std::string& what,
                 const std::string& alternative) {
  if (arguments.has("--requeue") || arguments.has("--yes")) return true;
  if (!context.terminal.can_ask) {
    throw CommandError(
        exit_code::conflict,
        error_line("--requeue", what, spoken("give --requeue to stop and queue again what runs, or {0}", alternative)));
  }
  context.err << spoken("Now {0}. Stop them and queue them again? [y/N]", what) << ' ' << std::flush;
  std::string answer;
  if (std::getline(std::cin, answer) && (answer == "y" || answer == "Y" || answer == "yes")) return true;
  throw CommandError(exit_code::conflict, error_line("", what, spoken("nothing was changed")));
}

/// Asks the scheduler to end, and shows what it waits for meanwhile.
void shut_down(Client& client, bool requeue, Progress& progress) {
  auto done = std::async(std::launch::async, [&client, requeue] { client.shutdown(requeue); });
  while (done.wait_for(std::chrono::milliseconds(200)) != std::future_status::ready) {
    try {
      const auto cluster = client.cluster().value;
      progress.show(cluster.jobs_running > 0 ? spoken_count(cluster.jobs_running, "Stopping {0} job", "Stopping {0} jobs")
                                             : spoken("Stopping the scheduler"));
    } catch (const CommandError&) {
      // It is on its way out.
    }
  }
  try {
    done.get();
  } catch (const Unreachable& error) {
    if (!error.lost) throw;  // lost: it ended before its answer was read
  }
}

int cluster_down(const Arguments& arguments, Context& context) {
  const auto say = [&](const std::string& text) {
    if (arguments.has("--json"))
      context.out << to_json_text(
                         LocalCluster(context.home, programs_folder(), LocalCluster::Malformed::is_ignored).view())
                  << '\n';
    else
      context.out << text << '\n';
    return exit_code::ok;
  };
  std::error_code error;
  if (!std::filesystem::exists(cluster_file(context.home), error)) {
    throw CommandError(exit_code::not_found,
                       error_line("ULTRA_HOME", spoken("there is no cluster in {0}", context.home),
                                  spoken("name the folder of one, or start one with 'ultra cluster up'")));
  }
  const LocalLock lock(context.home);
  LocalCluster cluster(context.home, programs_folder(), LocalCluster::Malformed::is_ignored);
  if (!cluster.anything_runs()) return say(spoken("No cluster runs in {0}.", context.home));

  Progress progress(context.err, context.terminal);
  Client client(cluster.socket());
  if (!cluster.scheduler() && !cluster.gang_processes().empty()) {
    // Only a scheduler can put jobs back in the queue, and its journal knows which: bring it back for that.
    may_requeue(arguments, context, spoken("jobs run although the scheduler is dead"),
                spoken("start it again with 'ultra cluster up' and wait for them"));
    try {
      const Interrupt interrupt;
      cluster.start_missing(progress, interrupt);
    } catch (const CommandError&) {
      progress.clear();
      context.err << spoken("The scheduler doesn't start: jobs are stopped without it.") << '\n';
    }
  }
  if (cluster.scheduler()) {
    try {
      std::int64_t count = 0;
      const std::string jobs = active_jobs(client, count);
      const std::string what = count == 1 ? spoken("job {0} runs", jobs) : spoken("jobs {0} run", jobs);
      const bool requeue = count > 0 && may_requeue(arguments, context, what, spoken("wait for the end with 'ultra wait'"));
      shut_down(client, requeue || arguments.has("--requeue"), progress);
      if (const auto process = cluster.scheduler())
        await_end({*process}, std::chrono::seconds(30), [&](std::size_t) { progress.show(spoken("Stopping the scheduler")); });
    } catch (const CommandError& problem) {
      if (problem.code != exit_code::unreachable) throw;
      // It hangs or is ending: signals decide, but not over running jobs that nobody gave up.
      if (!cluster.gang_processes().empty())
        may_requeue(arguments, context, spoken("jobs run although the scheduler doesn't answer"),
                    spoken("look at its log in {0}", context.home + "/logs"));
    }
    progress.clear();
  }
  cluster.stop_daemons(progress);
  if (cluster.anything_runs())
    throw CommandError(exit_code::failure, error_line("", spoken("some processes of {0} can't be stopped", context.home),
                                                      spoken("look at 'ultra cluster status' and kill them by hand")));
  return say(spoken("The cluster is down. Its queue is kept in {0} for the next 'ultra cluster up'.", context.home));
}

}  // namespace

Verb cluster_down_verb() {
  return {.path = "cluster down",
          .summary = "stop the cluster on this machine; its queue is kept",
          .options = {{"--requeue", "", "Stop running jobs and queue them again"},
                      {"--yes", "", "Don't ask: the same as --requeue", "-y"},
                      json_option("what still runs (nothing)")},
          .details =
              "With running jobs it asks on a terminal; elsewhere it needs --requeue (exit code 6).\nExamples:\n  "
              "ultra cluster down\n  ultra cluster down --requeue",
          .run = cluster_down};
}

}  // namespace ultramarine::cli
