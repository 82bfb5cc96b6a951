#include "scheduler/notifier/transfer.h"

#include <curl/curl.h>

#include <algorithm>
#include <list>
#include <map>
#include <mutex>

#include "scheduler/notifier/mail_program.h"
#include "scheduler/notifier/message.h"
#include "scheduler/notifier/plain_text.h"
#include "scheduler/protocol/addresses.h"

namespace ultramarine::notifier {
namespace {

constexpr std::size_t answer_bytes_max = 64 * 1024;  // of a webhook's answer, which nobody reads
constexpr std::chrono::milliseconds look_again{50};  // where nothing tells when a program has ended

struct EasyFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

/// One exchange of libcurl, with what has to live as long.
struct Exchange {
  std::int64_t ticket = 0;
  std::unique_ptr<CURL, EasyFree> handle{curl_easy_init()};
  std::unique_ptr<curl_slist, ListFree> list;
  std::string text, where;
  std::size_t sent = 0, answered = 0;
  bool is_mail = false;

  void append(const std::string& line) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    if (!longer) return;
    (void)list.release();
    list.reset(longer);
  }
  template <class Value>
  void set(CURLoption option, Value value) {
    curl_easy_setopt(handle.get(), option, value);
  }
};

std::size_t take_answer(char*, std::size_t size, std::size_t count, void* data) {
  auto& exchange = *static_cast<Exchange*>(data);
  exchange.answered += size * count;
  return exchange.answered > answer_bytes_max ? 0 : size * count;
}

std::size_t give_text(char* to, std::size_t size, std::size_t count, void* data) {
  auto& exchange = *static_cast<Exchange*>(data);
  const std::size_t bytes = std::min(size * count, exchange.text.size() - exchange.sent);
  exchange.text.copy(to, bytes, exchange.sent);
  exchange.sent += bytes;
  return bytes;
}

void set_common(Exchange& exchange, const std::string& url, const Means& means, const char* protocols) {
  exchange.where = protocol::origin_of(url);
  exchange.set(CURLOPT_URL, url.c_str());
  exchange.set(CURLOPT_PROTOCOLS_STR, protocols);
  exchange.set(CURLOPT_NOSIGNAL, 1L);
  exchange.set(CURLOPT_TIMEOUT_MS, static_cast<long>(means.section.timeout_ms.ms));
  exchange.set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(means.section.timeout_ms.ms));
  exchange.set(CURLOPT_WRITEFUNCTION, &take_answer);
  exchange.set(CURLOPT_WRITEDATA, &exchange);
  exchange.set(CURLOPT_PRIVATE, &exchange);
}

std::string secret_of(const std::string& url, const Means& means) {
  for (std::size_t i = 0; i < means.section.webhook.size() && i < means.secrets.webhooks.size(); ++i)
    if (means.section.webhook[i].url == url) return means.secrets.webhooks[i];
  return "";
}

/// No redirect is followed: where one leads nobody has allowed.
void set_up_webhook(Exchange& exchange, const Delivery& delivery, const Means& means) {
  set_common(exchange, delivery.address, means, "http,https");
  exchange.text = webhook_body(delivery.notice, language_of(means.section.language));
  exchange.append("Content-Type: application/json; charset=utf-8");
  exchange.append("Expect:");
  exchange.append("Ultramarine-Notice: " + delivery.notice.id);
  const std::string secret = delivery.cluster_wide ? secret_of(delivery.address, means) : "";
  if (!secret.empty()) exchange.append("Ultramarine-Signature: " + signature_of(exchange.text, secret));
  exchange.set(CURLOPT_USERAGENT, "ultramarine");
  exchange.set(CURLOPT_FOLLOWLOCATION, 0L);
  exchange.set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(exchange.text.size()));
  exchange.set(CURLOPT_POSTFIELDS, exchange.text.c_str());
  exchange.set(CURLOPT_HTTPHEADER, exchange.list.get());
}

/// A password goes over no wire in the clear, unless that wire is inside this machine.
bool is_this_machine(const std::string& url) {
  const std::string origin = protocol::origin_of(url);
  const std::string host = origin.substr(origin.find("://") + 3);
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

void set_up_smtp(Exchange& exchange, const Delivery& delivery, const Means& means) {
  const protocol::NotificationsSection& section = means.section;
  set_common(exchange, section.smtp_url, means, "smtp,smtps");
  exchange.is_mail = true;
  exchange.text = mail_message(delivery.notice, language_of(section.language), section.from, delivery.address);
  exchange.append("<" + delivery.address + ">");
  const std::string from = "<" + section.from + ">";
  exchange.set(CURLOPT_MAIL_FROM, from.c_str());
  exchange.set(CURLOPT_MAIL_RCPT, exchange.list.get());
  const bool has_login = !section.smtp_user.empty();
  exchange.set(CURLOPT_USE_SSL,
               static_cast<long>(has_login && !is_this_machine(section.smtp_url) ? CURLUSESSL_ALL : CURLUSESSL_TRY));
  if (has_login) {
    exchange.set(CURLOPT_USERNAME, section.smtp_user.c_str());
    exchange.set(CURLOPT_PASSWORD, means.secrets.smtp_password.c_str());
  }
  exchange.set(CURLOPT_UPLOAD, 1L);
  exchange.set(CURLOPT_READFUNCTION, &give_text);
  exchange.set(CURLOPT_READDATA, &exchange);
  exchange.set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(exchange.text.size()));
}

