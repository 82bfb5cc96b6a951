// The training text: a file of bytes, the last tenth held out. A token is a byte. Which bytes a sample is made of
// depends on (seed, step, sample) alone, never on ranks. Also the baseline that a model must beat: an order-1 byte
// model.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace ultramarine::trainer {

/// What the user gave can't be used; the text names it and the remedy in one line. Exit code 2.
struct InputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using Bytes = std::span<const std::uint8_t>;

class Corpus {
 public:
  explicit Corpus(std::vector<std::uint8_t> bytes);

  Bytes training() const { return Bytes(bytes_).first(training_size_); }
  Bytes held_out() const { return Bytes(bytes_).subspan(training_size_); }
  std::uint64_t hash() const { return hash_; }
  std::size_t size() const { return bytes_.size(); }

  /// context + 1 bytes of the training part: inputs are all but the last, targets all but the first.
  Bytes sample(std::uint64_t seed, std::int64_t step, std::int64_t sample_in_batch, std::int64_t context) const;

  /// How many windows of `context` predictions the held-out part has without overlap.
  std::int64_t window_count(std::int64_t context) const;
  /// context + 1 bytes: window `index` of `count`, spread evenly over the held-out part. count <= window_count.
  Bytes window(std::int64_t index, std::int64_t count, std::int64_t context) const;

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t training_size_;
  std::uint64_t hash_;
};

/// Throws InputError when the file is missing, unreadable or too short for windows of `context` in both parts.
Corpus load_corpus(const std::string& path, std::int64_t context);

/// Mean of -ln p(byte | byte before) over `held_out` (from its second byte), in nats per byte, with
/// p(b | a) = (count(ab) + 1) / (count(a) + 256) counted on `training`.
double order_1_loss(Bytes training, Bytes held_out);

constexpr double bits_per_nat = 1.4426950408889634;

}  // namespace ultramarine::trainer
