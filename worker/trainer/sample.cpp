// Each byte is a full forward pass over the last `context` bytes: simple, and fast enough for a model of this size.
#include "worker/trainer/sample.h"

#include <algorithm>
#include <cmath>

#include "worker/trainer/random_numbers.h"

namespace ultramarine::trainer {

std::string sample_text(const Checkpoint& checkpoint, const std::string& prompt, std::int64_t length,
                        std::uint64_t seed, double temperature) {
  const ModelConfig config = model_of(checkpoint.manifest);
  Model<float> model(config, 1);
  const std::string given = prompt.empty() ? "\n" : prompt;
  std::vector<std::uint8_t> tokens(given.begin(), given.end());
  const auto vocabulary = static_cast<std::size_t>(config.vocabulary);
  std::string text;
  std::vector<double> weights(vocabulary);
  for (std::int64_t i = 0; i < length; ++i) {
    const std::size_t seen = std::min(tokens.size(), static_cast<std::size_t>(config.context));
    const auto window = std::span<const std::uint8_t>(tokens).last(seen);
    model.forward(checkpoint.parameters.data(), window, window, 1);
    const auto last = model.probabilities().last(vocabulary);
    std::size_t choice = static_cast<std::size_t>(std::max_element(last.begin(), last.end()) - last.begin());
    if (temperature > 0) {
      const double largest = std::log(static_cast<double>(last[choice]));
      double sum = 0;
      for (std::size_t token = 0; token < vocabulary; ++token) {
        weights[token] =
            last[token] > 0 ? std::exp((std::log(static_cast<double>(last[token])) - largest) / temperature) : 0.0;
        sum += weights[token];
      }
      double left = random_uniform(seed, 0, static_cast<std::uint64_t>(i)) * sum;
      for (std::size_t token = 0; token < vocabulary; ++token) {
        left -= weights[token];
        if (left < 0) {
          choice = token;
          break;
        }
      }
    }
    tokens.push_back(static_cast<std::uint8_t>(choice));
    text += static_cast<char>(choice);
  }
  return text;
}

}  // namespace ultramarine::trainer
