#include "scheduler/notifier/message.h"

#include <algorithm>

#include "scheduler/model/whole_characters.h"
#include "scheduler/net/base64.h"
#include "scheduler/net/proof.h"
#include "scheduler/notifier/plain_text.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::notifier {
namespace {

constexpr std::size_t line_max = 76;
constexpr std::size_t encoded_bytes_max = 42;  // of an encoded word: 75 characters with "=?UTF-8?B?" and "?="
constexpr std::size_t plain_header_max = 60;

std::string base64_lines(const std::string& text) {
  const std::string all = net::to_base64(text);
  std::string lines;
  for (std::size_t from = 0; from < all.size(); from += line_max) lines += all.substr(from, line_max) + "\r\n";
  return lines;
}

}  // namespace

std::string webhook_body(Notice notice, Language language) {
  notice.text = text_in_words(notice, language);
  notice.time = rfc3339(notice.time_ms.ms);
  notice.job.reason = reason_in_words(notice, language);
  return protocol::to_json(notice);
}

std::string signature_of(const std::string& body, const std::string& secret) {
  return "sha256=" + net::to_hex(net::hmac_sha256(secret, body));
}

std::string encoded_header(const std::string& text) {
  const bool is_plain = text.size() <= plain_header_max && text.find("=?") == std::string::npos &&
                        std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
  if (is_plain) return text;
  std::string value;
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view word = whole_characters(rest, encoded_bytes_max);
    if (word.empty()) word = rest.substr(0, encoded_bytes_max);  // no text, but it ends
    value += (value.empty() ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?") + net::to_base64(word) + "?=";
    rest.remove_prefix(word.size());
  }
  return value;
}

std::string mail_message(const Notice& notice, Language language, const std::string& from, const std::string& to) {
  const std::string subject = "[" + one_line(notice.cluster, 64) + "] " + subject_in_words(notice, language);
  std::string body;
  for (const std::string& line : body_in_words(notice, language)) body += line + "\r\n";
  std::string message;
  const auto header = [&](const char* name, const std::string& value) {
    message += std::string(name) + ": " + value + "\r\n";
  };
  header("From", "Ultramarine <" + from + ">");
  header("To", to);
  header("Subject", encoded_header(one_line(subject, 600)));
  header("Date", rfc5322(notice.time_ms.ms));
  header("Message-ID", "<" + notice.id + "@" + from.substr(from.rfind('@') + 1) + ">");
  header("Auto-Submitted", "auto-generated");
  header("Ultramarine-Notice", notice.id);
  header("MIME-Version", "1.0");
  header("Content-Type", "text/plain; charset=utf-8");
  header("Content-Transfer-Encoding", "base64");
  return message + "\r\n" + base64_lines(body);
}

}  // namespace ultramarine::notifier
