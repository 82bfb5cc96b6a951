// Any bytes as a job script: refused with a place and a remedy, or a job that keeps the script to the byte and asks for something possible.
#include <algorithm>
#include <string>

#include "scheduler/batch/request.h"
#include "tests/fuzz/fuzz.h"

using namespace ultramarine;
using namespace ultramarine::batch;

namespace {

bool is_one_line(const std::string& text) { return !text.empty() && text.find('\n') == std::string::npos; }

void check(const Request& request, const std::string& text) {
  const JobSpec& spec = request.spec;
  require(spec.script && spec.script->text == text, "the script is kept to the byte");
  require(!spec.output.empty(), "a script writes its output somewhere");
  require(!spec.name.empty() && !spec.working_directory.empty() && spec.working_directory.front() == '/', "name and folder");
  const Resources& resources = spec.resources;
  require((resources.gpus > 0) != (resources.nodes > 0 && resources.gpus_per_node > 0), "a total or a shape");
  require(spec.ranks >= 0 && spec.ranks_per_node >= 0 && spec.cpus_per_rank >= 0, "no negative numbers");
  require(spec.cpus_per_gpu >= 0 && spec.memory_per_gpu_bytes >= 0, "no negative shares");
  require(
      spec.time_limit_ms == longest_time_limit || (spec.time_limit_ms.ms >= 0 && spec.time_limit_ms.ms <= hours(24 * 366 * 100000LL).ms),
      "a limit");
  require(std::is_sorted(request.array_indices.begin(), request.array_indices.end()) && request.array_indices.size() <= 10'000, "array");
  require(!spec.warning || (spec.warning->signal >= 1 && spec.warning->signal <= 64), "a signal");
  for (const Dependency& dependency : spec.dependencies) require(dependency.job.value > 0, "jobs are numbered from 1");
  for (const std::string& line : request.warnings) require(is_one_line(line), "a warning is one line");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Submission submission;
  submission.name = "job.sh";
  submission.text.assign(reinterpret_cast<const char*>(data), size);
  submission.command = {"job.sh"};
  submission.folder = "/home/ada";
  try {
    check(request_of(submission), submission.text);
  } catch (const Problem& problem) {
    require(problem.where.starts_with("job.sh") && !problem.problem.empty(), "an error says where");
    require(is_one_line(problem.what()), "an error is one line");
  }
  return 0;
}
