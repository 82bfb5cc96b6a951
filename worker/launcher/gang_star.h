// How the shims of one gang speak with each other: a star of WebSockets over the node of rank 0. It carries two things that PMIx
// needs across nodes: fences (everybody's data to everybody, in node order) and single requests for one rank's data. Both
// sides of a connection first prove the gang secret. Knows nothing of PMIx, of processes or of the agent.
//
// A connection that breaks is made anew and what was not answered is said again; the middle answers repeated words.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/net/http.h"
#include "scheduler/net/loop.h"
#include "scheduler/net/websocket.h"
#include "scheduler/protocol/shim_messages.h"
#include "worker/launcher/gang_layout.h"

namespace ultramarine::launcher {

class GangStar {
 public:
  using OnFence = std::function<void(std::string data)>;
  using OnModex = std::function<void(std::int64_t code, std::string data)>;
  /// Finds the data of a rank of this node; may answer later.
  using ModexSource = std::function<void(std::int64_t rank, OnModex answer)>;
  /// The code for a rank that the gang doesn't have (PMIX_ERR_NOT_FOUND).
  static constexpr std::int64_t not_found = -46;

  GangStar(net::Loop& loop, GangKey key, GangLayout layout, std::string node, std::string secret, ModexSource source);
  ~GangStar();

  /// This node is the middle.
  bool is_middle() const { return node_ == layout_.first_node(); }
  /// Middle only. The port where the others connect. Throws net::NetError.
  std::int64_t listen(const std::string& host);
  /// Others only: exactly one of the two is called, within about 10 s. Later breaks are mended without a word.
  void connect(const net::Endpoint& middle, std::function<void()> on_ready, std::function<void(const std::string& why)> on_failed);

  /// One fence over `ranks` (GangLayout::text_of) in which this node takes part with `data`. Calls of one set are matched in their order.
  void fence(const std::string& ranks, std::string data, OnFence done);
  /// Asks the node of `rank`.
  void modex(std::int64_t rank, OnModex done);
  /// Middle only. Calls `done` once every other node has connected and left again: until then they may need the middle.
  void when_alone(std::function<void()> done);
  bool everybody_came() const { return came_.size() + 1 >= layout_.nodes().size(); }
  /// Sends what is queued, closes all connections, then calls `done`.
  void close(std::function<void()> done);

 private:
  using FenceName = std::pair<std::string, std::int64_t>;  // set of ranks, number
  struct OpenFence {
    std::string data;
    OnFence done;
  };
  struct OpenModex {
    std::int64_t rank;
    OnModex done;
  };

  template <class Work>
  auto while_alive(Work work);
  void accept(std::shared_ptr<net::Connection> connection);
  void hello(const std::shared_ptr<net::Connection>& connection, std::string_view text);
  void try_connect();
  void connected(const std::shared_ptr<net::Connection>& connection);
  void attempt_failed(const std::string& why, bool final);
  void track(const std::shared_ptr<net::Connection>& connection, const std::string& node);
  void send_to(const std::string& node, const protocol::GangMessage& message);
  void receive(const std::string& from, std::string_view text);
  void on(const std::string& from, const protocol::FenceBlob& blob);
  void on(const std::string& from, const protocol::FenceDone& fence_done);
  void on(const std::string& from, const protocol::ModexRequest& request);
  void on(const std::string& from, const protocol::ModexReply& reply);
  void on(const std::string&, const protocol::GangHello&) {}
  void gather(const FenceName& name, const std::string& node, std::string data);
  void ask(std::int64_t request, std::int64_t rank);

  net::Loop& loop_;
  const GangKey key_;
  const GangLayout layout_;
  const std::string node_;
  const std::string secret_;
  const ModexSource source_;

  std::unique_ptr<net::Server> server_;
  net::Endpoint middle_;
  std::function<void()> on_ready_;
  std::function<void(const std::string&)> on_failed_;
  int attempts_ = 0;
  int broken_proofs_ = 0;
  std::unique_ptr<net::Loop::Timer> retry_;
  std::map<std::string, std::shared_ptr<net::Connection>> connections_;  // by node; at the others only the middle's
  std::set<std::shared_ptr<net::Connection>> unproven_;
  std::map<std::string, std::vector<std::string>> waiting_;              // the middle's words for nodes that aren't connected

  std::map<std::string, std::int64_t> fence_counts_;                     // of this node, by set
  std::map<FenceName, OpenFence> open_fences_;                           // of this node
  std::map<FenceName, std::map<std::string, std::string>> gathered_;     // middle: data by node
  std::map<std::string, std::pair<std::int64_t, std::string>> last_done_;  // middle: by set, for nodes that ask again
  std::int64_t last_request_ = 0;
  std::map<std::int64_t, OpenModex> open_modex_;                         // of this node
  std::map<std::int64_t, std::pair<std::string, std::int64_t>> forwarded_;  // middle: who asked, and his number
  std::set<std::string> came_;                                           // nodes that were ever connected
  bool closing_ = false;
  std::function<void()> on_all_closed_, on_alone_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ultramarine::launcher
