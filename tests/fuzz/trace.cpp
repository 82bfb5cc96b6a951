// Any bytes as a trace in either format: either a ConfigError with a place, or rows within their limits, in order. Left out bad rows must be
// all that differs between a reader that refuses them and one that counts them.
#include <string_view>

#include "scheduler/simulator/traces/trace.h"
#include "tests/fuzz/fuzz.h"

using namespace ultramarine;
using namespace ultramarine::simulator;

namespace {

template <class Parse>
void try_format(const Parse& parse, std::string_view text) {
  Trace skipped;
  bool has_header = true;
  try {
    skipped = parse(text, "fuzz.trace", BadRows::skipped);
  } catch (const protocol::ConfigError& error) {
    has_header = false;
    require(error.field == "header", "only a header is refused in any case");
  }
  for (std::size_t index = 0; index < skipped.jobs.size(); ++index) {
    const TraceJob& job = skipped.jobs[index];
    require(!job.id.empty() && job.gpus >= 1 && job.gpus <= gpus_max, "a job has a name and GPUs");
    require(job.submit_s >= 0 && job.submit_s <= submit_s_max && job.runtime_s >= 0 && job.runtime_s <= runtime_s_max, "times are within limits");
    require(index == 0 || skipped.jobs[index - 1].submit_s <= job.submit_s, "rows are in order");
  }
  try {
    const Trace strict = parse(text, "fuzz.trace", BadRows::refused);
    require(skipped.bad_rows == 0 && strict.jobs == skipped.jobs, "no row was bad");
  } catch (const protocol::ConfigError& error) {
    require(!has_header || skipped.bad_rows > 0, "a row was bad");
    require(error.where.starts_with("fuzz.trace:") && !error.problem.empty() && !error.remedy.empty(), "errors say where, what, and what to do");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try_format(parse_csv, text);
  try_format(parse_swf, text);
  return 0;
}
