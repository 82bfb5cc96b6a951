// A notice as it travels: JSON for a webhook, a message as RFC 5322 has it for mail. Pure.
#pragma once

#include <string>

#include "scheduler/notifier/wording.h"

namespace ultramarine::notifier {

/// The notice with its sentence. UTF-8.
std::string webhook_body(Notice notice, Language language);

/// "sha256=" and the HMAC-SHA256 of `body` in hexadecimal digits.
std::string signature_of(const std::string& body, const std::string& secret);

/// Headers and body with CRLF; nothing in the notice can add a header. `from` and `to` are addresses
/// (protocol/addresses.h).
std::string mail_message(const Notice& notice, Language language, const std::string& from, const std::string& to);

/// A header's value as RFC 2047 has it: as it is when it is short ASCII, else in encoded words of at most 75
/// characters, folded.
std::string encoded_header(const std::string& text);

}  // namespace ultramarine::notifier
