// Losses and gradients are sums of per-sample means until the very end, so that any split of the global batch over
// ranks and micro-batches adds up to the same numbers, but for rounding.
#include "worker/trainer/trainer.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "worker/trainer/hash.h"

namespace ultramarine::trainer {

using collectives::Buffer;
using collectives::DataType;
using collectives::Operation;
using collectives::Residence;

namespace {

void require(bool good, const std::string& problem) {
  if (!good) throw InputError(problem);
}

std::int64_t ceiling(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// `rank 3 has CHECKSUM, the other 7 have CHECKSUM`: those against the majority, or all where there is none.
std::string differences(const std::vector<std::int64_t>& checksums) {
  std::map<std::int64_t, std::size_t> votes;
  for (const std::int64_t checksum : checksums) ++votes[checksum];
  const auto most =
      std::max_element(votes.begin(), votes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const bool majority = most->second * 2 > checksums.size();
  constexpr std::size_t listed_max = 8;
  std::string text;
  std::size_t listed = 0;
  for (std::size_t rank = 0; rank < checksums.size() && listed < listed_max; ++rank) {
    if (majority && checksums[rank] == most->first) continue;
    text += (listed++ == 0 ? "rank " : ", rank ") + std::to_string(rank) + " has " +
            hash_text(static_cast<std::uint64_t>(checksums[rank]));
  }
  if (majority) {
    text +=
        ", the other " + std::to_string(most->second) + " have " + hash_text(static_cast<std::uint64_t>(most->first));
  }
  return text;
}

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

Trainer::Trainer(const TrainOptions& options, const Corpus& corpus, collectives::Communicator& communicator,
                 Device& device)
    : options_(options),
      corpus_(corpus),
      communicator_(communicator),
      device_(device),
      operations_(device.training_operations()),
      stream_(device.make_stream()),
      exchange_(communicator, device, *stream_, options.collective_deadline),
      micro_batch_(std::min(options.micro_batch, options.global_batch / communicator.world_size())),
      model_(options.model, micro_batch_, device, *stream_, device.model_operations()) {
  const std::size_t count = parameter_count();
  for (DeviceArray<float>* array : {&parameters_, &first_moments_, &second_moments_}) {
    *array = DeviceArray<float>(device, count);
    stream_->clear(array->data(), array->bytes());
  }
  gradients_ = DeviceArray<float>(device, count + 2);
  squares_ = DeviceArray<double>(device, TrainingOperations::sum_scratch);
  checksums_ = DeviceArray<std::uint64_t>(device, TrainingOperations::sum_scratch);
  Arena<float> initial(count);
  initialize(model_.layout(), options.seed, initial);
  stream_->copy_to_device(parameters_.data(), initial.data(), parameters_.bytes());
  // All ranks computed the same numbers, but the mathematics library of another CPU may round them differently.
  exchange_.broadcast(exchange_.buffer_of(parameters_));
}

bool Trainer::any_rank(bool says) {
  std::int64_t answer = says ? 1 : 0;
  exchange_.reduce({&answer, 1, DataType::int64, Residence::host}, Operation::max);
  return answer != 0;
}

Arena<float> Trainer::on_host(const DeviceArray<float>& array) const {
  Arena<float> values(array.size());
  stream_->copy_to_host(values.data(), array.data(), array.bytes());
  stream_->synchronize();
  return values;
}

void Trainer::set_parameter(std::size_t index, float value) {
  stream_->copy_to_device(parameters_.data() + index, &value, sizeof value);
}

void Trainer::restore(const Checkpoint* checkpoint) {
  std::int64_t step = checkpoint ? checkpoint->manifest.step : -1;
  exchange_.broadcast({&step, 1, DataType::int64, Residence::host});
  if (step < 0) return;
  if (checkpoint && communicator_.rank() == 0) {
    stream_->copy_to_device(parameters_.data(), checkpoint->parameters.data(), parameters_.bytes());
    stream_->copy_to_device(first_moments_.data(), checkpoint->first_moments.data(), first_moments_.bytes());
    stream_->copy_to_device(second_moments_.data(), checkpoint->second_moments.data(), second_moments_.bytes());
  }
  for (DeviceArray<float>* array : {&parameters_, &first_moments_, &second_moments_})
    exchange_.broadcast(exchange_.buffer_of(*array));
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
  float* gradients = gradients_.data();
  stream_->clear(gradients, gradients_.bytes());
  for (std::int64_t begin = 0; begin < own; begin += micro_batch_) {
    const std::int64_t samples = std::min(micro_batch_, own - begin);
    clear_tokens();
    for (std::int64_t i = 0; i < samples; ++i) {
      append_tokens(corpus_.sample(options_.seed, step, first + begin + i, options_.model.context));
    }
    const std::span<const float> losses = model_.forward(parameters_.data(), tokens_, targets_, samples);
    operations_.add_up(*stream_, losses.size(), losses.data(), gradients + count);
    model_.backward(parameters_.data(), gradients);
  }
  const float stop = stop_requested ? 1.0F : 0.0F;
  stream_->copy_to_device(gradients + count + 1, &stop, sizeof stop);

  exchange_.reduce(exchange_.buffer_of(gradients_), Operation::sum);

  operations_.sum_of_squares(*stream_, count, gradients, squares_.data());
  double squares = 0;
  float loss_and_stop[2] = {};
  stream_->copy_to_host(&squares, squares_.data(), sizeof squares);
  stream_->copy_to_host(loss_and_stop, gradients + count, sizeof loss_and_stop);
  stream_->synchronize();
  const double average = 1.0 / static_cast<double>(options_.global_batch);
  StepResult result{.step = step,
                    .loss = static_cast<double>(loss_and_stop[0]) * average,
                    .learning_rate = learning_rate_at(options_.optimizer, step, options_.steps),
                    .gradient_norm = std::sqrt(squares) * average,
                    .stop = loss_and_stop[1] > 0};
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    throw TrainingError("step " + std::to_string(step) +
                        ": the loss is not finite any more; try a smaller --learning-rate");
  }
  const double largest = options_.optimizer.gradient_norm_max;
  const double clip = largest > 0 && result.gradient_norm > largest ? largest / result.gradient_norm : 1.0;
  update(options_.optimizer, model_.layout(), step, result.learning_rate, average * clip,
         [&](const Tensor& tensor, const AdamwStep& own_step) {
           operations_.adamw(*stream_, tensor.count, own_step, gradients + tensor.offset,
                             parameters_.data() + tensor.offset, first_moments_.data() + tensor.offset,
                             second_moments_.data() + tensor.offset);
         });
  steps_done_ = step;
  if (options_.check_every > 0 && (step % options_.check_every == 0 || step == options_.steps)) check_parameters();
  return result;
}

std::uint64_t Trainer::parameter_hash() const {
  if (device_.is_host_memory()) return hash64(parameters_.data(), parameters_.bytes());
  const Arena<float> values = parameters();
  return hash64(values.data(), values.size() * sizeof(float));
}

void Trainer::check_parameters() {
  operations_.checksum(*stream_, parameters_.size(), parameters_.data(), checksums_.data());
  const auto ranks = static_cast<std::size_t>(communicator_.world_size());
  std::vector<std::int64_t> checksums(ranks);
  stream_->copy_to_host(&checksums[static_cast<std::size_t>(communicator_.rank())], checksums_.data(),
                        sizeof checksums[0]);
  stream_->synchronize();
  exchange_.run(
      {checksums.data(), ranks, DataType::int64, Residence::host}, [&](Buffer all, collectives::Stream stream) {
        return communicator_.all_gather(part_of(all, communicator_.rank(), communicator_.world_size()), all, stream);
      });
  if (std::adjacent_find(checksums.begin(), checksums.end(), std::not_equal_to<>()) != checksums.end()) {
    throw TrainingError("step " + std::to_string(steps_done_) +
                        ": the ranks' parameters are not the same any more: " + differences(checksums));
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
  std::vector<float> losses;
  for (std::int64_t begin = 0; begin < own; begin += micro_batch_) {
    const std::int64_t samples = std::min(micro_batch_, own - begin);
    clear_tokens();
    for (std::int64_t i = 0; i < samples; ++i) {
      append_tokens(corpus_.window((begin + i) * ranks + communicator_.rank(), windows, options_.model.context));
    }
    const std::span<const float> on_device = model_.forward(parameters_.data(), tokens_, targets_, samples);
    losses.resize(on_device.size());
    stream_->copy_to_host(losses.data(), on_device.data(), on_device.size_bytes());
    stream_->synchronize();
    for (const float loss : losses) sum += std::llround(static_cast<double>(loss) * unit);
  }
  exchange_.reduce({&sum, 1, DataType::int64, Residence::host}, Operation::sum);
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
