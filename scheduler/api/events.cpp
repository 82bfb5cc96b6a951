// The stream of server-sent events: not what happened, only that something did. Whoever reads it asks again what he shows, through the door
// that he came by, so nothing is told here that he might not see. It looks at the revision twice a second: however much happens, a reader
// is told no more often. (https://html.spec.whatwg.org/multipage/server-sent-events.html)
#include <chrono>

#include "scheduler/api/handlers.h"

namespace ultramarine::api {

namespace {

constexpr auto time_between_looks = std::chrono::milliseconds(500);
constexpr int looks_per_heartbeat = 30;  // a line of comment, so that whatever is in between sees that the stream lives

/// One reader. Its timer keeps it alive until the reader is gone.
class ChangeStream : public std::enable_shared_from_this<ChangeStream> {
 public:
  ChangeStream(Backend& backend, std::shared_ptr<net::Stream> stream) : backend_(backend), stream_(std::move(stream)) {}

  void start() {
    stream_->on_closed([self = weak_from_this()] {
      if (const auto reader = self.lock()) reader->stop();
    });
    look();
  }

 private:
  void look() {
    const std::int64_t revision = backend_.revision();
    bool is_there = true;
    if (revision != told_) {
      told_ = revision;
      silent_looks_ = 0;
      const std::string number = std::to_string(revision);
      is_there = stream_->write("event: changed\nid: " + number + "\ndata: {\"revision\":" + number + "}\n\n");
    } else if (++silent_looks_ >= looks_per_heartbeat) {
      silent_looks_ = 0;
      is_there = stream_->write(": alive\n\n");
    }
    if (is_there && !is_over_) timer_ = backend_.loop().after(time_between_looks, [self = shared_from_this()] { self->look(); });
  }

  void stop() {
    is_over_ = true;
    timer_.reset();
  }

  Backend& backend_;
  const std::shared_ptr<net::Stream> stream_;
  std::int64_t told_ = -1;
  int silent_looks_ = 0;
  bool is_over_ = false;
  std::unique_ptr<net::Loop::Timer> timer_;
};

}  // namespace

void tell_changes(const ExchangePtr& exchange) {
  std::make_shared<ChangeStream>(exchange->backend, exchange->start_stream("text/event-stream"))->start();
}

}  // namespace ultramarine::api
