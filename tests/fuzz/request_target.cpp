// Any bytes as a request target or an endpoint: refused, or safe to use and the same again when written and read back.
#include <string_view>

#include "scheduler/net/endpoint.h"
#include "scheduler/net/target.h"
#include "tests/fuzz/fuzz.h"

using namespace ultramarine;
using namespace ultramarine::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto target = parse_target(text)) {
    require(target->path == "*" || target->path.starts_with('/'), "a path begins with a slash");
    require(target->path.find('\0') == std::string::npos, "no NUL in a path");
    const std::string written = encode_target(*target);
    require(written.find_first_of(" \r\n") == std::string::npos, "a written target is one word");
    const auto again = parse_target(written);
    require(again && again->path == target->path && again->query == target->query, "a written target is read back");
  }
  if (const auto endpoint = parse_endpoint(text)) {
    const auto again = parse_endpoint(endpoint->text());
    require(again && again->text() == endpoint->text(), "a written endpoint is read back");
    require(is_loopback(*again) == is_loopback(*endpoint), "a written endpoint is the same place");
  }
  return 0;
}
