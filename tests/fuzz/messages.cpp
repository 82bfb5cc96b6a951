// Any bytes as a message or an API body: either a DecodeError, or a value that survives being written and read again.
#include <algorithm>
#include <string_view>

#include "scheduler/protocol/agent_messages.h"
#include "scheduler/protocol/api_messages.h"
#include "scheduler/protocol/codec.h"
#include "tests/fuzz/fuzz.h"

using namespace ultramarine;
using namespace ultramarine::protocol;

namespace {

template <class T>
void read_and_write(std::string_view text, Unknown unknown) {
  T value;
  try {
    value = from_json<T>(text, unknown);
  } catch (const DecodeError& error) {
    require(!error.problem.empty() && error.problem.size() < text.size() + 400, "errors are short sentences");
    return;
  }
  const std::string written = to_json(value);
  require(to_json(from_json<T>(written, Unknown::refused)) == written, "what is written is read the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_and_write<ToAgent>(text, Unknown::ignored);
  read_and_write<FromAgent>(text, Unknown::ignored);
  read_and_write<SubmitRequest>(text, Unknown::refused);
  return 0;
}