Ended judged_webhook(const Exchange& exchange, CURLcode code, long status) {
  const bool was_answered = code == CURLE_OK || (code == CURLE_WRITE_ERROR && status != 0);
  if (!was_answered) return {exchange.ticket, Verdict::later, exchange.where + ": " + curl_easy_strerror(code)};
  if (status >= 200 && status < 300) return {exchange.ticket, Verdict::delivered, ""};
  const std::string why = exchange.where + ": HTTP status " + std::to_string(status);
  if (status >= 300 && status < 400) return {exchange.ticket, Verdict::never, why + "; redirects are not followed"};
  return {exchange.ticket,
          status >= 500 || status == 408 || status == 425 || status == 429 ? Verdict::later : Verdict::never, why};
}

/// A refusal of the login is the cluster file's mistake and may be mended; one of the sender, receiver or message is
/// for good.
Ended judged_mail(const Exchange& exchange, CURLcode code, long status) {
  if (code == CURLE_OK) return {exchange.ticket, Verdict::delivered, ""};
  const bool is_refusal = status >= 500 && status < 600 && code != CURLE_LOGIN_DENIED && code != CURLE_USE_SSL_FAILED;
  return {exchange.ticket, is_refusal ? Verdict::never : Verdict::later,
          exchange.where + ": " + curl_easy_strerror(code) +
              (status > 0 ? " (SMTP status " + std::to_string(status) + ")" : "")};
}

void prepare_libcurl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

struct Transfers::Parts {
  CURLM* multi = nullptr;
  std::list<Exchange> exchanges;
  std::map<std::int64_t, std::unique_ptr<MailProgram>> programs;

  void take_ended(std::vector<Ended>& ended) {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* handle = message->easy_handle;
      const CURLcode code = message->data.result;
      Exchange* exchange = nullptr;
      long status = 0;
      curl_easy_getinfo(handle, CURLINFO_PRIVATE, &exchange);
      curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
      ended.push_back(exchange->is_mail ? judged_mail(*exchange, code, status)
                                        : judged_webhook(*exchange, code, status));
      curl_multi_remove_handle(multi, handle);
      exchanges.remove_if([&](const Exchange& one) { return &one == exchange; });
    }
    std::erase_if(programs, [&](const auto& entry) {
      const auto end = entry.second->end();
      if (end) ended.push_back({entry.first, end->verdict, end->why});
      return end.has_value();
    });
  }

  /// Descriptors that tell when a program has ended, and how long to sleep at most.
  std::vector<curl_waitfd> watched(std::chrono::milliseconds& longest) const {
    std::vector<curl_waitfd> descriptors;
    const auto now = std::chrono::steady_clock::now();
    for (const auto& [ticket, program] : programs) {
      if (program->descriptor() >= 0)
        descriptors.push_back({program->descriptor(), CURL_WAIT_POLLIN, 0});
      else
        longest = std::min(longest, look_again);
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(program->deadline() - now);
      longest = std::clamp(left, std::chrono::milliseconds(0), longest);
    }
    return descriptors;
  }
};

Transfers::Transfers() : parts_(std::make_unique<Parts>()) {
  prepare_libcurl();
  parts_->multi = curl_multi_init();
}

Transfers::~Transfers() {
  for (Exchange& exchange : parts_->exchanges) curl_multi_remove_handle(parts_->multi, exchange.handle.get());
  parts_->exchanges.clear();
  curl_multi_cleanup(parts_->multi);
}

void Transfers::begin(std::int64_t ticket, const Delivery& delivery, const Means& means) {
  const protocol::NotificationsSection& section = means.section;
  if (delivery.channel == Channel::mail && section.mail == "sendmail") {
    std::string message = mail_message(delivery.notice, language_of(section.language), section.from, delivery.address);
    std::erase(message, '\r');  // lines as programs on this machine have them
    parts_->programs[ticket] = std::make_unique<MailProgram>(section.sendmail, section.from, delivery.address, message,
                                                             std::chrono::milliseconds(section.timeout_ms.ms));
    return;
  }
  Exchange& exchange = parts_->exchanges.emplace_back();
  exchange.ticket = ticket;
  if (delivery.channel == Channel::mail)
    set_up_smtp(exchange, delivery, means);
  else
    set_up_webhook(exchange, delivery, means);
  curl_multi_add_handle(parts_->multi, exchange.handle.get());
}

std::size_t Transfers::under_way() const { return parts_->exchanges.size() + parts_->programs.size(); }

std::vector<Ended> Transfers::go_on(std::chrono::milliseconds longest) {
  std::vector<Ended> ended;
  int running = 0;
  curl_multi_perform(parts_->multi, &running);
  parts_->take_ended(ended);
  if (!ended.empty()) return ended;
  std::vector<curl_waitfd> descriptors = parts_->watched(longest);
  curl_multi_poll(parts_->multi, descriptors.data(), static_cast<unsigned>(descriptors.size()),
                  static_cast<int>(longest.count()), nullptr);
  curl_multi_perform(parts_->multi, &running);
  parts_->take_ended(ended);
  return ended;
}

void Transfers::wake() { curl_multi_wakeup(parts_->multi); }

}  // namespace ultramarine::notifier
