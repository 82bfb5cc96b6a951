// Runs a harness without a fuzzer: every file of the given corpus folder, then `count` seeded mutations of those files. So every
// build sees again what a fuzzer once found, and a little that is new.   usage: <program> CORPUS-FOLDER COUNT SEED
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace {

void run(const std::string& input) { LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size()); }

std::string mutated(std::string input, const std::vector<std::string>& corpus, std::mt19937_64& random) {
  const auto below = [&](std::size_t limit) { return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random); };
  const std::size_t changes = 1 + below(4);
  for (std::size_t i = 0; i < changes; ++i) {
    const std::size_t place = below(input.size() + 1);
    switch (below(5)) {
      case 0:  // another byte
        if (place < input.size()) input[place] = static_cast<char>(below(256));
        break;
      case 1:  // a piece less
        input.erase(place, 1 + below(8));
        break;
      case 2:  // a byte that means something
        input.insert(place, 1, std::string("{}[]\",:=.-0189 \n")[below(16)]);
        break;
      case 3: {  // a piece of another input
        const std::string& other = corpus[below(corpus.size())];
        const std::size_t from = below(other.size() + 1);
        input.insert(place, other.substr(from, below(64)));
        break;
      }
      default:  // a piece twice
        input.insert(place, input.substr(place, 1 + below(16)));
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: " << argv[0] << " CORPUS-FOLDER COUNT SEED\n";
    return 2;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(argv[1])) files.push_back(file.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> corpus;
  for (const auto& file : files) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    corpus.push_back(text.str());
    run(corpus.back());
  }
  if (corpus.empty()) {
    std::cerr << argv[1] << " holds no inputs\n";
    return 1;
  }
  const std::size_t count = std::stoul(argv[2]);
  std::mt19937_64 random(std::stoull(argv[3]));
  for (std::size_t i = 0; i < count; ++i) run(mutated(corpus[i % corpus.size()], corpus, random));
  std::cout << corpus.size() << " inputs and " << count << " mutations (seed " << argv[3] << ")\n";
}
