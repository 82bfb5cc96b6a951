#include "scheduler/cli/page_door.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "scheduler/cli/language.h"
#include "scheduler/net/file_descriptor.h"
#include "scheduler/net/proof.h"

namespace ultramarine::cli {

namespace {

constexpr std::size_t secret_bytes = 16;
constexpr std::size_t requests_at_once_max = 64;

net::Response refusal(int status, const std::string& words) { return {status, "text/plain; charset=utf-8", words + "\n", {{"Cache-Control", "no-store"}}}; }

/// Those of a request's headers that the scheduler looks at, and of an answer's that the browser does.
std::map<std::string, std::string> only(const std::map<std::string, std::string>& headers, std::initializer_list<const char*> names) {
  std::map<std::string, std::string> kept;
  for (const char* name : names)
    if (const auto found = headers.find(name); found != headers.end()) kept.insert(*found);
  return kept;
}

/// "" when it isn't answered piece by piece.
std::string type_of_stream(const std::string& path) {
  if (path == "/v1/events") return "text/event-stream";
  return path.starts_with("/v1/jobs/") && path.ends_with("/logs") ? "application/x-ndjson" : "";
}

}  // namespace

/// A request on its way, with a thread of its own: the client of `net` waits.
struct PageDoor::Passed {
  net::FileDescriptor gone{::eventfd(0, EFD_CLOEXEC)};  // readable once nobody wants the answer any more
  std::atomic<bool> is_over = false;
  std::thread thread;
  std::shared_ptr<net::Stream> stream;  // loop's thread

  void end() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(gone.get(), &one, sizeof one);
  }
};

PageDoor::PageDoor(net::Loop& loop, std::string socket, std::uint16_t port)
    : loop_(loop), socket_(std::move(socket)), secret_("/" + net::random_hex(secret_bytes)), token_(net::random_hex(secret_bytes)) {
  net::Endpoint endpoint;
  endpoint.host = "127.0.0.1";
  endpoint.port = port;
  server_ = net::listen(loop_, endpoint, [this](net::Request request, std::shared_ptr<net::Reply> reply) { take(std::move(request), std::move(reply)); });
}

PageDoor::~PageDoor() {
  server_.reset();
  for (const auto& one : passed_) one->end();
  for (const auto& one : passed_) one->thread.join();
}

std::string PageDoor::address() const { return "http://" + server_->endpoint().text() + "/?token=" + token_; }

/// Not through a name that somebody else's page made up for this address.
bool PageDoor::names_this_door(const net::Request& request) const {
  const std::string here = server_->endpoint().text();
  const std::string host = request.header("host");
  return host == here || host == "localhost" + here.substr(here.rfind(':'));
}

/// Whether a page of somebody else's may be behind it. Browsers say with every request that changes something which
/// page it comes from. A link somewhere else may lead here, as long as it only leads to the page.
bool PageDoor::is_from_elsewhere(const net::Request& request) {
  const std::string origin = request.header("origin"), site = request.header("sec-fetch-site");
  if (!site.empty() && site != "same-origin" && site != "none" && request.header("sec-fetch-mode") != "navigate")
    return true;
  const bool only_reads = request.method == "GET" || request.method == "HEAD";
  return origin.empty() ? !only_reads : origin != "http://" + request.header("host");
}

void PageDoor::take(net::Request request, std::shared_ptr<net::Reply> reply) {
  if (!names_this_door(request)) return reply->send(refusal(421, spoken("this address answers only to {0}", server_->endpoint().text())));
  if (is_from_elsewhere(request)) return reply->send(refusal(403, spoken("another page asks")));
  if (request.path == "/") {
    const auto token = request.query.find("token");
    if (token == request.query.end() || token_.empty() || !net::equal_in_constant_time(token->second, token_))
      return reply->send(refusal(403, spoken("this address works once; run 'ultra dashboard' again")));
    token_.clear();
    return reply->send({303, "", "", {{"Location", secret_ + "/"}, {"Cache-Control", "no-store"}, {"Referrer-Policy", "no-referrer"}}});
  }
  if (request.path.size() <= secret_.size() || !net::equal_in_constant_time(request.path.substr(0, secret_.size()), secret_) || request.path[secret_.size()] != '/')
    return reply->send(refusal(403, spoken("this address works once; run 'ultra dashboard' again")));
  request.path.erase(0, secret_.size());
  pass(std::move(request), std::move(reply));
}

void PageDoor::pass(net::Request request, std::shared_ptr<net::Reply> reply) {
  std::erase_if(passed_, [](const std::shared_ptr<Passed>& one) {
    if (one->is_over) one->thread.join();
    return one->is_over.load();
  });
  if (passed_.size() >= requests_at_once_max) return reply->send(refusal(503, spoken("too many requests at once")));
  request.headers = only(request.headers, {"accept", "accept-encoding", "content-type", "if-none-match", "prefer"});
  const auto passed = std::make_shared<Passed>();
  passed_.push_back(passed);
  passed->thread = std::thread([&loop = loop_, endpoint = net::Endpoint{.path = socket_}, request = std::move(request), reply, passed] {
    net::Response answer;
    try {
      const std::string type = type_of_stream(request.path);
      if (type.empty()) {
        answer = net::fetch(endpoint, request, std::chrono::seconds(60));
      } else {
        const auto on_piece = [&](std::string_view piece) {
          loop.post([passed, reply, type, text = std::string(piece)] {
            if (!passed->stream) {
              passed->stream = reply->start_stream(200, type);
              if (passed->stream) passed->stream->on_closed([gone = std::weak_ptr(passed)] { if (const auto one = gone.lock()) one->end(); });
            }
            if (!passed->stream || !passed->stream->write(text)) passed->end();
          });
          return true;
        };
        answer = net::fetch_stream(endpoint, request, on_piece, passed->gone.get());
      }
    } catch (const net::NetError& error) {
      answer = refusal(502, error.what());
    }
    answer.headers = only(answer.headers, {"cache-control", "content-encoding", "content-security-policy", "etag", "referrer-policy", "vary", "x-content-type-options"});
    loop.post([passed, reply, answer = std::move(answer)]() mutable {
      if (passed->stream) passed->stream->end();
      else reply->send(answer.status == 0 ? refusal(502, "") : std::move(answer));
      passed->stream.reset();
    });
    passed->is_over = true;
  });
}

}  // namespace ultramarine::cli
