// The deliverer with a real mail program (a script) and real sockets: what arrives, what is tried again, what is given
// up, and that nobody waits for somebody else's receiver.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/net/file_descriptor.h"
#include "scheduler/notifier/deliverer.h"

namespace ultramarine::notifier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A door on 127.0.0.1 that takes connections, and answers what it is told to.
class Receiver {
 public:
  Receiver() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(socket_.get(), 16), 0);
    socklen_t length = sizeof address;
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  std::string url(const std::string& path = "/") const { return "http://127.0.0.1:" + std::to_string(port_) + path; }
  /// Takes the next connection, reads a whole request and answers with this. Returns the request.
  std::string answer(const std::string& status, const std::string& more = "Content-Length: 0\r\n\r\n") {
    const net::FileDescriptor peer(::accept(socket_.get(), nullptr, nullptr));
    std::string request;
    std::size_t wanted = std::string::npos;
    while (request.size() < wanted) {
      char piece[4096];
      const ssize_t got = ::recv(peer.get(), piece, sizeof piece, 0);
      if (got <= 0) break;
      request.append(piece, static_cast<std::size_t>(got));
      const std::size_t head = request.find("\r\n\r\n"), length = request.find("Content-Length: ");
      if (head != std::string::npos && length != std::string::npos)
        wanted = head + 4 + std::stoul(request.substr(length + 16));
    }
    const std::string text = "HTTP/1.1 " + status + "\r\nConnection: close\r\n" + more;
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t some = ::send(peer.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (some <= 0) break;
      sent += static_cast<std::size_t>(some);
    }
    return request;
  }

 private:
  net::FileDescriptor socket_;
  int port_ = 0;
};

class DelivererTest : public testing::Test {
 protected:
  DelivererTest() {
    std::string pattern = "/tmp/um-deliverer-XXXXXX";
    folder = ::mkdtemp(pattern.data());
    means.section.mail = "sendmail";
    means.section.from = "ultramarine@example.org";
    means.section.sendmail = folder + "/sendmail";
    means.section.retry_after_ms = milliseconds(100);
    means.section.timeout_ms = seconds(20);
    means.section.webhooks_allowed = {"http://127.0.0.1:"};
  }
  ~DelivererTest() override {
    deliverer.stop();
    std::filesystem::remove_all(folder);
  }

  void mail_program(const std::string& script) const {
    const std::string fresh = means.section.sendmail + ".new";
    std::ofstream(fresh) << "#!/bin/sh\n" << script;
    ::chmod(fresh.c_str(), 0755);
    std::filesystem::rename(fresh, means.section.sendmail);
  }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(folder + "/" + name).rdbuf();
    return text.str();
  }
  Delivery delivery(std::int64_t number, Channel channel, const std::string& address) const {
    Delivery made{.number = number, .channel = channel, .address = address};
    made.notice.id = "lab." + std::to_string(number);
    made.notice.cluster = "lab";
    made.notice.event = NotificationEvent::end;
    made.notice.time_ms = {
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count()};
    made.notice.job = {.id = number, .number = std::to_string(number), .name = "train", .state = JobState::completed};
    return made;
  }
  /// "1" or "1: why", in the order in which they were done, once there are so many.
  std::vector<std::string> wait_for(std::size_t count) {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(arrived.wait_for(lock, std::chrono::seconds(60), [&] { return done.size() >= count; }));
    return done;
  }
  void wait_for_retries(int count) {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(arrived.wait_for(lock, std::chrono::seconds(60),
                                 [&] { return results["mail retried"] + results["webhook retried"] >= count; }));
  }

  std::mutex mutex;
  std::condition_variable arrived;
  std::vector<std::string> done;
  std::map<std::string, int> results;
  std::string folder;
  Means means;
  Deliverer deliverer{[this](Channel channel, Result result) {
                        const std::lock_guard lock(mutex);
                        ++results[std::string(boost::describe::enum_to_string(channel, "")) + " " +
                                  boost::describe::enum_to_string(result, "")];
                        arrived.notify_all();
                      },
                      [this](const Delivery& one, const std::string& why) {
                        const std::lock_guard lock(mutex);
                        done.push_back(std::to_string(one.number) + (why.empty() ? "" : ": " + why));
                        arrived.notify_all();
                      }};
};

TEST_F(DelivererTest, GivesAMailProgramItsWordsAndTheMessage) {
  mail_program("echo \"$@\" > " + folder + "/words; cat > " + folder + "/message; env | sort > " + folder +
               "/environment; ls /proc/self/fd | wc -l > " + folder + "/open\n");
  deliverer.use(means);
  deliverer.add({delivery(1, Channel::mail, "ada@example.org")});
  EXPECT_THAT(wait_for(1), ElementsAre("1"));
  EXPECT_EQ(read("words"), "-i -f ultramarine@example.org -- ada@example.org\n");
  EXPECT_THAT(read("message"), HasSubstr("\nSubject: [lab] Job 1 train completed\n"));
  EXPECT_THAT(read("message"), testing::Not(HasSubstr("\r")));
  EXPECT_THAT(read("environment"), testing::Not(HasSubstr("HOME")));
  EXPECT_EQ(results["mail delivered"], 1);
}

