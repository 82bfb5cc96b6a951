// Losses and gradients are sums of per-sample means until the very end, so that any split of the global batch over
// ranks and micro-batches adds up to the same numbers, but for rounding.
#include "worker/trainer/trainer.h"

#include <algorithm>
#include <cmath>

#include "worker/trainer/hash.h"

namespace ultramarine::trainer {

using collectives::DataType;
using collectives::Operation;

namespace {

void require(bool good, const std::string& problem) {
  if (!good) throw InputError(problem);
}

std::int64_t ceiling(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

void validate(const TrainOptions& options, int world_size) {
  const ModelConfig& model = options.model;
  require(model.layers >= 1, "--layers: at least 1");
  require(model.heads >= 1 && model.width >= 1, "--heads and --width: at least 1");
  require(model.width % model.heads == 0,
          "--width: " + std::to_string(model.width) + " isn't a multiple of --heads " + std::to_string(model.heads));
  require(model.context >= 1, "--context: at least 1");
  require(options.steps >= 1, "--steps: at least 1");
  require(options.global_batch >= 1 && options.global_batch % world_size == 0,
          "--global-batch: " + std::to_string(options.global_batch) + " samples can't be shared evenly by " +
              std::to_string(world_size) + " ranks; use a multiple of " + std::to_string(world_size));
  require(options.micro_batch >= 1, "--micro-batch: at least 1");
  require(options.optimizer.warmup_steps >= 0, "--warmup: at least 0");
  require(!options.resume || !options.checkpoint_directory.empty(),
          "--resume: needs --checkpoint-directory to resume from");
  require(options.checkpoint_every == 0 || !options.checkpoint_directory.empty(),
          "--checkpoint-every: needs --checkpoint-directory");
}

Trainer::Trainer(const TrainOptions& options, const Corpus& corpus, collectives::Communicator& communicator)
    : options_(options),
      corpus_(corpus),
      communicator_(communicator),
      micro_batch_(std::min(options.micro_batch, options.global_batch / communicator.world_size())),
      model_(options.model, micro_batch_) {
  const std::size_t count = parameter_count();
  parameters_.resize(count);
  first_moments_.resize(count);
  second_moments_.resize(count);
  gradients_.resize(count + 2);
  initialize(model_.layout(), options.seed, parameters_);
  // All ranks computed the same numbers, but the mathematics library of another CPU may round them differently.
  broadcast(parameters_.data(), count, DataType::float32);
}

void Trainer::reduce(void* data, std::size_t count, DataType type, Operation operation) {
  communicator_.all_reduce({data, count, type, collectives::Residence::host}, operation)
      ->wait(options_.collective_deadline);
}

void Trainer::broadcast(void* data, std::size_t count, DataType type) {
  communicator_.broadcast({data, count, type, collectives::Residence::host}, 0)->wait(options_.collective_deadline);
}

void Trainer::restore(const Checkpoint* checkpoint) {
  std::int64_t step = checkpoint ? checkpoint->manifest.step : -1;
  broadcast(&step, 1, DataType::int64);
  if (step < 0) return;
  if (checkpoint && communicator_.rank() == 0) {
    parameters_ = checkpoint->parameters;
    first_moments_ = checkpoint->first_moments;
    second_moments_ = checkpoint->second_moments;
  }
  for (Arena<float>* arena : {&parameters_, &first_moments_, &second_moments_})
    broadcast(arena->data(), arena->size(), DataType::float32);
  steps_done_ = step;
}

void Trainer::append_tokens(Bytes bytes) {
  tokens_.insert(tokens_.end(), bytes.begin(), bytes.end() - 1);
  targets_.insert(targets_.end(), bytes.begin() + 1, bytes.end());
}

void Trainer::clear_tokens() {
  tokens_.clear();
  targets_.clear();
}

StepResult Trainer::step(bool stop_requested) {
  const std::int64_t step = steps_done_ + 1;
  const std::int64_t own = options_.global_batch / communicator_.world_size();
  const std::int64_t first = own * communicator_.rank();
  const std::size_t count = parameter_count();
  std::fill(gradients_.begin(), gradients_.end(), 0.0F);
  for (std::int64_t begin = 0; begin < own; begin += micro_batch_) {
    const std::int64_t samples = std::min(micro_batch_, own - begin);
    clear_tokens();
    for (std::int64_t i = 0; i < samples; ++i) {
      append_tokens(corpus_.sample(options_.seed, step, first + begin + i, options_.model.context));
    }
    for (const float loss : model_.forward(parameters_.data(), tokens_, targets_, samples)) gradients_[count] += loss;
    model_.backward(parameters_.data(), gradients_.data());
  }
  gradients_[count + 1] = stop_requested ? 1.0F : 0.0F;

  reduce(gradients_.data(), gradients_.size(), DataType::float32, Operation::sum);

  const double average = 1.0 / static_cast<double>(options_.global_batch);
  StepResult result{.step = step,
                    .loss = static_cast<double>(gradients_[count]) * average,
                    .learning_rate = learning_rate_at(options_.optimizer, step, options_.steps),
                    .gradient_norm = norm_of(std::span<const float>(gradients_).first(count)) * average,
                    .stop = gradients_[count + 1] > 0};
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    throw TrainingError("step " + std::to_string(step) +
                        ": the loss is not finite any more; try a smaller --learning-rate");
  }
  const double largest = options_.optimizer.gradient_norm_max;
  const double clip = largest > 0 && result.gradient_norm > largest ? largest / result.gradient_norm : 1.0;
  update(options_.optimizer, model_.layout(), step, result.learning_rate, average * clip, gradients_, parameters_,
         first_moments_, second_moments_);
  steps_done_ = step;
  if (options_.check_every > 0 && (step % options_.check_every == 0 || step == options_.steps)) check_parameters();
  return result;
}

std::uint64_t Trainer::parameter_hash() const { return hash64(parameters_.data(), parameters_.size() * sizeof(float)); }

void Trainer::check_parameters() {
  // The largest hash, and the complement of the smallest one.
  const auto hash = static_cast<std::int64_t>(parameter_hash());
  std::int64_t extremes[2] = {hash, ~hash};
  reduce(extremes, 2, DataType::int64, Operation::max);
  if (extremes[0] != ~extremes[1]) {
    throw TrainingError(
        "step " + std::to_string(steps_done_) + ": the ranks' parameters are not the same any more (rank " +
        std::to_string(communicator_.rank()) + " has hash " + hash_text(static_cast<std::uint64_t>(hash)) + ")");
  }
}

std::int64_t Trainer::evaluation_windows() const {
  const std::int64_t available = corpus_.window_count(options_.model.context);
  if (options_.evaluation_batches == 0) return available;
  return std::min(available, options_.evaluation_batches * options_.global_batch);
}

double Trainer::evaluate() {
  const std::int64_t windows = evaluation_windows(), ranks = communicator_.world_size();
  // In units of 2^-32 nats: whole numbers add up to the same sum in every order.
  std::int64_t sum = 0;
  constexpr double unit = 0x1p32;
  const std::int64_t own = ceiling(windows - communicator_.rank(), ranks);
  for (std::int64_t begin = 0; begin < own; begin += micro_batch_) {
    const std::int64_t samples = std::min(micro_batch_, own - begin);
    clear_tokens();
    for (std::int64_t i = 0; i < samples; ++i) {
      append_tokens(corpus_.window((begin + i) * ranks + communicator_.rank(), windows, options_.model.context));
    }
    for (const float loss : model_.forward(parameters_.data(), tokens_, targets_, samples))
      sum += std::llround(static_cast<double>(loss) * unit);
  }
  reduce(&sum, 1, DataType::int64, Operation::sum);
  return static_cast<double>(sum) / unit / static_cast<double>(windows);
}

CheckpointManifest Trainer::manifest() const {
  const ModelConfig& model = options_.model;
  return {.step = steps_done_,
          .layers = model.layers,
          .heads = model.heads,
          .width = model.width,
          .context = model.context,
          .vocabulary = model.vocabulary,
          .parameter_count = static_cast<std::int64_t>(parameter_count()),
          .global_batch = options_.global_batch,
          .seed = static_cast<std::int64_t>(options_.seed),
          .data_hash = hash_text(corpus_.hash()),
          .data_bytes = static_cast<std::int64_t>(corpus_.size())};
}

}  // namespace ultramarine::trainer
