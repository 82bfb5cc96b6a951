// The checks of [notifications], for which a mistake is found when the file is read and not when the first message is
// lost.
#include <algorithm>

#include "scheduler/protocol/addresses.h"
#include "scheduler/protocol/config_checks.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::protocol {
namespace {

const std::vector<std::string> web_schemes{"http", "https"}, mail_schemes{"smtp", "smtps"};

std::string quoted(const std::string& text) { return "\"" + text.substr(0, 200) + "\""; }

/// Of a URL only what is no secret is repeated.
void check_url(const std::string& url, const std::vector<std::string>& schemes, const std::string& path,
               const std::string& example, const TomlReader& reader) {
  if (url.empty()) reader.fail(path, "a URL is missing", "write it like " + example);
  if (const std::string why = why_no_url(url, schemes); !why.empty())
    reader.fail(path, "this is no URL that can be used: " + why, "write it like " + example);
}

void check_word(const std::string& word, const std::vector<std::string>& known, const std::string& path,
                const TomlReader& reader) {
  if (std::find(known.begin(), known.end(), word) != known.end()) return;
  std::string words;
  for (const std::string& one : known) words += (words.empty() ? "" : ", ") + one;
  const std::string near = nearest_word(word, known);
  reader.fail(path, "unknown word " + quoted(word),
              near.empty() ? "known: " + words : "did you mean " + quoted(near) + "?");
}

void check_length(Duration length, Duration least, Duration most, const std::string& path, const TomlReader& reader) {
  if (length < least || length > most)
    reader.fail(path, format_duration(length) + " is out of range",
                "use " + format_duration(least) + " to " + format_duration(most));
}

void check_mail(const NotificationsSection& section, const TomlReader& reader) {
  check_word(section.mail, {"off", "sendmail", "smtp"}, "notifications.mail", reader);
  if (!section.from.empty() || section.mail != "off") {
    if (section.from.empty())
      reader.fail("notifications.mail", "mail has no sender", "add from = \"ultramarine@example.org\"");
    if (const std::string why = why_no_mail_address(section.from); !why.empty())
      reader.fail("notifications.from", quoted(section.from) + " is no e-mail address: " + why,
                  "write it like \"ultramarine@example.org\"");
  }
  if (!section.mail_domain.empty())
    if (const std::string why = why_no_mail_address("user@" + section.mail_domain); !why.empty())
      reader.fail("notifications.mail_domain", quoted(section.mail_domain) + " is no name of a domain",
                  "write it like \"example.org\"");
  if (!section.sendmail.starts_with('/'))
    reader.fail("notifications.sendmail", quoted(section.sendmail) + " is no absolute path",
                "write where the program lies, like \"/usr/sbin/sendmail\"");
  if (!section.smtp_url.empty() || section.mail == "smtp")
    check_url(section.smtp_url, mail_schemes,
              section.smtp_url.empty() ? "notifications.mail" : "notifications.smtp_url",
              "smtp_url = \"smtp://mail.example.org:25\"", reader);
  if (section.mail == "smtp" && section.mail_domain.empty())
    reader.fail("notifications.mail", "nobody knows where users read mail",
                "add mail_domain = \"example.org\": mail for ada goes to ada@example.org");
  const bool has_control = std::any_of(section.smtp_user.begin(), section.smtp_user.end(),
                                       [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (has_control) reader.fail("notifications.smtp_user", "it has control characters in it", "write one line");
  if (section.smtp_user.empty() != section.smtp_password_file.empty())
    reader.fail(section.smtp_user.empty() ? "notifications.smtp_password_file" : "notifications.smtp_user",
                "a login has a user and a password",
                section.smtp_user.empty() ? "add smtp_user" : "add smtp_password_file, a file of mode 0600");
}

}  // namespace

void check_notifications(const NotificationsSection& section, const std::vector<std::string>& accounts,
                         const TomlReader& reader) {
  for (std::size_t i = 0; i < section.webhook.size(); ++i) {
    const std::string path = "notifications.webhook[" + std::to_string(i) + "]";
    check_url(section.webhook[i].url, web_schemes, path + ".url", "url = \"https://hooks.example.com/ultramarine\"",
              reader);
    for (std::size_t k = 0; k < section.webhook[i].events.size(); ++k)
      if (section.webhook[i].events[k] >= NotificationEvent::time_limit_50)
        reader.fail(path + ".events[" + std::to_string(k) + "]",
                    "shares of time limits are told to owners alone, who ask for them", "leave it out");
    for (std::size_t k = 0; k < section.webhook[i].accounts.size(); ++k) {
      const std::string& account = section.webhook[i].accounts[k];
      if (std::find(accounts.begin(), accounts.end(), account) != accounts.end()) continue;
      const std::string near = nearest_word(account, accounts);
      reader.fail(path + ".accounts[" + std::to_string(k) + "]", "there is no account " + quoted(account),
                  near.empty() ? "name one that has an [[account]]" : "did you mean " + quoted(near) + "?");
    }
  }
  for (std::size_t i = 0; i < section.webhooks_allowed.size(); ++i) {
    const std::string path = "notifications.webhooks_allowed[" + std::to_string(i) + "]";
    const std::string& prefix = section.webhooks_allowed[i];
    check_url(prefix, web_schemes, path, "webhooks_allowed = [\"https://hooks.example.com/\"]", reader);
    if (prefix.find('/', prefix.find("://") + 3) == std::string::npos)
      reader.fail(path, "other hosts begin with " + quoted(prefix) + ", too",
                  "end it with a slash: " + quoted(prefix + "/"));
  }
  check_mail(section, reader);
  check_word(section.language, {"en", "ko"}, "notifications.language", reader);
  check_length(section.timeout_ms, milliseconds(100), minutes(1), "notifications.timeout_ms", reader);
  check_length(section.retry_after_ms, milliseconds(100), minutes(10), "notifications.retry_after_ms", reader);
  check_length(section.give_up_after_ms, seconds(1), hours(24 * 14), "notifications.give_up_after_ms", reader);
}

}  // namespace ultramarine::protocol