TEST_F(DelivererTest, TriesAgainUntilItArrives) {
  mail_program("echo later >&2; exit 75\n");
  deliverer.use(means);
  deliverer.add({delivery(1, Channel::mail, "ada@example.org"), delivery(2, Channel::mail, "ada@example.org")});
  wait_for_retries(2);
  mail_program("exit 0\n");
  EXPECT_THAT(wait_for(2), ElementsAre("1", "2")) << "in order";
}

TEST_F(DelivererTest, TakesARefusalForAnAnswer) {
  mail_program("echo 'no such user' >&2; exit 67\n");
  deliverer.use(means);
  deliverer.add({delivery(1, Channel::mail, "ada@example.org")});
  EXPECT_THAT(wait_for(1).front(), HasSubstr("/sendmail ended with code 67: no such user"));
  EXPECT_EQ(results["mail refused"], 1);
}

TEST_F(DelivererTest, GivesUpAfterAWhile) {
  means.section.give_up_after_ms = seconds(1);
  means.section.sendmail = folder + "/is-not-there";
  deliverer.use(means);
  deliverer.add({delivery(1, Channel::mail, "ada@example.org")});
  EXPECT_THAT(wait_for(1).front(), HasSubstr("can't be started: No such file or directory"));
  EXPECT_EQ(results["mail given_up"], 1);
  EXPECT_GE(results["mail retried"], 1);
}

TEST_F(DelivererTest, AProgramThatHangsIsEnded) {
  means.section.timeout_ms = milliseconds(100);
  means.section.give_up_after_ms = milliseconds(1);
  mail_program("exec sleep 1000\n");
  deliverer.use(means);
  deliverer.add({delivery(1, Channel::mail, "ada@example.org")});
  EXPECT_THAT(wait_for(1).front(), HasSubstr("took too long"));
}

TEST_F(DelivererTest, PostsJsonThatIsSigned) {
  Receiver receiver;
  means.section.webhook = {{.url = receiver.url("/hook?key=x")}};
  means.secrets.webhooks = {"secret"};
  deliverer.use(means);
  Delivery one = delivery(1, Channel::webhook, receiver.url("/hook?key=x"));
  one.cluster_wide = true;
  deliverer.add({one});
  const std::string request = receiver.answer("204 No Content");
  EXPECT_THAT(request, testing::StartsWith("POST /hook?key=x HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nContent-Type: application/json; charset=utf-8\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nUltramarine-Notice: lab.1\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nUltramarine-Signature: sha256="));
  EXPECT_THAT(request, HasSubstr("\r\n\r\n{\"id\":\"lab.1\",\"event\":\"end\""));
  EXPECT_THAT(wait_for(1), ElementsAre("1"));
}

TEST_F(DelivererTest, FollowsNoRedirectAndReadsNoLongAnswer) {
  Receiver receiver, elsewhere;
  deliverer.use(means);
  deliverer.add({delivery(1, Channel::webhook, receiver.url())});
  receiver.answer("307 Temporary Redirect", "Location: " + elsewhere.url() + "\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(wait_for(1).front(), HasSubstr("HTTP status 307; redirects are not followed"));
  deliverer.add({delivery(2, Channel::webhook, receiver.url())});
  receiver.answer("200 OK", "Content-Length: 1000000\r\n\r\n" + std::string(1'000'000, 'x'));
  EXPECT_EQ(wait_for(2).back(), "2");
}

TEST_F(DelivererTest, AReceiverThatNeverAnswersHoldsUpNobodyElse) {
  Receiver hangs, answers;  // the kernel takes connections for both; nobody reads the first
  deliverer.use(means);
  deliverer.add({delivery(1, Channel::webhook, hangs.url()), delivery(2, Channel::webhook, hangs.url()),
                 delivery(3, Channel::webhook, answers.url())});
  answers.answer("200 OK");
  EXPECT_THAT(wait_for(1), ElementsAre("3"));
  deliverer.stop();  // at once, although one is under way
  EXPECT_THAT(done, ElementsAre("3"));
}

TEST_F(DelivererTest, ServerErrorsAreTriedAgainAndOthersAreNot) {
  Receiver receiver;
  deliverer.use(means);
  deliverer.add({delivery(1, Channel::webhook, receiver.url())});
  receiver.answer("503 Service Unavailable");
  receiver.answer("429 Too Many Requests");
  receiver.answer("200 OK");
  EXPECT_THAT(wait_for(1), ElementsAre("1"));
  EXPECT_EQ(results["webhook retried"], 2);
  deliverer.add({delivery(2, Channel::webhook, receiver.url("/gone"))});
  receiver.answer("410 Gone");
  EXPECT_THAT(wait_for(2).back(), HasSubstr("HTTP status 410"));
}

TEST_F(DelivererTest, WhoLeftTheClusterFileGetsNothing) {
  means.section.webhooks_allowed = {};
  deliverer.use(means);
  deliverer.add({delivery(1, Channel::webhook, "http://127.0.0.1:9/")});
  EXPECT_THAT(wait_for(1), ElementsAre("1: the cluster file names no such receiver any more"));
}

}  // namespace
}  // namespace ultramarine::notifier
