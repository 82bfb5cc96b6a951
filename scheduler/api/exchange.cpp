// Answers and refusals, each with the request's id.
#include "scheduler/api/exchange.h"

#include <algorithm>

#include "scheduler/net/proof.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::api {

Exchange::Exchange(Backend& backend_, Door door_, Caller caller_, net::Request request_, std::shared_ptr<net::Reply> reply,
                   Observer observer)
    : backend(backend_),
      door(door_),
      caller(std::move(caller_)),
      request(std::move(request_)),
      reply_(std::move(reply)),
      observer_(std::move(observer)),
      id_(net::random_hex(6)) {}

Exchange::~Exchange() {
  if (!answered_) reply_->send(response_to(not_ready("the scheduler ended before it could answer", "ask again once it is back")));
}

void Exchange::over(int status, std::string problem) {
  answered_ = true;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - since_).count();
  if (observer_) observer_({id_, route, request.method, status, seconds, caller.actor.uid, std::move(problem)});
}

void Exchange::answer(int status, std::string body, std::string content_type) {
  net::Response response;
  response.status = status;
  response.body = std::move(body);
  response.content_type = std::move(content_type);
  response.headers["x-request-id"] = id_;
  response.headers["cache-control"] = "no-store";
  over(status, "");
  reply_->send(std::move(response));
}

net::Response Exchange::response_to(const Problem& problem) const {
  net::Response response;
  response.status = problem.status;
  response.body = protocol::to_json(protocol::ErrorReply{problem.code, problem.field, problem.message, problem.remedy, id_});
  response.headers["x-request-id"] = id_;
  return response;
}

void Exchange::refuse(const Problem& problem) {
  // For the log only what can't be a secret: the message may quote what was sent.
  std::string summary = problem.code + (problem.field.empty() ? "" : " " + problem.field.substr(0, 100));
  std::replace_if(
      summary.begin(), summary.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  over(problem.status, std::move(summary));
  reply_->send(response_to(problem));
}

std::shared_ptr<net::Stream> Exchange::start_stream(std::string content_type) {
  over(200, "");
  return reply_->start_stream(200, std::move(content_type));
}

}  // namespace ultramarine::api
