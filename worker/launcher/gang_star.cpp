#include "worker/launcher/gang_star.h"

#include <algorithm>

#include "scheduler/net/base64.h"
#include "scheduler/net/proof.h"
#include "worker/launcher/job_folder.h"
#include "worker/launcher/message_text.h"

namespace ultramarine::launcher {
namespace {

constexpr const char* gang_path = "/v1/gang";
constexpr auto retry_delay = std::chrono::milliseconds(200);
constexpr int first_attempts_max = 50;  // about 10 s
constexpr int broken_proofs_max = 3;

std::string context_of(const GangKey& key) { return "ultramarine gang " + text_of(key); }

}  // namespace

template <class Work>
auto GangStar::while_alive(Work work) {
  return [weak = std::weak_ptr<bool>(alive_), work = std::move(work)](auto&&... arguments) mutable {
    if (weak.lock()) work(std::forward<decltype(arguments)>(arguments)...);
  };
}

GangStar::GangStar(net::Loop& loop, GangKey key, GangLayout layout, std::string node, std::string secret, ModexSource source)
    : loop_(loop), key_(key), layout_(std::move(layout)), node_(std::move(node)), secret_(std::move(secret)), source_(std::move(source)) {}

GangStar::~GangStar() = default;

// ---- connections ---------------------------------------------------------------------------------------------------

std::int64_t GangStar::listen(const std::string& host) {
  net::ServerOptions options;
  options.websockets[gang_path] =
      while_alive([this](const net::Request&, std::shared_ptr<net::Connection> connection) { accept(std::move(connection)); });
  const auto refuse = [](const net::Request&, const std::shared_ptr<net::Reply>& reply) { reply->send({.status = 404}); };
  server_ = net::listen(loop_, net::Endpoint{.host = host}, refuse, options);
  return server_->endpoint().port;
}

void GangStar::accept(std::shared_ptr<net::Connection> connection) {
  if (closing_) return connection->close();
  unproven_.insert(connection);
  connection->on_closed(while_alive([this, connection](const std::string&) { unproven_.erase(connection); }));
  prove_as_server(loop_, connection, secret_, context_of(key_), while_alive([this, connection](bool proven) {
                    if (!proven) {
                      unproven_.erase(connection);
                      return;
                    }
                    connection->on_message(while_alive([this, connection](std::string_view text) { hello(connection, text); }));
                  }));
}

void GangStar::hello(const std::shared_ptr<net::Connection>& connection, std::string_view text) {
  unproven_.erase(connection);
  std::string node;
  try {
    const auto message = from_text<protocol::GangMessage>(text);
    if (const auto* said = std::get_if<protocol::GangHello>(&message); said != nullptr && said->key == key_) node = said->node;
  } catch (const std::exception&) {
  }
  const auto& nodes = layout_.nodes();
  if (closing_ || node == node_ || std::find(nodes.begin(), nodes.end(), node) == nodes.end()) return connection->close();
  track(connection, node);
  for (std::string& words : waiting_[node]) connection->send(std::move(words));
  waiting_.erase(node);
}

void GangStar::connect(const net::Endpoint& middle, std::function<void()> on_ready, std::function<void(const std::string&)> on_failed) {
  middle_ = middle;
  on_ready_ = std::move(on_ready);
  on_failed_ = std::move(on_failed);
  try_connect();
}

void GangStar::try_connect() {
  if (closing_) return;
  ++attempts_;
  net::connect(
      loop_, middle_, gang_path,
      while_alive([this](std::shared_ptr<net::Connection> connection) {
        if (closing_) return connection->close();
        unproven_.insert(connection);
        prove_as_client(loop_, connection, secret_, context_of(key_), while_alive([this, connection](bool proven) {
                          unproven_.erase(connection);
                          if (proven && !closing_) return connected(connection);
                          connection->close();
                          // A middle that is just going away breaks off here too, but not again and again.
                          ++broken_proofs_;
                          attempt_failed("it did not prove the secret of the gang", broken_proofs_ >= broken_proofs_max);
                        }));
      }),
      while_alive([this](const net::NetError& error) { attempt_failed(error.what(), false); }));
}

void GangStar::attempt_failed(const std::string& why, bool final) {
  if (closing_) return;
  if (on_failed_ && (final || attempts_ >= first_attempts_max)) {
    const auto tell = std::exchange(on_failed_, nullptr);
    on_ready_ = nullptr;
    closing_ = true;
    return tell(why);
  }
  retry_ = loop_.after(on_failed_ ? retry_delay : 5 * retry_delay, while_alive([this] { try_connect(); }));
}

void GangStar::connected(const std::shared_ptr<net::Connection>& connection) {
  const std::string middle = layout_.first_node();
  track(connection, middle);
  connection->send(to_text<protocol::GangMessage>(protocol::GangHello{.key = key_, .node = node_}));
  for (const auto& [name, fence] : open_fences_) {
    const std::string data = net::to_base64(fence.data);
    send_to(middle, protocol::FenceBlob{.fence = name.second, .ranks = name.first, .node = node_, .data_base64 = data});
  }
  for (const auto& [request, open] : open_modex_) ask(request, open.rank);
  on_failed_ = nullptr;
  if (const auto ready = std::exchange(on_ready_, nullptr)) ready();
}

void GangStar::track(const std::shared_ptr<net::Connection>& connection, const std::string& node) {
  if (const auto old = connections_.find(node); old != connections_.end()) old->second->close();
  connections_[node] = connection;
  came_.insert(node);
  connection->on_closed(while_alive([this, node, connection](const std::string&) {
    const auto current = connections_.find(node);
    if (current == connections_.end() || current->second != connection) return;
    connections_.erase(current);
    if (!closing_) {
      if (!is_middle()) retry_ = loop_.after(retry_delay, while_alive([this] { try_connect(); }));
      if (on_alone_ && everybody_came() && connections_.empty()) std::exchange(on_alone_, nullptr)();
    } else if (connections_.empty() && on_all_closed_) {
      std::exchange(on_all_closed_, nullptr)();
    }
  }));
  connection->on_message(while_alive([this, node](std::string_view text) { receive(node, text); }));
}

void GangStar::when_alone(std::function<void()> done) {
  if (everybody_came() && connections_.empty()) return done();
  on_alone_ = std::move(done);
}

void GangStar::close(std::function<void()> done) {
  closing_ = true;
  retry_.reset();
  const auto leftover = std::exchange(unproven_, {});
  for (const auto& connection : leftover) connection->close();
  if (connections_.empty()) return done();
  on_all_closed_ = std::move(done);
  const auto open = connections_;
  for (const auto& [node, connection] : open) connection->close();
}

void GangStar::send_to(const std::string& node, const protocol::GangMessage& message) {
  std::string text = to_text(message);
  if (const auto connection = connections_.find(node); connection != connections_.end()) {
    connection->second->send(std::move(text));
  } else if (is_middle()) {
    waiting_[node].push_back(std::move(text));
  }  // the others say it when they are connected again: it is in open_fences_ or open_modex_, or the middle asks again
}

void GangStar::receive(const std::string& from, std::string_view text) {
  try {
    const auto message = from_text<protocol::GangMessage>(text);
    std::visit([&](const auto& said) { on(from, said); }, message);
  } catch (const std::exception&) {
    // A word that isn't ours: ignored, as everywhere on the wire.
  }
}

// ---- fences --------------------------------------------------------------------------------------------------------

void GangStar::fence(const std::string& ranks, std::string data, OnFence done) {
  const FenceName name(ranks, ++fence_counts_[ranks]);
  open_fences_[name] = {data, std::move(done)};
  if (is_middle()) return gather(name, node_, std::move(data));
  send_to(layout_.first_node(),
          protocol::FenceBlob{.fence = name.second, .ranks = ranks, .node = node_, .data_base64 = net::to_base64(data)});
}

void GangStar::gather(const FenceName& name, const std::string& node, std::string data) {
  if (const auto last = last_done_.find(name.first); last != last_done_.end() && name.second <= last->second.first) {
    // Said again after a break. Its answer may have been lost; the newest of each set is kept, older ones can't be open any more.
    if (name.second == last->second.first && node != node_) {
      send_to(node, protocol::FenceDone{.fence = name.second, .ranks = name.first, .data_base64 = last->second.second});
    }
    return;
  }
  const std::vector<std::string> members = layout_.nodes_of(name.first);
  if (std::find(members.begin(), members.end(), node) == members.end()) return;
  auto& blobs = gathered_[name];
  blobs[node] = std::move(data);
  if (blobs.size() < members.size()) return;

  std::string whole;
  for (const std::string& member : members) whole += blobs[member];
  gathered_.erase(name);
  const std::string encoded = net::to_base64(whole);
  last_done_[name.first] = {name.second, encoded};
  const protocol::FenceDone answer{.fence = name.second, .ranks = name.first, .data_base64 = encoded};
  for (const std::string& member : members) {
    if (member != node_) send_to(member, answer);
  }
  if (auto open = open_fences_.extract(name)) open.mapped().done(std::move(whole));
}

void GangStar::on(const std::string& from, const protocol::FenceBlob& blob) {
  if (is_middle()) gather({blob.ranks, blob.fence}, from, net::from_base64(blob.data_base64));
}

void GangStar::on(const std::string&, const protocol::FenceDone& fence_done) {
  if (auto open = open_fences_.extract(FenceName(fence_done.ranks, fence_done.fence))) {
    open.mapped().done(net::from_base64(fence_done.data_base64));
  }
}

// ---- requests for one rank's data ----------------------------------------------------------------------------------

void GangStar::modex(std::int64_t rank, OnModex done) {
  const std::string owner = layout_.node_of(rank);
  if (owner.empty()) return done(not_found, "");
  if (owner == node_) return source_(rank, std::move(done));
  const std::int64_t request = ++last_request_;
  open_modex_[request] = {rank, std::move(done)};
  ask(request, rank);
}

void GangStar::ask(std::int64_t request, std::int64_t rank) {
  send_to(is_middle() ? layout_.node_of(rank) : layout_.first_node(),
          protocol::ModexRequest{.request = request, .from_node = node_, .rank = rank});
}

void GangStar::on(const std::string& from, const protocol::ModexRequest& request) {
  const std::string owner = layout_.node_of(request.rank);
  const auto answer = [this, from, number = request.request](std::int64_t code, const std::string& data) {
    send_to(from, protocol::ModexReply{.request = number, .code = code, .data_base64 = net::to_base64(data)});
  };
  if (owner == node_) return source_(request.rank, while_alive(answer));
  if (owner.empty() || !is_middle()) return answer(not_found, "");
  const std::int64_t number = ++last_request_;
  forwarded_[number] = {from, request.request};
  send_to(owner, protocol::ModexRequest{.request = number, .from_node = request.from_node, .rank = request.rank});
}

void GangStar::on(const std::string&, const protocol::ModexReply& reply) {
  if (auto forwarded = forwarded_.extract(reply.request)) {
    const auto& [node, number] = forwarded.mapped();
    return send_to(node, protocol::ModexReply{.request = number, .code = reply.code, .data_base64 = reply.data_base64});
  }
  if (auto open = open_modex_.extract(reply.request)) open.mapped().done(reply.code, net::from_base64(reply.data_base64));
}

}  // namespace ultramarine::launcher
