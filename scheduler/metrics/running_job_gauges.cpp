// How running jobs do, each by its number. The layers of one job: what it holds (job_gpus), how busy that is (job_active_ratio), how much of its time
// so far would survive a failure (job_productive_ratio), and what its arithmetic is worth (train_mfu_ratio).
#include <cmath>
#include <optional>

#include "scheduler/core/limits.h"
#include "scheduler/metrics/family.h"
#include "scheduler/metrics/gauges.h"
#include "scheduler/metrics/seconds.h"
#include "scheduler/model/whole_characters.h"

namespace ultramarine::metrics {

namespace {

constexpr std::size_t name_bytes_max = 40;
constexpr double teraflop = 1e12;

/// Virtual as soon as one of its devices is: then nothing that is measured there says anything of real GPUs.
const char* source_of(const State& state, const Allocation& allocation) {
  for (const NodeAllocation& part : allocation)
    if (const auto node = state.nodes.find(part.node); node == state.nodes.end() || node->second.config.virtual_devices) return "virtual";
  return "nvml";
}

/// Mean utilization of the allocation's devices, 0 to 1; nullopt: not all of them say theirs.
std::optional<double> busy_share(const core::Liveness& liveness, const Allocation& allocation) {
  double sum = 0;
  std::int64_t count = 0;
  for (const NodeAllocation& part : allocation) {
    const auto node = liveness.nodes.find(part.node);
    if (node == liveness.nodes.end() || !node->second.connected) return std::nullopt;
    for (const std::int64_t device : part.devices)
      for (const DeviceReport& report : node->second.devices)
        if (report.device == device && report.utilization_permille) {
          sum += static_cast<double>(*report.utilization_permille) / 1000;
          ++count;
        }
  }
  if (count == 0 || count != core::gpus_of(allocation)) return std::nullopt;
  return sum / static_cast<double>(count);
}

/// FLOP/s of all GPUs together; nullopt: the cluster file doesn't say it of one.
std::optional<double> peak_flops(const State& state, const Settings& settings, const Allocation& allocation) {
  double sum = 0;
  for (const NodeAllocation& part : allocation) {
    const auto node = state.nodes.find(part.node);
    if (node == state.nodes.end()) return std::nullopt;
    const auto peak = settings.peak_tflops.find(node->second.config.gpu_type);
    if (peak == settings.peak_tflops.end()) return std::nullopt;
    sum += static_cast<double>(part.devices.size()) * static_cast<double>(peak->second) * teraflop;
  }
  return sum > 0 ? std::optional(sum) : std::nullopt;
}

}  // namespace

void running_job_gauges(const Scrape& scrape, const Books& books, const Settings& settings, Families& families) {
  using prometheus::MetricType;
  Family info("job_info", "Names of a running job, to join with.");
  Family running("job_running", "1 while the job holds GPUs.");
  Family gpus("job_gpus", "GPUs that the job holds.");
  Family starts("job_start_time_seconds", "When the job's ranks started, Unix time.");
  Family time_limits("job_time_limit_seconds", "How long the job's attempt may run.");
  Family active("job_active_ratio", "How busy the job's GPUs are, on average, 0 to 1.");
  Family productive("job_productive_ratio", "Of the time that the running attempt has held its GPUs: up to its newest checkpoint.");
  Family mfu("train_mfu_ratio", "Model FLOPs per token x tokens per second / (GPUs x their peak FLOP/s), as in PaLM (Chowdhery 2022).");
  Family ages("job_checkpoint_age_seconds", "Since the job's newest checkpoint.");
  Family intervals("job_checkpoint_interval_seconds", "Between the job's newest two checkpoints.");
  Family steps("train_steps_total", "Training steps of the running attempt.", MetricType::Counter);
  Family tokens("train_tokens_total", "Training tokens of the running attempt, all ranks.", MetricType::Counter);
  Family loss("train_loss", "Newest training loss.");
  for (const auto& [id, job] : scrape.state.jobs) {
    if (!is_active(job.state) || job.attempts.empty()) continue;
    const Attempt& attempt = job.attempts.back();
    const std::string number = std::to_string(id.value);
    const Labels labels{{"job_id", number}};
    const Labels measured{{"job_id", number}, {"source", source_of(scrape.state, attempt.allocation)}};
    info.add({{"account", job.spec.account}, {"job_id", number}, {"name", std::string(whole_characters(job.spec.name, name_bytes_max))}, {"partition", job.spec.partition}}, 1);
    running.add(labels, 1);
    gpus.add(labels, static_cast<double>(core::gpus_of(attempt.allocation)));
    time_limits.add(labels, in_seconds(attempt.trial_ms.value_or(job.spec.time_limit_ms)));
    if (attempt.started_ms) starts.add(labels, in_seconds(*attempt.started_ms));
    if (const auto busy = busy_share(scrape.liveness, attempt.allocation)) active.add(measured, *busy);
    if (job.checkpoint) ages.add(labels, in_seconds(scrape.now_ms - job.checkpoint->at_ms));
    if (const auto interval = books.gpu_time.checkpoint_interval(id)) intervals.add(labels, in_seconds(*interval));
    const core::TrainingProgress* const said = core::newest_progress(scrape.liveness, job);
    // Of a program that neither counts steps nor saves checkpoints nobody knows what would survive.
    const Duration held = scrape.now_ms - attempt.decided_ms;
    if ((said || job.checkpoint) && held.ms > 0) productive.add(labels, in_seconds(saved_so_far(job)) / in_seconds(held));
    if (!said) continue;
    steps.add(labels, static_cast<double>(said->step));
    tokens.add(labels, static_cast<double>(said->tokens));
    if (std::isfinite(said->loss)) loss.add(labels, said->loss);
    const auto peak = peak_flops(scrape.state, settings, attempt.allocation);
    const double achieved = said->flops_per_token * said->tokens_per_s;
    if (peak && std::isfinite(achieved) && achieved > 0) mfu.add(measured, achieved / *peak);
  }
  for (Family* family : {&info, &running, &gpus, &starts, &time_limits, &active, &productive, &mfu, &ages, &intervals, &steps, &tokens, &loss})
    family->into(families);
}

}  // namespace ultramarine::metrics
