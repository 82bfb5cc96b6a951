// Reading the text, drawing samples and windows from it, and counting pairs of bytes for the baseline.
#include "worker/trainer/corpus.h"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "worker/trainer/hash.h"
#include "worker/trainer/random_numbers.h"

namespace ultramarine::trainer {

Corpus::Corpus(std::vector<std::uint8_t> bytes)
    : bytes_(std::move(bytes)),
      training_size_(bytes_.size() - bytes_.size() / 10),
      hash_(hash64(bytes_.data(), bytes_.size())) {}

Bytes Corpus::sample(std::uint64_t seed, std::int64_t step, std::int64_t sample_in_batch, std::int64_t context) const {
  const auto length = static_cast<std::size_t>(context) + 1;
  const std::uint64_t choices = training_size_ - length + 1;
  const auto bits = random_bits(seed, static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(sample_in_batch));
  return training().subspan(bits % choices, length);
}

std::int64_t Corpus::window_count(std::int64_t context) const {
  return (static_cast<std::int64_t>(held_out().size()) - 1) / context;
}

Bytes Corpus::window(std::int64_t index, std::int64_t count, std::int64_t context) const {
  const std::int64_t position = index * window_count(context) / count;
  return held_out().subspan(static_cast<std::size_t>(position * context), static_cast<std::size_t>(context) + 1);
}

Corpus load_corpus(const std::string& path, std::int64_t context) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw InputError("--data: can't open " + path + ": " + std::strerror(errno));
  std::vector<std::uint8_t> bytes;
  std::uint8_t block[1 << 16];
  while (const std::size_t size = std::fread(block, 1, sizeof block, file.get()))
    bytes.insert(bytes.end(), block, block + size);
  if (std::ferror(file.get())) throw InputError("--data: can't read " + path + ": " + std::strerror(errno));
  const std::int64_t needed = (context + 2) * 10;  // so that a tenth holds one window
  if (static_cast<std::int64_t>(bytes.size()) < needed) {
    throw InputError("--data: " + path + " has " + std::to_string(bytes.size()) + " bytes; a context of " +
                     std::to_string(context) + " needs at least " + std::to_string(needed));
  }
  return Corpus(std::move(bytes));
}

double order_1_loss(Bytes training, Bytes held_out) {
  std::vector<std::int64_t> pairs(256 * 256), firsts(256);
  for (std::size_t i = 1; i < training.size(); ++i) {
    ++pairs[training[i - 1] * 256U + training[i]];
    ++firsts[training[i - 1]];
  }
  double total = 0;
  for (std::size_t i = 1; i < held_out.size(); ++i) {
    const double pair = static_cast<double>(pairs[held_out[i - 1] * 256U + held_out[i]]);
    total -= std::log((pair + 1) / (static_cast<double>(firsts[held_out[i - 1]]) + 256));
  }
  return total / static_cast<double>(held_out.size() - 1);
}

}  // namespace ultramarine::trainer
