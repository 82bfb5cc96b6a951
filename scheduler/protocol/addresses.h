// Addresses that notifications go to: which text is one, and which URLs users may name. Pure. Whatever passes here can
// stand in a header or on a command line: it has no control characters, blanks or quotes, and doesn't begin with a
// dash.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ultramarine::protocol {

/// "" when `text` is an e-mail address (local@domain, ASCII), else what is wrong with it.
std::string why_no_mail_address(std::string_view text);
/// The same of a user's name that a domain is put behind: letters, digits and a few signs.
std::string why_no_mail_name(std::string_view text);

/// "" when `text` is a URL of one of `schemes` with a host, without user name or password, fragment and dot segments in
/// its path; else what is wrong with it.
std::string why_no_url(std::string_view text, const std::vector<std::string>& schemes);
/// "https://hooks.example.com": scheme, host and port, without what follows, which may be a secret.
std::string origin_of(std::string_view url);

/// Whether the URL begins with one of `prefixes`. Each of these must be a URL with a path, so that no other host begins
/// with it.
bool is_allowed(std::string_view url, const std::vector<std::string>& prefixes);

}  // namespace ultramarine::protocol
