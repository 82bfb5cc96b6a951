// Any bytes as a hostlist: refused, or names whose folded form expands to the same set.
#include <set>
#include <string_view>

#include "scheduler/protocol/text_forms.h"
#include "tests/fuzz/fuzz.h"

using namespace ultramarine;
using namespace ultramarine::protocol;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto names = expand_hostlist(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!names) return 0;
  require(!names->empty() && names->size() <= 65'536, "1 to 65,536 names");
  const auto again = expand_hostlist(fold_hostlist(*names));
  require(again.has_value(), "a folded list is a hostlist");
  require(std::set<std::string>(names->begin(), names->end()) == std::set<std::string>(again->begin(), again->end()), "folding loses no name");
  return 0;
}
