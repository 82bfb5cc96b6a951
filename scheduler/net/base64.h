// Bytes as text and back. Apart from the proofs, which need OpenSSL: a program that only reads base64 doesn't load that.
#pragma once

#include <string>
#include <string_view>

namespace ultramarine::net {

std::string to_base64(std::string_view bytes);
/// Throws std::invalid_argument when it is not base64.
std::string from_base64(std::string_view text);

}  // namespace ultramarine::net
