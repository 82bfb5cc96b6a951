// The files of configs/ that every program carries inside: the local cluster and the policies. The texts are made from the
// files by CMake; this is how to find them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ultramarine::protocol {

struct EmbeddedConfig {
  std::string_view path;  // below configs/, for example policies/default.toml
  std::string_view text;
};
/// All of them, ordered by path.
const std::vector<EmbeddedConfig>& embedded_configs();
/// Names of the policies among them.
std::vector<std::string> embedded_policies();

}  // namespace ultramarine::protocol
