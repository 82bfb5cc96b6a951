// Any bytes as a length of time: refused, or not negative and near its own written form.
#include <string_view>

#include "scheduler/protocol/text_forms.h"
#include "tests/fuzz/fuzz.h"

using namespace ultramarine;
using namespace ultramarine::protocol;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto length = parse_duration(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!length) return 0;
  require(length->ms >= 0, "lengths are not negative");
  const auto again = parse_duration(format_duration(*length));
  require(again.has_value() && *again <= *length && length->ms - again->ms < 3'600'000, "a written length is read back");
  return 0;
}
