// ultra-simulate: replays a trace of jobs on a virtual cluster. Options here, everything else in program.cpp.
#include <CLI/CLI.hpp>

#include "scheduler/simulator/program.h"

int main(int argument_count, char** arguments) {
  ultramarine::simulator::ProgramOptions options;
  CLI::App app{
      "Replays a trace of jobs on a virtual cluster, by the same scheduler that runs a real one, and compares policies.\n"
      "A trace is CSV with a header (at least id,submit_s,runtime_s,gpus; also limit_s, account, user, partition, qos, nice)\n"
      "or a file in the Standard Workload Format, whose processors count as GPUs.\n"
      "Exit codes: 0 complete, 1 something could not be written or drawn, 2 wrong options, files or rows.\n"};
  app.add_option("--trace", options.trace, "The jobs: who wanted how much, when, for how long")->required()->type_name("FILE");
  app.add_option("--format", options.format, "How the trace is written; left out: by the file's ending, csv unless it is .swf")->check(CLI::IsMember({"csv", "swf"}));
  app.add_option("--cluster", options.cluster, "The cluster file")->required()->type_name("FILE");
  app.add_option("--policy", options.policies, "A policy's name or file; give it again to compare several; left out: default")
      ->type_name("FILE|NAME")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--estimate", options.estimate, "How long the scheduler believes that a job will run: true = as long as it does, limit = its time limit")
      ->check(CLI::IsMember({"true", "limit"}))
      ->capture_default_str();
  app.add_option("--out", options.out, "Write POLICY.csv with every job, and summary.json, into this folder")->type_name("DIR");
  app.add_flag("--plots", options.plots, "Draw charts into that folder as PNG and SVG: waits, utilization, slowdown (needs gnuplot)");
  app.add_flag("--json", options.json, "Print one JSON object instead of the table");
  app.add_flag("--skip-bad-rows", options.skip_bad_rows, "Count rows that make no sense and go on without them");
  app.add_flag("--slips", options.slips,
               "Count planned starts that moved later, by cause: jobs that arrived above in the order, earlier or later ends, another order at a tick of\n"
               "the priorities ... and harm: starts that moved because a job below started, which must be none. Takes a plan after every event, so\n"
               "many times as long");
  app.add_option("--early-failures", options.early_failures,
                 "This share of the jobs fails after 5 to 60 seconds, as with a typo; which ones, --seed says. Shows what trials (trial = {...} in a\n"
                 "policy file) save and cost")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("SHARE");
  app.add_option("--seed", options.seed, "Of what is drawn")->capture_default_str();
  app.add_flag("--waits", options.waits,
               "Write POLICY-waits.csv into the folder of --out: what each job waited for, split by cause, whom it waited for and how long. Takes a plan\n"
               "after every event, as --slips");
  app.add_option("--jobs", options.jobs, "Only the first N jobs")->check(CLI::PositiveNumber)->type_name("N");
  app.set_version_flag("--version", std::string("ultra-simulate ") + ULTRAMARINE_VERSION);
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "ultra-simulate: %s (see ultra-simulate --help)\n", error.what());
    return 2;
  }
  return ultramarine::simulator::run_simulate(options);
}
