// Endpoints as text. Nothing is resolved here.
#include "scheduler/net/endpoint.h"

#include <charconv>

namespace ultramarine::net {

std::string Endpoint::text() const {
  if (is_unix()) return "unix:" + path;
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  constexpr std::string_view unix_prefix = "unix:";
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  if (text.starts_with(unix_prefix)) {
    text.remove_prefix(unix_prefix.size());
    if (text.empty()) return std::nullopt;
    return Endpoint{.path = std::string(text), .host = "", .port = 0};
  }
  if (text.starts_with('/')) return Endpoint{.path = std::string(text), .host = "", .port = 0};

  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return std::nullopt;
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos) return std::nullopt;
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;  // an IPv6 address without its brackets
  }
  if (host.empty() || host.find_first_of(" \t\r\n/[]") != std::string_view::npos) return std::nullopt;

  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc() || end != port_text.data() + port_text.size()) return std::nullopt;
  return Endpoint{.path = "", .host = std::string(host), .port = port};
}

namespace {

// Four decimal numbers from 0 to 255: a name like 127.example.org is no address.
bool is_v4_loopback(std::string_view host) {
  int parts = 0;
  bool first_is_127 = false;
  while (true) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(host.data(), host.data() + host.size(), value);
    if (error != std::errc() || value > 255) return false;
    if (parts++ == 0) first_is_127 = value == 127;
    host.remove_prefix(static_cast<std::size_t>(end - host.data()));
    if (host.empty()) return parts == 4 && first_is_127;
    if (host.front() != '.' || parts == 4) return false;
    host.remove_prefix(1);
  }
}

}  // namespace

bool is_loopback(const Endpoint& endpoint) {
  return endpoint.is_unix() || endpoint.host == "localhost" || endpoint.host == "::1" || is_v4_loopback(endpoint.host);
}

}  // namespace ultramarine::net
