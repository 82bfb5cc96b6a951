// ultra-perf: the command line, the choice of a backend, and one benchmark for each rank that lives in this process.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "collectives/backends.h"
#include "collectives/benchmark/report.h"
#include "collectives/cuda_plugin.h"

namespace {

using namespace ultramarine::collectives;
using namespace ultramarine::collectives::benchmark;

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  std::string backend = "auto", operation = "all_reduce", type = "float", redop = "sum";
  std::string minimum = "4", maximum = "256M", step = "1M";
  std::size_t factor = 2;
  int ranks = 1, check = 1;
  double deadline_s = 300;
  bool json = false;
  Settings settings;
};

int from_environment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::atoi(text) : otherwise;
}
/// How many processes the launcher started: ours and torchrun say WORLD_SIZE, a bare mpirun only its own.
int processes() { return from_environment("WORLD_SIZE", from_environment("OMPI_COMM_WORLD_SIZE", 1)); }

std::string chosen_backend(const Options& options) {
  if (options.backend != "auto") return options.backend;
  const LoadedPlugin& cuda = cuda_plugin();
  // A bare mpirun names no rendezvous, which NCCL needs.
  const bool can_meet = processes() == 1 || std::getenv("MASTER_ADDR");
  if (cuda.plugin && can_meet && cuda.plugin->why_unusable().empty()) return "nccl";
  return processes() > 1 ? "mpi" : "in_process";
}

std::vector<Kind> kinds_of(const std::string& name) {
  std::vector<Kind> kinds;
  for (const Kind kind : {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather, Kind::broadcast}) {
    if (name == "all" || name == name_of(kind)) kinds.push_back(kind);
  }
  return kinds;
}

DataType type_from(const std::string& name) {
  return name == "float" || name == "float32" ? DataType::float32 : name == "int64" ? DataType::int64 : DataType::bf16;
}

std::size_t size_from(const char* option, const std::string& text) {
  const std::size_t bytes = bytes_from_text(text);
  if (bytes == 0) throw UsageError(std::string(option) + ": \"" + text + "\" isn't a size like 4, 8K, 256M or 1G");
  return bytes;
}

/// What every rank does; the first one speaks. Returns the number of wrong elements.
std::int64_t run_rank(Communicator& communicator, const Options& options) {
  const std::size_t minimum = size_from("--minbytes", options.minimum),
                    maximum = size_from("--maxbytes", options.maximum);
  const std::size_t step = size_from("--stepbytes", options.step);
  const DataType type = type_from(options.type);
  const int ranks = communicator.world_size();
  const bool speaks = communicator.rank() == 0;
  if (options.settings.root >= ranks)
    throw UsageError("--root: " + std::to_string(options.settings.root) + " is no rank of " + std::to_string(ranks));
  if (type == DataType::bf16 && ranks > 256 && options.settings.check)
    throw UsageError("--type: sums of bfloat16 over more than 256 ranks can't be checked; use --check 0");
  std::vector<Run> runs;
  for (const Kind kind : kinds_of(options.operation)) {
    Run run{communicator.backend(), kind, type, ranks, options.settings, {}};
    const auto shapes = sweep(kind, type, ranks, minimum, maximum, options.factor, step);
    const bool table = speaks && !options.json;
    if (table) std::printf("%s", table_head(run).c_str());
    Benchmark benchmark(communicator, options.settings, shapes.back().bytes());
    for (const Shape& shape : shapes) {
      run.rows.push_back(benchmark.measure(shape));
      if (table) std::printf("%s", table_row(run, run.rows.back()).c_str());
    }
    if (table) std::printf("%s", table_foot(run).c_str());
    runs.push_back(std::move(run));
  }
  if (speaks && options.json) std::printf("%s", json_of(runs).c_str());
  std::fflush(stdout);
  std::int64_t wrong = 0;
  for (const Run& run : runs) wrong += run.wrong();
  return wrong;
}

int explain(const std::exception& error) {
  std::fflush(stdout);
  std::fprintf(stderr, "ultra-perf: %s\n", error.what());
  return dynamic_cast<const UsageError*>(&error) ? 2 : 1;
}

