// ultra run: ranks over the allocation of the job that it is called in, as one gang; it stays until they have ended and ends with their
// code. The scheduler may restart meanwhile, and several may run side by side.
#include <filesystem>

#include "scheduler/cli/client.h"
#include "scheduler/cli/gang_stay.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/nearest.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/verbs/submission.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::cli {
namespace {

MpiMode mpi_mode(const std::string& text) {
  if (text == "auto") return MpiMode::automatic;
  if (text == "pmix") return MpiMode::pmix;
  if (text == "none") return MpiMode::none;
  usage_error("--mpi", spoken("\"{0}\" is not known", text),
              did_you_mean(text, {"auto", "pmix", "none"}, spoken("give one of {0}", "auto, pmix, none")));
}

JobName job_around(const Context& context) {
  const std::string job = context.variable("ULTRA_JOB_ID");
  const auto names = parse_job_names(job);
  if (names.size() == 1) return names.front();
  usage_error("ultra run",
              job.empty() ? spoken("this is not inside a job (ULTRA_JOB_ID is not set)")
                          : spoken("ULTRA_JOB_ID is \"{0}\", which is no job", job),
              spoken("put it into a script for 'ultra submit', or run the command by itself: {0}",
                     "ultra submit --gpus 8 --follow -- COMMAND"));
}

std::vector<std::string> nodes_of(const std::string& text) {
  if (const auto names = protocol::expand_hostlist(text); names && !names->empty()) return *names;
  usage_error("--nodelist", spoken("\"{0}\" is no list of nodes", text),
              spoken("write for example {0}", "node[01-04]"));
}

BindMode bind_mode(const std::string& text) {
  if (text == "auto") return BindMode::automatic;
  if (text == "none") return BindMode::none;
  usage_error("--bind", spoken("\"{0}\" is not known", text),
              did_you_mean(text, {"auto", "none"}, spoken("give one of {0}", "auto, none")));
}

protocol::GangRequest request_of(const Arguments& arguments, Context& context) {
  protocol::GangRequest request;
  request.spec.command = arguments.positionals;
  request.spec.ranks = arguments.whole_number("--ranks", 1, 1'000'000).value_or(0);
  request.spec.ranks_per_node = arguments.whole_number("--ranks-per-node", 1, 1'000'000).value_or(0);
  request.spec.cpus_per_rank = arguments.whole_number("--cpus-per-rank", 1, 1'000'000).value_or(0);
  request.spec.mpi = mpi_mode(arguments.text("--mpi").value_or("auto"));
  request.spec.bind = bind_mode(arguments.text("--bind").value_or("auto"));
  request.spec.nodes = arguments.whole_number("--nodes", 1, 1'000'000).value_or(0);
  if (const auto names = arguments.text("--nodelist")) request.spec.only_nodes = nodes_of(*names);
  std::error_code error;
  const std::filesystem::path here = std::filesystem::current_path(error);
  const std::filesystem::path folder = arguments.text("--workdir").value_or("");
  if (error && !folder.is_absolute())
    usage_error("--workdir", spoken("the current folder is gone"), spoken("give one that exists"));
  request.spec.working_directory = folder.empty() ? here.string() : (here / folder).lexically_normal().string();
  request.environment = context.environment;
  const std::string left_out = leave_out_other_than_utf8(request.environment);
  if (!left_out.empty())
    context.err << tinted(spoken("warning:"), Tint::yellow, context.terminal.error_colour) << ' '
                << spoken("not sent to the ranks, because not UTF-8: {0}", left_out) << '\n';
  return request;
}

int run(const Arguments& arguments, Context& context) {
  const JobName job = job_around(context);
  const protocol::GangRequest request = request_of(arguments, context);
  const protocol::GangReply reply = Client(context.socket).start_gang(job, request);
  return stay_with_gang(job, reply.gang, arguments.has("--label") ? OutputForm::labelled : OutputForm::lines, context);
}

}  // namespace

Verb run_verb() {
  return {
      .path = "run",
      .summary = "inside a script: start ranks on the job's nodes, wait for them",
      .positionals = Positionals::command,
      .options = {{"--ranks", "N", "Ranks in all, in blocks over the nodes (default: the job's, else one per GPU)"},
                  {"--ranks-per-node", "K", "Ranks on each node, which share its GPUs"},
                  {"--nodes", "N", "Only on the first N of the job's nodes (with --nodelist: of these)"},
                  {"--nodelist", "NODES", "Only on these of the job's nodes: node[01-04]", "-w"},
                  {"--cpus-per-rank", "N", "CPUs of each rank (default: the job's): OMP_NUM_THREADS"},
                  {"--bind", "HOW", "auto (default: each rank on cores near its GPU, where there is a core for each) or none"},
                  {"--mpi", "HOW", "auto (default: PMIx for several ranks), pmix or none"},
                  {"--workdir", "FOLDER", "Where the ranks run (default: here)"},
                  {"--label", "", "Write [rank] before each line", "-l"}},
      .details = "The ranks have this shell's environment and SLURM_, ULTRA_ and torchrun's variables. It ends with the code of the first "
                     "rank that failed.\n"
                     "Ctrl-C and SIGTERM stop the ranks. Several run side by side, also on different nodes:\n  ultra run --nodes 1 ... & ultra run --nodelist node[3-4] ... & wait\n"
                     "Examples, in a script:\n  ultra run -- python3 train.py\n"
                     "  ultra run --ranks-per-node 1 -- torchrun --nnodes $SLURM_NNODES train.py\n"
                     "  ultra run --ranks 1 --label -- nvidia-smi",
          .run = run};
}

}  // namespace ultramarine::cli
