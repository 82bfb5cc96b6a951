#include "scheduler/batch/notify.h"

#include <algorithm>
#include <map>
#include <set>

#include "scheduler/batch/values.h"
#include "scheduler/protocol/addresses.h"
#include "scheduler/protocol/text_forms.h"

namespace ultramarine::batch {
namespace {

constexpr std::size_t mail_users_max = 10;

const std::map<std::string, std::vector<NotificationEvent>>& mail_types() {
  using enum NotificationEvent;
  static const std::map<std::string, std::vector<NotificationEvent>> types{
      {"ALL", {begin, end, fail, requeue, delayed}},
      {"BEGIN", {begin}},
      {"END", {end}},
      {"FAIL", {fail}},
      {"REQUEUE", {requeue}},
      {"DELAYED", {delayed}},
      {"TIME_LIMIT", {time_limit}},
      {"TIME_LIMIT_90", {time_limit_90}},
      {"TIME_LIMIT_80", {time_limit_80}},
      {"TIME_LIMIT_50", {time_limit_50}}};
  return types;
}

std::vector<std::string> words_between_commas(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    words.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return words;
}

std::string upper_case(std::string text) {
  for (char& letter : text)
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  return text;
}

[[noreturn]] void refuse_mail_type(const std::string& word, const std::string& where) {
  std::vector<std::string> known{"NONE", "ARRAY_TASKS"};
  for (const auto& [type, events] : mail_types()) known.push_back(type);
  const std::string near = protocol::nearest_word(word, known);
  throw Problem(where, "\"" + word + "\" is not known",
                near.empty() ? "give BEGIN, END, FAIL, REQUEUE, DELAYED, ALL, NONE, TIME_LIMIT, TIME_LIMIT_90, "
                               "TIME_LIMIT_80, TIME_LIMIT_50 or ARRAY_TASKS"
                             : "did you mean " + near + "?");
}

}  // namespace

MailTypes mail_types_value(const std::string& text, const std::string& where) {
  MailTypes types;
  std::set<NotificationEvent> events;
  for (const std::string& given : words_between_commas(text)) {
    const std::string word = upper_case(given);
    if (const auto known = mail_types().find(word); known != mail_types().end())
      events.insert(known->second.begin(), known->second.end());
    else if (word == "NONE")
      events.clear();
    else if (word == "ARRAY_TASKS")
      types.each_element = true;
    else if (word == "INVALID_DEPEND" || word == "STAGE_OUT")
      types.untold.push_back(word);
    else
      refuse_mail_type(word, where);
  }
  types.events.assign(events.begin(), events.end());
  return types;
}

std::vector<NotificationEvent> all_mail_types() { return mail_types().at("ALL"); }

std::vector<std::string> mail_users_value(const std::string& text, const std::string& where) {
  const std::vector<std::string> users = words_between_commas(text);
  if (users.size() > mail_users_max)
    throw Problem(where, std::to_string(users.size()) + " addresses are too many",
                  "give at most " + std::to_string(mail_users_max) + ", or that of a list");
  for (const std::string& user : users) {
    const std::string why =
        user.find('@') == std::string::npos ? protocol::why_no_mail_name(user) : protocol::why_no_mail_address(user);
    if (!why.empty())
      throw Problem(where, "no mail can go to \"" + user + "\": " + why,
                    "give an address like ada@example.org, or a user's name");
  }
  return users;
}

std::string webhook_value(const std::string& text, const std::string& where) {
  if (const std::string why = protocol::why_no_url(text, {"https", "http"}); !why.empty())
    throw Problem(where, "this is no URL that can be used: " + why, "give it like https://hooks.example.com/team");
  return text;
}

}  // namespace ultramarine::batch