int run_here(const Options& options) {
  const std::string name = chosen_backend(options);
  const Backend* backend = nullptr;
  try {
    backend = &find_backend(name);
  } catch (const CollectiveError& error) {
    throw UsageError(std::string("--backend: ") + error.what());
  }
  if (processes() > 1 && options.ranks != 1)
    throw UsageError("--ranks: the launcher started " + std::to_string(processes()) + " processes; leave it out");
  if (processes() > 1 && !backend->spans_processes)
    throw UsageError("--backend: " + name + " stays in one process, but " + std::to_string(processes()) +
                     " were started; use mpi or nccl");
  const std::chrono::milliseconds deadline = options.settings.deadline;
  auto communicators = backend->make(options.ranks, deadline);
  if (communicators.front()->world_size() != std::max(processes(), options.ranks)) {
    throw CollectiveError(name + ": a gang of " + std::to_string(communicators.front()->world_size()) +
                          ", but the environment says " + std::to_string(processes()) +
                          "; was it started without PMIx (--mpi none)?");
  }
  std::mutex mutex;
  int code = 0;
  bool failed = false;
  std::vector<std::thread> threads;
  for (auto& communicator : communicators) {
    threads.emplace_back([&] {
      try {
        const std::int64_t wrong = run_rank(*communicator, options);
        const std::lock_guard lock(mutex);
        if (!failed && wrong > 0) code = 1;
      } catch (const std::exception& error) {
        // The first error is the cause; the other ranks of this process only hear that a rank is gone.
        const std::lock_guard lock(mutex);
        if (!failed) code = explain(error);
        failed = true;
        if (processes() > 1) {
          // No farewell to the other processes, which may be waiting in a collective: the launcher ends them.
          std::fflush(nullptr);
          std::_Exit(code);
        }
      }
      communicator.reset();
    });
  }
  for (auto& thread : threads) thread.join();
  return code;
}

int run_command_line(int argc, char** argv) {
  CLI::App app(
      "Measures collectives: time, algorithm and bus bandwidth, in the columns of nccl-tests.\n"
      "Ranks are what the launcher started (ultra submit, mpirun), or threads of this process (--ranks).\n"
      "Exit codes: 0 complete, 1 failure or wrong results, 2 wrong usage, 16 an mpi collective passed its deadline.\n");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  Options options;
  const auto add = [&](const char* names, auto& value, const char* help) {
    return app.add_option(names, value, help)->capture_default_str();
  };
  add("--operation", options.operation, "The collective, or all of them")
      ->check(CLI::IsMember({"all_reduce", "reduce_scatter", "all_gather", "broadcast", "all"}));
  add("-d,--type,--datatype", options.type, "Type of the elements")
      ->check(CLI::IsMember({"float", "float32", "bfloat16", "bf16", "int64"}));
  add("-o,--op,--redop", options.redop, "What reductions do")->check(CLI::IsMember({"sum", "max"}));
  add("-r,--root", options.settings.root, "Whose data a broadcast sends")
      ->check(CLI::NonNegativeNumber)
      ->type_name("RANK");
  add("-b,--minbytes", options.minimum, "Smallest size")->type_name("SIZE");
  add("-e,--maxbytes", options.maximum, "Largest size")->type_name("SIZE");
  add("-f,--stepfactor", options.factor, "Each size is this many times the one before; 1: --stepbytes more")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  add("-i,--stepbytes", options.step, "Distance of sizes, with -f 1")->type_name("SIZE");
  add("-n,--iterations,--iters", options.settings.iterations, "Measured calls for each size")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N");
  add("-w,--warmup,--warmup_iters", options.settings.warmup, "Calls before them")
      ->check(CLI::Range(0, 1'000'000))
      ->type_name("N");
  add("-c,--check", options.check, "1: compare every element with the right result; 0: don't")->check(CLI::Range(0, 1));
  add("--backend", options.backend,
      "auto, in_process, mpi or nccl. auto: nccl where GPUs can be used, else mpi for "
      "processes and in_process for threads")
      ->type_name("NAME");
  add("-t,--ranks,--nthreads", options.ranks, "Threads as ranks (in_process, and nccl with a GPU each)")
      ->check(CLI::Range(1, 256))
      ->type_name("N");
  add("-T,--deadline,--timeout", options.deadline_s, "Give up when a collective takes longer than this")
      ->check(CLI::PositiveNumber)
      ->type_name("SECONDS");
  app.add_flag("--json", options.json, "Print one JSON object instead of the table");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::fprintf(stderr, "ultra-perf: %s (see ultra-perf --help)\n", error.what());
    return 2;
  }
  options.settings.operation = options.redop == "sum" ? Operation::sum : Operation::max;
  options.settings.check = options.check == 1;
  options.settings.deadline =
      std::chrono::milliseconds(static_cast<std::int64_t>(std::min(options.deadline_s, 1e9) * 1000));
  // Before any rank is there: a wrong size is told once.
  const std::size_t minimum = size_from("--minbytes", options.minimum),
                    maximum = size_from("--maxbytes", options.maximum);
  size_from("--stepbytes", options.step);
  if (minimum > maximum)
    throw UsageError("--minbytes: " + options.minimum + " is more than --maxbytes " + options.maximum);
  return run_here(options);
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  try {
    return run_command_line(argc, argv);
  } catch (const std::exception& error) {
    return explain(error);
  }
}
